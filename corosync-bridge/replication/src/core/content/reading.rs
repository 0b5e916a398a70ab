//! A large content that is being read from its beginning: its digest, and where it is cut.

use crate::chunks::{Chunk, Chunker, Seed};
use crate::digest::{Digest, Hasher};
use crate::tree::{Source, TreeError};
use crate::wire::INLINE_BYTES;

/// Content read in one step, in bytes: about 10 ms on a BMC's processor.
pub(super) const STEP_BYTES: u64 = 256 * 1024;

/// How far it was read.
#[derive(Debug)]
pub(in crate::core) struct Reading {
    hasher: Hasher,
    /// Where it matters how it is cut.
    chunker: Option<Chunker>,
    /// Bytes so far.
    length: u64,
}

/// All of it was read.
#[derive(Debug)]
pub(in crate::core) struct Read {
    pub(in crate::core) digest: Digest,
    /// None where it did not matter.
    pub(in crate::core) chunks: Vec<Chunk>,
}

impl Reading {
    /// Where it matters how it is cut: with this seed.
    pub(in crate::core) fn new(cuts: Option<Seed>) -> Self {
        Self {
            hasher: Hasher::new(),
            chunker: cuts.map(Chunker::new),
            length: 0,
        }
    }

    /// Of a content most of which is probably cut into `chunks`, with this seed.
    pub(in crate::core) fn like(chunks: &[Chunk], seed: Seed) -> Self {
        Self {
            chunker: Some(Chunker::like(chunks, seed)),
            ..Self::new(None)
        }
    }

    /// Bytes so far.
    pub(in crate::core) fn length(&self) -> u64 {
        self.length
    }

    /// The chunks up to the last cut.
    pub(in crate::core) fn chunks(&self) -> &[Chunk] {
        self.chunker.as_ref().map_or(&[], Chunker::so_far)
    }

    pub(in crate::core) fn take(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.chunker.iter_mut().for_each(|chunker| chunker.take(bytes));
        self.length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    }

    pub(in crate::core) fn skip(&mut self, hole: u64) {
        self.hasher.update_zeros(hole);
        self.chunker.iter_mut().for_each(|chunker| chunker.skip(hole));
        self.length += hole;
    }

    /// Reads on in `source`, a bounded piece. Returns whether that was the last.
    pub(in crate::core) fn step<F: Source>(&mut self, source: &mut F) -> Result<bool, TreeError> {
        let end = self.length + STEP_BYTES;
        let mut buffer = Vec::new();
        while self.length < end {
            let hole = source.skip_hole(end - self.length)?;
            if hole > 0 {
                self.skip(hole);
                continue;
            }
            buffer.clear();
            source.read(&mut buffer, INLINE_BYTES)?;
            if buffer.is_empty() {
                return Ok(true);
            }
            self.take(&buffer);
        }
        Ok(false)
    }

    /// It was read to its end.
    pub(in crate::core) fn finish(&mut self) -> Read {
        Read {
            digest: std::mem::take(&mut self.hasher).finish(),
            chunks: self.chunker.take().map(Chunker::finish).unwrap_or_default(),
        }
    }
}

/// The content here, as far as it is known.
#[derive(Debug)]
pub(in crate::core) enum Own {
    Reading(Box<Reading>),
    Read(Read),
}

impl Own {
    pub(in crate::core) fn new(reading: Reading) -> Self {
        Self::Reading(Box::new(reading))
    }

    pub(in crate::core) fn is_read(&self) -> bool {
        matches!(self, Self::Read(_))
    }

    /// Reads a bounded piece of `source`. Returns whether that was the last.
    pub(in crate::core) fn read<F: Source>(&mut self, source: &mut F) -> Result<bool, TreeError> {
        let Self::Reading(reading) = self else {
            return Ok(true);
        };
        if reading.step(source)? {
            *self = Self::Read(reading.finish());
            return Ok(true);
        }
        Ok(false)
    }
}
