//! The system's D-Bus, on which nothing can hang, and systemd's units over it.
//!
//! The agents start and stop services by it, the bridge tells services that their settings have changed. No async
//! runtime and no C library: whoever uses this has milliseconds, or a thread of its own.

pub mod connection;
pub mod systemd;

pub use connection::{Bus, BusError};
pub use systemd::{Systemd, SystemdError, UnitState};
