//! Why an agent's action failed, and which status that is.

use bmc_bridge_control::ClientError;
use bmc_system_bus::SystemdError;

use crate::hardware::HardwareError;
use crate::ocf::{self, ExitCode, ParameterError, RunStateError, UnitName};

/// Why an action failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A parameter is missing or wrong.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// The hardware failed or refused.
    #[error(transparent)]
    Hardware(#[from] HardwareError),
    /// systemd failed or refused.
    #[error(transparent)]
    Systemd(#[from] SystemdError),
    /// The bridge failed or refused.
    #[error(transparent)]
    Bridge(#[from] ClientError),
    /// The agent cannot remember its role.
    #[error(transparent)]
    RunState(#[from] RunStateError),
    /// This machine lacks something that the resource needs.
    #[error("check this machine: {missing} is not there")]
    NotInstalled {
        /// What.
        missing: String,
    },
    /// Only a resource that runs can be promoted.
    #[error("promote {agent}: it is not running here; start it first")]
    NotStarted {
        /// The resource's agent.
        agent: &'static str,
    },
    /// A service that drives the chassis must not run on a BMC that cannot reach it.
    #[error("start {unit}: this BMC does not hold the mux, so it must not drive the chassis")]
    MuxNotHeld {
        /// The service.
        unit: UnitName,
    },
    /// The mux went away from a promoted BMC.
    #[error("monitor mux: this BMC was promoted and does not hold the mux any more")]
    MuxLost,
    /// The mux of a promoted BMC cannot be read.
    #[error("monitor mux: this BMC was promoted and cannot tell whether it holds the mux: {0}")]
    MuxUnreadable(#[source] HardwareError),
    /// The bridge says that it is the Active, and has lost the group.
    #[error(
        "monitor settings: this BMC is the Active and not in the replication group, so nothing is replicated"
    )]
    ActiveAlone,
    /// The bridge did not reach the state that was asked for.
    #[error("{action} settings: the bridge is {actual} instead of {wanted}")]
    BridgeState {
        /// What was to be done.
        action: &'static str,
        /// What the bridge says.
        actual: String,
        /// What it should say.
        wanted: &'static str,
    },
    /// A service runs, or should, and is not well.
    #[error("{unit}: {symptom}")]
    Unhealthy {
        /// The service.
        unit: UnitName,
        /// What is wrong with it.
        symptom: String,
    },
}

impl ocf::Failure for Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Parameter(_) => ExitCode::Configured,
            Self::RunState(error) if error.is_denied() => ExitCode::Permission,
            Self::NotInstalled { .. } | Self::Systemd(SystemdError::NoSuchUnit { .. }) => {
                ExitCode::NotInstalled
            }
            Self::NotStarted { .. } => ExitCode::NotRunning,
            Self::MuxLost | Self::MuxUnreadable(_) | Self::ActiveAlone => ExitCode::FailedPromoted,
            // Also for a mux that is not held: that passes, and every other failure status would keep Pacemaker from
            // trying again here (or anywhere) until a person cleans up.
            Self::MuxNotHeld { .. }
            | Self::RunState(_)
            | Self::Hardware(_)
            | Self::Systemd(_)
            | Self::Bridge(_)
            | Self::BridgeState { .. }
            | Self::Unhealthy { .. } => ExitCode::Generic,
        }
    }
}
