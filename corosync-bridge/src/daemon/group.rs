//! Between the core and Corosync: membership and messages in, messages out.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::{Duration, Instant};

use bmc_replication::{Event, NodeId};

use super::Daemon;
use crate::{log, narrate};
use bmc_corosync::{CallError, CpgEvent, Reason, SendOutcome};

/// Events taken from the group before anything else gets a turn. More makes a client wait longer while a
/// sibling sends much; fewer make fewer files share the cost of becoming durable.
const EVENTS_PER_TURN: usize = 256;

/// Pause before a message that Corosync had no room for is offered again. Corosync does not tell when it has
/// room; it comes with the next rotations of the token, and one takes about this long.
const SEND_RETRY: Duration = Duration::from_millis(2);

impl Daemon {
    /// Joins the group when a try is due.
    pub(super) fn join(&mut self) {
        if let Err(error) = self.link.try_join(Instant::now()) {
            log::warning(format_args!(
                "join the group {}: {error}; trying again until it works",
                self.link.group()
            ));
        }
    }

    /// Takes what happened in the group. `closed`: Corosync has closed the connection.
    pub(super) fn receive_from_group(&mut self, closed: bool) {
        for turn in 0..EVENTS_PER_TURN {
            match self.link.next_event() {
                Ok(Some(CpgEvent::Message { from, bytes })) => self.tell(&Event::Delivered {
                    from: NodeId(from),
                    bytes: &bytes,
                }),
                Ok(Some(CpgEvent::Membership { members, left })) => self.membership(&members, &left),
                Ok(None) if closed && turn == 0 => return self.disconnected(&"it closed the connection"),
                Ok(None) => return,
                Err(error) => return self.disconnected(&error),
            }
        }
    }

    /// Takes what happened to the quorum.
    pub(super) fn receive_quorum(&mut self) {
        let had_quorum = self.link.is_quorate();
        if let Err(error) = self.link.update_quorum() {
            return self.disconnected(&error);
        }
        let has_quorum = self.link.is_quorate();
        if has_quorum != had_quorum {
            narrate::quorum(has_quorum);
            self.tell(&Event::Quorum(has_quorum));
        }
    }

    /// Sends what the core has, as long as there is room.
    pub(super) fn send(&mut self) {
        while let Some(message) = self.next_message() {
            match self.link.send(&message) {
                Ok(SendOutcome::Taken) => {}
                Ok(SendOutcome::NoRoom) => {
                    self.unsent = Some((message, Instant::now() + SEND_RETRY));
                    return;
                }
                Err(error) => return self.disconnected(&error),
            }
        }
    }

    fn next_message(&mut self) -> Option<Vec<u8>> {
        match self.unsent.take() {
            Some((message, retry_at)) if retry_at <= Instant::now() => Some(message),
            Some(early) => {
                self.unsent = Some(early);
                None
            }
            None if self.link.has_room() && !self.core.gathers(self.core_now()) => self.core.next_message(),
            None => None,
        }
    }

    fn disconnected(&mut self, cause: &dyn Display) {
        narrate::disconnected(cause);
        self.link.lose(Instant::now());
        self.unsent = None;
        self.members.clear();
        self.tell(&Event::Disconnected);
    }

    fn membership(&mut self, members: &[u32], left: &[(u32, Reason)]) {
        let Some(me) = self.link.node_id() else { return };
        let members: BTreeSet<u32> = members.iter().copied().collect();
        if let Err(error) = self.link.learn_names(&members) {
            log_names(&error);
        }
        // A bridge that was restarted may be gone and back in one message: another process on the same node.
        let restarted: BTreeSet<u32> = left
            .iter()
            .map(|(node, _)| *node)
            .filter(|node| *node != me && members.contains(node))
            .collect();
        if !restarted.is_empty() {
            self.change_members(me, &members - &restarted, left);
        }
        self.change_members(me, members, left);
    }

    fn change_members(&mut self, me: u32, members: BTreeSet<u32>, left: &[(u32, Reason)]) {
        if !members.contains(&me) {
            return;
        }
        if !self.members.contains(&me) {
            narrate::joined(self.link.group(), me, &self.link);
        }
        for node in self.members.difference(&members) {
            let reason = left.iter().find(|(who, _)| who == node);
            narrate::sibling_left(
                *node,
                reason.map_or(Reason::Other, |(_, reason)| *reason),
                &self.link,
            );
        }
        for node in members.difference(&self.members).filter(|node| **node != me) {
            narrate::sibling_joined(*node, &self.link);
        }
        let ids: Vec<NodeId> = members.iter().copied().map(NodeId).collect();
        self.members = members;
        self.tell(&Event::Quorum(self.link.is_quorate()));
        self.tell(&Event::Membership {
            me: NodeId(me),
            members: &ids,
        });
    }
}

fn log_names(error: &CallError) {
    log::warning(format_args!(
        "read the names of the nodes: {error}; showing their ids"
    ));
}
