//! How a command ends.

use std::process::ExitCode;

/// How a command ended. The numbers are part of the interface: scripts tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, or all is well.
    Done,
    /// It failed.
    Failed,
    /// The command line asks for something that makes no sense; clap itself uses the same number.
    Usage,
    /// It would be unsafe, or cannot work.
    Refused,
    /// Something is not as it should be.
    Degraded,
}

impl Exit {
    /// How an error ends a command.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        if error.is::<UsageError>() {
            Self::Usage
        } else {
            Self::Failed
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Refused => 3,
            Exit::Degraded => 4,
        })
    }
}

/// What was asked for makes no sense; nothing was done.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct UsageError(Box<dyn std::error::Error + Send + Sync>);

impl UsageError {
    /// Marks an error as one of the command line.
    pub(crate) fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}
