//! The emulated chassis that two lab BMCs share: mux, four fans, heat, host power, reset lines, event log.
//!
//! It is strict: what hardware would refuse it refuses, and it logs every refusal.

pub mod messages;
