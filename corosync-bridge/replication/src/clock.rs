//! A node's wall clock, as far as the core needs it.

use std::fmt::Debug;
use std::time::Duration;

/// Why the clock could not be asked or set.
#[derive(Debug, thiserror::Error)]
#[error("{action} the clock: {source}")]
pub struct ClockError {
    /// What was attempted.
    pub action: &'static str,
    /// What the system said.
    pub source: std::io::Error,
}

/// The wall clock. Times are those since the beginning of 1970.
pub trait WallClock: Debug {
    /// What it shows.
    fn now(&self) -> Duration;

    /// Whether somebody keeps it right already, by NTP or a better source.
    ///
    /// # Errors
    /// [`ClockError`].
    fn is_disciplined(&self) -> Result<bool, ClockError>;

    /// Sets it.
    ///
    /// # Errors
    /// [`ClockError`].
    fn set(&mut self, to: Duration) -> Result<(), ClockError>;
}
