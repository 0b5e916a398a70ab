//! Between the core and the control socket: requests in, answers out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bmc_bridge_control::{Command, Reply, Request};
use bmc_replication::{Event, Request as CoreRequest};

use super::Daemon;
use crate::control_server::ClientId;
use crate::narrate::CopyBefore;
use crate::status;

/// Requests that the core has not answered yet, by the id under which it knows them.
#[derive(Debug, Default)]
pub(super) struct Requests {
    next_id: u64,
    waiting: BTreeMap<u64, (ClientId, CoreRequest)>,
    /// What this node had when it was asked to be promoted last.
    copy_before: Option<CopyBefore>,
}

impl Requests {
    fn add(&mut self, client: ClientId, request: CoreRequest) -> u64 {
        self.next_id += 1;
        self.waiting.insert(self.next_id, (client, request));
        self.next_id
    }

    /// What this node had when it was asked to be promoted last.
    pub(super) fn copy_before(&self) -> Option<&CopyBefore> {
        self.copy_before.as_ref()
    }

    /// Whether a promotion is under way.
    pub(super) fn is_promoting(&self) -> bool {
        self.waiting
            .values()
            .any(|(_, request)| *request == CoreRequest::Promote)
    }
}

impl Daemon {
    /// Takes requests from clients.
    pub(super) fn take_requests(&mut self) {
        self.server.close_idle(Instant::now());
        while let Some((client, request)) = self.server.next_request() {
            match core_request(request.command) {
                Some(core_request) => self.ask_core(client, core_request, &request),
                None => self.reply_status(client),
            }
        }
    }

    /// Gives clients the core's answers.
    pub(super) fn answer_requests(&mut self) {
        for answer in self.core.take_answers() {
            if let Some((client, _)) = self.requests.waiting.remove(&answer.id) {
                let reply = match answer.outcome {
                    Ok(()) => Reply::Done,
                    Err(refusal) => Reply::Error {
                        message: refusal.to_string(),
                    },
                };
                self.server.reply(client, &reply);
            }
        }
    }

    fn ask_core(&mut self, client: ClientId, core_request: CoreRequest, request: &Request) {
        let now = Instant::now();
        if core_request == CoreRequest::Promote {
            // The core scans once it is the Active; what changes after that scan has to be seen.
            self.watcher.start(now);
            let report = self.core.report(self.core_now());
            self.requests.copy_before = Some(CopyBefore {
                sync: report.sync,
                position: report.position,
            });
        }
        // A flush covers what changed before it, so the core has to hear of that first.
        let hints = self.watcher.take_all(now);
        self.tell_hints(&hints);
        let id = self.requests.add(client, core_request);
        let deadline = self.core_now() + Duration::from_millis(request.deadline_ms);
        self.tell(&Event::Request {
            id,
            request: core_request,
            deadline: Some(deadline),
        });
    }

    fn reply_status(&mut self, client: ClientId) {
        let report = self.core.report(self.core_now());
        let status = status::status(report, &self.link, &self.watcher);
        self.server.reply(client, &Reply::Status(Box::new(status)));
    }
}

/// What the core is asked for; a status needs no asking.
fn core_request(command: Command) -> Option<CoreRequest> {
    match command {
        Command::Status => None,
        Command::Promote => Some(CoreRequest::Promote),
        Command::Demote => Some(CoreRequest::Demote),
        Command::Flush => Some(CoreRequest::Flush),
        Command::FullSync => Some(CoreRequest::FullSync),
    }
}
