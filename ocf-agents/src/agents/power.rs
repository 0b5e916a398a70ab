//! `ocf:openbmc:power`: runs the host power service where the mux is. It never changes host power.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bmc_system_bus::Systemd;

use crate::hardware::PowerGood;
use crate::hardware::file::FilePowerGood;
use crate::ocf::{
    Action, Agent, BusName, BusPath, Description, Environment, Offer, Parameter, Request, State, UnitName,
};

use super::Failure;
use super::active_service::{ActiveService, Health, unowned};
use super::mux_gate::{MUX_BACKEND, MUX_COMMAND, MUX_GRANT_FILE, not_installed, readable_mux};

/// `unit`.
pub const UNIT: Parameter<UnitName> = Parameter::with_default(
    "unit",
    "xyz.openbmc_project.State.Chassis@0.service",
    "The host power service",
    "Name of the systemd unit that shows and changes the host's power.",
);

/// `bus_name`.
pub const BUS_NAME: Parameter<BusName> = Parameter::with_default(
    "bus_name",
    "xyz.openbmc_project.State.Chassis0",
    "D-Bus name of the host power service",
    "Well-known D-Bus name that the host power service owns while it works.",
);

/// `object_path`.
pub const OBJECT_PATH: Parameter<BusPath> = Parameter::with_default(
    "object_path",
    "/xyz/openbmc_project/state/chassis0",
    "D-Bus object that shows the host's power",
    "Path of the object with the interface xyz.openbmc_project.State.Chassis.",
);

/// `power_good_file`.
pub const POWER_GOOD_FILE: Parameter<PathBuf> = Parameter::required(
    "power_good_file",
    "File that reads 1 while the host has power",
    "Absolute path of the file that shows the host's power-good line: 1 while the host has power, else 0.",
);

const INTERFACE: &str = "xyz.openbmc_project.State.Chassis";
const PROPERTY: &str = "CurrentPowerState";

/// The agent.
#[derive(Debug)]
pub struct Power {
    service: ActiveService,
    bus_name: BusName,
    object_path: BusPath,
    power_good: FilePowerGood,
}

impl Agent for Power {
    type Failure = Failure;

    const DESCRIPTION: &'static Description = &Description {
        name: "power",
        short: "Runs the host power service on the BMC that holds the mux",
        long: "Starts and stops the service that shows and changes the host's power, over D-Bus, on the BMC that holds \
               the hardware mux and on no other. The agent itself never changes the host's power.\n\n\
               The monitor checks that the unit is active, its D-Bus name is owned, and the power state that it shows \
               equals the power-good line.",
        parameters: &[
            &UNIT,
            &BUS_NAME,
            &OBJECT_PATH,
            &POWER_GOOD_FILE,
            &MUX_BACKEND,
            &MUX_GRANT_FILE,
            &MUX_COMMAND,
        ],
        offers: &[
            Offer::once(Action::Start, Duration::from_secs(30)),
            Offer::once(Action::Stop, Duration::from_secs(30)),
            Offer::monitor(Duration::from_secs(20), Duration::from_secs(10), None),
            Offer::once(Action::MetaData, Duration::from_secs(5)),
            Offer::once(Action::ValidateAll, Duration::from_secs(20)),
        ],
    };

    fn new(environment: &Environment) -> Result<Self, Failure> {
        Ok(Self {
            service: ActiveService {
                unit: UNIT.get(environment)?,
                mux: readable_mux(environment)?,
            },
            bus_name: BUS_NAME.get(environment)?,
            object_path: OBJECT_PATH.get(environment)?,
            power_good: FilePowerGood {
                path: POWER_GOOD_FILE.get(environment)?,
            },
        })
    }

    fn monitor(&self, request: &Request) -> Result<State, Failure> {
        self.service
            .monitor(request, |systemd, deadline| self.symptom(systemd, deadline))
    }

    fn start(&self, request: &Request) -> Result<(), Failure> {
        self.service
            .start(request, |systemd, deadline| self.symptom(systemd, deadline))
    }

    fn stop(&self, request: &Request) -> Result<(), Failure> {
        self.service.stop(request, request.deadline)
    }

    fn check_machine(&self, request: &Request) -> Result<(), Failure> {
        self.power_good.is_on().map_err(not_installed)?;
        self.service.check_machine(request)
    }
}

impl Power {
    fn symptom(&self, systemd: &mut Systemd, deadline: Instant) -> Health {
        if let Some(symptom) = unowned(systemd, &self.bus_name, deadline)? {
            return Ok(Some(symptom));
        }
        let shown = systemd.string_property(&self.bus_name, &self.object_path, INTERFACE, PROPERTY, deadline);
        let shown = match shown {
            Ok(shown) => shown,
            // The service has its name before its object.
            Err(error) => return Ok(Some(error.to_string())),
        };
        let on = self.power_good.is_on()?;
        if agrees(&shown, on) {
            return Ok(None);
        }
        let line = if on { "1" } else { "0" };
        Ok(Some(format!(
            "{PROPERTY} is {shown:?} and {} reads {line}",
            self.power_good.path.display()
        )))
    }
}

/// Whether a value of `xyz.openbmc_project.State.Chassis.PowerState` fits the power-good line. In transition either
/// level of the line is right.
fn agrees(shown: &str, on: bool) -> bool {
    match shown.rsplit('.').next() {
        Some("On") => on,
        Some("Off") => !on,
        Some(transition) => transition.starts_with("TransitioningTo"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_power_state_must_fit_the_power_good_line() {
        let state = |name: &str| format!("xyz.openbmc_project.State.Chassis.PowerState.{name}");
        assert!(agrees(&state("On"), true) && agrees(&state("Off"), false));
        assert!(!agrees(&state("On"), false) && !agrees(&state("Off"), true));
        assert!(agrees(&state("TransitioningToOff"), true) && agrees(&state("TransitioningToOn"), false));
        assert!(!agrees("", true) && !agrees(&state("Unknown"), true));
    }
}
