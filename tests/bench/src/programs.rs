//! Brings this program and the hello world into a BMC: where they were built need not be visible there.

use std::fs;

use anyhow::{Context as _, Result};
use lab::{Lab, Node};

/// Folder of the lab's own programs in a BMC.
const FOLDER: &str = "/usr/libexec/bmc-ha-lab";

/// Copies the program called `name`, from beside this one, into both BMCs.
pub(crate) fn install(lab: &Lab, name: &str) -> Result<()> {
    let source = std::env::current_exe()
        .context("find the running program")?
        .with_file_name(name);
    for node in Node::BOTH {
        let target = lab.inside(node, &path(name))?;
        fs::copy(&source, &target)
            .with_context(|| format!("copy {} to {}", source.display(), target.display()))?;
    }
    Ok(())
}

/// Where [`install`] puts it.
pub(crate) fn path(name: &str) -> String {
    format!("{FOLDER}/{name}")
}
