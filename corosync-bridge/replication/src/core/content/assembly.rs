//! A large content that is put together from its pieces, beside the version from which it is copied.
//!
//! What is to be copied takes longer than what travels, so it is copied step by step: what comes meanwhile can be applied in
//! between, and what belongs behind it waits.

use std::collections::VecDeque;

use super::super::peers::BULK_WINDOW_BYTES;
use super::piece::Piece;
use crate::digest::{Digest, Hasher};
use crate::tree::{Source, Stage, TreeError};
use crate::wire::CHUNK_BYTES;

/// Bytes that are copied in one step: some milliseconds on a BMC's processor.
const STEP_BYTES: u64 = 256 * 1024;

/// Weight of the pieces that may wait. A sender that keeps to its window never sends as much; another gets its pieces put
/// together at once.
const WAITING_WEIGHT: u64 = 2 * BULK_WINDOW_BYTES;

/// What has arrived of a content, out of sight beside its path.
#[derive(Debug)]
pub(in crate::core) struct Assembly<G, F> {
    stage: G,
    hasher: Hasher,
    /// Bytes of the content that were told of.
    size: u64,
    /// The version to copy from.
    version: Option<F>,
    /// What still has to be put together, in its order.
    waiting: VecDeque<Waiting>,
    /// What of it is not taken in yet, by weight.
    owed: u64,
}

#[derive(Debug)]
struct Waiting {
    piece: Piece<'static>,
    /// Its part of what is owed.
    weight: u64,
}

impl<G: Stage, F: Source> Assembly<G, F> {
    pub(in crate::core) fn new(stage: G, version: Option<F>) -> Self {
        Self {
            stage,
            hasher: Hasher::new(),
            size: 0,
            version,
            waiting: VecDeque::new(),
            owed: 0,
        }
    }

    /// The content, when it is whole and the one that was promised.
    pub(in crate::core) fn complete(mut self, size: u64, digest: Digest) -> Result<Option<G>, TreeError> {
        while self.has_work() {
            self.step()?;
        }
        Ok((self.size == size && self.hasher.finish() == digest).then_some(self.stage))
    }

    /// Bytes of the content that were told of.
    pub(in crate::core) fn size(&self) -> u64 {
        self.size
    }

    pub(in crate::core) fn has_work(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What arrived and is not taken in yet, by weight.
    pub(in crate::core) fn owed(&self) -> u64 {
        self.owed
    }

    /// Takes in a piece of this weight.
    pub(in crate::core) fn take(&mut self, piece: Piece<'_>, weight: u64) -> Result<(), TreeError> {
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
    pub(in crate::core) fn step(&mut self) -> Result<(), TreeError> {
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
            Piece::Hole(length) => self.skip(length),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), TreeError> {
        self.hasher.update(bytes);
        self.stage.write(bytes)
    }

    fn skip(&mut self, hole: u64) -> Result<(), TreeError> {
        self.hasher.update_zeros(hole);
        self.stage.skip(hole)
    }

    /// Takes over a part of the version here, its holes as holes. What it lacks is noticed at the end: the digest will not fit.
    fn copy(&mut self, from: u64, length: u64) -> Result<(), TreeError> {
        let Some(mut version) = self.version.take() else {
            return Ok(());
        };
        version.seek(from)?;
        let mut left = length;
        let mut buffer = Vec::new();
        while left > 0 {
            let hole = version.skip_hole(left)?;
            if hole > 0 {
                self.skip(hole)?;
                left = left.saturating_sub(hole);
                continue;
            }
            buffer.clear();
            let limit = usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
            version.read(&mut buffer, limit)?;
            if buffer.is_empty() {
                break;
            }
            self.write(&buffer)?;
            left = left.saturating_sub(u64::try_from(buffer.len()).unwrap_or(u64::MAX));
        }
        self.version = Some(version);
        Ok(())
    }
}
