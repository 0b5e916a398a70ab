//! Why a configuration is refused.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::diagnostic::Diagnostic;

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
    /// The lists were read, and something is wrong with them.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Everything that is wrong with the lists: at least one thing, and at most [`MOST_TOLD`](crate::MOST_TOLD).
#[derive(Debug)]
pub struct Refused {
    /// All of it, in the order of the files and of their text as far as one thing is in one place.
    pub problems: Vec<Diagnostic>,
}

impl std::error::Error for Refused {}

impl fmt::Display for Refused {
    /// One line for each thing that is wrong.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}
