//! What is not as it should be, for programs (an identifier that stays) and for people (a sentence).

use serde::Serialize;

/// Kinds of trouble. The names are part of the interface: programs compare them, so they never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum ReasonId {
    /// Pacemaker does not answer on this BMC.
    ClusterUnreachable,
    /// This BMC's side of the cluster has no quorum.
    NoQuorum,
    /// The whole cluster is in maintenance mode.
    MaintenanceMode,
    /// The configuration lacks what makes a pair.
    NotProvisioned,
    /// The BMC is no node of the cluster.
    NotInCluster,
    /// The BMC is not a member of the cluster now.
    NotOnline,
    /// The BMC is on its way in or out.
    Transient,
    /// The BMC's state is unknown; it has to be reset.
    Unclean,
    /// The BMC is in standby.
    Standby,
    /// The BMC, or a resource on it, is not managed.
    NotManaged,
    /// Replication of the settings does not run there.
    SettingsNotRunning,
    /// The settings agent there gave no promotion score.
    NoPromotionScore,
    /// Its copy of the settings is not the newest.
    NotInSync,
    /// How new its copy is is not known.
    SyncUnknown,
    /// The mux agent does not run there, or cannot read the mux.
    MuxUnusable,
    /// A resource failed there so often that it may not run there.
    TooManyFailures,
    /// A location constraint keeps a resource off it.
    Banned,
    /// No BMC is Active.
    NobodyActive,
    /// More than one BMC is Active by the cluster's word.
    TwoActives,
    /// The cluster and the hardware do not agree on who holds the mux.
    MuxDisagrees,
    /// The hardware's word on the mux is not known.
    MuxUnreadable,
    /// The bridge on this BMC does not answer.
    BridgeUnreachable,
    /// The bridge reports a problem.
    BridgeProblem,
    /// Replication is paused or disabled.
    ReplicationSwitchedOff,
    /// Only the Active can do it, and this BMC is not.
    NotTheActive,
    /// A service that the Active runs does not run, or failed.
    ServiceNotRunning,
    /// Fencing is turned off.
    FencingDisabled,
    /// No fence device can reset a BMC.
    FencingNotConfigured,
    /// The device that resets a BMC does not run.
    FencingDeviceDown,
    /// The last reset of a BMC failed.
    FencingFailed,
    /// A reset is under way.
    FencingPending,
    /// The BMC is the Active already.
    AlreadyActive,
    /// The controller is in the middle of something.
    TransitionInProgress,
    /// The scheduler would not promote it.
    PacemakerWouldNot,
    /// The Active would lose its role.
    WouldDemote,
    /// Another cluster would be destroyed.
    ClusterInTheWay,
}

impl ReasonId {
    /// The nearest of OpenBMC's `DisabledRedundancyReasons`
    /// (`xyz.openbmc_project.State.BMC.Redundancy`), for a management console that knows those.
    fn openbmc(self) -> Option<&'static str> {
        match self {
            Self::NotInCluster => Some("SiblingMissing"),
            Self::NotOnline | Self::Transient | Self::Unclean => Some("SiblingNotAlive"),
            Self::NotProvisioned => Some("SiblingNotProvisioned"),
            Self::Standby | Self::MaintenanceMode | Self::NotManaged => Some("ManuallyDisabled"),
            Self::NotInSync | Self::SyncUnknown | Self::BridgeUnreachable | Self::BridgeProblem => {
                Some("DataSyncFailed")
            }
            Self::ReplicationSwitchedOff => Some("ManuallyDisabled"),
            Self::NoQuorum => Some("NetworkError"),
            Self::SettingsNotRunning
            | Self::NoPromotionScore
            | Self::MuxUnusable
            | Self::TooManyFailures
            | Self::Banned
            | Self::PacemakerWouldNot => Some("SiblingCannotBeActive"),
            Self::FencingDisabled | Self::FencingNotConfigured => Some("SystemHWConfigIssue"),
            _ => None,
        }
    }
}

/// One trouble.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Reason {
    /// What kind.
    pub(crate) id: ReasonId,
    /// Which BMC it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bmc: Option<String>,
    /// What is wrong, in a sentence.
    pub(crate) message: String,
    /// OpenBMC's name for it, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) openbmc: Option<&'static str>,
}

impl Reason {
    /// About the pair.
    pub(crate) fn new(id: ReasonId, message: impl Into<String>) -> Self {
        Self {
            id,
            bmc: None,
            message: message.into(),
            openbmc: id.openbmc(),
        }
    }

    /// About one BMC.
    pub(crate) fn of(bmc: &str, id: ReasonId, message: impl Into<String>) -> Self {
        Self {
            bmc: Some(bmc.to_owned()),
            ..Self::new(id, message)
        }
    }
}
