//! A JSON document that knows where in the text each key and value stands, and keeps repeated keys.
//!
//! Both are what serde's data model has no room for: it would tell of a mistake without its place, and keep
//! only the last of two equal keys, skipping part of a list without a word.

use std::str::Chars;

use crate::source::Span;

/// Deepest nesting of arrays and objects. A list nests six deep; the limit keeps a hostile text from using up the
/// stack.
const MAX_DEPTH: usize = 32;

/// Longest value quoted in a message, in characters.
const QUOTE_CHARS: usize = 80;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Json {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// As it is written.
    Number(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<Member>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) span: Span,
    pub(crate) value: Json,
}

/// Why a text is not JSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) help: Option<&'static str>,
}

impl Value {
    /// The value as it would be written, shortened for a message.
    pub(crate) fn quote(&self) -> String {
        let text = match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(text) => text.clone(),
            Self::String(text) => format!("{text:?}"),
            Self::Array(items) => format!("an array of {}", items.len()),
            Self::Object(_) => "an object".to_owned(),
        };
        match text.char_indices().nth(QUOTE_CHARS) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }
}

/// Reads one JSON document (RFC 8259).
pub(crate) fn parse(text: &str) -> Result<Json, SyntaxError> {
    let mut reader = Reader { text, at: 0 };
    let document = reader.value(0)?;
    reader.skip_blank();
    match reader.peek() {
        None => Ok(document),
        Some(_) => Err(reader.error("something follows the end of the document", None)),
    }
}

struct Reader<'a> {
    text: &'a str,
    /// How many bytes are read; always at the beginning of a character.
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> Chars<'_> {
        self.text.get(self.at..).unwrap_or_default().chars()
    }

    fn peek(&self) -> Option<char> {
        self.rest().next()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take_if(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn skip_blank(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    fn span_from(&self, start: usize) -> Span {
        Span { start, end: self.at }
    }

    /// An error at the next character.
    fn error(&self, message: &str, help: Option<&'static str>) -> SyntaxError {
        let length = self.peek().map_or(0, char::len_utf8);
        let help = match self.peek() {
            Some('/' | '#') => Some("JSON has no comments"),
            Some('\'') => Some("JSON writes strings in double quotes"),
            _ => help,
        };
        let message = match self.peek() {
            None => format!("{message}, but the text ends here"),
            Some(_) => message.to_owned(),
        };
        SyntaxError {
            span: Span {
                start: self.at,
                end: self.at + length,
            },
            message,
            help,
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json, SyntaxError> {
        self.skip_blank();
        let start = self.at;
        let value = match self.peek() {
            Some('{' | '[') if depth == MAX_DEPTH => {
                let message = format!("arrays and objects are nested deeper than {MAX_DEPTH}");
                return Err(self.error(&message, None));
            }
            Some('{') => self.object(depth + 1)?,
            Some('[') => self.array(depth + 1)?,
            Some('"') => Value::String(self.string()?),
            Some('-' | '0'..='9') => self.number()?,
            _ if self.word("true") => Value::Bool(true),
            _ if self.word("false") => Value::Bool(false),
            _ if self.word("null") => Value::Null,
            Some(']' | '}') => {
                return Err(self.error(
                    "a value should stand here",
                    Some("no comma follows the last item or member"),
                ));
            }
            _ => return Err(self.error("a value should stand here", None)),
        };
        Ok(Json {
            span: self.span_from(start),
            value,
        })
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.rest().as_str().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn array(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_blank();
        if self.take_if(']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.skip_blank();
            if self.take_if(']') {
                return Ok(Value::Array(items));
            }
            if !self.take_if(',') {
                return Err(self.error(
                    "a comma or ] should stand here",
                    Some("a comma separates one item from the next"),
                ));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        self.at += 1;
        let mut members = Vec::new();
        self.skip_blank();
        if self.take_if('}') {
            return Ok(Value::Object(members));
        }
        loop {
            members.push(self.member(depth)?);
            self.skip_blank();
            if self.take_if('}') {
                return Ok(Value::Object(members));
            }
            if !self.take_if(',') {
                return Err(self.error(
                    "a comma or } should stand here",
                    Some("a comma separates one member from the next"),
                ));
            }
        }
    }

    fn member(&mut self, depth: usize) -> Result<Member, SyntaxError> {
        self.skip_blank();
        let start = self.at;
        match self.peek() {
            Some('"') => {}
            Some('}') => {
                return Err(self.error(
                    "a key should stand here",
                    Some("no comma follows the last member"),
                ));
            }
            _ => {
                return Err(self.error("a key should stand here", Some("a key stands in double quotes")));
            }
        }
        let key = self.string()?;
        let span = self.span_from(start);
        self.skip_blank();
        if !self.take_if(':') {
            return Err(self.error("a colon should stand between key and value", None));
        }
        let value = self.value(depth)?;
        Ok(Member { key, span, value })
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return Err(self.error("a string should end with \"", None)),
                Some(c) if c < ' ' => {
                    return Err(self.error(
                        "a string cannot hold a line break or another control character",
                        Some("is the \" missing that ends the string?"),
                    ));
                }
                Some('"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some('\\') => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                Some(c) => {
                    self.at += c.len_utf8();
                    text.push(c);
                }
            }
        }
    }

    /// What stands after a backslash.
    fn escape(&mut self) -> Result<char, SyntaxError> {
        let bad = self.error(
            "this cannot follow a \\",
            Some("a backslash itself is written \\\\"),
        );
        match self.take() {
            Some(c @ ('"' | '\\' | '/')) => Ok(c),
            Some('b') => Ok('\u{8}'),
            Some('f') => Ok('\u{c}'),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some('u') => {
                let high = self
                    .hex()
                    .ok_or_else(|| self.error("four hexadecimal digits follow \\u", None))?;
                let code = match high {
                    0xd800..=0xdbff if self.word("\\u") => match self.hex() {
                        Some(low @ 0xdc00..=0xdfff) => 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00),
                        _ => return Err(bad),
                    },
                    other => other,
                };
                char::from_u32(code).ok_or(bad)
            }
            _ => Err(bad),
        }
    }

    /// Four hexadecimal digits; what is read stays read, for an error is all that can follow.
    fn hex(&mut self) -> Option<u32> {
        let mut code = 0;
        for _ in 0..4 {
            code = code * 16 + self.take()?.to_digit(16)?;
        }
        Some(code)
    }

    fn number(&mut self) -> Result<Value, SyntaxError> {
        let start = self.at;
        self.take_if('-');
        if !self.take_if('0') {
            self.digits()?;
        }
        if self.take_if('.') {
            self.digits()?;
        }
        if self.take_if('e') || self.take_if('E') {
            let _ = self.take_if('+') || self.take_if('-');
            self.digits()?;
        }
        let span = self.span_from(start);
        Ok(Value::Number(self.text[span.start..span.end].to_owned()))
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        if !self.peek().is_some_and(|c| c.is_ascii_digit()) {
            return Err(self.error("a digit should stand here", None));
        }
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> (usize, String) {
        let error = parse(text).unwrap_err();
        (error.span.start, error.message)
    }

    /// The same document, as `serde_json` knows it.
    fn plain(json: &Json) -> serde_json::Value {
        match &json.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(text) => serde_json::from_str(text).unwrap(),
            Value::String(text) => text.clone().into(),
            Value::Array(items) => items.iter().map(plain).collect(),
            Value::Object(members) => serde_json::Value::Object(
                members
                    .iter()
                    .map(|member| (member.key.clone(), plain(&member.value)))
                    .collect(),
            ),
        }
    }

    #[test]
    fn every_key_and_value_knows_where_it_stands() {
        let text = r#"{"a": [1, "x"], "a": true}"#;
        let Value::Object(members) = parse(text).unwrap().value else {
            panic!("an object")
        };
        let part = |span: Span| &text[span.start..span.end];
        assert_eq!(members.len(), 2, "a repeated key is kept");
        assert_eq!(part(members[0].span), "\"a\"");
        assert_eq!(part(members[0].value.span), "[1, \"x\"]");
        assert_eq!(part(members[1].value.span), "true");
    }

    #[test]
    fn a_mistake_is_found_where_it_is() {
        assert_eq!(
            error("{\"a\": [1,]}"),
            (9, "a value should stand here".to_owned())
        );
        assert_eq!(error("{\"a\": 1,}"), (8, "a key should stand here".to_owned()));
        assert_eq!(
            error("{\"a\" 1}"),
            (5, "a colon should stand between key and value".to_owned())
        );
        assert_eq!(error("[1 2]"), (3, "a comma or ] should stand here".to_owned()));
        assert_eq!(
            error("{} {}"),
            (3, "something follows the end of the document".to_owned())
        );
        assert_eq!(
            error("[1"),
            (
                2,
                "a comma or ] should stand here, but the text ends here".to_owned()
            )
        );
        assert_eq!(error("[\"a\nb\"]").0, 3);
        assert_eq!(
            parse("// list\n{}").unwrap_err().help,
            Some("JSON has no comments")
        );
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow_the_stack() {
        assert_eq!(error(&"[".repeat(100_000)).0, MAX_DEPTH);
        let deepest = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert!(parse(&deepest).is_ok());
    }

    /// Texts that are JSON, nearly JSON and not JSON: pieces put together by a seeded generator.
    #[test]
    fn the_same_texts_are_json_as_for_serde_json_and_mean_the_same() {
        const PIECES: [&str; 32] = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"a\"",
            "\"\"",
            "\"\\u00e9\\n\"",
            "\"\\ud83d\\ude00\"",
            "\"\\ud83d\"",
            "\"\\ud83d\\u0041\"",
            "\"\\x\"",
            "\"é/\\/\"",
            "0",
            "-",
            "-1",
            "01",
            "1.5",
            "1.",
            "2e3",
            "2E-3",
            "2e",
            " ",
            "\n",
            "\t",
            "true",
            "false",
            "null",
            "nul",
            "\"open",
            "\u{0}",
        ];
        let mut seed: u64 = 1;
        let mut accepted = 0;
        for _ in 0..200_000 {
            let mut text = String::new();
            let mut next = || {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                usize::try_from(seed >> 33).unwrap()
            };
            for _ in 0..next() % 9 {
                text.push_str(PIECES[next() % PIECES.len()]);
            }
            let theirs = match serde_json::from_str::<serde_json::Value>(&text) {
                // What a number may be is for its key to say.
                Err(error) if error.to_string().contains("out of range") => continue,
                theirs => theirs.ok(),
            };
            let ours = parse(&text).ok().map(|json| plain(&json));
            assert_eq!(ours, theirs, "{text:?}");
            accepted += usize::from(ours.is_some());
        }
        assert!(accepted > 1000, "only {accepted} texts were JSON");
    }
}
