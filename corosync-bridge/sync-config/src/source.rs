//! The text of a list, and places in it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::Serialize;

/// Longest line shown around a mistake, in characters. A list that a program wrote may be one line of a mebibyte.
const EXCERPT_CHARS: usize = 100;

/// How much of a longer line is shown before the mistake.
const LEAD_CHARS: usize = 30;

/// A part of a text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A list as it was read.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    pub(crate) fn new(path: &Path, text: String) -> Self {
        Self {
            path: path.to_owned(),
            text,
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Number of the line at `offset`, and where that line begins and ends.
    fn line(&self, offset: usize) -> (usize, Span) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = self.text.get(start..).unwrap_or_default();
        let end = start + rest.find('\n').unwrap_or(rest.len());
        (before.matches('\n').count() + 1, Span { start, end })
    }

    fn chars(&self, start: usize, end: usize) -> usize {
        self.text.get(start..end).unwrap_or_default().chars().count()
    }
}

/// A value in a list: where it stands in the text, and by which keys it is reached.
#[derive(Debug, Clone)]
pub(crate) struct At {
    source: Rc<Source>,
    span: Span,
    within: String,
}

impl At {
    /// The document itself.
    pub(crate) fn document(source: &Rc<Source>, span: Span) -> Self {
        Self {
            source: Rc::clone(source),
            span,
            within: String::new(),
        }
    }

    /// The member `key` of the object at this place.
    pub(crate) fn key(&self, key: &str, span: Span) -> Self {
        let within = match self.within.as_str() {
            "" => key.to_owned(),
            above => format!("{above}.{key}"),
        };
        self.sub(within, span)
    }

    /// Item `index`, counted from 0, of the array at this place.
    pub(crate) fn item(&self, index: usize, span: Span) -> Self {
        self.sub(format!("{}[{index}]", self.within), span)
    }

    /// Another part of the text of what is at this place.
    pub(crate) fn part(&self, span: Span) -> Self {
        self.sub(self.within.clone(), span)
    }

    fn sub(&self, within: String, span: Span) -> Self {
        Self {
            source: Rc::clone(&self.source),
            span,
            within,
        }
    }

    pub(crate) fn place(&self) -> Place {
        let (line, bounds) = self.source.line(self.span.start);
        Place {
            file: self.source.path.clone(),
            line,
            column: self.source.chars(bounds.start, self.span.start) + 1,
            within: self.within.clone(),
        }
    }

    /// The line, and which part of it is meant.
    pub(crate) fn excerpt(&self) -> Excerpt {
        let (_, bounds) = self.source.line(self.span.start);
        let text = &self.source.text[bounds.start..bounds.end];
        let start = self.source.chars(bounds.start, self.span.start);
        // A value of several lines is underlined to the end of its first.
        let length = self.source.chars(self.span.start, self.span.end.min(bounds.end));
        let total = text.chars().count();
        let skipped = start
            .saturating_sub(LEAD_CHARS)
            .min(total.saturating_sub(EXCERPT_CHARS));
        let shown = skipped..total.min(skipped + EXCERPT_CHARS);
        let is_cut =
            |index| (index == skipped && skipped > 0) || (index + 1 == shown.end && shown.end < total);
        let character = |(index, c): (usize, char)| match c {
            _ if is_cut(index) => '…',
            c if c.is_control() => ' ',
            c => c,
        };
        let line: String = text
            .chars()
            .enumerate()
            .skip(skipped)
            .take(shown.len())
            .map(character)
            .collect();
        let start = start - skipped;
        Excerpt {
            line: line.trim_end().to_owned(),
            start,
            length: length.clamp(1, (EXCERPT_CHARS - start.min(EXCERPT_CHARS)).max(1)),
        }
    }
}

/// A line of a list, and which part of it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excerpt {
    pub(crate) line: String,
    /// In characters.
    pub(crate) start: usize,
    /// In characters.
    pub(crate) length: usize,
}

/// A place in a list, such as `/etc/bmc-ha/data-sync.d/common.json:12:9 (Directories[2].SyncType)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file.
    #[serde(serialize_with = "lossy")]
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// Keys and positions from the top of the document; empty for the document itself.
    #[serde(rename = "key")]
    pub within: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)?;
        match self.within.as_str() {
            "" => Ok(()),
            within => write!(f, " ({within})"),
        }
    }
}

/// JSON has no bytes; a name that is not UTF-8 is shown as well as can be.
fn lossy<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}
