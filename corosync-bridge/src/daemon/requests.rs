//! Between the core and the control socket: requests in, answers out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bmc_bridge_control::{Command, Progress, Reply, Request};
use bmc_replication::{Event, Request as CoreRequest};

use super::Daemon;
use crate::control_server::ClientId;
use crate::narrate::CopyBefore;
use crate::status;

/// Pause between two words on how far a request is: for a person they flow, and a client that follows a long
/// synchronisation costs nothing.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Requests that the core has not answered yet, by the id under which it knows them.
#[derive(Debug, Default)]
pub(super) struct Requests {
    next_id: u64,
    waiting: BTreeMap<u64, Waiting>,
    /// What this node had when it was asked to be promoted last.
    copy_before: Option<CopyBefore>,
}

/// A request that the core has not answered yet.
#[derive(Debug)]
struct Waiting {
    client: ClientId,
    request: CoreRequest,
    /// When its client is to be told how far it is, where it wants to be.
    progress_at: Option<Instant>,
}

impl Requests {
    fn add(&mut self, waiting: Waiting) -> u64 {
        self.next_id += 1;
        self.waiting.insert(self.next_id, waiting);
        self.next_id
    }

    /// When [`Daemon::tell_progress`] is due.
    pub(super) fn progress_due(&self) -> Option<Instant> {
        self.waiting
            .values()
            .filter_map(|waiting| waiting.progress_at)
            .min()
    }

    /// What this node had when it was asked to be promoted last.
    pub(super) fn copy_before(&self) -> Option<&CopyBefore> {
        self.copy_before.as_ref()
    }

    /// Whether a promotion is under way.
    pub(super) fn is_promoting(&self) -> bool {
        self.waiting
            .values()
            .any(|waiting| waiting.request == CoreRequest::Promote)
    }
}

impl Daemon {
    /// Takes requests from clients.
    pub(super) fn take_requests(&mut self) {
        self.server.close_idle(Instant::now());
        while let Some((client, request)) = self.server.next_request() {
            match request.command {
                Command::Status => self.reply_status(client),
                Command::WaitJoined => self.wait_joined(client, Duration::from_millis(request.deadline_ms)),
                Command::Promote => self.ask_core(client, CoreRequest::Promote, &request),
                Command::Demote => self.ask_core(client, CoreRequest::Demote, &request),
                Command::Flush => self.ask_core(client, CoreRequest::Flush, &request),
                Command::FullSync => self.ask_core(client, CoreRequest::FullSync, &request),
                Command::Pause => self.ask_core(client, CoreRequest::Pause, &request),
                Command::Resume => self.ask_core(client, CoreRequest::Resume, &request),
                Command::Disable => self.ask_core(client, CoreRequest::Disable, &request),
                Command::Enable => self.ask_core(client, CoreRequest::Enable, &request),
            }
        }
    }

    /// Gives clients the core's answers.
    pub(super) fn answer_requests(&mut self) {
        for answer in self.core.take_answers() {
            let Some(waiting) = self.requests.waiting.remove(&answer.id) else {
                continue;
            };
            let reply = match answer.outcome {
                Ok(()) => Reply::Done,
                Err(refusal) => Reply::Error {
                    message: refusal.to_string(),
                },
            };
            if waiting.progress_at.is_some() && reply == Reply::Done {
                let progress = Reply::Progress(self.progress());
                self.server.tell(waiting.client, &progress);
            }
            self.server.reply(waiting.client, &reply);
        }
    }

    /// Tells those who want to know how far their requests are.
    pub(super) fn tell_progress(&mut self) {
        let now = Instant::now();
        if self.requests.progress_due().is_none_or(|due| now < due) {
            return;
        }
        let progress = Reply::Progress(self.progress());
        for waiting in self.requests.waiting.values_mut() {
            if waiting.progress_at.is_some_and(|at| at <= now) {
                waiting.progress_at = Some(now + PROGRESS_INTERVAL);
                // Who reads slowly is told the next time.
                if self.server.is_listening(waiting.client) {
                    self.server.tell(waiting.client, &progress);
                }
            }
        }
    }

    fn progress(&self) -> Progress {
        let report = self.core.report(self.core_now());
        Progress {
            transfer: report.transfer.unwrap_or_default(),
            members: status::members(&report, &self.link),
        }
    }

    fn ask_core(&mut self, client: ClientId, core_request: CoreRequest, request: &Request) {
        let now = Instant::now();
        if core_request == CoreRequest::Promote {
            // The core scans once it is the Active; what changes after that scan has to be seen.
            self.watcher.start(&self.watched.by_active, now);
            let report = self.core.report(self.core_now());
            self.requests.copy_before = Some(CopyBefore {
                sync: report.sync,
                position: report.position,
            });
        }
        // A flush covers what changed before it, so the core has to hear of that first.
        let hints = self.watcher.take_all(now);
        self.tell_hints(&hints);
        let follows = request.progress && matches!(core_request, CoreRequest::Flush | CoreRequest::FullSync);
        let id = self.requests.add(Waiting {
            client,
            request: core_request,
            progress_at: follows.then_some(now),
        });
        let deadline = self.core_now() + Duration::from_millis(request.deadline_ms);
        self.tell(&Event::Request {
            id,
            request: core_request,
            deadline: Some(deadline),
        });
    }

    fn reply_status(&mut self, client: ClientId) {
        let report = self.core.report(self.core_now());
        let status = status::status(report, &self.link, &self.watcher, &self.notifier);
        self.server.reply(client, &Reply::Status(Box::new(status)));
    }
}
