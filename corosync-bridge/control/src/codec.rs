//! The bridge's side of the wire: bytes from a client become requests, replies become bytes. No I/O here.

use serde::Deserialize;

use crate::MAX_LINE_BYTES;
use crate::messages::{Reply, Request, VERSION};

/// Why a line is not a request. The message is the answer that the client gets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The line never ends. What follows cannot be told apart from it, so the connection is over.
    #[error("read request: longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// The client speaks another version.
    #[error("read request: it is of version {theirs} of the control messages, this bridge speaks {VERSION}")]
    Version {
        /// The client's version.
        theirs: u32,
    },
    /// It is not a request of this version.
    #[error("read request: {0}")]
    Malformed(String),
}

/// What every version has: enough to name it in a refusal.
#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

/// Bytes that came from one client, taken out as requests.
#[derive(Debug, Default)]
pub struct RequestBuffer {
    bytes: Vec<u8>,
}

impl RequestBuffer {
    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether [`RequestBuffer::next_request`] has something to say.
    #[must_use]
    pub fn has_line(&self) -> bool {
        self.bytes.len() >= MAX_LINE_BYTES || self.bytes.contains(&b'\n')
    }

    /// Takes the next line out, if one is complete.
    pub fn next_request(&mut self) -> Option<Result<Request, RequestError>> {
        let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') else {
            return (self.bytes.len() >= MAX_LINE_BYTES).then_some(Err(RequestError::TooLong));
        };
        let rest = self.bytes.split_off(end + 1);
        let line = std::mem::replace(&mut self.bytes, rest);
        Some(parse(&line))
    }
}

fn parse(line: &[u8]) -> Result<Request, RequestError> {
    let malformed = |error: serde_json::Error| RequestError::Malformed(error.to_string());
    let AnyVersion { version: theirs } = serde_json::from_slice(line).map_err(malformed)?;
    if theirs != VERSION {
        return Err(RequestError::Version { theirs });
    }
    serde_json::from_slice(line).map_err(malformed)
}

/// The line that carries `reply`.
///
/// # Errors
/// Never for the replies of this crate; the error is that of the serialiser.
pub fn encode_reply(reply: &Reply) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::Command;

    const STATUS: &[u8] = br#"{"version":1,"command":"status","deadline_ms":100}"#;

    #[test]
    fn requests_come_out_whole_however_they_came_in() {
        let mut buffer = RequestBuffer::default();
        for byte in STATUS {
            buffer.push(&[*byte]);
            assert!(!buffer.has_line());
            assert_eq!(buffer.next_request(), None);
        }
        buffer.push(b"\n");
        assert!(buffer.has_line());
        buffer.push(STATUS);
        let request = Request {
            version: 1,
            command: Command::Status,
            deadline_ms: 100,
            progress: false,
        };
        assert_eq!(buffer.next_request(), Some(Ok(request)));
        assert_eq!(buffer.next_request(), None);
        buffer.push(b"\n");
        assert!(buffer.next_request().unwrap().is_ok());
    }

    #[test]
    fn a_request_of_another_version_is_refused_by_both_numbers_whatever_else_is_in_it() {
        let mut buffer = RequestBuffer::default();
        buffer.push(b"{\"version\":2,\"command\":\"dance\",\"tempo\":3}\n");
        let error = buffer.next_request().unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "read request: it is of version 2 of the control messages, this bridge speaks 1"
        );
    }

    #[test]
    fn what_is_not_a_request_is_refused_and_the_next_line_counts_again() {
        let mut buffer = RequestBuffer::default();
        for line in [
            "",
            "7",
            "{}",
            r#"{"version":1,"command":"dance","deadline_ms":1}"#,
        ] {
            buffer.push(line.as_bytes());
            buffer.push(b"\n");
            let error = buffer.next_request().unwrap().unwrap_err();
            assert!(matches!(error, RequestError::Malformed(_)), "{line}: {error}");
        }
        buffer.push(STATUS);
        buffer.push(b"\n");
        assert!(buffer.next_request().unwrap().is_ok());
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut buffer = RequestBuffer::default();
        buffer.push(&vec![b' '; MAX_LINE_BYTES - 1]);
        assert_eq!(buffer.next_request(), None);
        buffer.push(b" ");
        assert_eq!(buffer.next_request(), Some(Err(RequestError::TooLong)));
    }
}
