//! The resource agents, each a file that reads like its specification.

mod active_service;
mod failure;
pub mod fan;
pub mod mux;
pub mod mux_gate;
pub mod power;
pub mod settings;
mod settings_score;
pub mod target;

use crate::ocf::{Agent, Description, Environment, ExitCode, run};

pub use failure::Failure;
pub use settings_score::promotion_score;

/// An agent by its name.
pub struct Entry {
    /// What it says about itself.
    pub description: &'static Description,
    /// Runs one action of it.
    pub run: fn(Option<&str>, &Environment) -> ExitCode,
}

/// Every resource agent.
pub const ALL: [Entry; 5] = [
    entry::<mux::Mux>(),
    entry::<settings::Settings>(),
    entry::<fan::Fan>(),
    entry::<power::Power>(),
    entry::<target::Target>(),
];

const fn entry<A: Agent>() -> Entry {
    Entry {
        description: A::DESCRIPTION,
        run: run::<A>,
    }
}
