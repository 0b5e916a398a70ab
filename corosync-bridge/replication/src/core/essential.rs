//! What a Passive must have before it may be promoted: everything of priority 1.
//!
//! It travels first. In a comparison the Active says when all of it was sent, before it begins with the rest; from
//! then on the Passive tells everyone that it has what is essential, as long as every later change of it could be
//! applied. Where nothing has priority 1 nothing is essential, and only a copy that is in sync as a whole counts.

use super::Core;
use crate::coverage::{Coverage, Priority};
use crate::state::StateStore;
use crate::tree::Tree;
use crate::{EntryPath, Sync};

/// What is known of what is essential.
#[derive(Debug)]
pub(super) struct Essential {
    /// Something has priority 1.
    configured: bool,
    /// As a Passive: all of it is as the Active has it, or had it when it was last seen.
    held: bool,
}

impl Essential {
    pub(super) fn new(coverage: &dyn Coverage) -> Self {
        let roots = coverage.roots();
        let is_essential = |root: &EntryPath| coverage.rule(root).priority == Priority::Essential;
        Self {
            configured: roots.iter().any(is_essential),
            held: false,
        }
    }

    /// Whether something has priority 1.
    pub(super) fn is_configured(&self) -> bool {
        self.configured
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// Whether this copy has everything that is essential.
    pub(super) fn essential_is_in_sync(&self) -> bool {
        let whole = matches!(self.sync, Sync::Source | Sync::InSync);
        self.essential.configured && (self.essential.held || whole)
    }

    /// All of it is here, durably.
    pub(super) fn hold_essential(&mut self) {
        if !std::mem::replace(&mut self.essential.held, true) {
            self.announce = true;
        }
    }

    /// Some of it is missing, or may be.
    pub(super) fn miss_essential(&mut self) {
        if std::mem::take(&mut self.essential.held) {
            self.announce = true;
        }
    }

    pub(super) fn priority(&self, path: &EntryPath) -> Priority {
        self.coverage.rule(path).priority
    }
}
