//! Typed parameters of a template.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::xml::Element;

/// What a parameter's values look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Any text on one line.
    String,
    /// The name of a cluster node.
    Node,
    /// An IPv4 or IPv6 address.
    IpAddress,
    /// Length of a network prefix in bits.
    Prefix {
        /// The parameter whose address it belongs to, and which decides how long it may be.
        of: Option<String>,
    },
    /// A time with its unit, as Pacemaker reads it.
    Duration {
        /// Shortest.
        minimum: Duration,
        /// Longest.
        maximum: Duration,
    },
    /// A whole number.
    Integer {
        /// Smallest.
        minimum: u64,
        /// Largest.
        maximum: u64,
        /// Whether Pacemaker's `INFINITY` is a value too.
        infinity: bool,
    },
    /// `true` or `false`.
    Boolean,
    /// An absolute path.
    Path,
    /// An absolute path with `*` or `?` in its last part.
    PathPattern,
    /// The name of a systemd service or target.
    Unit,
    /// A well-known D-Bus name.
    BusName,
    /// The path of a D-Bus object.
    ObjectPath,
    /// 0 to 100.
    Percent,
    /// One of a few words.
    Enum(Vec<String>),
}

/// Why a template's declaration of a parameter is wrong.
#[derive(Debug, thiserror::Error)]
pub enum DeclarationError {
    /// An attribute is missing.
    #[error("a <parameter> has no {attribute}")]
    Missing {
        /// Which one.
        attribute: &'static str,
    },
    /// The type, a bound or the default is not right.
    #[error("parameter {name}: {attribute}=\"{value}\" {expected}")]
    Attribute {
        /// The parameter.
        name: String,
        /// The attribute.
        attribute: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        expected: String,
    },
}

/// A parameter, as declared in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What its values look like.
    pub kind: Kind,
    /// Used when no value is given.
    pub default: Option<String>,
    /// Whether a value must be given.
    pub required: bool,
    /// One line for a person.
    pub shortdesc: String,
    /// What the choice costs, where it is not obvious.
    pub longdesc: String,
}

impl Parameter {
    /// Reads a `<parameter>` element.
    ///
    /// # Errors
    /// [`DeclarationError`] naming the attribute and what would be right.
    pub fn from_element(element: &Element) -> Result<Self, DeclarationError> {
        let name = element
            .attribute("name")
            .ok_or(DeclarationError::Missing { attribute: "name" })?
            .to_owned();
        let parameter = Self {
            kind: kind_of(&name, element)?,
            default: element.attribute("default").map(str::to_owned),
            required: element.attribute("required") == Some("true"),
            shortdesc: element.attribute("shortdesc").unwrap_or_default().to_owned(),
            longdesc: words(element.child("longdesc")),
            name,
        };
        if let Some(default) = &parameter.default {
            parameter
                .kind
                .check(default)
                .map_err(|expected| DeclarationError::Attribute {
                    name: parameter.name.clone(),
                    attribute: "default",
                    value: default.clone(),
                    expected,
                })?;
        }
        Ok(parameter)
    }
}

/// The text of an element on one line.
pub(crate) fn words(element: Option<&Element>) -> String {
    let words = element.map(|element| element.text.split_whitespace().collect::<Vec<_>>());
    words.unwrap_or_default().join(" ")
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String => formatter.write_str("string"),
            Self::Node => formatter.write_str("node"),
            Self::IpAddress => formatter.write_str("ip-address"),
            Self::Prefix { .. } => formatter.write_str("prefix"),
            Self::Duration { .. } => formatter.write_str("duration"),
            Self::Integer { .. } => formatter.write_str("integer"),
            Self::Boolean => formatter.write_str("boolean"),
            Self::Path => formatter.write_str("path"),
            Self::PathPattern => formatter.write_str("path-pattern"),
            Self::Unit => formatter.write_str("unit"),
            Self::BusName => formatter.write_str("bus-name"),
            Self::ObjectPath => formatter.write_str("object-path"),
            Self::Percent => formatter.write_str("percent"),
            Self::Enum(words) => formatter.write_str(&words.join("|")),
        }
    }
}

impl Kind {
    /// Checks a value.
    ///
    /// # Errors
    /// What is wrong with it and what would be right, to follow the value in a message.
    pub fn check(&self, value: &str) -> Result<(), String> {
        if value.is_empty() {
            return Err("is empty".to_owned());
        }
        if value.chars().any(char::is_control) {
            return Err("contains a control character".to_owned());
        }
        match self {
            Self::String => Ok(()),
            Self::Node => check_node(value),
            Self::IpAddress => value
                .parse::<IpAddr>()
                .map(drop)
                .map_err(|_| "is not an IPv4 or IPv6 address".to_owned()),
            Self::Prefix { .. } => check_integer(value, 0, 128, false),
            Self::Duration { minimum, maximum } => check_duration(value, *minimum, *maximum),
            Self::Integer {
                minimum,
                maximum,
                infinity,
            } => check_integer(value, *minimum, *maximum, *infinity),
            Self::Boolean if matches!(value, "true" | "false") => Ok(()),
            Self::Boolean => Err("is not true or false".to_owned()),
            Self::Path => check_path(value),
            Self::PathPattern => check_path_pattern(value),
            Self::Unit => check_unit(value),
            Self::BusName => check_bus_name(value),
            Self::ObjectPath => check_object_path(value),
            Self::Percent => check_integer(value, 0, 100, false),
            Self::Enum(words) if words.iter().any(|word| word == value) => Ok(()),
            Self::Enum(words) => Err(format!("is not one of {}", words.join(", "))),
        }
    }
}

fn kind_of(name: &str, element: &Element) -> Result<Kind, DeclarationError> {
    let wrong = |attribute, value: &str, expected: &str| DeclarationError::Attribute {
        name: name.to_owned(),
        attribute,
        value: value.to_owned(),
        expected: expected.to_owned(),
    };
    let bound = |attribute, otherwise| match element.attribute(attribute) {
        None => Ok(otherwise),
        Some(value) => value
            .parse::<u64>()
            .map_err(|_| wrong(attribute, value, "is not a whole number")),
    };
    let time = |attribute, otherwise| match element.attribute(attribute) {
        None => Ok(otherwise),
        Some(value) => parse_duration(value).ok_or_else(|| wrong(attribute, value, "is not a duration")),
    };
    let declared = element
        .attribute("type")
        .ok_or(DeclarationError::Missing { attribute: "type" })?;
    match declared {
        "string" => Ok(Kind::String),
        "node" => Ok(Kind::Node),
        "ip-address" => Ok(Kind::IpAddress),
        "prefix" => Ok(Kind::Prefix {
            of: element.attribute("of").map(str::to_owned),
        }),
        "duration" => Ok(Kind::Duration {
            minimum: time("minimum", Duration::ZERO)?,
            maximum: time("maximum", Duration::MAX)?,
        }),
        "integer" => Ok(Kind::Integer {
            minimum: bound("minimum", 0)?,
            maximum: bound("maximum", u64::from(u32::MAX))?,
            infinity: element.attribute("infinity") == Some("true"),
        }),
        "boolean" => Ok(Kind::Boolean),
        "path" => Ok(Kind::Path),
        "path-pattern" => Ok(Kind::PathPattern),
        "unit" => Ok(Kind::Unit),
        "bus-name" => Ok(Kind::BusName),
        "object-path" => Ok(Kind::ObjectPath),
        "percent" => Ok(Kind::Percent),
        "enum" => {
            let words = element.attribute("values").unwrap_or_default();
            if words.is_empty() {
                return Err(wrong("values", words, "names no value"));
            }
            Ok(Kind::Enum(words.split_whitespace().map(str::to_owned).collect()))
        }
        other => Err(wrong("type", other, "is not a known type")),
    }
}

fn check_node(value: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    // Node names become part of XML ids (never their beginning) and of command lines.
    if !value.starts_with(['-', '.']) && value.chars().all(allowed) {
        return Ok(());
    }
    Err("is not a node name: letters, digits, '-', '_' and '.', not beginning with '-' or '.'".to_owned())
}

fn check_integer(value: &str, minimum: u64, maximum: u64, infinity: bool) -> Result<(), String> {
    if infinity && value == "INFINITY" {
        return Ok(());
    }
    let or_infinity = if infinity { ", or INFINITY" } else { "" };
    // u64's parser takes a leading '+'; Pacemaker's does not take it everywhere.
    let number = value.parse::<u64>().ok().filter(|_| !value.starts_with('+'));
    match number {
        Some(number) if (minimum..=maximum).contains(&number) => Ok(()),
        _ => Err(format!(
            "is not a whole number from {minimum} to {maximum}{or_infinity}"
        )),
    }
}

fn check_duration(value: &str, minimum: Duration, maximum: Duration) -> Result<(), String> {
    match parse_duration(value) {
        None => Err("is not a duration: a whole number and ms, s, min or h, such as 10s".to_owned()),
        Some(duration) if duration < minimum => {
            Err(format!("is too short: at least {} ms", minimum.as_millis()))
        }
        Some(duration) if duration > maximum => Err(format!("is too long: at most {} s", maximum.as_secs())),
        Some(_) => Ok(()),
    }
}

/// Reads a duration as the templates write it. Pacemaker takes more spellings and a bare number as seconds;
/// a unit is asked for here, so that nobody reads milliseconds where seconds are meant.
#[must_use]
pub fn parse_duration(value: &str) -> Option<Duration> {
    let digits = value.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = value.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "min" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(3600)?)),
        _ => None,
    }
}

fn check_path(value: &str) -> Result<(), String> {
    if !value.starts_with('/') || value.ends_with('/') {
        return Err("is not an absolute path of a file".to_owned());
    }
    if value.split('/').any(|part| part == "..") {
        return Err("leaves its folder by '..'".to_owned());
    }
    Ok(())
}

fn check_path_pattern(value: &str) -> Result<(), String> {
    check_path(value)?;
    let folder = value.rsplit_once('/').map_or("", |(folder, _)| folder);
    if folder.contains(['*', '?']) {
        return Err("has * or ? before the last /: only the file name may have them".to_owned());
    }
    Ok(())
}

/// systemd.unit(5): characters of a unit's name.
fn check_unit(value: &str) -> Result<(), String> {
    let stem = value
        .strip_suffix(".service")
        .or_else(|| value.strip_suffix(".target"));
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    match stem {
        Some(stem) if !stem.is_empty() && stem.chars().all(allowed) => Ok(()),
        _ => Err("is not the name of a systemd service or target, such as example.service".to_owned()),
    }
}

/// D-Bus specification, "Bus names": two or more elements, none of them empty or beginning with a digit.
fn check_bus_name(value: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let element = |part: &str| {
        !part.is_empty() && !part.starts_with(|c: char| c.is_ascii_digit()) && part.chars().all(allowed)
    };
    if value.contains('.') && value.split('.').all(element) {
        return Ok(());
    }
    Err("is not a D-Bus name, such as org.example.Service".to_owned())
}

/// D-Bus specification, "Valid object paths".
fn check_object_path(value: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let element = |part: &str| !part.is_empty() && part.chars().all(allowed);
    match value.strip_prefix('/') {
        Some("") => Ok(()),
        Some(rest) if rest.split('/').all(element) => Ok(()),
        _ => Err("is not a D-Bus object path, such as /org/example/object0".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_takes_its_values_and_refuses_others_with_a_reason() {
        let seconds = Kind::Duration {
            minimum: Duration::from_secs(1),
            maximum: Duration::from_secs(3600),
        };
        let count = Kind::Integer {
            minimum: 1,
            maximum: 9,
            infinity: true,
        };
        let words = Kind::Enum(vec!["file".into(), "command".into()]);
        for (kind, good, bad, reason) in [
            (&Kind::String, "a b", "a\nb", "control"),
            (&Kind::String, "x", "", "empty"),
            (&Kind::Node, "bmc0", "-bmc", "node name"),
            (&Kind::Node, "_b.c-d", "bmc 0", "node name"),
            (&Kind::IpAddress, "10.0.0.1", "10.0.0", "address"),
            (&Kind::IpAddress, "fe80::1", "fe80::1/64", "address"),
            (&Kind::Prefix { of: None }, "64", "129", "0 to 128"),
            (&seconds, "2min", "2", "ms, s, min or h"),
            (&seconds, "1s", "900ms", "too short"),
            (&seconds, "1h", "2h", "too long"),
            (&count, "INFINITY", "10", "1 to 9"),
            (&count, "9", "+9", "1 to 9"),
            (&Kind::Boolean, "true", "yes", "true or false"),
            (&Kind::Path, "/run/x", "run/x", "absolute"),
            (&Kind::Path, "/a..b", "/a/../b", ".."),
            (&Kind::Path, "/a", "/a/", "of a file"),
            (&Kind::PathPattern, "/run/fan*_input", "/run/*/x", "file name"),
            (&Kind::Unit, "fan@0.service", "fan.timer", "service or target"),
            (&Kind::BusName, "org.example.Fan0", "org..Fan", "D-Bus name"),
            (&Kind::ObjectPath, "/org/fan0", "/org//fan", "object path"),
            (&Kind::Percent, "100", "101", "0 to 100"),
            (&words, "file", "gpio", "file, command"),
        ] {
            assert_eq!(kind.check(good), Ok(()), "{kind} {good}");
            let said = kind.check(bad).unwrap_err();
            assert!(said.contains(reason), "{kind} {bad}: {said}");
        }
    }

    #[test]
    fn a_default_that_its_own_type_refuses_is_a_wrong_declaration() {
        let element =
            Element::parse(r#"<parameter name="n" type="enum" values="a b" default="c"/>"#).unwrap();
        let error = Parameter::from_element(&element).unwrap_err().to_string();
        assert_eq!(error, r#"parameter n: default="c" is not one of a, b"#);
    }

    #[test]
    fn an_unknown_type_is_a_wrong_declaration() {
        let element = Element::parse(r#"<parameter name="n" type="float"/>"#).unwrap();
        let error = Parameter::from_element(&element).unwrap_err().to_string();
        assert!(error.contains("float"), "{error}");
    }
}
