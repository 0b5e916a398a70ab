//! Everything that is replicated, and the questions a replicator asks about it.

use std::collections::HashMap;
use std::path::Path;

use crate::entry::{Entry, Kind};
use crate::parse::Draft;
use crate::rule::Rule;

/// Everything that is replicated. No path belongs to two entries, neither where it is read nor where it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncConfig {
    entries: Vec<Entry>,
    /// The entry that covers each root, by its bytes.
    by_root: HashMap<Vec<u8>, usize>,
    /// Bytes of the longest root.
    longest_root: usize,
}

impl SyncConfig {
    /// Puts entries together that do not overlap.
    pub(crate) fn assemble(drafts: Vec<Draft>) -> Self {
        Self::of(drafts.into_iter().map(|draft| draft.entry))
    }

    /// The part of it whose entries are to be kept.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&Entry) -> bool) -> Self {
        Self::of(self.entries.iter().filter(|entry| keep(entry)).cloned())
    }

    fn of(entries: impl Iterator<Item = Entry>) -> Self {
        let mut config = Self::default();
        for (index, entry) in entries.enumerate() {
            for root in entry.roots() {
                let root = root.as_os_str().as_encoded_bytes();
                config.by_root.insert(root.to_vec(), index);
                config.longest_root = config.longest_root.max(root.len());
            }
            config.entries.push(entry);
        }
        config
    }

    /// The entries, in the order in which they were read.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry through which `path` is replicated, if it is. There is at most one. `path` is absolute and
    /// normalised; anything else is not replicated.
    #[must_use]
    pub fn entry_for(&self, path: &Path) -> Option<&Entry> {
        self.entries.get(self.index_for(path)?)
    }

    /// Its place among [`SyncConfig::entries`].
    #[must_use]
    pub fn index_for(&self, path: &Path) -> Option<usize> {
        let covers = |index: &usize| self.entries.get(*index).is_some_and(|entry| entry.covers(path));
        let bytes = path.as_os_str().as_encoded_bytes();
        let above = |path: &&[u8]| Some(&bytes[..path.iter().rposition(|byte| *byte == b'/')?]);
        std::iter::successors(Some(bytes), above)
            .filter(|root| root.len() <= self.longest_root)
            .filter_map(|root| self.by_root.get(root).copied())
            .find(covers)
            .filter(|_| is_plain(path))
    }

    /// Whether `path` is replicated. `path` is absolute and normalised; anything else is not covered.
    #[must_use]
    pub fn covers(&self, path: &Path) -> bool {
        self.entry_for(path).is_some()
    }

    /// How `path` is replicated, if it is.
    #[must_use]
    pub fn rule_for(&self, path: &Path) -> Option<Rule> {
        self.entry_for(path).map(|entry| entry.rule_for(path))
    }

    /// Whether everything that there may be beneath `directory` is replicated, and as it is itself.
    #[must_use]
    pub fn is_uniform(&self, directory: &Path) -> bool {
        let destinations = self
            .entries
            .iter()
            .filter_map(|entry| entry.destination.as_deref());
        let mut own = self.roots().chain(destinations);
        self.entry_for(directory)
            .is_some_and(|entry| entry.is_uniform(directory))
            && !own.any(|path| path != directory && path.starts_with(directory))
    }

    /// The topmost covered paths: where a scan starts and what a watcher has to see come and go. A root may
    /// be missing on disk, and only a root of a directory entry has anything beneath it.
    pub fn roots(&self) -> impl Iterator<Item = &Path> {
        self.entries.iter().flat_map(Entry::roots)
    }

    /// The topmost paths whose changes on a Passive travel to the Active.
    pub fn offered_roots(&self) -> impl Iterator<Item = &Path> {
        self.entries.iter().flat_map(Entry::offered_roots)
    }

    /// Whether `directory` is covered or lies on the way to something covered: worth descending into.
    #[must_use]
    pub fn may_contain(&self, directory: &Path) -> bool {
        self.entries.iter().any(|entry| match entry.kind {
            Kind::File => entry.path != directory && entry.path.starts_with(directory),
            Kind::Directory => {
                entry.covers(directory) || entry.roots().any(|root| root.starts_with(directory))
            }
        })
    }
}

/// `Path::starts_with` skips `.` and repeated slashes, and knows nothing of `..`; only a path with one
/// spelling may be compared by it.
fn is_plain(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    let Some(relative) = bytes.strip_prefix(b"/") else {
        return false;
    };
    relative
        .split(|byte| *byte == b'/')
        .all(|name| !matches!(name, b"" | b"." | b".."))
}
