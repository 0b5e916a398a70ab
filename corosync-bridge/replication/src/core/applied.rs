//! Of which entries of the lists something was applied, for services that want to know.
//!
//! What is applied one by one is told together: nobody is told of a copy that is half compared, and a copy that could not
//! be made durable is told of once it is.

use std::collections::BTreeSet;

use super::Core;
use crate::EntryPath;
use crate::state::StateStore;
use crate::tree::Tree;

/// Entries by their place in the lists; so many at most as there are.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// Something was applied, and is not to be told yet.
    held: BTreeSet<usize>,
    /// To be told.
    ready: BTreeSet<usize>,
}

impl Applied {
    /// The copy is whole and durable, or what the new Active goes on with.
    pub(super) fn release(&mut self) {
        self.ready.append(&mut self.held);
    }

    pub(super) fn take(&mut self) -> BTreeSet<usize> {
        std::mem::take(&mut self.ready)
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// Notes that `path` was removed or came here, with all that is remembered beneath it.
    pub(super) fn note_gone_or_come(&mut self, path: &EntryPath) {
        let coverage = &self.coverage;
        let beneath = self.index.beneath(path);
        self.applied
            .held
            .extend(beneath.filter_map(|path| coverage.listened_entry(path)));
        self.note_applied(path);
    }

    /// Notes that `path` was applied here.
    pub(super) fn note_applied(&mut self, path: &EntryPath) {
        self.applied.held.extend(self.coverage.listened_entry(path));
    }
}
