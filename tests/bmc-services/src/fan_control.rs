//! Fan control: every fan's duty follows the temperature, and is written again at every turn.
//!
//! OpenBMC's fan control refreshes its outputs too; hardware and health checks can rely on it. The temperature is read
//! before anything is written, and both lie behind the mux: a BMC that lost the mux fails at the read and writes nothing.

use std::convert::Infallible;
use std::time::Duration;

use rustix::io::Errno;

use crate::bus::{Bus, BusError, Fault};
use crate::hardware::{FANS, Hardware, HardwareError};
use crate::objects::{Access, Objects, Value, Values};
use crate::options::Options;
use crate::ticker::Ticker;

/// The name that the service owns.
pub const BUS_NAME: &str = "xyz.openbmc_project.Control.Thermal";
const MODE_PATH: &str = "/xyz/openbmc_project/control/thermal/0";
const MODE: &str = "xyz.openbmc_project.Control.ThermalMode";
const SENSOR: &str = "xyz.openbmc_project.Sensor.Value";
const OUTPUT: &str = "xyz.openbmc_project.Control.FanPwm";
const RPM_UNIT: &str = "xyz.openbmc_project.Sensor.Value.Unit.RPMS";
/// The only mode that the stand-in has.
const DEFAULT_MODE: &str = "Default";

/// Time between two turns: short against the fans' inertia, and much shorter than any health check's patience.
const TURN: Duration = Duration::from_millis(250);
/// Values go to the bus once per so many turns, that is, once a second.
const TURNS_PER_PUBLISH: u32 = 4;

/// Below this temperature the fans idle.
const IDLE_BELOW_MILLIDEGREES: i64 = 55_000;
/// From this temperature on the fans run at full duty.
const FULL_FROM_MILLIDEGREES: i64 = 75_000;
/// Duty that an idle chassis needs: 30 percent.
const IDLE_DUTY: u8 = 76;

/// Why fan control ended.
#[derive(Debug, thiserror::Error)]
pub enum FanControlError {
    /// The hardware does not answer or refuses.
    #[error("control the fans: {0}")]
    Hardware(#[from] HardwareError),
    /// The bus cannot be served.
    #[error("control the fans: {0}")]
    Bus(#[from] BusError),
    /// The timer failed.
    #[error("control the fans: wait for the next turn: {0}")]
    Timer(#[from] Errno),
}

/// What the fans should do at a temperature.
pub fn duty_for(millidegrees: i64) -> u8 {
    let span = FULL_FROM_MILLIDEGREES - IDLE_BELOW_MILLIDEGREES;
    let above = (millidegrees - IDLE_BELOW_MILLIDEGREES).clamp(0, span);
    let idle = i64::from(IDLE_DUTY);
    let duty = idle + above * (i64::from(u8::MAX) - idle) / span;
    u8::try_from(duty).unwrap_or(u8::MAX)
}

/// Controls the fans until something fails. The first turn comes before the bus: fans must not wait for it.
pub fn run(options: &Options) -> Result<Infallible, FanControlError> {
    let hardware = Hardware::new(&options.hardware);
    let ticker = Ticker::new(TURN)?;
    turn(&hardware)?;
    let setter = Box::new(|_: &str, _: &str, name: &str, _: &str| {
        Err(Fault::invalid_args(format!("{name} cannot be set")))
    });
    let bus = Bus::serve(&options.bus, BUS_NAME, objects(), setter)?;
    loop {
        for _ in 0..TURNS_PER_PUBLISH {
            ticker.wait()?;
            bus.check()?;
            turn(&hardware)?;
        }
        publish(&hardware, &bus)?;
    }
}

/// One turn of the loop.
fn turn(hardware: &Hardware) -> Result<(), HardwareError> {
    let duty = duty_for(hardware.millidegrees()?);
    (0..FANS).try_for_each(|fan| hardware.drive(fan, duty))
}

fn fan_path(fan: usize) -> String {
    format!("/xyz/openbmc_project/sensors/fan_tach/fan{fan}")
}

fn objects() -> Objects {
    let mut objects = Objects::default();
    objects.add(MODE_PATH, MODE, "Current", Access::Read, DEFAULT_MODE.into());
    objects.add(
        MODE_PATH,
        MODE,
        "Supported",
        Access::Read,
        Value::Texts(vec![DEFAULT_MODE.into()]),
    );
    objects.add(MODE_PATH, MODE, "Custom", Access::Read, Value::Flag(false));
    for path in (0..FANS).map(fan_path) {
        objects.add(&path, SENSOR, "Value", Access::Read, Value::Number(f64::NAN));
        objects.add(&path, SENSOR, "Unit", Access::Read, RPM_UNIT.into());
        objects.add(&path, OUTPUT, "Target", Access::Read, Value::Count(0));
    }
    objects
}

fn publish(hardware: &Hardware, bus: &Bus) -> Result<(), FanControlError> {
    let target = Value::Count(u64::from(duty_for(hardware.millidegrees()?)));
    for fan in 0..FANS {
        let speed = Value::Number(f64::from(hardware.rpm(fan)?));
        bus.update(&fan_path(fan), SENSOR, Values::from([("Value".into(), speed)]))?;
        bus.update(
            &fan_path(fan),
            OUTPUT,
            Values::from([("Target".into(), target.clone())]),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_duty_rises_with_the_temperature_between_idle_and_full() {
        assert_eq!(duty_for(-10_000), IDLE_DUTY);
        assert_eq!(duty_for(55_000), IDLE_DUTY);
        assert_eq!(duty_for(65_000), 165);
        assert_eq!(duty_for(75_000), 255);
        assert_eq!(duty_for(200_000), 255);
    }
}
