//! What this node and the others have last agreed on, for the paths whose changes on a Passive travel too.
//!
//! A change here is told from one of the others by it: what is on disk and was agreed is nobody's change; what is on
//! disk and was not agreed was changed here since. What is agreed is also durable on this disk, so that what a power
//! cut takes back is not mistaken for a change.
//!
//! It is kept in a [`RecordLog`] of the state directory, and rewritten when most of it is out of date. Where that log is
//! damaged nothing is known to be agreed: a version that differs from the Active's is then kept aside, never sent.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::EntryPath;
use crate::digest::Digest;
use crate::entry::{Kind, Known};
use crate::record_log::{Ending, Format, LogError, Medium, RecordLog};

/// The log's format.
const FORMAT: Format = Format {
    magic: *b"BMCA",
    version: 1,
};

/// A log of this size in bytes is not rewritten: it costs nothing.
const SMALL_BYTES: u64 = 64 * 1024;

/// A log this many times as large as what is wanted of it is rewritten.
const GROWTH: u64 = 4;

/// Bytes of a record beside its path: what it is, and two digests.
const FIXED_BYTES: u64 = 128;

/// One version of an entry, by its digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// What it is.
    pub kind: Kind,
    /// Digest of its content.
    pub content: Digest,
    /// Digest of its attributes.
    pub attributes: Digest,
}

impl From<&Known> for Version {
    fn from(known: &Known) -> Self {
        Self {
            kind: known.kind,
            content: known.content,
            attributes: known.attributes,
        }
    }
}

/// What was agreed, by path; what is missing was agreed not to be there.
#[derive(Debug)]
pub(crate) struct Agreed {
    versions: BTreeMap<EntryPath, Version>,
    /// Whether anything can be said: not after the log was found damaged.
    known: bool,
    log: RecordLog,
    /// Not in the log yet.
    unsaved: BTreeSet<EntryPath>,
    /// The log holds something else, and has to be written anew.
    stale: bool,
}

impl Agreed {
    /// What `medium` holds, and what is wrong with it.
    pub(crate) fn load(medium: Box<dyn Medium>) -> (Self, Option<String>) {
        let path = medium.path().display().to_string();
        let mut agreed = Self {
            versions: BTreeMap::new(),
            known: true,
            log: RecordLog::new(medium, FORMAT),
            unsaved: BTreeSet::new(),
            stale: false,
        };
        let mut odd = false;
        let versions = &mut agreed.versions;
        let ending = agreed.log.load(|record| match decode(record) {
            Some((path, Some(version))) => {
                versions.insert(path, version);
            }
            Some((path, None)) => {
                versions.remove(&path);
            }
            None => odd = true,
        });
        let problem = match ending {
            Ok(Ending::Whole | Ending::Torn) if !odd => None,
            Ok(_) => Some(format!(
                "read {path}: it is damaged; until the next comparison no change of a Passive is taken from here"
            )),
            Err(error) => Some(error.to_string()),
        };
        if problem.is_some() {
            agreed.versions.clear();
            agreed.known = false;
            agreed.stale = true;
        }
        (agreed, problem)
    }

    pub(crate) fn is_known(&self) -> bool {
        self.known
    }

    pub(crate) fn get(&self, path: &EntryPath) -> Option<Version> {
        self.versions.get(path).copied()
    }

    /// Agreed entries in `directory`, the deepest last.
    pub(crate) fn beneath<'a>(&'a self, directory: &'a EntryPath) -> impl Iterator<Item = &'a EntryPath> {
        self.versions
            .range::<EntryPath, _>((Bound::Excluded(directory), Bound::Unbounded))
            .map(|(path, _)| path)
            .take_while(|path| path.is_beneath(directory))
    }

    /// `path` is agreed to be this, and to have nothing in it unless it is a directory.
    pub(crate) fn settle(&mut self, path: &EntryPath, version: Option<Version>) {
        if version.is_none_or(|version| version.kind != Kind::Directory) {
            let gone: Vec<EntryPath> = self.beneath(path).cloned().collect();
            for path in gone {
                self.set(&path, None);
            }
        }
        self.set(path, version);
    }

    /// Forgets what `which` says, as if nothing had been agreed on there.
    pub(crate) fn forget(&mut self, which: impl Fn(&EntryPath) -> bool) {
        let gone: Vec<EntryPath> = self.versions.keys().filter(|path| which(path)).cloned().collect();
        for path in gone {
            self.set(&path, None);
        }
    }

    fn set(&mut self, path: &EntryPath, version: Option<Version>) {
        let before = match version {
            Some(version) => self.versions.insert(path.clone(), version),
            None => self.versions.remove(path),
        };
        if before != version {
            self.unsaved.insert(path.clone());
        }
    }

    /// Exactly `versions` are agreed.
    pub(crate) fn replace(&mut self, versions: BTreeMap<EntryPath, Version>) {
        let changed = self
            .versions
            .iter()
            .filter(|(path, version)| versions.get(path) != Some(version))
            .map(|(path, _)| path);
        self.unsaved.extend(changed.cloned());
        let new = versions.keys().filter(|path| !self.versions.contains_key(path));
        self.unsaved.extend(new.cloned());
        self.versions = versions;
        self.known = true;
    }

    pub(crate) fn is_unsaved(&self) -> bool {
        self.known && (self.stale || !self.unsaved.is_empty())
    }

    /// Makes it durable. What it says of this disk must be durable already.
    pub(crate) fn save(&mut self) -> Result<(), LogError> {
        if !self.is_unsaved() {
            return Ok(());
        }
        let wanted: u64 = SMALL_BYTES + GROWTH * self.bytes();
        if self.stale || self.log.bytes() > wanted {
            self.log.begin_rewrite()?;
            for (path, version) in &self.versions {
                self.log.append_next(&encode(path, Some(version)))?;
            }
            self.log.finish_rewrite()?;
            self.stale = false;
        } else {
            for path in &self.unsaved {
                self.log.append(&encode(path, self.versions.get(path)))?;
            }
            self.log.sync()?;
        }
        self.unsaved.clear();
        Ok(())
    }

    /// About what the log would hold after a rewrite.
    fn bytes(&self) -> u64 {
        let paths = self.versions.keys().map(|path| path.as_bytes().len());
        paths
            .map(|length| {
                u64::try_from(length)
                    .unwrap_or(u64::MAX)
                    .saturating_add(FIXED_BYTES)
            })
            .fold(0, u64::saturating_add)
    }
}

/// A record: what the entry is, its digests unless it is gone, and its path.
fn encode(path: &EntryPath, version: Option<&Version>) -> Vec<u8> {
    let mut record = Vec::new();
    match version {
        None => record.push(0),
        Some(version) => {
            record.push(version.kind.number());
            record.extend_from_slice(&version.content.0);
            record.extend_from_slice(&version.attributes.0);
        }
    }
    record.extend_from_slice(path.as_bytes());
    record
}

fn decode(record: &[u8]) -> Option<(EntryPath, Option<Version>)> {
    let (kind, rest) = record.split_first()?;
    if *kind == 0 {
        return Some((EntryPath::new(rest).ok()?, None));
    }
    let kind = Kind::from_number(*kind)?;
    let (content, rest) = rest.split_first_chunk()?;
    let (attributes, path) = rest.split_first_chunk()?;
    let version = Version {
        kind,
        content: Digest(*content),
        attributes: Digest(*attributes),
    };
    Some((EntryPath::new(path).ok()?, Some(version)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record_log::LogFile;

    fn path(text: &str) -> EntryPath {
        EntryPath::new(text.as_bytes()).unwrap()
    }

    fn version(kind: Kind, content: &[u8]) -> Option<Version> {
        Some(Version {
            kind,
            content: Digest::of(content),
            attributes: Digest::NONE,
        })
    }

    fn load(directory: &std::path::Path) -> (Agreed, Option<String>) {
        Agreed::load(Box::new(LogFile::new(directory, "agreed")))
    }

    #[test]
    fn what_was_agreed_is_found_again_and_a_removal_stays_one() {
        let directory = tempfile::tempdir().unwrap();
        let (mut agreed, problem) = load(directory.path());
        assert_eq!((agreed.is_known(), problem), (true, None));
        agreed.settle(&path("/a"), version(Kind::Directory, b""));
        agreed.settle(&path("/a/x"), version(Kind::File, b"1"));
        agreed.settle(&path("/b"), version(Kind::File, b"2"));
        agreed.save().unwrap();
        agreed.settle(&path("/b"), None);
        agreed.save().unwrap();
        let (again, _) = load(directory.path());
        assert_eq!(again.get(&path("/a/x")), version(Kind::File, b"1"));
        assert_eq!(again.get(&path("/b")), None);
    }

    #[test]
    fn what_is_in_a_directory_goes_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let (mut agreed, _) = load(directory.path());
        agreed.settle(&path("/a"), version(Kind::Directory, b""));
        agreed.settle(&path("/a/x"), version(Kind::File, b"1"));
        agreed.settle(&path("/a"), version(Kind::File, b"now a file"));
        assert_eq!(agreed.get(&path("/a/x")), None);
    }

    #[test]
    fn a_damaged_log_says_nothing_until_everything_is_agreed_anew() {
        let directory = tempfile::tempdir().unwrap();
        let (mut agreed, _) = load(directory.path());
        agreed.settle(&path("/gone"), version(Kind::File, b"1"));
        agreed.settle(&path("/here"), version(Kind::File, b"2"));
        agreed.save().unwrap();
        let file = directory.path().join("agreed");
        let mut bytes = std::fs::read(&file).unwrap();
        let last = bytes.len() - 60;
        bytes[last] ^= 1;
        bytes.extend_from_slice(&[0; 80]);
        std::fs::write(&file, bytes).unwrap();
        let (mut agreed, problem) = load(directory.path());
        assert!(problem.unwrap().contains("damaged"));
        assert!(!agreed.is_known());
        agreed.replace(BTreeMap::from([(
            path("/here"),
            version(Kind::File, b"3").unwrap(),
        )]));
        agreed.save().unwrap();
        let (agreed, problem) = load(directory.path());
        assert_eq!((agreed.is_known(), problem), (true, None));
        assert_eq!(agreed.get(&path("/gone")), None);
        assert_eq!(agreed.get(&path("/here")), version(Kind::File, b"3"));
    }
}
