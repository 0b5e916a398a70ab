//! What can go wrong with a lab.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::node::Node;

/// Why the lab could not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A file, mount or process could not be handled.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A command could not be started.
    #[error("start `{command}`: {source}")]
    Start {
        /// The command line.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// A command ran and failed.
    #[error("`{command}`: {detail}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status and what it printed.
        detail: String,
    },
    /// Something that was waited for did not come.
    #[error("{what} did not come within {} s; last seen: {seen}", within.as_secs_f32())]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        within: Duration,
        /// The state when the waiting ended.
        seen: String,
    },
    /// The chassis refused, or is not there.
    #[error(transparent)]
    Chassis(Box<chassis_sim::client::ClientError>),
    /// A BMC is not running, so nothing can be done in it.
    #[error("{0} is not running")]
    Down(Node),
    /// An answer could not be understood.
    #[error("understand {of}: {detail}")]
    Malformed {
        /// Whose answer.
        of: String,
        /// What was wrong with it.
        detail: String,
    },
    /// The lab is not in the state that was asked for or needed.
    #[error("{0}")]
    State(String),
}

impl LabError {
    /// For `map_err`: an I/O failure of `action` on `path`.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// The lab's result.
pub type Result<T> = std::result::Result<T, LabError>;
