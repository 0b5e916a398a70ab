//! What bmc-ha takes on flash and in memory.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::{Lab, Node};

use crate::table;

/// Files written before the bridge's memory is read a second time.
const FILES: u32 = 2_000;
/// A folder of settings that the lab replicates.
const FOLDER: &str = "/var/lib/phosphor-settings-manager/settings/bench-memory";
/// How long the flush of all those files may take.
const FLUSH_DEADLINE: Duration = Duration::from_secs(120);

/// Prints the size of each program that a BMC installs.
pub(crate) fn programs() -> Result<()> {
    let own = std::env::current_exe().context("find the running program")?;
    let mut rows = vec![table::row(["program", "KiB on flash"])];
    for name in ["ocf-agents", "corosync-bridge", "bmc-ha"] {
        let path = own.with_file_name(name);
        let bytes = fs::metadata(&path)
            .with_context(|| format!("find {}", path.display()))?
            .len();
        rows.push(table::row([name, &(bytes / 1024).to_string()]));
    }
    table::print("Size, stripped", &rows);
    Ok(())
}

/// Prints the memory of both bridges at rest and after [`FILES`] files.
pub(crate) fn memory(lab: &Lab, active: Node) -> Result<()> {
    let mut rows = vec![table::row(["resident memory", "Active", "Passive"])];
    let mut measure = |what: &str| -> Result<()> {
        let (source, copy) = (resident(lab, active)?, resident(lab, active.sibling())?);
        rows.push(table::row([what, &source, &copy]));
        Ok(())
    };
    measure("bridge at rest")?;
    for number in 0..FILES {
        lab.write_setting(active, &format!("{FOLDER}/{number}"), &format!("{number:0>1024}"))?;
    }
    lab.bridge(active)?
        .run(bmc_bridge_control::Command::Flush, FLUSH_DEADLINE)
        .context("flush the settings")?;
    measure(&format!("bridge after {FILES} files"))?;
    lab.run(active, &["rm", "-r", FOLDER])?;
    table::print("Memory", &rows);
    Ok(())
}

/// Resident memory of a BMC's bridge, in KiB (`VmRSS`, proc(5)).
fn resident(lab: &Lab, node: Node) -> Result<String> {
    let pid = lab.run(
        node,
        &[
            "systemctl",
            "show",
            "--value",
            "--property=MainPID",
            "corosync-bridge.service",
        ],
    )?;
    let status = lab.run(node, &["cat", &format!("/proc/{}/status", pid.trim())])?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS line")?;
    Ok(line.trim().to_owned())
}
