//! Everything that is replicated, and the questions a replicator asks about it.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, MOST_TOLD, Mistake};
use crate::entry::{Entry, Kind};
use crate::parse::Draft;
use crate::rule::Rule;
use crate::source::At;

/// Everything that is replicated. No path belongs to two entries, neither where it is read nor where it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncConfig {
    entries: Vec<Entry>,
    /// The entry that covers each root.
    by_root: HashMap<PathBuf, usize>,
}

impl SyncConfig {
    /// Puts entries together; where two of them overlap, that goes to `problems`.
    pub(crate) fn assemble(drafts: Vec<Draft>, problems: &mut Vec<Diagnostic>) -> Self {
        overlaps(&drafts, problems);
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
                config.by_root.insert(root.to_owned(), index);
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
        let at_root = |root| self.entries.get(*self.by_root.get(root)?);
        path.ancestors()
            .filter_map(at_root)
            .find(|entry| entry.covers(path))
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

    /// The topmost covered paths: where a scan starts and what a watcher has to see come and go. A root may
    /// be missing on disk, and only a root of a directory entry has anything beneath it.
    pub fn roots(&self) -> impl Iterator<Item = &Path> {
        self.entries.iter().flat_map(Entry::roots)
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

    /// Whether anything at or beneath `path` is read or written through an entry, at its path or at its
    /// destination.
    #[must_use]
    pub fn touches(&self, path: &Path) -> bool {
        self.entries.iter().any(|entry| {
            Side::ALL.iter().any(|side| {
                side.covers(entry, path) || side.roots(entry).iter().any(|root| root.starts_with(path))
            })
        })
    }
}

/// Where an entry is used: a node reads it at the one and keeps it at the other, as its role says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Path,
    Destination,
}

impl Side {
    const ALL: [Self; 2] = [Self::Path, Self::Destination];

    fn covers(self, entry: &Entry, path: &Path) -> bool {
        match self {
            Self::Path => entry.covers(path),
            Self::Destination => entry.source_of(path).is_some(),
        }
    }

    fn roots(self, entry: &Entry) -> Vec<PathBuf> {
        match self {
            Self::Path => entry.roots().map(Path::to_owned).collect(),
            Self::Destination => entry
                .roots()
                .filter_map(|root| entry.destination_of(root))
                .collect(),
        }
    }

    /// The key, and where it stands.
    fn told(self, draft: &Draft) -> Option<(&'static str, &At, &Path)> {
        match self {
            Self::Path => Some(("Path", &draft.path_at, &draft.entry.path)),
            Self::Destination => Some((
                "DestinationPath",
                draft.destination_at.as_ref()?,
                draft.entry.destination.as_ref()?,
            )),
        }
    }
}

/// Two entries that cover the same path could differ in what is to be done with it, and the author has to say which
/// is meant. The same goes for a destination: what one entry keeps there, another would send or overwrite.
fn overlaps(drafts: &[Draft], problems: &mut Vec<Diagnostic>) {
    let zones = || (0..drafts.len()).flat_map(|index| Side::ALL.map(|side| (index, side)));
    let mut at_root: HashMap<PathBuf, Vec<(usize, Side)>> = HashMap::new();
    for (index, side) in zones() {
        for root in side.roots(&drafts[index].entry) {
            at_root.entry(root).or_default().push((index, side));
        }
    }
    // Where two overlap, one of them covers a root of the other, and has a root at or above that.
    let mut pairs = BTreeSet::new();
    for zone in zones() {
        for root in zone.1.roots(&drafts[zone.0].entry) {
            let above = root.ancestors().filter_map(|path| at_root.get(path)).flatten();
            let others =
                above.filter(|other| **other != zone && other.1.covers(&drafts[other.0].entry, &root));
            pairs.extend(others.map(|other| (zone.max(*other), zone.min(*other))));
        }
    }
    let tell = |(index, side): (usize, Side)| side.told(drafts.get(index)?);
    for (later, earlier) in pairs.into_iter().take(MOST_TOLD) {
        if let (Some((key, at, path)), Some((other_key, other_at, other))) = (tell(later), tell(earlier)) {
            let message = format!(
                "{key} {} overlaps {other_key} {}",
                path.display(),
                other.display()
            );
            let help = if later.0 == earlier.0 {
                "an entry keeps what it receives apart from what it sends: choose another DestinationPath"
            } else {
                "a path belongs to one entry: remove one of them, or leave the path out by the ExcludeList of the \
                 other"
            };
            let problem = Diagnostic::new(Mistake::Overlap, at, message);
            problems.push(
                problem
                    .related(other_at, format!("{other_key} stands here"))
                    .help(help),
            );
        }
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
