//! What is wrong with a list, told as a compiler tells it.

use std::fmt;

use serde::Serialize;

use crate::source::{At, Excerpt, Place};

/// Most mistakes that are told at once. A list with more is the wrong file, and finding all of them would only
/// cost time and memory.
pub const MOST_TOLD: usize = 100;

/// Whether no more mistakes have to be looked for.
pub(crate) fn are_enough(problems: &[Diagnostic]) -> bool {
    problems.len() >= MOST_TOLD
}

/// What kind of mistake it is. The names are part of the interface: programs tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mistake {
    /// The text is not JSON.
    Syntax,
    /// A key that nobody knows here.
    UnknownKey,
    /// A key that stands twice in one object.
    RepeatedKey,
    /// A key that has to be there.
    MissingKey,
    /// A value that is not accepted.
    BadValue,
    /// Keys or values that do not go together.
    Contradiction,
    /// Two entries that replicate the same path, or write to it.
    Overlap,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A mistake in a list: where it is, what it is, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// What kind of mistake it is.
    pub mistake: Mistake,
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Vec<String>,
    /// Other places that have to do with it.
    pub related: Vec<Related>,
    #[serde(skip)]
    excerpt: Excerpt,
}

/// Another place that has to do with a mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Related {
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// What is there.
    pub message: String,
    #[serde(skip)]
    excerpt: Excerpt,
}

/// A part of the text of a diagnostic, for whoever colours it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The word `error`.
    Error,
    /// What is wrong, in one line.
    Message,
    /// Line numbers, arrows and bars.
    Frame,
    /// The underline.
    Underline,
    /// The words `help` and `note`.
    Hint,
}

impl Diagnostic {
    pub(crate) fn new(mistake: Mistake, at: &At, message: impl Into<String>) -> Self {
        Self {
            mistake,
            place: at.place(),
            message: message.into(),
            help: Vec::new(),
            related: Vec::new(),
            excerpt: at.excerpt(),
        }
    }

    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    pub(crate) fn related(mut self, at: &At, message: impl Into<String>) -> Self {
        self.related.push(Related {
            place: at.place(),
            message: message.into(),
            excerpt: at.excerpt(),
        });
        self
    }

    /// The whole explanation in lines, with the lines of the list that it is about. `paint` colours a part or
    /// leaves it as it is.
    pub fn explain(&self, paint: impl Fn(Part, &str) -> String) -> String {
        let places = self.related.iter().map(|related| &related.place);
        let widest = places.chain([&self.place]).map(|place| place.line).max();
        let frame = Frame {
            width: widest.unwrap_or(0).to_string().len(),
            paint: &paint,
        };
        let error = paint(Part::Error, &format!("error[{}]", self.mistake));
        let mut text = format!("{error}: {}\n", paint(Part::Message, &printable(&self.message)));
        frame.show(&mut text, &self.place, &self.excerpt);
        for related in &self.related {
            let note = paint(Part::Hint, "note");
            text.push_str(&format!("{note}: {}\n", printable(&related.message)));
            frame.show(&mut text, &related.place, &related.excerpt);
        }
        for help in &self.help {
            let word = paint(Part::Hint, "help");
            text.push_str(&format!("{word}: {}\n", printable(help)));
        }
        text
    }
}

impl fmt::Display for Diagnostic {
    /// One line: where, what, and what would be right.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        for related in &self.related {
            write!(f, "; {}: {}", related.message, related.place)?;
        }
        self.help.iter().try_for_each(|help| write!(f, "; {help}"))
    }
}

/// Lines of a list behind a margin with their numbers.
struct Frame<'a, P> {
    width: usize,
    paint: &'a P,
}

impl<P: Fn(Part, &str) -> String> Frame<'_, P> {
    fn show(&self, text: &mut String, place: &Place, excerpt: &Excerpt) {
        let Self { width, paint } = self;
        let arrow = paint(Part::Frame, &format!("{:width$}-->", ""));
        let bar = paint(Part::Frame, &format!("{:width$} |", ""));
        let number = paint(Part::Frame, &format!("{:>width$} |", place.line));
        let underline = paint(Part::Underline, &"^".repeat(excerpt.length));
        text.push_str(&format!(
            "{arrow} {}\n{bar}\n{number} {}\n{bar} {:indent$}{underline}\n",
            printable(&place.to_string()),
            excerpt.line,
            "",
            indent = excerpt.start,
        ));
    }
}

/// What came from a file or a file's name must not steer a terminal or begin a line of its own.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
