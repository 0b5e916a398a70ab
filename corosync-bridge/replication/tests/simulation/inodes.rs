//! Inode numbers of a simulated disk, which are handed out again.

use std::collections::BTreeSet;
use std::rc::{Rc, Weak};

#[derive(Debug, Default)]
pub(crate) struct Inodes {
    highest: u64,
    /// Hands out the lowest number that is free, as ext4 does, instead of one that never was: what is made anew has often the
    /// number of what went.
    pub(crate) reuses: bool,
    /// Counts the numbers that were handed out again.
    pub(crate) reused: u64,
    /// Numbers of files that somebody has open. Those of them that are gone are not free.
    held: Vec<Weak<u64>>,
}

impl Inodes {
    /// A number that is not among those `taken`.
    pub(crate) fn hand_out(&mut self, mut taken: BTreeSet<u64>) -> u64 {
        if self.reuses {
            self.held.retain(|held| held.strong_count() > 0);
            taken.extend(self.held.iter().filter_map(Weak::upgrade).map(|held| *held));
            if let Some(free) = (1..=self.highest).find(|inode| !taken.contains(inode)) {
                self.reused += 1;
                return free;
            }
        }
        self.hand_out_new()
    }

    /// A number that never was.
    pub(crate) fn hand_out_new(&mut self) -> u64 {
        self.highest += 1;
        self.highest
    }

    /// Somebody has a file open until what is returned is dropped.
    pub(crate) fn hold(&mut self, inode: u64) -> Rc<u64> {
        let held = Rc::new(inode);
        self.held.push(Rc::downgrade(&held));
        held
    }
}
