//! A large content on its way, piece by piece: copied where the receiver has it, left out where nothing was ever
//! written, sent where it is new.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::Core;
use super::Job;
use crate::delta::Stretch;
use crate::digest::{Digest, Hasher};
use crate::state::StateStore;
use crate::tree::{Source, Tree, TreeError};
use crate::wire::{CHUNK_BYTES, COPY_BYTES, Message, Operation, STRETCH_BYTES};
use crate::{EntryPath, NodeId};

/// A content and where it goes.
#[derive(Debug)]
pub(super) struct Content<F> {
    /// The receiver has heard of this transfer already.
    pub(super) transfer: Option<u64>,
    pub(super) path: EntryPath,
    /// Who lacks it; `None`: it is a change.
    pub(super) target: Option<NodeId>,
    /// Who makes it from a version of its own.
    pub(super) made_by: Option<NodeId>,
    pub(super) source: F,
}

/// A content being sent.
#[derive(Debug)]
pub(super) struct Sending<F> {
    pub(super) transfer: u64,
    pub(super) path: EntryPath,
    pub(super) target: Option<NodeId>,
    made_by: Option<NodeId>,
    pub(super) source: F,
    plan: VecDeque<Stretch>,
    digest: Digesting,
    /// Up to here it was sent.
    offset: u64,
    /// Where the source is read on.
    position: Option<u64>,
    /// Bytes of the stream up to the last piece that takes its receiver long.
    long_until: u64,
}

/// The digest of the content.
#[derive(Debug)]
enum Digesting {
    Known(Digest),
    UnderWay(Hasher),
}

impl<F: Source> Sending<F> {
    /// Bytes of the content that are still to come.
    pub(super) fn left(&self) -> u64 {
        self.source.found().seen.stamp.size.saturating_sub(self.offset)
    }

    /// All is told: who makes it from its version has to be this far in the stream before it is told that it is whole. It would
    /// copy what is left at once, and keep everything else waiting.
    pub(super) fn ends_behind(&self) -> Option<(NodeId, u64)> {
        let made_by = self.made_by.filter(|_| self.plan.is_empty())?;
        Some((made_by, self.long_until))
    }

    fn digest(&self) -> Digest {
        match &self.digest {
            Digesting::Known(digest) => *digest,
            Digesting::UnderWay(hasher) => hasher.clone().finish(),
        }
    }

    /// The next piece; its bytes are put into `buffer`. `None` when the file ends before its time.
    fn next_piece(
        &mut self,
        epoch: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Message<'static>>, TreeError> {
        let (transfer, offset) = (self.transfer, self.offset);
        let Some(stretch) = self.plan.front_mut() else {
            return Ok(None);
        };
        let (message, taken) = match stretch {
            Stretch::Copy { from, length } => {
                let taken = (*length).min(COPY_BYTES);
                let copy = Message::Copy {
                    epoch,
                    transfer,
                    offset,
                    from: *from,
                    length: taken,
                };
                *from += taken;
                (Some(copy), taken)
            }
            Stretch::Data { length } => {
                if self.position != Some(offset) {
                    self.source.seek(offset)?;
                }
                let hole = self.source.skip_hole((*length).min(STRETCH_BYTES))?;
                if hole > 0 {
                    let length = hole;
                    let hole = Message::Hole {
                        epoch,
                        transfer,
                        offset,
                        length,
                    };
                    (Some(hole), length)
                } else {
                    let limit =
                        usize::try_from(*length).map_or(CHUNK_BYTES, |length| length.min(CHUNK_BYTES));
                    self.source.read(buffer, limit)?;
                    (None, u64::try_from(buffer.len()).unwrap_or(u64::MAX))
                }
            }
        };
        let length = match stretch {
            Stretch::Copy { length, .. } => length,
            Stretch::Data { length } => {
                self.position = Some(offset + taken);
                length
            }
        };
        *length -= taken;
        if *length == 0 {
            self.plan.pop_front();
        }
        self.offset += taken;
        if let Digesting::UnderWay(hasher) = &mut self.digest {
            match &message {
                Some(_) => hasher.update_zeros(taken),
                None => hasher.update(buffer),
            }
        }
        Ok(message)
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// Begins to send a content as planned.
    pub(super) fn begin_sending(
        &mut self,
        content: Content<T::Source>,
        plan: Vec<Stretch>,
        digest: Option<Digest>,
        now: Duration,
    ) {
        let Some(active) = &mut self.active else { return };
        let transfer = content.transfer.unwrap_or_else(|| active.next_id());
        let begin = Message::Begin {
            epoch: self.state.epoch,
            target: content.target,
            transfer,
            path: content.path.clone(),
        };
        self.push_stream(&begin, now);
        self.start(Job::Send(Sending {
            transfer,
            path: content.path,
            target: content.target,
            made_by: content.made_by,
            source: content.source,
            plan: plan.into(),
            digest: digest.map_or_else(|| Digesting::UnderWay(Hasher::new()), Digesting::Known),
            offset: 0,
            position: None,
            long_until: 0,
        }));
    }

    pub(super) fn send_step(
        &mut self,
        mut sending: Sending<T::Source>,
        now: Duration,
    ) -> Result<(), TreeError> {
        if sending.plan.is_empty() {
            return self.end_sending(sending, now);
        }
        let mut bytes = Vec::new();
        let offset = sending.offset;
        let piece = match sending.next_piece(self.state.epoch, &mut bytes)? {
            Some(piece) => piece,
            None if bytes.is_empty() => return self.changed_meanwhile(&Job::Send(sending), now),
            None => Message::Chunk {
                epoch: self.state.epoch,
                transfer: sending.transfer,
                offset,
                bytes: &bytes,
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
    fn end_sending(&mut self, sending: Sending<T::Source>, now: Duration) -> Result<(), TreeError> {
        if !self.is_still_there(&sending.path, &sending.source)? {
            return self.changed_meanwhile(&Job::Send(sending), now);
        }
        let digest = sending.digest();
        let found = sending.source.found().clone();
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
        self.leave_names(&sending.path, &known);
        self.index.insert(sending.path.clone(), known);
        let operation = Operation::PutTransferred {
            path: sending.path.clone(),
            attributes: found.attributes,
            transfer: sending.transfer,
            size: sending.offset,
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
