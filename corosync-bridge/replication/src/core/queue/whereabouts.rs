//! Whether a file that another took the place of waits to be looked at elsewhere.
//!
//! Most programs write a file by renaming a new one over it. That waits as long as the old one may have been moved to where
//! something waits. For what is essential it is worth finding out: what has priority 1 is looked at before it anyway, and which
//! files are where something else waits is looked up once for all that was replaced up to the same word.

use std::collections::BTreeSet;

use super::{Item, Queue, Told};
use crate::EntryPath;
use crate::core::Core;
use crate::inodes::Inode;
use crate::state::StateStore;
use crate::tree::{Inspection, Tree};

/// Paths that are looked up at most: some milliseconds on a BMC's processor.
const PATHS: usize = 512;

/// Which files are where something waits that is not essential.
#[derive(Debug)]
pub(in crate::core) enum Whereabouts {
    /// These.
    Files(BTreeSet<Inode>),
    /// Any.
    Unknown,
}

impl Whereabouts {
    fn may_be(&self, file: Option<Inode>) -> bool {
        match (self, file) {
            (Self::Files(files), Some(file)) => files.contains(&file),
            (Self::Files(_), None) | (Self::Unknown, _) => true,
        }
    }
}

impl<F> Queue<F> {
    /// Whether what was announced at `path` may be where something waits that is not essential; `None` where that has to be looked up.
    pub(super) fn is_among_waiting(&self, path: &EntryPath) -> Option<bool> {
        let announced = self.gone.get(path).and_then(|missing| missing.inodes.announced);
        let announced = announced.map(|announced| announced.inode());
        let whereabouts = self.whereabouts.as_ref()?;
        Some(whereabouts.may_be(announced))
    }

    /// The paths that are not essential and wait; `None` where something else waits that may be anywhere, or too much.
    fn ordinary_paths(&self) -> Option<Vec<EntryPath>> {
        let mut paths = Vec::new();
        for told in &self.ordinary {
            match &told.item {
                Item::Path(path) if paths.len() < PATHS => paths.push(path.clone()),
                Item::Gone(_) | Item::Barrier(_) => {}
                _ => return None,
            }
        }
        Some(paths)
    }

    /// Which files are there, until the next word.
    pub(in crate::core) fn note_whereabouts(&mut self, whereabouts: Whereabouts) {
        self.whereabouts = Some(whereabouts);
    }

    /// Puts what was told in the other lane where it would be if it had been told in this one.
    pub(super) fn tell_among_ordinary(&mut self, told: Told<F>) {
        let place = self.ordinary.partition_point(|other| other.number < told.number);
        self.ordinary.insert(place, told);
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// Looks up which files are where something waits that is not essential.
    pub(in crate::core) fn look_up_whereabouts(&mut self) {
        let found = self.files_that_wait();
        if let Some(active) = &mut self.active {
            active.queue.note_whereabouts(match found {
                Some(files) => Whereabouts::Files(files),
                None => Whereabouts::Unknown,
            });
        }
    }

    /// `None` where they may be any.
    fn files_that_wait(&mut self) -> Option<BTreeSet<Inode>> {
        let active = self.active.as_ref()?;
        let paths = active.queue.ordinary_paths()?;
        let mut files: BTreeSet<Inode> = active.bulk.files().map(|(_, inode)| inode).collect();
        for path in paths {
            let known = self.index.get(&path).map(|known| known.seen);
            match self.tree.inspect(&path, known.as_ref()) {
                Ok(Inspection::Present(found)) => files.extend([found.seen.stamp.inode()]),
                Ok(Inspection::Unchanged) => files.extend(known.map(|known| known.stamp.inode())),
                Ok(Inspection::Absent) => {}
                Err(_) => return None,
            }
        }
        Some(files)
    }
}
