//! A disk in memory that forgets, at a power cut, what was not synced.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::rc::Rc;

use bmc_replication::EntryPath;
use bmc_replication::conflicts::{ConflictStore, Kept, Loser};
use bmc_replication::entry::{Attributes, Body, FileTime, Found, Seen, Stamp};
use bmc_replication::record_log::Medium;
use bmc_replication::state::{State, StateError, StateStore};
use bmc_replication::tree::{Complete, Inspection, Source, Stage, Tree, TreeError};

use crate::inodes::Inodes;
use crate::random::Dice;
use crate::world::{Version, is_two_way, version};

/// Ticks of the file system's clock are this coarse, in simulated milliseconds, so that changes fall into one tick.
const TICK_MS: u64 = 50;

/// So many zeros in a file are a hole.
const HOLE_SHORTEST: usize = 512;

/// So much is looked at for the end of a hole.
const HOLE_LONGEST: u64 = 64 * 1024;

/// What a file begins with that a power cut tore.
const TORN: &[u8] = b"torn";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Data {
    File(Vec<u8>),
    Directory,
    Link(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) data: Data,
    pub(crate) attributes: Attributes,
    inode: u64,
    ctime: u64,
}

impl Node {
    fn is_same_file(&self, other: &Self) -> bool {
        self.data.is_file() && other.data.is_file() && self.inode == other.inode
    }

    /// What is written to a file shows under all its names.
    fn show(&self, image: &mut Image) {
        for name in image.values_mut().filter(|name| name.is_same_file(self)) {
            name.clone_from(self);
        }
    }
}

impl Data {
    pub(crate) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    pub(crate) fn is_torn(&self) -> bool {
        matches!(self, Self::File(bytes) if bytes.starts_with(TORN))
    }
}

pub(crate) type Image = BTreeMap<EntryPath, Node>;

/// What a reader compares: data, attributes, and the first other name of a file that is replicated alike.
pub(crate) type Contents = BTreeMap<EntryPath, (Data, Attributes, Option<EntryPath>)>;

pub(crate) fn contents(image: &Image, is_alike: impl Fn(&EntryPath, &EntryPath) -> bool) -> Contents {
    let first_other = |path: &EntryPath, node: &Node| {
        let is_other = |(other, at): &(&EntryPath, &Node)| {
            *other != path && is_alike(other, path) && at.is_same_file(node)
        };
        image.iter().find(is_other).map(|(other, _)| other.clone())
    };
    image
        .iter()
        .map(|(path, node)| {
            let other = first_other(path, node);
            (path.clone(), (node.data.clone(), node.attributes.clone(), other))
        })
        .collect()
}

#[derive(Debug, Clone)]
enum Change {
    Set(EntryPath, Node),
    /// A file has a name more. What it holds comes with what was written to it.
    Name(EntryPath, Node),
    Remove(EntryPath),
    /// From, to, and the tick at which.
    Rename(EntryPath, EntryPath, u64),
}

impl Change {
    /// Where it shows.
    fn path(&self) -> &EntryPath {
        match self {
            Self::Set(path, _) | Self::Name(path, _) | Self::Remove(path) | Self::Rename(_, path, _) => path,
        }
    }

    /// Whether it reaches the disk with `later`, as what came before it: at the same path, above it, or beneath it. With what a
    /// directory is only the names in it do: no content.
    fn comes_with(&self, later: &Self) -> bool {
        let is_directory = matches!(later, Self::Set(_, node) if node.data == Data::Directory);
        let is_content = matches!(self, Self::Set(_, node) if node.data.is_file());
        let (own, paths) = (self.paths(), later.paths());
        let related = |own: &EntryPath, path: &EntryPath| {
            let is_name = own.parent().as_ref() == Some(path) && !is_content;
            let reaches_beneath = !is_directory || is_name;
            own == path || path.is_beneath(own) || own.is_beneath(path) && reaches_beneath
        };
        paths.iter().any(|path| own.iter().any(|own| related(own, path)))
    }

    fn paths(&self) -> Vec<EntryPath> {
        match self {
            Self::Set(path, _) | Self::Name(path, _) | Self::Remove(path) => vec![path.clone()],
            Self::Rename(from, to, _) => vec![from.clone(), to.clone()],
        }
    }

    /// The file that it makes, writes to or gives a name.
    fn file(&self) -> Option<u64> {
        match self {
            Self::Set(_, node) | Self::Name(_, node) => node.data.is_file().then_some(node.inode),
            Self::Remove(_) | Self::Rename(..) => None,
        }
    }

    /// What `later` wrote to the same file reached the disk before this name of it.
    fn comes_after_content(&mut self, later: &Self) {
        if let (Self::Name(_, name), Self::Set(_, node) | Self::Name(_, node)) = (self, later) {
            if name.is_same_file(node) {
                let ctime = name.ctime;
                name.clone_from(node);
                name.ctime = ctime;
            }
        }
    }

    /// What was written reaches `image` under the names that the file has there. Returns what is left: the name.
    fn apply_content(self, image: &mut Image) -> Self {
        match self {
            Self::Set(path, node) => {
                node.show(image);
                Self::Name(path, node)
            }
            other => other,
        }
    }

    fn apply(&self, image: &mut Image) {
        match self {
            Self::Set(path, node) => {
                if node.data != Data::Directory {
                    image.retain(|other, _| !other.is_beneath(path));
                }
                node.show(image);
                image.insert(path.clone(), node.clone());
            }
            Self::Name(path, node) => {
                let mut file = image
                    .values()
                    .find(|other| other.is_same_file(node))
                    .unwrap_or(node)
                    .clone();
                file.ctime = file.ctime.max(node.ctime);
                Self::Set(path.clone(), file).apply(image);
            }
            Self::Remove(path) => image.retain(|other, _| other != path && !other.is_beneath(path)),
            // Nothing is there to be moved when its making was lost.
            Self::Rename(from, ..) if !image.contains_key(from) => {}
            // As rename(2) has it, nothing happens to two names of one file.
            Self::Rename(from, to, _)
                if image.get(to).is_some_and(|file| file.is_same_file(&image[from])) => {}
            Self::Rename(from, to, ctime) => {
                image.retain(|other, _| other != to && !other.is_beneath(to));
                let moved = |path: EntryPath| path.rebased(from, to).unwrap_or(path);
                *image = std::mem::take(image)
                    .into_iter()
                    .map(|(path, node)| (moved(path), node))
                    .collect();
                if let Some(node) = image.get_mut(to) {
                    node.ctime = *ctime;
                }
            }
        }
    }
}

/// A change that a power cut may undo.
#[derive(Debug, Clone)]
struct Unsynced {
    change: Change,
    /// Written by a local program, that is with content that may be torn.
    local: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) live: Image,
    pub(crate) durable: Image,
    journal: Vec<Unsynced>,
    state: Option<State>,
    digests: Log,
    boot: u64,
    pub(crate) inodes: Inodes,
    /// Numbers the mtimes that directories get because names in them changed.
    disturbances: u32,
    pub(crate) now_ms: u64,
    /// Counts changes of what is there.
    pub(crate) generation: u64,
    /// Counts what the bridge moved.
    pub(crate) renames: u64,
    /// Counts the hard links that the bridge made.
    pub(crate) links: u64,
    /// Writing fails.
    pub(crate) full: bool,
    /// Writing this entry fails.
    pub(crate) refused: Option<EntryPath>,
    /// Reading fails.
    pub(crate) unreadable: bool,
    /// Counts how often the bridge made everything durable.
    pub(crate) hardened_whole: u64,
    /// Files that were opened to be read.
    pub(crate) opened: u64,
    agreed: Log,
    /// Bytes of the log of what was agreed that no power cut takes.
    agreed_durable: usize,
    /// Versions that were kept aside; `None` for a removal.
    pub(crate) aside: BTreeSet<(EntryPath, Option<Version>)>,
    /// Versions that some core has put on some disk: those of local programs that are not among them are nowhere else.
    pub(crate) shared: Rc<RefCell<BTreeSet<(EntryPath, Version)>>>,
}

/// The bytes of a log, and of its successor.
#[derive(Debug, Default)]
struct Log {
    bytes: Vec<u8>,
    next: Vec<u8>,
}

impl Log {
    /// Any end of it is lost, all of it even, and now and then it is damaged.
    fn tear(&mut self, dice: &mut Dice) {
        self.bytes.truncate(dice.below(self.bytes.len() + 1));
        let at = dice.below(self.bytes.len());
        if let Some(byte) = self.bytes.get_mut(at).filter(|_| dice.one_in(4)) {
            *byte ^= 1 << dice.below(8);
        }
    }
}

impl Disk {
    fn tick(&self) -> u64 {
        self.now_ms / TICK_MS
    }

    fn node(&mut self, data: Data, attributes: Attributes) -> Node {
        let taken = self.taken_inodes(data.is_file());
        Node {
            data,
            attributes,
            inode: self.inodes.hand_out(taken),
            ctime: self.tick(),
        }
    }

    /// Numbers that nothing new can have. A file is known by its number in the journal too, so it gets none of a file of which a
    /// power cut may bring anything back.
    fn taken_inodes(&self, for_file: bool) -> BTreeSet<u64> {
        let mut taken: BTreeSet<u64> = self.live.values().map(|node| node.inode).collect();
        if for_file {
            let files = self.durable.values().filter(|node| node.data.is_file());
            taken.extend(files.map(|node| node.inode));
            taken.extend(self.journal.iter().filter_map(|unsynced| unsynced.change.file()));
        }
        taken
    }

    /// Whether the file is durable under other names than this.
    fn durable_without(&self, path: &EntryPath, file: &Node) -> bool {
        let is_it = |node: &Node| node.is_same_file(file);
        !self.durable.get(path).is_some_and(is_it) && self.durable.values().any(is_it)
    }

    /// A power cut brought back what had the number of something else before: no file system does that.
    fn part_inodes(&mut self) {
        let files = self.durable.values().filter(|node| node.data.is_file());
        let mut taken: BTreeSet<u64> = files.map(|node| node.inode).collect();
        for node in self.durable.values_mut().filter(|node| !node.data.is_file()) {
            if !taken.insert(node.inode) {
                node.inode = self.inodes.hand_out_new();
            }
        }
    }

    fn change(&mut self, change: Change, local: bool) {
        self.generation += 1;
        change.apply(&mut self.live);
        self.journal.push(Unsynced { change, local });
    }

    /// A local program replaces or makes an entry, a file in place where it can. Returns whether the mtime of its directory
    /// changed with it.
    pub(crate) fn write(&mut self, path: &EntryPath, data: Data, attributes: Attributes) -> bool {
        let file = self.live.get(path).filter(|before| before.data.is_file());
        let inode = file.map(|before| before.inode);
        self.put(path, data, attributes, inode)
    }

    /// A local program replaces or makes an entry, under which other names of a file that was there do not change.
    /// Returns whether the mtime of its directory changed with it.
    pub(crate) fn replace(&mut self, path: &EntryPath, data: Data, attributes: Attributes) -> bool {
        self.put(path, data, attributes, None)
    }

    fn put(&mut self, path: &EntryPath, data: Data, attributes: Attributes, file: Option<u64>) -> bool {
        let mtime = attributes.mtime;
        let mut node = self.node(data, attributes);
        if let Some(inode) = file.filter(|_| node.data.is_file()) {
            node.inode = inode;
        }
        let same = self
            .live
            .get(path)
            .is_some_and(|before| before.inode == node.inode);
        self.change(Change::Set(path.clone(), node), true);
        !same && self.set_mtime_above(path, mtime, true)
    }

    /// A local program makes an entry what it is on another disk, where `Some`, and gives the directory above the mtime that it
    /// had. Returns whether there is that directory.
    pub(crate) fn copy(&mut self, path: &EntryPath, from: Option<&Node>) -> bool {
        let mtime = match path.parent() {
            None => FileTime::default(),
            Some(above) => match self.directory(&above) {
                Some(above) => above.attributes.mtime,
                None => return false,
            },
        };
        match from {
            None => self.change(Change::Remove(path.clone()), true),
            Some(node) if node.data == Data::Directory && self.directory(path).is_some() => {
                self.set_mtime(path, node.attributes.mtime, true);
            }
            Some(node) => {
                let node = self.node(node.data.clone(), node.attributes.clone());
                self.change(Change::Set(path.clone(), node), true);
            }
        }
        self.set_mtime_above(path, mtime, true);
        true
    }

    /// A local program removes an entry. Returns whether the mtime of its directory changed with it.
    pub(crate) fn remove(&mut self, path: &EntryPath, mtime: FileTime) -> bool {
        self.change(Change::Remove(path.clone()), true);
        self.set_mtime_above(path, mtime, true)
    }

    /// The names of a file.
    pub(crate) fn names<'a>(&'a self, file: &'a Node) -> impl Iterator<Item = &'a EntryPath> {
        self.live
            .iter()
            .filter(|(_, node)| node.is_same_file(file))
            .map(|(path, _)| path)
    }

    /// A local program gives a file another name, in the place of another file.
    pub(crate) fn hard_link(&mut self, path: &EntryPath, to: &EntryPath, mtime: FileTime) {
        if let Some(node) = self.live.get(to).cloned() {
            self.link(path, node, true);
            self.set_mtime_above(path, mtime, true);
        }
    }

    fn link(&mut self, path: &EntryPath, mut node: Node, local: bool) -> Seen {
        node.ctime = self.tick();
        let seen = self.seen(&node);
        self.change(Change::Name(path.clone(), node), local);
        seen
    }

    /// A local program moves an entry to where nothing is.
    pub(crate) fn rename(&mut self, from: &EntryPath, to: &EntryPath, mtime: FileTime) {
        self.move_entry(from, to, true);
        self.set_mtime_above(from, mtime, true);
        self.set_mtime_above(to, mtime, true);
    }

    fn move_entry(&mut self, from: &EntryPath, to: &EntryPath, local: bool) -> Option<Seen> {
        self.change(Change::Rename(from.clone(), to.clone(), self.tick()), local);
        self.live.get(to).map(|node| self.seen(node))
    }

    fn set_mtime_above(&mut self, path: &EntryPath, mtime: FileTime, local: bool) -> bool {
        path.parent()
            .is_some_and(|directory| self.set_mtime(&directory, mtime, local))
    }

    /// Returns whether there is such a directory.
    fn set_mtime(&mut self, directory: &EntryPath, mtime: FileTime, local: bool) -> bool {
        let Some(mut node) = self.directory(directory).cloned() else {
            return false;
        };
        node.attributes.mtime = mtime;
        node.ctime = self.tick();
        self.change(Change::Set(directory.clone(), node), local);
        true
    }

    fn directory(&self, path: &EntryPath) -> Option<&Node> {
        self.live.get(path).filter(|node| node.data == Data::Directory)
    }

    /// The inode of the directory that `path` is in.
    fn parent(&self, path: &EntryPath) -> Option<u64> {
        let directory = path.parent()?;
        self.directory(&directory).map(|directory| directory.inode)
    }

    /// Where a power cut may bring something else: another file, be it the same.
    pub(crate) fn undurable(&self) -> BTreeSet<EntryPath> {
        let paths = self.live.keys().chain(self.durable.keys());
        let is_durable = |path: &EntryPath| match (self.live.get(path), self.durable.get(path)) {
            (Some(live), Some(durable)) => {
                let is_same = live.data == Data::Directory || live.inode == durable.inode;
                is_same && live.data == durable.data && live.attributes == durable.attributes
            }
            (live, durable) => live.is_none() && durable.is_none(),
        };
        paths.filter(|path| !is_durable(path)).cloned().collect()
    }

    fn make_durable(&mut self, concerns: impl Fn(&Unsynced) -> bool) {
        // Of the other names of a file only what it holds reaches the disk with it.
        let mut kept = Vec::new();
        let mut reaching: Vec<&Change> = Vec::new();
        let mut durable = vec![false; self.journal.len()];
        let synced = self.journal.iter().filter(|unsynced| concerns(unsynced));
        let mut files: BTreeSet<u64> = synced.filter_map(|unsynced| unsynced.change.file()).collect();
        for (at, unsynced) in self.journal.iter().enumerate().rev() {
            let change = &unsynced.change;
            if concerns(unsynced) || reaching.iter().any(|later| change.comes_with(later)) {
                durable[at] = true;
                reaching.push(change);
                files.extend(change.file());
            }
        }
        for (at, mut unsynced) in std::mem::take(&mut self.journal).into_iter().enumerate() {
            if unsynced.change.file().is_some_and(|file| files.contains(&file)) {
                let earlier = kept
                    .iter_mut()
                    .map(|unsynced: &mut Unsynced| &mut unsynced.change);
                earlier.for_each(|change| change.comes_after_content(&unsynced.change));
                if !durable[at] {
                    unsynced.change = unsynced.change.apply_content(&mut self.durable);
                }
            }
            match durable[at] {
                true => unsynced.change.apply(&mut self.durable),
                false => kept.push(unsynced),
            }
        }
        self.journal = kept;
    }

    /// The power goes: of what was not synced, anything may be there or not, and local writes may be torn.
    pub(crate) fn cut_power(&mut self, dice: &mut Dice) {
        for unsynced in std::mem::take(&mut self.journal) {
            if dice.one_in(2) {
                continue;
            }
            let mut change = unsynced.change;
            let parent_is_there = change.path().parent().is_none_or(|parent| {
                self.durable
                    .get(&parent)
                    .is_some_and(|node| node.data == Data::Directory)
            });
            if !parent_is_there {
                continue;
            }
            if let Change::Set(_, node) | Change::Name(_, node) = &mut change {
                if let (Data::File(bytes), true) = (&mut node.data, unsynced.local && dice.one_in(3)) {
                    // Of the same size, so that nothing but the content tells.
                    let length = bytes.len().max(TORN.len());
                    *bytes = TORN.to_vec();
                    bytes.resize(length, 0);
                }
            }
            match &change {
                // Of a file that has other names without this one the name was lost: only what was written reaches it.
                Change::Set(path, node) if self.durable_without(path, node) => node.show(&mut self.durable),
                _ => change.apply(&mut self.durable),
            }
        }
        self.generation += 1;
        self.part_inodes();
        self.live = self.durable.clone();
        let unsynced = self.agreed.bytes.len() - self.agreed_durable;
        self.agreed
            .bytes
            .truncate(self.agreed_durable + dice.below(unsynced + 1));
        self.full = false;
        self.refused = None;
        self.unreadable = false;
        self.boot += 1;
        self.digests.tear(dice);
    }

    /// The bridge dies, maybe while it writes.
    pub(crate) fn kill_bridge(&mut self, dice: &mut Dice) {
        if dice.one_in(4) {
            self.digests.tear(dice);
        }
    }

    /// A core replaces what is at `path`, and in it unless it stays a directory: where changes travel both ways no
    /// version may go that is nowhere else.
    fn check_replaced(&self, path: &EntryPath, by: Option<&Node>) {
        let stays = by.is_some_and(|node| node.data == Data::Directory);
        let replaced = self
            .live
            .iter()
            .filter(|(other, _)| *other == path || (!stays && other.is_beneath(path)));
        for (path, node) in replaced.filter(|(path, node)| is_two_way(path) && node.data != Data::Directory) {
            let version = version(&node.attributes);
            let same = by.is_some_and(|by| by.attributes == node.attributes && by.data == node.data);
            // What a file of several names holds is no more at one of them than at another.
            let is_linked = self.names(node).nth(1).is_some();
            let is_shared_anywhere = || self.shared.borrow().iter().any(|(_, shared)| *shared == version);
            let safe = same
                || is_linked && is_shared_anywhere()
                || self.aside.contains(&(path.clone(), Some(version)))
                || self.shared.borrow().contains(&(path.clone(), version));
            assert!(safe, "version {version} of {path} is dropped by {by:?}");
        }
    }

    /// What the Active has told of at a path it has moved to another by now.
    fn share_moved(&self, from: &EntryPath, to: &EntryPath) {
        let mut shared = self.shared.borrow_mut();
        for (path, node) in &self.live {
            let version = version(&node.attributes);
            let moved = path.rebased(from, to);
            if let Some(moved) = moved.filter(|_| shared.contains(&(path.clone(), version))) {
                shared.insert((moved, version));
            }
        }
    }

    fn seen(&self, node: &Node) -> Seen {
        let ctime = FileTime {
            seconds: node.ctime as i64,
            nanoseconds: 0,
        };
        Seen {
            stamp: Stamp {
                device: 1,
                inode: node.inode,
                size: match &node.data {
                    Data::File(bytes) => bytes.len() as u64,
                    Data::Directory | Data::Link(_) => 0,
                },
                mtime: node.attributes.mtime,
                ctime,
            },
            settled: self.tick() > node.ctime,
        }
    }

    fn found(&self, node: &Node) -> Found {
        Found {
            body: match &node.data {
                Data::File(_) => Body::File,
                Data::Directory => Body::Directory,
                Data::Link(target) => Body::Link(target.clone()),
            },
            attributes: node.attributes.clone(),
            linked: self.names(node).count() > 1,
            seen: self.seen(node),
        }
    }
}

#[derive(Debug)]
pub(crate) struct SimTree {
    disk: Rc<RefCell<Disk>>,
    /// Directories in which names changed since the last sync, and the mtimes that they have to have.
    disturbed: BTreeMap<EntryPath, FileTime>,
}

impl SimTree {
    pub(crate) fn new(disk: Rc<RefCell<Disk>>) -> Self {
        Self {
            disk,
            disturbed: BTreeMap::new(),
        }
    }

    /// A name in the directory of `path` comes or goes: its mtime is not the one that it had. The second stays: it is
    /// the version.
    fn disturb(&mut self, path: &EntryPath) {
        let Some(directory) = path.parent() else { return };
        let mut disk = self.disk.borrow_mut();
        let Some(mtime) = disk.directory(&directory).map(|node| node.attributes.mtime) else {
            return;
        };
        self.disturbed.entry(directory.clone()).or_insert(mtime);
        disk.disturbances += 1;
        let now = FileTime {
            nanoseconds: disk.disturbances,
            ..mtime
        };
        disk.set_mtime(&directory, now, false);
    }

    fn writable(&self, action: &'static str, path: &EntryPath) -> Result<(), TreeError> {
        let disk = self.disk.borrow();
        match disk.full || (disk.refused.as_ref() == Some(path) && action != "sync") {
            true => Err(failed(action, path, io::ErrorKind::StorageFull)),
            false => Ok(()),
        }
    }

    fn readable(&self, action: &'static str, path: &EntryPath) -> Result<(), TreeError> {
        match self.disk.borrow().unreadable {
            true => Err(failed(action, path, io::ErrorKind::Other)),
            false => Ok(()),
        }
    }

    /// Directories that are missing above `path`. Nothing else makes way for them.
    fn make_parents(&mut self, action: &'static str, path: &EntryPath) -> Result<(), TreeError> {
        let mut above: Vec<EntryPath> = std::iter::successors(path.parent(), EntryPath::parent).collect();
        while let Some(directory) = above.pop() {
            let there = self
                .disk
                .borrow()
                .live
                .get(&directory)
                .map(|node| node.data.clone());
            match there {
                Some(Data::Directory) => {}
                Some(_) => return Err(failed(action, path, io::ErrorKind::NotADirectory)),
                None => {
                    self.disturb(&directory);
                    let mut disk = self.disk.borrow_mut();
                    let node = disk.node(Data::Directory, Attributes::default());
                    disk.change(Change::Set(directory, node), false);
                }
            }
        }
        Ok(())
    }

    /// Puts an entry into a directory that is there.
    fn set(&mut self, path: &EntryPath, data: Data, attributes: &Attributes) -> Seen {
        self.disturb(path);
        if let Some(mtime) = self.disturbed.get_mut(path) {
            *mtime = attributes.mtime;
        }
        let mut disk = self.disk.borrow_mut();
        let stays = disk.directory(path).filter(|_| data == Data::Directory);
        let stays = stays.map(|directory| directory.inode);
        let mut node = disk.node(data, attributes.clone());
        if let Some(inode) = stays {
            node.inode = inode;
        }
        let seen = disk.seen(&node);
        disk.check_replaced(path, Some(&node));
        let placed = (path.clone(), version(&node.attributes));
        disk.shared.borrow_mut().insert(placed);
        disk.change(Change::Set(path.clone(), node), false);
        seen
    }
}

fn failed(action: &'static str, path: &EntryPath, kind: io::ErrorKind) -> TreeError {
    TreeError {
        action,
        path: path.clone(),
        source: kind.into(),
    }
}

#[derive(Debug)]
pub(crate) struct SimSource {
    disk: Rc<RefCell<Disk>>,
    path: EntryPath,
    opened: Vec<u8>,
    found: Found,
    offset: usize,
    _held: Rc<u64>,
}

impl Source for SimSource {
    fn found(&self) -> &Found {
        &self.found
    }

    fn read(&mut self, buffer: &mut Vec<u8>, limit: usize) -> Result<(), TreeError> {
        let disk = self.disk.borrow();
        // As long as it is the same inode, a reader sees what is written meanwhile.
        let bytes = match disk.live.get(&self.path) {
            Some(Node {
                data: Data::File(bytes),
                inode,
                ..
            }) if *inode == self.found.seen.stamp.inode => bytes,
            _ => &self.opened,
        };
        let rest = &bytes[self.offset.min(bytes.len())..];
        let piece = &rest[..rest.len().min(limit)];
        buffer.extend_from_slice(piece);
        self.offset += piece.len();
        Ok(())
    }

    fn seek(&mut self, offset: u64) -> Result<(), TreeError> {
        self.offset = offset as usize;
        Ok(())
    }

    fn skip_hole(&mut self, limit: u64) -> Result<u64, TreeError> {
        let mut ahead = Vec::new();
        let here = self.offset;
        self.read(&mut ahead, limit.min(HOLE_LONGEST) as usize)?;
        let zeros = ahead.iter().take_while(|byte| **byte == 0).count();
        let hole = if zeros < HOLE_SHORTEST { 0 } else { zeros };
        self.offset = here + hole;
        Ok(hole as u64)
    }

    fn is_unchanged(&self) -> Result<bool, TreeError> {
        let disk = self.disk.borrow();
        Ok(match disk.live.get(&self.path) {
            Some(node) if node.inode == self.found.seen.stamp.inode => {
                disk.seen(node).stamp == self.found.seen.stamp
            }
            // Moved or removed: its ctime tells.
            _ => false,
        })
    }
}

#[derive(Debug)]
pub(crate) struct SimStage {
    disk: Rc<RefCell<Disk>>,
    path: EntryPath,
    /// The directory that it is in: with that it goes.
    parent: Option<u64>,
    bytes: Vec<u8>,
}

impl Stage for SimStage {
    fn write(&mut self, bytes: &[u8]) -> Result<(), TreeError> {
        if self.disk.borrow().full {
            return Err(failed("write", &self.path, io::ErrorKind::StorageFull));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn skip(&mut self, length: u64) -> Result<(), TreeError> {
        self.bytes.resize(self.bytes.len() + length as usize, 0);
        Ok(())
    }
}

impl Tree for SimTree {
    type Source = SimSource;
    type Stage = SimStage;
    type Sealing = Vec<Complete<SimStage>>;

    /// Few, so that some are always on their way.
    const TOGETHER: usize = 3;

    fn inspect(&mut self, path: &EntryPath, known: Option<&Seen>) -> Result<Inspection, TreeError> {
        self.readable("look at", path)?;
        let disk = self.disk.borrow();
        let Some(node) = disk.live.get(path) else {
            return Ok(Inspection::Absent);
        };
        let found = disk.found(node);
        if known.is_some_and(|known| known.settled && known.stamp == found.seen.stamp) {
            return Ok(Inspection::Unchanged);
        }
        Ok(Inspection::Present(found))
    }

    fn list(&mut self, path: &EntryPath) -> Result<Vec<Vec<u8>>, TreeError> {
        self.readable("list", path)?;
        let disk = self.disk.borrow();
        let children = disk
            .live
            .keys()
            .filter(|child| child.parent().as_ref() == Some(path));
        let mut names: Vec<Vec<u8>> = children.map(|child| child.name().to_vec()).collect();
        names.sort();
        Ok(names)
    }

    fn open(&mut self, path: &EntryPath) -> Result<Option<SimSource>, TreeError> {
        self.readable("open", path)?;
        let mut disk = self.disk.borrow_mut();
        disk.opened += 1;
        let Some((node, Data::File(bytes))) = disk.live.get(path).map(|node| (node, &node.data)) else {
            return Ok(None);
        };
        let (opened, found, inode) = (bytes.clone(), disk.found(node), node.inode);
        Ok(Some(SimSource {
            disk: Rc::clone(&self.disk),
            path: path.clone(),
            opened,
            found,
            offset: 0,
            _held: disk.inodes.hold(inode),
        }))
    }

    fn harden(&mut self, paths: &[EntryPath]) -> Result<(), TreeError> {
        for path in paths {
            self.writable("sync", path)?;
        }
        self.disk.borrow_mut().make_durable(|unsynced| {
            let changed = unsynced.change.paths();
            let reaches = |path: &EntryPath| paths.iter().any(|hard| path == hard || hard.is_beneath(path));
            changed.iter().any(reaches)
        });
        Ok(())
    }

    fn harden_all(&mut self) -> Result<(), TreeError> {
        let full = self.disk.borrow().full;
        if full {
            let path = EntryPath::new(b"/s").expect("a plain path");
            return Err(failed("sync", &path, io::ErrorKind::StorageFull));
        }
        let mut disk = self.disk.borrow_mut();
        disk.hardened_whole += 1;
        disk.make_durable(|_| true);
        Ok(())
    }

    fn stage(&mut self, path: &EntryPath) -> Result<SimStage, TreeError> {
        self.writable("stage", path)?;
        self.make_parents("stage", path)?;
        Ok(SimStage {
            disk: Rc::clone(&self.disk),
            path: path.clone(),
            parent: self.disk.borrow().parent(path),
            bytes: Vec::new(),
        })
    }

    fn seal(&mut self, batch: Vec<Complete<SimStage>>) -> Self::Sealing {
        batch
    }

    fn place_sealed(&mut self, batch: Self::Sealing) -> Vec<Result<Seen, TreeError>> {
        batch
            .into_iter()
            .map(|complete| {
                self.writable("place", &complete.path)?;
                if self.disk.borrow().parent(&complete.path) != complete.stage.parent {
                    return Err(failed("place", &complete.path, io::ErrorKind::NotFound));
                }
                Ok(self.set(
                    &complete.path,
                    Data::File(complete.stage.bytes),
                    &complete.attributes,
                ))
            })
            .collect()
    }

    fn make_directory(&mut self, path: &EntryPath, attributes: &Attributes) -> Result<Seen, TreeError> {
        self.writable("make the directory", path)?;
        self.make_parents("make the directory", path)?;
        Ok(self.set(path, Data::Directory, attributes))
    }

    fn make_link(
        &mut self,
        path: &EntryPath,
        target: &[u8],
        attributes: &Attributes,
    ) -> Result<Seen, TreeError> {
        self.writable("make the link", path)?;
        self.make_parents("make the link", path)?;
        Ok(self.set(path, Data::Link(target.to_vec()), attributes))
    }

    fn set_attributes(
        &mut self,
        path: &EntryPath,
        attributes: &Attributes,
        names: &[EntryPath],
    ) -> Result<Seen, TreeError> {
        self.writable("set attributes of", path)?;
        let Some(mut node) = self.disk.borrow().live.get(path).cloned() else {
            return Err(failed("set attributes of", path, io::ErrorKind::NotFound));
        };
        let (known, others): (Vec<EntryPath>, Vec<EntryPath>) = {
            let disk = self.disk.borrow();
            disk.names(&node).cloned().partition(|name| names.contains(name))
        };
        if matches!(node.data, Data::File(_)) && !others.is_empty() {
            let mut seen = self.set(path, node.data, attributes);
            for name in known.iter().filter(|name| *name != path) {
                seen = self.make_hard_link(name, path)?;
            }
            return Ok(seen);
        }
        let mut disk = self.disk.borrow_mut();
        let next = Node {
            attributes: attributes.clone(),
            ..node.clone()
        };
        disk.check_replaced(path, Some(&next));
        for name in &known {
            let placed = (name.clone(), version(attributes));
            disk.shared.borrow_mut().insert(placed);
        }
        node.attributes = attributes.clone();
        node.ctime = disk.tick();
        let seen = disk.seen(&node);
        disk.change(Change::Set(path.clone(), node), false);
        Ok(seen)
    }

    fn make_hard_link(&mut self, path: &EntryPath, to: &EntryPath) -> Result<Seen, TreeError> {
        self.writable("make the hard link", path)?;
        let node = self.disk.borrow().live.get(to).cloned();
        let Some(node) = node.filter(|node| matches!(node.data, Data::File(_))) else {
            return Err(failed("make the hard link", path, io::ErrorKind::NotFound));
        };
        self.make_parents("make the hard link", path)?;
        self.disturb(path);
        let mut disk = self.disk.borrow_mut();
        disk.links += 1;
        disk.check_replaced(path, Some(&node));
        let placed = (path.clone(), version(&node.attributes));
        disk.shared.borrow_mut().insert(placed);
        Ok(disk.link(path, node, false))
    }

    fn rename(&mut self, from: &EntryPath, to: &EntryPath) -> Result<Seen, TreeError> {
        self.writable("rename to", to)?;
        self.disturb(from);
        self.disturb(to);
        self.disturbed.remove(to);
        self.disturbed = std::mem::take(&mut self.disturbed)
            .into_iter()
            .map(|(path, mtime)| (path.rebased(from, to).unwrap_or(path), mtime))
            .collect();
        let mut disk = self.disk.borrow_mut();
        disk.check_replaced(to, None);
        disk.share_moved(from, to);
        disk.renames += 1;
        let seen = disk.move_entry(from, to, false);
        seen.ok_or_else(|| failed("rename to", to, io::ErrorKind::NotFound))
    }

    fn remove(&mut self, path: &EntryPath) -> Result<(), TreeError> {
        self.writable("remove", path)?;
        // Where it is gone already, that is made durable.
        let above = path.parent();
        if above.is_none_or(|above| self.disk.borrow().directory(&above).is_some()) {
            self.disk.borrow().check_replaced(path, None);
            self.disturb(path);
            self.disturbed
                .retain(|directory, _| directory != path && !directory.is_beneath(path));
            self.disk.borrow_mut().change(Change::Remove(path.clone()), false);
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), TreeError> {
        self.release();
        self.disk.borrow_mut().make_durable(|unsynced| !unsynced.local);
        Ok(())
    }

    fn release(&mut self) {
        let mut disk = self.disk.borrow_mut();
        for (directory, mtime) in std::mem::take(&mut self.disturbed) {
            disk.set_mtime(&directory, mtime, false);
        }
    }
}

/// Keeps the state on the simulated disk.
#[derive(Debug, Clone)]
pub(crate) struct SimState(pub(crate) Rc<RefCell<Disk>>);

impl StateStore for SimState {
    fn load(&mut self) -> Result<State, StateError> {
        Ok(self.0.borrow().state.unwrap_or_default())
    }

    fn save(&mut self, state: &State) -> Result<(), StateError> {
        if self.0.borrow().full {
            return Err(StateError::Io {
                action: "write",
                path: "state".into(),
                source: io::ErrorKind::StorageFull.into(),
            });
        }
        self.0.borrow_mut().state = Some(*state);
        Ok(())
    }

    fn agreed(&mut self) -> Box<dyn Medium> {
        Box::new(SimAgreed(Rc::clone(&self.0)))
    }

    fn digests(&mut self) -> Box<dyn Medium> {
        Box::new(SimDigests(Rc::clone(&self.0)))
    }

    fn boot(&self) -> Vec<u8> {
        self.0.borrow().boot.to_be_bytes().to_vec()
    }
}

/// Keeps the digests on the simulated disk.
#[derive(Debug)]
struct SimDigests(Rc<RefCell<Disk>>);

impl SimDigests {
    fn writable(&self) -> io::Result<()> {
        match self.0.borrow().full {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl Medium for SimDigests {
    fn path(&self) -> &Path {
        Path::new("digests")
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let disk = self.0.borrow();
        let rest = disk.digests.bytes.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        // A full disk takes some of it.
        let full = self.0.borrow().full;
        let taken = if full { bytes.len() / 2 } else { bytes.len() };
        self.0
            .borrow_mut()
            .digests
            .bytes
            .extend_from_slice(&bytes[..taken]);
        self.writable()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.borrow_mut().digests.bytes.truncate(length as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.writable()
    }

    fn begin_next(&mut self) -> io::Result<()> {
        self.writable()?;
        self.0.borrow_mut().digests.next.clear();
        Ok(())
    }

    fn append_next(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writable()?;
        self.0.borrow_mut().digests.next.extend_from_slice(bytes);
        Ok(())
    }

    fn adopt_next(&mut self) -> io::Result<()> {
        self.writable()?;
        let mut disk = self.0.borrow_mut();
        disk.digests.bytes = std::mem::take(&mut disk.digests.next);
        Ok(())
    }
}

impl ConflictStore for SimState {
    fn keep_aside(&mut self, loser: &Loser<'_>, _: Option<&mut dyn Source>) -> Result<Kept, StateError> {
        let mut disk = self.0.borrow_mut();
        if disk.full {
            return Err(StateError::Io {
                action: "write",
                path: "conflicts".into(),
                source: io::ErrorKind::StorageFull.into(),
            });
        }
        let kept = (loser.path.clone(), loser.attributes.map(version));
        disk.aside.insert(kept);
        Ok(Kept::default())
    }

    fn conflicts(&self) -> u64 {
        self.0.borrow().aside.len() as u64
    }
}

/// Keeps what was agreed on the simulated disk.
#[derive(Debug)]
struct SimAgreed(Rc<RefCell<Disk>>);

impl SimAgreed {
    fn writable(&self) -> io::Result<()> {
        match self.0.borrow().full {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl Medium for SimAgreed {
    fn path(&self) -> &Path {
        Path::new("agreed")
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let disk = self.0.borrow();
        let rest = disk.agreed.bytes.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writable()?;
        self.0.borrow_mut().agreed.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.agreed.bytes.truncate(length as usize);
        disk.agreed_durable = disk.agreed_durable.min(length as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.writable()?;
        let mut disk = self.0.borrow_mut();
        disk.agreed_durable = disk.agreed.bytes.len();
        Ok(())
    }

    fn begin_next(&mut self) -> io::Result<()> {
        self.writable()?;
        self.0.borrow_mut().agreed.next.clear();
        Ok(())
    }

    fn append_next(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writable()?;
        self.0.borrow_mut().agreed.next.extend_from_slice(bytes);
        Ok(())
    }

    fn adopt_next(&mut self) -> io::Result<()> {
        self.writable()?;
        let mut disk = self.0.borrow_mut();
        disk.agreed.bytes = std::mem::take(&mut disk.agreed.next);
        disk.agreed_durable = disk.agreed.bytes.len();
        Ok(())
    }
}
