//! A D-Bus connection on which nothing can hang: every step has a deadline, connecting included.
//!
//! The messages are rustbus's. Its own connection authenticates without a timeout, in four round trips; here that is
//! one, which a monitor notices.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustbus::message_builder::{MarshalledMessage, MessageType};
use rustbus::wire::errors::{MarshalError, UnmarshalError};
use rustbus::wire::{marshal, unmarshal};
use rustbus::{MessageBuilder, standard_messages};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// Where the system bus listens (D-Bus specification, "Well-known Message Bus Instances").
const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";

/// What the bus answers for a service that does not run and was not to be started: dbus-daemon the one, dbus-broker the
/// other.
const NOT_RUNNING: [&str; 2] = [
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.ServiceUnknown",
];

/// Longest message accepted. What is asked for here is a few hundred bytes; the bus itself allows 128 MiB.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// Length of the fixed part of a message together with the length of its header fields.
const PREFIX_BYTES: usize = 16;

/// Why the bus did not answer, or not with what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// Nobody listens, or not to this user.
    #[error("connect to D-Bus at {}: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The bus does not accept this user.
    #[error("authenticate to D-Bus: got {answer:?}")]
    Authentication {
        /// What it said instead of `OK`.
        answer: String,
    },
    /// The connection broke.
    #[error("{doing} over D-Bus: {source}")]
    Exchange {
        /// The call.
        doing: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// No answer came in time.
    #[error("{doing} over D-Bus: no answer in time")]
    Timeout {
        /// The call.
        doing: String,
    },
    /// A message cannot be written.
    #[error("{doing} over D-Bus: {source:?}")]
    Request {
        /// The call.
        doing: String,
        /// What rustbus said.
        source: MarshalError,
    },
    /// A message is not understood.
    #[error("{doing} over D-Bus: the answer is not understood: {source}")]
    Answer {
        /// The call.
        doing: String,
        /// What rustbus said.
        source: UnmarshalError,
    },
    /// The service refused.
    #[error("{doing} over D-Bus: {name}: {text}")]
    Refused {
        /// The call.
        doing: String,
        /// Name of the error.
        name: String,
        /// Its message.
        text: String,
    },
}

impl BusError {
    /// Whether there is no system bus on this machine at all.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Connect { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the service refused with this error name.
    #[must_use]
    pub fn is_refusal(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { name, .. } if name == wanted)
    }
}

/// A connection to the system bus.
#[derive(Debug)]
pub struct Bus {
    stream: UnixStream,
    received: Vec<u8>,
    signals: VecDeque<MarshalledMessage>,
    last_serial: u32,
}

impl Bus {
    /// Connects to the system bus, or to the one at `address`, as `DBUS_SYSTEM_BUS_ADDRESS` would name it.
    ///
    /// # Errors
    /// [`BusError`].
    pub fn connect(address: Option<&str>, deadline: Instant) -> Result<Self, BusError> {
        let path = socket_path(address);
        let failed = |source| BusError::Connect {
            path: path.clone(),
            source,
        };
        let stream = connect_by(&path, deadline).map_err(failed)?;
        let mut bus = Self {
            stream,
            received: Vec::new(),
            signals: VecDeque::new(),
            last_serial: 0,
        };
        bus.greet(deadline)?;
        Ok(bus)
    }

    /// Authenticates, begins and says hello in one go (D-Bus specification, "Authentication Protocol": the client
    /// names itself by the credentials of its socket).
    fn greet(&mut self, deadline: Instant) -> Result<(), BusError> {
        let doing = "authenticate";
        let user: String = rustix::process::geteuid()
            .as_raw()
            .to_string()
            .bytes()
            .map(|digit| format!("{digit:02x}"))
            .collect();
        let greeting = format!("\0AUTH EXTERNAL {user}\r\nBEGIN\r\n");
        let (serial, hello) = self.marshal(doing, &standard_messages::hello())?;
        let bytes = [greeting.as_bytes(), &hello].concat();
        self.send(doing, &bytes, deadline)?;
        let answer = self.read_line(doing, deadline)?;
        if !answer.starts_with("OK ") {
            return Err(BusError::Authentication { answer });
        }
        self.wait_reply(doing, serial, deadline).map(drop)
    }

    /// Calls a method and waits for what it returns.
    ///
    /// # Errors
    /// [`BusError`].
    pub fn call(
        &mut self,
        call: &MarshalledMessage,
        deadline: Instant,
    ) -> Result<MarshalledMessage, BusError> {
        let doing = call.dynheader.member.clone().unwrap_or_default();
        self.call_named(&doing, call, deadline)
    }

    fn call_named(
        &mut self,
        doing: &str,
        call: &MarshalledMessage,
        deadline: Instant,
    ) -> Result<MarshalledMessage, BusError> {
        let (serial, bytes) = self.marshal(doing, call)?;
        self.send(doing, &bytes, deadline)?;
        self.wait_reply(doing, serial, deadline)
    }

    /// The next signal that a match rule lets through; `None` once `deadline` has passed.
    ///
    /// # Errors
    /// [`BusError`].
    pub fn next_signal(&mut self, deadline: Instant) -> Result<Option<MarshalledMessage>, BusError> {
        if let Some(signal) = self.signals.pop_front() {
            return Ok(Some(signal));
        }
        loop {
            match self.read_message("wait for a signal", deadline) {
                Ok(message) if message.typ == MessageType::Signal => return Ok(Some(message)),
                Ok(_) => {}
                Err(BusError::Timeout { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks for the signals that `rule` matches.
    ///
    /// # Errors
    /// [`BusError`].
    pub fn add_match(&mut self, rule: &str, deadline: Instant) -> Result<(), BusError> {
        self.call(&standard_messages::add_match(rule), deadline).map(drop)
    }

    /// Whether somebody on the bus owns `name`. Starts nothing.
    ///
    /// # Errors
    /// [`BusError`].
    pub fn name_has_owner(&mut self, name: &str, deadline: Instant) -> Result<bool, BusError> {
        let doing = "NameHasOwner";
        let mut call = MessageBuilder::new()
            .call(doing)
            .at("org.freedesktop.DBus")
            .on("/org/freedesktop/DBus")
            .with_interface("org.freedesktop.DBus")
            .build();
        push(doing, call.body.push_param(name))?;
        let reply = self.call(&call, deadline)?;
        parsed(doing, reply.body.parser().get::<bool>())
    }

    /// Calls a method without arguments of a service that runs. One that does not run is not started for it, and that is no
    /// error.
    ///
    /// # Errors
    /// [`BusError`].
    pub fn call_if_running(
        &mut self,
        service: &str,
        object: &str,
        interface: &str,
        method: &str,
        deadline: Instant,
    ) -> Result<(), BusError> {
        let mut call = MessageBuilder::new()
            .call(method)
            .at(service)
            .on(object)
            .with_interface(interface)
            .build();
        call.flags |= rustbus::message_builder::HeaderFlags::NoAutoStart.into_raw();
        match self.call(&call, deadline) {
            Err(error) if NOT_RUNNING.iter().any(|name| error.is_refusal(name)) => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// A property that is a string.
    ///
    /// # Errors
    /// [`BusError`].
    pub fn string_property(
        &mut self,
        service: &str,
        object: &str,
        interface: &str,
        property: &str,
        deadline: Instant,
    ) -> Result<String, BusError> {
        let mut call = MessageBuilder::new()
            .call("Get")
            .at(service)
            .on(object)
            .with_interface("org.freedesktop.DBus.Properties")
            .build();
        // An answer must not start a service that is not running.
        call.flags |= rustbus::message_builder::HeaderFlags::NoAutoStart.into_raw();
        let doing = format!("get {property} of {service}");
        push(&doing, call.body.push_param2(interface, property))?;
        let reply = self.call_named(&doing, &call, deadline)?;
        let variant: unmarshal::traits::Variant = parsed(&doing, reply.body.parser().get())?;
        parsed(&doing, variant.get::<String>())
    }

    fn marshal(&mut self, doing: &str, message: &MarshalledMessage) -> Result<(u32, Vec<u8>), BusError> {
        self.last_serial += 1;
        let mut bytes = Vec::new();
        push(doing, marshal::marshal(message, self.last_serial, &mut bytes))?;
        bytes.extend_from_slice(message.get_buf());
        Ok((self.last_serial, bytes))
    }

    fn send(&mut self, doing: &str, bytes: &[u8], deadline: Instant) -> Result<(), BusError> {
        let left = time_left(doing, deadline)?;
        let sent = self
            .stream
            .set_write_timeout(Some(left))
            .and_then(|()| self.stream.write_all(bytes));
        sent.map_err(|source| broken(doing, source))
    }

    fn wait_reply(
        &mut self,
        doing: &str,
        serial: u32,
        deadline: Instant,
    ) -> Result<MarshalledMessage, BusError> {
        loop {
            let message = self.read_message(doing, deadline)?;
            let ours = message.dynheader.response_serial == Some(serial);
            match message.typ {
                MessageType::Signal => self.signals.push_back(message),
                MessageType::Reply if ours => return Ok(message),
                MessageType::Error if ours => return Err(refusal(doing, &message)),
                _ => {}
            }
        }
    }

    fn read_message(&mut self, doing: &str, deadline: Instant) -> Result<MarshalledMessage, BusError> {
        self.receive(doing, PREFIX_BYTES, deadline)?;
        let length = message_length(&self.received).ok_or_else(|| malformed(doing))?;
        self.receive(doing, length, deadline)?;
        let bytes: Vec<u8> = self.received.drain(..length).collect();
        parsed(doing, parse_message(&bytes))
    }

    fn read_line(&mut self, doing: &str, deadline: Instant) -> Result<String, BusError> {
        loop {
            if let Some(end) = self.received.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.received.drain(..end + 2).take(end).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            self.receive(doing, self.received.len() + 1, deadline)?;
        }
    }

    /// Reads until at least `wanted` bytes are there.
    fn receive(&mut self, doing: &str, wanted: usize, deadline: Instant) -> Result<(), BusError> {
        let mut bytes = [0; 4096];
        while self.received.len() < wanted {
            let left = time_left(doing, deadline)?;
            let read = self
                .stream
                .set_read_timeout(Some(left))
                .and_then(|()| self.stream.read(&mut bytes));
            match read.map_err(|source| broken(doing, source))? {
                0 => return Err(broken(doing, io::ErrorKind::UnexpectedEof.into())),
                length => self
                    .received
                    .extend_from_slice(bytes.get(..length).unwrap_or_default()),
            }
        }
        Ok(())
    }
}

/// Turns what rustbus says of an answer into an error that names the call.
///
/// # Errors
/// [`BusError::Answer`].
pub fn parsed<T>(doing: &str, result: Result<T, UnmarshalError>) -> Result<T, BusError> {
    result.map_err(|source| BusError::Answer {
        doing: doing.to_owned(),
        source,
    })
}

/// Turns what rustbus says of a request into an error that names the call.
///
/// # Errors
/// [`BusError::Request`].
pub fn push(doing: &str, result: Result<(), MarshalError>) -> Result<(), BusError> {
    result.map_err(|source| BusError::Request {
        doing: doing.to_owned(),
        source,
    })
}

fn malformed(doing: &str) -> BusError {
    BusError::Answer {
        doing: doing.to_owned(),
        source: UnmarshalError::NotEnoughBytes,
    }
}

fn broken(doing: &str, source: io::Error) -> BusError {
    let doing = doing.to_owned();
    match source.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => BusError::Timeout { doing },
        _ => BusError::Exchange { doing, source },
    }
}

fn refusal(doing: &str, message: &MarshalledMessage) -> BusError {
    BusError::Refused {
        doing: doing.to_owned(),
        name: message.dynheader.error_name.clone().unwrap_or_default(),
        text: message.body.parser().get::<String>().unwrap_or_default(),
    }
}

fn time_left(doing: &str, deadline: Instant) -> Result<Duration, BusError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(BusError::Timeout {
            doing: doing.to_owned(),
        });
    }
    Ok(left)
}

fn socket_path(address: Option<&str>) -> PathBuf {
    let path = address
        .and_then(|address| address.strip_prefix("unix:path="))
        .and_then(|rest| rest.split([',', ';']).next());
    PathBuf::from(path.unwrap_or(SYSTEM_BUS))
}

/// Connects with a time limit: a bus that does not accept must not hold its caller up (`SO_SNDTIMEO` covers connect(2)
/// of a Unix socket, unix(7)).
fn connect_by(path: &Path, deadline: Instant) -> io::Result<UnixStream> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    set_socket_timeout(&socket, Timeout::Send, Some(left))?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

/// Length of the message that begins with these bytes (D-Bus specification, "Message Format"), or `None` when it is not
/// one or too long.
fn message_length(bytes: &[u8]) -> Option<usize> {
    let (_, header) = unmarshal::unmarshal_header(bytes, 0).ok()?;
    let raw: [u8; 4] = bytes.get(unmarshal::HEADER_LEN..PREFIX_BYTES)?.try_into().ok()?;
    let fields = match header.byteorder {
        rustbus::ByteOrder::LittleEndian => u32::from_le_bytes(raw),
        rustbus::ByteOrder::BigEndian => u32::from_be_bytes(raw),
    };
    let head = PREFIX_BYTES
        .checked_add(usize::try_from(fields).ok()?)?
        .checked_next_multiple_of(8)?;
    let length = head.checked_add(usize::try_from(header.body_len).ok()?)?;
    (length <= MAX_MESSAGE_BYTES).then_some(length)
}

fn parse_message(bytes: &[u8]) -> Result<MarshalledMessage, UnmarshalError> {
    let (at, header) = unmarshal::unmarshal_header(bytes, 0)?;
    let (used, fields) = unmarshal::unmarshal_dynamic_header(&header, bytes, at)?;
    let (_, message) = unmarshal::unmarshal_next_message(&header, fields, bytes, at + used)?;
    Ok(message)
}
