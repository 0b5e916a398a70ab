//! What bmc-ha takes on flash.

use std::fs;

use anyhow::{Context as _, Result};

use crate::table;

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
