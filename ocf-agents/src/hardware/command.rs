//! Hardware behind a program, for boards whose mux has no file.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{HardwareError, Mux};

/// Longest that reading the mux's state may take. A monitor must not hang on a program that does.
const STATE_TIMEOUT: Duration = Duration::from_secs(5);

/// A mux that a program claims, releases and reads: `PROGRAM claim|release|state`, the last of which prints
/// `held` or `free`. `claim` and `release` may return early: the state decides.
#[derive(Debug)]
pub struct CommandMux {
    /// The program.
    pub program: PathBuf,
}

impl CommandMux {
    fn run(&self, verb: &str, deadline: Instant) -> Result<String, HardwareError> {
        let mut command = Command::new(&self.program);
        command.arg(verb);
        let name = format!("{} {verb}", self.program.display());
        let output = output_by(&mut command, &name, deadline)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        Err(HardwareError::CommandFailed {
            command: name,
            status: output.status,
            output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    fn state_by(&self, deadline: Instant) -> Result<bool, HardwareError> {
        match self.run("state", deadline)?.as_str() {
            "held" => Ok(true),
            "free" => Ok(false),
            other => Err(HardwareError::CommandOutput {
                command: format!("{} state", self.program.display()),
                output: other.to_owned(),
            }),
        }
    }
}

impl Mux for CommandMux {
    fn is_held(&self) -> Result<bool, HardwareError> {
        self.state_by(Instant::now() + STATE_TIMEOUT)
    }

    fn claim(&self, deadline: Instant) -> Result<(), HardwareError> {
        let started = Instant::now();
        let claimed = self.run("claim", deadline).and_then(|_| self.state_by(deadline));
        if !matches!(claimed, Ok(true)) {
            self.run("release", Instant::now() + STATE_TIMEOUT)?;
        }
        if claimed? {
            return Ok(());
        }
        Err(HardwareError::NotGranted {
            mux: self.program.display().to_string(),
            waited: started.elapsed(),
        })
    }

    fn release(&self, deadline: Instant) -> Result<(), HardwareError> {
        let started = Instant::now();
        self.run("release", deadline)?;
        if !self.state_by(deadline)? {
            return Ok(());
        }
        Err(HardwareError::NotReleased {
            mux: self.program.display().to_string(),
            waited: started.elapsed(),
        })
    }
}

/// Runs a program and collects what it prints; kills it at `deadline`. `name` is what an error calls it.
///
/// # Errors
/// [`HardwareError::Run`] or [`HardwareError::CommandTimeout`]. How the program ended is the caller's to judge.
pub fn output_by(command: &mut Command, name: &str, deadline: Instant) -> Result<Output, HardwareError> {
    let failed = |source| HardwareError::Run {
        command: name.to_owned(),
        source,
    };
    let started = Instant::now();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    if ended_by(&child, deadline).map_err(|errno| failed(errno.into()))? {
        return child.wait_with_output().map_err(failed);
    }
    child.kill().and_then(|()| child.wait()).map_err(failed)?;
    Err(HardwareError::CommandTimeout {
        command: name.to_owned(),
        waited: started.elapsed(),
    })
}

/// Waits for the program to end. A program that fills its pipe blocks and is killed at the deadline: 64 KiB is far
/// more than any of these has to say.
fn ended_by(child: &Child, deadline: Instant) -> rustix::io::Result<bool> {
    let handle = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(
            &mut [PollFd::from_borrowed_fd(handle.as_fd(), PollFlags::IN)],
            Some(&timeout),
        ) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other? > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::install;
    use std::fs;
    use tempfile::{TempDir, tempdir};

    fn mux(script: &str) -> (TempDir, CommandMux) {
        let folder = tempdir().unwrap();
        let program = folder.path().join("mux");
        install(&program, &format!("cd {}\n{script}", folder.path().display()));
        (folder, CommandMux { program })
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn a_program_claims_and_releases_the_mux() {
        let (_folder, mux) =
            mux("case $1 in claim) echo held >s;; release) echo free >s;; state) cat s;; esac");
        mux.claim(soon()).unwrap();
        assert!(mux.is_held().unwrap());
        mux.release(soon()).unwrap();
        assert!(!mux.is_held().unwrap());
    }

    #[test]
    fn a_program_that_does_not_get_the_mux_is_told_to_release_it() {
        let (folder, mux) = mux("echo $1 >>log; echo free");
        assert!(matches!(
            mux.claim(soon()).unwrap_err(),
            HardwareError::NotGranted { .. }
        ));
        assert_eq!(
            fs::read_to_string(folder.path().join("log")).unwrap(),
            "claim\nstate\nrelease\n"
        );
    }

    #[test]
    fn a_program_that_hangs_is_killed_at_the_deadline() {
        let (_folder, mux) = mux("exec sleep 60");
        let error = mux
            .release(Instant::now() + Duration::from_millis(50))
            .unwrap_err();
        assert!(matches!(error, HardwareError::CommandTimeout { .. }), "{error}");
    }

    #[test]
    fn a_program_that_fails_or_babbles_is_quoted() {
        let (_folder, failing) = mux("echo no arbiter >&2; exit 3");
        assert!(
            failing
                .is_held()
                .unwrap_err()
                .to_string()
                .ends_with("state: exit status: 3: no arbiter")
        );
        let (_folder, babbling) = mux("echo perhaps");
        assert!(
            babbling
                .is_held()
                .unwrap_err()
                .to_string()
                .ends_with(r#"got "perhaps""#)
        );
    }

    #[test]
    fn a_program_that_is_not_installed_is_absent() {
        let mux = CommandMux {
            program: "/nonexistent/mux".into(),
        };
        assert!(mux.is_held().unwrap_err().is_absent());
    }
}
