//! A part of this program that runs in a BMC.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::{Lab, Node};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{OWN_NAME, programs};

/// Ends when dropped.
pub(super) struct Remote {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Remote {
    pub(super) fn start(lab: &Lab, node: Node, arguments: &[&str]) -> Result<Self> {
        let program = programs::path(OWN_NAME);
        let argv: Vec<&str> = [program.as_str(), "inside"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        let mut child = lab
            .command(node, &argv)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {arguments:?} in {node}"))?;
        let stdin = child.stdin.take().context("no pipe to the BMC")?;
        let stdout = BufReader::new(child.stdout.take().context("no pipe from the BMC")?);
        Ok(Self { child, stdin, stdout })
    }

    pub(super) fn write(&mut self, line: &str) -> Result<()> {
        writeln!(self.stdin, "{line}").context("write to the BMC")
    }

    /// A word and a time in microseconds.
    pub(super) fn read(&mut self) -> Result<(String, u64)> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).context("read from the BMC")?;
        let (word, time) = line
            .trim()
            .split_once(' ')
            .with_context(|| format!("the BMC said {line:?}"))?;
        Ok((word.to_owned(), time.parse()?))
    }

    /// The same, if it comes in time.
    pub(super) fn read_within(&mut self, patience: Duration) -> Result<Option<(String, u64)>> {
        if self.stdout.buffer().is_empty() {
            let patience = Timespec::try_from(patience).context("the patience fits no clock")?;
            let mut readable = [PollFd::new(self.stdout.get_ref(), PollFlags::IN)];
            if poll(&mut readable, Some(&patience)).context("wait for the BMC")? == 0 {
                return Ok(None);
            }
        }
        self.read().map(Some)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // Both fail only when it ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
