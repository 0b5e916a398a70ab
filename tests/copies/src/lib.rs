//! Says in what two copies of a tree differ: for tests that replicate.
//!
//! A [`Copy`] holds all that has to be the same on both sides: names, types, contents, where links point, owner, mode,
//! mtime to the nanosecond (of directories too), extended attributes, which names are hard links of one file, and
//! the holes of sparse files.

mod entry;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use entry::{Entry, Inode};

/// A tree as it was when it was read. The top itself is the entry with the empty path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy(BTreeMap<PathBuf, Entry>);

impl Copy {
    /// Reads the tree at `top` without what is at or beneath the paths in `except`, which are relative to it. One that is
    /// not there is empty.
    ///
    /// # Errors
    /// What the system said; the message names the path.
    pub fn read(top: &Path, except: &[&str]) -> io::Result<Self> {
        let mut copy = BTreeMap::new();
        let mut names: BTreeMap<Inode, PathBuf> = BTreeMap::new();
        let mut pending = vec![PathBuf::new()];
        while let Some(relative) = pending.pop() {
            let path = top.join(&relative);
            let named =
                |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            let (mut entry, inode) = match Entry::read(&path) {
                Err(error) if relative.as_os_str().is_empty() && error.kind() == io::ErrorKind::NotFound => {
                    break;
                }
                outcome => outcome.map_err(named)?,
            };
            if let Some(inode) = inode {
                // Read in the order of paths, so that both copies take the same name for the first.
                let first = names.entry(inode).or_insert_with(|| relative.clone());
                entry.same_file_as(first);
            }
            if entry.is_directory() {
                let mut children = Vec::new();
                for child in fs::read_dir(&path).map_err(named)? {
                    let child = relative.join(child.map_err(named)?.file_name());
                    if !except.iter().any(|except| child.starts_with(except)) {
                        children.push(child);
                    }
                }
                children.sort_by(|a, b| b.cmp(a));
                pending.extend(children);
            }
            copy.insert(relative, entry);
        }
        Ok(Self(copy))
    }

    /// Every path at which this copy and `other` are not the same, in words; none when they are equal.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        let added = other.0.keys().filter(|path| !self.0.contains_key(*path));
        for path in self.0.keys().chain(added) {
            let unlike = match (self.0.get(path), other.0.get(path)) {
                (Some(left), Some(right)) => left.unlike(right),
                (Some(_), None) => Some("only in the first".to_owned()),
                (None, _) => Some("only in the second".to_owned()),
            };
            differences.extend(unlike.map(|unlike| format!("{}: {unlike}", path.display())));
        }
        differences
    }
}

#[cfg(test)]
mod tests;
