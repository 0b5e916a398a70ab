//! OCF resource agents and a fence agent for a pair of BMCs, and the library that they stand on.
//!
//! [`agents`] are the resource agents and [`fence`] the fence agent. [`ocf`] does the OCF Resource Agent API for them and
//! [`hardware`] the chassis; units are systemd's, over a D-Bus connection of [`bmc_system_bus`] that cannot hang.

pub mod agents;
pub mod fence;
pub mod hardware;
pub mod ocf;

#[cfg(test)]
#[path = "../tests/support/script.rs"]
mod script;
