//! Bringing a Passive in sync: its copy is compared ([`comparison`](super::comparison)), and it is sent what it lacks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::active::operation;
use super::comparison::Comparison;
use super::peers::Follow;
use super::schedule::Occasion;
use super::{Core, Notice};
use crate::coverage::Priority;
use crate::digest::Digest;
use crate::entry::{Kind, Known};
use crate::index::Index;
use crate::state::StateStore;
use crate::tree::{Inspection, Source, Tree, TreeError};
use crate::wire::{INLINE_BYTES, Message, Operation};
use crate::{EntryPath, NodeId};

/// What a Passive lacks of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// All of it.
    Whole,
    /// Its attributes.
    Attributes,
    /// That it is not there.
    Removal,
}

/// A comparison under way.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) target: NodeId,
    pub(super) id: u64,
    pub(super) comparison: Comparison,
    /// What is essential comes first.
    needs: BTreeMap<(Priority, EntryPath), Need>,
    /// What it has and the Active has not. It may have it under the name that is still to be sent, so it goes last.
    removals: BTreeSet<(Priority, EntryPath)>,
    /// What files of priority 1 hold that it has and the Active has not.
    leaving: BTreeSet<Digest>,
    /// What is not essential and holds the same: it was moved there, and is sent before it is removed where it was.
    moved: Option<VecDeque<EntryPath>>,
    /// It was told that everything of priority 1 was sent, or this comparison cannot tell it.
    essential_settled: bool,
    /// Bytes of content in `needs`.
    bytes_left: u64,
    /// Something could not be read: this comparison brings nobody in sync.
    incomplete: bool,
}

impl Session {
    pub(super) fn can_go_on(&self) -> bool {
        self.comparison.can_go_on() || !self.needs.is_empty() || self.comparison.is_complete()
    }

    /// Whether this is the comparison `session` with `node`.
    pub(super) fn is(&self, node: NodeId, session: u64) -> bool {
        (self.target, self.id) == (node, session)
    }

    /// Entries and bytes still to be sent.
    pub(super) fn left(&self) -> (u64, u64) {
        (
            u64::try_from(self.needs.len() + self.removals.len()).unwrap_or(u64::MAX),
            self.bytes_left,
        )
    }

    pub(super) fn need(&mut self, priority: Priority, path: &EntryPath, need: Need, known: Option<&Known>) {
        let entry = (priority, path.clone());
        if need == Need::Removal {
            self.removals.insert(entry);
            return;
        }
        self.removals.remove(&entry);
        let before = self.needs.insert(entry, need);
        if need == Need::Whole && before != Some(Need::Whole) {
            self.bytes_left += known.map_or(0, |known| known.seen.stamp.size);
        }
    }

    /// It has a file of `content` where the Active has nothing.
    pub(super) fn note_extra(&mut self, priority: Priority, content: Digest) {
        if priority == Priority::Essential {
            self.leaving.insert(content);
        }
    }

    /// Everyone is told all of `path` by a change, the one that is compared among them: what changes faster than it is
    /// sent would never be sent as it was compared.
    pub(super) fn forget(&mut self, priority: Priority, path: &EntryPath, known: Option<&Known>) {
        let entry = (priority, path.clone());
        self.removals.remove(&entry);
        if self.needs.remove(&entry) == Some(Need::Whole) {
            let size = known.map_or(0, |known| known.seen.stamp.size);
            self.bytes_left = self.bytes_left.saturating_sub(size);
        }
    }

    /// What is to be sent next: of one priority all that is there, then what is not, and before that whatever may have been moved
    /// from there. What is not there is known once all is compared.
    fn next_need(&mut self, index: &Index) -> Option<(Priority, EntryPath, Need)> {
        let removal = self.removals.first().filter(|_| self.comparison.is_complete());
        let comes_before = |removal: &&(Priority, EntryPath)| {
            let need = self.needs.first_key_value();
            need.is_none_or(|((priority, _), _)| removal.0 < *priority)
        };
        if removal.filter(comes_before).is_some() {
            while let Some(path) = self.next_moved(index) {
                let entry = (Priority::Ordinary, path);
                if let Some(need) = self.needs.remove(&entry) {
                    return Some((entry.0, entry.1, need));
                }
            }
            let (priority, path) = self.removals.pop_first()?;
            return Some((priority, path, Need::Removal));
        }
        let ((priority, path), need) = self.needs.pop_first()?;
        Some((priority, path, need))
    }

    fn next_moved(&mut self, index: &Index) -> Option<EntryPath> {
        let leaving = &self.leaving;
        let needs = &self.needs;
        let moved = self.moved.get_or_insert_with(|| {
            let leaves = |path: &&EntryPath| {
                let known = index.get(path);
                known.is_some_and(|known| known.kind == Kind::File && leaving.contains(&known.content))
            };
            let ordinary = needs
                .keys()
                .filter(|(priority, _)| *priority == Priority::Ordinary);
            let paths = ordinary.map(|(_, path)| path).filter(leaves);
            paths.filter(|_| !leaving.is_empty()).cloned().collect()
        });
        moved.pop_front()
    }

    /// Whether the content of `path` is still to be sent.
    pub(super) fn lacks(&self, priority: Priority, path: &EntryPath) -> bool {
        self.needs.get(&(priority, path.clone())) == Some(&Need::Whole)
    }

    /// Something of this priority could not be read.
    pub(super) fn cannot_tell(&mut self, priority: Priority) {
        self.incomplete = true;
        self.essential_settled |= priority == Priority::Essential;
    }

    /// Whether everything of priority 1 was sent, and the target does not know it.
    fn owes_essential(&self) -> bool {
        let need = self.needs.first_key_value().map(|((priority, _), _)| priority);
        let removal = self.removals.first().map(|(priority, _)| priority);
        let mut next = need.into_iter().chain(removal);
        let essential_left = next.any(|priority| *priority == Priority::Essential);
        self.comparison.is_complete() && !essential_left && !self.essential_settled
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    pub(super) fn start_session(&mut self, target: NodeId, now: Duration) {
        let Some(active) = &mut self.active else { return };
        let Some(peer) = self.peers.get_mut(target) else {
            return;
        };
        let id = active.next_id();
        peer.follow = Follow::Since {
            baseline: active.sent_bytes,
            received: 0,
            acknowledged: active.sequence,
            closed_at: None,
            progress_at: now,
        };
        peer.begin(id);
        active.session = Some(Session {
            target,
            id,
            comparison: Comparison::default(),
            needs: BTreeMap::new(),
            removals: BTreeSet::new(),
            leaving: BTreeSet::new(),
            moved: None,
            essential_settled: !self.essential.is_configured(),
            bytes_left: 0,
            incomplete: false,
        });
        let message = Message::Compare {
            epoch: self.state.epoch,
            target,
            session: id,
            sequence: active.sequence,
        };
        self.outbox.push(message.encode());
        self.notices.push(Notice::CompareStarted { node: target });
        self.look_for(Occasion::Join);
    }

    /// Compares a range, sends one entry that differed, or closes the comparison.
    pub(super) fn session_step(&mut self, now: Duration) {
        let Some(session) = self.active.as_mut().and_then(|active| active.session.as_mut()) else {
            return;
        };
        if session.comparison.can_go_on() {
            return self.compare_step();
        }
        let (target, id, incomplete) = (session.target, session.id, session.incomplete);
        if session.owes_essential() {
            session.essential_settled = true;
            return self.close_essential(target, id, now);
        }
        let Some((priority, path, need)) = session.next_need(&self.index) else {
            let unknown = self
                .active
                .as_ref()
                .is_some_and(|active| active.unreadable().is_some());
            return if incomplete || unknown {
                self.peer_failed(target, now);
            } else {
                self.close_session(target, id, now);
            };
        };
        let size = self.index.get(&path).map_or(0, |known| known.seen.stamp.size);
        if need == Need::Whole {
            session.bytes_left = session.bytes_left.saturating_sub(size);
        }
        let unreadable = self
            .active
            .as_ref()
            .is_some_and(|active| active.is_unreadable(&path));
        if unreadable || self.supply(&path, need, target, now).is_err() {
            // Looked at as a change it is reported, and tried again.
            self.look_again(path);
            if let Some(session) = self.active.as_mut().and_then(|active| active.session.as_mut()) {
                session.cannot_tell(priority);
            }
        }
    }

    fn close_essential(&mut self, target: NodeId, session: u64, now: Duration) {
        let unknown = self.active.as_ref().is_some_and(|active| {
            let mut unreadable = active.unreadable_entries();
            unreadable.any(|path| self.may_hold_essential(path))
        });
        if !unknown {
            self.send(Some(target), Operation::EssentialInSync { session }, now);
        }
    }

    fn close_session(&mut self, target: NodeId, session: u64, now: Duration) {
        let Some(active) = &mut self.active else { return };
        active.session = None;
        self.send(Some(target), Operation::InSync { session }, now);
        let sequence = self.active.as_ref().map(|active| active.sequence);
        if let Some(Follow::Since { closed_at, .. }) = self.peers.get_mut(target).map(|peer| &mut peer.follow)
        {
            *closed_at = sequence;
        }
    }

    /// Sends `target` what it lacks, as it was announced. What has changed since is announced to everyone
    /// first, and then looked at again for `target`.
    fn supply(
        &mut self,
        path: &EntryPath,
        need: Need,
        target: NodeId,
        now: Duration,
    ) -> Result<(), TreeError> {
        if self.is_the_passives(path) {
            return Ok(());
        }
        let known = self.index.get(path).copied();
        if let Some(file) = known.filter(|known| need == Need::Whole && known.kind == Kind::File) {
            return self.supply_file(path, file, target, now);
        }
        let (known, found) = match (known, self.tree.inspect(path, None)?) {
            (None, Inspection::Absent | Inspection::Unchanged) => {
                if need == Need::Removal {
                    self.send(Some(target), Operation::Remove { path: path.clone() }, now);
                }
                return Ok(());
            }
            // Made since it was compared: everyone was told.
            (Some(_), _) if need == Need::Removal => return Ok(()),
            (Some(known), Inspection::Present(found)) if known.seen.stamp == found.seen.stamp => {
                (known, found)
            }
            (Some(_), _) => {
                self.supply_later(path);
                return Ok(());
            }
            (None, Inspection::Present(_)) => {
                // Announced if it is still there then.
                self.need_later(path, need);
                return Ok(());
            }
        };
        let operation = operation(path, &found, known, None, true);
        self.send(Some(target), operation, now);
        self.count_sent(target, 0);
        Ok(())
    }

    fn supply_file(
        &mut self,
        path: &EntryPath,
        known: Known,
        target: NodeId,
        now: Duration,
    ) -> Result<(), TreeError> {
        let Some(mut source) = self.tree.open(path)? else {
            self.supply_later(path);
            return Ok(());
        };
        let found = source.found().clone();
        if found.seen.stamp != known.seen.stamp {
            self.supply_later(path);
            return Ok(());
        }
        if self.supply_link(path, &known, target, now) {
            self.count_sent(target, 0);
            return Ok(());
        }
        let size = found.seen.stamp.size;
        if size > INLINE_BYTES as u64 {
            self.count_sent(target, size);
            self.supply_content(path, source, target, now);
            return Ok(());
        }
        let mut content = Vec::new();
        source.read(&mut content, INLINE_BYTES)?;
        let announced = found.known_with(Digest::of(&content));
        if !announced.same_as(&known) || !source.is_unchanged()? {
            self.supply_later(path);
            return Ok(());
        }
        let operation = operation(path, &found, known, Some(&content), false);
        self.send(Some(target), operation, now);
        self.count_sent(target, size);
        self.supply_names(path, &known, target, now);
        Ok(())
    }

    /// Changed since it was announced: the change goes first. It may turn out to be none.
    pub(super) fn supply_later(&mut self, path: &EntryPath) {
        self.need_later(path, Need::Whole);
    }

    fn need_later(&mut self, path: &EntryPath, need: Need) {
        self.look_again(path.clone());
        self.need(path, need);
    }

    /// A comparison under way finds out once more what its target lacks of `path`.
    pub(super) fn need(&mut self, path: &EntryPath, need: Need) {
        let known = self.index.get(path).copied();
        let priority = self.priority(path);
        if let Some(session) = self.active.as_mut().and_then(|active| active.session.as_mut()) {
            session.need(priority, path, need, known.as_ref());
        }
    }

    fn look_again(&mut self, path: EntryPath) {
        if let Some(active) = &mut self.active {
            active.queue.push_front(vec![path]);
        }
    }

    fn count_sent(&mut self, target: NodeId, bytes: u64) {
        if let Some(peer) = self.peers.get_mut(target) {
            peer.sent.0 += 1;
            peer.sent.1 += bytes;
        }
    }
}
