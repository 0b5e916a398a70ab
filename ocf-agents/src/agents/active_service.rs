//! What `fan`, `power` and `target` have in common: a systemd unit that may run only where the mux is held.

use std::time::{Duration, Instant};

use bmc_system_bus::{Systemd, UnitState};

use crate::hardware::Mux;
use crate::ocf::{BusName, Request, State, UnitName};

use super::Failure;
use super::mux_gate::check_mux;

/// How often health is looked at again while it is waited for. Fans and power lines do not announce themselves;
/// a failover waits for this at most once per service.
const RECHECK_INTERVAL: Duration = Duration::from_millis(10);

/// How long a monitor watches a service that is restarting or does not look well before it says so. systemd restarts
/// a killed service within this time, and a state that is just changing has settled.
const GRACE: Duration = Duration::from_secs(2);

/// What is wrong with a service: `Ok(None)` when nothing is.
pub(super) type Health = Result<Option<String>, Failure>;

/// The symptom of a service that does not own its D-Bus name.
pub(super) fn unowned(systemd: &mut Systemd, name: &BusName, deadline: Instant) -> Health {
    let owned = systemd.name_has_owner(name, deadline)?;
    Ok((!owned).then(|| format!("nobody owns {name} on D-Bus")))
}

/// A unit that drives the chassis.
#[derive(Debug)]
pub(super) struct ActiveService {
    pub(super) unit: UnitName,
    pub(super) mux: Box<dyn Mux>,
}

impl ActiveService {
    /// Starts the unit on a BMC that holds the mux, and waits until it is well.
    pub(super) fn start(
        &self,
        request: &Request,
        mut health: impl FnMut(&mut Systemd, Instant) -> Health,
    ) -> Result<(), Failure> {
        if !self.mux.is_held()? {
            return Err(Failure::MuxNotHeld {
                unit: self.unit.clone(),
            });
        }
        let mut systemd = Systemd::connect(
            request.environment.bus_address(),
            "start",
            &self.unit,
            request.deadline,
        )?;
        systemd.start(&self.unit, request.deadline)?;
        self.wait_well(&mut systemd, request.deadline, request.deadline, &mut health)?;
        let took = request.started.elapsed().as_millis();
        request.info(&format!("{} is well {took} ms after start began", self.unit));
        Ok(())
    }

    /// Tells the unit's state, and fails when it runs and is not well for [`GRACE`].
    pub(super) fn monitor(
        &self,
        request: &Request,
        mut health: impl FnMut(&mut Systemd, Instant) -> Health,
    ) -> Result<State, Failure> {
        let mut systemd = match Systemd::connect(
            request.environment.bus_address(),
            "monitor",
            &self.unit,
            request.deadline,
        ) {
            Err(error) if error.is_bus_absent() => return Ok(State::Stopped),
            other => other?,
        };
        match systemd.state(&self.unit, request.deadline)? {
            UnitState::Inactive | UnitState::Failed => return Ok(State::Stopped),
            UnitState::Active | UnitState::Activating | UnitState::Deactivating => {}
        }
        self.wait_well(&mut systemd, request.within(GRACE), request.deadline, &mut health)?;
        Ok(State::Running)
    }

    /// Stops the unit. One that does not run, is not installed, or cannot run for lack of a bus is stopped.
    pub(super) fn stop(&self, request: &Request, deadline: Instant) -> Result<(), Failure> {
        let mut systemd =
            match Systemd::connect(request.environment.bus_address(), "stop", &self.unit, deadline) {
                Err(error) if error.is_bus_absent() => {
                    request.warn(&format!("nothing to stop: {error}"));
                    return Ok(());
                }
                other => other?,
            };
        systemd.stop(&self.unit, deadline)?;
        Ok(())
    }

    /// Checks that the unit is installed and the mux can be read.
    pub(super) fn check_machine(&self, request: &Request) -> Result<(), Failure> {
        check_mux(self.mux.as_ref())?;
        let mut systemd = Systemd::connect(
            request.environment.bus_address(),
            "examine",
            &self.unit,
            request.deadline,
        )?;
        if systemd.is_installed(&self.unit, request.deadline)? {
            return Ok(());
        }
        Err(Failure::NotInstalled {
            missing: format!("unit {}", self.unit),
        })
    }

    /// Waits until the unit is active and well, by `patience`. A unit that has failed is not waited for.
    fn wait_well(
        &self,
        systemd: &mut Systemd,
        patience: Instant,
        deadline: Instant,
        health: &mut dyn FnMut(&mut Systemd, Instant) -> Health,
    ) -> Result<(), Failure> {
        loop {
            let symptom = match systemd.state(&self.unit, deadline)? {
                UnitState::Active => health(systemd, deadline)?,
                UnitState::Activating => Some("it has not come up".to_owned()),
                UnitState::Deactivating => Some("it is being stopped".to_owned()),
                UnitState::Inactive => Some("it has stopped".to_owned()),
                UnitState::Failed => {
                    let symptom = format!("it has failed; see journalctl -u {}", self.unit);
                    return Err(self.unhealthy(symptom));
                }
            };
            let Some(symptom) = symptom else {
                return Ok(());
            };
            if Instant::now() >= patience {
                return Err(self.unhealthy(symptom));
            }
            systemd
                .pause(patience.min(Instant::now() + RECHECK_INTERVAL))
                .map_err(|source| Failure::Unhealthy {
                    unit: self.unit.clone(),
                    symptom: format!("{symptom}; {source}"),
                })?;
        }
    }

    fn unhealthy(&self, symptom: String) -> Failure {
        Failure::Unhealthy {
            unit: self.unit.clone(),
            symptom,
        }
    }
}
