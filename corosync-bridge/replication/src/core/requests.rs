//! What is asked of a core, and when it is answered.

use std::time::Duration;

use super::active::{Active, Mark};
use super::queue::Barrier;
use super::schedule::Occasion;
use super::{Core, Topic};
use crate::state::{StateError, StateStore};
use crate::tree::Tree;
use crate::{NodeId, Switch};

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Become the Active in a new epoch. Done once the epoch is agreed and on disk.
    Promote,
    /// Flush, then become Passive.
    Demote,
    /// Done once every change made before is durable here and on each member.
    Flush,
    /// Look at everything again and compare with every member. Done once all is durable on each.
    FullSync,
    /// Send nothing more until resumed, until this bridge restarts or until the role moves. In force at once; done once
    /// every member has taken it over.
    Pause,
    /// End a pause, and send what changed meanwhile. Done once every member has taken it over.
    Resume,
    /// Send nothing more until enabled, across restarts and role changes. In force at once; done once every member has
    /// it on disk.
    Disable,
    /// End that, and send what changed meanwhile. Done once every member has it on disk.
    Enable,
}

impl Request {
    /// Done once everything told before it has been looked at and sent.
    fn needs_barrier(self) -> bool {
        matches!(self, Self::Demote | Self::Flush | Self::FullSync)
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Promote => "promote",
            Self::Demote => "demote",
            Self::Flush => "flush",
            Self::FullSync => "full sync",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Disable => "disable",
            Self::Enable => "enable",
        })
    }
}

/// Why a request was not carried out. Nothing is half-done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No group, no agreement.
    #[error("{0}: this bridge is not in the group")]
    NotJoined(Request),
    /// Only the Active's settings can be flushed or compared, and only on the Active is replication switched.
    #[error("{0}: this node is not the Active")]
    NotActive(Request),
    /// Two were promoted at once, and this one lost.
    #[error("promote: {by} opened epoch {epoch} first")]
    Outrun {
        /// Who won.
        by: NodeId,
        /// The epoch.
        epoch: u64,
    },
    /// Changes do not travel.
    #[error("{request}: replication is {switch}")]
    SwitchedOff {
        /// What was asked.
        request: Request,
        /// Why not.
        switch: Switch,
    },
    /// It could not be kept on disk.
    #[error("{request}: {source}")]
    State {
        /// What was asked.
        request: Request,
        /// Why not.
        source: StateError,
    },
    /// Another member opened a newer epoch before the request was done.
    #[error("{request}: deposed by epoch {epoch}")]
    Deposed {
        /// What was asked.
        request: Request,
        /// The newer epoch.
        epoch: u64,
    },
    /// A member cannot apply something. It is tried again by itself.
    #[error("{request}: not on {node}: {reason}")]
    Lacking {
        /// What was asked.
        request: Request,
        /// Which member.
        node: NodeId,
        /// What was attempted there on what, and why it failed.
        reason: String,
    },
    /// The deadline has come.
    #[error("{request}: gave up waiting for {awaited}")]
    Deadline {
        /// What was asked.
        request: Request,
        /// What did not come.
        awaited: String,
    },
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    /// The request's id.
    pub id: u64,
    /// Done, or why not.
    pub outcome: Result<(), Refusal>,
}

/// A request that is not answered yet.
#[derive(Debug, Clone, Copy)]
struct Pending {
    id: u64,
    request: Request,
    deadline: Option<Duration>,
    /// Up to where changes belong to it, once everything told before it has been looked at.
    mark: Option<Mark>,
}

#[derive(Debug, Default)]
pub(super) struct Requests {
    pending: Vec<Pending>,
    answers: Vec<Answer>,
}

impl Requests {
    pub(super) fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.pending.iter().filter_map(|pending| pending.deadline).min()
    }

    pub(super) fn wants_promotion(&self) -> bool {
        self.pending
            .iter()
            .any(|pending| pending.request == Request::Promote)
    }

    pub(super) fn wants_demotion(&self) -> bool {
        self.pending
            .iter()
            .any(|pending| pending.request == Request::Demote)
    }

    pub(super) fn barrier_reached(&mut self, id: u64, mark: Mark) {
        for pending in self.pending.iter_mut().filter(|pending| pending.id == id) {
            pending.mark = Some(mark);
        }
    }

    /// Ids of the requests that need a barrier, in the order in which they were asked; marks that they had belonged
    /// to another epoch.
    pub(super) fn restart_barriers(&mut self) -> Vec<u64> {
        let waiting = self
            .pending
            .iter_mut()
            .filter(|pending| pending.request.needs_barrier());
        waiting
            .map(|pending| {
                pending.mark = None;
                pending.id
            })
            .collect()
    }

    /// Answers every pending request of which `outcome` has an answer.
    pub(super) fn settle(&mut self, mut outcome: impl FnMut(Request) -> Option<Result<(), Refusal>>) {
        let answers = &mut self.answers;
        self.pending.retain(|pending| match outcome(pending.request) {
            Some(outcome) => {
                answers.push(Answer {
                    id: pending.id,
                    outcome,
                });
                false
            }
            None => true,
        });
    }

    /// Whether some request waits until what it is about is durable.
    pub(super) fn has_mark(&self) -> bool {
        self.pending.iter().any(|pending| pending.mark.is_some())
    }

    fn answer(&mut self, id: u64, outcome: Result<(), Refusal>) {
        self.pending.retain(|pending| pending.id != id);
        self.answers.push(Answer { id, outcome });
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    pub(super) fn request(&mut self, id: u64, request: Request, deadline: Option<Duration>) {
        let refusal = match (request, self.role) {
            (Request::Promote, crate::Role::Active) if self.active.is_some() => Some(Ok(())),
            (Request::Promote, _) if !self.joined => Some(Err(Refusal::NotJoined(request))),
            (Request::Demote, crate::Role::Passive) if self.proposal.is_none() => Some(Ok(())),
            (Request::Promote | Request::Demote, _) => None,
            (_, crate::Role::Passive) => Some(Err(Refusal::NotActive(request))),
            (Request::Flush | Request::FullSync, _) if !self.joined => Some(Err(Refusal::NotJoined(request))),
            (Request::Flush | Request::FullSync, _) => self.refused_by_switch(request).map(Err),
            (Request::Pause | Request::Resume | Request::Disable | Request::Enable, _) => {
                self.throw_switch(request).err().map(Err)
            }
        };
        if let Some(outcome) = refusal {
            return self.requests.answer(id, outcome);
        }
        if request == Request::Demote && self.active.is_none() && !self.joined {
            // A restarted Active that never came back into the group has sent nothing that could be flushed.
            self.demoted();
            return self.requests.answer(id, Ok(()));
        }
        self.requests.pending.push(Pending {
            id,
            request,
            deadline,
            mark: None,
        });
        if request == Request::Promote {
            self.propose();
        } else if self.active.is_some() && request.needs_barrier() {
            match request {
                Request::FullSync => self.compare_everyone_again(),
                Request::Demote => {
                    self.catch_up();
                    self.look_for(Occasion::Join);
                }
                _ => self.look_for(Occasion::Flush),
            }
            self.await_barrier(id);
        }
    }

    fn await_barrier(&mut self, id: u64) {
        if let Some(active) = &mut self.active {
            active.queue.push_barrier(Barrier::new(id));
        }
    }

    /// Answers what can be answered by now, and what has waited too long.
    pub(super) fn answer_requests(&mut self, now: Duration) {
        for pending in self.requests.pending.clone() {
            if self.is_done(&pending) {
                self.requests.answer(pending.id, Ok(()));
                if pending.request == Request::Demote {
                    // What was asked after it is refused with it.
                    return self.demoted();
                }
            } else if let Some(refusal) = self.refused_by_member(&pending) {
                self.requests.answer(pending.id, Err(refusal));
            } else if pending.deadline.is_some_and(|deadline| deadline <= now) {
                let awaited = self.awaited(&pending);
                self.requests.answer(
                    pending.id,
                    Err(Refusal::Deadline {
                        request: pending.request,
                        awaited,
                    }),
                );
            }
        }
    }

    /// Once everything is sent there is no point in waiting for who cannot apply it. A demotion waits all the same:
    /// it is tried again meanwhile.
    fn refused_by_member(&self, pending: &Pending) -> Option<Refusal> {
        pending.mark?;
        let request = pending.request;
        let (node, reason) = self
            .peers
            .lacking()
            .filter(|_| matches!(request, Request::Flush | Request::FullSync))?;
        Some(Refusal::Lacking {
            request,
            node,
            reason: reason.to_owned(),
        })
    }

    fn is_done(&self, pending: &Pending) -> bool {
        match pending.request {
            Request::Promote => false,
            Request::Demote | Request::Flush | Request::FullSync => {
                pending.mark.is_some_and(|mark| self.missing(mark).is_none())
            }
            Request::Pause | Request::Resume | Request::Disable | Request::Enable => {
                self.without_switch().is_none()
            }
        }
    }

    /// Whether a flush waits for no more than what `active` has sent, and its disk is not as far.
    pub(super) fn awaits_disk(&self, active: &Active<T::Source>) -> bool {
        let mut flushes = self
            .requests
            .pending
            .iter()
            .filter(|pending| pending.request == Request::Flush);
        flushes.any(|flush| flush.mark.is_some_and(|mark| !active.is_hardened(mark)))
    }

    /// What keeps everything up to `mark` from being durable everywhere.
    fn missing(&self, mark: Mark) -> Option<String> {
        let Some(active) = &self.active else {
            return Some("the epoch to be opened".into());
        };
        if !active.is_hardened(mark) {
            return Some("the own disk".into());
        }
        self.peers
            .iter()
            .find(|(_, peer)| !peer.has(mark.sequence))
            .map(|(node, peer)| match &peer.lacking {
                Some(lacking) => format!("{node}: {}", lacking.reason),
                None => format!("the acknowledgement of {node}"),
            })
    }

    fn awaited(&self, pending: &Pending) -> String {
        match pending.mark {
            _ if pending.request == Request::Promote => "the epoch to be agreed".into(),
            _ if !pending.request.needs_barrier() => self
                .without_switch()
                .map(|node| format!("{node} to take it over"))
                .unwrap_or_default(),
            None => self
                .active
                .as_ref()
                .and_then(|active| active.unreadable())
                .map_or("changes to be read".into(), |path| {
                    format!("{path} to be readable")
                }),
            Some(mark) => self.missing(mark).unwrap_or_default(),
        }
    }

    /// A restarted or reopened epoch has other sequences: what was asked before waits for new barriers.
    pub(super) fn restart_barriers(&mut self) {
        for id in self.requests.restart_barriers() {
            self.await_barrier(id);
        }
    }

    pub(super) fn promotion_failed(&mut self, error: StateError) {
        self.problem(Topic::State, error.to_string());
        let mut error = Some(error);
        self.requests.settle(|request| match request {
            Request::Promote => error.take().map(|source| Err(Refusal::State { request, source })),
            _ => None,
        });
    }
}
