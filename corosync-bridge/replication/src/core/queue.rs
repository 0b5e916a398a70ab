//! What an Active has to look at, in order.

mod barrier;
mod gone;
mod whereabouts;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::essential::Priorities;
use crate::EntryPath;
use crate::inodes::Inode;
use crate::scan::{Mode, Scan};
use crate::tree::Source;

pub(super) use barrier::Barrier;
pub(super) use gone::{Gone, Replaced};
pub(super) use whereabouts::Whereabouts;

use gone::{Awaited, Missing};

/// Items of priority 1 that go before one that waits and has not. More would let programs that never stop writing what is
/// essential hold everything else up for long; fewer would let a burst of changes hold up what is essential.
const ESSENTIAL_FIRST: u32 = 16;

/// The same while a request waits: what was told after it makes it wait no more than twice as long.
const ESSENTIAL_BEFORE_REQUEST: u32 = 1;

/// Something to be done in its turn.
#[derive(Debug)]
pub(super) enum Item<F> {
    /// An entry may have changed.
    Path(EntryPath),
    /// What was announced was not there any more.
    Gone(Gone),
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
    /// It has to be known which files are where something waits that is not essential.
    Whereabouts,
}

impl<F> Item<F> {
    /// Whether its turn comes only after everything that was told before it, of whatever priority.
    fn waits_for_all(&self) -> bool {
        matches!(self, Self::Gone(_) | Self::Barrier(_))
    }
}

/// Where something waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// What has priority 1, where not everything has.
    Essential,
    /// Everything else, and who waits.
    Ordinary,
}

/// What waits in a lane.
#[derive(Debug)]
struct Told<F> {
    /// Which one it was that was told; 0: it belongs to what was looked at, and comes before whatever waits.
    number: u64,
    item: Item<F>,
}

/// First in, first out; a path or a tree that waits already does not wait twice: a program that makes and removes the
/// same directories faster than they are searched makes the queue no longer. Directories in which names changed come
/// after all that changed in them, once, but before a barrier told after it.
///
/// Where priorities differ, what has priority 1 has a lane of its own and goes first, up to [`ESSENTIAL_FIRST`] at a time. Looks
/// at two paths may change places; what is gone and barriers may not, so they stay behind all that was told before them in
/// either lane, and wait for nothing that was told after them. A small file that another took the place of goes with what is
/// essential all the same where nothing that waits in the other lane is that file ([`whereabouts`]).
#[derive(Debug)]
pub(super) struct Queue<F> {
    priorities: Priorities,
    essential: VecDeque<Told<F>>,
    ordinary: VecDeque<Told<F>>,
    /// Counts what was told.
    told: u64,
    /// Items of priority 1 since the last other one.
    passed: u32,
    /// Barriers in `ordinary` and `untold`.
    barriers: usize,
    /// Where that came from which is looked at now.
    lane: Lane,
    waiting: BTreeSet<EntryPath>,
    trees: BTreeSet<EntryPath>,
    /// The paths that are gone; in a lane or `untold` by their numbers.
    gone: BTreeMap<EntryPath, Missing>,
    /// What was found at some of them.
    found: BTreeMap<Inode, EntryPath>,
    directories: BTreeSet<EntryPath>,
    links: BTreeSet<Inode>,
    any_link: bool,
    /// What waits for the word that everything which changed until now was told.
    untold: Vec<Item<F>>,
    /// The first number among what is gone and was put off since the last such word: what was found gone after that may be what is
    /// there now, under its name before, and must not be told as gone before that is told.
    put_off_from: Option<u64>,
    /// What else is gone and was put off since then, because a directory above it is gone. The same holds, but for that directory.
    beneath: Vec<(u64, EntryPath)>,
    /// Counts what was found gone.
    found_gone: u64,
    /// From which number on barriers wait for what is looked at now, where it is gone: what waited so before keeps its number.
    in_hand: Awaited,
    /// What had been found where something is looked at now that waited because it was replaced.
    found_in_hand: Option<Inode>,
    /// Counts what was told of and was gone when it was looked at.
    missed: u64,
    /// Counts for what of that barriers do not wait any more, and what was told as gone before all was looked at that it may be.
    given_up: u64,
    /// Which files are where something waits in `ordinary`, since the last word.
    whereabouts: Option<Whereabouts>,
}

impl<F: Source> Queue<F> {
    /// Anything beneath `roots` may have changed.
    pub(super) fn push_roots(&mut self, roots: Vec<EntryPath>) {
        let is_essential = |root: &EntryPath| self.priorities.is_essential(root);
        let (essential, ordinary): (Vec<_>, Vec<_>) = roots.into_iter().partition(is_essential);
        for (lane, roots) in [(Lane::Essential, essential), (Lane::Ordinary, ordinary)] {
            if !roots.is_empty() {
                self.push_scan(lane, Scan::new(Mode::Tell, roots));
            }
        }
    }
}

impl<F> Queue<F> {
    pub(super) fn new(priorities: Priorities) -> Self {
        Self {
            priorities,
            essential: VecDeque::new(),
            ordinary: VecDeque::new(),
            told: 0,
            passed: 0,
            barriers: 0,
            lane: Lane::Ordinary,
            waiting: BTreeSet::new(),
            trees: BTreeSet::new(),
            gone: BTreeMap::new(),
            found: BTreeMap::new(),
            directories: BTreeSet::new(),
            links: BTreeSet::new(),
            any_link: false,
            untold: Vec::new(),
            put_off_from: None,
            beneath: Vec::new(),
            found_gone: 0,
            in_hand: Awaited::from(1),
            found_in_hand: None,
            missed: 0,
            given_up: 0,
            whereabouts: None,
        }
    }

    pub(super) fn priorities(&self) -> &Priorities {
        &self.priorities
    }

    /// One with nothing in it, for the same paths.
    pub(super) fn emptied(&self) -> Self {
        Self::new(self.priorities.clone())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.essential.is_empty() && self.ordinary.is_empty() && !self.has_late()
    }

    fn has_late(&self) -> bool {
        !self.directories.is_empty() || !self.links.is_empty() || self.any_link
    }

    fn lane_of(&self, path: &EntryPath) -> Lane {
        match self.priorities.is_essential(path) {
            true => Lane::Essential,
            false => Lane::Ordinary,
        }
    }

    fn waiting_in(&mut self, lane: Lane) -> &mut VecDeque<Told<F>> {
        match lane {
            Lane::Essential => &mut self.essential,
            Lane::Ordinary => &mut self.ordinary,
        }
    }

    fn tell(&mut self, lane: Lane, item: Item<F>) {
        self.told += 1;
        let number = self.told;
        self.waiting_in(lane).push_back(Told { number, item });
    }

    fn tell_first(&mut self, lane: Lane, item: Item<F>) {
        let number = 0;
        self.waiting_in(lane).push_front(Told { number, item });
    }

    pub(super) fn push_path(&mut self, path: EntryPath) {
        if self.waiting.insert(path.clone()) {
            self.tell(self.lane_of(&path), Item::Path(path));
        }
    }

    /// Anything at `top` and beneath may have changed.
    pub(super) fn push_tree(&mut self, top: EntryPath) {
        if self.trees.insert(top.clone()) {
            self.tell(self.lane_of(&top), Item::Tree(top));
        }
    }

    /// What had waited elsewhere is looked at.
    pub(super) fn take_in_hand(&mut self) {
        self.take_in_hand_from(Lane::Ordinary);
    }

    fn take_in_hand_from(&mut self, lane: Lane) {
        self.lane = lane;
        self.in_hand = Awaited::from(self.found_gone + 1);
        self.found_in_hand = None;
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
        barrier.given_up = self.given_up;
        barrier.wait(self.missed);
        self.barriers += 1;
        self.tell(Lane::Ordinary, Item::Barrier(barrier));
    }

    /// A barrier waits for whatever is told until [`Queue::catch_up`], and for what waits for that now.
    pub(super) fn put_off(&mut self, barrier: Barrier) {
        self.barriers += 1;
        self.await_word(barrier);
    }

    fn await_word(&mut self, mut barrier: Barrier) {
        barrier.gone = Some(self.found_gone);
        barrier.wait(self.missed);
        self.untold.push(Item::Barrier(barrier));
    }

    /// Whether something waits for [`Queue::catch_up`].
    pub(super) fn is_behind(&self) -> bool {
        !self.untold.is_empty()
    }

    /// Everything that changed before now was told.
    pub(super) fn catch_up(&mut self) {
        self.put_off_from = None;
        self.beneath.clear();
        // What was put off keeps its place before what was found gone later.
        self.untold.sort_by_key(|item| match item {
            Item::Gone(gone) => gone.number,
            _ => u64::MAX,
        });
        self.whereabouts = None;
        for item in std::mem::take(&mut self.untold) {
            let mut lane = Lane::Ordinary;
            if let Item::Gone(gone) = &item {
                if let Some(missing) = self.gone.get_mut(&gone.path) {
                    missing.wait.missed = self.missed;
                    missing.heard = true;
                    if missing.is_light {
                        lane = self.lane_of(&gone.path);
                    }
                }
            }
            self.tell(lane, item);
        }
    }

    /// Something that was told of is gone.
    pub(super) fn miss(&mut self) {
        self.missed += 1;
    }

    /// The file of `inode` is where something else had been found that something may wait for: that was moved on, or is gone.
    pub(super) fn miss_unless(&mut self, inode: Inode) {
        let left = self.found_in_hand.filter(|found| *found != inode);
        if left.is_some_and(|left| self.is_left_by(left)) {
            self.miss();
        }
    }

    /// What was at `path` was moved away. If it still waits there to be looked at, it is missed.
    pub(super) fn miss_at(&mut self, path: &EntryPath) {
        if self.waiting.contains(path) {
            self.miss();
        }
    }

    /// The directory at `top` came or went. If something waits in it that was told of before, that went with the one before.
    pub(super) fn miss_beneath(&mut self, top: &EntryPath) {
        let is_in = |waiting: &BTreeSet<EntryPath>| {
            let mut first = waiting.range(top..);
            first
                .next()
                .is_some_and(|path| path == top || path.is_beneath(top))
        };
        if is_in(&self.waiting) || is_in(&self.trees) {
            self.miss();
        }
    }

    /// Puts a scan behind all that waits in its lane.
    pub(super) fn push_scan(&mut self, lane: Lane, scan: Scan<F>) {
        self.tell(lane, Item::Scan(scan));
    }

    /// Puts `paths`, in their order, before everything else: they belong to what was at the head. They stay together, and go
    /// with what has the highest priority among them.
    pub(super) fn push_front(&mut self, paths: Vec<EntryPath>) {
        let is_essential = paths.iter().any(|path| self.priorities.is_essential(path));
        let lane = if is_essential {
            Lane::Essential
        } else {
            Lane::Ordinary
        };
        for path in paths.into_iter().rev() {
            self.tell_first(lane, Item::Path(path));
        }
    }

    /// Puts a scan that is not done back to the head of where it was.
    pub(super) fn push_scan_front(&mut self, scan: Scan<F>) {
        self.tell_first(self.lane, Item::Scan(scan));
    }

    /// Where that came from which is looked at now.
    pub(super) fn lane(&self) -> Lane {
        self.lane
    }

    /// Which lane has its turn.
    fn next_lane(&self) -> Lane {
        let Some(essential) = self.essential.front() else {
            return Lane::Ordinary;
        };
        let has_turn = self.passed < self.essential_first();
        match self.ordinary.front() {
            None if !self.has_late() => Lane::Essential,
            Some(head) if head.item.waits_for_all() && essential.number < head.number => Lane::Essential,
            Some(head) if matches!(head.item, Item::Barrier(_)) => Lane::Ordinary,
            _ if has_turn => Lane::Essential,
            _ => Lane::Ordinary,
        }
    }

    fn essential_first(&self) -> u32 {
        match self.barriers {
            0 => ESSENTIAL_FIRST,
            _ => ESSENTIAL_BEFORE_REQUEST,
        }
    }

    fn has_had_turn(&mut self, lane: Lane) {
        self.passed = match lane {
            Lane::Essential => self.passed.saturating_add(1),
            Lane::Ordinary => 0,
        };
        self.take_in_hand_from(lane);
    }

    pub(super) fn pop(&mut self) -> Option<Item<F>> {
        loop {
            let lane = self.next_lane();
            let head = self.ordinary.front().map(|head| &head.item);
            if let (Lane::Ordinary, None | Some(Item::Barrier(_))) = (lane, head) {
                if let Some(item) = self.pop_late() {
                    self.has_had_turn(lane);
                    return Some(item);
                }
            }
            let Told { number, mut item } = self.waiting_in(lane).pop_front()?;
            self.has_had_turn(lane);
            match &mut item {
                Item::Path(path) => {
                    self.waiting.remove(path);
                }
                Item::Tree(top) => {
                    self.trees.remove(top);
                }
                Item::Gone(gone) => {
                    let is_early = lane == Lane::Essential;
                    match is_early.then(|| self.is_among_waiting(&gone.path)) {
                        Some(None) => {
                            self.essential.push_front(Told { number, item });
                            return Some(Item::Whereabouts);
                        }
                        Some(Some(true)) => {
                            self.tell_among_ordinary(Told { number, item });
                            continue;
                        }
                        Some(Some(false)) | None => {}
                    }
                    match self.pop_gone(gone) {
                        Some(gone) => item = Item::Gone(gone),
                        None => continue,
                    }
                }
                Item::Barrier(barrier) => {
                    if barrier.is_put_off(self.missed) {
                        let barrier = *barrier;
                        self.await_word(barrier);
                        continue;
                    }
                    if self.waits_for_gone(*barrier.gone.get_or_insert(self.found_gone)) {
                        self.untold.push(item);
                        continue;
                    }
                    barrier.in_doubt |= barrier.given_up < self.given_up;
                    self.barriers -= 1;
                }
                Item::Names(_) | Item::Links(_) | Item::AnyLink | Item::Scan(_) | Item::Whereabouts => {}
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
        self.directories.pop_first().map(Item::Names)
    }

    /// Entries that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len() + self.trees.len() + self.gone.len() + self.directories.len()
    }
}

#[cfg(test)]
mod tests;
