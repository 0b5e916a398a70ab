//! Power control: shows whether the host has power, and switches it when asked.
//!
//! Starting never switches anything: a new Active finds the host as it is.

use std::convert::Infallible;

use crate::bus::{Bus, BusError, Fault};
use crate::hardware::{Hardware, HardwareError};
use crate::objects::{Access, Objects, Value, Values};
use crate::options::Options;

const INTERFACE: &str = "xyz.openbmc_project.State.Chassis";
const CURRENT: &str = "CurrentPowerState";
const REQUESTED: &str = "RequestedPowerTransition";
const STATE_ON: &str = "xyz.openbmc_project.State.Chassis.PowerState.On";
const STATE_OFF: &str = "xyz.openbmc_project.State.Chassis.PowerState.Off";
const TRANSITION_ON: &str = "xyz.openbmc_project.State.Chassis.Transition.On";
const TRANSITION_OFF: &str = "xyz.openbmc_project.State.Chassis.Transition.Off";

/// Why power control ended.
#[derive(Debug, thiserror::Error)]
pub enum PowerControlError {
    /// The hardware does not answer.
    #[error("control host power: {0}")]
    Hardware(#[from] HardwareError),
    /// The bus cannot be served.
    #[error("control host power: {0}")]
    Bus(#[from] BusError),
}

/// The name that the service of a chassis owns.
pub fn bus_name(chassis: u8) -> String {
    format!("xyz.openbmc_project.State.Chassis{chassis}")
}

/// The object of a chassis.
pub fn object_path(chassis: u8) -> String {
    format!("/xyz/openbmc_project/state/chassis{chassis}")
}

/// Follows the host's power until something fails.
pub fn run(options: &Options, chassis: u8) -> Result<Infallible, PowerControlError> {
    let hardware = Hardware::new(&options.hardware);
    let mut power_good = hardware.power_good()?;
    let path = object_path(chassis);
    let on = power_good.read()?;
    let mut objects = Objects::default();
    let transition = if on { TRANSITION_ON } else { TRANSITION_OFF };
    objects.add(&path, INTERFACE, CURRENT, Access::Read, state(on));
    objects.add(&path, INTERFACE, REQUESTED, Access::ReadWrite, transition.into());
    let setter = Box::new(move |_: &str, _: &str, _: &str, transition: &str| request(&hardware, transition));
    let bus = Bus::serve(&options.bus, &bus_name(chassis), objects, setter)?;
    loop {
        power_good.wait()?;
        bus.check()?;
        let on = power_good.read()?;
        bus.update(&path, INTERFACE, Values::from([(CURRENT.into(), state(on))]))?;
    }
}

fn state(on: bool) -> Value {
    if on { STATE_ON.into() } else { STATE_OFF.into() }
}

fn request(hardware: &Hardware, transition: &str) -> Result<(), Fault> {
    let on = match transition {
        TRANSITION_ON => true,
        TRANSITION_OFF => false,
        _ => {
            let expected = format!("{TRANSITION_ON} or {TRANSITION_OFF}");
            return Err(Fault::invalid_args(format!(
                "transition {transition}: expected {expected}"
            )));
        }
    };
    hardware
        .request_power(on)
        .map_err(|error| Fault::failed(error.to_string()))
}
