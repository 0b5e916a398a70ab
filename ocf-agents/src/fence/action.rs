//! What a fence agent can be asked to do.

use crate::ocf::Value;

/// An action of the fence agent API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FenceAction {
    /// Let the sibling go.
    On,
    /// Hold the sibling in reset.
    Off,
    /// Hold it, prove it, let it go.
    Reboot,
    /// Whether it is held.
    Status,
    /// Whether the hardware answers.
    Monitor,
    /// What can be fenced.
    List,
    /// The same, with status.
    ListStatus,
    /// Describe the agent.
    Metadata,
    /// Check the options.
    ValidateAll,
}

impl FenceAction {
    /// All, as metadata lists them.
    pub(super) const ALL: [Self; 9] = [
        Self::On,
        Self::Off,
        Self::Reboot,
        Self::Status,
        Self::Monitor,
        Self::List,
        Self::ListStatus,
        Self::Metadata,
        Self::ValidateAll,
    ];

    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Reboot => "reboot",
            Self::Status => "status",
            Self::Monitor => "monitor",
            Self::List => "list",
            Self::ListStatus => "list-status",
            Self::Metadata => "metadata",
            Self::ValidateAll => "validate-all",
        }
    }
}

impl Value for FenceAction {
    const EXPECTED: &'static str =
        "on, off, reboot, status, monitor, list, list-status, metadata or validate-all";

    /// `meta-data` is what OCF calls it.
    fn parse(text: &str) -> Option<Self> {
        let name = if text == "meta-data" { "metadata" } else { text };
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}
