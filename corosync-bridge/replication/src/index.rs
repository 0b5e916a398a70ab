//! What is remembered about every entry of this copy.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::EntryPath;
use crate::digest::{Digest, Hasher};
use crate::digest_log;
use crate::entry::{Kind, Known, Stamp};
use crate::inodes::{Inode, Inodes};
use crate::undurable::Undurable;
use crate::wire::Range;

/// Entries by path. On the Active: what was announced, or will be found by the next comparison. On a
/// Passive: what is on disk as of the last scan and everything applied since.
#[derive(Debug)]
pub(crate) struct Index {
    /// Boxed, because a tree that is filled in order leaves nearly half of its places empty.
    entries: BTreeMap<EntryPath, Box<Remembered>>,
    inodes: Inodes,
    /// What the bridge knew when it ended last. Nothing is taken from it but what a scan finds unchanged on the disk.
    recalled: BTreeMap<EntryPath, Known>,
    /// Bytes of all paths.
    path_bytes: usize,
    /// Something became known since this was last asked.
    news: bool,
    /// What of it may not be durable.
    pub(crate) undurable: Undurable,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            inodes: Inodes::default(),
            recalled: BTreeMap::new(),
            path_bytes: 0,
            news: false,
            undurable: Undurable::Everything,
        }
    }
}

/// An entry, and whether it is kept for the next start.
#[derive(Debug)]
struct Remembered {
    known: Known,
    kept: bool,
}

impl Index {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, path: &EntryPath) -> Option<&Known> {
        self.entries.get(path).map(|entry| &entry.known)
    }

    /// Remembers `known`; what was in `path` is forgotten unless it is a directory now.
    pub(crate) fn insert(&mut self, path: EntryPath, known: Known) {
        self.put(path, Remembered { known, kept: false });
        self.news = true;
    }

    /// The same of what was found on the disk, by whoever it was written there.
    pub(crate) fn find(&mut self, path: EntryPath, known: Known) {
        // Within one tick of a clock a name may have gone from a directory and left the same stamp.
        let hides_nothing = |before: &Known| before.seen.settled || before.kind != Kind::Directory;
        let is_same = |before: &Known| {
            hides_nothing(before) && before.seen.stamp == known.seen.stamp && before.same_as(&known)
        };
        if !self.get(&path).is_some_and(is_same) {
            self.undurable.note(&path);
        }
        self.insert(path, known);
    }

    /// Nothing was found at `path`. Something may have come and gone there unseen, so it is no matter what is remembered.
    pub(crate) fn miss(&mut self, path: &EntryPath) {
        self.undurable.note(path);
        self.remove(path);
    }

    fn put(&mut self, path: EntryPath, entry: Remembered) {
        if entry.known.kind != Kind::Directory {
            self.remove_beneath(&path);
        }
        self.forget(&path);
        self.inodes.learn(&path, &entry.known);
        self.path_bytes += path.as_bytes().len();
        self.entries.insert(path, Box::new(entry));
    }

    /// Forgets `path` and what is in it.
    pub(crate) fn remove(&mut self, path: &EntryPath) {
        self.remove_beneath(path);
        self.forget(path);
    }

    /// What was at `from`, and in it, is at `to` from now on, in the place of what was there.
    pub(crate) fn rename(&mut self, from: &EntryPath, to: &EntryPath) {
        self.remove(to);
        let moved: Vec<EntryPath> = self.beneath(from).chain([from]).cloned().collect();
        for path in moved {
            if let (Some(known), Some(path)) = (self.forget(&path), path.rebased(from, to)) {
                self.put(path, Remembered { known, kept: false });
            }
        }
        self.news = true;
    }

    /// Paths at which the inode of `stamp` is remembered, in order, of those inodes that are remembered so.
    pub(crate) fn names(&self, stamp: &Stamp) -> impl Iterator<Item = &EntryPath> {
        self.inodes.names(stamp)
    }

    /// The same of an inode by its number.
    pub(crate) fn names_of(&self, inode: Inode) -> impl Iterator<Item = &EntryPath> {
        self.inodes.names_of(inode)
    }

    /// Paths of all files that have several, in order.
    pub(crate) fn linked_names(&self) -> impl Iterator<Item = &EntryPath> {
        self.inodes.linked_names()
    }

    /// Whether `path` or anything in it is remembered.
    pub(crate) fn holds(&self, path: &EntryPath) -> bool {
        self.entries.contains_key(path) || self.beneath(path).next().is_some()
    }

    /// What the bridge knew of `path` when it ended last.
    pub(crate) fn recall(&mut self, path: EntryPath, known: Known) {
        self.recalled.insert(path, known);
    }

    /// What is known of `path`, in this run or the last.
    pub(crate) fn known_or_recalled(&self, path: &EntryPath) -> Option<&Known> {
        self.get(path).or_else(|| self.recalled.get(path))
    }

    /// What is on the disk is what is known, in this run or the last.
    pub(crate) fn confirm(&mut self, path: &EntryPath) {
        if let Some((path, known)) = self.recalled.remove_entry(path) {
            if !self.entries.contains_key(&path) {
                self.put(path, Remembered { known, kept: true });
            }
        }
    }

    /// Everything was looked at: what was not confirmed is not there any more, or another.
    pub(crate) fn forget_recalled(&mut self) {
        self.recalled.clear();
        self.news = true;
    }

    /// Entries behind `cursor`, and whether each is kept.
    pub(crate) fn to_keep(
        &self,
        cursor: Option<&EntryPath>,
    ) -> impl Iterator<Item = (&EntryPath, &Known, bool)> {
        self.behind(cursor)
            .map(|(path, entry)| (path, &entry.known, entry.kept))
    }

    /// `known` of `path` is kept.
    pub(crate) fn kept(&mut self, path: &EntryPath, known: &Known) {
        if let Some(entry) = self.entries.get_mut(path).filter(|entry| entry.known == *known) {
            entry.kept = true;
        }
    }

    /// A later look has shown that `before`, known of `path`, is what is there for sure.
    pub(crate) fn settled(&mut self, path: &EntryPath, before: &Known, now: Known) {
        if let Some(entry) = self.entries.get_mut(path).filter(|entry| entry.known == *before) {
            entry.known = now;
            entry.kept = false;
            self.inodes.forget(path, before);
            self.inodes.learn(path, &now);
            self.news = true;
        }
    }

    /// Whether something became known since the last call.
    pub(crate) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Bytes that keeping every entry takes.
    pub(crate) fn bytes_to_keep(&self) -> u64 {
        digest_log::bytes_for(self.len(), self.path_bytes)
    }

    /// Entries directly in `directory`.
    pub(crate) fn children<'a>(&'a self, directory: &'a EntryPath) -> impl Iterator<Item = &'a EntryPath> {
        let depth = directory.as_bytes().len() + 1;
        self.beneath(directory)
            .filter(move |path| !path.as_bytes()[depth..].contains(&b'/'))
    }

    /// Entries behind `cursor` in order, from the first where there is none.
    pub(crate) fn after(&self, cursor: Option<&EntryPath>) -> impl Iterator<Item = (&EntryPath, &Known)> {
        self.behind(cursor).map(|(path, entry)| (path, &entry.known))
    }

    fn behind(&self, cursor: Option<&EntryPath>) -> impl Iterator<Item = (&EntryPath, &Remembered)> {
        let start = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.entries.range::<EntryPath, _>((start, Bound::Unbounded));
        entries.map(|(path, entry)| (path, &**entry))
    }

    /// Entries in `range`, in order.
    pub(crate) fn within<'a>(&'a self, range: &'a Range) -> impl Iterator<Item = (&'a EntryPath, &'a Known)> {
        self.after(range.after.as_ref())
            .take_while(|(path, _)| !range.ends_before(path))
    }

    /// What is remembered beneath `directory`, in order.
    pub(crate) fn beneath<'a>(&'a self, directory: &'a EntryPath) -> impl Iterator<Item = &'a EntryPath> {
        self.after(Some(directory))
            .map(|(path, _)| path)
            .take_while(|path| path.is_beneath(directory))
    }

    fn forget(&mut self, path: &EntryPath) -> Option<Known> {
        let Remembered { known, .. } = *self.entries.remove(path)?;
        self.inodes.forget(path, &known);
        self.path_bytes -= path.as_bytes().len();
        Some(known)
    }

    fn remove_beneath(&mut self, directory: &EntryPath) {
        let gone: Vec<EntryPath> = self.beneath(directory).cloned().collect();
        for path in &gone {
            self.forget(path);
        }
    }
}

/// Digest over entries: what two nodes compare instead of the entries themselves.
pub(crate) fn digest_of<'a>(entries: impl Iterator<Item = (&'a EntryPath, Known)>) -> Digest {
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
    use crate::entry::{Seen, Stamp};

    fn path(text: &str) -> EntryPath {
        EntryPath::new(text.as_bytes()).unwrap()
    }

    fn known(kind: Kind) -> Known {
        Known {
            kind,
            content: Digest::NONE,
            attributes: Digest::NONE,
            linked: false,
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
    fn only_what_was_found_to_be_another_may_not_be_durable() {
        let undurable = |index: &Index| match &index.undurable {
            Undurable::Paths(paths) => paths.iter().cloned().collect::<Vec<_>>(),
            Undurable::Everything => panic!("everything"),
        };
        let mut index = index();
        index.undurable.clear();
        index.find(path("/a/z"), known(Kind::File));
        index.insert(path("/a/applied"), known(Kind::File));
        index.remove(&path("/a/d-x"));
        assert_eq!(undurable(&index), []);
        let mut another = known(Kind::File);
        another.seen.stamp.ctime.seconds = 1;
        index.find(path("/a/z"), another);
        index.find(path("/a/new"), known(Kind::File));
        index.miss(&path("/a/d"));
        index.miss(&path("/never-there"));
        let found = ["/a/d", "/a/new", "/a/z", "/never-there"].map(path);
        assert_eq!(undurable(&index), found);
    }

    #[test]
    fn what_was_found_in_the_moment_of_its_change_may_not_be_durable_when_it_is_found_again() {
        let mut unsettled = known(Kind::Directory);
        unsettled.seen.settled = false;
        let mut index = index();
        index.insert(path("/a/d"), unsettled);
        index.undurable.clear();
        index.find(path("/a/d"), unsettled);
        assert!(matches!(&index.undurable, Undurable::Paths(paths) if paths.len() == 1));
    }

    #[test]
    fn what_was_recalled_counts_only_once_it_is_confirmed() {
        let mut index = index();
        index.recall(path("/a/new"), known(Kind::File));
        index.recall(path("/a/z"), known(Kind::Link));
        assert!(!index.holds(&path("/a/new")));
        assert!(index.known_or_recalled(&path("/a/new")).is_some());
        index.confirm(&path("/a/new"));
        assert!(index.get(&path("/a/new")).is_some());
        // What became known since then is not replaced.
        index.confirm(&path("/a/z"));
        assert_eq!(index.get(&path("/a/z")).unwrap().kind, Kind::File);
    }

    #[test]
    fn paths_are_counted_as_they_come_and_go() {
        let mut index = index();
        index.insert(path("/a/z"), known(Kind::File));
        let bytes = |index: &Index| {
            index
                .entries
                .keys()
                .map(|path| path.as_bytes().len())
                .sum::<usize>()
        };
        assert_eq!(index.path_bytes, bytes(&index));
        index.insert(path("/a"), known(Kind::File));
        assert_eq!((index.len(), index.path_bytes), (2, "/a".len() + "/a-b".len()));
        index.remove(&path("/a"));
        index.remove(&path("/a-b"));
        assert_eq!(index.path_bytes, 0);
    }

    #[test]
    fn a_renamed_directory_takes_along_what_is_in_it() {
        let mut index = index();
        index.rename(&path("/a/d"), &path("/a/e"));
        assert!(!index.holds(&path("/a/d")));
        assert!(index.get(&path("/a/e/x")).is_some());
        assert_eq!(index.len(), 6);
    }

    #[test]
    fn an_inode_is_known_by_the_names_that_are_left() {
        let mut index = index();
        let stamp = known(Kind::Directory).seen.stamp;
        index.remove(&path("/a/d"));
        let names: Vec<_> = index.names(&stamp).cloned().collect();
        assert_eq!(names, [path("/a")]);
        index.insert(path("/a"), known(Kind::File));
        assert_eq!(index.names(&stamp).count(), 0);
    }

    #[test]
    fn a_file_that_is_found_to_have_several_names_when_it_is_looked_at_again_is_known_by_them() {
        let mut index = index();
        let before = known(Kind::File);
        let now = Known {
            linked: true,
            ..before
        };
        index.settled(&path("/a/z"), &before, now);
        assert_eq!(index.names(&now.seen.stamp).last(), Some(&path("/a/z")));
        index.settled(&path("/a/z"), &now, before);
        assert_ne!(index.names(&now.seen.stamp).last(), Some(&path("/a/z")));
    }

    #[test]
    fn a_file_in_place_of_a_directory_forgets_what_was_in_it() {
        let mut index = index();
        index.insert(path("/a/d"), known(Kind::File));
        assert!(index.get(&path("/a/d/x")).is_none());
    }
}
