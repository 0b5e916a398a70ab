//! Compares the settings of both BMCs, byte by byte and with their metadata.

use std::path::Path;

use copies::Copy;

use crate::Lab;
use crate::error::{LabError, Result};
use crate::node::Node;

/// The folders that the lab's list replicates (`data-sync.d/openbmc.json`).
pub const REPLICATED: [&str; 5] = [
    "/var/lib/phosphor-settings-manager/settings",
    "/etc/ssl/certs/https",
    "/etc/systemd/network",
    "/etc/bmc-users",
    "/var/lib/bmc-notes",
];

impl Lab {
    /// Every path at which the replicated settings of the two BMCs are not the same, in words, `bmc0` being the first;
    /// none when they are equal. Both BMCs have to run.
    ///
    /// # Errors
    /// When a BMC does not run or a setting cannot be read.
    pub fn differences(&self) -> Result<Vec<String>> {
        let mut differences = Vec::new();
        for folder in REPLICATED {
            let [left, right] = [self.copy(Node::Bmc0, folder)?, self.copy(Node::Bmc1, folder)?];
            let here = left.differences(&right).into_iter();
            differences.extend(here.map(|difference| format!("{folder}/{difference}")));
        }
        Ok(differences)
    }

    /// Fails unless the replicated settings of both BMCs are the same, byte by byte and with their metadata.
    ///
    /// # Errors
    /// [`LabError::State`] with every difference.
    pub fn assert_equal_settings(&self) -> Result<()> {
        let differences = self.differences()?;
        if differences.is_empty() {
            return Ok(());
        }
        Err(LabError::State(format!(
            "the settings differ:\n{}",
            differences.join("\n")
        )))
    }

    fn copy(&self, node: Node, folder: &str) -> Result<Copy> {
        let top = self.inside(node, folder)?;
        Copy::read(&top, &[]).map_err(LabError::io("read", Path::new(folder)))
    }
}
