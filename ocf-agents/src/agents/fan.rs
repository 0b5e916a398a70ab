//! `ocf:openbmc:fan`: runs the fan control service where the mux is, and leaves the fans safe.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use bmc_system_bus::Systemd;

use crate::hardware::file::{FileFans, PathPattern};
use crate::hardware::{Fans, HardwareError, Percent, Rpm};
use crate::ocf::{
    Action, Agent, BusName, Description, Environment, Offer, Parameter, Request, State, UnitName,
};

use super::Failure;
use super::active_service::{ActiveService, Health, unowned};
use super::mux_gate::{MUX_BACKEND, MUX_COMMAND, MUX_GRANT_FILE, readable_mux};

/// `unit`.
pub const UNIT: Parameter<UnitName> = Parameter::with_default(
    "unit",
    "phosphor-fan-control@0.service",
    "The fan control service",
    "Name of the systemd unit that controls the fans.",
);

/// `bus_name`.
pub const BUS_NAME: Parameter<BusName> = Parameter::with_default(
    "bus_name",
    "xyz.openbmc_project.Control.Thermal",
    "D-Bus name of the fan control service",
    "Well-known D-Bus name that the fan control service owns while it works.",
);

/// `tach_files`.
pub const TACH_FILES: Parameter<PathPattern> = Parameter::required(
    "tach_files",
    "Tachometers of the fans, as a file name pattern",
    "Absolute path with * or ? in the file name that matches every fan's tachometer, in RPM, such as \
     /sys/class/hwmon/hwmon0/fan*_input.",
);

/// `tach_minimum`.
pub const TACH_MINIMUM: Parameter<Rpm> = Parameter::with_default(
    "tach_minimum",
    "500",
    "Least speed of a fan that works, in RPM",
    "A fan slower than this many revolutions per minute makes the monitor fail.",
);

/// `duty_files`.
pub const DUTY_FILES: Parameter<PathPattern> = Parameter::required(
    "duty_files",
    "Outputs of the fans, as a file name pattern",
    "Absolute path with * or ? in the file name that matches every fan's output, 0 to 255, such as \
     /sys/class/hwmon/hwmon0/pwm*. Their modification time tells when fan control last wrote them. Must not match \
     anything else.",
);

/// `duty_max_age`.
pub const DUTY_MAX_AGE: Parameter<Duration> = Parameter::with_default(
    "duty_max_age",
    "10s",
    "Longest time between two writes of a fan's output",
    "Fan control that has not written an output for longer than this makes the monitor fail.",
);

/// `fail_safe_duty`.
pub const FAIL_SAFE_DUTY: Parameter<Percent> = Parameter::with_default(
    "fail_safe_duty",
    "100",
    "Duty of the fans while nobody controls them, in percent",
    "On stop, once the service is down and while this BMC still holds the mux, every fan is set to this duty, so that \
     the host stays cool until the next BMC takes over.",
);

/// Kept back from the deadline of a stop for setting the fans afterwards.
const FAIL_SAFE_RESERVE: Duration = Duration::from_millis(500);

/// The agent.
#[derive(Debug)]
pub struct Fan {
    service: ActiveService,
    bus_name: BusName,
    fans: FileFans,
    tach_minimum: Rpm,
    duty_max_age: Duration,
    fail_safe_duty: Percent,
}

impl Agent for Fan {
    type Failure = Failure;

    const DESCRIPTION: &'static Description = &Description {
        name: "fan",
        short: "Runs fan control on the BMC that holds the mux",
        long: "Starts and stops the fan control service over D-Bus, on the BMC that holds the hardware mux and on no \
               other.\n\n\
               The monitor checks that the unit is active, its D-Bus name is owned, every fan turns, and every output \
               is being written. Stop leaves the fans at their fail-safe duty.",
        parameters: &[
            &UNIT,
            &BUS_NAME,
            &TACH_FILES,
            &TACH_MINIMUM,
            &DUTY_FILES,
            &DUTY_MAX_AGE,
            &FAIL_SAFE_DUTY,
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
            fans: FileFans {
                tachometers: TACH_FILES.get(environment)?,
                outputs: DUTY_FILES.get(environment)?,
            },
            tach_minimum: TACH_MINIMUM.get(environment)?,
            duty_max_age: DUTY_MAX_AGE.get(environment)?,
            fail_safe_duty: FAIL_SAFE_DUTY.get(environment)?,
        })
    }

    fn monitor(&self, request: &Request) -> Result<State, Failure> {
        let mut duties = DutyWatch::new(self.duty_max_age);
        self.service.monitor(request, |systemd, deadline| {
            self.symptom(systemd, deadline, &mut duties)
        })
    }

    fn start(&self, request: &Request) -> Result<(), Failure> {
        let mut duties = DutyWatch::new(self.duty_max_age);
        self.service.start(request, |systemd, deadline| {
            self.symptom(systemd, deadline, &mut duties)
        })
    }

    fn stop(&self, request: &Request) -> Result<(), Failure> {
        let deadline = request
            .deadline
            .checked_sub(FAIL_SAFE_RESERVE)
            .unwrap_or(request.deadline);
        self.service.stop(request, deadline)?;
        self.leave_safe(request)
    }

    fn check_machine(&self, request: &Request) -> Result<(), Failure> {
        for pattern in [&self.fans.tachometers, &self.fans.outputs] {
            if pattern.matches()?.is_empty() {
                return Err(Failure::NotInstalled {
                    missing: pattern.to_string(),
                });
            }
        }
        self.service.check_machine(request)
    }
}

impl Fan {
    fn symptom(&self, systemd: &mut Systemd, deadline: Instant, duties: &mut DutyWatch) -> Health {
        if let Some(symptom) = unowned(systemd, &self.bus_name, deadline)? {
            return Ok(Some(symptom));
        }
        let speeds = match self.fans.speeds() {
            Err(error @ HardwareError::Read { .. }) => return Ok(Some(error.to_string())),
            other => other?,
        };
        if speeds.is_empty() {
            return Ok(Some(format!("no tachometer matches {}", self.fans.tachometers)));
        }
        if let Some((fan, speed)) = speeds.iter().find(|(_, speed)| *speed < self.tach_minimum) {
            return Ok(Some(format!("{fan} reads {speed}, below {}", self.tach_minimum)));
        }
        let writes = self.fans.duty_writes()?;
        if writes.is_empty() {
            return Ok(Some(format!("no output matches {}", self.fans.outputs)));
        }
        Ok(duties.stale(writes, SystemTime::now()))
    }

    /// Sets the fans to their fail-safe duty, through a mux that is still held and no other.
    fn leave_safe(&self, request: &Request) -> Result<(), Failure> {
        match self.service.mux.is_held() {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                request.warn(&format!("fans are left as they are: {error}"));
                return Ok(());
            }
        }
        match self.fans.set_duty(self.fail_safe_duty) {
            Ok(0) => request.warn(&format!(
                "no fan to leave safe: no output matches {}",
                self.fans.outputs
            )),
            Ok(fans) => request.info(&format!("left {fans} fans at {}", self.fail_safe_duty)),
            // The mux may have gone between the look and the write; then the fans are the sibling's.
            Err(error) if self.service.mux.is_held()? => return Err(error.into()),
            Err(error) => request.warn(&format!(
                "the mux was lost before the fans were left safe: {error}"
            )),
        }
        Ok(())
    }
}

/// Tells whether outputs are being written, also across a step of the clock: an output whose time is out of range is
/// fresh all the same once it is seen to change while a monitor watches. Fan control that writes too seldom for that is
/// restarted in place after such a step, at worst.
#[derive(Debug)]
struct DutyWatch {
    max_age: Duration,
    first_seen: BTreeMap<String, SystemTime>,
}

impl DutyWatch {
    fn new(max_age: Duration) -> Self {
        Self {
            max_age,
            first_seen: BTreeMap::new(),
        }
    }

    fn stale(&mut self, writes: Vec<(String, SystemTime)>, now: SystemTime) -> Option<String> {
        let mut stale = None;
        for (output, written) in writes {
            let first = *self.first_seen.entry(output.clone()).or_insert(written);
            let in_range = match now.duration_since(written) {
                Ok(age) => age <= self.max_age,
                // A file system keeps time more coarsely than the clock runs.
                Err(ahead) => ahead.duration() <= Duration::from_secs(1),
            };
            if !in_range && first == written {
                stale = Some(format!(
                    "{output} was not written for {} s",
                    self.max_age.as_secs_f32()
                ));
            }
        }
        stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_AGE: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn look(watch: &mut DutyWatch, written: u64, now: u64) -> Option<String> {
        watch.stale(vec![("pwm1".into(), at(written))], at(now))
    }

    #[test]
    fn an_output_that_is_written_often_enough_is_fresh() {
        let mut watch = DutyWatch::new(MAX_AGE);
        assert_eq!(look(&mut watch, 100, 110), None);
        assert_eq!(
            look(&mut watch, 100, 111).as_deref(),
            Some("pwm1 was not written for 10 s")
        );
    }

    #[test]
    fn one_stale_output_among_fresh_ones_is_seen() {
        let mut watch = DutyWatch::new(MAX_AGE);
        let writes = vec![("pwm1".into(), at(50)), ("pwm2".into(), at(100))];
        assert!(
            watch
                .stale(writes, at(101))
                .is_some_and(|symptom| symptom.starts_with("pwm1"))
        );
    }

    #[test]
    fn a_step_of_the_clock_does_not_make_a_live_output_stale() {
        for now in [5000, 1] {
            let mut watch = DutyWatch::new(MAX_AGE);
            assert!(look(&mut watch, 100, now).is_some());
            assert_eq!(look(&mut watch, 101, now), None);
        }
    }
}
