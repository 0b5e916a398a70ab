//! A large content on its way to a Passive.
//!
//! What is to be copied from the version here takes longer than what travels, so it is copied step by step: what comes meanwhile
//! is applied in between, and what belongs behind it waits. It counts as taken in as far as it was copied.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::Core;
use super::peers::BULK_WINDOW_BYTES;
use super::signing::Signing;
use crate::digest::{Digest, Hasher};
use crate::state::StateStore;
use crate::tree::{Source, Stage, Tree, TreeError};
use crate::wire::{CHUNK_BYTES, STRETCH_BYTES};
use crate::{EntryPath, NodeId};

/// Bytes that are copied in one step: some milliseconds on a BMC's processor.
const STEP_BYTES: u64 = 256 * 1024;

/// Weight of the pieces that may wait. An Active that keeps to the window never sends as much; another gets its pieces put
/// together at once.
const WAITING_WEIGHT: u64 = 2 * BULK_WINDOW_BYTES;

/// What has arrived of a content, out of sight beside its path.
#[derive(Debug)]
pub(super) struct Incoming<G, F> {
    transfer: u64,
    path: EntryPath,
    stage: G,
    hasher: Hasher,
    /// Bytes of the content that were told of.
    size: u64,
    /// The version that was told of, to copy from.
    version: Option<F>,
    /// What still has to be put together, in its order.
    waiting: VecDeque<Waiting>,
    /// What of it is not taken in yet, as the stream counts.
    owed: u64,
}

#[derive(Debug)]
struct Waiting {
    piece: Piece<'static>,
    /// Its part of what is owed.
    weight: u64,
}

/// A part of a content.
#[derive(Debug)]
enum Piece<'a> {
    Bytes(Cow<'a, [u8]>),
    /// So many bytes of the version here, from this one on.
    Copy {
        from: u64,
        length: u64,
    },
    Hole(u64),
}

impl Piece<'_> {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::Copy { length, .. } | Self::Hole(length) => *length,
        }
    }

    /// The same, to be kept.
    fn into_owned(self) -> Piece<'static> {
        match self {
            Self::Bytes(bytes) => Piece::Bytes(Cow::Owned(bytes.into_owned())),
            Self::Copy { from, length } => Piece::Copy { from, length },
            Self::Hole(length) => Piece::Hole(length),
        }
    }
}

impl<G: Stage, F: Source> Incoming<G, F> {
    /// The content, when it is whole and the one that was promised.
    pub(super) fn complete(
        mut self,
        transfer: u64,
        path: &EntryPath,
        size: u64,
        digest: Digest,
    ) -> Result<Option<G>, TreeError> {
        while self.has_work() {
            self.step()?;
        }
        let is_promised = (self.transfer, &self.path, self.size) == (transfer, path, size);
        Ok((is_promised && self.hasher.finish() == digest).then_some(self.stage))
    }

    pub(super) fn has_work(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What arrived and is not taken in yet, as the stream counts.
    pub(super) fn owed(&self) -> u64 {
        self.owed
    }

    /// Takes in a piece, which counts `weight` in the stream.
    fn take(&mut self, piece: Piece<'_>, weight: u64) -> Result<(), TreeError> {
        self.size = self.size.saturating_add(piece.length());
        if self.waiting.is_empty() && !matches!(piece, Piece::Copy { .. }) {
            return self.append(piece);
        }
        let piece = piece.into_owned();
        self.waiting.push_back(Waiting { piece, weight });
        self.owed += weight;
        while self.owed > WAITING_WEIGHT {
            self.step()?;
        }
        Ok(())
    }

    /// Puts a bounded part of what waits to the rest.
    fn step(&mut self) -> Result<(), TreeError> {
        let Some(mut first) = self.waiting.pop_front() else {
            return Ok(());
        };
        match &mut first.piece {
            Piece::Copy { from, length } if *length > STEP_BYTES => {
                let start = *from;
                let part = first.weight / length.div_ceil(STEP_BYTES);
                *from = from.saturating_add(STEP_BYTES);
                *length -= STEP_BYTES;
                first.weight -= part;
                self.owed -= part;
                self.waiting.push_front(first);
                self.copy(start, STEP_BYTES)
            }
            _ => {
                self.owed -= first.weight;
                self.append(first.piece)
            }
        }
    }

    fn append(&mut self, piece: Piece<'_>) -> Result<(), TreeError> {
        match piece {
            Piece::Bytes(bytes) => self.write(&bytes),
            Piece::Copy { from, length } => self.copy(from, length),
            Piece::Hole(length) => {
                self.hasher.update_zeros(length);
                self.stage.skip(length)
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), TreeError> {
        self.hasher.update(bytes);
        self.stage.write(bytes)
    }

    /// Takes over a part of the version here. What it lacks is noticed at the end: the digest will not fit.
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
                None => return self.tell_part(transfer, true, true, Vec::new()),
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
                    stage,
                    hasher: Hasher::new(),
                    size: 0,
                    waiting: VecDeque::new(),
                    owed: 0,
                    version,
                });
            }
            Err(error) => self.taint(&error),
        }
    }

    /// The file at `path`, if this content was placed there and nobody has changed it since.
    fn open_base(&mut self, path: &EntryPath, base: Digest) -> Option<T::Source> {
        self.check_and_place(path).ok()?;
        let known = *self.index.get(path)?;
        let source = self.tree.open(path).ok()??;
        let is_unchanged = known.content == base && known.seen.stamp == source.found().seen.stamp;
        is_unchanged.then_some(source)
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
        if (incoming.transfer, incoming.size) != (transfer, offset) {
            // Noticed when the transfer is put in place: its digest will not fit.
            return;
        }
        let taken = incoming.take(piece, length);
        self.note_piece(taken);
    }

    /// Goes on with a content of which something waits.
    pub(super) fn incoming_step(&mut self) {
        let taken = self.follower.incoming.as_mut().map_or(Ok(()), Incoming::step);
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
