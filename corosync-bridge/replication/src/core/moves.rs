//! Finding out, on the Active, that something new was moved there, so that a Passive moves it too and nothing of it is
//! sent again.
//!
//! Notifications may be lost or late, so they prove nothing. An inode does: what is new at one path and was announced at
//! another, where it is not any more, was moved. An inode number may be used again for something new, though. So
//! a file counts as moved when its size and mtime are those that were announced, and is read all the same before it counts as
//! known; a directory when something in it is still what it was.

use std::time::Duration;

use super::Core;
use super::active::{Active, Place, operation};
use super::queue::Replaced;
use crate::EntryPath;
use crate::coverage::Direction;
use crate::entry::{Body, Found, Kind, Known, Stamp};
use crate::inodes::Inode;
use crate::state::StateStore;
use crate::tree::{Inspection, Tree, TreeError};
use crate::wire::Operation;

/// Entries of a directory that are looked at, at most, for one that is what it was.
const PROOFS: usize = 16;

impl<T: Tree, S: StateStore> Core<T, S> {
    /// The directory that was `found` at `path` is new there: if it was moved, it is told so. Returns whether it was.
    pub(super) fn follow_directory(
        &mut self,
        path: &EntryPath,
        found: &Found,
        now: Duration,
    ) -> Result<bool, TreeError> {
        let stamp = &found.seen.stamp;
        let is_moved = match self.directory_moved_to(path, stamp)? {
            Some(from) => {
                self.announce_move(&from, path, now);
                true
            }
            None => false,
        };
        if !is_moved && self.held_something_elsewhere(path, stamp) {
            // It was maybe moved on from here.
            self.active
                .iter_mut()
                .for_each(|active| active.miss(Place::Queue));
        }
        Ok(is_moved)
    }

    /// Where the directory at `path` was announced, if it was moved and still holds something of what it held there.
    fn directory_moved_to(
        &mut self,
        path: &EntryPath,
        stamp: &Stamp,
    ) -> Result<Option<EntryPath>, TreeError> {
        let from = self.names_elsewhere(path, stamp, Kind::Directory).next().cloned();
        let Some(from) = from.filter(|_| self.may_rename()) else {
            return Ok(None);
        };
        if self.is_at(&from, stamp)? {
            return Ok(None);
        }
        let is_uniform = [path, &from].iter().all(|end| self.coverage.is_uniform(end));
        let is_moved = is_uniform && self.still_holds(&from, path)?;
        Ok(is_moved.then_some(from))
    }

    /// Whether the directory at `path` was announced at another, with something in it.
    fn held_something_elsewhere(&self, path: &EntryPath, stamp: &Stamp) -> bool {
        let mut names = self.index.names(stamp);
        names.any(|from| from != path && self.index.children(from).next().is_some())
    }

    /// The large file at `path`, which was found to be of `stamp`, waits for its turn to be read. If it was moved, it is told so
    /// now: what it was announced as may be in the way of something else by then.
    pub(super) fn follow_file(
        &mut self,
        path: &EntryPath,
        stamp: &Stamp,
        now: Duration,
    ) -> Result<(), TreeError> {
        let is_it = |known: &Known| {
            let announced = known.seen.stamp;
            (announced.size, announced.mtime) == (stamp.size, stamp.mtime)
        };
        self.follow_file_if(path, stamp, is_it, None, now)
    }

    /// The file at `path` was `found` to be `known`. The same of one that has another mtime.
    pub(super) fn follow_read_file(
        &mut self,
        path: &EntryPath,
        found: &Found,
        known: &Known,
        now: Duration,
    ) -> Result<(), TreeError> {
        let is_it = |announced: &Known| announced.same_content(known);
        self.follow_file_if(path, &known.seen.stamp, is_it, Some((found, known)), now)
    }

    fn follow_file_if(
        &mut self,
        path: &EntryPath,
        stamp: &Stamp,
        is_it: impl Fn(&Known) -> bool,
        read: Option<(&Found, &Known)>,
        now: Duration,
    ) -> Result<(), TreeError> {
        let from = self
            .names_elsewhere(path, stamp, Kind::File)
            .find(|from| self.index.get(from).is_some_and(&is_it))
            .cloned();
        let Some(from) = from else {
            return Ok(());
        };
        let at_from = self.tree.inspect(&from, None)?;
        let is_anothers = match &at_from {
            Inspection::Present(at_from) => !at_from.seen.stamp.is_same_inode(stamp),
            Inspection::Absent | Inspection::Unchanged => false,
        };
        if let Some((found, known)) = read.filter(|_| !is_anothers) {
            self.announce_attributes_first(&from, found, known, now)?;
        }
        if at_from == Inspection::Absent && self.may_rename() {
            self.announce_move(&from, path, now);
        } else {
            // It has that name still, or something else took its place, maybe at once: there was always something at `from`.
            self.link_to_lost_name(path, &from, now);
        }
        Ok(())
    }

    /// What takes the place of another file at its new path has its attributes of now there from the first moment.
    fn announce_attributes_first(
        &mut self,
        from: &EntryPath,
        found: &Found,
        known: &Known,
        now: Duration,
    ) -> Result<(), TreeError> {
        let announced = self.index.get(from).copied();
        let announced = announced.filter(|announced| announced.attributes != known.attributes);
        if let Some(announced) = announced {
            if self.has_no_name_of_another(from, &announced)? {
                self.index.insert(from.clone(), *known);
                self.send(None, operation(from, found, *known, None, true), now);
            }
        }
        Ok(())
    }

    /// What was announced at `path`, or in it, may wait for its turn to be read elsewhere, where it was not announced yet. Returns
    /// whether it does: nothing takes it away from there until then.
    pub(super) fn waits_to_be_read(&mut self, path: &EntryPath, place: Place, found: Option<Inode>) -> bool {
        let waits = self.is_read_elsewhere(path, place);
        if let Some(active) = self.active.as_mut().filter(|_| waits) {
            // Behind it. What was `found` there instead may have left another path for it, which has to wait as well.
            active.bulk.line.push(path, found);
        }
        waits
    }

    /// The same, and nothing more. Where a Passive has it under another name as well, and keeps it there, nobody has to wait: the
    /// others may wait for this one. What is gone waits once, wherever that is; after that, and what is replaced, only for what is
    /// replicated otherwise there: of anything else it was told that it was moved, and a flush waits for no more than it has to.
    pub(super) fn is_read_elsewhere(&self, path: &EntryPath, waited: Place) -> bool {
        let Some(bulk) = self.active.as_ref().map(|active| &active.bulk) else {
            return false;
        };
        let rule = self.coverage.rule(path);
        let is_here = |name: &EntryPath| name == path || name.is_beneath(path);
        let leaves_for = |place: &EntryPath, inode: Inode| {
            let counts = waited == Place::Gone || self.coverage.rule(place) != rule;
            let is_left = |name: &EntryPath| is_here(name) || bulk.is_replacing(name, inode);
            counts && self.index.names_of(inode).all(is_left) && !is_here(place)
        };
        let announced = self.index.get(path);
        match announced.filter(|known| known.kind != Kind::Directory) {
            Some(known) => {
                let inode = known.seen.stamp.inode();
                bulk.places(inode).any(|place| leaves_for(place, inode))
            }
            None => bulk
                .files()
                .any(|(place, inode)| self.index.names_of(inode).any(is_here) && leaves_for(place, inode)),
        }
    }

    /// Whether something that was announced in the directory `path` was found elsewhere, and waits for its turn there. That is
    /// told of as in a directory that was moved, not by itself.
    pub(super) fn is_found_elsewhere(&self, path: &EntryPath) -> bool {
        let Some(active) = self.active.as_ref().filter(|active| active.queue.has_found()) else {
            return false;
        };
        let announced = self
            .index
            .beneath(path)
            .filter_map(|within| self.index.get(within));
        let mut at = announced.filter_map(|known| active.queue.found_at(known.seen.stamp.inode()));
        at.any(|at| !at.is_beneath(path))
    }

    /// Something was `found` at `path` that may not be what was announced there as `known`: that may have been moved, or a directory
    /// above it. Then this waits until whatever was told is looked at. Returns whether it does.
    pub(super) fn waits_for_moved(
        &mut self,
        path: &EntryPath,
        known: Option<&Known>,
        found: &Found,
        place: Place,
    ) -> bool {
        let is_another = |known: &&Known| {
            let is_it = known.kind == found.body.kind() && known.seen.stamp.is_same_inode(&found.seen.stamp);
            known.kind != Kind::Link && !is_it
        };
        let is_followed = self.coverage.rule(path).direction == Direction::ActiveToPassive;
        let replaced = known.filter(is_another).filter(|_| is_followed);
        let inodes = Replaced {
            announced: known.map(Into::into),
            found: Some(found.into()),
        };
        // A directory that takes the place of one takes nothing away: what is in it waits as it is gone itself.
        let takes_away =
            replaced.is_some_and(|known| known.kind != Kind::Directory || found.body != Body::Directory);
        let is_light = replaced.is_some_and(|known| self.is_sent_lightly(known));
        let is_read_elsewhere = place == Place::Bulk && takes_away && self.is_read_elsewhere(path, place);
        let Some(active) = &mut self.active else {
            return false;
        };
        if place == Place::Replaced {
            active.queue.miss_unless(found.seen.stamp.inode());
        }
        let is_gone_above = active.queue.is_gone_above(path);
        match (place, replaced) {
            (Place::Queue, Some(_)) if is_light => active.queue.push_light_gone(path.clone(), inodes),
            (Place::Queue, Some(_)) => active.queue.push_gone(path.clone(), Place::Replaced, inodes),
            (Place::Queue, None) if is_gone_above => {
                active.queue.push_gone(path.clone(), Place::Replaced, inodes);
            }
            (Place::Bulk, _) if is_gone_above || is_read_elsewhere => {
                active.miss(place);
                active.queue.push_gone(path.clone(), Place::Replaced, inodes);
            }
            (Place::Replaced | Place::Gone | Place::Lost, _) if takes_away => {
                return self.waits_to_be_read(path, place, inodes.found.map(|found| found.inode()));
            }
            (Place::Queue | Place::Replaced | Place::Bulk | Place::Gone | Place::Lost, _) => return false,
        }
        true
    }

    /// Whether what was announced as `known` is sent anew where it was moved, in one message.
    pub(super) fn is_sent_lightly(&self, known: &Known) -> bool {
        self.index.names(&known.seen.stamp).next().is_none()
    }

    /// A comparison under way would have to move what it found out, and what could not be read may be anywhere.
    fn may_rename(&self) -> bool {
        let is_busy = |active: &Active<_>| active.session.is_some() || active.unreadable().is_some();
        self.active.as_ref().is_some_and(|active| !is_busy(active))
    }

    /// Where the inode of `stamp` was announced, unless it was at `path`. Between paths that are not replicated alike, what was moved
    /// is sent anew.
    fn names_elsewhere<'a>(
        &'a self,
        path: &'a EntryPath,
        stamp: &'a Stamp,
        kind: Kind,
    ) -> impl Iterator<Item = &'a EntryPath> {
        let rule = self.coverage.rule(path);
        let is_of_inode = |known: &Known| known.kind == kind && known.seen.stamp.is_same_inode(stamp);
        // One that had both names has lost one.
        let is_new = !self.index.get(path).is_some_and(is_of_inode);
        let is_followed = match rule.direction {
            Direction::ActiveToPassive => true,
            // Nothing else is told of a file there without what it holds.
            Direction::Both => kind == Kind::Directory,
            Direction::PassiveToActive => false,
        };
        let names = (is_new && is_followed).then(|| self.index.names(stamp));
        names.into_iter().flatten().filter(move |from| {
            let is_apart = *from != path && !from.is_beneath(path) && !path.is_beneath(from);
            let is_same_kind = self.index.get(from).is_some_and(|known| known.kind == kind);
            is_apart && is_same_kind && self.coverage.rule(from) == rule
        })
    }

    /// Whether `path` is a name of the inode of `stamp` on disk.
    pub(super) fn is_at(&mut self, path: &EntryPath, stamp: &Stamp) -> Result<bool, TreeError> {
        Ok(match self.tree.inspect(path, None)? {
            Inspection::Present(found) => found.seen.stamp.is_same_inode(stamp),
            Inspection::Absent | Inspection::Unchanged => false,
        })
    }

    /// Whether something that was announced in `from` is, unchanged, in `to`.
    fn still_holds(&mut self, from: &EntryPath, to: &EntryPath) -> Result<bool, TreeError> {
        let moved: Vec<(EntryPath, Known)> = self
            .index
            .children(from)
            .filter_map(|child| Some((child.rebased(from, to)?, *self.index.get(child)?)))
            .take(PROOFS)
            .collect();
        for (child, known) in moved {
            match self.tree.inspect(&child, None)? {
                Inspection::Present(found) if known.is_but_for_names(&found) => return Ok(true),
                _ => {}
            }
        }
        Ok(false)
    }

    fn announce_move(&mut self, from: &EntryPath, to: &EntryPath, now: Duration) {
        if let Some(replaced) = self.index.get(to).copied() {
            self.lose_name(to, &replaced);
        }
        let (moved, replaced) = (self.index.get(from), self.index.get(to));
        let is_replaceable = match (moved, replaced) {
            (_, None) => !self.index.holds(to),
            (Some(moved), Some(replaced)) if moved.kind == Kind::Directory => {
                replaced.kind == Kind::Directory && self.index.children(to).next().is_none()
            }
            (_, Some(replaced)) => replaced.kind != Kind::Directory,
        };
        if !is_replaceable {
            self.lose_names_beneath(to);
            self.index.remove(to);
            self.send(None, Operation::Remove { path: to.clone() }, now);
        }
        self.index.rename(from, to);
        let (from, to) = (from.clone(), to.clone());
        self.owe_hardening(&from);
        self.owe_look_at_names(&from);
        self.send(None, Operation::Rename { from, to }, now);
    }
}
