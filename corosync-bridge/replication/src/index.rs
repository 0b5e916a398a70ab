//! What is remembered about every entry of this copy.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::EntryPath;
use crate::digest::{Digest, Hasher};
use crate::entry::Known;
use crate::wire::Range;

/// Entries by path. On the Active: what was announced, or will be found by the next comparison. On a
/// Passive: what is on disk as of the last scan and everything applied since.
#[derive(Debug, Default)]
pub(crate) struct Index(BTreeMap<EntryPath, Known>);

impl Index {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(&self, path: &EntryPath) -> Option<&Known> {
        self.0.get(path)
    }

    /// Remembers `known`; what was in `path` is forgotten unless it is a directory now.
    pub(crate) fn insert(&mut self, path: EntryPath, known: Known) {
        if known.kind != crate::entry::Kind::Directory {
            self.remove_beneath(&path);
        }
        self.0.insert(path, known);
    }

    /// Forgets `path` and what is in it.
    pub(crate) fn remove(&mut self, path: &EntryPath) {
        self.remove_beneath(path);
        self.0.remove(path);
    }

    /// Whether `path` or anything in it is remembered.
    pub(crate) fn holds(&self, path: &EntryPath) -> bool {
        self.0.contains_key(path) || self.beneath(path).next().is_some()
    }

    /// Entries directly in `directory`.
    pub(crate) fn children<'a>(&'a self, directory: &'a EntryPath) -> impl Iterator<Item = &'a EntryPath> {
        let depth = directory.as_bytes().len() + 1;
        self.beneath(directory)
            .filter(move |path| !path.as_bytes()[depth..].contains(&b'/'))
    }

    /// Entries behind `cursor` in order, from the first where there is none.
    pub(crate) fn after(&self, cursor: Option<&EntryPath>) -> impl Iterator<Item = (&EntryPath, &Known)> {
        let start = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        self.0.range::<EntryPath, _>((start, Bound::Unbounded))
    }

    /// Entries in `range`, in order.
    pub(crate) fn within<'a>(&'a self, range: &'a Range) -> impl Iterator<Item = (&'a EntryPath, &'a Known)> {
        self.after(range.after.as_ref())
            .take_while(|(path, _)| !range.ends_before(path))
    }

    fn beneath<'a>(&'a self, directory: &'a EntryPath) -> impl Iterator<Item = &'a EntryPath> {
        self.after(Some(directory))
            .map(|(path, _)| path)
            .take_while(|path| path.is_beneath(directory))
    }

    fn remove_beneath(&mut self, directory: &EntryPath) {
        let gone: Vec<EntryPath> = self.beneath(directory).cloned().collect();
        for path in gone {
            self.0.remove(&path);
        }
    }
}

/// Digest over entries: what two nodes compare instead of the entries themselves.
pub(crate) fn digest_of<'a>(entries: impl Iterator<Item = (&'a EntryPath, &'a Known)>) -> Digest {
    let mut hasher = Hasher::new();
    for (path, known) in entries {
        hasher.update(path.as_bytes());
        // No path has a NUL byte: where one ends is never in doubt.
        hasher.update(&[0, known.kind.number()]);
        hasher.update(&known.content.0);
        hasher.update(&known.attributes.0);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::entry::{Kind, Seen, Stamp};

    fn path(text: &str) -> EntryPath {
        EntryPath::new(text.as_bytes()).unwrap()
    }

    fn known(kind: Kind) -> Known {
        Known {
            kind,
            content: Digest::NONE,
            attributes: Digest::NONE,
            seen: Seen {
                stamp: Stamp {
                    device: 0,
                    inode: 0,
                    size: 0,
                    mtime: Default::default(),
                    ctime: Default::default(),
                },
                settled: true,
            },
        }
    }

    fn index() -> Index {
        let mut index = Index::default();
        for directory in ["/a", "/a/d"] {
            index.insert(path(directory), known(Kind::Directory));
        }
        for file in ["/a/d/x", "/a/d-x", "/a/z", "/a-b"] {
            index.insert(path(file), known(Kind::File));
        }
        index
    }

    #[test]
    fn children_are_those_directly_in_a_directory() {
        let index = index();
        let directory = path("/a");
        let children: Vec<_> = index.children(&directory).cloned().collect();
        assert_eq!(children, [path("/a/d"), path("/a/d-x"), path("/a/z")]);
    }

    #[test]
    fn forgetting_a_directory_forgets_what_is_in_it_and_nothing_beside_it() {
        let mut index = index();
        index.remove(&path("/a/d"));
        assert!(!index.holds(&path("/a/d")));
        assert!(index.holds(&path("/a/d-x")));
        assert_eq!(index.len(), 4);
    }

    #[test]
    fn a_file_in_place_of_a_directory_forgets_what_was_in_it() {
        let mut index = index();
        index.insert(path("/a/d"), known(Kind::File));
        assert!(index.get(&path("/a/d/x")).is_none());
    }
}
