//! What a Passive still owes before it may tell the Active that it has offered everything.
//!
//! That is what it found when it found the Active. What changes after that is offered too, and waits for nobody: programs
//! that never stop writing, and changes that are put off time and again, hold back no join. The word that its copy of what
//! only a Passive changes is complete waits for those that were put off as well.

use std::collections::BTreeSet;

use crate::EntryPath;

/// What has its turn first.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// To be searched.
    pub(super) searches: BTreeSet<EntryPath>,
    /// To be offered, or to be found unchanged.
    pub(super) entries: BTreeSet<EntryPath>,
    /// To be searched once more.
    pub(super) searches_again: BTreeSet<EntryPath>,
    /// Put off, and to be offered once more.
    pub(super) again: BTreeSet<EntryPath>,
}

impl Owed {
    /// Nothing holds back a join any more.
    pub(super) fn is_empty(&self) -> bool {
        self.searches.is_empty() && self.entries.is_empty()
    }

    /// Nothing that was put off has its turn now.
    pub(super) fn is_empty_again(&self) -> bool {
        self.searches_again.is_empty() && self.again.is_empty()
    }

    /// It was offered or put off, or there is nothing to offer.
    pub(super) fn settle(&mut self, path: &EntryPath) {
        self.entries.remove(path);
        self.again.remove(path);
    }

    /// It was searched. Returns whether what was found there is owed.
    pub(super) fn searched(&mut self, top: &EntryPath) -> bool {
        let again = self.searches_again.remove(top);
        self.searches.remove(top) || again
    }

    /// Forgets the others.
    pub(super) fn retain(&mut self, which: impl Fn(&EntryPath) -> bool) {
        for set in [
            &mut self.searches,
            &mut self.entries,
            &mut self.searches_again,
            &mut self.again,
        ] {
            set.retain(&which);
        }
    }
}
