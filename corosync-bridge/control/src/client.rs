//! A blocking client of the control socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::MAX_LINE_BYTES;
use crate::messages::{Command, Progress, Reply, Request, Status, VERSION};

/// Added to a request's own deadline before the client gives up on the socket, so that the bridge's own
/// message about what did not come reaches the caller first.
const SOCKET_MARGIN: Duration = Duration::from_millis(500);

/// Why a request did not get an answer, or not the one asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens, or the caller may not connect.
    #[error("connect to the bridge at {}: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What connect(2) said.
        source: io::Error,
    },
    /// The connection broke or no answer came in time.
    #[error("ask the bridge at {} for {command:?}: {source}", path.display())]
    Exchange {
        /// The socket.
        path: PathBuf,
        /// What was asked.
        command: Command,
        /// What reading or writing said.
        source: io::Error,
    },
    /// The answer is not one of this protocol.
    #[error("ask the bridge at {} for {command:?}: the answer is not understood: {detail}", path.display())]
    Malformed {
        /// The socket.
        path: PathBuf,
        /// What was asked.
        command: Command,
        /// What was wrong with it.
        detail: String,
    },
    /// The bridge understood, and refused or failed.
    #[error("{0}")]
    Refused(String),
}

/// How following a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// The command was carried out.
    ToTheEnd,
    /// Whoever followed had seen enough; the bridge goes on.
    NoFurther,
}

/// A connection to the bridge.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the bridge at `path` (see [`crate::DEFAULT_SOCKET`]).
    ///
    /// # Errors
    /// [`ClientError::Connect`] when nobody listens there.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(|source| ClientError::Connect {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            stream: BufReader::new(stream),
        })
    }

    /// Asks for the status, waiting at most `deadline`.
    ///
    /// # Errors
    /// Any [`ClientError`] but `Connect`.
    pub fn status(&mut self, deadline: Duration) -> Result<Status, ClientError> {
        match self.exchange(Command::Status, deadline)? {
            Reply::Status(status) => Ok(*status),
            other => Err(self.malformed(Command::Status, format!("expected a status, got {other:?}"))),
        }
    }

    /// Carries out a command that has no answer but success, waiting at most `deadline`.
    ///
    /// # Errors
    /// Any [`ClientError`] but `Connect`.
    pub fn run(&mut self, command: Command, deadline: Duration) -> Result<(), ClientError> {
        match self.exchange(command, deadline)? {
            Reply::Done => Ok(()),
            other => Err(self.malformed(command, format!("expected done, got {other:?}"))),
        }
    }

    /// Carries out a command as [`Client::run`] does, and passes on how far it is until `seen` breaks.
    ///
    /// # Errors
    /// Any [`ClientError`] but `Connect`.
    pub fn follow(
        mut self,
        command: Command,
        deadline: Duration,
        mut seen: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Followed, ClientError> {
        let until = self.ask(command, deadline, true)?;
        loop {
            match self.read_reply(command, until)? {
                Reply::Done => return Ok(Followed::ToTheEnd),
                Reply::Progress(progress) => {
                    if seen(progress).is_break() {
                        return Ok(Followed::NoFurther);
                    }
                }
                other => return Err(self.malformed(command, format!("expected progress, got {other:?}"))),
            }
        }
    }

    fn exchange(&mut self, command: Command, deadline: Duration) -> Result<Reply, ClientError> {
        let until = self.ask(command, deadline, false)?;
        self.read_reply(command, until)
    }

    /// Sends a request. Returns until when to wait for the answer; `None` is for ever.
    fn ask(
        &mut self,
        command: Command,
        deadline: Duration,
        progress: bool,
    ) -> Result<Option<Instant>, ClientError> {
        let patience = deadline.saturating_add(SOCKET_MARGIN);
        let request = Request {
            version: VERSION,
            command,
            deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
            progress,
        };
        self.write_request(&request, patience)
            .map_err(|source| self.broken(command, source))?;
        Ok(Instant::now().checked_add(patience))
    }

    fn write_request(&mut self, request: &Request, patience: Duration) -> io::Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        let socket = self.stream.get_mut();
        socket.set_write_timeout(Some(patience))?;
        socket.write_all(&line)
    }

    fn read_reply(&mut self, command: Command, until: Option<Instant>) -> Result<Reply, ClientError> {
        let line = self
            .read_line(until)
            .map_err(|source| self.broken(command, source))?;
        match serde_json::from_slice(&line) {
            Ok(Reply::Error { message }) => Err(ClientError::Refused(message)),
            Ok(reply) => Ok(reply),
            Err(error) => Err(self.malformed(command, error.to_string())),
        }
    }

    fn read_line(&mut self, until: Option<Instant>) -> io::Result<Vec<u8>> {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.get_mut().set_read_timeout(left)?;
        let mut answer = Vec::new();
        let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
        (&mut self.stream).take(limit).read_until(b'\n', &mut answer)?;
        if answer.last() == Some(&b'\n') {
            return Ok(answer);
        }
        let short = if answer.len() >= MAX_LINE_BYTES {
            "the answer is too long"
        } else {
            "it hung up"
        };
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, short))
    }

    fn broken(&self, command: Command, source: io::Error) -> ClientError {
        ClientError::Exchange {
            path: self.path.clone(),
            command,
            source,
        }
    }

    fn malformed(&self, command: Command, detail: String) -> ClientError {
        ClientError::Malformed {
            path: self.path.clone(),
            command,
            detail,
        }
    }
}
