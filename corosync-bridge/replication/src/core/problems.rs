//! What keeps settings from being replicated, for a person to read.

use std::collections::BTreeMap;

use super::Notice;
use crate::{EntryPath, NodeId, Problem};

/// Problems kept at once. More of them tell a person nothing more, and a peer must not fill memory with them.
const KEPT: usize = 32;

/// What a problem is about. A newer one about the same replaces the older; when all is well again, it goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    /// The state on disk.
    State,
    /// What the Active has said of the switch.
    Switch,
    /// What is kept of every entry for the next start.
    Digests,
    /// The own copy, as a Passive.
    Copy,
    /// The own disk, as the Active.
    Harden,
    /// An entry of the own copy, as the Active.
    Entry(EntryPath),
    /// The wall clock.
    Clock,
    /// Another member does not get on.
    Peer(NodeId),
    /// Another member sends what cannot be taken.
    Refused(NodeId),
    /// A change of this Passive cannot be offered.
    Offer(EntryPath),
    /// A change that a member offered cannot be taken.
    Take(NodeId),
    /// What was agreed cannot be kept.
    Agreed,
}

#[derive(Debug, Default)]
pub(super) struct Problems(BTreeMap<Topic, Problem>);

impl Problems {
    /// Keeps `message` and gives the notice of it.
    pub(super) fn record(&mut self, topic: Topic, message: String) -> Notice {
        if let Some(problem) = self.0.get_mut(&topic) {
            problem.message.clone_from(&message);
            problem.count += 1;
        } else if self.0.len() < KEPT {
            let problem = Problem {
                message: message.clone(),
                count: 1,
            };
            self.0.insert(topic, problem);
        }
        Notice::Problem(message)
    }

    pub(super) fn clear(&mut self, topic: &Topic) {
        self.0.remove(topic);
    }

    /// Forgets what was refused of others: it belonged to another epoch.
    pub(super) fn clear_refused(&mut self) {
        self.0.retain(|topic, _| !matches!(topic, Topic::Refused(_)));
    }

    /// Forgets what could not be taken: what is still in the way is told again when it is offered again.
    pub(super) fn clear_takes(&mut self) {
        self.0.retain(|topic, _| !matches!(topic, Topic::Take(_)));
    }

    /// Forgets what this node could not offer.
    pub(super) fn clear_offers(&mut self) {
        self.0.retain(|topic, _| !matches!(topic, Topic::Offer(_)));
    }

    /// Forgets what an Active had to say about its own copy.
    pub(super) fn clear_active(&mut self) {
        self.0.retain(|topic, _| {
            !matches!(
                topic,
                Topic::Harden | Topic::Entry(_) | Topic::Peer(_) | Topic::Take(_)
            )
        });
    }

    pub(super) fn list(&self) -> Vec<Problem> {
        self.0.values().cloned().collect()
    }
}
