//! What a node remembers across a power cut: the newest epoch, who opened it, and how new its own copy is.
//!
//! A record of it is 59 bytes: magic, version, how often a state was kept, four numbers, a mark, and a digest over all
//! before it. A damaged one is not guessed at. Where records are kept is [`StateFile`](crate::StateFile)'s.

use std::io;
use std::path::PathBuf;

use crate::conflicts::ConflictStore;
use crate::digest::Digest;
use crate::record_log::Medium;
use crate::{NodeId, Position};

/// The first bytes of a record.
const MAGIC: [u8; 4] = *b"BMCS";

/// Version of a record. One of a later version counts as damaged: nothing can be said of it.
const VERSION: u8 = 3;

/// The version before, without [`Record::saves`]: still read, so that an update forgets nothing.
const VERSION_WITHOUT_SAVES: u8 = 2;

/// The version before that, without the mark of [`State::disabled`] either.
const VERSION_WITHOUT_MARK: u8 = 1;

/// Bytes of the digest: it guards against bit rot, not against people.
const CHECK_BYTES: usize = Digest::BYTES;

/// Bytes before the digest.
const BODY_BYTES: usize = 4 + 1 + 8 + 8 + 4 + 8 + 8 + 1;

/// What a node remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Newest epoch seen; 0 before the first promotion ever. Messages of an older one are refused.
    pub epoch: u64,
    /// Who opened it; node 0 before the first promotion ever.
    pub owner: NodeId,
    /// How new this node's copy is.
    pub position: Position,
    /// Replication was disabled, and not enabled since.
    pub disabled: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            epoch: 0,
            owner: NodeId(0),
            position: Position::default(),
            disabled: false,
        }
    }
}

/// A state as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// How often one was kept: of two records the one that was kept later has more. 0 where the record does not say.
    pub saves: u64,
    /// What is kept.
    pub state: State,
}

impl Record {
    /// Bytes of a record of the current version.
    pub const BYTES: usize = BODY_BYTES + CHECK_BYTES;

    /// The bytes that are kept.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let State {
            epoch,
            owner,
            position,
            disabled,
        } = self.state;
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.saves.to_be_bytes());
        bytes.extend_from_slice(&epoch.to_be_bytes());
        bytes.extend_from_slice(&owner.0.to_be_bytes());
        bytes.extend_from_slice(&position.epoch.to_be_bytes());
        bytes.extend_from_slice(&position.sequence.to_be_bytes());
        bytes.push(u8::from(disabled));
        let check = Digest::of(&bytes);
        bytes.extend_from_slice(&check.0);
        bytes
    }

    /// The record that these bytes are, of this version or one before; `None` when they are none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, check) = bytes.split_at_checked(bytes.len().checked_sub(CHECK_BYTES)?)?;
        if check != Digest::of(body).0 {
            return None;
        }
        let (version, rest) = body.strip_prefix(&MAGIC)?.split_first()?;
        let (saves, rest) = match *version {
            VERSION => rest.split_first_chunk::<8>()?,
            VERSION_WITHOUT_SAVES | VERSION_WITHOUT_MARK => (&[0; 8], rest),
            _ => return None,
        };
        let (disabled, rest) = match (*version, rest.split_last()) {
            (VERSION_WITHOUT_MARK, _) => (false, rest),
            (_, Some((0, rest))) => (false, rest),
            (_, Some((1, rest))) => (true, rest),
            _ => return None,
        };
        let (epoch, rest) = rest.split_first_chunk::<8>()?;
        let (owner, rest) = rest.split_first_chunk::<4>()?;
        let (position_epoch, sequence) = rest.split_first_chunk::<8>()?;
        let state = State {
            epoch: u64::from_be_bytes(*epoch),
            owner: NodeId(u32::from_be_bytes(*owner)),
            position: Position {
                epoch: u64::from_be_bytes(*position_epoch),
                sequence: u64::from_be_bytes(sequence.try_into().ok()?),
            },
            disabled,
        };
        Some(Self {
            saves: u64::from_be_bytes(*saves),
            state,
        })
    }
}

/// Why the state could not be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The system refused.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds no state.
    #[error("read {}: it is damaged or of another version; starting from position zero", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// Where the state is kept.
pub trait StateStore: ConflictStore {
    /// The state kept last; the default when none ever was.
    ///
    /// # Errors
    /// The state is there and cannot be had. The core then starts from the default and reports it.
    fn load(&mut self) -> Result<State, StateError>;

    /// Keeps `state`; it is durable when this returns.
    ///
    /// # Errors
    /// It is not known to be durable.
    fn save(&mut self, state: &State) -> Result<(), StateError>;

    /// Where the digests of unchanged files are kept. It may lose anything at any time.
    fn digests(&mut self) -> Box<dyn Medium>;

    /// A name of this boot, which no other boot of this node has; empty where none is known.
    fn boot(&self) -> Vec<u8>;

    /// Where what the members agreed on is kept.
    fn agreed(&mut self) -> Box<dyn Medium>;
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Record = Record {
        saves: 0x0304,
        state: State {
            epoch: 7,
            owner: NodeId(2),
            position: Position {
                epoch: 6,
                sequence: 0x0102,
            },
            disabled: true,
        },
    };

    #[test]
    fn a_record_of_version_3_keeps_its_bytes() {
        let bytes = RECORD.encode();
        assert_eq!(
            bytes[..BODY_BYTES],
            *b"BMCS\x03\0\0\0\0\0\0\x03\x04\0\0\0\0\0\0\0\x07\0\0\0\x02\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\x01\x02\x01"
        );
        assert_eq!(Record::decode(&bytes), Some(RECORD));
    }

    #[test]
    fn records_of_the_versions_before_are_still_read() {
        let before = |body: &[u8]| Record::decode(&[body, &Digest::of(body).0].concat());
        let fields = b"\0\0\0\0\0\0\0\x07\0\0\0\x02\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\x01\x02";
        let expected = |disabled| Record {
            saves: 0,
            state: State {
                disabled,
                ..RECORD.state
            },
        };
        let without_saves = [b"BMCS\x02", &fields[..], &[1]].concat();
        assert_eq!(before(&without_saves), Some(expected(true)));
        let without_mark = [b"BMCS\x01", &fields[..]].concat();
        assert_eq!(before(&without_mark), Some(expected(false)));
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        let bytes = RECORD.encode();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::decode(&damaged), None, "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..length]), None, "length {length}");
        }
        assert_eq!(Record::decode(&[bytes, vec![0]].concat()), None);
    }
}
