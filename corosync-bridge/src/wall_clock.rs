//! The machine's wall clock.

use std::time::{Duration, SystemTime};

use bmc_replication::{ClockError, WallClock};
use rustix::time::{ClockId, Timespec, clock_settime};

/// `CLOCK_REALTIME`.
#[derive(Debug)]
pub(crate) struct SystemClock;

impl WallClock for SystemClock {
    fn now(&self) -> Duration {
        // A clock before 1970 is as wrong as one at its beginning.
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
    }

    fn is_disciplined(&self) -> Result<bool, ClockError> {
        bmc_clock::is_disciplined().map_err(|source| ClockError {
            action: "ask the kernel about",
            source,
        })
    }

    fn set(&mut self, to: Duration) -> Result<(), ClockError> {
        let failed = |source| ClockError {
            action: "set",
            source,
        };
        let to = Timespec::try_from(to).map_err(|error| failed(std::io::Error::other(error)))?;
        clock_settime(ClockId::Realtime, to).map_err(|errno| failed(errno.into()))
    }
}
