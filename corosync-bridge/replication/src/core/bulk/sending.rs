//! A large content on its way to those who follow, or to the one who lacks it.

use std::time::Duration;

use super::super::Core;
use super::super::content::{Outgoing, Piece, Read, Reading, WhenRead};
use super::Job;
use crate::chunks::Seed;
use crate::delta::Plan;
use crate::digest::Digest;
use crate::state::StateStore;
use crate::tree::{Source, Tree, TreeError};
use crate::wire::{Message, Operation, STRETCH_BYTES};
use crate::{EntryPath, NodeId};

/// Contents up to this size, in bytes, are cut although all of them is sent, to be remembered.
const REMEMBERED_BYTES: u64 = 256 << 20;

/// A content and where it goes.
#[derive(Debug)]
pub(super) struct Content<F> {
    /// The receiver has heard of this transfer already.
    pub(super) transfer: Option<u64>,
    pub(super) path: EntryPath,
    /// Who lacks it; `None`: it is a change.
    pub(super) target: Option<NodeId>,
    /// What its receivers have there, and are to make it from, where they were not asked.
    pub(super) base: Option<Digest>,
    pub(super) source: F,
}

/// Of `source`, none of which is known, and all of which is sent.
pub(super) fn read_as_sent<F: Source>(source: &F, seed: Seed) -> WhenRead {
    let is_remembered = source.found().seen.stamp.size <= REMEMBERED_BYTES;
    WhenRead::AsSent(Reading::new(is_remembered.then_some(seed)))
}

/// A content being sent.
#[derive(Debug)]
pub(super) struct Sending<F> {
    pub(super) transfer: u64,
    pub(super) path: EntryPath,
    pub(super) target: Option<NodeId>,
    base: Option<Digest>,
    /// A receiver has another content there than the one to make it from.
    is_refused: bool,
    outgoing: Outgoing<F>,
    /// Bytes of the stream up to the last piece that takes its receivers long.
    long_until: u64,
}

impl<F: Source> Sending<F> {
    pub(super) fn source(&self) -> &F {
        self.outgoing.source()
    }

    /// Bytes of the content that are still to come.
    pub(super) fn left(&self) -> u64 {
        self.outgoing.left()
    }

    /// All is told: who makes it from its version has to be this far in the stream before it is told that it is whole. It would
    /// copy what is left at once, and keep everything else waiting.
    pub(super) fn ends_behind(&self) -> Option<u64> {
        self.outgoing.is_told().then_some(self.long_until)
    }

    /// A receiver cannot make it as it is told.
    pub(super) fn refuse(&mut self, transfer: u64) {
        self.is_refused |= self.transfer == transfer && self.base.is_some();
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// Begins to send a content as planned.
    pub(super) fn begin_sending(
        &mut self,
        content: Content<T::Source>,
        plan: Plan,
        read: WhenRead,
        now: Duration,
    ) {
        let Some(active) = &mut self.active else { return };
        let transfer = content.transfer.unwrap_or_else(|| active.next_id());
        let begin = Message::Begin {
            epoch: self.state.epoch,
            target: content.target,
            transfer,
            path: content.path.clone(),
            base: content.base,
        };
        self.push_stream(&begin, now);
        self.start(Job::Send(Box::new(Sending {
            transfer,
            path: content.path,
            target: content.target,
            base: content.base,
            is_refused: false,
            outgoing: Outgoing::new(content.source, plan, read),
            long_until: 0,
        })));
    }

    pub(super) fn send_step(
        &mut self,
        mut sending: Box<Sending<T::Source>>,
        now: Duration,
    ) -> Result<(), TreeError> {
        if let Some(base) = sending.base.filter(|_| sending.is_refused) {
            self.forget_base(base);
            return self.changed_meanwhile(&Job::Send(sending), now);
        }
        let Some(stretch) = sending.outgoing.next_stretch() else {
            if !sending.outgoing.read_ahead()? {
                return self.end_sending(sending, now);
            }
            self.start(Job::Send(sending));
            return Ok(());
        };
        let mut buffer = Vec::new();
        let offset = sending.outgoing.offset();
        let Some(piece) = sending.outgoing.next_piece(stretch, &mut buffer)? else {
            return self.changed_meanwhile(&Job::Send(sending), now);
        };
        let (epoch, transfer) = (self.state.epoch, sending.transfer);
        let piece = match &piece {
            &Piece::Copy { from, length } => Message::Copy {
                epoch,
                transfer,
                offset,
                from,
                length,
            },
            &Piece::Hole(length) => Message::Hole {
                epoch,
                transfer,
                offset,
                length,
            },
            Piece::Bytes(bytes) => Message::Chunk {
                epoch,
                transfer,
                offset,
                bytes,
            },
        };
        self.push_stream(&piece, now);
        if let (Some(active), Message::Copy { length, .. }) = (&self.active, &piece) {
            if *length > STRETCH_BYTES {
                sending.long_until = active.sent_bytes;
            }
        }
        self.start(Job::Send(sending));
        Ok(())
    }

    /// Everything was sent: it counts if it was read as one state.
    fn end_sending(&mut self, mut sending: Box<Sending<T::Source>>, now: Duration) -> Result<(), TreeError> {
        if !self.is_still_there(&sending.path, sending.source())? {
            return self.changed_meanwhile(&Job::Send(sending), now);
        }
        let Read { digest, chunks } = sending.outgoing.finish_reading();
        let found = sending.source().found().clone();
        let known = found.known_with(digest);
        let announced = self
            .index
            .get(&sending.path)
            .is_some_and(|before| before.same_as(&known));
        if sending.target.is_some() && !announced {
            // It changed since it was announced: everyone has to hear of it, not just one.
            return self.changed_meanwhile(&Job::Send(sending), now);
        }
        self.finished(&sending.path);
        self.look_for_names(&sending.path, &known)?;
        self.leave_names(&sending.path, &known);
        self.index.insert(sending.path.clone(), known);
        self.remember_base(digest, chunks);
        let operation = Operation::PutTransferred {
            path: sending.path.clone(),
            attributes: found.attributes,
            transfer: sending.transfer,
            size: sending.outgoing.offset(),
            digest,
        };
        self.send(sending.target, operation, now);
        match sending.target {
            Some(target) => self.supply_names(&sending.path, &known, target, now),
            None => self.share(&sending.path, &known, true, now)?,
        }
        Ok(())
    }
}
