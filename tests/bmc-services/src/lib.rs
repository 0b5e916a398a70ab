//! Stand-ins for the OpenBMC services of the lab: fan control and power control of the emulated chassis, under the bus
//! names and with the properties that OpenBMC's services have.
//!
//! Navigating: [`fan_control`] and [`power_control`] are the services; [`hardware`] reads and writes the chassis's files;
//! [`bus`] is the D-Bus server beneath both, over a [`connection`] and the tree of [`objects`].

pub mod bus;
pub mod connection;
pub mod fan_control;
pub mod hardware;
pub mod objects;
pub mod options;
pub mod power_control;
pub mod ticker;
