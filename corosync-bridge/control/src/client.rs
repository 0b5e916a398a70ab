//! A blocking client of the control socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::MAX_LINE_BYTES;
use crate::messages::{Command, Reply, Request, Status, VERSION};

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

    fn exchange(&mut self, command: Command, deadline: Duration) -> Result<Reply, ClientError> {
        let line = self
            .round_trip(command, deadline)
            .map_err(|source| ClientError::Exchange {
                path: self.path.clone(),
                command,
                source,
            })?;
        match serde_json::from_slice(&line) {
            Ok(Reply::Error { message }) => Err(ClientError::Refused(message)),
            Ok(reply) => Ok(reply),
            Err(error) => Err(self.malformed(command, error.to_string())),
        }
    }

    fn round_trip(&mut self, command: Command, deadline: Duration) -> io::Result<Vec<u8>> {
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let mut line = serde_json::to_vec(&Request {
            version: VERSION,
            command,
            deadline_ms,
        })?;
        line.push(b'\n');
        let socket = self.stream.get_mut();
        socket.set_write_timeout(Some(deadline.saturating_add(SOCKET_MARGIN)))?;
        socket.set_read_timeout(Some(deadline.saturating_add(SOCKET_MARGIN)))?;
        socket.write_all(&line)?;
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

    fn malformed(&self, command: Command, detail: String) -> ClientError {
        ClientError::Malformed {
            path: self.path.clone(),
            command,
            detail,
        }
    }
}
