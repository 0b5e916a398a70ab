//! How the large contents that were sent last are cut: of a change to one of them, the receivers need not be asked what
//! they have, and it is sent while it is still being read.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::chunks::Chunk;
use crate::digest::Digest;

/// Chunks that are remembered, at most: about a megabyte, for some 380 MB of contents.
const CHUNKS: usize = 32 * 1024;

/// A content from which another may be made.
#[derive(Debug, Clone)]
pub(super) struct Base {
    pub(super) content: Digest,
    pub(super) chunks: Rc<[Chunk]>,
}

/// Those that are remembered, the newest first.
#[derive(Debug, Default)]
pub(super) struct Bases(VecDeque<Base>);

impl Bases {
    /// Every follower has this content, or is sent it.
    pub(super) fn remember(&mut self, content: Digest, chunks: Vec<Chunk>) {
        self.forget(content);
        if chunks.is_empty() {
            return;
        }
        self.0.push_front(Base {
            content,
            chunks: chunks.into(),
        });
        let mut room = CHUNKS;
        self.0.retain(|base| {
            let left = room.checked_sub(base.chunks.len());
            room = left.unwrap_or(room);
            left.is_some()
        });
    }

    pub(super) fn find(&self, content: Digest) -> Option<Base> {
        self.0.iter().find(|base| base.content == content).cloned()
    }

    /// Nobody can be told to make anything of this content any more.
    pub(super) fn forget(&mut self, content: Digest) {
        self.0.retain(|base| base.content != content);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunks::ChunkId;

    fn chunks(count: usize) -> Vec<Chunk> {
        let chunk = Chunk {
            offset: 0,
            length: 1,
            id: ChunkId([0; ChunkId::BYTES]),
        };
        vec![chunk; count]
    }

    fn content(number: u8) -> Digest {
        Digest([number; Digest::BYTES])
    }

    #[test]
    fn what_was_sent_last_is_remembered_within_the_bound() {
        let mut bases = Bases::default();
        bases.remember(content(1), chunks(CHUNKS / 2));
        bases.remember(content(2), chunks(CHUNKS / 2));
        assert_eq!(bases.find(content(1)).unwrap().chunks.len(), CHUNKS / 2);
        // The same once more takes no room.
        bases.remember(content(1), chunks(CHUNKS / 2));
        assert!(bases.find(content(2)).is_some());
        bases.remember(content(3), chunks(1));
        assert!(bases.find(content(2)).is_none());
        assert!(bases.find(content(1)).is_some() && bases.find(content(3)).is_some());
    }

    #[test]
    fn what_is_too_large_or_of_no_use_is_not_remembered() {
        let mut bases = Bases::default();
        bases.remember(content(1), chunks(CHUNKS + 1));
        bases.remember(content(2), Vec::new());
        bases.remember(content(3), chunks(1));
        bases.forget(content(3));
        assert!((1..4).all(|number| bases.find(content(number)).is_none()));
    }
}
