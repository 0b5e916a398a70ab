//! A large content on its way, piece by piece: copied where the receiver has it, left out where nothing was ever
//! written, sent where it is new.

use std::time::Duration;

use super::super::Core;
use super::Job;
use super::reading::{Read, Reading};
use crate::chunks::Chunk;
use crate::delta::{Plan, Stretch, Theirs};
use crate::digest::Digest;
use crate::state::StateStore;
use crate::tree::{Source, Tree, TreeError};
use crate::wire::{CHUNK_BYTES, COPY_BYTES, Message, Operation, STRETCH_BYTES};
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

/// When a content is read that is being sent.
#[derive(Debug)]
pub(super) enum WhenRead {
    /// It was read before.
    Before(Read),
    /// As it is sent, which is all of it.
    AsSent(Reading),
    /// Ahead of what is sent, which is planned by it.
    Ahead(Ahead),
}

impl WhenRead {
    /// Of `source`, none of which is known.
    pub(super) fn as_sent<F: Source>(source: &F) -> Self {
        Self::AsSent(Reading::new(source.found().seen.stamp.size <= REMEMBERED_BYTES))
    }
}

/// A content that is made from another, and still being read.
#[derive(Debug)]
pub(super) struct Ahead {
    reading: Reading,
    theirs: Theirs,
    /// Chunks that are planned.
    planned: usize,
}

impl Ahead {
    pub(super) fn new(reading: Reading, base: &[Chunk]) -> Self {
        Self {
            reading,
            theirs: Theirs::of(base.iter().copied()),
            planned: 0,
        }
    }

    /// Reads on in `source`, and plans what was read. All is planned when this returns what it is.
    fn step<F: Source>(&mut self, source: &mut F, plan: &mut Plan) -> Result<Option<Read>, TreeError> {
        let read = self.reading.step(source)?.then(|| self.reading.finish());
        let chunks = read.as_ref().map_or(self.reading.chunks(), |read| &read.chunks);
        for chunk in &chunks[self.planned..] {
            plan.add(chunk, &self.theirs);
        }
        self.planned = chunks.len();
        if read.is_some() {
            plan.data_up_to(self.reading.length());
        }
        Ok(read)
    }
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
    pub(super) source: F,
    plan: Plan,
    read: WhenRead,
    /// Up to here it was sent.
    offset: u64,
    /// Where the source is read on.
    position: Option<u64>,
    /// Bytes of the stream up to the last piece that takes its receivers long.
    long_until: u64,
}

impl<F: Source> Sending<F> {
    /// Bytes of the content that are still to come.
    pub(super) fn left(&self) -> u64 {
        self.source.found().seen.stamp.size.saturating_sub(self.offset)
    }

    /// All is told: who makes it from its version has to be this far in the stream before it is told that it is whole. It would
    /// copy what is left at once, and keep everything else waiting.
    pub(super) fn ends_behind(&self) -> Option<u64> {
        let is_told = self.plan.is_empty() && !matches!(self.read, WhenRead::Ahead(_));
        is_told.then_some(self.long_until)
    }

    /// A receiver cannot make it as it is told.
    pub(super) fn refuse(&mut self, transfer: u64) {
        self.is_refused |= self.transfer == transfer && self.base.is_some();
    }

    /// The stretch to be sent next; `None` where there is none, or it is better to read on first.
    fn next_stretch(&self) -> Option<Stretch> {
        match &self.read {
            WhenRead::Ahead(_) => self.plan.next(COPY_BYTES),
            WhenRead::Before(_) | WhenRead::AsSent(_) => self.plan.next(0),
        }
    }

    /// All of it was read.
    fn finish_reading(&mut self) -> Read {
        match &mut self.read {
            WhenRead::Before(read) => Read {
                digest: read.digest,
                chunks: std::mem::take(&mut read.chunks),
            },
            WhenRead::AsSent(reading) | WhenRead::Ahead(Ahead { reading, .. }) => reading.finish(),
        }
    }

    /// Reads a bounded piece ahead, and plans how it is made. Returns whether there was something to be read.
    fn read_ahead(&mut self) -> Result<bool, TreeError> {
        let WhenRead::Ahead(ahead) = &mut self.read else {
            return Ok(false);
        };
        go_to(&mut self.source, self.position, ahead.reading.length())?;
        let read = ahead.step(&mut self.source, &mut self.plan)?;
        self.position = Some(ahead.reading.length());
        if let Some(read) = read {
            self.read = WhenRead::Before(read);
        }
        Ok(true)
    }

    /// The next piece, of `stretch`; its bytes are put into `buffer`. `None` when the file ends before its time.
    fn next_piece(
        &mut self,
        stretch: Stretch,
        epoch: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Message<'static>>, TreeError> {
        let (transfer, offset) = (self.transfer, self.offset);
        let (message, taken) = match stretch {
            Stretch::Copy { from, length } => {
                let length = length.min(COPY_BYTES);
                let copy = Message::Copy {
                    epoch,
                    transfer,
                    offset,
                    from,
                    length,
                };
                (Some(copy), length)
            }
            Stretch::Data { length } => {
                go_to(&mut self.source, self.position, offset)?;
                let hole = self.source.skip_hole(length.min(STRETCH_BYTES))?;
                let (message, taken) = if hole > 0 {
                    let length = hole;
                    let hole = Message::Hole {
                        epoch,
                        transfer,
                        offset,
                        length,
                    };
                    (Some(hole), length)
                } else {
                    let limit = usize::try_from(length).map_or(CHUNK_BYTES, |length| length.min(CHUNK_BYTES));
                    self.source.read(buffer, limit)?;
                    (None, u64::try_from(buffer.len()).unwrap_or(u64::MAX))
                };
                self.position = Some(offset + taken);
                (message, taken)
            }
        };
        self.plan.advance(taken);
        self.offset += taken;
        if let WhenRead::AsSent(reading) = &mut self.read {
            match &message {
                Some(_) => reading.skip(taken),
                None => reading.take(buffer),
            }
        }
        Ok(message)
    }
}

/// Has `source`, which is read on at `position`, be read on at `offset`.
fn go_to<F: Source>(source: &mut F, position: Option<u64>, offset: u64) -> Result<(), TreeError> {
    if position != Some(offset) {
        source.seek(offset)?;
    }
    Ok(())
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
            source: content.source,
            plan,
            read,
            offset: 0,
            position: None,
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
        let Some(stretch) = sending.next_stretch() else {
            if !sending.read_ahead()? {
                return self.end_sending(sending, now);
            }
            self.start(Job::Send(sending));
            return Ok(());
        };
        let mut bytes = Vec::new();
        let offset = sending.offset;
        let piece = match sending.next_piece(stretch, self.state.epoch, &mut bytes)? {
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
    fn end_sending(&mut self, mut sending: Box<Sending<T::Source>>, now: Duration) -> Result<(), TreeError> {
        if !self.is_still_there(&sending.path, &sending.source)? {
            return self.changed_meanwhile(&Job::Send(sending), now);
        }
        let Read { digest, chunks } = sending.finish_reading();
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
        self.look_for_names(&sending.path, &known)?;
        self.leave_names(&sending.path, &known);
        self.index.insert(sending.path.clone(), known);
        self.remember_base(digest, chunks);
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
