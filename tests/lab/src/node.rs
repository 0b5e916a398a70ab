//! The two BMCs of a lab.

use std::fmt;
use std::str::FromStr;

use chassis_sim::messages::Slot;
use serde::{Deserialize, Serialize};

/// One of the two BMCs. Its name is its host name and its name in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Node {
    /// The BMC in slot 0.
    Bmc0,
    /// The BMC in slot 1.
    Bmc1,
}

impl Node {
    /// Both BMCs, by slot.
    pub const BOTH: [Self; 2] = [Self::Bmc0, Self::Bmc1];

    /// Host name, and name in the cluster.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bmc0 => "bmc0",
            Self::Bmc1 => "bmc1",
        }
    }

    /// Slot on the chassis.
    #[must_use]
    pub fn slot(self) -> Slot {
        match self {
            Self::Bmc0 => 0,
            Self::Bmc1 => 1,
        }
    }

    /// The BMC in a slot.
    #[must_use]
    pub fn in_slot(slot: Slot) -> Option<Self> {
        Self::BOTH.into_iter().find(|node| node.slot() == slot)
    }

    /// The other BMC.
    #[must_use]
    pub fn sibling(self) -> Self {
        match self {
            Self::Bmc0 => Self::Bmc1,
            Self::Bmc1 => Self::Bmc0,
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is neither `bmc0` nor `bmc1`.
#[derive(Debug, thiserror::Error)]
#[error("no BMC is called {0:?}: the lab has bmc0 and bmc1")]
pub struct UnknownNode(String);

impl FromStr for Node {
    type Err = UnknownNode;

    fn from_str(name: &str) -> Result<Self, UnknownNode> {
        Self::BOTH
            .into_iter()
            .find(|node| node.name() == name)
            .ok_or_else(|| UnknownNode(name.to_owned()))
    }
}
