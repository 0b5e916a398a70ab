//! Which names an inode is known by.

use std::collections::{BTreeMap, BTreeSet};

use crate::EntryPath;
use crate::entry::{Kind, Known, Stamp};
use crate::wire::INLINE_BYTES;

/// Device and inode number.
pub(crate) type Inode = (u64, u64);

/// Names of the inodes that are worth knowing again under another name: directories, files with several names, and
/// files that are too large to be sent again lightly. All others cost nothing here.
#[derive(Debug, Default)]
pub(crate) struct Inodes {
    names: BTreeMap<Inode, BTreeSet<EntryPath>>,
    /// Names of files with several.
    linked: BTreeSet<EntryPath>,
}

impl Inodes {
    pub(crate) fn learn(&mut self, path: &EntryPath, known: &Known) {
        if known.linked {
            self.linked.insert(path.clone());
        }
        if is_worth_it(known) {
            let names = self.names.entry(known.seen.stamp.inode()).or_default();
            names.insert(path.clone());
        }
    }

    pub(crate) fn forget(&mut self, path: &EntryPath, known: &Known) {
        self.linked.remove(path);
        let inode = known.seen.stamp.inode();
        if let Some(names) = self.names.get_mut(&inode).filter(|_| is_worth_it(known)) {
            names.remove(path);
            if names.is_empty() {
                self.names.remove(&inode);
            }
        }
    }

    /// Names of the inode of `stamp`, in order.
    pub(crate) fn names(&self, stamp: &Stamp) -> impl Iterator<Item = &EntryPath> {
        self.names_of(stamp.inode())
    }

    pub(crate) fn names_of(&self, inode: Inode) -> impl Iterator<Item = &EntryPath> {
        self.names.get(&inode).into_iter().flatten()
    }

    /// Names of all files that have several, in order.
    pub(crate) fn linked_names(&self) -> impl Iterator<Item = &EntryPath> {
        self.linked.iter()
    }
}

fn is_worth_it(known: &Known) -> bool {
    match known.kind {
        Kind::Directory => true,
        Kind::File => known.linked || known.seen.stamp.size > INLINE_BYTES as u64,
        Kind::Link => false,
    }
}
