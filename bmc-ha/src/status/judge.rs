//! What was seen makes a report. No I/O here.

use bmc_bridge_control::{Status, Switch};

use super::candidate::{self, copy_of};
use super::fencing;
use super::observed::Observed;
use super::reason::{Reason, ReasonId};
use super::report::{
    BmcReport, BmcRole, BmcState, ClusterReport, FailureReport, FencingReport, MuxReport, Report, SyncReport,
    VERSION,
};
use crate::cluster::configuration::{Configuration, Policy, Primitive};
use crate::cluster::request::REQUEST_ATTRIBUTE;
use crate::cluster::view::{Node, Role, View};

/// Judges what was seen.
pub(crate) fn report(observed: &Observed) -> Report {
    let view = observed.view.as_ref().ok();
    let mux_id = mux_of(observed).map(|mux| mux.id.as_str());
    let promoted: Vec<&str> = match (view, mux_id) {
        (Some(view), Some(mux)) => view.promoted_on(mux).collect(),
        _ => Vec::new(),
    };
    let active = match promoted.as_slice() {
        [one] => Some((*one).to_owned()),
        _ => None,
    };
    let mut report = Report {
        version: VERSION,
        healthy: false,
        local: observed.local.clone(),
        policy: observed
            .configuration
            .as_ref()
            .map(|configuration| configuration.policy),
        cluster: cluster(observed),
        bmcs: bmcs(observed, &promoted),
        mux: MuxReport {
            by_cluster: active.clone(),
            held_here: observed.mux.as_ref().ok().copied(),
            error: observed.mux.as_ref().err().cloned(),
        },
        sync: sync(observed.bridge.as_ref()),
        fencing: match (view, &observed.configuration) {
            (Some(view), Some(configuration)) => fencing::report(view, configuration),
            _ => FencingReport {
                enabled: None,
                devices: Vec::new(),
                last: None,
                pending: Vec::new(),
            },
        },
        failures: view.map(failures).unwrap_or_default(),
        problems: Vec::new(),
        active,
    };
    report.problems = problems(observed, &report, &promoted);
    report.healthy = report.problems.is_empty();
    report
}

fn mux_of(observed: &Observed) -> Option<&Primitive> {
    observed.configuration.as_ref()?.mux.as_ref()
}

fn cluster(observed: &Observed) -> ClusterReport {
    let view = observed.view.as_ref();
    ClusterReport {
        reachable: view.is_ok(),
        error: view.err().cloned(),
        quorate: view.is_ok_and(|view| view.quorate),
        dc: view.ok().and_then(|view| view.dc.clone()),
        controller: observed.controller.clone(),
        maintenance: view.is_ok_and(|view| view.maintenance),
    }
}

fn sync(bridge: Result<&Status, &String>) -> SyncReport {
    let status = bridge.ok();
    SyncReport {
        reachable: status.is_some(),
        error: bridge.err().cloned(),
        entries: status.map(|status| status.entries),
        transfer: status.and_then(|status| status.transfer),
        conflicts: status.map(|status| status.conflicts),
        problems: status.map(|status| status.problems.clone()).unwrap_or_default(),
    }
}

fn failures(view: &View) -> Vec<FailureReport> {
    let failures = view.failures.iter();
    failures
        .map(|failure| FailureReport {
            operation: failure.operation.clone(),
            bmc: failure.node.clone(),
            result: failure.result.clone(),
            reason: failure.reason.clone(),
        })
        .collect()
}

/// The BMCs: the cluster's nodes, or whom the bridge knows when the cluster does not answer.
fn bmcs(observed: &Observed, promoted: &[&str]) -> Vec<BmcReport> {
    let empty = Configuration::none();
    let configuration = observed.configuration.as_ref().unwrap_or(&empty);
    match &observed.view {
        Ok(view) => view
            .nodes
            .iter()
            .map(|node| bmc(node, view, configuration, observed.bridge.as_ref(), promoted))
            .collect(),
        Err(_) => vec![unknown_bmc(&observed.local, observed.bridge.as_ref().ok())],
    }
}

fn bmc(
    node: &Node,
    view: &View,
    configuration: &Configuration,
    bridge: Result<&Status, &String>,
    promoted: &[&str],
) -> BmcReport {
    let name = node.name.as_str();
    let is_active = promoted.contains(&name);
    let reasons = if is_active {
        Vec::new()
    } else {
        candidate::reasons(name, view, configuration, bridge)
    };
    let copy = bridge.ok().and_then(|status| copy_of(status, name));
    let asked = node.attributes.contains_key(REQUEST_ATTRIBUTE);
    let settings = configuration.settings.as_ref();
    BmcReport {
        state: state(node),
        role: role(name, is_active, view, configuration),
        services: services(view)
            .filter(|instance| {
                instance.role == Role::Started && instance.nodes.iter().any(|other| other == name)
            })
            .map(|instance| instance.id.clone())
            .collect(),
        promotion_score: settings.and_then(|settings| node.promotion_score(&settings.id)),
        sync: copy.map(|copy| copy.sync),
        position: copy.map(|copy| copy.position),
        lag_ms: copy.and_then(|copy| copy.lag_ms),
        can_be_active: reasons.is_empty(),
        waits_for_request: reasons.is_empty()
            && !is_active
            && configuration.policy == Policy::External
            && !asked,
        reasons,
        name: name.to_owned(),
    }
}

fn unknown_bmc(name: &str, bridge: Option<&Status>) -> BmcReport {
    let copy = bridge.and_then(|status| copy_of(status, name));
    BmcReport {
        name: name.to_owned(),
        state: BmcState::Unknown,
        role: BmcRole::None,
        services: Vec::new(),
        promotion_score: None,
        sync: copy.map(|copy| copy.sync),
        position: copy.map(|copy| copy.position),
        lag_ms: None,
        can_be_active: false,
        reasons: vec![Reason::of(
            name,
            ReasonId::ClusterUnreachable,
            format!("Pacemaker does not answer on {name}"),
        )],
        waits_for_request: false,
    }
}

fn state(node: &Node) -> BmcState {
    match node {
        Node { unclean: true, .. } => BmcState::Unclean,
        Node { online: false, .. } => BmcState::Offline,
        Node { pending: true, .. } | Node { shutdown: true, .. } => BmcState::Transient,
        Node { standby: true, .. } => BmcState::Standby,
        Node {
            maintenance: true, ..
        } => BmcState::Maintenance,
        Node { .. } => BmcState::Online,
    }
}

fn role(name: &str, is_active: bool, view: &View, configuration: &Configuration) -> BmcRole {
    if is_active {
        return BmcRole::Active;
    }
    let settings = configuration.settings.as_ref();
    let copies = settings.and_then(|settings| view.instance_on(&settings.id, name));
    match copies.map(|instance| instance.role) {
        Some(Role::Unpromoted) => BmcRole::Passive,
        _ => BmcRole::None,
    }
}

/// What only the Active runs: everything that is neither a fence device nor promotable.
fn services(view: &View) -> impl Iterator<Item = &crate::cluster::view::Instance> {
    let promotable = |id: &str| {
        view.instances_of(id)
            .any(|instance| matches!(instance.role, Role::Promoted | Role::Unpromoted))
    };
    view.instances
        .iter()
        .filter(move |instance| !instance.is_fence_device() && !promotable(&instance.id))
}

fn problems(observed: &Observed, report: &Report, promoted: &[&str]) -> Vec<Reason> {
    let mut problems = Vec::new();
    match (&observed.view, &observed.configuration) {
        (Err(error), _) => {
            let message = format!("Pacemaker does not answer on {}: {error}", observed.local);
            problems.push(Reason::new(ReasonId::ClusterUnreachable, message));
        }
        (Ok(view), Some(configuration)) => {
            problems.extend(roles(view, configuration, promoted));
            problems.extend(stopped_services(view, configuration, promoted));
            problems.extend(fencing::reasons(view, configuration));
        }
        (Ok(_), None) => problems.push(Reason::new(ReasonId::NotProvisioned, "the CIB cannot be read")),
    }
    problems.extend(mux(observed, promoted));
    problems.extend(bridge(observed));
    let passive = report.bmcs.iter().filter(|bmc| bmc.state != BmcState::Unknown);
    for reason in passive.flat_map(|bmc| &bmc.reasons) {
        if reason.id != ReasonId::SyncUnknown || report.sync.reachable {
            problems.push(reason.clone());
        }
    }
    problems
}

fn roles(view: &View, configuration: &Configuration, promoted: &[&str]) -> Vec<Reason> {
    let mut problems = Vec::new();
    if !view.quorate {
        let message = "this side of the cluster has no quorum";
        problems.push(Reason::new(ReasonId::NoQuorum, message));
    }
    if view.maintenance {
        let message = "the cluster is in maintenance mode: nothing is managed";
        problems.push(Reason::new(ReasonId::MaintenanceMode, message));
    }
    let [Some(_), Some(_)] = [&configuration.settings, &configuration.mux] else {
        let message = "the configuration has no settings or no mux; apply a template";
        problems.push(Reason::new(ReasonId::NotProvisioned, message));
        return problems;
    };
    match promoted {
        [] => problems.push(Reason::new(ReasonId::NobodyActive, "no BMC is Active")),
        [_] => {}
        more => {
            let message = format!("more than one BMC is Active: {}", more.join(", "));
            problems.push(Reason::new(ReasonId::TwoActives, message));
        }
    }
    problems
}

fn stopped_services(view: &View, configuration: &Configuration, promoted: &[&str]) -> Vec<Reason> {
    if configuration.mux.is_none() || promoted.is_empty() {
        return Vec::new();
    }
    let down = services(view).filter(|instance| instance.role != Role::Started || instance.failed);
    down.map(|instance| {
        let state = if instance.failed { "failed" } else { "does not run" };
        let place = instance
            .nodes
            .first()
            .map(|node| format!(" on {node}"))
            .unwrap_or_default();
        Reason::new(
            ReasonId::ServiceNotRunning,
            format!("{} {state}{place}", instance.id),
        )
    })
    .collect()
}

fn mux(observed: &Observed, promoted: &[&str]) -> Option<Reason> {
    mux_of(observed)?;
    let local = observed.local.as_str();
    let held = match &observed.mux {
        Ok(held) => *held,
        Err(error) => return Some(Reason::of(local, ReasonId::MuxUnreadable, error.clone())),
    };
    observed.view.as_ref().ok()?;
    let should = promoted.contains(&local);
    let message = match (should, held) {
        (true, false) => {
            format!("{local} is the Active, and its hardware says that it does not hold the mux")
        }
        (false, true) => format!("{local} is not the Active, and its hardware says that it holds the mux"),
        _ => return None,
    };
    Some(Reason::of(local, ReasonId::MuxDisagrees, message))
}

fn bridge(observed: &Observed) -> Vec<Reason> {
    let local = observed.local.as_str();
    match &observed.bridge {
        Err(error) => vec![Reason::of(local, ReasonId::BridgeUnreachable, error.clone())],
        Ok(status) => status
            .problems
            .iter()
            .map(|problem| Reason::of(local, ReasonId::BridgeProblem, problem.message.clone()))
            .chain(switched_off(status.switch))
            .collect(),
    }
}

fn switched_off(switch: Switch) -> Option<Reason> {
    let ended_by = match switch {
        Switch::On => return None,
        Switch::Paused => "resume",
        Switch::Disabled => "enable",
    };
    let message =
        format!("replication of the settings is {switch}; bmc-ha sync {ended_by} on the Active ends that");
    Some(Reason::new(ReasonId::ReplicationSwitchedOff, message))
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
