//! What an entry asks for beyond the data: to try again, and to tell services.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often what failed is tried again: `RetryAttempts` and `RetryInterval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How often; 0 is never.
    pub attempts: u32,
    /// How long after a failure.
    pub interval: Duration,
}

/// What systemd does with a unit: `Method`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Stop it and start it.
    Restart,
    /// Let it read its configuration again.
    Reload,
}

/// How services are told: `Mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They are units, and systemd does this with them.
    Systemd(Method),
    /// They are names on D-Bus, and are called.
    DBus,
}

/// Whom the receiving BMC tells of a change: `NotifySibling`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// How.
    pub mode: Mode,
    /// Whom, in this order.
    pub services: Vec<String>,
    /// `NotifyOnPaths`: only of changes at or beneath one of these; empty when of every change.
    pub on_paths: Vec<PathBuf>,
}

impl Notify {
    /// Whether a change at `path`, which the entry covers, is told.
    #[must_use]
    pub fn concerns(&self, path: &Path) -> bool {
        self.on_paths.is_empty() || self.on_paths.iter().any(|prefix| path.starts_with(prefix))
    }
}
