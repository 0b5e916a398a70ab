//! Finding out, on the Active, that something new was moved there, so that a Passive moves it too and nothing of it is
//! sent again.
//!
//! Notifications may be lost or late, so they prove nothing. An inode does: what is new at one path and was announced at
//! another, where it is not any more, was moved. An inode number may be used again for something new, though. So
//! a file counts as moved when its content is the one that was announced, and a directory when something in it
//! is still what it was.

use std::time::Duration;

use super::Core;
use super::active::Active;
use crate::EntryPath;
use crate::coverage::Direction;
use crate::entry::{Found, Kind, Known, Stamp};
use crate::state::StateStore;
use crate::tree::{Inspection, Tree, TreeError};
use crate::wire::Operation;

/// Entries of a directory that are looked at, at most, for one that is what it was.
const PROOFS: usize = 16;

impl<F> Active<F> {
    /// Takes out where in `directory` something may have been moved from that waits for its turn.
    fn take_expected_in(&mut self, directory: &EntryPath) -> Vec<EntryPath> {
        let behind = self.expected_moves.range(directory.clone()..);
        let within = behind.filter(|path| *path != directory);
        let within: Vec<EntryPath> = within
            .take_while(|path| path.is_beneath(directory))
            .cloned()
            .collect();
        for path in &within {
            self.expected_moves.remove(path);
        }
        within
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// The directory that was `found` at `path` is new there: if it was moved, it is told so. Returns whether it was.
    pub(super) fn follow_directory(
        &mut self,
        path: &EntryPath,
        found: &Found,
        now: Duration,
    ) -> Result<bool, TreeError> {
        let Some(from) = self.moved_from(path, &found.seen.stamp, Kind::Directory)? else {
            return Ok(false);
        };
        let is_uniform = [path, &from].iter().all(|end| self.coverage.is_uniform(end));
        let is_moved = is_uniform && self.still_holds(&from, path)?;
        if is_moved {
            self.announce_move(&from, path, now);
        }
        Ok(is_moved)
    }

    /// The file at `path` was found to be `known`: if it was moved, it is told so.
    pub(super) fn follow_file(
        &mut self,
        path: &EntryPath,
        known: &Known,
        now: Duration,
    ) -> Result<(), TreeError> {
        let Some(from) = self.moved_from(path, &known.seen.stamp, Kind::File)? else {
            return Ok(());
        };
        let is_announced = |before: &Known| before.same_content(known);
        if self.index.get(&from).is_some_and(is_announced) {
            match self.tree.inspect(&from, None)? {
                Inspection::Absent => self.announce_move(&from, path, now),
                // Something else took its place, maybe at once: there was always something at `from`.
                Inspection::Present(_) | Inspection::Unchanged => self.link_to_lost_name(path, &from, now),
            }
        }
        Ok(())
    }

    /// A large file that was found at `path` waits for its turn. Where it may have been moved from is not told as gone
    /// until then.
    pub(super) fn expect_move(&mut self, path: &EntryPath, stamp: &Stamp) {
        let from = self.index.names(stamp).find(|from| *from != path).cloned();
        if let (Some(active), Some(from)) = (&mut self.active, from) {
            active.expected_moves.insert(from);
        }
    }

    /// Whether what was at `path`, or in it, and is gone, may be what waits for its turn elsewhere.
    pub(super) fn may_have_moved(&mut self, path: &EntryPath) -> bool {
        let Some(active) = &mut self.active else {
            return false;
        };
        let is_expected = active.expected_moves.remove(path);
        let holds_expected = !active.take_expected_in(path).is_empty();
        // It may have been looked at before, or what was in it, and waits itself.
        let may_have_moved = is_expected || holds_expected || active.bulk.waits_at(path);
        if may_have_moved {
            active.bulk.push_behind(path);
        }
        may_have_moved
    }

    /// Where the inode of `stamp` was announced, if it may have been moved from there to `path`.
    ///
    /// A comparison under way would have to move what it found out: then, and between paths that are not replicated
    /// alike, what was moved is sent anew.
    fn moved_from(
        &mut self,
        path: &EntryPath,
        stamp: &Stamp,
        kind: Kind,
    ) -> Result<Option<EntryPath>, TreeError> {
        let is_busy = |active: &Active<_>| active.session.is_some() || active.unreadable().is_some();
        if self.active.as_ref().is_none_or(is_busy) {
            return Ok(None);
        }
        // One that had both names has lost one.
        let is_of_inode = |known: &Known| known.kind == kind && known.seen.stamp.is_same_inode(stamp);
        if self.index.get(path).is_some_and(is_of_inode) {
            return Ok(None);
        }
        let rule = self.coverage.rule(path);
        let is_alike = |from: &&EntryPath| {
            let apart = *from != path && !from.is_beneath(path) && !path.is_beneath(from);
            let same_kind = self.index.get(from).is_some_and(|known| known.kind == kind);
            apart && same_kind && self.coverage.rule(from) == rule
        };
        let alike = self.index.names(stamp).find(is_alike).cloned();
        let Some(from) = alike.filter(|_| rule.direction == Direction::ActiveToPassive) else {
            return Ok(None);
        };
        let is_still_there = self.is_at(&from, stamp)?;
        Ok((!is_still_there).then_some(from))
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
        let moved: Vec<(EntryPath, Stamp)> = self
            .index
            .children(from)
            .filter_map(|child| Some((child.rebased(from, to)?, self.index.get(child)?.seen.stamp)))
            .take(PROOFS)
            .collect();
        for (child, stamp) in moved {
            match self.tree.inspect(&child, None)? {
                Inspection::Present(found) if found.seen.stamp == stamp => return Ok(true),
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
            self.index.remove(to);
            self.send(None, Operation::Remove { path: to.clone() }, now);
        }
        self.index.rename(from, to);
        if let Some(active) = &mut self.active {
            let expected = active.take_expected_in(from);
            let expected = expected.into_iter().filter_map(|path| path.rebased(from, to));
            active.expected_moves.extend(expected);
        }
        let (from, to) = (from.clone(), to.clone());
        self.owe_hardening(&from);
        self.owe_look_at_names(&from);
        self.send(None, Operation::Rename { from, to }, now);
    }
}
