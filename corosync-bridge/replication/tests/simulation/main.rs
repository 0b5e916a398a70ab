//! Whole groups of nodes in one process: seeded schedules of writes, promotions, crashes, power cuts,
//! partitions, full disks and lost notifications, on a disk that forgets what was not synced.
//!
//! `BMC_SIM_SEED=N` replays one schedule; `BMC_SIM_COUNT=N` runs that many, from that seed on;
//! `BMC_SIM_TRACE=1` prints what happens.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::panic,
    reason = "test code; simulated numbers are small"
)]

mod clock;
mod disk;
mod inodes;
mod random;
#[path = "../support/unpacked.rs"]
mod unpacked;
mod world;

use std::panic::AssertUnwindSafe;

use world::{Tally, World};

/// Schedules in an ordinary test run: some seconds.
const SCHEDULES: u64 = 3000;

/// Steps of trouble in a schedule.
const STEPS: usize = 1200;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text}: not a number"))
    })
}

#[test]
fn whatever_happens_nothing_acknowledged_is_lost_and_peace_brings_equal_copies() {
    let first = number("BMC_SIM_SEED");
    let count = number("BMC_SIM_COUNT").unwrap_or(if first.is_some() { 1 } else { SCHEDULES });
    let first = first.unwrap_or(0);
    let seeds = first..first + count;
    let mut total = Tally::default();
    for seed in seeds.clone() {
        let mut world = World::new(seed);
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| world.run(STEPS)));
        if let Err(cause) = outcome {
            eprintln!("replay this schedule with BMC_SIM_SEED={seed}");
            std::panic::resume_unwind(cause);
        }
        total.flushes += world.tally.flushes;
        total.promotions += world.tally.promotions;
        total.synced += world.tally.synced;
        total.resumed += world.tally.resumed;
        total.deposed += world.tally.deposed;
        total.problems += world.tally.problems;
        total.essential += world.tally.essential;
        total.essential_stood += world.tally.essential_stood;
        total.conflicts += world.tally.conflicts;
        total.taken += world.tally.taken;
        total.lost += world.tally.lost;
        total.pieces += world.tally.pieces;
        total.offered_copies += world.tally.offered_copies;
        total.offered_holes += world.tally.offered_holes;
        total.switched_off += world.tally.switched_off;
        total.overtakes += world.tally.overtakes;
        total.renames += world.tally.renames;
        total.copies += world.tally.copies;
        total.remade += world.tally.remade;
        total.refused += world.tally.refused;
        total.holes += world.tally.holes;
        total.clocks_set += world.tally.clocks_set;
        total.told += world.tally.told;
        total.links += world.tally.links;
        total.copied += world.tally.copied;
        total.reused_inodes += world.tally.reused_inodes;
    }
    println!("schedules {seeds:?}: {total:?}");
    if seeds.end - seeds.start >= 100 {
        for (what, count) in [
            ("flush", total.flushes),
            ("promotion", total.promotions),
            ("comparison", total.synced),
            ("resumption", total.resumed),
            ("deposition", total.deposed),
            ("problem", total.problems),
            ("essential data before the rest", total.essential),
            ("essential data without the rest", total.essential_stood),
            ("conflict", total.conflicts),
            ("taking of a Passive's change", total.taken),
            ("losing of one", total.lost),
            ("large content of a Passive", total.pieces),
            ("delta of a Passive", total.offered_copies),
            ("hole of a Passive", total.offered_holes),
            ("pause", total.switched_off),
            ("overtaking of a large content", total.overtakes),
            ("rename", total.renames),
            ("delta", total.copies),
            ("delta of what was sent before", total.remade),
            (
                "large content that cannot be made from what is there",
                total.refused,
            ),
            ("hole", total.holes),
            ("setting of a clock", total.clocks_set),
            ("word that something was applied", total.told),
            ("hard link", total.links),
            ("inode number of before", total.reused_inodes),
            ("copy by a program beside a Passive", total.copied),
        ] {
            assert!(count > 0, "no {what} ever happened: the schedules prove nothing");
        }
    }
}
