//! Files next to the replicated folders, different on each BMC, that nothing may touch; and a link inside that points
//! to one of them.

use anyhow::Result;
use lab::{Lab, Node};

use crate::verdict::Judgement;

/// Outside every configured path.
const CANARY: &str = "/var/lib/phosphor-settings-manager/canary";
/// Inside a configured path; its target is not.
const LINK: &str = "/var/lib/phosphor-settings-manager/settings/way-out";

/// The files and what was written into them.
pub(crate) struct Outside;

impl Outside {
    /// Puts the files onto both BMCs and the link onto the Active.
    pub(crate) fn plant(lab: &Lab, active: Node) -> Result<Self> {
        for node in Node::BOTH {
            lab.write_setting(node, CANARY, node.name())?;
        }
        std::os::unix::fs::symlink(CANARY, lab.inside(active, LINK)?)?;
        Ok(Self)
    }

    /// Whether each BMC still has its own file, and the link is a link on both.
    pub(crate) fn untouched(&self, lab: &Lab) -> Result<Judgement> {
        let mut held = true;
        for node in Node::BOTH {
            held &= lab.read_setting(node, CANARY)? == node.name();
            held &= lab
                .inside(node, LINK)?
                .symlink_metadata()
                .is_ok_and(|metadata| metadata.is_symlink());
        }
        Ok(Judgement {
            held,
            text: "5 nothing outside the configured paths was touched, nor was a link followed out".into(),
        })
    }
}
