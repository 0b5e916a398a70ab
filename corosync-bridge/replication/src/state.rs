//! What a node remembers across a power cut: the newest epoch, who opened it, and how new its own copy is.
//!
//! The file is 51 bytes: magic, version, four numbers, a mark, and a digest over all before it. It is replaced as a
//! whole, so a power cut leaves the old one or the new one. A damaged file is not guessed at: the node
//! starts from position zero, which makes it older than any other copy until it has been compared.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::conflicts::{ConflictDirectory, ConflictStore, Kept, Loser};
use crate::digest::Digest;
use crate::record_log::{LogFile, Medium};
use crate::tree::Source;
use crate::{NodeId, Position};

/// The first bytes of a state file.
const MAGIC: [u8; 4] = *b"BMCS";

/// Version of the state file. A file of a later version counts as damaged: nothing can be said of it.
const VERSION: u8 = 2;

/// The version before, without the mark of [`State::disabled`]: still read, so that an update forgets nothing.
const VERSION_WITHOUT_MARK: u8 = 1;

/// Bytes of the digest: it guards against bit rot, not against people.
const CHECK_BYTES: usize = Digest::BYTES;

/// Bytes before the digest.
const BODY_BYTES: usize = 4 + 1 + 8 + 4 + 8 + 8 + 1;

/// Name of the file in the state directory.
const FILE_NAME: &str = "replication.state";

/// Name under which the next one is written.
const NEXT_NAME: &str = "replication.state.next";

/// Name of the log of digests, beside it.
const DIGESTS_NAME: &str = "replication.digests";

/// Where Linux tells one boot from another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Name of the log of what was agreed, beside it.
const AGREED_NAME: &str = "replication.agreed";

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

impl State {
    /// The state as a file holds it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BODY_BYTES + CHECK_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.epoch.to_be_bytes());
        bytes.extend_from_slice(&self.owner.0.to_be_bytes());
        bytes.extend_from_slice(&self.position.epoch.to_be_bytes());
        bytes.extend_from_slice(&self.position.sequence.to_be_bytes());
        bytes.push(u8::from(self.disabled));
        let check = Digest::of(&bytes);
        bytes.extend_from_slice(&check.0);
        bytes
    }

    /// The state that a file holds; `None` when it is damaged or of another version.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, check) = bytes.split_at_checked(bytes.len().checked_sub(CHECK_BYTES)?)?;
        if check != Digest::of(body).0 {
            return None;
        }
        let (version, rest) = body.strip_prefix(&MAGIC)?.split_first()?;
        let (disabled, rest) = match (*version, rest.split_last()) {
            (VERSION_WITHOUT_MARK, _) => (false, rest),
            (VERSION, Some((0, rest))) => (false, rest),
            (VERSION, Some((1, rest))) => (true, rest),
            _ => return None,
        };
        let (epoch, rest) = rest.split_first_chunk::<8>()?;
        let (owner, rest) = rest.split_first_chunk::<4>()?;
        let (position_epoch, sequence) = rest.split_first_chunk::<8>()?;
        Some(Self {
            epoch: u64::from_be_bytes(*epoch),
            owner: NodeId(u32::from_be_bytes(*owner)),
            position: Position {
                epoch: u64::from_be_bytes(*position_epoch),
                sequence: u64::from_be_bytes(sequence.try_into().ok()?),
            },
            disabled,
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

/// Keeps the state in a file of a directory that nothing else writes to.
#[derive(Debug)]
pub struct StateFile {
    directory: PathBuf,
}

impl StateFile {
    /// Keeps it in `directory`, which exists.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    fn write(&self, state: &State) -> Result<(), (&'static str, PathBuf, io::Error)> {
        let (path, next) = (self.directory.join(FILE_NAME), self.directory.join(NEXT_NAME));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&next)
            .map_err(|error| ("create", next.clone(), error))?;
        file.write_all(&state.encode())
            .and_then(|()| file.sync_data())
            .map_err(|error| ("write", next.clone(), error))?;
        fs::rename(&next, &path).map_err(|error| ("replace", path, error))?;
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| ("sync", self.directory.clone(), error))
    }
}

impl StateStore for StateFile {
    fn load(&mut self) -> Result<State, StateError> {
        let path = self.directory.join(FILE_NAME);
        let mut bytes = Vec::with_capacity(BODY_BYTES + CHECK_BYTES);
        // One byte more than a state has is enough to see that a file is not one.
        let limit = u64::try_from(BODY_BYTES + CHECK_BYTES + 1).unwrap_or(u64::MAX);
        match File::open(&path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
            Ok(_) => State::decode(&bytes).ok_or(StateError::Damaged { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::default()),
            Err(source) => Err(StateError::Io {
                action: "read",
                path,
                source,
            }),
        }
    }

    fn save(&mut self, state: &State) -> Result<(), StateError> {
        self.write(state)
            .map_err(|(action, path, source)| StateError::Io { action, path, source })
    }

    fn digests(&mut self) -> Box<dyn Medium> {
        Box::new(LogFile::new(&self.directory, DIGESTS_NAME))
    }

    fn boot(&self) -> Vec<u8> {
        fs::read(BOOT_ID).unwrap_or_default()
    }

    fn agreed(&mut self) -> Box<dyn Medium> {
        Box::new(LogFile::new(&self.directory, AGREED_NAME))
    }
}

impl ConflictStore for StateFile {
    fn keep_aside(
        &mut self,
        loser: &Loser<'_>,
        content: Option<&mut dyn Source>,
    ) -> Result<Kept, StateError> {
        ConflictDirectory::new(&self.directory).keep_aside(loser, content)
    }

    fn conflicts(&self) -> u64 {
        ConflictDirectory::new(&self.directory).conflicts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: State = State {
        epoch: 7,
        owner: NodeId(2),
        position: Position {
            epoch: 6,
            sequence: 0x0102,
        },
        disabled: true,
    };

    #[test]
    fn a_state_file_of_version_2_keeps_its_bytes() {
        let bytes = STATE.encode();
        assert_eq!(
            bytes[..BODY_BYTES],
            *b"BMCS\x02\0\0\0\0\0\0\0\x07\0\0\0\x02\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\x01\x02\x01"
        );
        assert_eq!(State::decode(&bytes), Some(STATE));
    }

    #[test]
    fn a_state_file_of_version_1_is_still_read() {
        let body = b"BMCS\x01\0\0\0\0\0\0\0\x07\0\0\0\x02\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\x01\x02";
        let bytes = [&body[..], &Digest::of(body).0].concat();
        let state = State {
            disabled: false,
            ..STATE
        };
        assert_eq!(State::decode(&bytes), Some(state));
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        let bytes = STATE.encode();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(State::decode(&damaged), None, "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(State::decode(&bytes[..length]), None, "length {length}");
        }
        assert_eq!(State::decode(&[bytes, vec![0]].concat()), None);
    }

    #[test]
    fn a_state_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = StateFile::new(directory.path());
        assert_eq!(store.load().unwrap(), State::default());
        store.save(&STATE).unwrap();
        assert_eq!(StateFile::new(directory.path()).load().unwrap(), STATE);
    }

    #[test]
    fn a_damaged_file_is_named_and_replaced_by_the_next_save() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        fs::write(&path, b"BMCS\x01 not what it was").unwrap();
        let mut store = StateFile::new(directory.path());
        let error = store.load().unwrap_err().to_string();
        assert!(
            error.contains(path.to_str().unwrap()) && error.contains("damaged"),
            "{error}"
        );
        store.save(&STATE).unwrap();
        assert_eq!(store.load().unwrap(), STATE);
    }

    #[test]
    fn a_power_cut_at_any_byte_of_the_next_state_leaves_the_old_one() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = StateFile::new(directory.path());
        store.save(&STATE).unwrap();
        let next = State { epoch: 8, ..STATE };
        let bytes = next.encode();
        for length in 0..=bytes.len() {
            fs::write(directory.path().join(NEXT_NAME), &bytes[..length]).unwrap();
            assert_eq!(store.load().unwrap(), STATE, "cut at {length}");
        }
        store.save(&next).unwrap();
        assert_eq!(store.load().unwrap(), next);
    }

    #[test]
    fn a_damaged_state_is_not_made_up_for_by_what_was_to_replace_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = StateFile::new(directory.path());
        for damaged in [
            Vec::new(),
            vec![0; STATE.encode().len()],
            STATE.encode()[1..].to_vec(),
        ] {
            fs::write(directory.path().join(FILE_NAME), &damaged).unwrap();
            // Nobody was told that this one is in force.
            fs::write(directory.path().join(NEXT_NAME), STATE.encode()).unwrap();
            assert!(
                matches!(store.load(), Err(StateError::Damaged { .. })),
                "{damaged:?}"
            );
        }
        store.save(&STATE).unwrap();
        assert_eq!(store.load().unwrap(), STATE);
    }

    #[test]
    fn a_state_that_cannot_be_written_is_told_of_and_the_old_one_stays() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = StateFile::new(directory.path());
        store.save(&STATE).unwrap();
        // A directory cannot be opened for writing, whoever tries.
        let next = directory.path().join(NEXT_NAME);
        fs::create_dir(&next).unwrap();
        let error = store.save(&State { epoch: 8, ..STATE }).unwrap_err().to_string();
        assert!(
            error.starts_with("create ") && error.contains(next.to_str().unwrap()),
            "{error}"
        );
        assert_eq!(store.load().unwrap(), STATE);

        let mut nowhere = StateFile::new(&directory.path().join("missing"));
        assert_eq!(nowhere.load().unwrap(), State::default());
        assert!(nowhere.save(&STATE).unwrap_err().to_string().contains("missing"));
    }
}
