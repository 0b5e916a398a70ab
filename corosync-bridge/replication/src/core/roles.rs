//! Membership, epochs, and who is the Active.

use std::time::Duration;

use super::active::Active;
use super::queue::Queue;
use super::requests::{Refusal, Request};
use super::{Core, Notice, RoleCause, Topic};
use crate::state::StateStore;
use crate::tree::Tree;
use crate::undurable::Undurable;
use crate::wire::{Hello, Message};
use crate::{NodeId, Position, Role, Sync};

/// How long a restarted Active waits for a member that does not introduce itself. Members answer a join
/// within one round of messages; one that does not is hung, and Pacemaker deals with it.
const RESUME_WAIT: Duration = Duration::from_secs(2);

/// An epoch that this node has asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proposal {
    /// Whether the message is on its way.
    sent: bool,
    cause: RoleCause,
}

/// A restarted Active on its way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resume {
    /// There is nothing to resume.
    No,
    /// As soon as it is in the group.
    Wanted,
    /// In the group, waiting for the members' epochs until then, and for quorum.
    Waiting(Duration),
}

impl Resume {
    pub(super) fn deadline(self) -> Option<Duration> {
        match self {
            Self::Waiting(until) => Some(until),
            Self::No | Self::Wanted => None,
        }
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    pub(super) fn membership(&mut self, me: NodeId, members: &[NodeId], now: Duration) {
        self.me = Some(me);
        let rejoined = !std::mem::replace(&mut self.joined, true);
        let (grown, left) = self.peers.update(me, members);
        self.announce |= grown || rejoined;
        for node in left {
            self.problems.clear(&Topic::Peer(node));
            self.problems.clear(&Topic::Refused(node));
            self.forget_offers(node);
            if self.source == Some(node) {
                self.lose_source();
            }
            if let Some(active) = &mut self.active {
                active.session.take_if(|session| session.target == node);
            }
        }
        if let Some(active) = &mut self.active {
            active.forget_acknowledged(self.peers.acknowledged_by_all());
        }
        self.review_claim();
        self.review_claims_of_members();
        self.problems.clear_takes();
        if self.resume == Resume::Wanted {
            self.resume = Resume::Waiting(now + RESUME_WAIT);
        }
        self.try_resume(now);
    }

    pub(super) fn disconnected(&mut self) {
        self.joined = false;
        self.outbox.clear();
        self.proposal = None;
        if self.active.is_none() {
            self.lose_source();
        }
        if let Some(active) = &mut self.active {
            active.abandon_sending();
        }
        if self.role == Role::Active && self.active.is_none() {
            // Whatever it had asked for is lost; it asks again when it is back.
            self.resume = Resume::Wanted;
        }
        self.intake.clear();
        self.peers.clear();
        self.requests.settle(|request| match request {
            Request::Promote | Request::Flush | Request::FullSync => Some(Err(Refusal::NotJoined(request))),
            // A demotion goes on alone: nobody is left to flush to. Nor to take a switch over.
            Request::Demote | Request::Pause | Request::Resume | Request::Disable | Request::Enable => None,
        });
    }

    pub(super) fn quorum(&mut self, quorate: bool, now: Duration) {
        self.quorate = quorate;
        self.try_resume(now);
    }

    /// When a restarted Active goes on without those who have not introduced themselves.
    pub(super) fn resume_deadline(&self) -> Option<Duration> {
        self.resume.deadline().filter(|_| self.quorate)
    }

    pub(super) fn tick(&mut self, now: Duration) {
        self.drop_stalled(now);
        for (_, peer) in self.peers.iter_mut() {
            peer.note_due(now);
        }
        if let Some(active) = &mut self.active {
            active.retry_due(now);
        }
        self.retry_switch(now);
        self.keep_schedule(now);
        self.offers.retry_due(now);
        self.try_resume(now);
    }

    /// Asks the group for the next epoch.
    pub(super) fn propose(&mut self) {
        let cause = if self.role == Role::Active {
            RoleCause::Resumed
        } else {
            RoleCause::Requested
        };
        self.propose_for(cause);
    }

    fn propose_for(&mut self, cause: RoleCause) {
        if self.proposal.is_some() {
            return;
        }
        self.proposal = Some(Proposal { sent: false, cause });
    }

    /// The message by which this node asks for the next epoch, once.
    pub(super) fn promote_message(&mut self) -> Option<Message<'static>> {
        let proposal = self.proposal.as_mut().filter(|proposal| !proposal.sent)?;
        proposal.sent = true;
        // Every epoch that a member has told of was adopted when it was told.
        Some(Message::Promote {
            epoch: self.state.epoch + 1,
        })
    }

    /// A restarted Active opens the next epoch once it knows that nobody opened one meanwhile. Without quorum it never knows:
    /// the others may have gone on without this node, and whatever it takes for settings would be lost when they meet.
    fn try_resume(&mut self, now: Duration) {
        let Resume::Waiting(until) = self.resume else {
            return;
        };
        if self.me != Some(self.state.owner) {
            // It was deposed before it ended, and had no time to say so.
            let (epoch, owner) = (self.state.epoch, self.state.owner);
            self.deposed(epoch, owner);
        } else if self.quorate && (self.peers.all_introduced() || until <= now) {
            self.resume = Resume::No;
            self.propose_for(RoleCause::Resumed);
        }
    }

    pub(super) fn promote_delivered(&mut self, from: NodeId, epoch: u64) {
        let mine = Some(from) == self.me;
        let cause = if mine {
            self.proposal
                .take()
                .map_or(RoleCause::Resumed, |proposal| proposal.cause)
        } else {
            RoleCause::Resumed
        };
        if epoch <= self.state.epoch {
            if mine {
                self.outrun();
            }
            return;
        }
        if !mine {
            self.adopt(epoch, from, Some(from));
        } else if cause == RoleCause::Requested && !self.requests.wants_promotion() {
            // Who asked has given up and was told so: the epoch stays without an Active.
            self.adopt(epoch, from, None);
        } else {
            self.open(epoch, cause);
        }
    }

    /// This node's epoch was agreed.
    fn open(&mut self, epoch: u64, cause: RoleCause) {
        let Some(me) = self.me else { return };
        self.stop_following();
        self.applied.release();
        self.close_offers();
        self.intake.clear();
        self.state.epoch = epoch;
        self.state.owner = me;
        let position = std::mem::replace(&mut self.state.position, Position { epoch, sequence: 0 });
        if let Err(error) = self.store.save(&self.state) {
            // The members have adopted the epoch, and nobody is its Active: safe, and Pacemaker tries again.
            self.state.position = position;
            self.become_passive(RoleCause::Requested);
            self.promotion_failed(error);
            return;
        }
        if self.role == Role::Passive {
            self.switches.end_pause();
        }
        self.take_role(Role::Active);
        self.sync = Sync::Source;
        self.source = Some(me);
        self.resume = Resume::No;
        self.announce = true;
        self.problems.clear(&Topic::State);
        self.owe_no_switch();
        self.problems.clear(&Topic::Copy);
        self.problems.clear_active();
        self.problems.clear_refused();
        self.outbox.clear();
        for (_, peer) in self.peers.iter_mut() {
            peer.compare_again();
            peer.has_offered = false;
        }
        self.record_agreed();
        let waiting = match self.active.take() {
            Some(active) => active.into_changes(),
            None => Queue::new(self.essential.priorities().clone()),
        };
        self.schedule.end();
        self.active = Some(Active::new(self.full_scan(crate::scan::Mode::Learn), waiting));
        self.notices.push(Notice::RoleChanged {
            role: Role::Active,
            epoch,
            cause,
        });
        self.requests
            .settle(|request| (request == Request::Promote).then_some(Ok(())));
        self.restart_barriers();
    }

    /// Another member's promotion was delivered first.
    fn outrun(&mut self) {
        let (by, epoch) = (self.state.owner, self.state.epoch);
        self.requests
            .settle(|request| (request == Request::Promote).then_some(Err(Refusal::Outrun { by, epoch })));
        if self.role == Role::Active && self.active.is_none() {
            self.deposed(epoch, by);
        }
    }

    /// A newer epoch is open. `source` is its Active, where that is known.
    fn adopt(&mut self, epoch: u64, owner: NodeId, source: Option<NodeId>) {
        self.lose_source();
        self.problems.clear_refused();
        self.state.epoch = epoch;
        self.state.owner = owner;
        if let Err(error) = self.store.save(&self.state) {
            self.problem(Topic::State, error.to_string());
        }
        if self.role == Role::Active {
            self.deposed(epoch, owner);
        }
        // What was in sync with an older Active may differ from this one.
        self.sync = Sync::NoSource;
        self.miss_essential();
        self.find_source(source);
        self.announce = true;
    }

    fn deposed(&mut self, epoch: u64, owner: NodeId) {
        self.requests.settle(|request| match request {
            Request::Promote | Request::Demote => None,
            _ => Some(Err(Refusal::Deposed { request, epoch })),
        });
        self.become_passive(RoleCause::Deposed { epoch, owner });
        self.proposal
            .take_if(|proposal| !proposal.sent && proposal.cause == RoleCause::Resumed);
    }

    fn take_role(&mut self, role: Role) {
        self.role = role;
        self.tree.take_role(role);
    }

    /// Everything was flushed: this copy is what the group has.
    pub(super) fn demoted(&mut self) {
        self.become_passive(RoleCause::Requested);
        self.sync = Sync::InSync;
    }

    fn become_passive(&mut self, cause: RoleCause) {
        let was_active = self.role == Role::Active;
        // Of what cannot be read, what came and went in it is not known either.
        let is_durable =
            |active: &Active<_>| active.is_hardened(active.mark()) && active.unreadable().is_none();
        if !self.active.as_ref().is_none_or(is_durable) {
            self.index.undurable = Undurable::Everything;
        }
        self.record_agreed();
        self.save_agreed();
        self.intake.clear();
        self.close_offers();
        self.active = None;
        self.take_role(Role::Passive);
        self.sync = Sync::NoSource;
        self.miss_essential();
        self.source = None;
        self.resume = Resume::No;
        self.outbox.clear();
        self.schedule.end();
        self.switches.end_pause();
        self.announce = true;
        self.problems.clear_active();
        // Nothing that was asked of this Active may be answered by a later one.
        self.requests.settle(|request| match request {
            Request::Promote => None,
            Request::Demote => Some(Ok(())),
            _ => Some(Err(Refusal::NotActive(request))),
        });
        if was_active {
            self.notices.push(Notice::RoleChanged {
                role: Role::Passive,
                epoch: self.state.epoch,
                cause,
            });
        }
    }

    pub(super) fn hello_delivered(&mut self, from: NodeId, hello: Hello, now: Duration) {
        if Some(from) == self.me {
            return;
        }
        let Some(peer) = self.peers.get_mut(from) else {
            return;
        };
        peer.hello = Some(hello);
        let is_source = hello.role == Role::Active && hello.owner == from;
        if hello.epoch > self.state.epoch {
            self.adopt(hello.epoch, hello.owner, is_source.then_some(from));
        } else if hello.epoch == self.state.epoch && hello.owner != self.state.owner {
            self.epoch_has_two_owners(from, hello);
        } else if hello.epoch == self.state.epoch && is_source && self.source != Some(from) {
            self.find_source(Some(from));
        } else if self.source == Some(from) && !is_source {
            self.lose_source();
        }
        if self.source == Some(from) {
            self.take_over_switch(hello.switch, now);
        }
        self.try_resume(now);
    }

    /// Two partitions opened the same epoch. An Active ends that by opening another; of two, the lower node does,
    /// and so deposes the other.
    fn epoch_has_two_owners(&mut self, from: NodeId, hello: Hello) {
        let yields = hello.role == Role::Active && Some(from) < self.me;
        if self.active.is_none() {
            return;
        }
        if yields {
            self.deposed(hello.epoch, hello.owner);
        } else {
            self.propose_for(RoleCause::Resumed);
        }
    }

    fn find_source(&mut self, source: Option<NodeId>) {
        self.source = source;
        self.open_offers();
        if source.is_some() && self.sync == Sync::NoSource {
            self.sync = Sync::Syncing;
            self.announce = true;
        }
    }

    /// The Active is gone, or not the Active any more. What it sent is applied; a copy that was in sync stays so.
    fn lose_source(&mut self) {
        if self.active.is_some() {
            return;
        }
        self.stop_following();
        self.close_offers();
        self.source = None;
        self.announce |= self.switches.end_pause();
        self.owe_no_switch();
        if self.role == Role::Passive && self.sync != Sync::InSync && self.sync != Sync::NoSource {
            self.sync = Sync::NoSource;
            self.announce = true;
        }
    }
}
