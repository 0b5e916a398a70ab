//! Whether a BMC can be the Active, and why not. No I/O here.

use bmc_bridge_control::{Position, Role as SyncRole, Status, Sync};

use super::reason::{Reason, ReasonId};
use crate::cluster::configuration::{Configuration, OWN_RULES};
use crate::cluster::view::{Node, Role, View};

/// A BMC's copy of the settings, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Copy {
    /// Its side of the replication.
    pub(crate) role: SyncRole,
    /// Its synchronisation.
    pub(crate) sync: Sync,
    /// Everything of priority 1 is in sync, though the rest may not be.
    pub(crate) essential: bool,
    /// How new it is.
    pub(crate) position: Position,
    /// Age of the oldest change that it has not acknowledged, in milliseconds.
    pub(crate) lag_ms: Option<u64>,
}

/// The copy of a BMC, when the bridge here knows it.
pub(crate) fn copy_of(status: &Status, name: &str) -> Option<Copy> {
    if status.name == name {
        return Some(Copy {
            role: status.role,
            sync: status.sync,
            essential: status.essential,
            position: status.position,
            lag_ms: None,
        });
    }
    let member = status.members.iter().find(|member| member.name == name)?;
    Some(Copy {
        role: member.role,
        sync: member.sync,
        essential: member.essential,
        position: member.position,
        lag_ms: member.lag_ms,
    })
}

/// Why a BMC cannot be the Active; nothing when it can, or is.
pub(crate) fn reasons(
    name: &str,
    view: &View,
    configuration: &Configuration,
    bridge: Result<&Status, &String>,
) -> Vec<Reason> {
    let Some(node) = view.node(name) else {
        let message = format!("{name} is no node of this cluster");
        return vec![Reason::of(name, ReasonId::NotInCluster, message)];
    };
    let membership = membership(node);
    if !membership.is_empty() {
        // What does not take part cannot be asked about anything else.
        return membership;
    }
    let mut reasons = settings(node, view, configuration);
    reasons.extend(copy(name, bridge));
    reasons.extend(mux(node, view, configuration));
    reasons.extend(exclusions(name, view, configuration));
    reasons
}

fn membership(node: &Node) -> Vec<Reason> {
    let name = &node.name;
    let reason = |id, message: &str| vec![Reason::of(name, id, format!("{name} {message}"))];
    if node.unclean {
        return reason(ReasonId::Unclean, "is in an unknown state and has to be reset");
    }
    if !node.online {
        return reason(ReasonId::NotOnline, "is not a member of the cluster");
    }
    if node.pending || node.shutdown {
        return reason(ReasonId::Transient, "is still joining or leaving the cluster");
    }
    if node.standby {
        return reason(ReasonId::Standby, "is in standby");
    }
    if node.maintenance {
        return reason(ReasonId::NotManaged, "is in maintenance mode");
    }
    Vec::new()
}

fn settings(node: &Node, view: &View, configuration: &Configuration) -> Vec<Reason> {
    let name = &node.name;
    let Some(settings) = &configuration.settings else {
        return Vec::new();
    };
    let running = view.instance_on(&settings.id, name);
    if !running.is_some_and(|instance| {
        matches!(instance.role, Role::Promoted | Role::Unpromoted) && !instance.failed
    }) {
        let message = format!("{} does not run on {name}", settings.id);
        return vec![Reason::of(name, ReasonId::SettingsNotRunning, message)];
    }
    if node.promotion_score(&settings.id).is_none_or(|score| score < 0) {
        let message = format!("{} gives {name} no promotion score", settings.id);
        return vec![Reason::of(name, ReasonId::NoPromotionScore, message)];
    }
    Vec::new()
}

fn copy(name: &str, bridge: Result<&Status, &String>) -> Option<Reason> {
    let status = match bridge {
        Ok(status) => status,
        Err(error) => {
            let message = format!("how new the settings on {name} are is not known: {error}");
            return Some(Reason::of(name, ReasonId::SyncUnknown, message));
        }
    };
    let Some(copy) = copy_of(status, name) else {
        let message = format!("the bridge on {name} is not in the replication group");
        return Some(Reason::of(name, ReasonId::SyncUnknown, message));
    };
    let stale = |why: &str| {
        let essential = essential(status, &copy);
        let message = format!("the settings on {name} are not in sync: {why}{essential}");
        Some(Reason::of(name, ReasonId::NotInSync, message))
    };
    match copy.sync {
        Sync::Source | Sync::InSync => None,
        Sync::Syncing => stale("differences are still on their way"),
        Sync::Failed => stale("the last synchronisation failed"),
        Sync::NoSource => {
            let newer = status
                .members
                .iter()
                .map(|member| (member.name.as_str(), member.position))
                .chain([(status.name.as_str(), status.position)])
                .find(|(_, position)| *position > copy.position);
            newer.and_then(|(other, _)| stale(&format!("{other} has a newer copy")))
        }
    }
}

/// What a person wants to know before forcing it: whether what must be there is.
fn essential(status: &Status, copy: &Copy) -> &'static str {
    let mut others = status.members.iter().map(|member| member.essential);
    if copy.essential {
        "; everything of priority 1 is in sync"
    } else if status.essential || others.any(|essential| essential) {
        "; not everything of priority 1 is in sync"
    } else {
        ""
    }
}

fn mux(node: &Node, view: &View, configuration: &Configuration) -> Option<Reason> {
    let name = &node.name;
    let mux = configuration.mux.as_ref()?;
    let unusable = |why: &str| {
        Some(Reason::of(
            name,
            ReasonId::MuxUnusable,
            format!("{} {why} {name}", mux.id),
        ))
    };
    match view.instance_on(&mux.id, name) {
        None => unusable("does not run on"),
        Some(instance) if instance.failed => unusable("failed on"),
        Some(_) if node.promotion_score(&mux.id).is_none_or(|score| score < 0) => {
            unusable("gives no promotion score to")
        }
        Some(_) => None,
    }
}

/// What an administrator, or Pacemaker after too many failures, does not allow.
fn exclusions(name: &str, view: &View, configuration: &Configuration) -> Vec<Reason> {
    let roles = [&configuration.settings, &configuration.mux];
    let ids: Vec<&str> = roles
        .into_iter()
        .flatten()
        .map(|primitive| primitive.id.as_str())
        .collect();
    let failures = view
        .fail_counts
        .iter()
        .filter(|count| count.node == name && count.is_exceeded() && ids.contains(&count.resource.as_str()))
        .map(|count| {
            let message = format!(
                "{} failed too often on {name}; clean it up with: pcs resource cleanup {}",
                count.resource, count.resource
            );
            Reason::of(name, ReasonId::TooManyFailures, message)
        });
    let bans = view
        .bans
        .iter()
        .filter(|ban| {
            let covers =
                |id: &&str| ban.resource == **id || ban.resource == configuration.constrained_name(id);
            ban.node == name && !ban.id.starts_with(OWN_RULES) && ids.iter().any(covers)
        })
        .map(|ban| {
            let message = format!("constraint {} keeps {} off {name}", ban.id, ban.resource);
            Reason::of(name, ReasonId::Banned, message)
        });
    let unmanaged = ids
        .iter()
        .filter_map(|id| view.instance_on(id, name))
        .filter(|instance| !instance.managed || instance.blocked)
        .map(|instance| {
            let message = format!("{} is not managed, or blocked, on {name}", instance.id);
            Reason::of(name, ReasonId::NotManaged, message)
        });
    failures.chain(bans).chain(unmanaged).collect()
}
