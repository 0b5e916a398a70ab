//! A large content on its way to a Passive.
//!
//! It counts as taken in as far as what is to be copied from the version here was copied.

use super::Core;
use super::content::{Assembly, Part, Piece, Signing};
use crate::digest::Digest;
use crate::entry::Known;
use crate::state::StateStore;
use crate::tree::{Source, Stage, Tree, TreeError};
use crate::wire::STRETCH_BYTES;
use crate::{EntryPath, NodeId};

/// A transfer of the Active.
#[derive(Debug)]
pub(super) struct Incoming<G, F> {
    transfer: u64,
    path: EntryPath,
    assembly: Assembly<G, F>,
}

impl<G: Stage, F: Source> Incoming<G, F> {
    /// The content, when it is whole and the one that was promised.
    pub(super) fn complete(
        self,
        transfer: u64,
        path: &EntryPath,
        size: u64,
        digest: Digest,
    ) -> Result<Option<G>, TreeError> {
        let is_promised = (self.transfer, &self.path) == (transfer, path);
        let stage = self.assembly.complete(size, digest)?;
        Ok(stage.filter(|_| is_promised))
    }

    pub(super) fn has_work(&self) -> bool {
        self.assembly.has_work()
    }

    /// What arrived and is not taken in yet, as the stream counts.
    pub(super) fn owed(&self) -> u64 {
        self.assembly.owed()
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    pub(super) fn begin_delivered(
        &mut self,
        target: Option<NodeId>,
        transfer: u64,
        path: EntryPath,
        base: Option<Digest>,
        length: u64,
    ) {
        self.follower.incoming = None;
        let signing = self.follower.signing.take();
        if !self.takes_in(length) || target.is_some_and(|target| Some(target) != self.me) {
            return;
        }
        let version = match base {
            Some(base) => match self.open_base(&path, base) {
                Some(version) => Some(version),
                // Nothing comes of this transfer: the Active begins anew, and asks first.
                None => return self.tell_part(transfer, Part::nothing()),
            },
            None => signing
                .filter(|signing| signing.is_of(transfer))
                .map(Signing::into_source),
        };
        let stage = self
            .check_and_place(&path)
            .and_then(|()| self.bring_back_above(&path))
            .and_then(|()| Ok(self.tree.stage(&path)?));
        match stage {
            Ok(stage) => {
                self.follower.incoming = Some(Incoming {
                    transfer,
                    path,
                    assembly: Assembly::new(stage, version),
                });
            }
            Err(error) => self.taint(&error),
        }
    }

    /// The file at `path`, if this content was placed there and nobody has changed it since.
    fn open_base(&mut self, path: &EntryPath, base: Digest) -> Option<T::Source> {
        self.check_and_place(path).ok()?;
        self.open_as_known(path, |known| known.content == base)
    }

    /// The file at `path`, if what is known of it is `wanted` and it is that still.
    pub(super) fn open_as_known(
        &mut self,
        path: &EntryPath,
        wanted: impl FnOnce(&Known) -> bool,
    ) -> Option<T::Source> {
        let known = *self.index.get(path).filter(|known| wanted(known))?;
        let source = self.tree.open(path).ok()??;
        (known.seen.stamp == source.found().seen.stamp).then_some(source)
    }

    pub(super) fn chunk_delivered(&mut self, transfer: u64, offset: u64, bytes: &[u8], length: u64) {
        self.piece_delivered(transfer, offset, Piece::Bytes(bytes.into()), length);
    }

    pub(super) fn copy_delivered(&mut self, transfer: u64, offset: u64, from: u64, copied: u64, length: u64) {
        if let Some(following) = &mut self.follower.following {
            following.is_awaited |= copied > STRETCH_BYTES;
        }
        let piece = Piece::Copy { from, length: copied };
        self.piece_delivered(transfer, offset, piece, length);
    }

    pub(super) fn hole_delivered(&mut self, transfer: u64, offset: u64, skipped: u64, length: u64) {
        self.piece_delivered(transfer, offset, Piece::Hole(skipped), length);
    }

    fn piece_delivered(&mut self, transfer: u64, offset: u64, piece: Piece<'_>, length: u64) {
        if !self.takes_in(length) {
            return;
        }
        let Some(incoming) = &mut self.follower.incoming else {
            return;
        };
        if (incoming.transfer, incoming.assembly.size()) != (transfer, offset) {
            // Noticed when the transfer is put in place: its digest will not fit.
            return;
        }
        let taken = incoming.assembly.take(piece, length);
        self.note_piece(taken);
    }

    /// Goes on with a content of which something waits.
    pub(super) fn incoming_step(&mut self) {
        let incoming = self.follower.incoming.as_mut();
        let taken = incoming.map_or(Ok(()), |incoming| incoming.assembly.step());
        self.note_piece(taken);
    }

    fn note_piece(&mut self, taken: Result<(), TreeError>) {
        if let Err(error) = taken {
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
