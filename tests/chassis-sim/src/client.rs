//! A client of the chassis, for tests and tools.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::messages::{Answer, Record, Request, State};

/// The chassis answers at once, except to a shutdown, which ends both BMCs first.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("connect to chassis {}: {source}", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The connection broke.
    #[error("talk to chassis {}: {source}", socket.display())]
    Connection {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The chassis ended.
    #[error("talk to chassis {}: it closed the connection", socket.display())]
    Closed {
        /// The socket.
        socket: PathBuf,
    },
    /// The answer makes no sense.
    #[error("understand chassis {}: {source}", socket.display())]
    Parse {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The chassis refused.
    #[error("chassis: {message}")]
    Refused {
        /// Its reason.
        message: String,
    },
    /// An answer of another kind was expected.
    #[error("chassis: unexpected answer {answer:?}")]
    Unexpected {
        /// What it answered.
        answer: Box<Answer>,
    },
    /// What was waited for did not come.
    #[error("wait for {what} on the chassis: not within {} ms; last record {last}", waited.as_millis())]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
        /// The last record that did come.
        last: String,
    },
}

/// A connection to the chassis.
#[derive(Debug)]
pub struct Client {
    lines: Lines,
}

impl Client {
    /// Connects to the control socket.
    pub fn connect(socket: &Path) -> Result<Self, ClientError> {
        Ok(Self {
            lines: Lines::connect(socket)?,
        })
    }

    /// Asks for one thing and returns the answer, whatever it is.
    pub fn request(&mut self, request: &Request) -> Result<Answer, ClientError> {
        self.lines.send(request)?;
        match self.lines.next(Instant::now() + ANSWER_DEADLINE)? {
            Some(line) => self.lines.parse(&line),
            None => Err(ClientError::Timeout {
                what: format!("an answer to {request:?}"),
                waited: ANSWER_DEADLINE,
                last: "none".into(),
            }),
        }
    }

    /// Has one thing done.
    pub fn perform(&mut self, request: &Request) -> Result<(), ClientError> {
        match self.request(request)? {
            Answer::Done => Ok(()),
            Answer::Error { message } => Err(ClientError::Refused { message }),
            answer @ Answer::State(_) => Err(ClientError::Unexpected {
                answer: Box::new(answer),
            }),
        }
    }

    /// The chassis as it is.
    pub fn state(&mut self) -> Result<State, ClientError> {
        match self.request(&Request::State)? {
            Answer::State(state) => Ok(state),
            Answer::Error { message } => Err(ClientError::Refused { message }),
            answer @ Answer::Done => Err(ClientError::Unexpected {
                answer: Box::new(answer),
            }),
        }
    }
}

/// The event log as it grows.
#[derive(Debug)]
pub struct Subscription {
    lines: Lines,
    last: String,
}

impl Subscription {
    /// Follows the log from this record number on: first what is past, then what comes.
    pub fn open(socket: &Path, from: u64) -> Result<Self, ClientError> {
        let mut lines = Lines::connect(socket)?;
        lines.send(&Request::Subscribe { from })?;
        Ok(Self {
            lines,
            last: "none".into(),
        })
    }

    /// The next record; none when the deadline passes before it comes.
    pub fn next(&mut self, deadline: Instant) -> Result<Option<Record>, ClientError> {
        let Some(line) = self.lines.next(deadline)? else {
            return Ok(None);
        };
        let record = self.lines.parse(&line)?;
        self.last = line;
        Ok(Some(record))
    }

    /// The next record that fits; those before it are dropped. `what` is for the message when it does not come.
    pub fn wait_for(
        &mut self,
        what: &str,
        deadline: Instant,
        fits: impl Fn(&Record) -> bool,
    ) -> Result<Record, ClientError> {
        let start = Instant::now();
        while let Some(record) = self.next(deadline)? {
            if fits(&record) {
                return Ok(record);
            }
        }
        Err(ClientError::Timeout {
            what: what.into(),
            waited: start.elapsed(),
            last: self.last.trim().into(),
        })
    }
}

/// JSON lines over a Unix socket.
#[derive(Debug)]
struct Lines {
    socket: PathBuf,
    stream: BufReader<UnixStream>,
    /// What came of a line whose end has not come yet.
    partial: Vec<u8>,
}

impl Lines {
    fn connect(socket: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(socket).map_err(|source| ClientError::Connect {
            socket: socket.to_owned(),
            source,
        })?;
        Ok(Self {
            socket: socket.to_owned(),
            stream: BufReader::new(stream),
            partial: Vec::new(),
        })
    }

    fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let mut line = serde_json::to_string(request).map_err(|source| ClientError::Parse {
            socket: self.socket.clone(),
            source,
        })?;
        line.push('\n');
        self.stream
            .get_mut()
            .write_all(line.as_bytes())
            .map_err(|source| self.broken(source))
    }

    fn next(&mut self, deadline: Instant) -> Result<Option<String>, ClientError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // A zero timeout would mean none at all; what has arrived already is still taken after the deadline.
            let timeout = left.max(Duration::from_millis(1));
            self.stream
                .get_ref()
                .set_read_timeout(Some(timeout))
                .map_err(|source| self.broken(source))?;
            match self.stream.read_until(b'\n', &mut self.partial) {
                Ok(0) => {
                    return Err(ClientError::Closed {
                        socket: self.socket.clone(),
                    });
                }
                Ok(_) if self.partial.ends_with(b"\n") => {
                    let line = std::mem::take(&mut self.partial);
                    return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
                }
                Ok(_) => {}
                Err(error) if is_timeout(&error) && Instant::now() >= deadline => return Ok(None),
                Err(error) if is_timeout(&error) || error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.broken(source)),
            }
        }
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, line: &str) -> Result<T, ClientError> {
        serde_json::from_str(line).map_err(|source| ClientError::Parse {
            socket: self.socket.clone(),
            source,
        })
    }

    fn broken(&self, source: io::Error) -> ClientError {
        ClientError::Connection {
            socket: self.socket.clone(),
            source,
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
