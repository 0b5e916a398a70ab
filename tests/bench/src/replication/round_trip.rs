//! What a change cannot be faster than: a message and its answer, and making a file durable.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::{Lab, Node};

use super::remote::Remote;
use crate::stats::Summary;

/// Bytes of a message, and of a file.
const SIZE: &str = "1024";

/// Medians and tails.
pub(super) struct RoundTrip {
    /// Multicast and the sibling's answer, in a group of its own on the same Corosync.
    pub(super) message: Summary,
    /// What the receiver of a small change does with its disk.
    pub(super) durable_write: Summary,
}

/// Measures both `count` times.
pub(super) fn measure(lab: &Lab, active: Node, count: u32) -> Result<RoundTrip> {
    let count = count.to_string();
    let mut echo = Remote::start(lab, active.sibling(), &["cpg-echo"])?;
    echo.read()?;
    let ping = Remote::start(lab, active, &["cpg-ping", "--count", &count, "--size", SIZE])?;
    let message = summary(ping).context("no CPG round trip was measured")?;
    let write = Remote::start(
        lab,
        active.sibling(),
        &["write-durably", "--count", &count, "--size", SIZE],
    )?;
    let durable_write = summary(write).context("no durable write was measured")?;
    Ok(RoundTrip {
        message,
        durable_write,
    })
}

fn summary(mut remote: Remote) -> Option<Summary> {
    let mut times = Vec::new();
    while let Ok((_, microseconds)) = remote.read() {
        times.push(Duration::from_micros(microseconds));
    }
    Summary::of(times)
}
