//! systemd's units over D-Bus (org.freedesktop.systemd1(5)). `systemctl` is never run.

use std::time::{Duration, Instant};

use rustbus::MessageBuilder;
use rustbus::message_builder::MarshalledMessage;
use rustbus::wire::ObjectPath;

use crate::connection::{Bus, BusError, parsed, push};

const SERVICE: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";

/// Kept back from the deadline of a stop, to kill what does not stop by itself and see it gone.
const KILL_RESERVE: Duration = Duration::from_secs(2);

/// `SIGKILL`.
const KILL: i32 = 9;

/// Why a unit did not come up or go down.
#[derive(Debug, thiserror::Error)]
pub enum SystemdError {
    /// The bus or systemd did not do what was asked.
    #[error("{action} {unit}: {source}")]
    Bus {
        /// What was to be done.
        action: &'static str,
        /// The unit, or the name on the bus.
        unit: String,
        /// Why it was not.
        source: BusError,
    },
    /// The unit is not installed.
    #[error("{action} {unit}: systemd has no such unit")]
    NoSuchUnit {
        /// What was to be done.
        action: &'static str,
        /// The unit.
        unit: String,
    },
    /// The job ended otherwise than done.
    #[error("{action} {unit}: the job ended with {result:?}; see journalctl -u {unit}")]
    JobFailed {
        /// What was to be done.
        action: &'static str,
        /// The unit.
        unit: String,
        /// systemd's word for it.
        result: String,
    },
    /// The job did not end in time.
    #[error("{action} {unit}: not done after {} ms", waited.as_millis())]
    JobTimeout {
        /// What was to be done.
        action: &'static str,
        /// The unit.
        unit: String,
        /// How long it was waited for.
        waited: Duration,
    },
}

impl SystemdError {
    /// Whether there is no system bus on this machine at all, hence no service on it.
    #[must_use]
    pub fn is_bus_absent(&self) -> bool {
        matches!(self, Self::Bus { source, .. } if source.is_absent())
    }
}

/// What a unit is doing, as far as anybody here cares (org.freedesktop.systemd1(5), `ActiveState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitState {
    /// `active` or `reloading`.
    Active,
    /// `activating`: on its way up, also between two automatic restarts.
    Activating,
    /// `deactivating`.
    Deactivating,
    /// `failed`.
    Failed,
    /// `inactive`, or not installed.
    Inactive,
}

/// systemd, on one connection.
#[derive(Debug)]
pub struct Systemd {
    bus: Bus,
}

impl Systemd {
    /// Connects to the system bus, see [`Bus::connect`]. `action` and `unit` are for the message when that fails.
    ///
    /// # Errors
    /// [`SystemdError::Bus`].
    pub fn connect(
        address: Option<&str>,
        action: &'static str,
        unit: &str,
        deadline: Instant,
    ) -> Result<Self, SystemdError> {
        match Bus::connect(address, deadline) {
            Ok(bus) => Ok(Self { bus }),
            Err(source) => Err(failed(action, unit, source)),
        }
    }

    /// Whether a service owns its name on the bus.
    ///
    /// # Errors
    /// [`SystemdError::Bus`].
    pub fn name_has_owner(&mut self, name: &str, deadline: Instant) -> Result<bool, SystemdError> {
        let answer = self.bus.name_has_owner(name, deadline);
        answer.map_err(|source| failed("examine", name, source))
    }

    /// A property of a service that is a string.
    ///
    /// # Errors
    /// [`SystemdError::Bus`].
    pub fn string_property(
        &mut self,
        service: &str,
        object: &str,
        interface: &str,
        property: &str,
        deadline: Instant,
    ) -> Result<String, SystemdError> {
        let answer = self
            .bus
            .string_property(service, object, interface, property, deadline);
        answer.map_err(|source| failed("examine", service, source))
    }

    /// Lets [`Systemd::pause`] end when the state of this unit changes.
    ///
    /// # Errors
    /// [`SystemdError::Bus`].
    pub fn watch(&mut self, unit: &str, deadline: Instant) -> Result<(), SystemdError> {
        let failed = |source| failed("watch", unit, source);
        let rule = format!(
            "type='signal',sender='{SERVICE}',interface='org.freedesktop.DBus.Properties',\
             member='PropertiesChanged',path='{}'",
            object_path(unit)
        );
        self.bus.add_match(&rule, deadline).map_err(failed)?;
        let subscribe = manager_call("Subscribe", |_| Ok(())).map_err(failed)?;
        self.bus.call(&subscribe, deadline).map(drop).map_err(failed)
    }

    /// Waits for `until`, or less when something happens to a job or a watched unit.
    ///
    /// # Errors
    /// [`BusError`] when the bus goes away.
    pub fn pause(&mut self, until: Instant) -> Result<(), BusError> {
        self.bus.next_signal(until).map(drop)
    }

    /// The state of a unit.
    ///
    /// # Errors
    /// [`SystemdError::Bus`].
    pub fn state(&mut self, unit: &str, deadline: Instant) -> Result<UnitState, SystemdError> {
        let answer = self
            .bus
            .string_property(SERVICE, &object_path(unit), UNIT, "ActiveState", deadline);
        match answer.map_err(|source| failed("examine", unit, source))?.as_str() {
            "active" | "reloading" | "refreshing" => Ok(UnitState::Active),
            "activating" => Ok(UnitState::Activating),
            "deactivating" => Ok(UnitState::Deactivating),
            "failed" => Ok(UnitState::Failed),
            _ => Ok(UnitState::Inactive),
        }
    }

    /// Whether the unit is installed.
    ///
    /// # Errors
    /// [`SystemdError::Bus`].
    pub fn is_installed(&mut self, unit: &str, deadline: Instant) -> Result<bool, SystemdError> {
        let answer = self
            .bus
            .string_property(SERVICE, &object_path(unit), UNIT, "LoadState", deadline);
        Ok(answer.map_err(|source| failed("examine", unit, source))? == "loaded")
    }

    /// Starts a unit and returns once systemd is done with it. A unit that runs is left alone.
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn start(&mut self, unit: &str, deadline: Instant) -> Result<(), SystemdError> {
        self.forget_failures(unit, deadline)?;
        self.run_to_the_end("start", "StartUnit", unit, deadline)
    }

    /// Stops a unit and returns once it is down. What does not stop by itself is killed before the deadline. A unit
    /// that is not running or not installed is fine.
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn stop(&mut self, unit: &str, deadline: Instant) -> Result<(), SystemdError> {
        let started = Instant::now();
        let gentle = deadline
            .checked_sub(KILL_RESERVE)
            .filter(|at| *at > started)
            .unwrap_or(deadline);
        let mut ended = match self.run_job("stop", "StopUnit", unit, gentle) {
            Err(SystemdError::NoSuchUnit { .. }) => return Ok(()),
            other => other?,
        };
        if ended.is_none() {
            self.kill(unit, deadline)?;
            ended = self.wait_job("stop", unit, None, deadline)?;
        }
        match (ended, self.state(unit, deadline)?) {
            (_, UnitState::Inactive | UnitState::Failed) => Ok(()),
            (Some(result), _) => Err(SystemdError::JobFailed {
                action: "stop",
                unit: unit.to_owned(),
                result,
            }),
            (None, _) => Err(timed_out("stop", unit, started)),
        }
    }

    /// Restarts a unit that runs and returns once systemd is done with it. One that does not run is left alone.
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn restart_if_running(&mut self, unit: &str, deadline: Instant) -> Result<(), SystemdError> {
        self.run_to_the_end("restart", "TryRestartUnit", unit, deadline)
    }

    /// Lets a unit that runs read its configuration again and returns once systemd is done with it. One that does not run is
    /// left alone.
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn reload_if_running(&mut self, unit: &str, deadline: Instant) -> Result<(), SystemdError> {
        // To systemd it is an error to reload what does not run.
        match self.state(unit, deadline)? {
            UnitState::Active => self.run_to_the_end("reload", "ReloadUnit", unit, deadline),
            _ => Ok(()),
        }
    }

    fn run_to_the_end(
        &mut self,
        action: &'static str,
        method: &'static str,
        unit: &str,
        deadline: Instant,
    ) -> Result<(), SystemdError> {
        let started = Instant::now();
        match self.run_job(action, method, unit, deadline)? {
            Some(result) if result == "done" => Ok(()),
            Some(result) => Err(SystemdError::JobFailed {
                action,
                unit: unit.to_owned(),
                result,
            }),
            None => Err(timed_out(action, unit, started)),
        }
    }

    /// systemd stops restarting a unit that failed too often; here Pacemaker decides about that.
    fn forget_failures(&mut self, unit: &str, deadline: Instant) -> Result<(), SystemdError> {
        let call = manager_call("ResetFailedUnit", |call| call.body.push_param(unit));
        let answer = call.and_then(|call| self.bus.call(&call, deadline));
        match answer {
            Err(error) if !error.is_refusal(NO_SUCH_UNIT) => Err(failed("start", unit, error)),
            _ => Ok(()),
        }
    }

    fn kill(&mut self, unit: &str, deadline: Instant) -> Result<(), SystemdError> {
        let call = manager_call("KillUnit", |call| call.body.push_param3(unit, "all", KILL));
        let answer = call.and_then(|call| self.bus.call(&call, deadline));
        answer.map(drop).map_err(|source| failed("kill", unit, source))
    }

    /// Queues a job and waits for its end. `None` when it has not ended by `deadline`.
    fn run_job(
        &mut self,
        action: &'static str,
        method: &'static str,
        unit: &str,
        deadline: Instant,
    ) -> Result<Option<String>, SystemdError> {
        let named = |source: BusError| {
            if source.is_refusal(NO_SUCH_UNIT) {
                return SystemdError::NoSuchUnit {
                    action,
                    unit: unit.to_owned(),
                };
            }
            failed(action, unit, source)
        };
        // First the signals, then the job: its end may come before the answer to the call that queues it.
        let rule = format!("type='signal',sender='{SERVICE}',interface='{MANAGER}',member='JobRemoved'");
        self.bus.add_match(&rule, deadline).map_err(named)?;
        let subscribe = manager_call("Subscribe", |_| Ok(())).map_err(named)?;
        self.bus.call(&subscribe, deadline).map_err(named)?;
        let call = manager_call(method, |call| call.body.push_param2(unit, "replace")).map_err(named)?;
        let reply = self.bus.call(&call, deadline).map_err(named)?;
        let job: ObjectPath<String> = parsed(method, reply.body.parser().get()).map_err(named)?;
        self.wait_job(action, unit, Some(job.as_ref()), deadline)
    }

    /// Waits for the end of a job of this unit, any when none is named, and gives its result.
    fn wait_job(
        &mut self,
        action: &'static str,
        unit: &str,
        job: Option<&str>,
        deadline: Instant,
    ) -> Result<Option<String>, SystemdError> {
        loop {
            let signal = self
                .bus
                .next_signal(deadline)
                .map_err(|source| failed(action, unit, source))?;
            let Some(signal) = signal else {
                return Ok(None);
            };
            if signal.dynheader.member.as_deref() != Some("JobRemoved") {
                continue;
            }
            let body = signal
                .body
                .parser()
                .get4::<u32, ObjectPath<String>, String, String>();
            let (_, removed, of, result) =
                parsed("JobRemoved", body).map_err(|source| failed(action, unit, source))?;
            if of == unit && job.is_none_or(|job| removed.as_ref() == job) {
                return Ok(Some(result));
            }
        }
    }
}

fn manager_call(
    method: &'static str,
    fill: impl FnOnce(&mut MarshalledMessage) -> Result<(), rustbus::wire::errors::MarshalError>,
) -> Result<MarshalledMessage, BusError> {
    let mut call = MessageBuilder::new()
        .call(method)
        .at(SERVICE)
        .on(MANAGER_PATH)
        .with_interface(MANAGER)
        .build();
    push(method, fill(&mut call))?;
    Ok(call)
}

fn failed(action: &'static str, unit: &str, source: BusError) -> SystemdError {
    SystemdError::Bus {
        action,
        unit: unit.to_owned(),
        source,
    }
}

fn timed_out(action: &'static str, unit: &str, started: Instant) -> SystemdError {
    SystemdError::JobTimeout {
        action,
        unit: unit.to_owned(),
        waited: started.elapsed(),
    }
}

/// The unit's object, its name escaped as by sd_bus_path_encode(3).
fn object_path(unit: &str) -> String {
    let mut path = format!("{MANAGER_PATH}/unit/");
    for (at, byte) in unit.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit()) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("_{byte:02x}"));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_units_object_path_is_escaped_as_systemd_does() {
        let path = |name: &str| object_path(name);
        assert_eq!(
            path("phosphor-fan-control@0.service"),
            "/org/freedesktop/systemd1/unit/phosphor_2dfan_2dcontrol_400_2eservice"
        );
        assert_eq!(path("9p.target"), "/org/freedesktop/systemd1/unit/_39p_2etarget");
    }
}
