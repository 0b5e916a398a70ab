//! The BMCs' journals, read from the host: what a BMC wrote can be read after its power was cut, and while it
//! cannot answer.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Deserialize;

use crate::error::{LabError, Result};
use crate::layout::Layout;
use crate::node::Node;
use crate::tool;

/// A moment on the machine's monotonic clock, which the chassis, both journals and the lab share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Microseconds since the machine booted (`CLOCK_MONOTONIC`).
    pub microseconds: u64,
}

impl Moment {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or_default();
        Self {
            microseconds: seconds * 1_000_000 + nanoseconds / 1_000,
        }
    }

    /// How long after `earlier` this is; zero when it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.microseconds.saturating_sub(earlier.microseconds))
    }
}

/// A line of a BMC's journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// When journald received it.
    pub at: Moment,
    /// Who wrote it: `corosync`, `pacemaker-controld`, `corosync-bridge`.
    pub who: String,
    /// What it says.
    pub message: String,
}

/// A line as journalctl prints it in JSON. A message with bytes that are not text is an array of numbers.
#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "__MONOTONIC_TIMESTAMP")]
    monotonic: String,
    #[serde(rename = "SYSLOG_IDENTIFIER", default)]
    identifier: String,
    #[serde(rename = "MESSAGE", default)]
    message: serde_json::Value,
}

impl JournalEntry {
    fn parse(line: &str) -> Result<Self> {
        let malformed = |detail: String| LabError::Malformed {
            of: "journalctl".into(),
            detail,
        };
        let raw: Raw = serde_json::from_str(line).map_err(|error| malformed(error.to_string()))?;
        let microseconds = raw
            .monotonic
            .parse()
            .map_err(|error| malformed(format!("the time {:?}: {error}", raw.monotonic)))?;
        let message = match raw.message {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(Self {
            at: Moment { microseconds },
            who: raw.identifier,
            message,
        })
    }
}

fn folder(layout: &Layout, node: Node) -> PathBuf {
    layout.root(node).join("var/log/journal")
}

/// Everything a BMC wrote since `since`, oldest first. Reads on past power cuts: all boots are in it.
pub(crate) fn read(layout: &Layout, node: Node, since: Moment) -> Result<Vec<JournalEntry>> {
    let mut journalctl = tool::command("journalctl", ["--quiet", "--no-pager", "--output=json", "--all"]);
    journalctl.arg("--directory").arg(folder(layout, node));
    let mut entries = tool::run(&mut journalctl)?
        .lines()
        .map(JournalEntry::parse)
        .filter(|entry| !matches!(entry, Ok(entry) if entry.at < since))
        .collect::<Result<Vec<_>>>()?;
    entries.sort_by_key(|entry| entry.at);
    Ok(entries)
}

/// The last lines of a BMC's journal, for a person.
pub(crate) fn tail(layout: &Layout, node: Node, lines: usize) -> Result<String> {
    let mut journalctl = tool::command(
        "journalctl",
        ["--quiet", "--no-pager", "--output=short-monotonic"],
    );
    journalctl
        .arg("--directory")
        .arg(folder(layout, node))
        .arg(format!("--lines={lines}"));
    tool::run(&mut journalctl)
}

/// A journal as it grows. Ends its journalctl when dropped.
#[derive(Debug)]
pub struct Following {
    node: Node,
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Following {
    /// Starts to follow: first the last lines, then what comes.
    pub(crate) fn start(layout: &Layout, node: Node) -> Result<Self> {
        let mut journalctl = tool::command(
            "journalctl",
            [
                "--quiet",
                "--no-pager",
                "--output=json",
                "--all",
                "--follow",
                "--lines=200",
            ],
        );
        journalctl.arg("--directory").arg(folder(layout, node));
        let started = |source, command| LabError::Start { command, source };
        let mut child = journalctl
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| started(source, tool::describe(&journalctl)))?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| LabError::State("journalctl was started without a pipe".into()))?;
        Ok(Self {
            node,
            child,
            lines: BufReader::new(stdout),
        })
    }

    /// Waits for the first entry that is `wanted`.
    ///
    /// # Errors
    /// [`LabError::Deadline`] when it does not come, [`LabError::State`] when journalctl ends.
    pub fn wait_for(
        &mut self,
        what: &str,
        within: Duration,
        mut wanted: impl FnMut(&JournalEntry) -> bool,
    ) -> Result<JournalEntry> {
        let start = Instant::now();
        let mut last = String::from("nothing");
        loop {
            let left = within.saturating_sub(start.elapsed());
            let Some(line) = self.next_line(left)? else {
                return Err(LabError::Deadline {
                    what: format!("{what} in the journal of {}", self.node),
                    within,
                    seen: last,
                });
            };
            let entry = JournalEntry::parse(&line)?;
            if wanted(&entry) {
                return Ok(entry);
            }
            last = format!("{}: {}", entry.who, entry.message);
        }
    }

    /// The next line; none when it does not come in time.
    fn next_line(&mut self, within: Duration) -> Result<Option<String>> {
        let failed = |error: std::io::Error| LabError::io("read the journal of", self.node.name())(error);
        if self.lines.buffer().is_empty() {
            let within = Timespec::try_from(within)
                .map_err(|_| LabError::State("the deadline does not fit the kernel's clock".into()))?;
            let mut readable = [PollFd::new(self.lines.get_ref(), PollFlags::IN)];
            if poll(&mut readable, Some(&within)).map_err(|error| failed(error.into()))? == 0 {
                return Ok(None);
            }
        }
        let mut line = String::new();
        match self.lines.read_line(&mut line).map_err(failed)? {
            0 => Err(LabError::State(format!(
                "following the journal of {} ended",
                self.node
            ))),
            _ => Ok(Some(line)),
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // Both fail only when it ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_line_keeps_its_monotonic_time() {
        let line = r#"{"__MONOTONIC_TIMESTAMP":"1234567","SYSLOG_IDENTIFIER":"corosync","MESSAGE":"left"}"#;
        let entry = JournalEntry::parse(line).unwrap();
        assert_eq!(
            entry.at,
            Moment {
                microseconds: 1_234_567
            }
        );
        assert_eq!((entry.who.as_str(), entry.message.as_str()), ("corosync", "left"));
    }

    #[test]
    fn a_line_that_is_not_text_is_no_reason_to_fail() {
        let line = r#"{"__MONOTONIC_TIMESTAMP":"1","MESSAGE":[104,105]}"#;
        assert_eq!(JournalEntry::parse(line).unwrap().message, "[104,105]");
    }
}
