//! Why a configuration is refused.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A place in a configuration file, such as `/etc/bmc-ha/data-sync.d/common.json: Directories[2].SyncType`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Keys and positions from the top of the document; empty for the document itself.
    pub within: String,
}

impl Place {
    /// The member `key` of the object at this place.
    pub(crate) fn key(&self, key: &str) -> Self {
        let within = if self.within.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.within)
        };
        Self {
            file: self.file.clone(),
            within,
        }
    }

    /// Item `index`, counted from 0, of the array at this place.
    pub(crate) fn item(&self, index: usize) -> Self {
        Self {
            file: self.file.clone(),
            within: format!("{}[{index}]", self.within),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.within.is_empty() {
            write!(f, "{}", self.file.display())
        } else {
            write!(f, "{}: {}", self.file.display(), self.within)
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The directory of lists cannot be read.
    #[error("read configuration directory {}: {source}", path.display())]
    ReadDirectory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory of lists holds none.
    #[error("read configuration directory {}: it holds no *.json file", path.display())]
    NoFiles {
        /// The directory.
        path: PathBuf,
    },
    /// A list cannot be read.
    #[error("read configuration file {}: {source}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A list is larger than any list that a person writes.
    #[error("read configuration file {}: larger than {limit_bytes} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },
    /// A list is not JSON.
    #[error("parse configuration file {}: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// A key that is not accepted here.
    #[error("{place}: key {key:?} is not accepted; accepted: {accepted}")]
    UnknownKey {
        /// The object that has it.
        place: Place,
        /// The key.
        key: String,
        /// What would be accepted.
        accepted: String,
    },
    /// A key that stands twice in one object.
    #[error("{place}: key {key:?} stands here twice")]
    RepeatedKey {
        /// The object that has it.
        place: Place,
        /// The key.
        key: String,
    },
    /// A key that has to be there.
    #[error("{place}: {key} is missing")]
    MissingKey {
        /// The object that lacks it.
        place: Place,
        /// The key, or the choice of keys.
        key: &'static str,
    },
    /// Two keys that exclude each other.
    #[error("{place}: ExcludeList and IncludeList cannot stand together; keep one")]
    BothLists {
        /// The entry.
        place: Place,
    },
    /// A value that is not accepted here.
    #[error("{place}: {value} is not accepted: {expected}")]
    Value {
        /// Where it stands.
        place: Place,
        /// The value as JSON, shortened.
        value: String,
        /// What would be accepted.
        expected: String,
    },
    /// Two entries that replicate the same path.
    #[error(transparent)]
    Overlap(Box<Overlap>),
}

/// Two entries that replicate the same path.
#[derive(Debug, thiserror::Error)]
#[error("{second}: {} overlaps {} of {first}", second_path.display(), first_path.display())]
pub struct Overlap {
    /// The entry that came first.
    pub first: Place,
    /// Its path.
    pub first_path: PathBuf,
    /// The entry that overlaps it.
    pub second: Place,
    /// Its path.
    pub second_path: PathBuf,
}
