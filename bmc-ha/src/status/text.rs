//! A report for people.

use std::fmt::Write;

use bmc_bridge_control::Sync;

use super::report::{BmcReport, BmcRole, BmcState, DeviceReport, Report};
use crate::cluster::configuration::Policy;
use crate::terminal::{Paint, Tone};

/// Writes a report: a headline, the BMCs side by side, what concerns the pair, and the problems.
pub(crate) fn render(report: &Report, paint: Paint) -> String {
    let mut lines = vec![headline(report, paint), String::new()];
    lines.extend(table(report, paint));
    lines.push(String::new());
    lines.extend(facts(report));
    if !report.failures.is_empty() {
        lines.push(String::new());
        lines.push(paint.paint(Tone::Strong, "Failed actions that Pacemaker remembers"));
        lines.extend(report.failures.iter().map(|failure| {
            let mut line = format!("  {} on {}: {}", failure.operation, failure.bmc, failure.result);
            if !failure.reason.is_empty() {
                let _ = write!(line, ": {}", failure.reason);
            }
            line
        }));
    }
    if !report.problems.is_empty() {
        lines.push(String::new());
        lines.push(paint.paint(Tone::Strong, "Problems"));
        let problems = report.problems.iter();
        lines.extend(problems.map(|problem| {
            let id = format!("{:?}", problem.id);
            format!("  {}: {}", paint.paint(Tone::Bad, id), problem.message)
        }));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn headline(report: &Report, paint: Paint) -> String {
    let standby = report
        .bmcs
        .iter()
        .find(|bmc| Some(&bmc.name) != report.active.as_ref() && bmc.can_be_active);
    match (&report.active, standby, report.healthy) {
        (Some(active), Some(passive), true) => paint.paint(
            Tone::Good,
            format!("{active} is Active; {} is ready to take over", passive.name),
        ),
        (Some(active), Some(passive), false) => paint.paint(
            Tone::Doubtful,
            format!(
                "{active} is Active; {} could take over; something is not as it should be",
                passive.name
            ),
        ),
        (Some(active), None, _) => paint.paint(
            Tone::Bad,
            format!("{active} is Active; no other BMC could take over"),
        ),
        (None, _, _) if !report.cluster.reachable => paint.paint(
            Tone::Bad,
            format!("Pacemaker does not answer on {}", report.local),
        ),
        (None, _, _) => paint.paint(Tone::Bad, "no BMC is Active"),
    }
}

fn table(report: &Report, paint: Paint) -> Vec<String> {
    let mut rows = vec![["BMC", "cluster", "role", "settings", "lag", "can be Active"].map(str::to_owned)];
    rows.extend(report.bmcs.iter().map(row));
    paint.table(rows)
}

fn row(bmc: &BmcReport) -> [String; 6] {
    let position = bmc
        .position
        .map(|position| format!(" at {}.{}", position.epoch, position.sequence));
    let settings = match bmc.sync {
        Some(sync) => format!("{}{}", sync_word(sync), position.unwrap_or_default()),
        None => "unknown".to_owned(),
    };
    let able = match (bmc.role, bmc.can_be_active, bmc.waits_for_request) {
        (BmcRole::Active, _, _) => "is".to_owned(),
        (_, true, false) => "yes".to_owned(),
        (_, true, true) => "when asked".to_owned(),
        (_, false, _) => {
            let ids = bmc.reasons.iter().map(|reason| format!("{:?}", reason.id));
            format!("no: {}", ids.collect::<Vec<_>>().join(", "))
        }
    };
    [
        bmc.name.clone(),
        state_word(bmc.state).to_owned(),
        role_word(bmc.role).to_owned(),
        settings,
        bmc.lag_ms.map_or("-".to_owned(), |lag| format!("{lag} ms")),
        able,
    ]
}

fn state_word(state: BmcState) -> &'static str {
    match state {
        BmcState::Online => "online",
        BmcState::Standby => "standby",
        BmcState::Maintenance => "maintenance",
        BmcState::Transient => "joining or leaving",
        BmcState::Unclean => "lost, to be reset",
        BmcState::Offline => "offline",
        BmcState::Unknown => "unknown",
    }
}

fn role_word(role: BmcRole) -> &'static str {
    match role {
        BmcRole::Active => "Active",
        BmcRole::Passive => "Passive",
        BmcRole::None => "-",
    }
}

/// What is said of a copy.
pub(crate) fn sync_word(sync: Sync) -> &'static str {
    match sync {
        Sync::Source => "source",
        Sync::InSync => "in sync",
        Sync::Syncing => "syncing",
        Sync::NoSource => "no source",
        Sync::Failed => "failed",
    }
}

fn facts(report: &Report) -> Vec<String> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push(format!("  {name:<10}{value}"));
    if let Some(active) = report
        .bmcs
        .iter()
        .find(|bmc| Some(&bmc.name) == report.active.as_ref())
    {
        fact("services", list(&active.services));
    }
    fact("mux", mux(report));
    fact("settings", settings(report));
    fact("fencing", fencing(report));
    fact("cluster", cluster(report));
    if let Some(policy) = report.policy {
        let meaning = match policy {
            Policy::Automatic => "automatic: a lost Active is taken over from",
            Policy::External => "external: a takeover waits until it is asked for",
        };
        fact("policy", meaning.to_owned());
    }
    facts
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

fn mux(report: &Report) -> String {
    let holder = report.mux.by_cluster.as_deref().unwrap_or("nobody");
    let here = match (report.mux.held_here, &report.mux.error) {
        (Some(true), _) => "held here".to_owned(),
        (Some(false), _) => "not held here".to_owned(),
        (None, Some(error)) => error.clone(),
        (None, None) => "unknown".to_owned(),
    };
    format!(
        "{holder} by the cluster's word; by the hardware of {}: {here}",
        report.local
    )
}

fn settings(report: &Report) -> String {
    let sync = &report.sync;
    if let Some(error) = &sync.error {
        return error.clone();
    }
    let entries = sync.entries.unwrap_or_default();
    let mut line = match sync.transfer {
        Some(transfer) => format!(
            "{entries} entries; {} entries and {} bytes on their way",
            transfer.entries_left, transfer.bytes_left
        ),
        None => format!("{entries} entries replicated"),
    };
    if let Some(kept) = sync.conflicts.filter(|kept| *kept > 0) {
        let _ = write!(
            line,
            "; {kept} versions that lost kept aside (bmc-ha sync conflicts list)"
        );
    }
    line
}

fn fencing(report: &Report) -> String {
    let fencing = &report.fencing;
    match fencing.enabled {
        Some(true) => {}
        Some(false) => return "off".to_owned(),
        None => return "unknown".to_owned(),
    }
    let device = |device: &DeviceReport| match (&device.running_on, device.failed) {
        (Some(node), false) => format!("{} on {node}", device.id),
        (_, true) => format!("{} failed", device.id),
        (None, false) => format!("{} stopped", device.id),
    };
    let devices: Vec<String> = fencing.devices.iter().map(device).collect();
    let mut line = list(&devices);
    if let Some(last) = &fencing.last {
        let when = last.completed.as_deref().unwrap_or("at an unknown time");
        let _ = write!(
            line,
            "; last: {} of {}, {}, {when}",
            last.action, last.target, last.status
        );
    }
    line
}

fn cluster(report: &Report) -> String {
    let cluster = &report.cluster;
    if let Some(error) = &cluster.error {
        return error.clone();
    }
    let quorum = if cluster.quorate { "quorum" } else { "no quorum" };
    let dc = cluster.dc.as_deref().unwrap_or("nobody");
    let controller = cluster.controller.as_deref().unwrap_or("unknown");
    format!("{quorum}; {dc} decides ({controller})")
}
