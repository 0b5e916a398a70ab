//! Memory of both bridges as files become more.

use anyhow::{Context as _, Result};
use lab::{Lab, Node};

use super::contender::{Contender, clear};
use super::cost::flush;
use super::full_sync::fill;
use crate::table;

/// Prints it at rest and at each of `counts`, which ascend.
pub(super) fn run(lab: &Lab, active: Node, counts: &[u32]) -> Result<()> {
    let mut rows = vec![table::row(["files of 2 KiB", "Active", "Passive"])];
    let mut made = 0;
    for &count in [0].iter().chain(counts) {
        eprintln!("bench: memory with {count} files");
        fill(lab, active, Contender::BmcHa.folder(), made, count)?;
        made = count;
        flush(lab, active)?;
        let (source, copy) = (resident(lab, active)?, resident(lab, active.sibling())?);
        rows.push(table::row([&count.to_string(), &source, &copy]));
    }
    clear(lab, active, Contender::BmcHa)?;
    table::print("Resident memory of the bridge", &rows);
    Ok(())
}

/// Resident memory of a BMC's bridge, in KiB (`VmRSS`, proc(5)).
fn resident(lab: &Lab, node: Node) -> Result<String> {
    let show = ["systemctl", "show", "--value", "--property=MainPID"];
    let pid = lab.run(node, &[&show[..], &["corosync-bridge.service"]].concat())?;
    let status = lab.run(node, &["cat", &format!("/proc/{}/status", pid.trim())])?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS line")?;
    Ok(line.trim().to_owned())
}
