//! The chassis's hardware as files with sysfs semantics (docs/architecture.md, "Hardware as files").

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Fans of a chassis.
pub const FANS: usize = 4;

/// How long a change can go unseen on a file that does not announce its changes.
pub const REREAD_INTERVAL: Duration = Duration::from_millis(250);

/// Why the hardware does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum HardwareError {
    /// A file cannot be read.
    #[error("read {}: {source}{}", path.display(), hint(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("write {value} to {}: {source}{}", path.display(), hint(source))]
    Write {
        /// What was to be written.
        value: String,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file shows something else than it should.
    #[error("read {}: {text:?} is not {expected}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it showed.
        text: String,
        /// What it should show.
        expected: &'static str,
    },
}

fn hint(error: &io::Error) -> &'static str {
    if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) {
        " (does this BMC hold the mux?)"
    } else {
        ""
    }
}

/// The chassis as one BMC sees it.
#[derive(Debug, Clone)]
pub struct Hardware {
    folder: PathBuf,
}

impl Hardware {
    /// The hardware that this folder shows.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Temperature in thousandths of a degree.
    pub fn millidegrees(&self) -> Result<i64, HardwareError> {
        self.number("sensors/temp1_input")
    }

    /// Speed of a fan, counted from 0, in RPM.
    pub fn rpm(&self, fan: usize) -> Result<u32, HardwareError> {
        self.number(&format!("fans/fan{}_input", fan + 1))
    }

    /// Drives a fan, counted from 0.
    pub fn drive(&self, fan: usize, duty: u8) -> Result<(), HardwareError> {
        self.write(&format!("fans/pwm{}", fan + 1), &duty.to_string())
    }

    /// Switches the host's power.
    pub fn request_power(&self, on: bool) -> Result<(), HardwareError> {
        self.write("power/request", if on { "on" } else { "off" })
    }

    /// The line that tells whether the host has power.
    pub fn power_good(&self) -> Result<PowerGood, HardwareError> {
        let path = self.folder.join("power/good");
        match File::open(&path) {
            Ok(file) => Ok(PowerGood { path, file }),
            Err(source) => Err(HardwareError::Read { path, source }),
        }
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, HardwareError> {
        let path = self.folder.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(number) => Ok(number),
                Err(_) => Err(HardwareError::Content {
                    path,
                    text,
                    expected: "a number",
                }),
            },
            Err(source) => Err(HardwareError::Read { path, source }),
        }
    }

    /// Never creates a file: what is missing is missing hardware.
    fn write(&self, name: &str, value: &str) -> Result<(), HardwareError> {
        let path = self.folder.join(name);
        let written = OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(&path)
            .and_then(|mut file| file.write_all(format!("{value}\n").as_bytes()));
        written.map_err(|source| HardwareError::Write {
            value: value.to_owned(),
            path,
            source,
        })
    }
}

/// The power-good line, kept open so that its changes are announced.
#[derive(Debug)]
pub struct PowerGood {
    path: PathBuf,
    file: File,
}

impl PowerGood {
    /// Whether the host has power.
    pub fn read(&mut self) -> Result<bool, HardwareError> {
        let mut text = String::new();
        let read = self
            .file
            .rewind()
            .and_then(|()| self.file.read_to_string(&mut text));
        if let Err(source) = read {
            return Err(HardwareError::Read {
                path: self.path.clone(),
                source,
            });
        }
        match text.trim() {
            "1" => Ok(true),
            "0" => Ok(false),
            _ => Err(HardwareError::Content {
                path: self.path.clone(),
                text,
                expected: "0 or 1",
            }),
        }
    }

    /// Waits until the line has changed since it was read, or [`REREAD_INTERVAL`] is over.
    pub fn wait(&self) -> Result<(), HardwareError> {
        let mut fds = [PollFd::new(&self.file, PollFlags::PRI)];
        let timeout = Timespec::try_from(REREAD_INTERVAL).ok();
        match rustix::io::retry_on_intr(|| poll(&mut fds, timeout.as_ref())) {
            Ok(_) => Ok(()),
            Err(errno) => Err(HardwareError::Read {
                path: self.path.clone(),
                source: errno.into(),
            }),
        }
    }
}
