//! How one service is told.

use std::time::{Duration, Instant};

use bmc_sync_config::{Method, Mode};
use bmc_system_bus::{Bus, BusError, Systemd, SystemdError};

/// How long a unit may take to restart or reload: systemd's own default for either (`DefaultTimeoutStartSec`).
const JOB_DEADLINE: Duration = Duration::from_secs(90);

/// How long a call may take: what most D-Bus libraries wait.
const CALL_DEADLINE: Duration = Duration::from_secs(25);

/// What a service of mode `DBus` has to have.
const INTERFACE: &str = "xyz.openbmc_project.Control.SyncListener";

/// The method that is called. Without arguments: the service reads its settings again.
const METHOD: &str = "Reload";

/// Why a service was not told.
#[derive(Debug, thiserror::Error)]
pub(super) enum TellError {
    /// systemd did not do it.
    #[error(transparent)]
    Systemd(#[from] SystemdError),
    /// The call failed.
    #[error("call {METHOD} of {service}: {source}")]
    Call {
        /// The service.
        service: String,
        /// Why not.
        source: BusError,
    },
}

/// Tells services.
pub(super) trait Messenger: Send {
    /// Tells one; one that does not run is left alone, since it reads its settings when it starts.
    fn tell(&mut self, mode: Mode, service: &str) -> Result<(), TellError>;
}

/// Tells them over the system bus.
#[derive(Debug)]
pub(super) struct BusMessenger {
    address: Option<String>,
}

impl BusMessenger {
    /// On the usual bus unless another one is named.
    pub(super) fn new(address: Option<String>) -> Self {
        Self { address }
    }
}

impl Messenger for BusMessenger {
    fn tell(&mut self, mode: Mode, service: &str) -> Result<(), TellError> {
        let bus = self.address.as_deref();
        match mode {
            Mode::Systemd(method) => {
                let deadline = Instant::now() + JOB_DEADLINE;
                match method {
                    Method::Restart => Systemd::connect(bus, "restart", service, deadline)?
                        .restart_if_running(service, deadline)?,
                    Method::Reload => Systemd::connect(bus, "reload", service, deadline)?
                        .reload_if_running(service, deadline)?,
                }
            }
            Mode::DBus => {
                let deadline = Instant::now() + CALL_DEADLINE;
                let object = object_path(service);
                Bus::connect(bus, deadline)
                    .and_then(|mut bus| bus.call_if_running(service, &object, INTERFACE, METHOD, deadline))
                    .map_err(|source| TellError::Call {
                        service: service.to_owned(),
                        source,
                    })?;
            }
        }
        Ok(())
    }
}

/// The object that belongs to a name on the bus: its elements as a path, as applications of the desktop have it
/// (Desktop Entry Specification, "D-Bus Activation").
fn object_path(service: &str) -> String {
    format!("/{}", service.replace('.', "/").replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_of_a_service_is_named_as_the_service_is() {
        assert_eq!(
            object_path("xyz.openbmc_project.User-Manager"),
            "/xyz/openbmc_project/User_Manager"
        );
    }
}
