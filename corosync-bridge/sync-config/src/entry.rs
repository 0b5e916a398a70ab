//! What is replicated, and the questions a replicator asks about it.

use std::path::{Path, PathBuf};

use crate::error::{ConfigError, Overlap, Place};
use crate::rule::Rule;

/// Whether an entry stands under `Files` or under `Directories`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One path, whose content is a file or a symbolic link. Nothing beneath it is covered.
    File,
    /// A directory with everything beneath it that the filter leaves.
    Directory,
}

/// Which part of a directory is replicated.
///
/// A listed path stands for itself and for everything beneath it, with or without a `/` at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All of it.
    All,
    /// `ExcludeList`: all but these paths.
    Exclude(Vec<PathBuf>),
    /// `IncludeList`: only these paths. The directory itself is then just the way to them.
    Include(Vec<PathBuf>),
}

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path, absolute and normalised, without a `/` at its end.
    pub path: PathBuf,
    /// Under which key it stands.
    pub kind: Kind,
    /// Which part of a directory is replicated; always [`Filter::All`] for a file.
    pub filter: Filter,
    /// How what it covers is replicated.
    pub rule: Rule,
    /// What the author of the list says that it is.
    pub description: String,
    /// Where it stands.
    pub place: Place,
}

impl Entry {
    /// Whether `path` is replicated through this entry.
    #[must_use]
    pub fn covers(&self, path: &Path) -> bool {
        match (self.kind, &self.filter) {
            (Kind::File, _) => path == self.path,
            (Kind::Directory, Filter::All) => path.starts_with(&self.path),
            (Kind::Directory, Filter::Exclude(excluded)) => {
                path.starts_with(&self.path) && !excluded.iter().any(|prefix| path.starts_with(prefix))
            }
            (Kind::Directory, Filter::Include(included)) => {
                included.iter().any(|prefix| path.starts_with(prefix))
            }
        }
    }

    /// The topmost paths that this entry covers; everything that it covers is one of them or beneath one.
    pub fn roots(&self) -> impl Iterator<Item = &Path> {
        let included = match &self.filter {
            Filter::Include(included) => included.as_slice(),
            Filter::All | Filter::Exclude(_) => std::slice::from_ref(&self.path),
        };
        included.iter().map(PathBuf::as_path)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.roots().any(|root| other.covers(root)) || other.roots().any(|root| self.covers(root))
    }
}

/// Everything that is replicated. No two entries cover the same path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncConfig {
    entries: Vec<Entry>,
}

impl SyncConfig {
    /// Puts entries together.
    ///
    /// # Errors
    /// [`ConfigError::Overlap`] when two of them cover the same path: they could differ in what is to be done
    /// with it, and the author has to say which is meant.
    pub fn new(entries: Vec<Entry>) -> Result<Self, ConfigError> {
        for (index, second) in entries.iter().enumerate() {
            if let Some(first) = entries.iter().take(index).find(|first| first.overlaps(second)) {
                return Err(ConfigError::Overlap(Box::new(Overlap {
                    first: first.place.clone(),
                    first_path: first.path.clone(),
                    second: second.place.clone(),
                    second_path: second.path.clone(),
                })));
            }
        }
        Ok(Self { entries })
    }

    /// The entries, in the order in which they were read.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry through which `path` is replicated, if it is. There is at most one.
    #[must_use]
    pub fn entry_for(&self, path: &Path) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.covers(path))
    }

    /// Whether `path` is replicated. `path` is absolute and normalised; anything else is not covered.
    #[must_use]
    pub fn covers(&self, path: &Path) -> bool {
        is_plain(path) && self.entry_for(path).is_some()
    }

    /// How `path` is replicated, if it is.
    #[must_use]
    pub fn rule_for(&self, path: &Path) -> Option<Rule> {
        self.entry_for(path).map(|entry| entry.rule)
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
