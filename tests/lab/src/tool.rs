//! Runs the host's tools and says what they said.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, ExitStatus, Stdio};

use crate::error::{LabError, Result};

/// What a finished command left behind.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Output {
    /// Whether it exited with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status.success()
    }
}

/// A command line, for messages.
pub(crate) fn describe(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        // Writing to a String cannot fail.
        let _ = write!(line, " {}", argument.to_string_lossy());
    }
    line
}

/// Runs a command to its end, whatever its exit status.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| LabError::Start {
            command: describe(command),
            source,
        })?;
    Ok(Output {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs a command that has to succeed; returns what it printed.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if output.success() {
        return Ok(output.stdout);
    }
    Err(failed(command, &output))
}

/// Runs a command that has to succeed and reads its standard input from `input`.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Result<String> {
    let start = |source| LabError::Start {
        command: String::from("a command with input"),
        source,
    };
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(start)?;
    }
    let output = child.wait_with_output().map_err(start)?;
    let output = Output {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    if output.success() {
        return Ok(output.stdout);
    }
    Err(failed(command, &output))
}

/// The error of a command that had to succeed and did not.
pub(crate) fn failed(command: &Command, output: &Output) -> LabError {
    let mut detail = output.status.to_string();
    for text in [&output.stdout, &output.stderr] {
        let text = text.trim();
        if !text.is_empty() {
            detail.push('\n');
            detail.push_str(text);
        }
    }
    LabError::Command {
        command: describe(command),
        detail,
    }
}

/// A command with its arguments.
pub(crate) fn command<I, S>(program: &str, arguments: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command.args(arguments);
    command
}
