//! Hardware that the kernel shows as files with sysfs or hwmon semantics.
//!
//! A read is one `read(2)` from the start, a write is one `write(2)`, and what the hardware refuses comes back as
//! an error number. Files that announce changes do so by `POLLPRI` (Linux `fs/kernfs/file.c`).

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Fans, HardwareError, Mux, Percent, PowerGood, ResetLine, Rpm};

/// How often a file is read again while waiting for it to change, for drivers that do not announce changes.
/// It is also the most that such a driver adds to a failover.
const REREAD_INTERVAL: Duration = Duration::from_millis(5);

/// How often the fencing lock is tried again while the sibling has it. It has it for as long as a reset takes to be
/// proven, and every try is an event in the hardware's log.
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Longest value read from a file of the hardware; sysfs itself never gives more than a page.
const MAX_VALUE_BYTES: usize = 4096;

/// A mux with a file to ask for it and a file that tells who got it.
#[derive(Debug)]
pub struct FileMux {
    select: Option<PathBuf>,
    grant: PathBuf,
}

impl FileMux {
    /// A mux that is claimed by writing to `select`.
    #[must_use]
    pub fn new(select: impl Into<PathBuf>, grant: impl Into<PathBuf>) -> Self {
        Self {
            select: Some(select.into()),
            grant: grant.into(),
        }
    }

    /// A view of the mux that can be read and not claimed.
    #[must_use]
    pub fn read_only(grant: impl Into<PathBuf>) -> Self {
        Self {
            select: None,
            grant: grant.into(),
        }
    }

    fn ask(&self, value: &str) -> Result<(), HardwareError> {
        match &self.select {
            Some(select) => write_value(select, value),
            None => Err(HardwareError::Write {
                path: self.grant.clone(),
                value: value.to_owned(),
                source: io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "this view of the mux is read-only",
                ),
            }),
        }
    }

    /// Whether a claim of this BMC is granted or pending. A file that cannot be read back may hide one.
    fn is_asked_for(&self) -> bool {
        self.select
            .as_deref()
            .is_some_and(|select| read_flag(select).unwrap_or(true))
    }

    fn name(&self) -> String {
        self.select.as_ref().unwrap_or(&self.grant).display().to_string()
    }
}

impl Mux for FileMux {
    fn is_held(&self) -> Result<bool, HardwareError> {
        read_flag(&self.grant)
    }

    fn claim(&self, deadline: Instant) -> Result<(), HardwareError> {
        if self.is_held()? {
            return Ok(());
        }
        let started = Instant::now();
        self.ask("1")?;
        let granted = wait_flag(&self.grant, true, deadline);
        if !matches!(granted, Ok(true)) {
            self.ask("0")?;
        }
        if granted? {
            return Ok(());
        }
        Err(HardwareError::NotGranted {
            mux: self.name(),
            waited: started.elapsed(),
        })
    }

    fn release(&self, deadline: Instant) -> Result<(), HardwareError> {
        let started = Instant::now();
        // A BMC that neither holds the mux nor asks for it writes nothing to it.
        if !self.is_held()? && !self.is_asked_for() {
            return Ok(());
        }
        self.ask("0")?;
        if wait_flag(&self.grant, false, deadline)? {
            return Ok(());
        }
        Err(HardwareError::NotReleased {
            mux: self.name(),
            waited: started.elapsed(),
        })
    }
}

/// A reset line with a file to pull it, a file that proves it, and perhaps a lock.
#[derive(Debug)]
pub struct FileResetLine {
    /// Reads and writes the line.
    pub reset: PathBuf,
    /// Reads `1` once the sibling is proven to be held.
    pub held: PathBuf,
    /// The chassis-wide fencing lock, where the hardware has one.
    pub lock: Option<PathBuf>,
}

impl ResetLine for FileResetLine {
    fn lock(&self, deadline: Instant) -> Result<(), HardwareError> {
        let Some(lock) = &self.lock else {
            return Ok(());
        };
        let started = Instant::now();
        loop {
            match write_value(lock, "1") {
                Err(HardwareError::Write { source, .. }) if source.kind() == io::ErrorKind::ResourceBusy => {}
                other => return other,
            }
            if !wait_for_change(lock, &open(lock)?, deadline, LOCK_RETRY_INTERVAL)? {
                return Err(HardwareError::Locked {
                    path: lock.clone(),
                    waited: started.elapsed(),
                });
            }
        }
    }

    fn unlock(&self) -> Result<(), HardwareError> {
        self.lock.as_ref().map_or(Ok(()), |lock| write_value(lock, "0"))
    }

    fn check(&self) -> Result<(), HardwareError> {
        self.is_asserted()?;
        self.is_held()?;
        self.lock
            .as_deref()
            .map_or(Ok(()), |lock| read_flag(lock).map(drop))
    }

    fn set(&self, asserted: bool) -> Result<(), HardwareError> {
        write_value(&self.reset, if asserted { "1" } else { "0" })
    }

    fn is_asserted(&self) -> Result<bool, HardwareError> {
        read_flag(&self.reset)
    }

    fn is_held(&self) -> Result<bool, HardwareError> {
        read_flag(&self.held)
    }

    fn wait_held(&self, held: bool, deadline: Instant) -> Result<(), HardwareError> {
        let started = Instant::now();
        if wait_flag(&self.held, held, deadline)? {
            return Ok(());
        }
        Err(HardwareError::ResetNotProven {
            path: self.held.clone(),
            expected: if held { "1" } else { "0" },
            waited: started.elapsed(),
        })
    }
}

/// Fans whose tachometers and outputs match a file name pattern each.
#[derive(Debug)]
pub struct FileFans {
    /// Tachometers, such as `/sys/class/hwmon/hwmon0/fan*_input`.
    pub tachometers: PathPattern,
    /// Outputs, such as `/sys/class/hwmon/hwmon0/pwm*`.
    pub outputs: PathPattern,
}

impl Fans for FileFans {
    fn speeds(&self) -> Result<Vec<(String, Rpm)>, HardwareError> {
        let read = |path: PathBuf| {
            let rpm = read_number(&path, "a speed in RPM")?;
            Ok((file_name(&path), Rpm(rpm)))
        };
        self.tachometers.matches()?.into_iter().map(read).collect()
    }

    fn duty_writes(&self) -> Result<Vec<(String, SystemTime)>, HardwareError> {
        let examine = |path: PathBuf| match path.metadata().and_then(|metadata| metadata.modified()) {
            Ok(written) => Ok((file_name(&path), written)),
            Err(source) => Err(HardwareError::Read { path, source }),
        };
        self.outputs.matches()?.into_iter().map(examine).collect()
    }

    fn set_duty(&self, duty: Percent) -> Result<usize, HardwareError> {
        let outputs = self.outputs.matches()?;
        for output in &outputs {
            write_value(output, &duty.of_255().to_string())?;
        }
        Ok(outputs.len())
    }
}

/// A power-good line that reads `1` while the host has power.
#[derive(Debug)]
pub struct FilePowerGood {
    /// The line.
    pub path: PathBuf,
}

impl PowerGood for FilePowerGood {
    fn is_on(&self) -> Result<bool, HardwareError> {
        read_flag(&self.path)
    }
}

/// A path whose last component may hold `*` (any number of characters) and `?` (one).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    directory: PathBuf,
    name: String,
}

impl PathPattern {
    /// `None` when the path is not absolute, has no file name, or has a wildcard in a directory.
    #[must_use]
    pub fn new(pattern: &str) -> Option<Self> {
        let (directory, name) = pattern.rsplit_once('/')?;
        let plain = pattern.starts_with('/') && !directory.contains(['*', '?']);
        (plain && !name.is_empty()).then(|| Self {
            directory: PathBuf::from(if directory.is_empty() { "/" } else { directory }),
            name: name.to_owned(),
        })
    }

    /// The files that match now, sorted by path. A directory that is not there has none.
    ///
    /// # Errors
    /// [`HardwareError::Read`] when the directory cannot be read.
    pub fn matches(&self) -> Result<Vec<PathBuf>, HardwareError> {
        let failed = |source| HardwareError::Read {
            path: self.directory.clone(),
            source,
        };
        let entries = match std::fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let mut paths = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if entry
                .file_name()
                .to_str()
                .is_some_and(|name| wildcard(&self.name, name))
            {
                paths.push(entry.path());
            }
        }
        paths.sort();
        Ok(paths)
    }
}

impl std::fmt::Display for PathPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.directory.join(&self.name).display())
    }
}

fn wildcard(pattern: &str, name: &str) -> bool {
    match pattern.chars().next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            let mut ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            ends.any(|at| wildcard(rest, &name[at..]))
        }
        Some(wanted) => name.chars().next().is_some_and(|first| {
            (wanted == '?' || wanted == first)
                && wildcard(&pattern[wanted.len_utf8()..], &name[first.len_utf8()..])
        }),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_else(|| OsStr::new(""))
        .to_string_lossy()
        .into_owned()
}

/// Waits until `path` reads as `wanted` and says whether it did before `deadline`. Looks once more at the deadline.
fn wait_flag(path: &Path, wanted: bool, deadline: Instant) -> Result<bool, HardwareError> {
    let file = open(path)?;
    loop {
        if parse_flag(path, &read_open(path, &file)?)? == wanted {
            return Ok(true);
        }
        if !wait_for_change(path, &file, deadline, REREAD_INTERVAL)? {
            return Ok(parse_flag(path, &read_open(path, &file)?)? == wanted);
        }
    }
}

/// Returns when `file` announces a change or should be read again anyway; `false` once `deadline` has passed.
fn wait_for_change(
    path: &Path,
    file: &File,
    deadline: Instant,
    reread: Duration,
) -> Result<bool, HardwareError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Ok(false);
    }
    let pause = left.min(reread);
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: pause.subsec_nanos().into(),
    };
    let mut descriptors = [PollFd::new(file, PollFlags::PRI)];
    match poll(&mut descriptors, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(true),
        Err(errno) => Err(HardwareError::Read {
            path: path.to_owned(),
            source: errno.into(),
        }),
    }
}

fn read_flag(path: &Path) -> Result<bool, HardwareError> {
    parse_flag(path, &read_value(path)?)
}

fn parse_flag(path: &Path, value: &str) -> Result<bool, HardwareError> {
    match value {
        "0" => Ok(false),
        "1" => Ok(true),
        other => Err(HardwareError::Unexpected {
            path: path.to_owned(),
            expected: "0 or 1",
            value: other.to_owned(),
        }),
    }
}

fn read_number<T: FromStr>(path: &Path, expected: &'static str) -> Result<T, HardwareError> {
    let value = read_value(path)?;
    value.parse().map_err(|_| HardwareError::Unexpected {
        path: path.to_owned(),
        expected,
        value,
    })
}

fn read_value(path: &Path) -> Result<String, HardwareError> {
    read_open(path, &open(path)?)
}

fn open(path: &Path) -> Result<File, HardwareError> {
    File::open(path).map_err(|source| HardwareError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Reads from the start of an open file, as one read: sysfs computes the value then, and arms `POLLPRI` with it.
fn read_open(path: &Path, file: &File) -> Result<String, HardwareError> {
    let mut bytes = [0; MAX_VALUE_BYTES];
    let length = file
        .read_at(&mut bytes, 0)
        .map_err(|source| HardwareError::Read {
            path: path.to_owned(),
            source,
        })?;
    let value = bytes.get(..length).unwrap_or_default();
    Ok(String::from_utf8_lossy(value).trim().to_owned())
}

/// Writes `value` as one write: a driver sees it whole. The file is never made.
fn write_value(path: &Path, value: &str) -> Result<(), HardwareError> {
    let written = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path)
        .and_then(|mut file| file.write_all(value.as_bytes()));
    written.map_err(|source| HardwareError::Write {
        path: path.to_owned(),
        value: value.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::{TempDir, tempdir};

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    /// A mux whose grant is a link to its select: granted as soon as it is asked for.
    fn willing_mux() -> (TempDir, FileMux) {
        let folder = tempdir().unwrap();
        let (select, grant) = (folder.path().join("select"), folder.path().join("grant"));
        fs::write(&select, "0\n").unwrap();
        std::os::unix::fs::symlink(&select, &grant).unwrap();
        (folder, FileMux::new(select, grant))
    }

    /// A mux that answers nothing.
    fn stuck_mux(grant: &str) -> (TempDir, FileMux) {
        let folder = tempdir().unwrap();
        let mux = FileMux::new(folder.path().join("select"), folder.path().join("grant"));
        fs::write(folder.path().join("select"), "0\n").unwrap();
        fs::write(folder.path().join("grant"), grant).unwrap();
        (folder, mux)
    }

    #[test]
    fn a_granted_claim_is_held_until_it_is_released() {
        let (_folder, mux) = willing_mux();
        mux.claim(soon()).unwrap();
        assert!(mux.is_held().unwrap());
        mux.release(soon()).unwrap();
        assert!(!mux.is_held().unwrap());
    }

    #[test]
    fn a_claim_that_is_not_granted_is_withdrawn() {
        let (folder, mux) = stuck_mux("0\n");
        let error = mux.claim(soon()).unwrap_err();
        assert!(matches!(error, HardwareError::NotGranted { .. }), "{error}");
        assert_eq!(fs::read_to_string(folder.path().join("select")).unwrap(), "0");
    }

    #[test]
    fn a_late_grant_is_seen() {
        let (folder, mux) = stuck_mux("0\n");
        let grant = folder.path().join("grant");
        let select = folder.path().join("select");
        let hardware = std::thread::spawn(move || {
            let deadline = Instant::now() + Duration::from_secs(5);
            while fs::read_to_string(&select).unwrap() != "1" {
                assert!(Instant::now() < deadline, "the mux was never asked for");
                std::thread::yield_now();
            }
            // As hardware does: the old value or the new one, never nothing.
            OpenOptions::new()
                .write(true)
                .open(grant)
                .unwrap()
                .write_all(b"1")
                .unwrap();
        });
        mux.claim(Instant::now() + Duration::from_secs(5)).unwrap();
        hardware.join().unwrap();
    }

    #[test]
    fn a_mux_that_is_neither_held_nor_asked_for_is_not_written_to() {
        let (folder, mux) = stuck_mux("0\n");
        mux.release(soon()).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("select")).unwrap(), "0\n");
    }

    #[test]
    fn releasing_withdraws_a_pending_claim() {
        let (folder, mux) = stuck_mux("0\n");
        fs::write(folder.path().join("select"), "1\n").unwrap();
        mux.release(soon()).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("select")).unwrap(), "0");
    }

    #[test]
    fn a_release_that_changes_nothing_is_an_error() {
        let (_folder, mux) = stuck_mux("1\n");
        let error = mux.release(soon()).unwrap_err();
        assert!(matches!(error, HardwareError::NotReleased { .. }), "{error}");
    }

    #[test]
    fn missing_hardware_is_absent_and_broken_hardware_is_not() {
        assert!(
            FileMux::read_only("/nonexistent/grant")
                .is_held()
                .unwrap_err()
                .is_absent()
        );
        let (_folder, mux) = stuck_mux("maybe\n");
        let error = mux.is_held().unwrap_err();
        assert!(!error.is_absent());
        assert!(
            error.to_string().ends_with(r#"expected 0 or 1, got "maybe""#),
            "{error}"
        );
    }

    #[test]
    fn a_pattern_matches_names_and_nothing_else() {
        assert!(wildcard("fan*_input", "fan1_input"));
        assert!(wildcard("pwm?", "pwm1"));
        assert!(wildcard("pwm*", "pwm"));
        assert!(!wildcard("pwm?", "pwm"));
        assert!(!wildcard("fan*_input", "fan1_label"));
        assert!(!wildcard("pwm1", "pwm12"));
        assert_eq!(PathPattern::new("relative/pwm*"), None);
        assert_eq!(PathPattern::new("/sys/*/pwm1"), None);
        assert_eq!(PathPattern::new("/sys/"), None);
    }

    #[test]
    fn fans_are_read_and_set_by_pattern() {
        let folder = tempdir().unwrap();
        for (name, value) in [
            ("fan1_input", "4100\n"),
            ("fan2_input", "3900\n"),
            ("pwm1", "0"),
            ("pwm2", "0"),
        ] {
            fs::write(folder.path().join(name), value).unwrap();
        }
        let pattern = |name| PathPattern::new(folder.path().join(name).to_str().unwrap()).unwrap();
        let fans = FileFans {
            tachometers: pattern("fan*_input"),
            outputs: pattern("pwm*"),
        };
        let speeds = fans.speeds().unwrap();
        assert_eq!(
            speeds,
            [("fan1_input".into(), Rpm(4100)), ("fan2_input".into(), Rpm(3900))]
        );
        assert_eq!(fans.set_duty(Percent::new(100).unwrap()).unwrap(), 2);
        assert_eq!(fs::read_to_string(folder.path().join("pwm2")).unwrap(), "255");
    }
}
