//! The templates, held to the installed Pacemaker: its schema, its scheduler, its tools; and to
//! our agents. No cluster is needed.

// The world-building helpers are no #[test] functions themselves, but fail a test all the same.
#![allow(clippy::unwrap_used)]

mod agents;
mod paper;
mod scheduler;
mod schema;
