//! Paths whose changes do not travel as they are made: once in a period, or when a sibling joins.
//!
//! Nobody watches them. When their time has come they are scanned, and what differs from what was announced goes
//! its way like any other change. A scan at which nothing changed costs one look at each entry.

use std::time::Duration;

use super::Core;
use crate::coverage::{Coverage, Timing};
use crate::state::StateStore;
use crate::tree::Tree;
use crate::{EntryPath, Role};

/// Why the Active looks at more than it was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// Notifications were lost, or not taken in.
    Missed,
    /// Things are moved faster than they are looked at.
    Moving,
    /// Everything written so far is to be sent, but for what waits for a join.
    Flush,
    /// A sibling is about to be compared, or this node's copy about to be followed by another's.
    Join,
    /// Somebody wants to be sure.
    FullSync,
}

impl Occasion {
    /// Whether paths of this timing are looked at.
    fn concerns(self, timing: Timing) -> bool {
        match (self, timing) {
            (Self::FullSync, _) | (Self::Missed | Self::Moving, Timing::Immediate) => true,
            (Self::Flush, timing) => matches!(timing, Timing::Periodic(_)),
            (Self::Join, timing) => timing != Timing::Immediate,
            (Self::Missed | Self::Moving, _) => false,
        }
    }

    /// Whether changes were not seen as they were made. Somebody who wants to be sure is no reason to think so, and what was
    /// seen owes its hardening already.
    fn missed_something(self) -> bool {
        !matches!(self, Self::FullSync | Self::Moving)
    }
}

/// Roots that are looked at together.
#[derive(Debug)]
struct Round {
    every: Duration,
    roots: Vec<EntryPath>,
    /// When next; `None` while this node is not the Active and has nothing of it to offer, or does not know its own copy yet.
    due: Option<Duration>,
}

/// What is looked at when.
#[derive(Debug)]
pub(super) struct Schedule {
    rounds: Vec<Round>,
}

impl Schedule {
    pub(super) fn new(coverage: &dyn Coverage) -> Self {
        let mut rounds: Vec<Round> = Vec::new();
        for root in coverage.roots() {
            let Timing::Periodic(every) = coverage.rule(&root).timing else {
                continue;
            };
            match rounds.iter_mut().find(|round| round.every == every) {
                Some(round) => round.roots.push(root),
                None => rounds.push(Round {
                    every,
                    roots: vec![root],
                    due: None,
                }),
            }
        }
        Self { rounds }
    }

    /// Counts the periods from now on.
    pub(super) fn begin(&mut self, now: Duration) {
        self.begin_where(now, |_| true);
    }

    /// The same, for what holds a root of this kind.
    pub(super) fn begin_where(&mut self, now: Duration, concerns: impl Fn(&EntryPath) -> bool) {
        for round in &mut self.rounds {
            if round.roots.iter().any(&concerns) {
                round.due = Some(now + round.every);
            }
        }
    }

    pub(super) fn end(&mut self) {
        for round in &mut self.rounds {
            round.due = None;
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.rounds.iter().filter_map(|round| round.due).min()
    }

    /// Roots whose time has come.
    fn take_due(&mut self, now: Duration) -> Vec<EntryPath> {
        let mut roots = Vec::new();
        for round in &mut self.rounds {
            if round.due.is_some_and(|due| due <= now) {
                round.due = Some(now + round.every);
                roots.extend(round.roots.iter().cloned());
            }
        }
        roots
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// Looks at what is due.
    pub(super) fn keep_schedule(&mut self, now: Duration) {
        let roots = self.schedule.take_due(now);
        if self.role == Role::Passive {
            return roots.iter().for_each(|root| self.suspect_tree(root));
        }
        self.look_at(roots);
    }

    /// Looks at what `occasion` makes necessary, before anything that is told from here on.
    pub(super) fn look_for(&mut self, occasion: Occasion) {
        let mut roots = self.coverage.roots();
        roots.retain(|root| occasion.concerns(self.coverage.rule(root).timing));
        if roots.is_empty() {
            return;
        }
        let active = self.active.as_mut().filter(|_| occasion.missed_something());
        if let Some(active) = active {
            // What came and went without a trace may still be on the disk after a power cut.
            active.owe_hardening_all();
        }
        self.look_at(roots);
    }

    fn look_at(&mut self, roots: Vec<EntryPath>) {
        if roots.is_empty() {
            return;
        }
        if self.holds_back() {
            return self.switches.miss();
        }
        if let Some(active) = &mut self.active {
            active.queue.push_roots(roots);
        }
    }
}
