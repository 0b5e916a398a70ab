//! The Active takes the changes that Passives offer.
//!
//! It is the only one who settles: what a change was made from is compared with what is on this disk at that moment. Where
//! both are the same the change is written here, durably, and announced in its place of the stream like any other;
//! where they are not, the version here stays, and the Passive keeps its own aside when that arrives. A verdict is
//! sent before the change is announced, so that the Passive knows its own change when it comes back.
//!
//! Offers of one member are taken one after the other, those of several side by side.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::active::Place;
use super::arriving::Arriving;
use super::content::Signing;
use super::offers::OFFERED;
use super::twins::Twins;
use super::{Core, Step, Topic};
use crate::agreed::Version;
use crate::entry::{Body, Kind, Known, Seen};
use crate::scan::{self, Findings, Mode, Scan};
use crate::state::StateStore;
use crate::tree::{Complete, Inspection, Stage, Tree, TreeError};
use crate::wire::{Message, OfferStage, Operation, Verdict};
use crate::{Direction, EntryPath, NodeId};

/// Offers that have lost and are remembered of one member, at most: as many as it makes at a time, some times over.
const OFFERS_LOST: usize = 1024;

/// Why an offered change was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum TakeError {
    #[error("it is not what was offered")]
    Other,
    #[error("it did not arrive whole")]
    Content,
    #[error("{0}")]
    Tree(#[from] TreeError),
}

/// What the members offer.
#[derive(Debug)]
pub(super) struct Intake<T: Tree> {
    pub(super) members: BTreeMap<NodeId, Member<T>>,
    /// Whose offer was looked at last: the next one has its turn.
    last: Option<NodeId>,
    /// In turns: changes of this node without end must not keep the members waiting.
    pub(super) is_next: bool,
}

/// What one member offers.
#[derive(Debug)]
pub(super) struct Member<T: Tree> {
    queue: VecDeque<Item<T::Source>>,
    /// The first one was asked for.
    awaited: bool,
    /// Where what the first one holds is here already.
    twin: Option<EntryPath>,
    /// Where what it offers may be here already; as long as it offers something.
    pub(super) twins: Option<Twins>,
    /// What the version here of the first one is made of, and then what is copied from.
    pub(super) signing: Option<Signing<T::Source>>,
    pub(super) incoming: Option<Arriving<T::Stage, T::Source>>,
    /// Where it has something.
    claimed: BTreeSet<EntryPath>,
    /// Offers of it that have lost.
    lost: BTreeSet<u64>,
    /// Of which path an offer could not be taken, where that is still a problem.
    not_taken: Option<EntryPath>,
}

#[derive(Debug)]
enum Item<F> {
    Offer(Offer),
    /// All were offered. `Some`: what was claimed is all that is to be; what is here is found out by the scan.
    Done(Option<Scan<F>>),
}

#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) id: u64,
    pub(super) path: EntryPath,
    base: Option<Version>,
    now: Option<Version>,
    /// What is here was looked at.
    examined: bool,
}

impl<T: Tree> Default for Intake<T> {
    fn default() -> Self {
        Self {
            members: BTreeMap::new(),
            last: None,
            is_next: false,
        }
    }
}

impl<T: Tree> Default for Member<T> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            awaited: false,
            twin: None,
            twins: None,
            signing: None,
            incoming: None,
            claimed: BTreeSet::new(),
            lost: BTreeSet::new(),
            not_taken: None,
        }
    }
}

impl<T: Tree> Member<T> {
    fn drop_offers_of(&mut self, path: &EntryPath) {
        let is_of = |item: &Item<T::Source>| matches!(item, Item::Offer(offer) if offer.path == *path);
        if self.queue.front().is_some_and(is_of) {
            self.ask_no_more();
        }
        self.queue.retain(|item| !is_of(item));
        self.tidy();
    }

    fn disclaim_first(&mut self) {
        if let Some(Item::Offer(offer)) = self.queue.front() {
            self.claimed.remove(&offer.path);
        }
    }

    fn pop(&mut self) {
        self.queue.pop_front();
        self.ask_no_more();
        self.tidy();
    }

    fn tidy(&mut self) {
        self.twins.take_if(|_| self.queue.is_empty());
    }

    fn ask_no_more(&mut self) {
        self.awaited = false;
        self.twin = None;
        self.signing = None;
    }

    /// The offer that was asked for.
    pub(super) fn awaited(&self) -> Option<&Offer> {
        match self.queue.front() {
            Some(Item::Offer(offer)) if self.awaited => Some(offer),
            _ => None,
        }
    }

    /// The same, if it is this one.
    pub(super) fn awaited_offer(&self, id: u64) -> Option<&Offer> {
        self.awaited().filter(|offer| offer.id == id)
    }

    /// Whether there is something to do before the member says more.
    fn has_work(&self) -> bool {
        match self.awaited {
            true => {
                self.signing.as_ref().is_some_and(Signing::has_work)
                    || self.incoming.as_ref().is_some_and(Arriving::has_work)
            }
            false => !self.queue.is_empty(),
        }
    }
}

impl<T: Tree> Intake<T> {
    pub(super) fn clear(&mut self) {
        self.members.clear();
    }

    /// Keeps the turns: a step is about to be taken.
    pub(super) fn took(&mut self, step: Step) {
        match step {
            Step::Change => self.is_next = true,
            Step::Take(node) => {
                self.is_next = false;
                self.last = Some(node);
            }
            _ => {}
        }
    }

    /// Whose offer can be looked at, or gone on with. In turns: what one has to be copied keeps no other waiting.
    pub(super) fn next(&self) -> Option<NodeId> {
        let with_work = self.members.iter().filter(|(_, member)| member.has_work());
        in_turn(self.last, with_work.map(|(&node, _)| node))
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    pub(super) fn offer_delivered(
        &mut self,
        from: NodeId,
        id: u64,
        path: EntryPath,
        base: Option<Version>,
        now: Option<Version>,
        at: Duration,
    ) {
        if self.active.is_none() {
            return;
        }
        let takes =
            self.coverage.covers(&path) && self.coverage.rule(&path).direction != Direction::ActiveToPassive;
        let is_claimant = self.is_claimant(from);
        let is_claimed = self.is_the_passives(&path);
        let is_arriving = |member: &Member<T>| {
            member
                .incoming
                .as_ref()
                .is_some_and(|incoming| incoming.is_of(&path))
        };
        if self.intake.members.get(&from).is_some_and(is_arriving) {
            self.drop_incoming(from);
        }
        let member = self.intake.members.entry(from).or_default();
        member.drop_offers_of(&path);
        if !takes || member.queue.len() > OFFERED {
            self.verdict(from, id, Verdict::Refused);
            let message = format!("refuse {path} of {from}: it is not configured to be taken from a Passive");
            return self.problem(Topic::Refused(from), message);
        }
        match now {
            // Withdrawn: something else may be there.
            Some(_) if base == now => false,
            Some(_) if is_claimant && is_claimed => member.claimed.insert(path.clone()),
            _ => member.claimed.remove(&path),
        };
        if base == now {
            self.verdict(from, id, Verdict::Taken);
            self.problems.clear(&Topic::Take(from));
            return self.tell_directories_again(&path, at);
        }
        member.queue.push_back(Item::Offer(Offer {
            id,
            path,
            base,
            now,
            examined: false,
        }));
    }

    pub(super) fn offering_delivered(&mut self, from: NodeId, stage: OfferStage) {
        if self.active.is_none() {
            return;
        }
        if stage == OfferStage::Begun {
            return self.forget_offers(from);
        }
        let claims = stage == OfferStage::Claimed;
        let roots = self.offered_roots.iter().filter(|_| claims);
        let roots: Vec<EntryPath> = roots.filter(|root| self.is_the_passives(root)).cloned().collect();
        let scan = (!roots.is_empty()).then(|| Scan::new(Mode::Learn, roots));
        let member = self.intake.members.entry(from).or_default();
        member.queue.retain(|item| matches!(item, Item::Offer(_)));
        member.queue.push_back(Item::Done(scan));
    }

    pub(super) fn take_step(&mut self, node: NodeId, now: Duration) {
        let Some(member) = self.intake.members.get_mut(&node) else {
            return;
        };
        if member.awaited {
            return self.arriving_step(node, now);
        }
        match member.queue.front_mut() {
            None => {}
            Some(Item::Offer(offer)) if !offer.examined => {
                offer.examined = true;
                let path = offer.path.clone();
                self.examine_offered(&path, now);
            }
            Some(Item::Offer(offer)) => {
                let offer = offer.clone();
                self.judge(node, &offer, now);
            }
            Some(Item::Done(scan)) => {
                let scan = scan.take();
                self.finish_offers(node, scan);
            }
        }
    }

    /// Announces what was changed here before the offer came.
    fn examine_offered(&mut self, path: &EntryPath, now: Duration) {
        if self.is_two_way(path) {
            return self.examine_or_retry(path.clone(), Place::Queue, now);
        }
        if let Err(error) = scan::look(path, &mut self.tree, &mut self.index) {
            self.cannot_read(vec![error], now);
        }
    }

    fn judge(&mut self, node: NodeId, offer: &Offer, now: Duration) {
        let path = &offer.path;
        if self
            .active
            .as_ref()
            .is_some_and(|active| active.is_unreadable(path))
        {
            return self.settle_offer(node, offer.id, Verdict::Later);
        }
        match self.is_as_known(path) {
            Ok(true) => {}
            // A large change of this node's own is on its way first.
            Ok(false) | Err(_) => return self.settle_offer(node, offer.id, Verdict::Later),
        }
        match self.takes_untold_along(offer) {
            Ok(false) => {}
            // The same of one in the directory that is to go.
            Ok(true) | Err(_) => return self.settle_offer(node, offer.id, Verdict::Later),
        }
        let here = self.index.get(path).map(Version::from);
        let only_theirs = self.is_the_passives(path);
        if only_theirs && !self.is_claimant(node) {
            return self.settle_offer(node, offer.id, Verdict::Later);
        }
        if here == offer.now {
            self.note_agreed(path, here);
            return self.settle_offer(node, offer.id, Verdict::Taken);
        }
        if !self.may_take(offer) {
            self.settle_offer(node, offer.id, Verdict::Lost);
            self.compare_who_lost_again(node, offer.id);
            self.tell_directory_again(path, now);
            return self.tell_of_no_directory(path, now);
        }
        match offer.now {
            None => {
                let operation = Operation::Remove { path: path.clone() };
                self.take(node, offer.id, operation, now);
            }
            Some(wanted) => {
                let same_file = wanted.kind == Kind::File
                    && here.is_some_and(|here| (here.kind, here.content) == (wanted.kind, wanted.content));
                let twin = Some(wanted).filter(|_| !same_file);
                let twin = twin.and_then(|wanted| self.twin_of(node, wanted));
                let asked = if same_file || twin.is_some() {
                    Verdict::WantsAttributes
                } else if wanted.kind == Kind::File && self.is_base(path) {
                    Verdict::WantsChanges
                } else {
                    Verdict::WantsContent { offset: 0 }
                };
                self.verdict(node, offer.id, asked);
                if let Some(member) = self.intake.members.get_mut(&node) {
                    member.awaited = true;
                    member.twin = twin;
                }
            }
        }
    }

    /// Whether `path` is on disk what the index says. On the Active a change since then has to be announced first.
    pub(super) fn is_as_known(&mut self, path: &EntryPath) -> Result<bool, TreeError> {
        let known = self.index.get(path).copied();
        let found = self.tree.inspect(path, known.as_ref().map(|known| &known.seen))?;
        Ok(match (known, found) {
            (Some(_), Inspection::Unchanged) | (None, Inspection::Absent) => true,
            (Some(known), Inspection::Present(found)) => known.is_but_for_names(&found),
            _ => false,
        })
    }

    /// Whether the directory that is to go has something in it of which nobody was told yet.
    fn takes_untold_along(&mut self, offer: &Offer) -> Result<bool, TreeError> {
        let path = &offer.path;
        let is_directory = |kind: Option<Kind>| kind == Some(Kind::Directory);
        let goes = is_directory(self.index.get(path).map(|known| known.kind))
            && !is_directory(offer.now.map(|now| now.kind));
        if !goes || self.is_the_passives(path) {
            return Ok(false);
        }
        let names = self.tree.list(path)?;
        let mut children = names.iter().filter_map(|name| path.join(name).ok());
        Ok(children.any(|child| self.coverage.covers(&child) && self.index.get(&child).is_none()))
    }

    fn examine_again(&mut self, node: NodeId) {
        self.drop_incoming(node);
        let member = self.intake.members.entry(node).or_default();
        member.ask_no_more();
        if let Some(Item::Offer(offer)) = member.queue.front_mut() {
            offer.examined = false;
        }
    }

    /// Of several Passives only the one with the lowest node id is the source of what only a Passive changes.
    fn is_claimant(&self, node: NodeId) -> bool {
        self.peers.iter().all(|(other, _)| node <= other)
    }

    fn may_take(&self, offer: &Offer) -> bool {
        let here = self.index.get(&offer.path).map(Version::from);
        self.is_the_passives(&offer.path) || (here == offer.base && self.has_place_for(offer))
    }

    /// Attributes belong to the content that is here.
    fn fits(&self, operation: &Operation<'_>) -> bool {
        match operation {
            Operation::Attributes { path, content, .. } => {
                let known = self.index.get(path);
                known.is_some_and(|known| (known.kind, known.content) == (Kind::File, *content))
            }
            _ => true,
        }
    }

    /// Nothing is put into a directory that was removed here, and none in which something is left is removed.
    fn has_place_for(&self, offer: &Offer) -> bool {
        let parent = offer.path.parent().filter(|parent| self.coverage.covers(parent));
        let has_parent = parent.is_none_or(|parent| {
            self.index
                .get(&parent)
                .is_some_and(|known| known.kind == Kind::Directory)
        });
        match offer.now {
            Some(now) if now.kind == Kind::Directory => has_parent,
            Some(_) => has_parent && self.index.children(&offer.path).next().is_none(),
            None => self.index.children(&offer.path).next().is_none(),
        }
    }

    pub(super) fn verdict(&mut self, target: NodeId, offer: u64, verdict: Verdict) {
        let message = Message::Verdict {
            epoch: self.state.epoch,
            target,
            offer,
            verdict,
        };
        self.outbox.push(message.encode());
    }

    pub(super) fn settle_offer(&mut self, node: NodeId, offer: u64, verdict: Verdict) {
        self.verdict(node, offer, verdict);
        self.drop_incoming(node);
        if verdict != Verdict::Later {
            // What still cannot be taken is told again when it is offered again.
            self.problems.clear(&Topic::Take(node));
        }
        if let Some(member) = self.intake.members.get_mut(&node) {
            if verdict == Verdict::Later {
                // It is claimed when it is offered again, if it is still there then.
                member.disclaim_first();
            }
            member.pop();
        }
    }

    /// What a member claimed counts as long as no Passive with a lower node id is there. When it counts again it claims
    /// everything anew.
    pub(super) fn review_claims_of_members(&mut self) {
        let others: BTreeSet<NodeId> = self
            .intake
            .members
            .keys()
            .copied()
            .filter(|&node| !self.is_claimant(node))
            .collect();
        for (_, member) in self
            .intake
            .members
            .iter_mut()
            .filter(|(node, _)| others.contains(node))
        {
            member.claimed.clear();
        }
    }

    /// Who has lost waits for what this node has. Where it offers the same again and has been told everything, that does not come: both
    /// had the same before the change, and never told each other of it. A comparison tells it.
    fn compare_who_lost_again(&mut self, node: NodeId, offer: u64) {
        let (Some(member), Some(active)) = (self.intake.members.get_mut(&node), &self.active) else {
            return;
        };
        let has_lost_before = !member.lost.insert(offer);
        while member.lost.len() > OFFERS_LOST {
            member.lost.pop_first();
        }
        let peer = self.peers.get_mut(node);
        if let Some(peer) = peer.filter(|peer| has_lost_before && peer.has(active.sequence)) {
            member.lost.clear();
            peer.compare_again();
        }
    }

    /// The Passive may have removed a directory that stays: it needs its attributes again. Another one that is there by now is told of
    /// in its turn: the one announced may have been moved, and would take these along.
    fn tell_directory_again(&mut self, path: &EntryPath, now: Duration) {
        let is_directory = |known: &&Known| known.kind == Kind::Directory;
        let Some(known) = self.index.get(path).filter(is_directory).copied() else {
            return;
        };
        if let Ok(Inspection::Present(found)) = self.tree.inspect(path, None) {
            let path = path.clone();
            if found.seen.stamp.is_same_inode(&known.seen.stamp) {
                let attributes = found.attributes;
                self.send(None, Operation::Directory { path, attributes }, now);
            } else if let Some(active) = &mut self.active {
                active.queue.push_path(path);
            }
        }
    }

    /// The Passive has put something into a directory that is the Active's, and not here: the Active has nothing to announce
    /// of what it offers, and the Passive would offer it for ever.
    fn tell_of_no_directory(&mut self, path: &EntryPath, now: Duration) {
        let is_ours = |above: &EntryPath| {
            self.coverage.covers(above) && self.coverage.rule(above).direction == Direction::ActiveToPassive
        };
        let above = std::iter::successors(path.parent(), EntryPath::parent).filter(is_ours);
        let missing = above.filter(|above| !self.index.holds(above)).last();
        if let Some(path) = missing {
            self.send(None, Operation::Remove { path }, now);
        }
    }

    /// The Passive asks for a directory that it has to have as it is here: it was removed there and stays, or is the one that
    /// `path` is in and the Active's alone.
    fn tell_directories_again(&mut self, path: &EntryPath, now: Duration) {
        let is_ours = |above: &EntryPath| {
            self.coverage.covers(above) && self.coverage.rule(above).direction == Direction::ActiveToPassive
        };
        let above = path.parent().filter(is_ours);
        let itself = Some(path.clone()).filter(|path| self.is_two_way(path));
        for path in above.into_iter().chain(itself) {
            self.tell_directory_again(&path, now);
        }
    }

    /// What it has offered counts no more.
    pub(super) fn forget_offers(&mut self, node: NodeId) {
        self.drop_incoming(node);
        self.intake.members.remove(&node);
    }

    /// What was on its way here disturbed the directory that it was to come to.
    pub(super) fn drop_incoming(&mut self, node: NodeId) {
        let member = self.intake.members.get_mut(&node);
        let incoming = member.and_then(|member| {
            member.signing = None;
            member.incoming.take()
        });
        if let Some(incoming) = incoming {
            let path = incoming.into_path();
            self.tree.release();
            self.owe_look_at_names(&path);
        }
    }

    /// Whether what is to come to `path` has a directory here. A program may have removed it, which is told of first.
    pub(super) fn has_directory_for(&mut self, path: &EntryPath) -> Result<bool, TreeError> {
        let above = path.parent().filter(|above| self.coverage.covers(above));
        Ok(
            match above.map(|above| self.tree.inspect(&above, None)).transpose()? {
                None => true,
                Some(Inspection::Present(found)) => found.body == Body::Directory,
                Some(Inspection::Absent | Inspection::Unchanged) => false,
            },
        )
    }

    pub(super) fn contribution_delivered(
        &mut self,
        from: NodeId,
        id: u64,
        operation: Operation<'_>,
        now: Duration,
    ) {
        if let Operation::HardLink { path, to, content } = operation {
            return self.link_taken(from, &path, &to, content, now);
        }
        let awaited = self
            .intake
            .members
            .get(&from)
            .and_then(|member| member.awaited_offer(id));
        let Some(offer) = awaited.cloned() else { return };
        if self.is_put_together_first(from, &operation) {
            return;
        }
        let kind = |version: Option<Version>| version.map(|version| version.kind);
        if operation.path() != Some(&offer.path) || kind(operation.version()) != kind(offer.now) {
            return self.cannot_take(from, id, &TakeError::Other);
        }
        let member = self.intake.members.get_mut(&from);
        if let Some(twin) = member.and_then(|member| member.twin.take()) {
            return self.copy_twin(from, &offer, &twin, &operation);
        }
        match self.has_directory_for(&offer.path) {
            Ok(true) => {}
            Ok(false) => return self.settle_offer(from, id, Verdict::Later),
            Err(error) => return self.cannot_take(from, id, &error.into()),
        }
        match self.is_as_known(&offer.path) {
            // What is here may have changed while the contribution was on its way.
            Ok(as_known) if !as_known || !self.may_take(&offer) || !self.fits(&operation) => {
                self.examine_again(from);
            }
            Ok(_) => self.take(from, id, operation, now),
            Err(error) => self.cannot_take(from, id, &error.into()),
        }
    }

    /// Writes an offered change here, and announces it.
    fn take(&mut self, from: NodeId, id: u64, operation: Operation<'_>, now: Duration) {
        let Some(path) = operation.path().cloned() else {
            return;
        };
        let incoming = self
            .intake
            .members
            .get(&from)
            .and_then(|member| member.incoming.as_ref());
        let is_made_here = incoming.is_some_and(Arriving::is_made_here);
        let written = self.write_offered(from, &operation);
        if written.is_ok() {
            // Durable already.
            match operation {
                Operation::Remove { .. } => self.note_gone_or_come(&path),
                _ => self.note_applied(&path),
            }
            self.applied.release();
        }
        match written {
            Ok(Some(known)) => {
                // Its attributes show under names that are replicated otherwise, too.
                self.leave_names(&path, &known);
                self.look_at_other_names(&path, &known);
                let twins = self.intake.members.values_mut();
                twins
                    .filter_map(|member| member.twins.as_mut())
                    .for_each(|twins| twins.note(&path, &known));
                self.index.insert(path.clone(), known);
            }
            Ok(None) => self.index.remove(&path),
            Err(TakeError::Content) if is_made_here => return self.ask_for_whole(from, id, &path),
            Err(error) => {
                // Some of it may be there: then it is a change like any other.
                if let Some(active) = &mut self.active {
                    active.queue.push_path(path);
                }
                return self.cannot_take(from, id, &error);
            }
        }
        self.settle_offer(from, id, Verdict::Taken);
        if self.is_two_way(&path) {
            self.announce_taken(from, operation, now);
        }
    }

    /// What is there afterwards; it is durable.
    fn write_offered(&mut self, from: NodeId, operation: &Operation<'_>) -> Result<Option<Known>, TakeError> {
        let written = self.write(from, operation)?;
        self.tree.sync()?;
        Ok(written.zip(operation.version()).map(|(seen, version)| Known {
            kind: version.kind,
            content: version.content,
            attributes: version.attributes,
            linked: self.stays_linked(operation),
            seen,
        }))
    }

    /// Attributes are set on a file with all its names; everything else is something new.
    fn stays_linked(&self, operation: &Operation<'_>) -> bool {
        match operation {
            Operation::Attributes { path, .. } => self.index.get(path).is_some_and(|known| known.linked),
            _ => false,
        }
    }

    fn write(&mut self, from: NodeId, operation: &Operation<'_>) -> Result<Option<Seen>, TakeError> {
        match operation {
            Operation::Put {
                path,
                attributes,
                content,
            } => {
                let mut stage = self.tree.stage(path)?;
                stage.write(content)?;
                self.place_offered(Complete {
                    stage,
                    path: path.clone(),
                    attributes: attributes.clone(),
                })
            }
            Operation::PutTransferred {
                path,
                attributes,
                size,
                digest,
                ..
            } => {
                let member = self.intake.members.get_mut(&from);
                let incoming = member.and_then(|member| member.incoming.take());
                let stage = match incoming {
                    Some(incoming) => incoming.complete(*size, *digest)?,
                    None => None,
                };
                self.place_offered(Complete {
                    stage: stage.ok_or(TakeError::Content)?,
                    path: path.clone(),
                    attributes: attributes.clone(),
                })
            }
            Operation::Directory { path, attributes } => {
                Ok(Some(self.tree.make_directory(path, attributes)?))
            }
            Operation::Link {
                path,
                attributes,
                target,
            } => Ok(Some(self.tree.make_link(path, target, attributes)?)),
            Operation::Attributes { path, attributes, .. } => {
                let names = self.names_known(path);
                Ok(Some(self.tree.set_attributes(path, attributes, &names)?))
            }
            Operation::Remove { path } => {
                self.tree.remove(path)?;
                Ok(None)
            }
            Operation::HardLink { .. }
            | Operation::Rename { .. }
            | Operation::InSync { .. }
            | Operation::EssentialInSync { .. } => Err(TakeError::Other),
        }
    }

    fn place_offered(&mut self, complete: Complete<T::Stage>) -> Result<Option<Seen>, TakeError> {
        match self.tree.place(vec![complete]).pop() {
            Some(outcome) => Ok(Some(outcome?)),
            None => Err(TakeError::Content),
        }
    }

    /// The one who made the change has the content: where nobody else follows, its digest is enough.
    fn announce_taken(&mut self, from: NodeId, operation: Operation<'_>, now: Duration) {
        let others_follow = self
            .peers
            .iter()
            .any(|(node, peer)| node != from && peer.follows());
        match operation {
            Operation::PutTransferred { path, .. } if others_follow => {
                // Announced, content and all, as if it had been changed here.
                if let Some(known) = self.index.get(&path).copied() {
                    self.index.insert(path.clone(), known.untold());
                }
                if let Some(active) = &mut self.active {
                    active.queue.push_front(vec![path]);
                }
            }
            Operation::PutTransferred {
                path,
                attributes,
                digest: content,
                ..
            } => {
                let operation = Operation::Attributes {
                    path,
                    attributes,
                    content,
                };
                self.send(None, operation, now);
            }
            operation => self.send(None, operation, now),
        }
    }

    pub(super) fn cannot_take(&mut self, from: NodeId, id: u64, error: &TakeError) {
        let awaited = self
            .intake
            .members
            .get(&from)
            .and_then(|member| match member.queue.front() {
                Some(Item::Offer(offer)) => Some(offer.path.clone()),
                _ => None,
            });
        // Another Passive's counts by now: this one's is not offered again, and no later try would clear the problem.
        let counts = |path: &EntryPath| !self.is_the_passives(path) || self.is_claimant(from);
        if awaited.as_ref().is_none_or(counts) {
            let path = awaited.as_ref().map(ToString::to_string).unwrap_or_default();
            self.problem(Topic::Take(from), format!("take {path} from {from}: {error}"));
            if let Some(member) = self.intake.members.get_mut(&from) {
                member.not_taken = awaited;
            }
        }
        self.settle_offer(from, id, Verdict::Later);
    }

    /// What could not be taken is no problem any more where `change` is told of instead: who offered it keeps it aside, or offers it again.
    pub(super) fn forget_not_taken(&mut self, change: &Operation<'_>) {
        for (node, member) in &mut self.intake.members {
            if member.not_taken.take_if(|path| change.replaces(path)).is_some() {
                self.problems.clear(&Topic::Take(*node));
            }
        }
    }

    /// All that a member had to offer is here: it can be compared. Of what only it changes, the rest goes.
    fn finish_offers(&mut self, node: NodeId, scan: Option<Scan<T::Source>>) {
        if let Some(mut scan) = scan {
            let mut findings = Findings::default();
            let complete = scan.step(&mut self.tree, &mut self.index, &*self.coverage, &mut findings);
            let member = self.intake.members.entry(node).or_default();
            if !complete {
                member.queue.pop_front();
                return member.queue.push_front(Item::Done(Some(scan)));
            }
            let claimed = std::mem::take(&mut member.claimed);
            if self.is_claimant(node) {
                self.remove_unclaimed(node, &claimed);
            }
        }
        if let Some(member) = self.intake.members.get_mut(&node) {
            member.pop();
        }
        if let Some(peer) = self.peers.get_mut(node) {
            peer.has_offered = true;
        }
    }

    fn remove_unclaimed(&mut self, node: NodeId, claimed: &BTreeSet<EntryPath>) {
        let here = self.index.after(None).map(|(path, _)| path);
        let extra: Vec<EntryPath> = here
            .filter(|path| self.is_the_passives(path))
            .filter(|path| !claimed.contains(path))
            .cloned()
            .collect();
        for path in extra.into_iter().rev() {
            let removed = self.tree.remove(&path).and_then(|()| self.tree.sync());
            match removed {
                Ok(()) => {
                    self.note_applied(&path);
                    self.applied.release();
                    self.index.remove(&path);
                }
                Err(error) => {
                    let message = format!("take what {node} has: {error}");
                    self.problem(Topic::Take(node), message);
                    if let Some(member) = self.intake.members.get_mut(&node) {
                        member.not_taken = None;
                    }
                }
            }
        }
    }
}

/// Which of `nodes`, which ascend, comes behind the one that came last.
fn in_turn(last: Option<NodeId>, mut nodes: impl Iterator<Item = NodeId>) -> Option<NodeId> {
    let is_behind = |node: &NodeId| Some(*node) > last;
    let first = nodes.next()?;
    if is_behind(&first) {
        return Some(first);
    }
    nodes.find(is_behind).or(Some(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_their_turns() {
        let next = |last: Option<u32>, nodes: &[u32]| {
            in_turn(last.map(NodeId), nodes.iter().copied().map(NodeId)).map(|node| node.0)
        };
        assert_eq!(next(None, &[]), None);
        assert_eq!(next(None, &[2, 3]), Some(2));
        assert_eq!(next(Some(2), &[2, 3]), Some(3));
        assert_eq!(next(Some(3), &[2, 3]), Some(2));
        assert_eq!(next(Some(2), &[2]), Some(2));
        assert_eq!(next(Some(1), &[2, 3]), Some(2));
    }
}
