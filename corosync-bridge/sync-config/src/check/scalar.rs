//! Values that are neither a list nor an object.

use std::ops::RangeInclusive;

use super::Content;
use crate::diagnostic::{Diagnostic, Mistake};
use crate::duration;
use crate::json::Value;
use crate::keys::Shape;
use crate::path::{self, WrittenPath};
use crate::service;
use crate::source::At;

/// Reads a value; the error says what is accepted.
pub(super) fn read(shape: &Shape, value: &Value) -> Result<Content, String> {
    match (shape, value) {
        (Shape::Whole(range), Value::Number(text)) => match text.parse() {
            Ok(number) if range.contains(&number) => Ok(Content::Whole(number)),
            _ => Err(expected_whole(range)),
        },
        (Shape::Whole(range), _) => Err(expected_whole(range)),
        (Shape::List(_) | Shape::Object(_), _) => Err("it has to be an array or an object".to_owned()),
        (_, Value::String(text)) => read_text(shape, text),
        _ => Err("it has to be a string".to_owned()),
    }
}

fn expected_whole(range: &RangeInclusive<u32>) -> String {
    format!(
        "it has to be a whole number from {} to {}",
        range.start(),
        range.end()
    )
}

fn read_text(shape: &Shape, text: &str) -> Result<Content, String> {
    match shape {
        Shape::FilePath => match path::parse(text)? {
            WrittenPath {
                names_directory: true,
                ..
            } => Err("the path of a file cannot end in /".to_owned()),
            written => Ok(Content::Path(written)),
        },
        Shape::DirectoryPath => match path::parse(text)? {
            WrittenPath {
                names_directory: false,
                ..
            } => Err("the path of a directory has to end in /".to_owned()),
            written => Ok(Content::Path(written)),
        },
        Shape::AnyPath => Ok(Content::Path(path::parse(text)?)),
        Shape::Duration => Ok(Content::Duration(duration::parse(text)?)),
        Shape::Choice(words) if !words.contains(&text) => {
            Err(format!("it has to be one of {}", words.join(", ")))
        }
        Shape::UnitName => service::check_unit(text)
            .map(|()| Content::Text(text.to_owned()))
            .map_err(str::to_owned),
        Shape::BusName => service::check_bus_name(text)
            .map(|()| Content::Text(text.to_owned()))
            .map_err(str::to_owned),
        _ => Ok(Content::Text(text.to_owned())),
    }
}

/// The mistake that `value` is, where `expected` would be right.
pub(super) fn refuse(at: &At, value: &Value, expected: &str) -> Diagnostic {
    Diagnostic::new(
        Mistake::BadValue,
        at,
        format!("{} is not accepted", value.quote()),
    )
    .help(expected)
}
