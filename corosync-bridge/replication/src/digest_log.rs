//! What was known of each entry when the bridge ended, so that unchanged files are not read again when it starts.
//!
//! A log of [`Known`] by path. It is a cache: an entry is believed only where the disk still shows its stamp (device,
//! inode, size, mtime, ctime), and only settled ones are kept, whose stamp differs after any later change. What is
//! missing is read again, so nothing depends on the log being complete, and nothing in it is ever synced.
//!
//! **Why only within one boot.** A stamp vouches for a content as long as the kernel keeps the two together. A power cut
//! parts them: a file overwritten in place may come back with new bytes and the old times, or the other way round, for
//! file systems order the two as they like, and no sync of this log could tell. So the log begins with a name of the
//! boot, and after another boot, even a clean one, everything is read once.

use crate::EntryPath;
use crate::digest::Digest;
use crate::entry::{FileTime, Kind, Known, Seen, Stamp};
use crate::record_log::{Ending, Format, LogError, Medium, RecordLog};

/// The log's format. A log of another version counts as damaged: it is begun anew.
const FORMAT: Format = Format {
    magic: *b"BMCD",
    version: 2,
};

/// First byte of the record that names the boot.
const BOOT: u8 = 1;

/// First byte of a record of entries.
const ENTRIES: u8 = 2;

/// A record of entries is written when it has come to this size, in bytes.
const BATCH_BYTES: usize = 32 * 1024;

/// A log that is smaller than this, in bytes, is not worth writing anew.
const SMALL_BYTES: u64 = 64 * 1024;

/// Bytes of an entry beside its path.
const FIXED_BYTES: usize = 2 + 1 + 1 + 2 * Digest::BYTES + 3 * 8 + 2 * 12;

/// The log, and what is about to be written to it. Where the boot has no name nothing is written.
#[derive(Debug)]
pub(crate) struct DigestLog {
    log: RecordLog,
    boot: Vec<u8>,
    batch: Vec<u8>,
    /// What is in the log does not belong to this boot, or may not: it is to be written anew.
    stale: bool,
}

impl DigestLog {
    /// Reads the log at `medium` and gives what it knows to `take`; what is wrong with it comes along. `boot` names
    /// this boot; where it is empty, nothing is believed.
    pub(crate) fn load(
        medium: Box<dyn Medium>,
        boot: Vec<u8>,
        mut take: impl FnMut(EntryPath, Known),
    ) -> (Self, Option<String>) {
        let path = medium.path().display().to_string();
        let mut log = RecordLog::new(medium, FORMAT);
        let (mut of_this_boot, mut readable) = (false, true);
        let ending = log.load(|record| match record.split_first() {
            Some((&BOOT, name)) => of_this_boot = !boot.is_empty() && name == boot,
            Some((&ENTRIES, entries)) if of_this_boot => readable &= decode(entries, &mut take),
            Some((&ENTRIES, _)) => {}
            _ => readable = false,
        });
        let problem = match ending {
            Ok(Ending::Damaged) => Some(damaged(&path)),
            Ok(_) if !readable => Some(damaged(&path)),
            Ok(Ending::Whole | Ending::Torn) => None,
            Err(error) => Some(error.to_string()),
        };
        let log = Self {
            log,
            boot,
            batch: Vec::new(),
            stale: !of_this_boot || problem.is_some(),
        };
        (log, problem)
    }

    /// Whether the log should be written anew, `wanted` bytes of it being up to date.
    pub(crate) fn is_overgrown(&self, wanted: u64) -> bool {
        !self.boot.is_empty() && (self.stale || self.log.bytes() > SMALL_BYTES + 2 * wanted)
    }

    /// Begins a log to which everything is told again.
    pub(crate) fn begin_rewrite(&mut self) -> Result<(), LogError> {
        self.batch.clear();
        self.log.begin_rewrite()?;
        self.log.append_next(&[&[BOOT], self.boot.as_slice()].concat())
    }

    /// Takes in an entry.
    pub(crate) fn keep(&mut self, path: &EntryPath, known: &Known) -> Result<(), LogError> {
        if self.boot.is_empty() {
            return Ok(());
        }
        if self.batch.is_empty() {
            self.batch.push(ENTRIES);
        }
        encode(path, known, &mut self.batch);
        if self.batch.len() < BATCH_BYTES {
            return Ok(());
        }
        self.write()
    }

    /// Everything was told: writes what is left, and puts a log that was begun anew in the place of the old one.
    pub(crate) fn finish(&mut self) -> Result<(), LogError> {
        self.write()?;
        if self.log.is_rewriting() {
            self.log.finish_rewrite()?;
            self.stale = false;
        }
        Ok(())
    }

    /// What was told may not be in the log.
    pub(crate) fn give_up(&mut self) {
        self.batch.clear();
        self.stale = true;
    }

    fn write(&mut self) -> Result<(), LogError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        if self.log.is_rewriting() {
            self.log.append_next(&batch)
        } else {
            self.log.append(&batch)
        }
    }
}

fn damaged(path: &str) -> String {
    format!("read {path}: it is damaged; files that it should have known are read again")
}

/// Bytes that this many entries with paths of so many bytes take of the log.
pub(crate) fn bytes_for(entries: usize, path_bytes: usize) -> u64 {
    u64::try_from(entries * FIXED_BYTES + path_bytes).unwrap_or(u64::MAX)
}

fn encode(path: &EntryPath, known: &Known, out: &mut Vec<u8>) {
    // No path is longer than PATH_MAX.
    let length = u16::try_from(path.as_bytes().len()).unwrap_or(u16::MAX);
    let Stamp {
        device,
        inode,
        size,
        mtime,
        ctime,
    } = known.seen.stamp;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(path.as_bytes());
    out.push(known.kind.number());
    out.push(known.linked.into());
    out.extend_from_slice(&known.content.0);
    out.extend_from_slice(&known.attributes.0);
    for number in [device, inode, size] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    for time in [mtime, ctime] {
        out.extend_from_slice(&time.seconds.to_be_bytes());
        out.extend_from_slice(&time.nanoseconds.to_be_bytes());
    }
}

/// Gives every entry in `bytes` to `take`. Returns whether there was nothing else.
fn decode(bytes: &[u8], take: &mut impl FnMut(EntryPath, Known)) -> bool {
    let mut input = Input(bytes);
    while !input.0.is_empty() {
        match input.entry() {
            Some((path, known)) => take(path, known),
            None => return false,
        }
    }
    true
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn entry(&mut self) -> Option<(EntryPath, Known)> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        let (path, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        let path = EntryPath::new(path).ok()?;
        let [kind, linked] = self.array()?;
        let known = Known {
            kind: Kind::from_number(kind)?,
            content: Digest(self.array()?),
            attributes: Digest(self.array()?),
            linked: linked != 0,
            seen: Seen {
                stamp: Stamp {
                    device: self.u64()?,
                    inode: self.u64()?,
                    size: self.u64()?,
                    mtime: self.time()?,
                    ctime: self.time()?,
                },
                // Nothing else is kept.
                settled: true,
            },
        };
        Some((path, known))
    }

    fn time(&mut self) -> Option<FileTime> {
        Some(FileTime {
            seconds: i64::from_be_bytes(self.array()?),
            nanoseconds: u32::from_be_bytes(self.array()?),
        })
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::record_log::LogFile;

    fn known(number: u8) -> Known {
        let time = FileTime {
            seconds: -i64::from(number),
            nanoseconds: 999_999_999,
        };
        Known {
            kind: Kind::Link,
            content: Digest([number; Digest::BYTES]),
            attributes: Digest([!number; Digest::BYTES]),
            linked: number % 2 == 1,
            seen: Seen {
                stamp: Stamp {
                    device: u64::MAX,
                    inode: u64::from(number),
                    size: 3,
                    mtime: time,
                    ctime: time,
                },
                settled: true,
            },
        }
    }

    fn path(number: u8) -> EntryPath {
        EntryPath::new(&[b"/s/\xff".as_slice(), &[b'a' + number]].concat()).unwrap()
    }

    type Entries = BTreeMap<EntryPath, Known>;

    fn load(directory: &Path, boot: &str) -> (DigestLog, Entries, Option<String>) {
        let mut entries = Entries::new();
        let medium = Box::new(LogFile::new(directory, "log"));
        let (log, problem) = DigestLog::load(medium, boot.into(), |path, known| {
            entries.insert(path, known);
        });
        (log, entries, problem)
    }

    /// A log of this boot with three entries, and these.
    fn written(directory: &Path) -> Entries {
        let (mut log, _, _) = load(directory, "boot");
        let entries: Entries = (0..3).map(|number| (path(number), known(number))).collect();
        log.begin_rewrite().unwrap();
        for (path, known) in &entries {
            log.keep(path, known).unwrap();
        }
        log.finish().unwrap();
        entries
    }

    #[test]
    fn what_was_kept_is_known_again_in_the_same_boot_and_forgotten_after_another() {
        let directory = tempfile::tempdir().unwrap();
        let entries = written(directory.path());
        let (log, found, problem) = load(directory.path(), "boot");
        assert_eq!((&found, problem, log.is_overgrown(0)), (&entries, None, false));
        let (log, found, problem) = load(directory.path(), "another");
        assert_eq!(
            (found, problem, log.is_overgrown(0)),
            (Entries::new(), None, true)
        );
        assert_eq!(load(directory.path(), "").1, Entries::new());
    }

    #[test]
    fn a_later_word_on_an_entry_replaces_the_earlier() {
        let directory = tempfile::tempdir().unwrap();
        let mut entries = written(directory.path());
        let (mut log, _, _) = load(directory.path(), "boot");
        log.keep(&path(1), &known(9)).unwrap();
        log.finish().unwrap();
        entries.insert(path(1), known(9));
        assert_eq!(load(directory.path(), "boot").1, entries);
    }

    #[test]
    fn a_log_damaged_in_any_bit_is_told_of_or_says_less_but_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let entries = written(directory.path());
        let file = directory.path().join("log");
        let bytes = fs::read(&file).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            fs::write(&file, &damaged).unwrap();
            let (log, found, problem) = load(directory.path(), "boot");
            assert!(
                found.iter().all(|(path, known)| entries.get(path) == Some(known)),
                "bit {bit}"
            );
            assert!(
                problem.is_some() == log.is_overgrown(0) || found.is_empty(),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_log_that_has_grown_beyond_use_is_to_be_written_anew() {
        let directory = tempfile::tempdir().unwrap();
        written(directory.path());
        let (mut log, _, _) = load(directory.path(), "boot");
        let mut rounds = 0;
        while !log.is_overgrown(1000) {
            log.keep(&path(0), &known(0)).unwrap();
            log.finish().unwrap();
            rounds += 1;
            assert!(rounds < 10_000, "it is never overgrown");
        }
        log.begin_rewrite().unwrap();
        log.keep(&path(0), &known(0)).unwrap();
        log.finish().unwrap();
        assert!(fs::metadata(directory.path().join("log")).unwrap().len() < 500);
        assert_eq!(load(directory.path(), "boot").1.len(), 1);
    }
}
