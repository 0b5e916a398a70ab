//! Whether each BMC could be reset if it had to be. No I/O here.

use super::reason::{Reason, ReasonId};
use super::report::{DeviceReport, FencingReport, ResetReport};
use crate::cluster::configuration::Configuration;
use crate::cluster::view::{FenceEvent, View};

/// What is shown of fencing.
pub(crate) fn report(view: &View, configuration: &Configuration) -> FencingReport {
    let ended = view.fence_events.iter().find(|event| event.status != "pending");
    let pending = view.fence_events.iter().filter(|event| event.status == "pending");
    FencingReport {
        enabled: Some(view.fencing_enabled),
        devices: configuration
            .fence_devices
            .iter()
            .map(|device| {
                let instance = view.instances_of(&device.id).next();
                DeviceReport {
                    id: device.id.clone(),
                    targets: device.targets.clone(),
                    running_on: instance.and_then(|instance| instance.nodes.first().cloned()),
                    failed: instance.is_some_and(|instance| instance.failed),
                }
            })
            .collect(),
        last: ended.map(reset),
        pending: pending.map(reset).collect(),
    }
}

/// What is wrong with fencing: without it, a lost Active is never taken over from.
pub(crate) fn reasons(view: &View, configuration: &Configuration) -> Vec<Reason> {
    if !view.fencing_enabled {
        let message = "fencing is turned off (stonith-enabled=false)";
        return vec![Reason::new(ReasonId::FencingDisabled, message)];
    }
    let report = report(view, configuration);
    let names = view.nodes.iter().map(|node| node.name.as_str());
    let mut reasons: Vec<_> = names
        .filter_map(|name| unreachable(name, view, configuration, &report.devices))
        .collect();
    reasons.extend(report.pending.iter().map(|reset| {
        let message = format!("a {} of {} is under way", reset.action, reset.target);
        Reason::of(&reset.target, ReasonId::FencingPending, message)
    }));
    if let Some(last) = report.last.filter(|last| last.status == "failed") {
        let why = last.reason.unwrap_or_else(|| "no reason given".to_owned());
        let message = format!("the last {} of {} failed: {why}", last.action, last.target);
        reasons.push(Reason::of(&last.target, ReasonId::FencingFailed, message));
    }
    reasons
}

fn unreachable(
    name: &str,
    view: &View,
    configuration: &Configuration,
    devices: &[DeviceReport],
) -> Option<Reason> {
    let mut ids = configuration
        .devices_for(name)
        .map(|device| device.id.as_str())
        .peekable();
    if ids.peek().is_none() {
        let message = format!("no fence device can reset {name}");
        return Some(Reason::of(name, ReasonId::FencingNotConfigured, message));
    }
    // A BMC that is alone cannot run the device that resets itself, and does not need to.
    let others = view
        .nodes
        .iter()
        .any(|node| node.name != name && node.takes_part());
    let works = |device: &DeviceReport| device.running_on.is_some() && !device.failed;
    let mut known = ids.filter_map(|id| devices.iter().find(|device| device.id == id));
    if !others || known.any(works) {
        return None;
    }
    let message = format!("the fence device that resets {name} does not run");
    Some(Reason::of(name, ReasonId::FencingDeviceDown, message))
}

fn reset(event: &FenceEvent) -> ResetReport {
    ResetReport {
        target: event.target.clone(),
        action: event.action.clone(),
        status: event.status.clone(),
        by: event.delegate.clone(),
        completed: event.completed.clone(),
        reason: event.reason.clone(),
    }
}
