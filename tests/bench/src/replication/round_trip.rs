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
    /// The same after a span without messages: Corosync's token rests, and the message has to wake it.
    pub(super) message_at_rest: Summary,
    /// What the receiver of a small change does with its disk.
    pub(super) durable_write: Summary,
}

/// Measures each `count` times.
pub(super) fn measure(lab: &Lab, active: Node, count: u32) -> Result<RoundTrip> {
    let count = count.to_string();
    let mut echo = Remote::start(lab, active.sibling(), &["cpg-echo"])?;
    echo.read()?;
    let ping = |at_rest: &[&str]| {
        let argv = [&["cpg-ping", "--count", &count, "--size", SIZE], at_rest].concat();
        summary(Remote::start(lab, active, &argv)?).context("no CPG round trip was measured")
    };
    let (message, message_at_rest) = (ping(&[])?, ping(&["--at-rest"])?);
    let write = Remote::start(
        lab,
        active.sibling(),
        &["write-durably", "--count", &count, "--size", SIZE],
    )?;
    let durable_write = summary(write).context("no durable write was measured")?;
    Ok(RoundTrip {
        message,
        message_at_rest,
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
