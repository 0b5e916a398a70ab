//! Messages that wait for CPG to have room.

use std::collections::VecDeque;

/// Bytes that may wait. Work that makes messages stops above this, so memory stays bounded however slow the group is.
const ROOM_BYTES: usize = 256 * 1024;

/// Bytes behind which no piece of a large content is put: a change made meanwhile goes out right behind them.
const BULK_ROOM_BYTES: usize = 64 * 1024;

/// Messages in the order in which they have to be sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Outbox {
    pub(super) fn has_room(&self) -> bool {
        self.bytes < ROOM_BYTES
    }

    pub(super) fn has_room_for_bulk(&self) -> bool {
        self.bytes < BULK_ROOM_BYTES
    }

    pub(super) fn push(&mut self, message: Vec<u8>) {
        self.bytes += message.len();
        self.messages.push_back(message);
    }

    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
