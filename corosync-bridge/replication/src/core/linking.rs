//! Names of one file where changes travel both ways.
//!
//! Each name is settled as a file of its own: what it holds is what counts. Beyond that, two names that are agreed on and hold the
//! same, and are one file on one BMC, are made one file on the other. A Passive tells the Active when both have been taken; the
//! Active tells of a name as of a content, that of the name to which it is linked.

use std::time::Duration;

use super::Core;
use super::follower::ApplyError;
use super::links::link;
use crate::agreed::Version;
use crate::digest::Digest;
use crate::entry::{Kind, Known};
use crate::state::StateStore;
use crate::tree::{Tree, TreeError};
use crate::wire::{Message, Operation};
use crate::{EntryPath, NodeId};

/// Other names that a Passive tells of with each, at most.
const LINKS_TOLD: usize = 8;

impl<T: Tree, S: StateStore> Core<T, S> {
    /// On a Passive: what was offered at `path` was taken. Where it is a name of a file of which others were taken too, the Active is
    /// told so.
    pub(super) fn tell_links(&mut self, path: &EntryPath) {
        let Some(known) = self.index.get(path).filter(|known| known.linked).copied() else {
            return;
        };
        if !self.is_two_way(path) || !self.is_agreed(path, &known) {
            return;
        }
        let names = self.other_names(path, &known);
        let names: Vec<EntryPath> = names
            .filter(|name| self.is_agreed(name, &known))
            .cloned()
            .collect();
        // The Active may have lost any of them.
        for name in names.iter().take(LINKS_TOLD) {
            if !self.offers.tells_link(path, name, Version::from(&known)) {
                continue;
            }
            let operation = link(path, name, &known);
            let epoch = self.state.epoch;
            let contribution = Message::Contribution {
                epoch,
                offer: 0,
                operation,
            };
            self.outbox.push(contribution.encode());
        }
    }

    /// The same of all files, of which the Active may have been told when nobody heard it.
    pub(super) fn tell_all_links(&mut self) {
        let names: Vec<EntryPath> = self.index.linked_names().cloned().collect();
        for name in names {
            let known = self.index.get(&name).copied();
            if known.is_some_and(|known| self.first_name(&name, &known).is_some()) {
                self.tell_links(&name);
            }
        }
    }

    /// On a Passive: the names of the file at `path` that get attributes with it. One that is a change of this node keeps those that it
    /// has, and where `path` itself was one, so do all others: it was made to them as well.
    pub(super) fn names_that_follow(&self, path: &EntryPath) -> Vec<EntryPath> {
        let mut names = self.names_known(path);
        if self.is_two_way(path) {
            let follow = self.is_known_as_agreed(path);
            names.retain(|name| name == path || follow && self.is_known_as_agreed(name));
        }
        names
    }

    /// Whether what is known of `path` is what was agreed of it.
    fn is_known_as_agreed(&self, path: &EntryPath) -> bool {
        self.index
            .get(path)
            .is_some_and(|known| self.is_agreed(path, known))
    }

    /// Whether `known` is what was agreed of `path`.
    fn is_agreed(&self, path: &EntryPath, known: &Known) -> bool {
        self.agreed.get(path) == Some(Version::from(known))
    }

    /// On the Active: `from` has `path` and `to` as one file. So it is here, where both hold the same.
    pub(super) fn link_taken(
        &mut self,
        from: NodeId,
        path: &EntryPath,
        to: &EntryPath,
        content: Digest,
        now: Duration,
    ) {
        let follows = self.peers.get_mut(from).is_some();
        if self.active.is_none() || !follows || !self.are_linked_both_ways(path, to) {
            return;
        }
        // What cannot be linked stays as it is: it holds what it has to.
        if let Ok(Some(known)) = self.link_alike(path, to, content) {
            self.leave_names(path, &known);
            for name in [path, to] {
                self.index.insert(name.clone(), known);
            }
            self.announce_link(path, to, &known, now);
        }
    }

    /// Whether names at these paths may be one file.
    pub(super) fn are_linked_both_ways(&self, path: &EntryPath, to: &EntryPath) -> bool {
        let is_alike = self.coverage.rule(path) == self.coverage.rule(to);
        path != to && self.is_two_way(path) && self.is_two_way(to) && is_alike
    }

    /// Whether both are known as names of one file.
    pub(super) fn is_one_file(&self, path: &EntryPath, to: &EntryPath) -> bool {
        let inode = |path: &EntryPath| self.index.get(path).map(|known| known.seen.stamp.inode());
        inode(path).is_some() && inode(path) == inode(to)
    }

    /// Whether the operation makes a file of its own of what is a name of one here.
    pub(super) fn parts_names(&self, operation: &Operation<'_>) -> bool {
        match operation {
            Operation::Put { path, .. } | Operation::PutTransferred { path, .. } => {
                let known = self.index.get(path);
                known.is_some_and(|known| self.other_names(path, known).next().is_some())
            }
            _ => false,
        }
    }

    /// Makes `path` and `to` one file, if they are two that hold the same.
    fn link_alike(
        &mut self,
        path: &EntryPath,
        to: &EntryPath,
        content: Digest,
    ) -> Result<Option<Known>, TreeError> {
        let known = [path, to].map(|name| self.index.get(name).copied());
        let [Some(replaced), Some(known)] = known else {
            return Ok(None);
        };
        let is_alike = known.kind == Kind::File && known.content == content && replaced.same_as(&known);
        if !is_alike || self.is_one_file(path, to) || !self.is_as_known(path)? || !self.is_as_known(to)? {
            return Ok(None);
        }
        let seen = self.tree.make_hard_link(path, to)?;
        self.tree.sync()?;
        Ok(Some(Known {
            linked: true,
            seen,
            ..known
        }))
    }

    /// The version that `path` gets when it becomes a name of the file `to` on a Passive: what was agreed of that.
    pub(super) fn version_linked_to(&mut self, to: &EntryPath) -> Result<Version, ApplyError> {
        let here = self.look_at_own(to)?.as_ref().map(Version::from);
        let changed = || ApplyError::LinkChangedHere { path: to.clone() };
        let version = here.filter(|here| here.kind == Kind::File).ok_or_else(changed)?;
        let is_agreed = !self.agreed.is_known() || self.agreed.get(to) == Some(version);
        is_agreed.then_some(version).ok_or_else(changed)
    }
}
