//! Running the cluster's own command-line tools: no shell, a deadline, and errors that say what was run.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// Most output kept of one tool, in bytes. A CIB of a few hundred kilobytes is already unusual.
const OUTPUT_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// Lines of a failed tool's messages that go into an error.
const MESSAGE_LINES: usize = 8;

/// Why a tool gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It could not be started.
    #[error("run {tool}: {source}")]
    Start {
        /// The command line.
        tool: String,
        /// What starting it said.
        source: io::Error,
    },
    /// It could not be talked to.
    #[error("run {tool}: {source}")]
    Exchange {
        /// The command line.
        tool: String,
        /// What reading or writing said.
        source: io::Error,
    },
    /// It took too long and was ended.
    #[error("run {tool}: no end after {} s", deadline.as_secs())]
    Deadline {
        /// The command line.
        tool: String,
        /// How long it was given.
        deadline: Duration,
    },
    /// It ended with another status than success.
    #[error("run {tool}: {status}: {message}")]
    Failed {
        /// The command line.
        tool: String,
        /// Exit status in words.
        status: String,
        /// The status itself, when it exited by itself.
        code: Option<i32>,
        /// The end of what it said.
        message: String,
    },
}

/// A tool and its arguments.
#[derive(Debug, Clone)]
pub struct Tool {
    program: String,
    arguments: Vec<String>,
    environment: Vec<(String, PathBuf)>,
    input: Option<String>,
    deadline: Duration,
}

/// What a tool said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit status; nothing when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Tool {
    /// Pacemaker's tools answer within this even while the cluster elects a controller.
    pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);

    /// A tool found by `PATH`.
    #[must_use]
    pub fn new(program: &str) -> Self {
        Self {
            program: program.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            input: None,
            deadline: Self::DEFAULT_DEADLINE,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable to a path.
    #[must_use]
    pub fn env(mut self, name: &str, value: &Path) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives it something to read. Input is never shown in errors: passwords go this way.
    #[must_use]
    pub fn input(mut self, input: impl Into<String>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Sets how long it may take.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs it and returns what it said, whatever its exit status.
    ///
    /// # Errors
    /// [`ToolError::Start`], [`ToolError::Exchange`] or [`ToolError::Deadline`].
    pub fn output(&self) -> Result<Output, ToolError> {
        let mut child = self.spawn().map_err(|source| ToolError::Start {
            tool: self.to_string(),
            source,
        })?;
        let exchange = |source| ToolError::Exchange {
            tool: self.to_string(),
            source,
        };
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let stderr = child.stderr.take();
        thread::scope(|scope| {
            let input = self.input.as_deref().unwrap_or_default();
            let writer = scope.spawn(move || {
                // A tool that does not read all of its input says itself what it disliked.
                stdin.map(|mut pipe| pipe.write_all(input.as_bytes()))
            });
            let stdout = scope.spawn(|| read_all(stdout));
            let stderr = scope.spawn(|| read_all(stderr));
            let ended = wait(&mut child, self.deadline).map_err(exchange)?;
            drop(writer.join());
            let stdout = joined(stdout.join()).map_err(exchange)?;
            let stderr = joined(stderr.join()).map_err(exchange)?;
            match ended {
                None => Err(ToolError::Deadline {
                    tool: self.to_string(),
                    deadline: self.deadline,
                }),
                Some(status) => Ok(Output {
                    code: status.code(),
                    stdout,
                    stderr,
                }),
            }
        })
    }

    /// Runs it and returns its standard output.
    ///
    /// # Errors
    /// Any [`ToolError`]; [`ToolError::Failed`] carries the end of what it said.
    pub fn run(&self) -> Result<String, ToolError> {
        let output = self.output()?;
        if output.code == Some(0) {
            return Ok(output.stdout);
        }
        Err(self.failed(&output))
    }

    /// The error for an output whose exit status is not one that was expected.
    #[must_use]
    pub fn failed(&self, output: &Output) -> ToolError {
        let said = if output.stderr.trim().is_empty() {
            &output.stdout
        } else {
            &output.stderr
        };
        let lines: Vec<&str> = said
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let message = lines[lines.len().saturating_sub(MESSAGE_LINES)..].join("; ");
        ToolError::Failed {
            tool: self.to_string(),
            status: output.code.map_or("ended by a signal".to_owned(), |code| {
                format!("exit status {code}")
            }),
            code: output.code,
            message: if message.is_empty() {
                "it said nothing".to_owned()
            } else {
                message
            },
        }
    }

    fn spawn(&self) -> io::Result<Child> {
        let stdin = if self.input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        Command::new(&self.program)
            .args(&self.arguments)
            .env("LC_ALL", "C.UTF-8")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group, so that at the deadline its children end with it and let go of the pipes.
            .process_group(0)
            .spawn()
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.program)?;
        for argument in &self.arguments {
            // A CIB on a command line would bury the message.
            match argument.contains('\n') {
                true => formatter.write_str(" …")?,
                false => write!(formatter, " {argument}")?,
            }
        }
        Ok(())
    }
}

/// Waits for the child's end; ends its whole group at the deadline and then returns nothing.
fn wait(child: &mut Child, deadline: Duration) -> io::Result<Option<std::process::ExitStatus>> {
    let pid = Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let until = Instant::now() + deadline;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut watched = [PollFd::new(&pidfd, PollFlags::IN)];
        match poll(&mut watched, Some(&timeout)) {
            Ok(0) => {
                // The group is there until its leader is waited for, so this hits nobody else.
                kill_process_group(pid, Signal::KILL)?;
                child.wait()?;
                return Ok(None);
            }
            Ok(_) => return child.wait().map(Some),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn read_all(pipe: Option<impl Read>) -> io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(OUTPUT_LIMIT_BYTES).read_to_end(&mut bytes)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn joined(result: thread::Result<io::Result<String>>) -> io::Result<String> {
    result.unwrap_or_else(|_| Err(io::Error::other("the reader of its output ended early")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_goes_in_and_output_comes_out_however_long() {
        let long = "0123456789\n".repeat(100_000);
        let output = Tool::new("cat").input(long.clone()).run().unwrap();
        assert_eq!(output, long);
    }

    #[test]
    fn a_failure_names_the_command_its_status_and_its_words() {
        let error = Tool::new("ls")
            .arg("/no/such/folder")
            .run()
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("run ls /no/such/folder: exit status 2: "),
            "{error}"
        );
        assert!(error.contains("No such file"), "{error}");
    }

    #[test]
    fn a_tool_that_is_not_there_is_named() {
        let error = Tool::new("no-such-tool").run().unwrap_err().to_string();
        assert!(error.starts_with("run no-such-tool: "), "{error}");
    }

    #[test]
    fn at_the_deadline_the_whole_group_ends() {
        let begin = Instant::now();
        let tool = Tool::new("sh")
            .args(["-c", "sleep 600 & sleep 600"])
            .deadline(Duration::from_millis(100));
        assert!(matches!(tool.output(), Err(ToolError::Deadline { .. })));
        // The readers only return once nobody holds the pipes any more.
        assert!(begin.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn input_is_never_part_of_the_message() {
        let error = Tool::new("false").input("secret").run().unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
