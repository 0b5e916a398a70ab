//! Puts the answer to a status request together from what the parts of the bridge know.

use bmc_bridge_control::messages::VERSION;
use bmc_bridge_control::{Connection, Member, Problem, Status};
use bmc_replication::{MemberReport, Report};

use crate::link::Link;
use crate::narrate::Names;
use crate::notifier::Notifier;
use crate::watcher::Watcher;

/// How things stand, for the control socket.
pub(crate) fn status(report: Report, link: &Link, watcher: &Watcher, notifier: &Notifier) -> Status {
    let node_id = report.node.map(|node| node.0);
    let members = members(&report, link);
    let mut problems = report.problems;
    problems.extend(link_problem(link));
    problems.extend(watcher.problem().map(|message| Problem {
        message: message.to_owned(),
        count: 1,
    }));
    problems.extend(notifier.problems());
    Status {
        version: VERSION,
        node_id: node_id.unwrap_or(0),
        name: node_id.map(|id| link.name_of(id)).unwrap_or_default(),
        connection: if report.joined {
            Connection::Joined
        } else {
            Connection::Disconnected
        },
        quorate: link.is_quorate(),
        role: report.role,
        position: report.position,
        sync: report.sync,
        essential: report.essential,
        switch: report.switch,
        members,
        entries: report.entries,
        transfer: report.transfer,
        problems,
        conflicts: report.conflicts,
    }
}

fn link_problem(link: &Link) -> Option<Problem> {
    let (error, tries) = link.failure()?;
    Some(Problem {
        message: format!("join the group {}: {error}", link.group()),
        count: *tries,
    })
}

/// The other members, for the control socket.
pub(crate) fn members(report: &Report, names: &impl Names) -> Vec<Member> {
    report
        .members
        .iter()
        .map(|report| member(report, names))
        .collect()
}

fn member(report: &MemberReport, names: &impl Names) -> Member {
    Member {
        node_id: report.node.0,
        name: names.name_of(report.node.0),
        role: report.role,
        position: report.position,
        sync: report.sync,
        essential: report.essential,
        acknowledged: report.acknowledged,
        lag_ms: report
            .lag
            .map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
    }
}
