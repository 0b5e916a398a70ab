//! What the receiver of a large content tells of the version that it has: sections first, then the chunks of those of which
//! the sender has no match.

use std::time::Duration;

use super::reading::Read;
use super::signing::Part;
use crate::chunks::{Chunk, SHORTEST, sections};
use crate::delta::{Plan, plan, unmatched};

/// A receiver that tells nothing of its version for so long is sent the whole content. Longer than it takes to read
/// some megabytes from slow flash, after which it shows that it is at it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Chunks that a receiver may tell of: those of 1 GiB, were they all as short as can be. Bounds the memory that it can ask
/// for to some megabytes.
const CHUNKS: usize = (1 << 30) / SHORTEST;

/// Sections whose chunks are asked for, at most: what fits into the space of a piece of content. Of the others all is sent; a
/// content has as many only where it is full of holes.
const ASKED: usize = 8 * 1024;

/// What was asked of a receiver, and what it has told.
#[derive(Debug, Default)]
pub(in crate::core) struct Told {
    sections: Vec<Chunk>,
    chunks: Vec<Chunk>,
    is_complete: bool,
    give_up_at: Duration,
}

impl Told {
    /// It was asked, or is asked for more.
    pub(in crate::core) fn expect(&mut self, now: Duration) {
        self.is_complete = false;
        self.wait_anew(now);
    }

    /// It may have been waiting for the sender's own disk as long.
    pub(in crate::core) fn wait_anew(&mut self, now: Duration) {
        self.give_up_at = now + PATIENCE;
    }

    /// Until when more is waited for, where it is.
    pub(in crate::core) fn awaited_until(&self) -> Option<Duration> {
        (!self.is_complete).then_some(self.give_up_at)
    }

    /// It has nothing of the content.
    pub(in crate::core) fn is_nothing(&self) -> bool {
        self.is_complete && self.sections.is_empty() && self.chunks.is_empty()
    }

    /// Takes in a part of the answer, where one is expected.
    pub(in crate::core) fn take(&mut self, part: Part, now: Duration) {
        let Part { detail, last, chunks } = part;
        if self.is_complete {
            return;
        }
        self.wait_anew(now);
        let list = if detail {
            &mut self.chunks
        } else {
            &mut self.sections
        };
        list.extend(chunks);
        if list.len() > CHUNKS {
            return self.give_up();
        }
        if last && detail && self.chunks.is_empty() {
            // It has something else by now.
            return self.give_up();
        }
        self.is_complete = last;
    }

    /// Nothing more is expected, and what was told so far may be wrong.
    pub(in crate::core) fn give_up(&mut self) {
        self.sections.clear();
        self.chunks.clear();
        self.is_complete = true;
    }

    /// Where the receiver has chunks that it was not asked for, and that may be of use.
    pub(in crate::core) fn sections_to_ask(&self, own: &Read) -> Vec<u64> {
        if !self.chunks.is_empty() {
            return Vec::new();
        }
        let mut missing = unmatched(&sections(&own.chunks), &self.sections);
        missing.truncate(ASKED);
        missing
    }

    /// How to make the content of `size` bytes here from the receiver's version.
    pub(in crate::core) fn plan(&self, size: u64, own: &Read) -> Plan {
        plan(
            size,
            &own.chunks,
            &sections(&own.chunks),
            &self.sections,
            &self.chunks,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunks::ChunkId;
    use crate::digest::Digest;

    fn chunk(number: u64) -> Chunk {
        Chunk {
            offset: number * 8192,
            length: 4096,
            id: ChunkId(u128::from(number).to_be_bytes()),
        }
    }

    /// The numbers of chunks with a hole behind each: every one is a section.
    fn part(detail: bool, last: bool, numbers: std::ops::Range<u64>) -> Part {
        let chunks = numbers.map(chunk).collect();
        Part { detail, last, chunks }
    }

    fn own(numbers: std::ops::Range<u64>) -> Read {
        Read {
            digest: Digest::NONE,
            chunks: numbers.map(chunk).collect(),
        }
    }

    fn asked() -> Told {
        let mut told = Told::default();
        told.expect(Duration::ZERO);
        told
    }

    #[test]
    fn each_part_of_an_answer_is_waited_for_and_the_last_one_ends_it() {
        let mut told = asked();
        let later = Duration::from_secs(5);
        told.take(part(true, false, 0..1), later);
        assert_eq!(told.awaited_until(), Some(later + PATIENCE));
        told.take(part(true, true, 1..2), later);
        assert_eq!((told.awaited_until(), told.is_nothing()), (None, false));
        // What comes behind it was not asked for.
        told.take(part(true, true, 0..0), later);
        assert!(!told.is_nothing());
    }

    #[test]
    fn an_answer_without_end_is_given_up_within_bounded_memory() {
        let mut told = asked();
        for _ in 0..CHUNKS / 1024 + 1 {
            assert!(!told.is_nothing());
            told.take(part(false, false, 0..1024), Duration::ZERO);
        }
        assert!(told.is_nothing() && told.sections.is_empty());
    }

    #[test]
    fn no_more_sections_are_asked_for_than_fit_into_a_message() {
        let mut told = asked();
        told.take(part(false, true, 1..20_000), Duration::ZERO);
        let missing = told.sections_to_ask(&own(20_000..20_001));
        assert_eq!(missing.len(), ASKED);
    }
}
