//! The answer of `bmc-ha status`. With `--output json` these are its fields: they are part of the interface.

use bmc_bridge_control::{Position, Problem, Sync, Transfer};
use serde::Serialize;

use super::reason::Reason;
use crate::cluster::configuration::Policy;

/// Version of these fields. Raised when one changes its meaning or goes away; a new field leaves it alone.
pub(crate) const VERSION: u32 = 1;

/// Everything about the pair, as seen from one BMC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// [`VERSION`].
    pub(crate) version: u32,
    /// Whether `problems` is empty.
    pub(crate) healthy: bool,
    /// The BMC that this was asked on.
    pub(crate) local: String,
    /// The Active, when there is one and only one.
    pub(crate) active: Option<String>,
    /// Who decides that a Passive takes over; not known without a configuration.
    pub(crate) policy: Option<Policy>,
    /// The cluster.
    pub(crate) cluster: ClusterReport,
    /// The BMCs, by name.
    pub(crate) bmcs: Vec<BmcReport>,
    /// The mux.
    pub(crate) mux: MuxReport,
    /// Replication of the settings, as this BMC sees it.
    pub(crate) sync: SyncReport,
    /// Fencing.
    pub(crate) fencing: FencingReport,
    /// Failed actions that Pacemaker remembers.
    pub(crate) failures: Vec<FailureReport>,
    /// What is not as it should be.
    pub(crate) problems: Vec<Reason>,
}

/// The cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ClusterReport {
    /// Whether Pacemaker answers on this BMC.
    pub(crate) reachable: bool,
    /// Why not.
    pub(crate) error: Option<String>,
    /// Whether this side has quorum.
    pub(crate) quorate: bool,
    /// The node that decides.
    pub(crate) dc: Option<String>,
    /// What its controller is at, such as `S_IDLE`.
    pub(crate) controller: Option<String>,
    /// Whether nothing is managed.
    pub(crate) maintenance: bool,
}

/// What the cluster says about a BMC's membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BmcState {
    /// A full member.
    Online,
    /// A member on which nothing may run.
    Standby,
    /// A member on which nothing is managed.
    Maintenance,
    /// On its way in or out.
    Transient,
    /// Unknown: it has to be reset.
    Unclean,
    /// Not a member.
    Offline,
    /// Nobody can be asked.
    Unknown,
}

/// A BMC's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BmcRole {
    /// It holds the mux and runs everything.
    Active,
    /// It keeps a copy of the settings.
    Passive,
    /// Neither.
    None,
}

/// One BMC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct BmcReport {
    /// Its name.
    pub(crate) name: String,
    /// Its membership.
    pub(crate) state: BmcState,
    /// Its role, by the cluster's word.
    pub(crate) role: BmcRole,
    /// Active-only services that run on it.
    pub(crate) services: Vec<String>,
    /// The settings agent's score for promoting it.
    pub(crate) promotion_score: Option<i64>,
    /// Synchronisation of its copy, by its own word.
    pub(crate) sync: Option<Sync>,
    /// How new its copy is.
    pub(crate) position: Option<Position>,
    /// Age of the oldest change that it has not acknowledged, in milliseconds. Known on the Active only.
    pub(crate) lag_ms: Option<u64>,
    /// Whether it is the Active or could be.
    pub(crate) can_be_active: bool,
    /// Why it could not.
    pub(crate) reasons: Vec<Reason>,
    /// With the policy external: it could, and is not going to before it is asked.
    pub(crate) waits_for_request: bool,
}

/// The mux.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct MuxReport {
    /// Who holds it by the cluster's word.
    pub(crate) by_cluster: Option<String>,
    /// Whether this BMC holds it by its hardware's word.
    pub(crate) held_here: Option<bool>,
    /// Why the hardware's word is not known.
    pub(crate) error: Option<String>,
}

/// Replication of the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SyncReport {
    /// Whether the bridge on this BMC answers.
    pub(crate) reachable: bool,
    /// Why not.
    pub(crate) error: Option<String>,
    /// Entries (files, links, directories) under replication here.
    pub(crate) entries: Option<u64>,
    /// A transfer under way.
    pub(crate) transfer: Option<Transfer>,
    /// Versions of this BMC that lost against another's and are kept aside.
    pub(crate) conflicts: Option<u64>,
    /// What keeps settings from being replicated.
    pub(crate) problems: Vec<Problem>,
}

/// Fencing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FencingReport {
    /// Whether it is turned on; not known when Pacemaker does not answer.
    pub(crate) enabled: Option<bool>,
    /// The devices.
    pub(crate) devices: Vec<DeviceReport>,
    /// The last reset that ended.
    pub(crate) last: Option<ResetReport>,
    /// Resets under way.
    pub(crate) pending: Vec<ResetReport>,
}

/// A fence device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DeviceReport {
    /// Its name.
    pub(crate) id: String,
    /// Whom it resets.
    pub(crate) targets: Vec<String>,
    /// Where it runs.
    pub(crate) running_on: Option<String>,
    /// Whether its last check failed.
    pub(crate) failed: bool,
}

/// A reset of a BMC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ResetReport {
    /// Which one.
    pub(crate) target: String,
    /// `reboot`, `off` or `on`.
    pub(crate) action: String,
    /// `success`, `failed` or `pending`.
    pub(crate) status: String,
    /// Who did it.
    pub(crate) by: Option<String>,
    /// When it ended, in Pacemaker's words.
    pub(crate) completed: Option<String>,
    /// Why it failed.
    pub(crate) reason: Option<String>,
}

/// A failed action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FailureReport {
    /// What failed, such as `fan_start_0`.
    pub(crate) operation: String,
    /// Where.
    pub(crate) bmc: String,
    /// How it ended.
    pub(crate) result: String,
    /// Why, in the agent's words.
    pub(crate) reason: String,
}
