//! Messages that wait for CPG to have room.

use std::collections::VecDeque;

use crate::wire::{BUNDLE_BYTES, Bundle};

/// Bytes that may wait. Work that makes messages stops above this, so memory stays bounded however slow the group is.
const ROOM_BYTES: usize = 256 * 1024;

/// Bytes behind which no piece of a large content is put: a change made meanwhile goes out right behind them.
const BULK_ROOM_BYTES: usize = 64 * 1024;

/// Messages in the order in which they have to be sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
    /// So many messages from the first on, the last of which somebody waits for.
    awaited: usize,
}

impl Outbox {
    pub(super) fn has_room(&self) -> bool {
        self.bytes < ROOM_BYTES
    }

    pub(super) fn has_room_for_bulk(&self) -> bool {
        self.bytes < BULK_ROOM_BYTES
    }

    pub(super) fn push(&mut self, message: Vec<u8>) {
        self.push_with_more(message);
        self.awaited = self.messages.len();
    }

    /// A message that nobody waits for before more of its kind has come.
    pub(super) fn push_with_more(&mut self, message: Vec<u8>) {
        self.bytes += message.len();
        self.messages.push_back(message);
    }

    /// Whether what waits here is better sent with more that comes at once.
    pub(super) fn gathers(&self) -> bool {
        self.awaited == 0 && !self.fills_bundle()
    }

    /// Whether as much waits as goes together.
    pub(super) fn fills_bundle(&self) -> bool {
        self.bytes >= BUNDLE_BYTES
    }

    /// What CPG carries next: the messages that have waited longest, as many as go together.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let mut bytes = 0;
        let fits = |message: &&Vec<u8>| {
            bytes += message.len();
            bytes <= BUNDLE_BYTES
        };
        let count = self.messages.iter().take_while(fits).count().max(1);
        if self.messages.is_empty() {
            return None;
        }
        let together: Vec<Vec<u8>> = self.messages.drain(..count).collect();
        self.bytes -= together.iter().map(Vec::len).sum::<usize>();
        self.awaited = self.awaited.saturating_sub(count);
        Some(Bundle::pack(together))
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
