//! What keeps settings from being replicated, for a person to read.

use std::collections::BTreeMap;

use super::Notice;
use crate::wire::Operation;
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
    /// What a member offered cannot be taken: of which path, where it is one.
    Take(NodeId, Option<EntryPath>),
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
        self.0.retain(|topic, _| !matches!(topic, Topic::Take(..)));
    }

    /// Forgets what could not be taken of `node`.
    pub(super) fn clear_takes_of(&mut self, node: NodeId) {
        self.0
            .retain(|topic, _| !matches!(topic, Topic::Take(of, _) if *of == node));
    }

    /// Forgets what could not be taken where `operation` is told of something else by now: who offered it keeps it aside, or offers it
    /// again.
    pub(super) fn clear_takes_about(&mut self, operation: &Operation<'_>) {
        let is_about = |path: &EntryPath| {
            let is_at_or_beneath = |top: &EntryPath| path == top || path.is_beneath(top);
            match operation {
                Operation::Remove { path: top } => is_at_or_beneath(top),
                Operation::Rename { from, to } => is_at_or_beneath(from) || is_at_or_beneath(to),
                Operation::HardLink { path: name, .. } => path == name,
                operation => operation.path() == Some(path),
            }
        };
        self.0
            .retain(|topic, _| !matches!(topic, Topic::Take(_, Some(path)) if is_about(path)));
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
                Topic::Harden | Topic::Entry(_) | Topic::Peer(_) | Topic::Take(..)
            )
        });
    }

    pub(super) fn list(&self) -> Vec<Problem> {
        self.0.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &str) -> EntryPath {
        EntryPath::new(path.as_bytes()).unwrap()
    }

    #[test]
    fn what_could_not_be_taken_is_forgotten_once_something_else_is_told_of_there() {
        let mut problems = Problems::default();
        for (node, at) in [(2, "/b/d/x"), (3, "/b/d"), (3, "/c")] {
            let topic = Topic::Take(NodeId(node), Some(path(at)));
            problems.record(topic, format!("take {at}"));
        }

        problems.clear_takes_about(&Operation::Remove { path: path("/b/d") });
        let left: Vec<_> = problems
            .list()
            .into_iter()
            .map(|problem| problem.message)
            .collect();
        assert_eq!(left, ["take /c"]);

        let operation = Operation::Rename {
            from: path("/e"),
            to: path("/c"),
        };
        problems.clear_takes_about(&operation);
        assert!(problems.list().is_empty());
    }

    #[test]
    fn what_is_told_of_a_directory_says_nothing_of_what_is_in_it() {
        let mut problems = Problems::default();
        problems.record(Topic::Take(NodeId(2), Some(path("/b/d"))), "take /b/d".to_owned());

        let operation = Operation::HardLink {
            path: path("/b"),
            to: path("/f"),
            content: crate::digest::Digest::NONE,
        };
        problems.clear_takes_about(&operation);
        assert_eq!(problems.list().len(), 1);
    }
}
