//! A large content on its way to a Passive.

use super::Core;
use crate::digest::{Digest, Hasher};
use crate::state::StateStore;
use crate::tree::{Stage, Tree};
use crate::{EntryPath, NodeId};

/// What has arrived of a content, out of sight beside its path.
#[derive(Debug)]
pub(super) struct Incoming<G> {
    transfer: u64,
    path: EntryPath,
    stage: G,
    hasher: Hasher,
    size: u64,
}

impl<G> Incoming<G> {
    /// The content, when it is whole and the one that was promised.
    pub(super) fn complete(self, transfer: u64, path: &EntryPath, size: u64, digest: Digest) -> Option<G> {
        let is_promised = (self.transfer, &self.path, self.size) == (transfer, path, size);
        (is_promised && self.hasher.finish() == digest).then_some(self.stage)
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    pub(super) fn begin_delivered(
        &mut self,
        target: Option<NodeId>,
        transfer: u64,
        path: EntryPath,
        length: u64,
    ) {
        self.follower.incoming = None;
        if !self.takes_in(length) || target.is_some_and(|target| Some(target) != self.me) {
            return;
        }
        let stage = self
            .check_and_place(&path)
            .and_then(|()| Ok(self.tree.stage(&path)?));
        match stage {
            Ok(stage) => {
                self.follower.incoming = Some(Incoming {
                    transfer,
                    path,
                    stage,
                    hasher: Hasher::new(),
                    size: 0,
                });
            }
            Err(error) => self.taint(&error),
        }
    }

    pub(super) fn chunk_delivered(&mut self, transfer: u64, offset: u64, bytes: &[u8], length: u64) {
        if !self.takes_in(length) {
            return;
        }
        let Some(incoming) = &mut self.follower.incoming else {
            return;
        };
        if (incoming.transfer, incoming.size) != (transfer, offset) {
            // Noticed when the transfer is put in place: its digest will not fit.
            return;
        }
        incoming.hasher.update(bytes);
        incoming.size += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if let Err(error) = incoming.stage.write(bytes) {
            self.follower.incoming = None;
            self.taint(&error.into());
        }
    }

    pub(super) fn abandon_delivered(&mut self, transfer: u64, length: u64) {
        if self.takes_in(length) {
            self.follower
                .incoming
                .take_if(|incoming| incoming.transfer == transfer);
        }
    }
}
