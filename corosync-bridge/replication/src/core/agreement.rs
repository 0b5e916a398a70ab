//! What the members have agreed on, kept on both sides.
//!
//! On a Passive that is what the Active's stream brought and what the Active took of its own. On the Active it is what it
//! announced, once some follower has it durably and so has this node: until then it would not be known to the others
//! if this node went. A power cut never leaves more agreed than what is on the disk; the other way round, a change
//! that was agreed on and then forgotten is merely offered again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::active::Active;
use super::offers::meet;
use super::{Core, Topic};
use crate::agreed::Version;
use crate::entry::Kind;
use crate::state::StateStore;
use crate::tree::{Tree, TreeError};
use crate::wire::Operation;
use crate::{Direction, EntryPath};

/// Pause before what could not be kept is kept again.
const RETRY: Duration = Duration::from_millis(500);

impl<T: Tree, S: StateStore> Core<T, S> {
    /// Whether `path` is one that changes on both sides.
    pub(super) fn is_two_way(&self, path: &EntryPath) -> bool {
        !self.offered_roots.is_empty() && self.coverage.rule(path).direction == Direction::Both
    }

    /// Whether `path` is one of which only a Passive's changes count.
    pub(super) fn is_the_passives(&self, path: &EntryPath) -> bool {
        !self.offered_roots.is_empty() && self.coverage.rule(path).direction == Direction::PassiveToActive
    }

    /// Whether something in the directory `path` is offered by Passives.
    pub(super) fn holds_two_way(&self, path: &EntryPath) -> bool {
        self.offered_roots.iter().any(|root| meet(root, path))
    }

    /// What the Active brought, or already had, is here.
    pub(super) fn agree_here(&mut self, path: &EntryPath) {
        if !self.holds_two_way(path) {
            return;
        }
        let here = self.index.get(path).map(Version::from);
        if self.is_two_way(path) {
            self.agreed.settle(path, here);
            self.offers.is_settled(path);
        } else if here.is_none_or(|here| here.kind != Kind::Directory) {
            self.agreed.settle(path, None);
        }
    }

    /// The Active announces a change to everyone: agreed, once somebody has it.
    pub(super) fn note_announced(&mut self, operation: &Operation<'_>) {
        if let Operation::Rename { from, to } = operation {
            return self.note_moved(from, to);
        }
        let Some(path) = operation.path().filter(|path| self.holds_two_way(path)) else {
            return;
        };
        let version = match operation {
            // It was linked already.
            Operation::HardLink { path, .. } => self.index.get(path).map(Version::from),
            _ => operation.version(),
        };
        let is_directory = version.is_some_and(|version| version.kind == Kind::Directory);
        if self.is_two_way(path) || !is_directory {
            let version = version.filter(|_| self.is_two_way(path));
            self.note_agreed(path, version);
        }
    }

    /// The Active announces that a directory was moved, which it knows at its new path already.
    fn note_moved(&mut self, from: &EntryPath, to: &EntryPath) {
        if !self.is_two_way(to) {
            return;
        }
        self.note_agreed(from, None);
        let moved = std::iter::once(to).chain(self.index.beneath(to));
        let versions = moved.filter_map(|path| Some((path.clone(), Version::from(self.index.get(path)?))));
        for (path, version) in versions.collect::<Vec<_>>() {
            self.note_agreed(&path, Some(version));
        }
    }

    /// Whether what is at `path` and in it is what was agreed.
    pub(super) fn is_as_agreed(&mut self, path: &EntryPath) -> Result<bool, TreeError> {
        let here = self.look_at_own(path)?.as_ref().map(Version::from);
        self.learn_beneath(path)?;
        let is_agreed = |within: &EntryPath| {
            let here = self.index.get(within).map(Version::from);
            self.agreed.get(within) == here
        };
        let mut within = self.index.beneath(path).chain(self.agreed.beneath(path));
        Ok(self.agreed.is_known() && here == self.agreed.get(path) && within.all(is_agreed))
    }

    /// A member has the same as this Active.
    pub(super) fn note_agreed(&mut self, path: &EntryPath, version: Option<Version>) {
        if let Some(active) = &mut self.active {
            let sequence = active.sequence;
            active.announced.push_back((sequence, path.clone(), version));
        }
    }

    pub(super) fn owes_agreement(&self, active: &Active<T::Source>) -> bool {
        let all = active.agree_on_all && active.is_hardened(active.mark());
        active.agree_at.is_none() && (all || active.agreed_announcement() || self.agreed.is_unsaved())
    }

    pub(super) fn agree_step(&mut self, now: Duration) {
        self.record_agreed();
        if self.save_agreed() {
            return;
        }
        match &mut self.active {
            Some(active) => active.agree_at = Some(now + RETRY),
            None => self.offers.pause(now),
        }
    }

    /// Takes over as agreed what is announced, acknowledged and durable here.
    pub(super) fn record_agreed(&mut self) {
        let Some(active) = &mut self.active else { return };
        while active.agreed_announcement() {
            if let Some((_, path, version)) = active.announced.pop_front() {
                self.agreed.settle(&path, version);
            }
        }
        if active.agree_on_all && active.is_hardened(active.mark()) {
            active.agree_on_all = false;
            let pending = active.announced.iter().map(|(_, path, _)| path.clone());
            let pending: BTreeSet<EntryPath> = pending.collect();
            self.agree_on_index(&pending);
        }
    }

    /// What is here is what the others have, but for the `pending` changes.
    pub(super) fn agree_on_index(&mut self, pending: &BTreeSet<EntryPath>) {
        if self.offered_roots.is_empty() && self.agreed.is_known() {
            return;
        }
        let here = self
            .index
            .after(None)
            .map(|(path, known)| (path, Version::from(known)));
        let before = pending
            .iter()
            .filter_map(|path| Some((path, self.agreed.get(path)?)));
        let versions: BTreeMap<EntryPath, Version> = here
            .filter(|(path, _)| self.is_two_way(path) && !pending.contains(path))
            .chain(before)
            .map(|(path, version)| (path.clone(), version))
            .collect();
        self.agreed.replace(versions);
    }

    /// Makes durable what was agreed, after what it is about. Returns whether that worked.
    pub(super) fn save_agreed(&mut self) -> bool {
        if !self.agreed.is_unsaved() {
            return true;
        }
        let synced = self.tree.sync().map_err(|error| error.to_string());
        let saved = synced.and_then(|()| self.agreed.save().map_err(|error| error.to_string()));
        match saved {
            Ok(()) => {
                self.problems.clear(&Topic::Agreed);
                true
            }
            Err(message) => {
                self.problem(Topic::Agreed, message);
                false
            }
        }
    }
}

impl<F> Active<F> {
    /// Whether the oldest announcement is durable here and at some follower.
    fn agreed_announcement(&self) -> bool {
        let everywhere = self.acknowledged.min(self.hardened.sequence);
        self.announced
            .front()
            .is_some_and(|(sequence, ..)| *sequence <= everywhere)
    }
}
