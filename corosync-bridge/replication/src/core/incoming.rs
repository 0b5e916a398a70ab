//! A large content on its way to a Passive.

use super::Core;
use super::signing::Signing;
use crate::digest::{Digest, Hasher};
use crate::state::StateStore;
use crate::tree::{Source, Stage, Tree, TreeError};
use crate::wire::CHUNK_BYTES;
use crate::{EntryPath, NodeId};

/// What has arrived of a content, out of sight beside its path.
#[derive(Debug)]
pub(super) struct Incoming<G, F> {
    transfer: u64,
    path: EntryPath,
    stage: G,
    hasher: Hasher,
    size: u64,
    /// The version that was told of, to copy from.
    version: Option<F>,
}

impl<G: Stage, F: Source> Incoming<G, F> {
    /// The content, when it is whole and the one that was promised.
    pub(super) fn complete(self, transfer: u64, path: &EntryPath, size: u64, digest: Digest) -> Option<G> {
        let is_promised = (self.transfer, &self.path, self.size) == (transfer, path, size);
        (is_promised && self.hasher.finish() == digest).then_some(self.stage)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), TreeError> {
        self.hasher.update(bytes);
        self.size += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.stage.write(bytes)
    }

    /// Takes over a part of the version here. What it lacks is noticed at the end: the size will not fit.
    fn copy(&mut self, from: u64, length: u64) -> Result<(), TreeError> {
        let Some(mut version) = self.version.take() else {
            return Ok(());
        };
        version.seek(from)?;
        let mut left = usize::try_from(length).unwrap_or(usize::MAX);
        let mut buffer = Vec::new();
        while left > 0 {
            buffer.clear();
            version.read(&mut buffer, left.min(CHUNK_BYTES))?;
            if buffer.is_empty() {
                break;
            }
            self.write(&buffer)?;
            left = left.saturating_sub(buffer.len());
        }
        self.version = Some(version);
        Ok(())
    }

    fn skip(&mut self, length: u64) -> Result<(), TreeError> {
        self.hasher.update_zeros(length);
        self.size = self.size.saturating_add(length);
        self.stage.skip(length)
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
        let signing = self.follower.signing.take();
        if !self.takes_in(length) || target.is_some_and(|target| Some(target) != self.me) {
            return;
        }
        let stage = self
            .check_and_place(&path)
            .and_then(|()| self.bring_back_above(&path))
            .and_then(|()| Ok(self.tree.stage(&path)?));
        match stage {
            Ok(stage) => {
                self.follower.incoming = Some(Incoming {
                    transfer,
                    path,
                    stage,
                    hasher: Hasher::new(),
                    size: 0,
                    version: signing
                        .filter(|signing| signing.is_of(transfer))
                        .map(Signing::into_source),
                });
            }
            Err(error) => self.taint(&error),
        }
    }

    pub(super) fn chunk_delivered(&mut self, transfer: u64, offset: u64, bytes: &[u8], length: u64) {
        self.piece_delivered(transfer, offset, length, |incoming| incoming.write(bytes));
    }

    pub(super) fn copy_delivered(&mut self, transfer: u64, offset: u64, from: u64, copied: u64, length: u64) {
        self.piece_delivered(transfer, offset, length, |incoming| incoming.copy(from, copied));
    }

    pub(super) fn hole_delivered(&mut self, transfer: u64, offset: u64, skipped: u64, length: u64) {
        self.piece_delivered(transfer, offset, length, |incoming| incoming.skip(skipped));
    }

    fn piece_delivered(
        &mut self,
        transfer: u64,
        offset: u64,
        length: u64,
        append: impl FnOnce(&mut Incoming<T::Stage, T::Source>) -> Result<(), TreeError>,
    ) {
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
        if let Err(error) = append(incoming) {
            self.follower.incoming = None;
            self.taint(&error.into());
        }
    }

    pub(super) fn abandon_delivered(&mut self, transfer: u64, length: u64) {
        if self.takes_in(length) {
            self.follower
                .incoming
                .take_if(|incoming| incoming.transfer == transfer);
            self.follower.signing.take_if(|signing| signing.is_of(transfer));
        }
    }
}
