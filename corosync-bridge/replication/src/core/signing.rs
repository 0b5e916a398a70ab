//! A Passive's answer to what its version of a large file is made of.
//!
//! It is told as sections first, and as chunks for those sections only of which the Active has no match; a file of few
//! chunks is told as chunks at once. The file stays open, so that what is copied from it is what was told of, even when
//! another takes its path. Should it be written to all the same, the digest of the new content will not fit.

use std::collections::VecDeque;

use super::Core;
use super::bulk::STEP_BYTES;
use crate::chunks::{CUT_BYTES, Chunk, Chunker, Section, sections};
use crate::state::StateStore;
use crate::tree::{Source, Tree, TreeError};
use crate::wire::{INLINE_BYTES, Message};
use crate::{EntryPath, NodeId};

/// A file of up to so many chunks is told of as chunks at once: some kilobytes, for a round trip less.
const FEW_CHUNKS: usize = 512;

/// Chunks in one message: as many as fit into the space of a piece of content.
const PART_CHUNKS: usize = 1024;

/// After so many bytes read the Active is shown that the answer is being made.
const SIGN_OF_LIFE_BYTES: u64 = 16 * 1024 * 1024;

/// An answer under way, and then the version to copy from.
#[derive(Debug)]
pub(super) struct Signing<F> {
    transfer: u64,
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

impl<F: Source> Signing<F> {
    fn new(transfer: u64, source: F) -> Self {
        Self {
            transfer,
            source,
            chunker: Some(Chunker::default()),
            untold: 0,
            chunks: Vec::new(),
            sections: Vec::new(),
            answer: None,
        }
    }

    pub(super) fn has_work(&self) -> bool {
        self.chunker.is_some() || self.answer.is_some()
    }

    pub(super) fn is_of(&self, transfer: u64) -> bool {
        self.transfer == transfer
    }

    /// The version that was told of.
    pub(super) fn into_source(self) -> F {
        self.source
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

    fn answer_in_detail(&mut self, offsets: &[u64]) {
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

impl<T: Tree, S: StateStore> Core<T, S> {
    pub(super) fn sign_delivered(
        &mut self,
        target: NodeId,
        transfer: u64,
        path: &EntryPath,
        offsets: &[u64],
        length: u64,
    ) {
        if !self.takes_in(length) || Some(target) != self.me {
            return;
        }
        let known = self.follower.signing.as_mut();
        if let Some(signing) = known.filter(|signing| signing.is_of(transfer)) {
            return signing.answer_in_detail(offsets);
        }
        // What cannot be read is no problem here: the whole content is sent.
        let opened = self.check_and_place(path).map(|()| self.tree.open(path));
        match opened {
            Ok(Ok(Some(source))) if source.found().seen.stamp.size <= CUT_BYTES => {
                self.follower.signing = Some(Signing::new(transfer, source));
            }
            _ => self.tell_part(transfer, true, true, Vec::new()),
        }
    }

    pub(super) fn signing_step(&mut self) {
        let Some(mut signing) = self.follower.signing.take() else {
            return;
        };
        if let Some(chunker) = signing.chunker.take() {
            if signing.read(chunker).is_err() {
                return self.tell_part(signing.transfer, true, true, Vec::new());
            }
            if signing.untold >= SIGN_OF_LIFE_BYTES {
                signing.untold = 0;
                self.tell_part(signing.transfer, false, false, Vec::new());
            }
        } else if let Some(mut answer) = signing.answer.take() {
            let part = answer.chunks.len().min(PART_CHUNKS);
            let chunks = answer.chunks.drain(..part).collect();
            let last = answer.chunks.is_empty();
            self.tell_part(signing.transfer, answer.detail, last, chunks);
            signing.answer = Some(answer).filter(|_| !last);
        }
        self.follower.signing = Some(signing);
    }

    pub(super) fn tell_part(&mut self, transfer: u64, detail: bool, last: bool, chunks: Vec<Chunk>) {
        let message = Message::Signature {
            epoch: self.state.epoch,
            transfer,
            detail,
            last,
            chunks,
        };
        self.outbox.push(message.encode());
    }
}
