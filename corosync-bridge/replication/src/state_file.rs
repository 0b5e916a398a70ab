//! The state on disk: two records in turns, so that a power cut leaves the one before or the new one.
//!
//! Each has a block of the file to itself. What is kept next goes into the block of the older one, which is one write of
//! bytes that the file has already, and one sync; a file in the place of another would be four writes and two syncs, after
//! every change. A record that is damaged, by a cut or otherwise, leaves the other: an older position only makes this copy
//! look older until it has been compared. With neither, the node starts from position zero.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::conflicts::{ConflictDirectory, ConflictStore, Kept, Loser};
use crate::record_log::{LogFile, Medium};
use crate::state::{Record, State, StateError, StateStore};
use crate::tree::Source;

/// Name of the file in the state directory.
const FILE_NAME: &str = "replication.state";

/// Name under which it is made.
const NEXT_NAME: &str = "replication.state.next";

/// Name of the log of digests, beside it.
const DIGESTS_NAME: &str = "replication.digests";

/// Where Linux tells one boot from another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Name of the log of what was agreed, beside it.
const AGREED_NAME: &str = "replication.agreed";

/// Bytes of a block: a disk whose power goes while it writes one leaves the other alone.
const BLOCK_BYTES: usize = 4096;

/// Keeps the state in a file of a directory that nothing else writes to.
#[derive(Debug)]
pub struct StateFile {
    directory: PathBuf,
    /// The newest record of the file, and its block; `None` where there is no file whose other block may be written to.
    newest: Option<(u64, Block)>,
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    First,
    Second,
}

impl Block {
    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    fn offset(self) -> usize {
        match self {
            Self::First => 0,
            Self::Second => BLOCK_BYTES,
        }
    }

    /// The record in this block of a file.
    fn record(self, file: &[u8]) -> Option<Record> {
        let start = self.offset();
        Record::decode(file.get(start..start + Record::BYTES)?)
    }
}

type Failure = (&'static str, PathBuf, io::Error);

impl StateFile {
    /// Keeps it in `directory`, which exists.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            newest: None,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(FILE_NAME)
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(2 * BLOCK_BYTES);
        let limit = u64::try_from(2 * BLOCK_BYTES).unwrap_or(u64::MAX);
        File::open(self.path())?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write(&mut self, state: State) -> Result<(), Failure> {
        let (block, saves) = match self.newest {
            Some((saves, block)) => (block.other(), saves + 1),
            None => (Block::First, 1),
        };
        let record = Record { saves, state }.encode();
        let is_written = self.newest.is_some() && self.overwrite(block, &record)?;
        let block = if is_written {
            block
        } else {
            self.replace(&record)?;
            Block::First
        };
        self.newest = Some((saves, block));
        Ok(())
    }

    /// Writes into a block of the file that is there. Returns whether one is.
    fn overwrite(&self, block: Block, record: &[u8]) -> Result<bool, Failure> {
        let path = self.path();
        let file = match OpenOptions::new().write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(("open", path, error)),
        };
        let offset = u64::try_from(block.offset()).unwrap_or(u64::MAX);
        file.write_all_at(record, offset)
            .and_then(|()| file.sync_data())
            .map_err(|error| ("write", path, error))?;
        Ok(true)
    }

    /// Puts a file with this record in the place of whatever is there.
    fn replace(&self, record: &[u8]) -> Result<(), Failure> {
        let (path, next) = (self.path(), self.directory.join(NEXT_NAME));
        let mut bytes = record.to_vec();
        // Written, not left out: what the next one overwrites has its place on the disk.
        bytes.resize(2 * BLOCK_BYTES, 0);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&next)
            .map_err(|error| ("create", next.clone(), error))?;
        file.write_all(&bytes)
            .and_then(|()| file.sync_all())
            .map_err(|error| ("write", next.clone(), error))?;
        fs::rename(&next, &path).map_err(|error| ("replace", path, error))?;
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| ("sync", self.directory.clone(), error))
    }
}

impl StateStore for StateFile {
    fn load(&mut self) -> Result<State, StateError> {
        self.newest = None;
        let path = self.path();
        let bytes = match self.read() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
            Err(source) => {
                return Err(StateError::Io {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        let records = [Block::First, Block::Second].map(|block| Some((block.record(&bytes)?, block)));
        let newest = records
            .into_iter()
            .flatten()
            .max_by_key(|(record, _)| record.saves);
        if let Some((record, block)) = newest {
            self.newest = Some((record.saves, block));
            return Ok(record.state);
        }
        // A file of a version before held one record, and nothing else.
        match Record::decode(&bytes) {
            Some(record) => Ok(record.state),
            None => Err(StateError::Damaged { path }),
        }
    }

    fn save(&mut self, state: &State) -> Result<(), StateError> {
        self.write(*state)
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
    use crate::digest::Digest;
    use crate::{NodeId, Position};

    const STATE: State = State {
        epoch: 7,
        owner: NodeId(2),
        position: Position {
            epoch: 6,
            sequence: 0x0102,
        },
        disabled: true,
    };

    fn of_epoch(epoch: u64) -> State {
        State { epoch, ..STATE }
    }

    fn loaded(directory: &tempfile::TempDir) -> State {
        StateFile::new(directory.path()).load().unwrap()
    }

    #[test]
    fn a_state_is_found_again_however_often_one_was_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = StateFile::new(directory.path());
        assert_eq!(store.load().unwrap(), State::default());
        for epoch in 1..6 {
            store.save(&of_epoch(epoch)).unwrap();
            assert_eq!(loaded(&directory), of_epoch(epoch));
        }
    }

    #[test]
    fn only_the_first_one_makes_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(&path).unwrap());
        let mut store = StateFile::new(directory.path());
        store.save(&of_epoch(1)).unwrap();
        let first = inode();
        // Also those of the next bridge.
        let mut store = StateFile::new(directory.path());
        store.load().unwrap();
        for epoch in 2..5 {
            store.save(&of_epoch(epoch)).unwrap();
        }
        assert_eq!((loaded(&directory), inode()), (of_epoch(4), first));
        // And where it was taken away there is one again.
        fs::remove_file(&path).unwrap();
        store.save(&of_epoch(5)).unwrap();
        store.save(&of_epoch(6)).unwrap();
        assert_eq!(loaded(&directory), of_epoch(6));
    }

    #[test]
    fn a_file_of_the_version_before_is_read_and_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        let body = b"BMCS\x02\0\0\0\0\0\0\0\x07\0\0\0\x02\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\x01\x02\x01";
        fs::write(&path, [&body[..], &Digest::of(body).0].concat()).unwrap();
        let mut store = StateFile::new(directory.path());
        assert_eq!(store.load().unwrap(), STATE);
        store.save(&of_epoch(8)).unwrap();
        assert_eq!(loaded(&directory), of_epoch(8));
        assert_eq!(fs::metadata(&path).unwrap().len(), 2 * BLOCK_BYTES as u64);
    }

    #[test]
    fn a_damaged_file_is_named_and_replaced_by_the_next_save() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        for damaged in [
            Vec::new(),
            b"BMCS\x01 not what it was".to_vec(),
            vec![0; 2 * BLOCK_BYTES],
            vec![b'.'; 10 * BLOCK_BYTES],
        ] {
            fs::write(&path, &damaged).unwrap();
            // Nobody was told that this one is in force.
            let next = Record {
                saves: 9,
                state: STATE,
            };
            fs::write(directory.path().join(NEXT_NAME), next.encode()).unwrap();
            let mut store = StateFile::new(directory.path());
            let error = store.load().unwrap_err().to_string();
            assert!(
                error.contains(path.to_str().unwrap()) && error.contains("damaged"),
                "{error}"
            );
            store.save(&STATE).unwrap();
            assert_eq!(loaded(&directory), STATE);
        }
    }

    #[test]
    fn a_power_cut_at_any_byte_of_the_next_state_leaves_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        let mut store = StateFile::new(directory.path());
        for epoch in 1..5 {
            store.save(&of_epoch(epoch)).unwrap();
            let before = fs::read(&path).unwrap();
            let mut next = StateFile::new(directory.path());
            next.load().unwrap();
            next.save(&of_epoch(epoch + 1)).unwrap();
            let after = fs::read(&path).unwrap();
            let begin = next.newest.unwrap().1.offset();
            for cut in begin..begin + Record::BYTES {
                let torn = [&after[..cut], &before[cut..]].concat();
                fs::write(&path, &torn).unwrap();
                let expected = if torn == after { epoch + 1 } else { epoch };
                assert_eq!(loaded(&directory), of_epoch(expected), "cut at {cut}");
            }
            fs::write(&path, &before).unwrap();
        }
    }

    #[test]
    fn a_power_cut_while_the_first_file_is_made_leaves_none() {
        let directory = tempfile::tempdir().unwrap();
        let next = directory.path().join(NEXT_NAME);
        fs::write(
            &next,
            &Record {
                saves: 1,
                state: STATE,
            }
            .encode()[..20],
        )
        .unwrap();
        assert_eq!(loaded(&directory), State::default());
    }

    #[test]
    fn after_a_failed_write_the_one_before_stays_and_the_next_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        let mut store = StateFile::new(directory.path());
        store.save(&of_epoch(1)).unwrap();
        let kept = fs::read(&path).unwrap();
        // A directory cannot be opened for writing, whoever tries.
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = store.save(&of_epoch(2)).unwrap_err().to_string();
        assert!(
            error.starts_with("open ") && error.contains(path.to_str().unwrap()),
            "{error}"
        );
        fs::remove_dir(&path).unwrap();
        fs::write(&path, kept).unwrap();
        assert_eq!(loaded(&directory), of_epoch(1));
        store.save(&of_epoch(3)).unwrap();
        assert_eq!(loaded(&directory), of_epoch(3));

        let mut nowhere = StateFile::new(&directory.path().join("missing"));
        assert_eq!(nowhere.load().unwrap(), State::default());
        assert!(nowhere.save(&STATE).unwrap_err().to_string().contains("missing"));
    }
}
