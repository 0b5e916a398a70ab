//! The Active's power cut: the whole of bmc-ha (fencing, settings, mux, fans, address) next to stock Pacemaker that
//! moves one address and fences nobody.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::{Lab, Options, Provision, Stage, Timeline, deadline};

use crate::stats::{Summary, milliseconds, ratio};
use crate::{LAB, table};

/// Corosync's default token timeout, and one for a pair on a short wire.
const TOKENS: [Duration; 2] = [Duration::from_millis(1000), Duration::from_millis(300)];

/// Measures `rounds` power cuts at each token timeout, ours and stock in turns.
pub(crate) fn run(rounds: u32) -> Result<()> {
    for token in TOKENS {
        let ours = timelines(token, rounds)?;
        let stock = stock(token, rounds)?;
        print(token, &ours, &stock)?;
    }
    Ok(())
}

/// Failovers of the whole stack, each from a pair at rest.
fn timelines(token: Duration, rounds: u32) -> Result<Vec<Timeline>> {
    eprintln!("bench: bmc-ha, token {} ms", token.as_millis());
    let lab = Lab::up(&Options::named(LAB)?)?;
    lab.provision(&Provision {
        token,
        ..Provision::default()
    })?;
    let prober = lab.probe_address()?;
    let mut timelines = Vec::new();
    for _ in 0..rounds {
        let active = lab.settle()?;
        let mark = lab.chassis()?.mark("power cut")?;
        lab.cut_power(active)?;
        let lost = prober.wait_for(false, mark.at, deadline::FAILOVER)?;
        let answers = prober.wait_for(true, lost, deadline::FAILOVER)?;
        lab.wait_active(active.sibling(), deadline::FAILOVER)?;
        timelines.push(Timeline::of_failover(&lab, mark, active, Some(answers))?);
    }
    drop(prober);
    lab.down()?;
    Ok(timelines)
}

/// Failovers of one address on stock Pacemaker without fencing: power cut to the address answering.
fn stock(token: Duration, rounds: u32) -> Result<Vec<Duration>> {
    eprintln!("bench: stock Pacemaker, token {} ms", token.as_millis());
    let lab = Lab::up(&Options::named(LAB)?)?;
    lab.provision_stock(token)?;
    let prober = lab.probe_address()?;
    let mut times = Vec::new();
    for _ in 0..rounds {
        let holder = lab.settle_stock()?;
        let mark = lab.chassis()?.mark("power cut, stock")?;
        lab.cut_power(holder)?;
        let lost = prober.wait_for(false, mark.at, deadline::FAILOVER)?;
        times.push(prober.wait_for(true, lost, deadline::FAILOVER)?.since(mark.at));
    }
    drop(prober);
    lab.down()?;
    Ok(times)
}

fn print(token: Duration, ours: &[Timeline], stock: &[Duration]) -> Result<()> {
    let stock = Summary::of(stock.to_vec())
        .context("stock Pacemaker was not measured")?
        .median;
    let mut rows = vec![table::row(["from the power cut", "median", "to stock"])];
    rows.push(table::row([
        "stock: address answers, nobody fenced",
        &milliseconds(stock),
        "1.00x",
    ]));
    for stage in Stage::ALL {
        if let Some(median) = median(ours, |timeline| timeline.at(stage)) {
            rows.push(table::row([
                stage.describe(),
                &milliseconds(median),
                &ratio(median, stock),
            ]));
        }
    }
    if let Some(gap) = median(ours, Timeline::fan_gap) {
        rows.push(table::row([
            "gap in fan control",
            &milliseconds(gap),
            &ratio(gap, stock),
        ]));
    }
    let rounds = ours.len();
    table::print(
        &format!("Failover at token {} ms, {rounds} power cuts", token.as_millis()),
        &rows,
    );
    Ok(())
}

/// The median over those timelines that have it.
fn median(timelines: &[Timeline], time: impl Fn(&Timeline) -> Option<Duration>) -> Option<Duration> {
    Summary::of(timelines.iter().filter_map(time).collect()).map(|summary| summary.median)
}
