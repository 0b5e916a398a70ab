//! Clients that wait until this bridge is in the group.

use std::time::{Duration, Instant};

use bmc_bridge_control::Reply;

use super::Daemon;
use crate::control_server::ClientId;

/// Those who wait.
#[derive(Debug, Default)]
pub(super) struct Joining(Vec<Waiter>);

#[derive(Debug)]
struct Waiter {
    client: ClientId,
    patience: Duration,
    /// `None`: it waits for ever.
    until: Option<Instant>,
}

impl Joining {
    /// When [`Daemon::answer_joining`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.iter().filter_map(|waiter| waiter.until).min()
    }
}

impl Daemon {
    /// Notes that a client wants to be told.
    pub(super) fn wait_joined(&mut self, client: ClientId, patience: Duration) {
        // Whoever has hung up is not kept for as long as it wanted to wait.
        self.joining
            .0
            .retain(|waiter| self.server.has_client(waiter.client));
        self.joining.0.push(Waiter {
            client,
            patience,
            until: Instant::now().checked_add(patience),
        });
    }

    /// Tells those who wait, once it is so or they have waited too long.
    pub(super) fn answer_joining(&mut self) {
        if self.joining.0.is_empty() {
            return;
        }
        let joined = self.link.node_id().is_some_and(|me| self.members.contains(&me));
        let now = Instant::now();
        let due = |waiter: &Waiter| joined || waiter.until.is_some_and(|until| until <= now);
        let (answered, waiting) = self.joining.0.drain(..).partition(due);
        self.joining.0 = waiting;
        for Waiter { client, patience, .. } in answered {
            let reply = if joined {
                Reply::Done
            } else {
                self.not_joined(patience)
            };
            self.server.reply(client, &reply);
        }
    }

    fn not_joined(&self, patience: Duration) -> Reply {
        let why = self
            .link
            .failure()
            .map_or("Corosync has not told who is in it".to_owned(), |(error, _)| {
                error.to_string()
            });
        let (group, patience_ms) = (self.link.group(), patience.as_millis());
        Reply::Error {
            message: format!("wait to join the group {group}: not in it after {patience_ms} ms: {why}"),
        }
    }
}
