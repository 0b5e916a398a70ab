//! What is not any more where it was announced: it may have been moved, and then it comes to its new path before it leaves the
//! old one.

use super::barrier::{PUT_OFF, Wait};
use super::{Item, Lane, Queue};
use crate::EntryPath;
use crate::core::active::Place;
use crate::entry::{Found, Kind, Known, Stamp};
use crate::inodes::Inode;

/// What was announced at `path` was not there when it was looked at.
#[derive(Debug, Clone)]
pub(in crate::core) struct Gone {
    pub(in crate::core) path: EntryPath,
    /// As what it is looked at: nothing was there, or something else.
    pub(in crate::core) place: Place,
    /// Which time that was found.
    pub(super) number: u64,
}

/// How something that is gone waits.
#[derive(Debug)]
pub(super) struct Missing {
    pub(super) place: Place,
    pub(super) number: u64,
    pub(super) awaited: Awaited,
    pub(super) wait: Wait,
    /// What the kernel had to tell when it was found gone was told.
    pub(super) heard: bool,
    /// It is sent again lightly where it was moved, so it may go early.
    pub(super) is_light: bool,
    pub(super) inodes: Replaced,
}

/// Which barriers wait for something that is gone: those that were told once so much had been found gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Awaited {
    from: u64,
    /// How often it has waited on since. Where directories are made anew all the time, what is in them does so for good.
    times: u8,
}

impl Awaited {
    /// What is found gone as the one of this number, or later.
    pub(super) fn from(number: u64) -> Self {
        Self {
            from: number,
            times: 0,
        }
    }

    /// It waits on, or is found gone again, as the one of this number. The barriers that waited for it do so too, for some times;
    /// then it counts among what was `given_up`.
    fn once_more(self, number: u64, given_up: &mut u64) -> Self {
        if self.from >= number {
            return Self::from(number);
        }
        if self.times >= PUT_OFF {
            *given_up += 1;
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
pub(in crate::core) struct Replaced {
    pub(in crate::core) announced: Option<Sight>,
    pub(in crate::core) found: Option<Sight>,
}

/// An entry as it was announced or found.
#[derive(Debug, Clone, Copy)]
pub(in crate::core) struct Sight {
    pub(super) kind: Kind,
    pub(super) stamp: Stamp,
}

impl From<&Known> for Sight {
    fn from(announced: &Known) -> Self {
        Self {
            kind: announced.kind,
            stamp: announced.seen.stamp,
        }
    }
}

impl From<&Found> for Sight {
    fn from(found: &Found) -> Self {
        Self {
            kind: found.body.kind(),
            stamp: found.seen.stamp,
        }
    }
}

impl Sight {
    pub(in crate::core) fn inode(&self) -> Inode {
        self.stamp.inode()
    }

    /// Whether what was announced as this, and `found` with the same inode number, is one entry for certain. Otherwise it was written
    /// since, or the number was used again.
    fn is_certainly(&self, found: &Self) -> bool {
        let shown = |sight: &Self| (sight.kind, sight.stamp.size, sight.stamp.mtime);
        shown(self) == shown(found)
    }
}

/// What has to be told before something that waits.
struct Before {
    path: EntryPath,
    /// What left the one path for the other is the same for certain.
    is_certain: bool,
}

impl<F> Queue<F> {
    /// Nothing is at `path` any more. What was there may be at another path, of which nobody has told yet: it comes after
    /// whatever is told until [`Queue::catch_up`].
    pub(in crate::core) fn push_gone(&mut self, path: EntryPath, place: Place, inodes: Replaced) {
        self.await_word_of(path, place, inodes, Wait::default(), false);
    }

    /// The same of something that is told again lightly: it waits no longer, whatever else is missed.
    pub(in crate::core) fn push_light_gone(&mut self, path: EntryPath, inodes: Replaced) {
        self.await_word_of(path, Place::Replaced, inodes, Wait::over(), true);
    }

    /// The same of something of which nothing is there instead.
    pub(in crate::core) fn push_small_gone(&mut self, path: EntryPath, inodes: Replaced) {
        self.await_word_of(path, Place::Gone, inodes, Wait::default(), true);
    }

    fn await_word_of(&mut self, path: EntryPath, place: Place, inodes: Replaced, wait: Wait, is_light: bool) {
        if let Some(missing) = self.gone.get_mut(&path) {
            if self.in_hand.from < missing.awaited.from {
                missing.awaited = self.in_hand.once_more(missing.number, &mut self.given_up);
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
    pub(in crate::core) fn push_gone_front(&mut self, above: EntryPath, path: EntryPath) {
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
        let missing = Missing {
            place,
            number,
            awaited: self.in_hand.once_more(number, &mut self.given_up),
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
            self.found.insert(found.inode(), path.clone());
        }
    }

    fn forget_found(&mut self, path: &EntryPath, inodes: Replaced) {
        let found = inodes.found.map(|found| found.inode());
        if let Some(found) = found.filter(|found| self.found.get(found) == Some(path)) {
            self.found.remove(&found);
        }
    }

    /// Where what was announced at `path` was found, if that waits as well, or what comes before that in turn: told first, it is
    /// at its new path before it leaves the old one. None where all have changed their places in a circle.
    fn comes_before(&self, path: &EntryPath) -> Option<EntryPath> {
        let mut first = self.is_found_at(path)?.path;
        // Each step leads from one that waits to another: more of them than wait lead around.
        for _ in 0..self.gone.len() {
            match self.is_found_at(&first) {
                Some(before) => first = before.path,
                None => return Some(first).filter(|first| first != path),
            }
        }
        self.begins_circle(path)
    }

    /// What goes first of a circle that `path` leads to: where it is not certain that something went on from there, it may be none.
    /// A file that is moved over another leaves the inode number of that to whatever takes its own place.
    fn begins_circle(&self, path: &EntryPath) -> Option<EntryPath> {
        let mut first = path.clone();
        for _ in 0..=self.gone.len() {
            match self.is_found_at(&first)? {
                Before {
                    path,
                    is_certain: true,
                } => first = path,
                Before {
                    is_certain: false, ..
                } => return Some(first).filter(|first| first != path),
            }
        }
        None
    }

    /// What waits where that was found which was announced at `path`, or in it: it, or a directory above it that comes first.
    fn is_found_at(&self, path: &EntryPath) -> Option<Before> {
        let is_here = |other: &EntryPath| other == path || other.is_beneath(path);
        let mut within = self.gone.range(path..).take_while(|(gone, _)| is_here(gone));
        within.find_map(|(_, missing)| {
            let announced = missing.inodes.announced?;
            let at = self.found.get(&announced.inode())?;
            let found = self.gone.get(at).and_then(|missing| missing.inodes.found);
            let is_certain = found.is_some_and(|found| announced.is_certainly(&found));
            let first = self.topmost_gone_above(at).unwrap_or_else(|| at.clone());
            let before = Before {
                path: first,
                is_certain,
            };
            (!is_here(at) && before.path != *path).then_some(before)
        })
    }

    /// Whether anything was found where something else had been announced, and waits there.
    pub(in crate::core) fn has_found(&self) -> bool {
        !self.found.is_empty()
    }

    /// Where this was found so.
    pub(in crate::core) fn found_at(&self, inode: Inode) -> Option<&EntryPath> {
        self.found.get(&inode)
    }

    /// Whether the file of `inode` was announced where something is gone that waits.
    pub(super) fn is_left_by(&self, inode: Inode) -> bool {
        let mut announced = self.gone.values().filter_map(|missing| missing.inodes.announced);
        announced.any(|announced| announced.inode() == inode)
    }

    /// How what is gone at `path`, and was heard of, waits on where it has to.
    fn is_put_off(&self, missing: &Missing) -> Option<Wait> {
        let is_behind_another = self.put_off_from.is_some_and(|from| from < missing.number);
        let behind_another = is_behind_another.then(|| missing.wait.once_more());
        missing.wait.put_off(self.missed).or(behind_another)
    }

    /// Something is at `path` again that is announced there.
    pub(in crate::core) fn is_back(&mut self, path: &EntryPath) {
        self.forget_gone(path);
    }

    /// Whether a directory above `path` waits because it is gone.
    pub(in crate::core) fn is_gone_above(&self, path: &EntryPath) -> bool {
        !self.gone.is_empty() && self.topmost_gone_above(path).is_some()
    }

    fn topmost_gone_above(&self, path: &EntryPath) -> Option<EntryPath> {
        let above = std::iter::successors(path.parent(), EntryPath::parent);
        above.filter(|above| self.gone.contains_key(above)).last()
    }

    /// The turn of `gone` has come. Returns what is looked at now: nothing where it has to wait on, and what comes before it where
    /// that waits as well.
    pub(super) fn pop_gone(&mut self, gone: &Gone) -> Option<Gone> {
        let missing = self.gone.get(&gone.path)?;
        if missing.number != gone.number {
            return None;
        }
        if self.is_gone_above(&gone.path) {
            let wait = missing.wait;
            self.beneath.push((gone.number, gone.path.clone()));
            self.wait_on(gone, wait);
            let (number, given_up) = (self.found_gone + 1, self.given_up);
            if let Some(missing) = self.gone.get_mut(&gone.path) {
                missing.awaited = missing.awaited.once_more(number, &mut self.given_up);
            }
            if self.given_up > given_up {
                // Those that waited until now wait no longer; who comes after this waits for it.
                self.found_gone = number;
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
        if let Some(missing) = self.forget_gone(&next.path) {
            self.in_hand = missing.awaited;
            self.found_in_hand = missing.inodes.found.map(|found| found.inode());
        }
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
    pub(super) fn waits_for_gone(&self, number: u64) -> bool {
        let mut gone = self.gone.values();
        gone.any(|missing| missing.awaited.from <= number)
    }
}
