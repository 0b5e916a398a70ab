//! What an Active has to look at, in order.

use std::collections::{BTreeSet, VecDeque};

use crate::EntryPath;
use crate::inodes::Inode;
use crate::scan::Scan;

/// Something to be done in its turn.
#[derive(Debug)]
pub(super) enum Item<F> {
    /// An entry may have changed.
    Path(EntryPath),
    /// Nothing was there any more.
    Gone(EntryPath),
    /// Names in this directory may have changed, and with them its mtime.
    Names(EntryPath),
    /// Anything here and beneath may have changed.
    Tree(EntryPath),
    /// Files of these inodes have other names, which are not known as such.
    Links(BTreeSet<Inode>),
    /// What had a name that nobody knew, and is gone, may be any file with several names.
    AnyLink,
    /// Anything in the scan's reach may have changed.
    Scan(Scan<F>),
    /// Everything told before this has been looked at: a request may go on.
    Barrier(Barrier),
}

/// How often a request waits for more than what was told before it: something is always gone where programs write fast.
const PUT_OFF: u8 = 4;

/// Where a request waits in a line for what was told before it. What of that is gone when it is looked at was maybe moved, and
/// told of again: then the request waits for all that was told by the time that its turn comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Barrier {
    /// Names the request.
    pub(super) id: u64,
    /// What had been missed in the line when it began to wait.
    missed: u64,
    put_off: u8,
}

impl Barrier {
    pub(super) fn new(id: u64) -> Self {
        Self {
            id,
            missed: 0,
            put_off: 0,
        }
    }

    /// Begins to wait in a line in which so much has been missed by now.
    pub(super) fn wait(&mut self, missed: u64) {
        self.missed = missed;
    }

    /// Its turn has come in a line in which so much has been missed by now. Returns what it is where it has to be put off.
    pub(super) fn put_off(self, missed: u64) -> Option<Self> {
        let is_put_off = self.missed < missed && self.put_off < PUT_OFF;
        is_put_off.then_some(Self {
            put_off: self.put_off + 1,
            ..self
        })
    }
}

/// First in, first out; a path or a tree that waits already does not wait twice: a program that makes and removes the
/// same directories faster than they are searched makes the queue no longer. Directories in which names changed come
/// after all that changed in them, once, but before a barrier told after it.
#[derive(Debug)]
pub(super) struct Queue<F> {
    items: VecDeque<Item<F>>,
    waiting: BTreeSet<EntryPath>,
    trees: BTreeSet<EntryPath>,
    gone: BTreeSet<EntryPath>,
    directories: BTreeSet<EntryPath>,
    links: BTreeSet<Inode>,
    any_link: bool,
    /// Counts what was told of and was gone when it was looked at.
    missed: u64,
}

impl<F> Default for Queue<F> {
    fn default() -> Self {
        Self {
            items: VecDeque::new(),
            waiting: BTreeSet::new(),
            trees: BTreeSet::new(),
            gone: BTreeSet::new(),
            directories: BTreeSet::new(),
            links: BTreeSet::new(),
            any_link: false,
            missed: 0,
        }
    }
}

impl<F> Queue<F> {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.directories.is_empty() && self.links.is_empty() && !self.any_link
    }

    pub(super) fn push_path(&mut self, path: EntryPath) {
        if self.waiting.insert(path.clone()) {
            self.items.push_back(Item::Path(path));
        }
    }

    /// Anything at `top` and beneath may have changed.
    pub(super) fn push_tree(&mut self, top: EntryPath) {
        if self.trees.insert(top.clone()) {
            self.items.push_back(Item::Tree(top));
        }
    }

    /// Nothing is at `path` any more. What was there may be at another path that waits: it comes after those, but before
    /// a barrier that was told after it.
    pub(super) fn push_gone(&mut self, path: EntryPath) {
        if self.gone.insert(path.clone()) {
            self.items.push_back(Item::Gone(path));
        }
    }

    /// A name in `directory` came or went, or may have.
    pub(super) fn push_names(&mut self, directory: EntryPath) {
        self.directories.insert(directory);
    }

    /// The file of `inode` has other names. Those of all such files are looked for together, once what was told is done.
    pub(super) fn push_links(&mut self, inode: Inode) {
        self.links.insert(inode);
    }

    /// A name that nobody knew is gone. All files with several names are looked at, once what was told is done.
    pub(super) fn push_any_link(&mut self) {
        self.any_link = true;
    }

    pub(super) fn push_barrier(&mut self, mut barrier: Barrier) {
        barrier.wait(self.missed);
        self.items.push_back(Item::Barrier(barrier));
    }

    /// Something that was told of is gone.
    pub(super) fn miss(&mut self) {
        self.missed += 1;
    }

    pub(super) fn push(&mut self, item: Item<F>) {
        self.items.push_back(item);
    }

    /// Puts `paths`, in their order, before everything else: they belong to what was at the head.
    pub(super) fn push_front(&mut self, paths: Vec<EntryPath>) {
        for path in paths.into_iter().rev() {
            self.items.push_front(Item::Path(path));
        }
    }

    /// Puts a scan that is not done back to the head.
    pub(super) fn push_scan_front(&mut self, scan: Scan<F>) {
        self.items.push_front(Item::Scan(scan));
    }

    pub(super) fn pop(&mut self) -> Option<Item<F>> {
        loop {
            if let None | Some(Item::Barrier(_)) = self.items.front() {
                if let Some(item) = self.pop_late() {
                    return Some(item);
                }
            }
            let item = self.items.pop_front()?;
            match &item {
                Item::Path(path) => {
                    self.waiting.remove(path);
                }
                Item::Tree(top) => {
                    self.trees.remove(top);
                }
                // A barrier came first, and it before that.
                Item::Gone(path) if !self.gone.remove(path) => continue,
                Item::Barrier(barrier) => {
                    if let Some(barrier) = barrier.put_off(self.missed) {
                        self.push_barrier(barrier);
                        continue;
                    }
                }
                Item::Gone(_) | Item::Names(_) | Item::Links(_) | Item::AnyLink | Item::Scan(_) => {}
            }
            return Some(item);
        }
    }

    /// What comes after all that was told.
    fn pop_late(&mut self) -> Option<Item<F>> {
        if !self.links.is_empty() {
            return Some(Item::Links(std::mem::take(&mut self.links)));
        }
        if std::mem::take(&mut self.any_link) {
            return Some(Item::AnyLink);
        }
        let gone = self.gone.pop_first().map(Item::Gone);
        gone.or_else(|| self.directories.pop_first().map(Item::Names))
    }

    /// Entries that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len() + self.trees.len() + self.gone.len() + self.directories.len()
    }
}
