//! Values for a template's parameters, and where each came from.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    CommandLine,
    /// A parameter file.
    File(PathBuf),
    /// The cluster, as it is now.
    Cluster,
    /// The template's default.
    Default,
    /// The program itself, from what it was asked to do.
    Given,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => formatter.write_str("--set"),
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Cluster => formatter.write_str("the cluster"),
            Self::Default => formatter.write_str("the template's default"),
            Self::Given => formatter.write_str("the command line"),
        }
    }
}

/// Why values could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ValuesError {
    /// The file cannot be read.
    #[error("read parameters from {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What reading it said.
        source: io::Error,
    },
    /// The file is not a JSON object.
    #[error("read parameters from {}: {detail}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A value is a list, an object or null.
    #[error("read parameters from {}: {key} is {value}: expected a string, a number, true or false", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The parameter.
        key: String,
        /// What was given.
        value: String,
    },
    /// Not `name=value`.
    #[error("--set {argument}: expected NAME=VALUE")]
    Argument {
        /// What was given.
        argument: String,
    },
}

/// Values by parameter name. A later value replaces an earlier one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<String, (String, Origin)>);

impl Values {
    /// No values.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one value.
    pub fn set(&mut self, name: &str, value: &str, origin: Origin) {
        self.0.insert(name.to_owned(), (value.to_owned(), origin));
    }

    /// Sets one value unless there is one already.
    pub fn set_if_absent(&mut self, name: &str, value: &str, origin: Origin) {
        self.0
            .entry(name.to_owned())
            .or_insert_with(|| (value.to_owned(), origin));
    }

    /// Forgets values that are empty.
    pub(crate) fn remove_empty(&mut self) {
        self.0.retain(|_, (value, _)| !value.is_empty());
    }

    /// A value and where it came from.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<(&str, &Origin)> {
        self.0.get(name).map(|(value, origin)| (value.as_str(), origin))
    }

    /// All values by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Origin)> {
        self.0
            .iter()
            .map(|(name, (value, origin))| (name.as_str(), value.as_str(), origin))
    }

    /// Reads `NAME=VALUE`.
    ///
    /// # Errors
    /// [`ValuesError::Argument`] when there is no `=` or no name.
    pub fn set_argument(&mut self, argument: &str) -> Result<(), ValuesError> {
        match argument.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                self.set(name, value, Origin::CommandLine);
                Ok(())
            }
            _ => Err(ValuesError::Argument {
                argument: argument.to_owned(),
            }),
        }
    }

    /// Reads a JSON object of names and values.
    ///
    /// # Errors
    /// [`ValuesError`] naming the file and, where there is one, the key.
    pub fn read_file(&mut self, path: &Path) -> Result<(), ValuesError> {
        let document = fs::read_to_string(path).map_err(|source| ValuesError::Read {
            path: path.to_owned(),
            source,
        })?;
        let json = |detail: String| ValuesError::Json {
            path: path.to_owned(),
            detail,
        };
        let value: Value = serde_json::from_str(&document).map_err(|error| json(error.to_string()))?;
        let Value::Object(object) = value else {
            return Err(json("expected a JSON object of names and values".to_owned()));
        };
        for (key, value) in object {
            let value = match value {
                Value::String(text) => text,
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => {
                    return Err(ValuesError::Type {
                        path: path.to_owned(),
                        key,
                        value: value.to_string(),
                    });
                }
            };
            self.set(&key, &value, Origin::File(path.to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(document: &str) -> Result<Values, ValuesError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parameters.json");
        fs::write(&path, document).unwrap();
        let mut values = Values::new();
        values.read_file(&path).map(|()| values)
    }

    #[test]
    fn a_file_gives_strings_numbers_and_booleans() {
        let values = read(r#"{"a": "x", "b": 24, "c": true}"#).unwrap();
        let plain: Vec<_> = values.iter().map(|(name, value, _)| (name, value)).collect();
        assert_eq!(plain, [("a", "x"), ("b", "24"), ("c", "true")]);
    }

    #[test]
    fn a_list_is_refused_with_file_and_key() {
        let error = read(r#"{"a": ["x"]}"#).unwrap_err().to_string();
        assert!(error.contains("parameters.json: a is [\"x\"]"), "{error}");
    }

    #[test]
    fn what_is_not_an_object_or_not_json_is_refused() {
        assert!(read("[]").unwrap_err().to_string().contains("JSON object"));
        assert!(read("{").unwrap_err().to_string().contains("line 1"));
    }

    #[test]
    fn an_argument_keeps_what_follows_the_first_equals_sign() {
        let mut values = Values::new();
        values.set_argument("command=/bin/mux a=b").unwrap();
        assert_eq!(
            values.get("command"),
            Some(("/bin/mux a=b", &Origin::CommandLine))
        );
        assert!(values.set_argument("=x").is_err());
        assert!(values.set_argument("x").is_err());
    }
}
