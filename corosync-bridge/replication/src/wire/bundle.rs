//! Several messages that CPG carries as one, packed.
//!
//! What Corosync does for each message costs more than what it does for a kilobyte of it, and settings pack well. So
//! messages that wait for room go together: behind magic, version and kind stands how long they are unpacked, and then
//! one LZ4 block; in it each message as long as its length before it says. A bundle is delivered whole or not at all,
//! and its messages count one after the other, as if each had come alone. None is in it that its sender has to hear of.

use super::{MAGIC, VERSION, WireError, kind};

/// Messages are put together up to this many bytes, unpacked. More would pack hardly better, and what comes behind waits.
pub const BUNDLE_BYTES: usize = 256 * 1024;

/// A message alone up to this many bytes is not worth packing.
const NOT_WORTH_BYTES: usize = 256;

/// Unpacked bytes that a bundle may hold: the largest message fits, with room.
const MOST_BYTES: usize = 512 * 1024;

/// A byte of an LZ4 block stands for no more than this many.
const MOST_PER_BYTE: usize = 255;

/// Bytes before the block.
const HEADER_BYTES: usize = MAGIC.len() + 1 + 1 + LENGTH_BYTES;

const LENGTH_BYTES: usize = size_of::<u32>();

/// Messages that were packed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle(Vec<u8>);

impl Bundle {
    /// What CPG has to carry for these encoded messages: a bundle, or the message itself where there is one and packing gains
    /// nothing.
    #[must_use]
    pub fn pack(mut messages: Vec<Vec<u8>>) -> Vec<u8> {
        if matches!(messages.as_slice(), [message] if message.len() <= NOT_WORTH_BYTES) {
            return messages.swap_remove(0);
        }
        let length = messages.iter().map(|message| LENGTH_BYTES + message.len()).sum();
        let mut unpacked = Vec::with_capacity(length);
        for message in &messages {
            put_length(&mut unpacked, message.len());
            unpacked.extend_from_slice(message);
        }
        let packed = lz4_flex::block::compress(&unpacked);
        if let [message] = messages.as_slice() {
            if HEADER_BYTES + packed.len() >= message.len() {
                return messages.swap_remove(0);
            }
        }
        let mut bytes = Vec::with_capacity(HEADER_BYTES + packed.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.push(VERSION);
        bytes.push(kind::BUNDLE);
        put_length(&mut bytes, unpacked.len());
        bytes.extend_from_slice(&packed);
        bytes
    }

    /// Whether CPG carried a bundle, and not a message by itself.
    #[must_use]
    pub fn is_in(bytes: &[u8]) -> bool {
        bytes
            .strip_prefix(&MAGIC)
            .is_some_and(|rest| rest.starts_with(&[VERSION, kind::BUNDLE]))
    }

    /// The bundle that `bytes` hold.
    ///
    /// # Errors
    /// [`WireError`] says what is wrong with the bytes.
    pub fn unpack(bytes: &[u8]) -> Result<Self, WireError> {
        let (header, packed) = bytes.split_at_checked(HEADER_BYTES).ok_or(WireError::Truncated)?;
        let (_, length) = header.split_last_chunk().ok_or(WireError::Truncated)?;
        let length = u32::from_be_bytes(*length);
        let most = MOST_BYTES.min(packed.len().saturating_mul(MOST_PER_BYTE));
        let length = usize::try_from(length)
            .ok()
            .filter(|length| (1..=most).contains(length))
            .ok_or(WireError::Value {
                field: "the length of a bundle",
                value: length.into(),
            })?;
        let mut unpacked = vec![0; length];
        match lz4_flex::block::decompress_into(packed, &mut unpacked) {
            Ok(unpacked_length) if unpacked_length == length => {}
            Ok(_) | Err(_) => return Err(WireError::Packed),
        }
        let mut rest = unpacked.as_slice();
        while !rest.is_empty() {
            (_, rest) = next(rest).ok_or(WireError::Truncated)?;
        }
        Ok(Self(unpacked))
    }

    /// Its messages, in the order in which they were sent.
    pub fn messages(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (message, behind) = next(rest)?;
            rest = behind;
            Some(message)
        })
    }
}

/// The next message in what was unpacked, and what is behind it.
fn next(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}
