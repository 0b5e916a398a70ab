//! Scenario tests: two real BMCs on one emulated chassis, and what must hold whatever is lost.
//!
//! `scripts/test scenarios [FILTER]` runs them, one after the other, on one lab. Before each the lab is settled:
//! both BMCs online, one Active, the other in sync. After each it has to settle again, and the five invariants of
//! docs/architecture.md have to hold from the scenario's beginning on.

mod bad_input;
mod directions;
mod failover;
mod killed;
mod labs;
mod notify;
mod ocf_tester;
mod pacing;
mod partition;
mod passive;
mod readiness;
mod settings;
mod stage;
mod start;
mod storm;
mod switchover;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Trial};

use stage::{Scenario, World};

/// All scenarios, cheap and basic first: when these fail, the rest will.
const SCENARIOS: &[&[Scenario]] = &[
    bad_input::SCENARIOS,
    labs::SCENARIOS,
    start::SCENARIOS,
    ocf_tester::SCENARIOS,
    switchover::SCENARIOS,
    readiness::SCENARIOS,
    settings::SCENARIOS,
    notify::SCENARIOS,
    pacing::SCENARIOS,
    killed::SCENARIOS,
    passive::SCENARIOS,
    directions::SCENARIOS,
    failover::SCENARIOS,
    partition::SCENARIOS,
    storm::SCENARIOS,
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if let Err(error) = lab::clear_when_interrupted(&[stage::LAB, labs::SECOND_LAB]) {
        eprintln!(
            "{error}: after an interrupt, take the labs down with: lab down --name {}",
            stage::LAB
        );
    }
    // They share one lab.
    arguments.test_threads = Some(1);
    let world = Arc::new(Mutex::new(World::default()));
    let trials = SCENARIOS
        .iter()
        .flat_map(|group| group.iter())
        .map(|scenario| {
            let world = Arc::clone(&world);
            Trial::test(scenario.name, move || {
                // A scenario that panicked leaves the lab as any other that failed: it is settled or made anew.
                let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
                world.play(scenario).map_err(Into::into)
            })
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Takes the lab down before the process ends: `exit` would not drop it.
    world.lock().unwrap_or_else(PoisonError::into_inner).close();
    conclusion.exit_code()
}
