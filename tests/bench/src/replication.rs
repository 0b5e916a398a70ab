//! A changed setting, from close() on the Active until it is visible on the Passive.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::{Lab, Node};

use crate::stats::{Summary, milliseconds, ratio};
use crate::{OWN_NAME, programs, table};

/// A folder of settings that the lab replicates.
const FOLDER: &str = "/var/lib/phosphor-settings-manager/settings/bench";
/// One setting; phosphor-settings' own files are smaller.
const SIZE: usize = 1024;

/// Measures `count` changes, one after the other, and `count` CPG round trips of the same size.
pub(crate) fn run(lab: &Lab, active: Node, count: u32) -> Result<()> {
    let passive = active.sibling();
    let size = SIZE.to_string();
    let mut writer = Inside::start(
        lab,
        active,
        &["write-settings", "--folder", FOLDER, "--size", &size],
    )?;
    // The folder has to be there before it can be watched.
    writer.write("0")?;
    writer.read()?;
    lab.wait_setting(
        passive,
        &format!("{FOLDER}/0"),
        &lab.read_setting(active, &format!("{FOLDER}/0"))?,
    )?;
    let mut watcher = Inside::start(lab, passive, &["watch-settings", "--folder", FOLDER])?;
    watcher.read()?;

    let mut times = Vec::new();
    for number in 1..=count {
        let name = number.to_string();
        writer.write(&name)?;
        let (_, closed) = writer.read()?;
        let visible = loop {
            let (seen, at) = watcher.read()?;
            if seen == name {
                break at;
            }
        };
        times.push(Duration::from_micros(visible.saturating_sub(closed)));
    }
    drop((writer, watcher));
    lab.run(active, &["rm", "-r", FOLDER])?;

    let change = Summary::of(times).context("nothing was measured")?;
    let round_trip = cpg_round_trip(lab, active, count)?;
    let cells = |name: &str, summary: Summary| {
        let (median, p99) = (milliseconds(summary.median), milliseconds(summary.p99));
        table::row([name, &median, &p99, &ratio(summary.median, round_trip.median)])
    };
    let rows = [
        table::row(["1 KiB", "median", "p99", "to a round trip"]),
        cells("CPG round trip, encrypted", round_trip),
        cells("setting: close() to visible, durable", change),
    ];
    table::print(&format!("Replication, {count} changes"), &rows);
    Ok(())
}

/// Multicast and the sibling's answer, in a group of its own on the same corosync.
fn cpg_round_trip(lab: &Lab, active: Node, count: u32) -> Result<Summary> {
    let mut echo = Inside::start(lab, active.sibling(), &["cpg-echo"])?;
    echo.read()?;
    let (count, size) = (count.to_string(), SIZE.to_string());
    let mut ping = Inside::start(lab, active, &["cpg-ping", "--count", &count, "--size", &size])?;
    let mut times = Vec::new();
    while let Ok((_, microseconds)) = ping.read() {
        times.push(Duration::from_micros(microseconds));
    }
    Summary::of(times).context("no CPG round trip was measured")
}

/// A part of this program that runs in a BMC; ends when dropped.
struct Inside {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Inside {
    fn start(lab: &Lab, node: Node, arguments: &[&str]) -> Result<Self> {
        let program = programs::path(OWN_NAME);
        let argv: Vec<&str> = [program.as_str(), "inside"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        let mut child = lab
            .command(node, &argv)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {arguments:?} in {node}"))?;
        let stdin = child.stdin.take().context("no pipe to the BMC")?;
        let stdout = BufReader::new(child.stdout.take().context("no pipe from the BMC")?);
        Ok(Self { child, stdin, stdout })
    }

    fn write(&mut self, line: &str) -> Result<()> {
        writeln!(self.stdin, "{line}").context("write to the BMC")
    }

    /// A word and a time in microseconds.
    fn read(&mut self) -> Result<(String, u64)> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).context("read from the BMC")?;
        let (word, time) = line
            .trim()
            .split_once(' ')
            .with_context(|| format!("the BMC said {line:?}"))?;
        Ok((word.to_owned(), time.parse()?))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // Both fail only when it ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
