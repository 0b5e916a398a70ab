//! What a Passive must have before it may be promoted: everything of priority 1.
//!
//! It travels first: before other changes that wait ([`queue`](super::queue)), and in a comparison. There the Active says when
//! all of it was sent, before it begins with the rest; from then on the Passive tells everyone that it has what is essential,
//! as long as every later change of it could be applied. Where nothing has priority 1 nothing is essential, and only a copy that is in sync as a whole counts.

use std::rc::Rc;

use super::Core;
use crate::coverage::{Coverage, Priority};
use crate::entry::{Kind, Known};
use crate::state::StateStore;
use crate::tree::Tree;
use crate::{EntryPath, Sync};

/// What has priority 1, where that makes a difference: nothing comes before anything else where all of it has the same priority.
#[derive(Debug, Clone, Default)]
pub(super) struct Priorities(Option<Rc<dyn Coverage>>);

impl Priorities {
    pub(super) fn new(coverage: &Rc<dyn Coverage>) -> Self {
        let of_root = |root| coverage.rule(&root).priority;
        let mut priorities = coverage.roots().into_iter().map(of_root);
        let first = priorities.next();
        let differ = priorities.any(|priority| Some(priority) != first);
        Self(differ.then(|| Rc::clone(coverage)))
    }

    /// Whether `path` comes before others.
    pub(super) fn is_essential(&self, path: &EntryPath) -> bool {
        let coverage = self.0.as_ref();
        coverage.is_some_and(|coverage| coverage.rule(path).priority == Priority::Essential)
    }
}

/// What is known of what is essential.
#[derive(Debug)]
pub(super) struct Essential {
    priorities: Priorities,
    /// Something has priority 1.
    configured: bool,
    /// As a Passive: all of it is as the Active has it, or had it when it was last seen.
    held: bool,
}

impl Essential {
    pub(super) fn new(coverage: &Rc<dyn Coverage>) -> Self {
        let roots = coverage.roots();
        let is_essential = |root: &EntryPath| coverage.rule(root).priority == Priority::Essential;
        Self {
            priorities: Priorities::new(coverage),
            configured: roots.iter().any(is_essential),
            held: false,
        }
    }

    /// What comes before what.
    pub(super) fn priorities(&self) -> &Priorities {
        &self.priorities
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

    /// Whether what cannot be looked at, at `path`, may be or hold something of priority 1.
    pub(super) fn may_hold_essential(&self, path: &EntryPath) -> bool {
        let is_directory = |known: &Known| known.kind == Kind::Directory;
        let holds_others = self.index.get(path).is_none_or(is_directory) && !self.coverage.is_uniform(path);
        holds_others || self.priority(path) == Priority::Essential
    }

    pub(super) fn priority(&self, path: &EntryPath) -> Priority {
        self.coverage.rule(path).priority
    }
}
