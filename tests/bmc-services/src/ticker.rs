//! A steady beat: one turn of a control loop per interval, however long a turn takes.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// A periodic timer.
#[derive(Debug)]
pub struct Ticker(OwnedFd);

impl Ticker {
    /// A timer that beats every `interval` from now on.
    pub fn new(interval: Duration) -> Result<Self, Errno> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        let interval = Timespec::try_from(interval).map_err(|_| Errno::INVAL)?;
        let beat = Itimerspec {
            it_interval: interval,
            it_value: interval,
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &beat)?;
        Ok(Self(timer))
    }

    /// Waits for the next beat. Beats that were missed count as one: fans want the latest duty, not every one.
    pub fn wait(&self) -> Result<(), Errno> {
        let mut expirations = [0; 8];
        rustix::io::retry_on_intr(|| rustix::io::read(&self.0, &mut expirations)).map(drop)
    }
}
