//! The answer to what the version here of a large file is made of.
//!
//! It is told as sections first, and as chunks for those sections only of which the sender has no match; a file of few
//! chunks is told as chunks at once. The file stays open, so that what is copied from it is what was told of, even when
//! another takes its path. Should it be written to all the same, the digest of the new content will not fit.

use std::collections::{HashSet, VecDeque};

use super::reading::STEP_BYTES;
use crate::chunks::{Chunk, Chunker, Section, Seed, sections};
use crate::tree::{Source, TreeError};
use crate::wire::INLINE_BYTES;

/// A file of up to so many chunks is told of as chunks at once: some kilobytes, for a round trip less.
const FEW_CHUNKS: usize = 512;

/// Chunks in one message: as many as fit into the space of a piece of content.
const PART_CHUNKS: usize = 1024;

/// After so many bytes read the sender is shown that the answer is being made.
const SIGN_OF_LIFE_BYTES: u64 = 16 * 1024 * 1024;

/// An answer under way, and then the version to copy from.
#[derive(Debug)]
pub(in crate::core) struct Signing<F> {
    /// The transfer, or the offer, that it is for.
    id: u64,
    /// Of the one who asked.
    seed: Seed,
    source: F,
    /// Being read.
    chunker: Option<Chunker>,
    /// Bytes read since something was told.
    untold: u64,
    chunks: Vec<Chunk>,
    sections: Vec<Section>,
    /// What is still to be told.
    answer: Option<Answer>,
}

#[derive(Debug)]
struct Answer {
    detail: bool,
    chunks: VecDeque<Chunk>,
}

/// What goes into one message.
#[derive(Debug)]
pub(in crate::core) struct Part {
    pub(in crate::core) detail: bool,
    pub(in crate::core) last: bool,
    pub(in crate::core) chunks: Vec<Chunk>,
}

impl Part {
    /// There is nothing to copy from.
    pub(in crate::core) fn nothing() -> Self {
        Self {
            detail: true,
            last: true,
            chunks: Vec::new(),
        }
    }

    fn sign_of_life() -> Self {
        Self {
            detail: false,
            last: false,
            chunks: Vec::new(),
        }
    }
}

impl<F: Source> Signing<F> {
    /// Told with the seed of the one who asks.
    pub(in crate::core) fn new(id: u64, seed: Seed, source: F) -> Self {
        Self {
            id,
            seed,
            source,
            chunker: Some(Chunker::new(seed)),
            untold: 0,
            chunks: Vec::new(),
            sections: Vec::new(),
            answer: None,
        }
    }

    pub(in crate::core) fn has_work(&self) -> bool {
        self.chunker.is_some() || self.answer.is_some()
    }

    /// The transfer, or the offer, that it is for.
    pub(in crate::core) fn id(&self) -> u64 {
        self.id
    }

    pub(in crate::core) fn is_of(&self, id: u64) -> bool {
        self.id == id
    }

    /// Whether it is what is asked for now. One whose bridge was started anew may use a number once more.
    pub(in crate::core) fn answers(&self, id: u64, seed: Seed) -> bool {
        (self.id, self.seed) == (id, seed)
    }

    /// The version that was told of.
    pub(in crate::core) fn into_source(self) -> F {
        self.source
    }

    /// A bounded piece of work. Returns what is to be told then.
    pub(in crate::core) fn step(&mut self) -> Result<Option<Part>, TreeError> {
        if let Some(chunker) = self.chunker.take() {
            self.read(chunker)?;
            if self.untold >= SIGN_OF_LIFE_BYTES {
                self.untold = 0;
                return Ok(Some(Part::sign_of_life()));
            }
            return Ok(None);
        }
        let Some(mut answer) = self.answer.take() else {
            return Ok(None);
        };
        let detail = answer.detail;
        let part = answer.chunks.len().min(PART_CHUNKS);
        let chunks = answer.chunks.drain(..part).collect();
        let last = answer.chunks.is_empty();
        self.answer = Some(answer).filter(|_| !last);
        Ok(Some(Part { detail, last, chunks }))
    }

    /// Reads a bounded piece.
    fn read(&mut self, mut chunker: Chunker) -> Result<(), TreeError> {
        let mut left = STEP_BYTES;
        let mut buffer = Vec::new();
        while left > 0 {
            let hole = self.source.skip_hole(u64::MAX)?;
            chunker.skip(hole);
            buffer.clear();
            self.source.read(&mut buffer, INLINE_BYTES)?;
            if buffer.is_empty() && hole == 0 {
                self.chunks = chunker.finish();
                self.sections = sections(&self.chunks);
                self.answer_in_short();
                return Ok(());
            }
            chunker.take(&buffer);
            let read = u64::try_from(buffer.len()).unwrap_or(left);
            self.untold += read;
            left = left.saturating_sub(read);
        }
        self.chunker = Some(chunker);
        Ok(())
    }

    fn answer_in_short(&mut self) {
        let detail = self.chunks.len() <= FEW_CHUNKS;
        let chunks = if detail {
            self.chunks.iter().copied().collect()
        } else {
            self.sections.iter().map(|section| section.whole).collect()
        };
        self.answer = Some(Answer { detail, chunks });
    }

    /// The chunks of the sections that begin at `offsets` are asked for.
    pub(in crate::core) fn answer_in_detail(&mut self, offsets: &[u64]) {
        let offsets: HashSet<u64> = offsets.iter().copied().collect();
        let asked = self
            .sections
            .iter()
            .filter(|section| offsets.contains(&section.whole.offset));
        let chunks = asked
            .flat_map(|section| &self.chunks[section.chunks.clone()])
            .copied()
            .collect();
        self.answer = Some(Answer { detail: true, chunks });
    }
}
