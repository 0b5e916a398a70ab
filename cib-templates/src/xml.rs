//! A small element tree, read and written by quick-xml.
//!
//! CIBs and the output of Pacemaker's tools are a few hundred elements; a tree keeps the code that walks
//! them short. Comments and processing instructions are not kept: they carry nothing for Pacemaker.

use std::io;

use quick_xml::Reader;
use quick_xml::Writer;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};

/// Deepest nesting that is read. A CIB is about ten deep; the bound keeps hostile input from exhausting the
/// stack when the tree is walked.
const DEPTH_LIMIT: usize = 64;

/// Why a document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum XmlError {
    /// Not well-formed.
    #[error("byte {offset}: {detail}")]
    Malformed {
        /// Where in the document.
        offset: u64,
        /// What is wrong there.
        detail: String,
    },
    /// No element at all, or more than one at the top.
    #[error("expected exactly one element at the top, found {found}")]
    Root {
        /// How many there are.
        found: usize,
    },
}

/// An element: its name, its attributes in document order, its children and its text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// Qualified name.
    pub name: String,
    /// Names and unescaped values.
    pub attributes: Vec<(String, String)>,
    /// Child elements.
    pub children: Vec<Element>,
    /// Unescaped text directly inside, pieces joined and trimmed.
    pub text: String,
}

impl Element {
    /// An element without attributes.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// Reads one document.
    ///
    /// # Errors
    /// [`XmlError`] when it is not well-formed or has not exactly one element at the top.
    pub fn parse(document: &str) -> Result<Self, XmlError> {
        let mut reader = Reader::from_str(document);
        let mut open: Vec<Element> = vec![Element::default()];
        loop {
            let offset = reader.buffer_position();
            let malformed = |detail: String| XmlError::Malformed { offset, detail };
            match reader
                .read_event()
                .map_err(|error| malformed(error.to_string()))?
            {
                Event::Start(start) => {
                    if open.len() > DEPTH_LIMIT {
                        return Err(malformed(format!("nested deeper than {DEPTH_LIMIT} elements")));
                    }
                    open.push(element_of(&start).map_err(malformed)?);
                }
                Event::Empty(start) => {
                    let element = element_of(&start).map_err(malformed)?;
                    top(&mut open).children.push(element);
                }
                Event::End(_) => close(&mut open),
                Event::Text(text) => {
                    let text = text.decode().map_err(|error| malformed(error.to_string()))?;
                    top(&mut open).text.push_str(&text);
                }
                Event::CData(data) => {
                    let text = data.decode().map_err(|error| malformed(error.to_string()))?;
                    top(&mut open).text.push_str(&text);
                }
                Event::GeneralRef(reference) => {
                    let name = reference.decode().map_err(|error| malformed(error.to_string()))?;
                    let character = reference
                        .resolve_char_ref()
                        .map_err(|error| malformed(error.to_string()))?;
                    match (character, resolve_predefined_entity(&name)) {
                        (Some(character), _) => top(&mut open).text.push(character),
                        (None, Some(text)) => top(&mut open).text.push_str(text),
                        (None, None) => return Err(malformed(format!("entity &{name}; is not known"))),
                    }
                }
                Event::Eof if open.len() > 1 => {
                    return Err(malformed(format!("<{}> is not closed", top(&mut open).name)));
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        let mut roots = std::mem::take(&mut top(&mut open).children);
        match (roots.pop(), roots.len()) {
            (Some(root), 0) => Ok(root),
            (root, others) => Err(XmlError::Root {
                found: others + usize::from(root.is_some()),
            }),
        }
    }

    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Sets an attribute, in place or at the end.
    pub fn set_attribute(&mut self, name: &str, value: &str) {
        match self.attributes.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.attributes.push((name.to_owned(), value.to_owned())),
        }
    }

    /// The first child of this name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The first child of this name, made when there is none.
    pub fn child_or_new(&mut self, name: &str) -> &mut Element {
        let index = match self.children.iter().position(|child| child.name == name) {
            Some(index) => index,
            None => {
                self.children.push(Element::new(name));
                self.children.len() - 1
            }
        };
        &mut self.children[index]
    }

    /// All children of this name.
    pub fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// This element and everything beneath it, parents first.
    #[must_use]
    pub fn descendants(&self) -> Vec<&Element> {
        let mut all = vec![self];
        let mut next = 0;
        while let Some(element) = all.get(next).copied() {
            all.extend(element.children.iter());
            next += 1;
        }
        all
    }

    /// The element with this `id` attribute, here or beneath.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Element> {
        self.descendants()
            .into_iter()
            .find(|element| element.attribute("id") == Some(id))
    }

    /// The document, indented, ending in a newline.
    ///
    /// # Errors
    /// What the writer says; writing to memory does not fail otherwise.
    pub fn to_document(&self) -> io::Result<String> {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        self.write(&mut writer)?;
        let mut document = String::from_utf8(writer.into_inner()).map_err(io::Error::other)?;
        document.push('\n');
        Ok(document)
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
        let mut start = BytesStart::new(self.name.as_str());
        for (name, value) in &self.attributes {
            start.push_attribute((name.as_str(), value.as_str()));
        }
        if self.children.is_empty() && self.text.is_empty() {
            return writer.write_event(Event::Empty(start));
        }
        writer.write_event(Event::Start(start))?;
        if !self.text.is_empty() {
            writer.write_event(Event::Text(BytesText::new(&self.text)))?;
        }
        for child in &self.children {
            child.write(writer)?;
        }
        writer.write_event(Event::End(BytesEnd::new(self.name.as_str())))
    }
}

fn element_of(start: &BytesStart<'_>) -> Result<Element, String> {
    let mut element = Element {
        name: String::from_utf8(start.name().as_ref().to_vec()).map_err(|error| error.to_string())?,
        ..Element::default()
    };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let name = String::from_utf8(attribute.key.as_ref().to_vec()).map_err(|error| error.to_string())?;
        let value = attribute.unescape_value().map_err(|error| error.to_string())?;
        element.attributes.push((name, value.into_owned()));
    }
    Ok(element)
}

/// The innermost open element. The bottom of the stack is the document itself and is never closed.
fn top(open: &mut [Element]) -> &mut Element {
    let last = open.len() - 1;
    &mut open[last]
}

fn close(open: &mut Vec<Element>) {
    // quick-xml refuses an end tag without its start tag, so one element besides the document is open.
    if let Some(mut element) = open.pop() {
        element.text = element.text.trim().to_owned();
        top(open).children.push(element);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_the_same() {
        let mut element = Element::new("primitive");
        element.set_attribute("id", "a");
        element.set_attribute("value", "quotes \" and ' & < > \t\u{fc}");
        let mut child = Element::new("longdesc");
        child.text = "5 < 6 & so on".to_owned();
        element.children.push(child);
        let document = element.to_document().unwrap();
        assert_eq!(Element::parse(&document).unwrap(), element);
    }

    #[test]
    fn text_joins_its_pieces_and_entities() {
        let element =
            Element::parse("<a> one &amp; two<!-- not this --> <![CDATA[<3>]]> &#x41; </a>").unwrap();
        assert_eq!(element.text, "one & two <3> A");
    }

    #[test]
    fn a_document_that_is_cut_off_is_refused() {
        let error = Element::parse("<cib><configuration>").unwrap_err().to_string();
        assert!(error.contains("configuration"), "{error}");
    }

    #[test]
    fn two_elements_at_the_top_are_refused() {
        assert!(matches!(
            Element::parse("<a/><b/>"),
            Err(XmlError::Root { found: 2 })
        ));
        assert!(matches!(Element::parse(" "), Err(XmlError::Root { found: 0 })));
    }

    #[test]
    fn unknown_entities_are_refused() {
        let error = Element::parse("<a>&nbsp;</a>").unwrap_err().to_string();
        assert!(error.contains("nbsp"), "{error}");
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let error = Element::parse(&"<a>".repeat(1000)).unwrap_err().to_string();
        assert!(error.contains("nested deeper"), "{error}");
    }
}
