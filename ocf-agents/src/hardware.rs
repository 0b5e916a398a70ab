//! The chassis hardware behind traits: the mux, the sibling's reset line, the fans and the host's power-good line.
//!
//! A backend is one file: [`file`] speaks to files with sysfs or hwmon semantics, [`command`] runs a program for
//! boards that have neither. A GPIO, I2C or D-Bus backend is one more file that implements the same trait.

pub mod command;
pub mod file;
mod units;

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

pub use units::{Percent, Rpm};

/// The switch that lets one BMC at a time reach the chassis.
pub trait Mux: std::fmt::Debug {
    /// Whether this BMC holds the mux now.
    ///
    /// # Errors
    /// When the hardware cannot be read.
    fn is_held(&self) -> Result<bool, HardwareError>;

    /// Asks for the mux and returns once this BMC holds it. A claim that is not granted by `deadline` is
    /// withdrawn, so that it is not granted behind everybody's back when the sibling goes away later.
    ///
    /// # Errors
    /// [`HardwareError::NotGranted`] when the sibling keeps it, or what the hardware said.
    fn claim(&self, deadline: Instant) -> Result<(), HardwareError>;

    /// Gives the mux back and returns once this BMC does not hold it. Releasing a mux that is not held is fine.
    ///
    /// # Errors
    /// [`HardwareError::NotReleased`] when the hardware still shows it as held at `deadline`, or what it said.
    fn release(&self, deadline: Instant) -> Result<(), HardwareError>;
}

/// The line that holds the sibling BMC in reset, with the lock that keeps two BMCs from shooting each other.
pub trait ResetLine: std::fmt::Debug {
    /// Takes the chassis-wide fencing lock. Hardware without one always grants it.
    ///
    /// # Errors
    /// [`HardwareError::Locked`] while the sibling keeps it until `deadline`, or what the hardware said.
    fn lock(&self, deadline: Instant) -> Result<(), HardwareError>;

    /// Gives the lock back.
    ///
    /// # Errors
    /// What the hardware said.
    fn unlock(&self) -> Result<(), HardwareError>;

    /// Proves that the line, its proof and its lock are there, without moving anything.
    ///
    /// # Errors
    /// What the hardware said.
    fn check(&self) -> Result<(), HardwareError>;

    /// Pulls the line (`true`) or lets it go (`false`). Does not wait for what follows from it.
    ///
    /// # Errors
    /// What the hardware said.
    fn set(&self, asserted: bool) -> Result<(), HardwareError>;

    /// Whether the line is pulled.
    ///
    /// # Errors
    /// When the hardware cannot be read.
    fn is_asserted(&self) -> Result<bool, HardwareError>;

    /// Whether the sibling is proven to be held in reset: nothing runs on it.
    ///
    /// # Errors
    /// When the hardware cannot be read.
    fn is_held(&self) -> Result<bool, HardwareError>;

    /// Returns once [`ResetLine::is_held`] says `held`.
    ///
    /// # Errors
    /// [`HardwareError::ResetNotProven`] at `deadline`, or what the hardware said.
    fn wait_held(&self, held: bool, deadline: Instant) -> Result<(), HardwareError>;
}

/// The chassis fans, as the kernel's hwmon class shows them.
pub trait Fans: std::fmt::Debug {
    /// Speed of every fan, by the name of its tachometer.
    ///
    /// # Errors
    /// When a tachometer cannot be read.
    fn speeds(&self) -> Result<Vec<(String, Rpm)>, HardwareError>;

    /// When each duty was last written, by the name of the output.
    ///
    /// # Errors
    /// When an output cannot be examined.
    fn duty_writes(&self) -> Result<Vec<(String, std::time::SystemTime)>, HardwareError>;

    /// Sets every fan to `duty` and says how many there are.
    ///
    /// # Errors
    /// When an output cannot be written.
    fn set_duty(&self, duty: Percent) -> Result<usize, HardwareError>;
}

/// The line that says that the host has power. Both BMCs can read it.
pub trait PowerGood: std::fmt::Debug {
    /// Whether the host has power.
    ///
    /// # Errors
    /// When the line cannot be read.
    fn is_on(&self) -> Result<bool, HardwareError>;
}

/// Why the hardware did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum HardwareError {
    /// A file of the hardware cannot be read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The hardware refused a write.
    #[error("write {value:?} to {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What was written.
        value: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file of the hardware reads as something that it never should.
    #[error("read {}: expected {expected}, got {value:?}", path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// What should have been there.
        expected: &'static str,
        /// What was there.
        value: String,
    },
    /// The mux stayed with the sibling. The claim was withdrawn.
    #[error("claim mux {mux}: not granted after {} ms, the sibling still holds it", waited.as_millis())]
    NotGranted {
        /// The mux.
        mux: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The mux is still held after it was given back.
    #[error("release mux {mux}: still granted after {} ms", waited.as_millis())]
    NotReleased {
        /// The mux.
        mux: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The sibling has the fencing lock.
    #[error(
        "take fencing lock {}: the sibling has had it for {} ms, it is resetting this BMC",
        path.display(), waited.as_millis()
    )]
    Locked {
        /// The lock.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The reset line was set and the sibling did not follow.
    #[error("wait for {} to read {expected}: no proof after {} ms", path.display(), waited.as_millis())]
    ResetNotProven {
        /// The file that proves it.
        path: PathBuf,
        /// What it should read.
        expected: &'static str,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A program of the command backend cannot be run.
    #[error("run {command}: {source}")]
    Run {
        /// The program and its arguments.
        command: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A program of the command backend did not end in time and was killed.
    #[error("run {command}: killed after {} ms without an answer", waited.as_millis())]
    CommandTimeout {
        /// The program and its arguments.
        command: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A program of the command backend failed.
    #[error("run {command}: {status}: {output}")]
    CommandFailed {
        /// The program and its arguments.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed to standard error.
        output: String,
    },
    /// A program of the command backend printed something else than a state.
    #[error("run {command}: expected \"held\" or \"free\", got {output:?}")]
    CommandOutput {
        /// The program and its arguments.
        command: String,
        /// What it printed.
        output: String,
    },
}

impl HardwareError {
    /// Whether the hardware (or its driver, or the program that speaks to it) is not there at all, which a probe
    /// must tell from hardware that is there and fails.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        let (Self::Read { source, .. } | Self::Write { source, .. } | Self::Run { source, .. }) = self else {
            return false;
        };
        let absent = [rustix::io::Errno::NODEV, rustix::io::Errno::NXIO].map(rustix::io::Errno::raw_os_error);
        matches!(
            source.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        ) || source.raw_os_error().is_some_and(|errno| absent.contains(&errno))
    }
}
