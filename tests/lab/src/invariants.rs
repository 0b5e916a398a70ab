//! The invariants that the chassis's log alone cannot judge: what the BMCs' journals and disks say about them.
//!
//! Invariants 1 and 2 are judged by [`crate::Chassis::assert_invariants`], 3 by [`Lab::assert_equal_settings`].

use std::io;
use std::os::unix::fs::symlink;

use crate::Lab;
use crate::chassis::Mark;
use crate::error::{LabError, Result};
use crate::node::Node;

/// Outside every configured path, and different on each BMC.
const CANARY: &str = "/var/lib/phosphor-settings-manager/canary";
/// Inside a configured path; where it points is not.
const WAY_OUT: &str = "/var/lib/phosphor-settings-manager/settings/way-out";

/// Invariant 4: a Passive that is not in sync is not promoted while a better one is there.
impl Lab {
    /// Every promotion since `mark` of a copy that was not in sync, by the word of that BMC's bridge.
    ///
    /// # Errors
    /// When a journal cannot be read.
    pub fn promotions_out_of_sync(&self, mark: Mark) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for node in Node::BOTH {
            let entries = self.journal(node, mark.at)?;
            let promotions = entries
                .into_iter()
                .filter(|entry| entry.who == "corosync-bridge" && entry.message.contains("promoted epoch"));
            found.extend(
                promotions
                    .filter(|entry| entry.message.contains("not in sync"))
                    .map(|entry| format!("{node}: {}", entry.message)),
            );
        }
        Ok(found)
    }

    /// Fails if a copy that was not in sync was promoted since `mark`.
    ///
    /// # Errors
    /// [`LabError::State`] with every such promotion.
    pub fn assert_promotions_in_sync(&self, mark: Mark) -> Result<()> {
        all_well(
            "a copy that was not in sync was promoted",
            &self.promotions_out_of_sync(mark)?,
        )
    }
}

/// Invariant 5: nothing outside the configured paths is touched.
impl Lab {
    /// Puts a file of its own onto each BMC, outside every configured path, and a link to it into a configured one on
    /// `active`. Doing so again changes nothing.
    ///
    /// # Errors
    /// When a BMC does not run.
    pub fn plant_outside(&self, active: Node) -> Result<()> {
        for node in Node::BOTH {
            self.write_setting(node, CANARY, node.name())?;
        }
        let link = self.inside(active, WAY_OUT)?;
        match symlink(CANARY, &link) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(LabError::io("create", &link)(error))
            }
            _ => Ok(()),
        }
    }

    /// What is not as [`Self::plant_outside`] left it, in words. Both BMCs have to run.
    ///
    /// # Errors
    /// When a BMC does not run.
    pub fn touched_outside(&self) -> Result<Vec<String>> {
        let mut touched = Vec::new();
        for node in Node::BOTH {
            let content = self.read_setting(node, CANARY)?;
            if content != node.name() {
                touched.push(format!("{CANARY} on {node} is {content:?}"));
            }
            let link = self.inside(node, WAY_OUT)?;
            if !link
                .symlink_metadata()
                .is_ok_and(|metadata| metadata.is_symlink())
            {
                touched.push(format!("{WAY_OUT} on {node} is no link"));
            }
        }
        Ok(touched)
    }

    /// Fails unless everything outside is as [`Self::plant_outside`] left it.
    ///
    /// # Errors
    /// [`LabError::State`] with everything that is not.
    pub fn assert_outside_untouched(&self) -> Result<()> {
        all_well(
            "something outside the configured paths was touched",
            &self.touched_outside()?,
        )
    }
}

fn all_well(trouble: &str, found: &[String]) -> Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    Err(LabError::State(format!("{trouble}:\n{}", found.join("\n"))))
}
