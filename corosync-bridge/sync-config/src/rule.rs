//! How a path is replicated.

use std::time::Duration;

/// Whose changes travel: `SyncDirection`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// `Active2Passive`: the Active's.
    ActiveToPassive,
    /// `Passive2Active`: the Passive's.
    PassiveToActive,
    /// `Bidirectional`: everyone's.
    Both,
}

/// When changes travel: `SyncType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// `Immediate`: as they are made.
    Immediate,
    /// `Periodic`: all together, once in this time (`Periodicity`).
    Periodic(Duration),
    /// `AtJoin`: when a sibling joins, and never because a file was touched.
    AtJoin,
}

/// How much depends on it: `Priority`. Ordered: what comes first travels first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// 1: a Passive without it is not promoted.
    Essential,
    /// 2: everything else.
    Ordinary,
}

/// How a path is replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Whose changes travel.
    pub direction: Direction,
    /// When they travel.
    pub timing: Timing,
    /// How much depends on it.
    pub priority: Priority,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            direction: Direction::ActiveToPassive,
            timing: Timing::Immediate,
            priority: Priority::Ordinary,
        }
    }
}
