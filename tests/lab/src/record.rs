//! The record of everything a lab made on the machine, so that it can be undone: at the end, or by the next
//! start after a crash. A thing is recorded before it is made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::error::{LabError, Result};
use crate::tool;
use crate::wait::{self, Look};

/// How long a killed process may take to be gone. Killing is immediate; tearing down a container's mounts and
/// namespaces on a loaded machine is not.
const KILL_DEADLINE: Duration = Duration::from_secs(30);

/// One thing that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Made {
    /// A folder, with all that is in it.
    Folder(PathBuf),
    /// A network namespace.
    Namespace(String),
    /// A control group and all processes in it.
    Cgroup(PathBuf),
    /// A mount.
    Mount(PathBuf),
    /// A process.
    Process(ProcessId),
}

/// A process that cannot be mistaken for a later one with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    /// Its id.
    pub(crate) pid: i32,
    /// When it started, in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub(crate) started: u64,
}

impl ProcessId {
    /// Names a process that runs now. One that has ended and is only not yet reaped does not run.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the name in parentheses and may hold anything; fields count from behind it.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next()?;
        let started = fields.nth(18)?.parse().ok()?;
        (state != "Z").then_some(Self { pid, started })
    }

    /// Whether it still runs.
    pub(crate) fn runs(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// The record file.
#[derive(Debug)]
pub(crate) struct Record {
    path: PathBuf,
    made: Vec<Made>,
}

impl Record {
    /// Starts an empty record at `path`, whose folder must exist.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        let record = Self {
            path,
            made: Vec::new(),
        };
        record.save()?;
        Ok(record)
    }

    /// Reads a record; none when there is none.
    pub(crate) fn load(path: PathBuf) -> Result<Option<Self>> {
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(LabError::io("read", &path))?,
        };
        let made = serde_json::from_slice(&text).map_err(|error| LabError::Malformed {
            of: path.display().to_string(),
            detail: error.to_string(),
        })?;
        Ok(Some(Self { path, made }))
    }

    /// Remembers what is about to be made.
    pub(crate) fn add(&mut self, made: Made) -> Result<()> {
        self.made.push(made);
        self.save()
    }

    /// The processes that were started and still run.
    pub(crate) fn running(&self) -> impl Iterator<Item = ProcessId> + '_ {
        self.made.iter().filter_map(|made| match made {
            Made::Process(process) if process.runs() => Some(*process),
            _ => None,
        })
    }

    /// Undoes everything, last made first, and forgets the record. What is gone already is fine.
    pub(crate) fn undo(mut self) -> Result<()> {
        while let Some(made) = self.made.last() {
            undo(made)?;
            self.made.pop();
            if self.path.exists() {
                self.save()?;
            }
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(LabError::io("remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    fn save(&self) -> Result<()> {
        let text = serde_json::to_vec_pretty(&self.made).map_err(|error| LabError::Malformed {
            of: self.path.display().to_string(),
            detail: error.to_string(),
        })?;
        fs::write(&self.path, text).map_err(LabError::io("write", &self.path))
    }
}

fn undo(made: &Made) -> Result<()> {
    match made {
        Made::Folder(path) => remove_folder(path),
        Made::Namespace(name) => remove_namespace(name),
        Made::Cgroup(path) => end_cgroup(path),
        Made::Mount(path) => unmount_all(path),
        Made::Process(process) => kill(*process),
    }
}

fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LabError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn remove_namespace(name: &str) -> Result<()> {
    if !Path::new("/run/netns").join(name).exists() {
        return Ok(());
    }
    tool::run(&mut tool::command("ip", ["netns", "delete", name])).map(drop)
}

/// Kills what runs in a control group and removes the group.
fn end_cgroup(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let kill = path.join("cgroup.kill");
    fs::write(&kill, "1").map_err(LabError::io("write", &kill))?;
    wait::until(&format!("the end of {}", path.display()), KILL_DEADLINE, || {
        Ok(match remove_groups(path) {
            Ok(()) => Look::Found(()),
            Err(error) => Look::NotYet(error.to_string()),
        })
    })
}

/// A control group goes away by rmdir, the innermost first; its files cannot be removed.
fn remove_groups(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_groups(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}

/// Unmounts whatever is stacked there, at once for the name space and for good when the last user is gone.
fn unmount_all(path: &Path) -> Result<()> {
    loop {
        match unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            // EINVAL: nothing is mounted there.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => return Ok(()),
            Err(error) => return Err(LabError::io("unmount", path)(error.into())),
        }
    }
}

/// Kills a process and waits until it is gone.
fn kill(process: ProcessId) -> Result<()> {
    let failed =
        |error: rustix::io::Errno| LabError::io("kill process", process.pid.to_string())(error.into());
    let Some(pid) = Pid::from_raw(process.pid) else {
        return Ok(());
    };
    // The descriptor is opened first and the start time compared then: it cannot change hands in between.
    let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        other => other.map_err(failed)?,
    };
    if !process.runs() {
        return Ok(());
    }
    match pidfd_send_signal(&descriptor, Signal::KILL) {
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        other => other.map_err(failed)?,
    }
    let deadline = Timespec::try_from(KILL_DEADLINE)
        .map_err(|_| LabError::State("the deadline for a kill does not fit the kernel's clock".into()))?;
    let mut ended = [PollFd::new(&descriptor, PollFlags::IN)];
    if poll(&mut ended, Some(&deadline)).map_err(failed)? == 0 {
        return Err(LabError::Deadline {
            what: format!("the end of process {}", process.pid),
            within: KILL_DEADLINE,
            seen: "it still runs".into(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("bmc-ha-lab-record-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn what_a_crashed_run_recorded_is_undone_from_its_file() {
        let folder = folder("undo");
        let path = folder.join("record.json");
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let process = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
        let mut record = Record::create(path.clone()).unwrap();
        record.add(Made::Folder(folder.clone())).unwrap();
        record.add(Made::Process(process)).unwrap();
        drop(record);

        let record = Record::load(path).unwrap().unwrap();
        assert_eq!(record.running().collect::<Vec<_>>(), [process]);
        record.undo().unwrap();

        assert!(!child.wait().unwrap().success());
        assert!(!folder.exists());
    }

    #[test]
    fn a_process_that_only_inherited_the_id_is_left_alone() {
        let folder = folder("reuse");
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let mut process = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
        process.started += 1;
        kill(process).unwrap();
        assert_eq!(child.try_wait().unwrap(), None);
        child.kill().unwrap();
        child.wait().unwrap();
        fs::remove_dir_all(folder).unwrap();
    }
}
