//! OCF resource agents and a fence agent for a pair of BMCs, and the library that they stand on.
//!
//! [`agents`] are the resource agents and [`fence`] the fence agent. [`ocf`] does the OCF Resource Agent API for them,
//! [`systemd`] the units, over a D-Bus connection of [`bus`] that cannot hang, and [`hardware`] the chassis.

pub mod agents;
pub mod bus;
pub mod fence;
pub mod hardware;
pub mod ocf;
pub mod systemd;

#[cfg(test)]
#[path = "../tests/support/script.rs"]
mod script;
