//! Actions and roles by their names on the command line and in metadata.

/// What an agent can be asked to do (OCF Resource Agent API 1.1, "Resource Agent Actions").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Bring the resource up.
    Start,
    /// Bring it down.
    Stop,
    /// Tell its state.
    Monitor,
    /// Make it the promoted instance.
    Promote,
    /// Make it an unpromoted instance.
    Demote,
    /// Check the parameters and, at check level 10, this machine.
    ValidateAll,
    /// Describe the agent.
    MetaData,
    /// Print help.
    Usage,
}

impl Action {
    const NAMES: [(&'static str, Self); 8] = [
        ("start", Self::Start),
        ("stop", Self::Stop),
        ("monitor", Self::Monitor),
        ("promote", Self::Promote),
        ("demote", Self::Demote),
        ("validate-all", Self::ValidateAll),
        ("meta-data", Self::MetaData),
        ("usage", Self::Usage),
    ];

    /// The action of that name. `help` is another name of `usage`, as in the agents that Pacemaker ships.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = if name == "help" { "usage" } else { name };
        Self::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, action)| *action)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(_, action)| *action == self)
            .map_or("", |(name, _)| name)
    }
}

/// Role of an instance of a promotable resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one that Pacemaker promoted.
    Promoted,
    /// Any other that runs.
    Unpromoted,
}

impl Role {
    /// Its name since OCF Resource Agent API 1.1.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Promoted => "Promoted",
            Self::Unpromoted => "Unpromoted",
        }
    }
}
