//! Questions to a BMC's bridge, from the host.
//!
//! The bridge answers root only, and goes by the credentials of the process that connects. The kernel has none to
//! show for a process outside the BMC's PID namespace, so each question is put by a short-lived process inside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bmc_bridge_control::client::Client;
use bmc_bridge_control::messages::{Command, Status};

use crate::error::{LabError, Result};
use crate::node::Node;
use crate::tool;

/// Where the bridge's control socket is in a BMC.
pub(crate) const SOCKET: &str = "/run/bmc-ha/bridge.sock";

/// The bridge of a BMC.
#[derive(Debug)]
pub struct Bridge {
    node: Node,
    /// PID 1 of the BMC, as seen from outside.
    pid: i32,
    socket: PathBuf,
    /// The program `lab`, which has [`ask`] as a hidden command.
    lab: PathBuf,
}

impl Bridge {
    pub(crate) fn new(node: Node, pid: i32, socket: PathBuf, lab: PathBuf) -> Self {
        Self {
            node,
            pid,
            socket,
            lab,
        }
    }

    /// What the bridge says about itself.
    ///
    /// # Errors
    /// When nobody listens, or no answer comes in time.
    pub fn status(&self, within: Duration) -> Result<Status> {
        let answer = self.ask(Command::Status, within)?;
        serde_json::from_str(&answer).map_err(|error| LabError::Malformed {
            of: format!("the bridge of {}", self.node),
            detail: format!("{answer:?}: {error}"),
        })
    }

    /// Has the bridge carry out a command; returns when it answered that it is done.
    ///
    /// # Errors
    /// When nobody listens, the bridge refuses, or no answer comes in time.
    pub fn run(&self, command: Command, within: Duration) -> Result<()> {
        self.ask(command, within).map(drop)
    }

    fn ask(&self, command: Command, within: Duration) -> Result<String> {
        let (pid, within) = (self.pid.to_string(), within.as_millis().to_string());
        let mut nsenter = tool::command("nsenter", ["--target", &pid, "--pid", "--"]);
        nsenter.arg(&self.lab).arg("ask-bridge").arg(&self.socket);
        nsenter.args([word(command)?.as_str(), within.as_str()]);
        tool::run(&mut nsenter)
    }
}

/// Puts one question and returns the answer as one line; what runs inside the BMC's PID namespace.
///
/// # Errors
/// As [`Bridge::status`] and [`Bridge::run`].
pub fn ask(socket: &Path, command: &str, within: Duration) -> Result<String> {
    let failed = |error: &dyn std::fmt::Display| LabError::State(error.to_string());
    let command: Command = serde_json::from_value(command.into()).map_err(|error| failed(&error))?;
    let mut client = Client::connect(socket).map_err(|error| failed(&error))?;
    if command == Command::Status {
        let status = client.status(within).map_err(|error| failed(&error))?;
        return serde_json::to_string(&status).map_err(|error| failed(&error));
    }
    client.run(command, within).map_err(|error| failed(&error))?;
    Ok(String::new())
}

/// A command as it is written on the control socket.
fn word(command: Command) -> Result<String> {
    match serde_json::to_value(command) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        other => Err(LabError::State(format!("{command:?} is no word: {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_word_that_reads_back() {
        let word = word(Command::FullSync).unwrap();
        assert_eq!(word, "full-sync");
        assert_eq!(
            serde_json::from_value::<Command>(word.into()).unwrap(),
            Command::FullSync
        );
    }
}
