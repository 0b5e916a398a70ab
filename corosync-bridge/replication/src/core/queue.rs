//! What an Active has to look at, in order.

mod whereabouts;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::active::Place;
use super::essential::Priorities;
use crate::EntryPath;
use crate::inodes::Inode;
use crate::scan::{Mode, Scan};
use crate::tree::Source;

pub(super) use whereabouts::Whereabouts;

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

/// How often something waits for more than what was told before it: programs that write fast always leave something that is gone
/// when it is looked at.
const PUT_OFF: u8 = 4;

/// How something waits in a line for what was told before it. What of that is gone when it is looked at was maybe moved, and
/// told of again: then it waits once more, for all that was told by the time that its turn comes.
#[derive(Debug, Clone, Copy, Default)]
struct Wait {
    /// What had been missed in the line when it began to wait.
    missed: u64,
    put_off: u8,
    /// How often it waited for what waits for a directory above that: each may wait for the other.
    behind_beneath: u8,
}

impl Wait {
    /// Nothing that is missed puts it off any more.
    fn over() -> Self {
        Self {
            missed: 0,
            put_off: PUT_OFF,
            behind_beneath: 0,
        }
    }

    /// Its turn has come in a line in which so much has been missed by now. Returns how it waits on where it has to.
    fn put_off(self, missed: u64) -> Option<Self> {
        let is_put_off = self.missed < missed && self.put_off < PUT_OFF;
        is_put_off.then(|| self.once_more())
    }

    /// How it waits on, unless it has waited long enough, for what waits for a directory above that.
    fn behind_beneath(self) -> Option<Self> {
        let behind_beneath = self.behind_beneath + 1;
        (behind_beneath <= PUT_OFF).then_some(Self {
            behind_beneath,
            ..self
        })
    }

    /// How it waits on for what is put off before it.
    fn once_more(self) -> Self {
        Self {
            put_off: self.put_off.saturating_add(1).min(PUT_OFF),
            ..self
        }
    }
}

/// Where a request waits in a line for what was told before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Barrier {
    /// Names the request.
    pub(super) id: u64,
    wait: Wait,
    /// It waits for what was found gone before its first turn, up to this number.
    gone: Option<u64>,
    /// How often something was given up in the queue when it was told.
    given_up: u64,
    /// Something was moved more often than it waits for that.
    in_doubt: bool,
    /// Everything was looked at for it.
    has_looked: bool,
}

impl Barrier {
    pub(super) fn new(id: u64) -> Self {
        Self {
            id,
            wait: Wait::default(),
            gone: None,
            given_up: 0,
            in_doubt: false,
            has_looked: false,
        }
    }

    /// Begins to wait in a line in which so much has been missed by now.
    pub(super) fn wait(&mut self, missed: u64) {
        self.wait.missed = missed;
    }

    /// Its turn has come in a line in which so much has been missed by now. Returns whether it waits on.
    pub(super) fn is_put_off(&mut self, missed: u64) -> bool {
        let wait = self.wait.put_off(missed);
        self.in_doubt |= wait.is_none() && self.wait.missed < missed;
        self.wait = wait.unwrap_or(self.wait);
        wait.is_some()
    }

    /// Whether everything has to be looked at before it is reached: what was told of it and missed may be anywhere. Returns what
    /// it is behind that look: one more word it waits for.
    pub(super) fn behind_look(&self) -> Option<Self> {
        (self.in_doubt && !self.has_looked).then(|| Self {
            wait: Wait {
                put_off: PUT_OFF - 1,
                ..Wait::default()
            },
            has_looked: true,
            ..Self::new(self.id)
        })
    }
}

/// What was announced at `path` was not there when it was looked at.
#[derive(Debug, Clone)]
pub(super) struct Gone {
    pub(super) path: EntryPath,
    /// As what it is looked at: nothing was there, or something else.
    pub(super) place: Place,
    /// Which time that was found.
    number: u64,
}

/// How something that is gone waits.
#[derive(Debug)]
struct Missing {
    place: Place,
    number: u64,
    awaited: Awaited,
    wait: Wait,
    /// What the kernel had to tell when it was found gone was told.
    heard: bool,
    /// It is sent again lightly where it was moved, so it may go early.
    is_light: bool,
    inodes: Replaced,
}

/// Which barriers wait for something that is gone: those that were told once so much had been found gone.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    from: u64,
    /// How often it has waited on since. Where directories are made anew all the time, what is in them does so for good.
    times: u8,
}

impl Awaited {
    /// What is found gone as the one of this number, or later.
    fn from(number: u64) -> Self {
        Self {
            from: number,
            times: 0,
        }
    }

    /// Whether barriers that waited for it do so no more, as it waits on, or is found gone again, as the one of this number.
    fn is_given_up(self, number: u64) -> bool {
        self.from < number && self.times >= PUT_OFF
    }

    /// It waits on, or is found gone again, as the one of this number. The barriers that waited for it do so too, for some times.
    fn once_more(self, number: u64) -> Self {
        if self.from >= number || self.times >= PUT_OFF {
            return Self::from(number);
        }
        Self {
            times: self.times + 1,
            ..self
        }
    }
}

/// What was announced at a path, and what was found there instead.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Replaced {
    pub(super) announced: Option<Inode>,
    pub(super) found: Option<Inode>,
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

    /// Nothing is at `path` any more. What was there may be at another path, of which nobody has told yet: it comes after
    /// whatever is told until [`Queue::catch_up`].
    pub(super) fn push_gone(&mut self, path: EntryPath, place: Place, inodes: Replaced) {
        self.await_word_of(path, place, inodes, Wait::default(), false);
    }

    /// The same of something that is told again lightly: it waits no longer, whatever else is missed.
    pub(super) fn push_light_gone(&mut self, path: EntryPath, inodes: Replaced) {
        self.await_word_of(path, Place::Replaced, inodes, Wait::over(), true);
    }

    fn await_word_of(&mut self, path: EntryPath, place: Place, inodes: Replaced, wait: Wait, is_light: bool) {
        if let Some(missing) = self.gone.get_mut(&path) {
            if self.in_hand.from < missing.awaited.from {
                self.given_up += u64::from(self.in_hand.is_given_up(missing.number));
                missing.awaited = self.in_hand.once_more(missing.number);
            }
            let before = std::mem::replace(&mut missing.inodes, inodes);
            self.forget_found(&path, before);
            self.note_found(&path, inodes);
        } else {
            let gone = self.number_gone(path, place, inodes, wait);
            if let Some(missing) = self.gone.get_mut(&gone.path) {
                missing.is_light = is_light;
            }
            self.untold.push(Item::Gone(gone));
        }
    }

    /// Puts what waited because it was gone back to the head, behind `above`, the directory that comes first.
    pub(super) fn push_gone_front(&mut self, above: EntryPath, path: EntryPath) {
        let lane = self.lane_of(&path);
        let gone = self.number_gone(path, Place::Replaced, Replaced::default(), Wait::over());
        if let Some(missing) = self.gone.get_mut(&gone.path) {
            missing.heard = true;
        }
        self.tell_first(lane, Item::Gone(gone));
        self.tell_first(lane, Item::Path(above));
    }

    fn number_gone(&mut self, path: EntryPath, place: Place, inodes: Replaced, wait: Wait) -> Gone {
        self.found_gone += 1;
        let number = self.found_gone;
        self.forget_gone(&path);
        self.note_found(&path, inodes);
        self.given_up += u64::from(self.in_hand.is_given_up(number));
        let missing = Missing {
            place,
            number,
            awaited: self.in_hand.once_more(number),
            wait,
            heard: false,
            is_light: false,
            inodes,
        };
        self.gone.insert(path.clone(), missing);
        Gone { path, place, number }
    }

    fn forget_gone(&mut self, path: &EntryPath) -> Option<Missing> {
        let missing = self.gone.remove(path)?;
        self.forget_found(path, missing.inodes);
        Some(missing)
    }

    fn note_found(&mut self, path: &EntryPath, inodes: Replaced) {
        if let Some(found) = inodes.found {
            self.found.insert(found, path.clone());
        }
    }

    fn forget_found(&mut self, path: &EntryPath, inodes: Replaced) {
        if let Some(found) = inodes.found.filter(|found| self.found.get(found) == Some(path)) {
            self.found.remove(&found);
        }
    }

    /// Where what was announced at `path` was found, if that waits as well, or what comes before that in turn: told first, it is
    /// at its new path before it leaves the old one. None where all have changed their places in a circle.
    fn comes_before(&self, path: &EntryPath) -> Option<EntryPath> {
        let mut first = self.is_found_at(path)?;
        // Each step leads from one that waits to another: more of them than wait lead around.
        for _ in 0..self.gone.len() {
            match self.is_found_at(&first) {
                Some(before) => first = before,
                None => return Some(first).filter(|first| first != path),
            }
        }
        None
    }

    /// What waits where that was found which was announced at `path`: it, or a directory above it that comes first.
    fn is_found_at(&self, path: &EntryPath) -> Option<EntryPath> {
        let announced = self.gone.get(path)?.inodes.announced?;
        let at = self.found.get(&announced).filter(|at| *at != path)?;
        let first = self.topmost_gone_above(at).unwrap_or_else(|| at.clone());
        (first != *path).then_some(first)
    }

    /// How what is gone at `path`, and was heard of, waits on where it has to.
    fn is_put_off(&self, missing: &Missing) -> Option<Wait> {
        let is_behind_another = self.put_off_from.is_some_and(|from| from < missing.number);
        let behind_another = is_behind_another.then(|| missing.wait.once_more());
        missing.wait.put_off(self.missed).or(behind_another)
    }

    /// What had waited elsewhere is looked at.
    pub(super) fn take_in_hand(&mut self) {
        self.take_in_hand_from(Lane::Ordinary);
    }

    fn take_in_hand_from(&mut self, lane: Lane) {
        self.lane = lane;
        self.in_hand = Awaited::from(self.found_gone + 1);
    }

    /// Something is at `path` again that is announced there.
    pub(super) fn is_back(&mut self, path: &EntryPath) {
        self.forget_gone(path);
    }

    /// Whether a directory above `path` waits because it is gone.
    pub(super) fn is_gone_above(&self, path: &EntryPath) -> bool {
        !self.gone.is_empty() && self.topmost_gone_above(path).is_some()
    }

    fn topmost_gone_above(&self, path: &EntryPath) -> Option<EntryPath> {
        let above = std::iter::successors(path.parent(), EntryPath::parent);
        above.filter(|above| self.gone.contains_key(above)).last()
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
                Item::Gone(gone) if lane == Lane::Essential => match self.is_among_waiting(&gone.path) {
                    None => {
                        self.essential.push_front(Told { number, item });
                        return Some(Item::Whereabouts);
                    }
                    Some(true) => {
                        self.tell_among_ordinary(Told { number, item });
                        continue;
                    }
                    Some(false) => match self.pop_gone(gone) {
                        Some(gone) => item = Item::Gone(gone),
                        None => continue,
                    },
                },
                Item::Path(path) => {
                    self.waiting.remove(path);
                }
                Item::Tree(top) => {
                    self.trees.remove(top);
                }
                Item::Gone(gone) => match self.pop_gone(gone) {
                    Some(gone) => item = Item::Gone(gone),
                    None => continue,
                },
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

    /// The turn of `gone` has come. Returns what is looked at now: nothing where it has to wait on, and what comes before it where
    /// that waits as well.
    fn pop_gone(&mut self, gone: &Gone) -> Option<Gone> {
        let missing = self.gone.get(&gone.path)?;
        if missing.number != gone.number {
            return None;
        }
        if self.is_gone_above(&gone.path) {
            let wait = missing.wait;
            self.beneath.push((gone.number, gone.path.clone()));
            self.wait_on(gone, wait);
            let number = self.found_gone + 1;
            if let Some(missing) = self.gone.get_mut(&gone.path) {
                self.given_up += u64::from(missing.awaited.is_given_up(number));
                missing.awaited = missing.awaited.once_more(number);
            }
            return None;
        }
        if let Some(wait) = self.is_put_off(missing) {
            self.put_off_from = Some(
                self.put_off_from
                    .map_or(gone.number, |from| from.min(gone.number)),
            );
            self.wait_on(gone, wait);
            return None;
        }
        let is_behind_beneath = self.is_behind_beneath(&gone.path, missing);
        match missing.wait.behind_beneath().filter(|_| is_behind_beneath) {
            Some(wait) => {
                self.wait_on(gone, wait);
                return None;
            }
            None => self.given_up += u64::from(is_behind_beneath),
        }
        let before = self.comes_before(&gone.path);
        let next = match before.and_then(|path| Some((self.gone.get(&path)?, path))) {
            None => gone.clone(),
            Some((before, path)) => {
                let waits = self.is_put_off(before).is_some() || self.waits_for_beneath(&path, before);
                if !before.heard || waits {
                    let wait = missing.wait;
                    self.wait_on(gone, wait);
                    return None;
                }
                let (place, number) = (before.place, before.number);
                self.tell_first(Lane::Ordinary, Item::Gone(gone.clone()));
                Gone { path, place, number }
            }
        };
        let missing = self.forget_gone(&next.path);
        self.in_hand = missing.map_or(self.in_hand, |missing| missing.awaited);
        Some(next)
    }

    /// Waits for the next word.
    fn wait_on(&mut self, gone: &Gone, wait: Wait) {
        if let Some(missing) = self.gone.get_mut(&gone.path) {
            missing.wait = wait;
            missing.heard = false;
        }
        self.untold.push(Item::Gone(gone.clone()));
    }

    /// Whether something waits in another directory that is gone which was found gone before what is gone at `path`.
    fn is_behind_beneath(&self, path: &EntryPath, missing: &Missing) -> bool {
        let mut beneath = self.beneath.iter();
        beneath.any(|(number, other)| *number < missing.number && !other.is_beneath(path))
    }

    /// Whether it waits on for that.
    fn waits_for_beneath(&self, path: &EntryPath, missing: &Missing) -> bool {
        self.is_behind_beneath(path, missing) && missing.wait.behind_beneath().is_some()
    }

    /// Whether something that was found gone, up to this number, may yet have been moved.
    fn waits_for_gone(&self, number: u64) -> bool {
        let mut gone = self.gone.values();
        gone.any(|missing| missing.awaited.from <= number)
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
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::DiskTree;
    use crate::coverage::{Coverage, Priority, Rule};
    use crate::tree::Tree;

    type File = <DiskTree as Tree>::Source;

    /// `/e` is essential and `/o` is not; or all has one priority.
    #[derive(Debug)]
    struct Configured {
        differ: bool,
    }

    impl Coverage for Configured {
        fn roots(&self) -> Vec<EntryPath> {
            vec![path("/e"), path("/o")]
        }

        fn covers(&self, _: &EntryPath) -> bool {
            true
        }

        fn rule(&self, at: &EntryPath) -> Rule {
            let is_essential = !self.differ || at.as_bytes().starts_with(b"/e");
            Rule {
                priority: if is_essential {
                    Priority::Essential
                } else {
                    Priority::Ordinary
                },
                ..Rule::default()
            }
        }
    }

    fn path(text: &str) -> EntryPath {
        EntryPath::new(text.as_bytes()).expect("a plain path")
    }

    fn queue(differ: bool) -> Queue<File> {
        let coverage: Rc<dyn Coverage> = Rc::new(Configured { differ });
        Queue::new(Priorities::new(&coverage))
    }

    fn shown(item: &Item<File>) -> String {
        match item {
            Item::Path(path) | Item::Tree(path) | Item::Names(path) => path.to_string(),
            Item::Gone(gone) => format!("gone {}", gone.path),
            Item::Barrier(barrier) => format!("barrier {}", barrier.id),
            Item::Links(_) | Item::AnyLink | Item::Scan(_) | Item::Whereabouts => "others".to_owned(),
        }
    }

    /// All that is popped from here on.
    fn rest(queue: &mut Queue<File>) -> Vec<String> {
        std::iter::from_fn(|| queue.pop())
            .map(|item| shown(&item))
            .collect()
    }

    #[test]
    fn what_is_essential_goes_first() {
        let mut queue = queue(true);
        for at in ["/o/1", "/e/1", "/o/2", "/e/2"] {
            queue.push_path(path(at));
        }
        queue.push_tree(path("/e/tree"));
        assert_eq!(rest(&mut queue), ["/e/1", "/e/2", "/e/tree", "/o/1", "/o/2"]);
    }

    #[test]
    fn where_all_has_one_priority_the_order_is_that_of_the_telling() {
        let mut queue = queue(false);
        queue.push_path(path("/o/1"));
        queue.push_roots(vec![path("/e"), path("/o")]);
        queue.push_path(path("/e/1"));
        assert_eq!(rest(&mut queue), ["/o/1", "others", "/e/1"]);
    }

    #[test]
    fn a_barrier_waits_for_what_was_told_before_it_and_for_nothing_told_after_it() {
        let mut queue = queue(true);
        queue.push_path(path("/e/before"));
        queue.push_barrier(Barrier::new(1));
        queue.push_path(path("/e/after"));
        assert_eq!(rest(&mut queue), ["/e/before", "barrier 1", "/e/after"]);
    }

    #[test]
    fn what_is_gone_waits_for_all_that_was_told_before_the_word() {
        let mut queue = queue(true);
        queue.push_gone(path("/e/gone"), Place::Gone, Replaced::default());
        queue.push_path(path("/o/before"));
        queue.push_path(path("/e/before"));
        queue.catch_up();
        queue.push_path(path("/o/after"));
        let popped = rest(&mut queue);
        assert_eq!(popped, ["/e/before", "/o/before", "gone /e/gone", "/o/after"]);
    }

    #[test]
    fn what_was_found_gone_waits_for_what_waits_for_another_directory() {
        let mut queue = queue(false);
        for at in ["/o/d/1", "/o/2", "/o/d"] {
            queue.push_gone(path(at), Place::Gone, Replaced::default());
        }
        queue.catch_up();
        assert_eq!(rest(&mut queue), ["gone /o/d"]);
        queue.catch_up();
        assert_eq!(rest(&mut queue), ["gone /o/d/1", "gone /o/2"]);
    }

    #[test]
    fn what_was_moved_into_a_directory_made_anew_is_there_before_it_leaves_its_old_path() {
        let inode = |number| Some((1, number));
        let mut queue = queue(false);
        let moved = Replaced {
            announced: inode(1),
            found: None,
        };
        let over = Replaced {
            announced: inode(2),
            found: inode(1),
        };
        // Each of the two directories waits for what waits for the other.
        queue.push_gone(path("/o/first/a"), Place::Gone, Replaced::default());
        queue.push_gone(path("/o/moved"), Place::Gone, moved);
        queue.push_gone(path("/o/second/x"), Place::Replaced, over);
        for at in ["/o/second", "/o/first"] {
            queue.push_gone(path(at), Place::Replaced, Replaced::default());
        }
        let mut popped = Vec::new();
        while queue.is_behind() {
            queue.catch_up();
            popped.extend(rest(&mut queue));
        }
        let place = |at: &str| popped.iter().position(|popped| popped == at);
        assert!(place("gone /o/second/x") < place("gone /o/moved"), "{popped:?}");
    }

    #[test]
    fn a_barrier_waits_some_times_for_what_is_in_a_directory_that_is_made_anew_all_the_time() {
        let mut queue = queue(false);
        queue.push_gone(path("/o/d/1"), Place::Replaced, Replaced::default());
        queue.push_barrier(Barrier::new(1));
        let mut is_reached = || {
            queue.push_gone(path("/o/d"), Place::Replaced, Replaced::default());
            queue.catch_up();
            rest(&mut queue).contains(&"barrier 1".to_owned())
        };
        let waited = (0..100).take_while(|_| !is_reached()).count();
        assert_eq!(waited, usize::from(PUT_OFF));
    }

    #[test]
    fn what_is_not_essential_has_its_turn_between_what_is() {
        let mut queue = queue(true);
        queue.push_path(path("/o/1"));
        for turn in 0..=ESSENTIAL_FIRST {
            queue.push_path(path(&format!("/e/{turn}")));
            let popped = queue.pop().expect("an item");
            assert_eq!(shown(&popped) == "/o/1", turn == ESSENTIAL_FIRST);
        }
    }

    #[test]
    fn names_have_their_turn_between_what_is_essential() {
        let mut queue = queue(true);
        queue.push_names(path("/o"));
        let popped = (0..=ESSENTIAL_FIRST).map(|turn| {
            queue.push_path(path(&format!("/e/{turn}")));
            queue.pop().expect("an item")
        });
        assert!(popped.map(|item| shown(&item)).any(|popped| popped == "/o"));
    }

    #[test]
    fn what_a_barrier_waits_for_and_what_is_essential_go_in_turns() {
        let mut queue = queue(true);
        for number in 0..10 {
            queue.push_path(path(&format!("/o/{number}")));
        }
        queue.push_barrier(Barrier::new(1));
        let popped = (0..).map(|turn| {
            queue.push_path(path(&format!("/e/{turn}")));
            queue.pop().expect("an item")
        });
        let turns = popped
            .take_while(|item| !matches!(item, Item::Barrier(_)))
            .count();
        assert_eq!(turns, 20);
    }

    /// A program wrote to `/o/burst`, and something took the place of the file `replaced` at `/e/one`.
    fn replaced_behind_a_burst(replaced: Inode) -> Queue<File> {
        let mut queue = queue(true);
        queue.push_path(path("/o/burst"));
        let inodes = Replaced {
            announced: Some(replaced),
            found: Some((1, 100)),
        };
        queue.push_light_gone(path("/e/one"), inodes);
        queue.catch_up();
        queue
    }

    #[test]
    fn what_took_the_place_of_an_essential_file_goes_first_where_that_is_nowhere_else() {
        let mut queue = replaced_behind_a_burst((1, 1));
        assert!(matches!(queue.pop(), Some(Item::Whereabouts)));
        queue.note_whereabouts(Whereabouts::Files(BTreeSet::from([(1, 2)])));
        assert_eq!(rest(&mut queue), ["gone /e/one", "/o/burst"]);
    }

    #[test]
    fn what_took_the_place_of_an_essential_file_waits_where_that_may_have_been_moved() {
        for whereabouts in [Whereabouts::Files(BTreeSet::from([(1, 1)])), Whereabouts::Unknown] {
            let mut queue = replaced_behind_a_burst((1, 1));
            queue.push_path(path("/o/after"));
            assert!(matches!(queue.pop(), Some(Item::Whereabouts)));
            queue.note_whereabouts(whereabouts);
            assert_eq!(rest(&mut queue), ["/o/burst", "gone /e/one", "/o/after"]);
        }
    }

    #[test]
    fn where_files_are_is_looked_up_anew_after_each_word() {
        let mut queue = replaced_behind_a_burst((1, 1));
        assert!(matches!(queue.pop(), Some(Item::Whereabouts)));
        queue.note_whereabouts(Whereabouts::Files(BTreeSet::new()));
        queue.catch_up();
        assert!(matches!(queue.pop(), Some(Item::Whereabouts)));
    }

    #[test]
    fn what_belongs_to_the_head_stays_together_and_before_barriers() {
        let mut queue = queue(true);
        queue.push_path(path("/e/1"));
        queue.push_path(path("/o/1"));
        queue.push_barrier(Barrier::new(1));
        queue.push_front(vec![path("/o/d"), path("/e/d/1")]);
        queue.push_front(vec![path("/o/e"), path("/o/e/1")]);
        let popped = rest(&mut queue);
        assert_eq!(
            popped,
            ["/o/d", "/o/e", "/e/d/1", "/o/e/1", "/e/1", "/o/1", "barrier 1"]
        );
    }
}
