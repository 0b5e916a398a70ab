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
        if self.chunks.is_empty() {
            unmatched(&sections(&own.chunks), &self.sections)
        } else {
            Vec::new()
        }
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
