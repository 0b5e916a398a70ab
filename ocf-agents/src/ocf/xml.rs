//! The few moves that both kinds of metadata need from the XML writer.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

/// A writer with the document's declaration written. Not indented: white space would become part of the help.
///
/// # Errors
/// Never in practice: memory does not fail.
pub fn document() -> io::Result<Writer<Vec<u8>>> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", None, None)))?;
    Ok(writer)
}

/// An element that holds English text.
///
/// # Errors
/// As [`document`].
pub fn text(writer: &mut Writer<Vec<u8>>, element: &str, content: &str) -> io::Result<()> {
    writer
        .create_element(element)
        .with_attribute(("lang", "en"))
        .write_text_content(BytesText::new(content))?;
    Ok(())
}

/// The document, with a final line feed.
#[must_use]
pub fn finish(writer: Writer<Vec<u8>>) -> String {
    let mut document = String::from_utf8_lossy(&writer.into_inner()).into_owned();
    document.push('\n');
    document
}
