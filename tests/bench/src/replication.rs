//! Replication next to what it replaces: phosphor-data-sync's rsync per event through stunnel, and lsyncd, in the same
//! run, between the same two BMCs, encrypted all.

mod changes;
mod contender;
mod cost;
mod full_sync;
mod memory;
mod remote;
mod round_trip;
mod tunnel;

use anyhow::{Result, ensure};
use lab::{Lab, Node};

use crate::stats::{Summary, milliseconds, ratio};
use crate::table;

use contender::Contender;
use cost::{Cost, Idle};
use round_trip::RoundTrip;
use tunnel::Tunnel;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Changes of 1 KiB, one after the other; a tenth as many of 1 MiB.
    pub(crate) changes: u32,
    /// Files written at once.
    pub(crate) burst: u32,
    /// Settings that are changed twice, the second time once the first change has arrived.
    pub(crate) rewrites: u32,
    /// Sizes of full synchronisations, in files.
    pub(crate) full_syncs: &'static [u32],
    /// Numbers of files at which the bridge's memory is read.
    pub(crate) memory: &'static [u32],
}

impl Plan {
    /// Everything; about a quarter of an hour, most of it rsync's.
    pub(crate) const fn whole(changes: u32) -> Self {
        Self {
            changes,
            burst: 1000,
            rewrites: 40,
            full_syncs: &[2_000, 20_000],
            memory: &[2_000, 20_000, 100_000],
        }
    }

    /// Enough to see that all of it works; about two minutes.
    pub(crate) const QUICK: Self = Self {
        changes: 20,
        burst: 50,
        rewrites: 5,
        full_syncs: &[500],
        memory: &[500],
    };
}

/// A line of the table: what one contender needed for one thing.
struct Line {
    time: Option<Summary>,
    cost: Cost,
    /// Changes that were given up on.
    lost: usize,
}

/// Measures the cases whose name contains `only` and prints them; the memory as well where all are wanted.
pub(crate) fn run(lab: &Lab, active: Node, plan: Plan, only: &str) -> Result<()> {
    let cases: Vec<Case> = cases(plan)
        .into_iter()
        .filter(|case| case.name.contains(only))
        .collect();
    ensure!(!cases.is_empty(), "no case's name contains {only:?}");
    let tunnel = Tunnel::up(lab, active)?;
    let idle = Idle::of(lab)?;
    let bench = Bench {
        lab,
        active,
        tunnel: &tunnel,
        idle,
    };
    let round_trip = round_trip::measure(lab, active, plan.changes)?;
    print_round_trip(&round_trip);

    let mut rows = vec![table::row([
        "",
        "p50",
        "p99",
        "rsync takes",
        "CPU",
        "KiB sent",
        "never arrived",
    ])];
    for case in cases {
        eprintln!("bench: {}", case.name);
        let mut lines = Vec::new();
        for contender in case.contenders {
            lines.push((*contender, (case.measure)(&bench, *contender)?));
        }
        rows.push(vec![case.name.clone()]);
        let rsync = lines
            .iter()
            .find(|(contender, _)| *contender == Contender::Rsync)
            .and_then(|(_, line)| line.time);
        rows.extend(
            lines
                .iter()
                .map(|(contender, line)| cells(*contender, line, rsync)),
        );
    }
    drop(tunnel);
    table::print("Replication", &rows);
    println!("{LEGEND}");
    if only.is_empty() {
        memory::run(lab, active, plan.memory)?;
    }
    Ok(())
}

const LEGEND: &str = "
  All times are from close() of the last write, or from the start of a full sync, until the last change is visible on
  the Passive under its name. bmc-ha and rsync --fsync make a file durable before it gets its name; rsync as
  phosphor-data-sync runs it, and lsyncd, leave that to the kernel. CPU: corosync and bridge, or rsync, stunnel and what
  starts rsync, on both BMCs. Sent: by both, on both links; Corosync sends everything on each of the two. Both without
  what an idle cluster uses. A full sync is of files that were looked at after they were written; for the first time bmc-ha
  reads once more what it saw in the moment of its change, as it does by itself 3 s later.";

/// What all cases measure with.
struct Bench<'lab> {
    lab: &'lab Lab,
    active: Node,
    tunnel: &'lab Tunnel<'lab>,
    idle: Idle,
}

type Measure = dyn Fn(&Bench<'_>, Contender) -> Result<Line>;

/// Something that is measured for several contenders.
struct Case {
    name: String,
    contenders: &'static [Contender],
    measure: Box<Measure>,
}

const ALL: &[Contender] = &[
    Contender::BmcHa,
    Contender::Rsync,
    Contender::RsyncDurable,
    Contender::Lsyncd,
];

fn cases(plan: Plan) -> Vec<Case> {
    let mut cases = vec![
        Case {
            name: format!("change of 1 KiB, {} times", plan.changes),
            contenders: ALL,
            measure: Box::new(move |bench, contender| bench.changes(contender, plan.changes, 1 << 10)),
        },
        Case {
            name: format!("change of 1 MiB, {} times", plan.changes / 10),
            contenders: ALL,
            measure: Box::new(move |bench, contender| bench.changes(contender, plan.changes / 10, 1 << 20)),
        },
        Case {
            name: format!("{} new files of 1 KiB at once", plan.burst),
            contenders: ALL,
            measure: Box::new(move |bench, contender| bench.burst(contender, plan.burst)),
        },
        Case {
            name: format!("second change of the same size, {} times", plan.rewrites),
            contenders: ALL,
            measure: Box::new(move |bench, contender| bench.rewrites(contender, plan.rewrites)),
        },
        Case {
            name: "64 MiB with one changed page".to_owned(),
            contenders: ALL,
            measure: Box::new(|bench, contender| bench.one_page(contender)),
        },
    ];
    for &files in plan.full_syncs {
        for state in full_sync::Copy::ALL {
            cases.push(Case {
                name: format!("full sync of {files} files of 2 KiB, {state}"),
                // lsyncd runs one rsync.
                contenders: &[Contender::BmcHa, Contender::Rsync, Contender::RsyncDurable],
                measure: Box::new(move |bench, contender| bench.full_sync(contender, files, state)),
            });
        }
    }
    cases
}

fn cells(contender: Contender, line: &Line, rsync: Option<Summary>) -> Vec<String> {
    let time = |part: fn(&Summary) -> std::time::Duration| {
        line.time
            .as_ref()
            .map_or_else(|| "-".to_owned(), |time| milliseconds(part(time)))
    };
    let factor = match (&line.time, rsync) {
        (Some(time), Some(rsync)) => ratio(rsync.median, time.median),
        _ => "-".to_owned(),
    };
    table::row([
        &format!("  {contender}"),
        &time(|time| time.median),
        &time(|time| time.p99),
        &factor,
        &milliseconds(line.cost.cpu),
        &(line.cost.bytes / 1024).to_string(),
        &line.lost.to_string(),
    ])
}

fn print_round_trip(round_trip: &RoundTrip) {
    let cells = |name: &str, summary: Summary| {
        table::row([name, &milliseconds(summary.median), &milliseconds(summary.p99)])
    };
    let rows = [
        table::row(["below everything", "p50", "p99"]),
        cells("CPG round trip of 1 KiB, encrypted", round_trip.message),
        cells(
            "the same when nothing was sent for 100 ms",
            round_trip.message_at_rest,
        ),
        cells(
            "write, fsync, rename, fsync of the directory",
            round_trip.durable_write,
        ),
    ];
    table::print("What a change cannot be faster than", &rows);
}
