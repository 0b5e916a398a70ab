//! A connection to a message bus: authentication, and messages as bytes on the stream.
//!
//! rustbus encodes and decodes the messages. Its own connection is not used because rustbus 0.19 leaves the name out of
//! error messages, upon which the bus hangs up; here it is added.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustbus::message_builder::{MarshalledMessage, MessageType};
use rustbus::wire::errors::{MarshalError, UnmarshalError};
use rustbus::wire::{marshal, unmarshal};

/// Longest message that is accepted. Calls to the services are a few hundred bytes.
const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// The fixed part of a header and the length of its fields (D-Bus specification, "Message Format").
const FIXED_HEADER_BYTES: usize = 16;
/// Where the fixed part holds the length of the body, and of the header fields.
const BODY_LENGTH_AT: usize = 4;
const FIELDS_LENGTH_AT: usize = 12;
/// Header fields and the body start at multiples of this.
const ALIGNMENT: usize = 8;
/// Code of the header field that names an error.
const ERROR_NAME_FIELD: u8 = 4;
/// A bus that does not take or give a message within this time is broken.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// First byte of messages in the byte order that rustbus writes here.
const LITTLE_ENDIAN: u8 = b'l';

/// Why a message did not come through.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The stream broke.
    #[error("{0}")]
    Stream(#[from] io::Error),
    /// The bus does not let us in.
    #[error("the bus answered {0:?} to the authentication")]
    Authentication(String),
    /// A message cannot be encoded.
    #[error("encode a message: {0}")]
    Encode(#[from] MarshalError),
    /// A message cannot be decoded.
    #[error("decode a message: {0}")]
    Decode(#[from] UnmarshalError),
    /// A message is longer than anybody has reason to send.
    #[error("a message of {0} bytes")]
    TooLong(usize),
}

/// Connects to a bus and authenticates by the credentials of the socket.
pub fn connect(socket: &Path) -> Result<(Sender, Receiver), ConnectionError> {
    let stream = UnixStream::connect(socket)?;
    stream.set_write_timeout(Some(WRITE_DEADLINE))?;
    let mut receiver = Receiver(BufReader::new(stream.try_clone()?));
    let mut sender = Sender {
        stream,
        last_serial: 0,
    };
    let user: String = rustix::process::geteuid()
        .to_string()
        .bytes()
        .map(|digit| format!("{digit:02x}"))
        .collect();
    sender
        .stream
        .write_all(format!("\0AUTH EXTERNAL {user}\r\n").as_bytes())?;
    let mut answer = String::new();
    receiver.0.read_line(&mut answer)?;
    if !answer.starts_with("OK ") {
        return Err(ConnectionError::Authentication(answer));
    }
    sender.stream.write_all(b"BEGIN\r\n")?;
    Ok((sender, receiver))
}

/// The sending end.
#[derive(Debug)]
pub struct Sender {
    stream: UnixStream,
    last_serial: u32,
}

impl Sender {
    /// Sends a message and answers its serial number.
    pub fn send(&mut self, message: &MarshalledMessage) -> Result<u32, ConnectionError> {
        self.last_serial += 1;
        let mut bytes = Vec::new();
        marshal::marshal(message, self.last_serial, &mut bytes)?;
        if let Some(name) = &message.dynheader.error_name {
            add_error_name(&mut bytes, name);
        }
        bytes.extend_from_slice(message.get_buf());
        self.stream.write_all(&bytes)?;
        Ok(self.last_serial)
    }
}

/// Turns the header of a reply into that of an error with this name.
fn add_error_name(header: &mut Vec<u8>, name: &str) {
    let fields = length_at(header, FIELDS_LENGTH_AT);
    header.truncate(FIXED_HEADER_BYTES + fields);
    pad(header);
    // A structure of the code and a variant, which is a signature and a text.
    header.extend_from_slice(&[ERROR_NAME_FIELD, 1, b's', 0]);
    header.extend_from_slice(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes());
    header.extend_from_slice(name.as_bytes());
    header.push(0);
    let fields = u32::try_from(header.len() - FIXED_HEADER_BYTES).unwrap_or(u32::MAX);
    header[FIELDS_LENGTH_AT..FIXED_HEADER_BYTES].copy_from_slice(&fields.to_le_bytes());
    pad(header);
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
}

fn length_at(header: &[u8], at: usize) -> usize {
    let bytes: [u8; 4] = std::array::from_fn(|index| header.get(at + index).copied().unwrap_or(0));
    let length = if header.first() == Some(&LITTLE_ENDIAN) {
        u32::from_le_bytes(bytes)
    } else {
        u32::from_be_bytes(bytes)
    };
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// The receiving end.
#[derive(Debug)]
pub struct Receiver(BufReader<UnixStream>);

impl Receiver {
    /// The next message, however long it takes to come.
    pub fn receive(&mut self) -> Result<MarshalledMessage, ConnectionError> {
        let mut bytes = vec![0; FIXED_HEADER_BYTES];
        self.0.read_exact(&mut bytes)?;
        let fields = length_at(&bytes, FIELDS_LENGTH_AT)
            .min(MAX_MESSAGE_BYTES)
            .next_multiple_of(ALIGNMENT);
        let body = length_at(&bytes, BODY_LENGTH_AT);
        let total = FIXED_HEADER_BYTES.saturating_add(fields).saturating_add(body);
        if total > MAX_MESSAGE_BYTES {
            return Err(ConnectionError::TooLong(total));
        }
        bytes.resize(total, 0);
        self.0.read_exact(&mut bytes[FIXED_HEADER_BYTES..])?;
        let (fixed, header) = unmarshal::unmarshal_header(&bytes, 0)?;
        let (dynamic, fields) = unmarshal::unmarshal_dynamic_header(&header, &bytes, fixed)?;
        let (_, message) = unmarshal::unmarshal_next_message(&header, fields, &bytes, fixed + dynamic)?;
        Ok(message)
    }

    /// The answer to the message with this serial number; what comes before it is dropped.
    pub fn receive_answer(&mut self, serial: u32) -> Result<MarshalledMessage, ConnectionError> {
        loop {
            let message = self.receive()?;
            let answers = matches!(message.typ, MessageType::Reply | MessageType::Error);
            if answers && message.dynheader.response_serial == Some(serial) {
                return Ok(message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_name_on_the_wire() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut sender = Sender {
            stream: ours,
            last_serial: 0,
        };
        let mut receiver = Receiver(BufReader::new(theirs));
        for name in ["a.b", "com.example.Longer", "com.example.Longer1"] {
            let call = rustbus::message_builder::DynamicHeader {
                serial: Some(7),
                sender: Some(":1.42".into()),
                ..Default::default()
            };
            let mut error = call.make_error_response(name, Some("because".into()));
            error.typ = MessageType::Error;
            sender.send(&error).unwrap();
            let received = receiver.receive_answer(7).unwrap();
            assert_eq!(received.typ, MessageType::Error);
            assert_eq!(received.dynheader.error_name.as_deref(), Some(name));
            assert_eq!(received.body.parser().get::<String>().unwrap(), "because");
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_refused_before_it_is_read() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut header = [0; FIXED_HEADER_BYTES];
        header[0] = LITTLE_ENDIAN;
        header[BODY_LENGTH_AT..BODY_LENGTH_AT + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        (&ours).write_all(&header).unwrap();
        let error = Receiver(BufReader::new(theirs)).receive().unwrap_err();
        assert!(matches!(error, ConnectionError::TooLong(_)), "{error}");
    }
}
