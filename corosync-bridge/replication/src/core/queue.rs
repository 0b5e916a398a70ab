//! What an Active has to look at, in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::active::Place;
use crate::EntryPath;
use crate::inodes::Inode;
use crate::scan::Scan;

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
}

impl Wait {
    /// Nothing that is missed puts it off any more.
    fn over() -> Self {
        Self {
            missed: 0,
            put_off: PUT_OFF,
        }
    }

    /// Its turn has come in a line in which so much has been missed by now. Returns how it waits on where it has to.
    fn put_off(self, missed: u64) -> Option<Self> {
        let is_put_off = self.missed < missed && self.put_off < PUT_OFF;
        is_put_off.then(|| self.once_more())
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
}

impl Barrier {
    pub(super) fn new(id: u64) -> Self {
        let wait = Wait::default();
        Self { id, wait, gone: None }
    }

    /// Begins to wait in a line in which so much has been missed by now.
    pub(super) fn wait(&mut self, missed: u64) {
        self.wait.missed = missed;
    }

    /// Its turn has come in a line in which so much has been missed by now. Returns what it is where it has to be put off.
    pub(super) fn put_off(self, missed: u64) -> Option<Self> {
        let wait = self.wait.put_off(missed)?;
        Some(Self { wait, ..self })
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
    /// From which number on barriers wait for it.
    awaited_from: u64,
    wait: Wait,
    /// What the kernel had to tell when it was found gone was told.
    heard: bool,
    inodes: Replaced,
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
#[derive(Debug)]
pub(super) struct Queue<F> {
    items: VecDeque<Item<F>>,
    waiting: BTreeSet<EntryPath>,
    trees: BTreeSet<EntryPath>,
    /// The paths that are gone; in `items` or `untold` by their numbers.
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
    /// Counts what was found gone.
    found_gone: u64,
    /// From which number on barriers wait for what is looked at now, where it is gone: what waited so before keeps its number.
    in_hand: u64,
    /// Counts what was told of and was gone when it was looked at.
    missed: u64,
}

impl<F> Default for Queue<F> {
    fn default() -> Self {
        Self {
            items: VecDeque::new(),
            waiting: BTreeSet::new(),
            trees: BTreeSet::new(),
            gone: BTreeMap::new(),
            found: BTreeMap::new(),
            directories: BTreeSet::new(),
            links: BTreeSet::new(),
            any_link: false,
            untold: Vec::new(),
            put_off_from: None,
            found_gone: 0,
            in_hand: 0,
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

    /// Nothing is at `path` any more. What was there may be at another path, of which nobody has told yet: it comes after
    /// whatever is told until [`Queue::catch_up`].
    pub(super) fn push_gone(&mut self, path: EntryPath, place: Place, inodes: Replaced) {
        self.await_word_of(path, place, inodes, Wait::default());
    }

    /// The same of something that is told again lightly: it waits no longer, whatever else is missed.
    pub(super) fn push_light_gone(&mut self, path: EntryPath, inodes: Replaced) {
        self.await_word_of(path, Place::Replaced, inodes, Wait::over());
    }

    fn await_word_of(&mut self, path: EntryPath, place: Place, inodes: Replaced, wait: Wait) {
        if let Some(missing) = self.gone.get_mut(&path) {
            missing.awaited_from = self.in_hand.min(missing.awaited_from);
            let before = std::mem::replace(&mut missing.inodes, inodes);
            self.forget_found(&path, before);
            self.note_found(&path, inodes);
        } else {
            let gone = self.number_gone(path, place, inodes, wait);
            self.untold.push(Item::Gone(gone));
        }
    }

    /// Puts what waited because it was gone back to the head, behind `above`, the directory that comes first.
    pub(super) fn push_gone_front(&mut self, above: EntryPath, path: EntryPath) {
        let gone = self.number_gone(path, Place::Replaced, Replaced::default(), Wait::over());
        if let Some(missing) = self.gone.get_mut(&gone.path) {
            missing.heard = true;
        }
        self.items.push_front(Item::Gone(gone));
        self.items.push_front(Item::Path(above));
    }

    fn number_gone(&mut self, path: EntryPath, place: Place, inodes: Replaced, wait: Wait) -> Gone {
        self.found_gone += 1;
        let number = self.found_gone;
        self.forget_gone(&path);
        self.note_found(&path, inodes);
        let missing = Missing {
            place,
            number,
            awaited_from: self.in_hand.min(number),
            wait,
            heard: false,
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
    fn comes_before(&self, path: &EntryPath) -> Option<&EntryPath> {
        let is_found_at = |path: &EntryPath| {
            let announced = self.gone.get(path)?.inodes.announced?;
            self.found.get(&announced).filter(|found| *found != path)
        };
        let mut first = is_found_at(path)?;
        for _ in 0..self.found.len() {
            match is_found_at(first) {
                Some(before) => first = before,
                None => return Some(first),
            }
        }
        None
    }

    /// How what is gone at `path`, and was heard of, waits on where it has to.
    fn is_put_off(&self, missing: &Missing) -> Option<Wait> {
        let is_behind_another = self.put_off_from.is_some_and(|from| from < missing.number);
        let behind_another = is_behind_another.then(|| missing.wait.once_more());
        missing.wait.put_off(self.missed).or(behind_another)
    }

    /// What had waited elsewhere is looked at.
    pub(super) fn take_in_hand(&mut self) {
        self.in_hand = self.found_gone + 1;
    }

    /// Something is at `path` again that is announced there.
    pub(super) fn is_back(&mut self, path: &EntryPath) {
        self.forget_gone(path);
    }

    /// Whether a directory above `path` waits because it is gone.
    pub(super) fn is_gone_above(&self, path: &EntryPath) -> bool {
        let mut above = std::iter::successors(path.parent(), EntryPath::parent);
        !self.gone.is_empty() && above.any(|above| self.gone.contains_key(&above))
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

    /// A barrier waits for whatever is told until [`Queue::catch_up`], and for what waits for that now.
    pub(super) fn put_off(&mut self, mut barrier: Barrier) {
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
        // What was put off keeps its place before what was found gone later.
        self.untold.sort_by_key(|item| match item {
            Item::Gone(gone) => gone.number,
            _ => u64::MAX,
        });
        for item in std::mem::take(&mut self.untold) {
            if let Item::Gone(gone) = &item {
                if let Some(missing) = self.gone.get_mut(&gone.path) {
                    missing.wait.missed = self.missed;
                    missing.heard = true;
                }
            }
            self.items.push_back(item);
        }
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
                    self.take_in_hand();
                    return Some(item);
                }
            }
            let mut item = self.items.pop_front()?;
            self.take_in_hand();
            match &mut item {
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
                    if let Some(barrier) = barrier.put_off(self.missed) {
                        self.put_off(barrier);
                        continue;
                    }
                    if self.waits_for_gone(*barrier.gone.get_or_insert(self.found_gone)) {
                        self.untold.push(item);
                        continue;
                    }
                }
                Item::Names(_) | Item::Links(_) | Item::AnyLink | Item::Scan(_) => {}
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
            self.wait_on(gone, missing.wait);
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
        // What waits for a directory above it may wait for this one.
        let before = self.comes_before(&gone.path);
        let before = before.filter(|path| !self.is_gone_above(path)).cloned();
        let next = match before.and_then(|path| Some((self.gone.get(&path)?, path))) {
            None => gone.clone(),
            Some((before, path)) => {
                if !before.heard || self.is_put_off(before).is_some() {
                    self.wait_on(gone, missing.wait);
                    return None;
                }
                self.items.push_front(Item::Gone(gone.clone()));
                let (place, number) = (before.place, before.number);
                Gone { path, place, number }
            }
        };
        let missing = self.forget_gone(&next.path);
        self.in_hand = missing.map_or(self.in_hand, |missing| missing.awaited_from);
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

    /// Whether something that was found gone, up to this number, may yet have been moved.
    fn waits_for_gone(&self, number: u64) -> bool {
        let mut gone = self.gone.values();
        gone.any(|missing| missing.awaited_from <= number)
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
