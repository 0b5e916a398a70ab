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
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;

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

/// Runs schedules, each from the next seed on, until all up to `end` are run or one fails, in whichever thread.
fn run(next: &AtomicU64, end: u64) -> Tally {
    let mut tally = Tally::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return tally;
        }
        let mut world = World::new(seed);
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| world.run(STEPS)));
        if let Err(cause) = outcome {
            next.store(end, Ordering::Relaxed);
            eprintln!("replay this schedule with BMC_SIM_SEED={seed}");
            std::panic::resume_unwind(cause);
        }
        tally.add(&world.tally);
    }
}

#[test]
fn whatever_happens_nothing_acknowledged_is_lost_and_peace_brings_equal_copies() {
    let first = number("BMC_SIM_SEED");
    let count = number("BMC_SIM_COUNT").unwrap_or(if first.is_some() { 1 } else { SCHEDULES });
    let first = first.unwrap_or(0);
    let seeds = first..first + count;
    let next = AtomicU64::new(seeds.start);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let run = || run(&next, seeds.end);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let outcomes = threads.into_iter().map(ScopedJoinHandle::join);
        outcomes
            .map(|outcome| outcome.unwrap_or_else(|cause| std::panic::resume_unwind(cause)))
            .collect()
    });
    let mut total = Tally::default();
    tallies.iter().for_each(|tally| total.add(tally));
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
