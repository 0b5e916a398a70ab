//! Being told when the cluster did something, instead of asking over and over.
//!
//! `crm_mon` runs a program for every operation that a resource finished. That program is env(1), which
//! prints what it was told to our pipe: a line means that it is time to look.

use std::io::{self, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::ClusterError;

/// What is attempted, for errors.
const ACTION: &str = "watch the cluster with crm_mon";

/// Prints its environment; coreutils and BusyBox both install it here.
const PRINTER: &str = "/usr/bin/env";

/// Longest time between two looks. `crm_mon` tells of operations; a node that leaves, or an attribute that
/// changes, is seen by this at the latest.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A running `crm_mon`, ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Events {
    child: Child,
    /// Nothing once it ended by itself; looking goes on without it.
    pipe: Option<ChildStdout>,
}

impl Events {
    /// Starts watching. What happens from now on is not missed.
    pub(crate) fn watch() -> Result<Self, ClusterError> {
        let failed = |source| ClusterError::Io {
            action: ACTION,
            source,
        };
        let mut child = Command::new("crm_mon")
            .args([
                "--output-as=text",
                "--exclude=all",
                "--include=nodes",
                "--external-agent",
                PRINTER,
            ])
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        Ok(Self {
            pipe: child.stdout.take(),
            child,
        })
    }

    /// Returns when it is time to look again, or at `deadline`.
    pub(crate) fn wait(&mut self, deadline: Instant) -> Result<(), ClusterError> {
        self.wait_until(deadline.min(Instant::now() + LOOK_INTERVAL))
            .map_err(|source| ClusterError::Io {
                action: ACTION,
                source,
            })
    }

    fn wait_until(&mut self, until: Instant) -> io::Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut watched: Vec<_> = self
            .pipe
            .iter()
            .map(|pipe| PollFd::new(pipe, PollFlags::IN))
            .collect();
        match poll(&mut watched, Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(pipe) = &mut self.pipe {
            // What the lines say does not matter: the state is read anew. A burst is read in one go.
            let mut burst = [0; 65536];
            if pipe.read(&mut burst)? == 0 {
                self.pipe = None;
            }
        }
        Ok(())
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watching(script: &str) -> Events {
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Events {
            pipe: child.stdout.take(),
            child,
        }
    }

    #[test]
    fn an_event_ends_the_wait_long_before_the_deadline() {
        let mut events = watching("echo CRM_notify_task=stop; exec cat /dev/zero >/dev/null");
        let begin = Instant::now();
        events.wait(begin + Duration::from_secs(600)).unwrap();
        assert!(events.pipe.is_some());
        assert!(begin.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_watcher_that_ends_is_done_without() {
        let mut events = watching("exit 0");
        events.wait(Instant::now() + Duration::from_secs(600)).unwrap();
        assert!(events.pipe.is_none());
        let begin = Instant::now();
        let deadline = begin + Duration::from_millis(20);
        events.wait(deadline).unwrap();
        assert!(Instant::now() >= deadline);
    }
}
