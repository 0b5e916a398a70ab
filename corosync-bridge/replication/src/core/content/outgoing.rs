//! A large content on its way, piece by piece: copied where the receiver has it, left out where nothing was ever
//! written, sent where it is new.

use super::piece::Piece;
use super::reading::{Read, Reading};
use crate::chunks::Chunk;
use crate::delta::{Plan, Stretch, Theirs};
use crate::tree::{Source, TreeError};
use crate::wire::{CHUNK_BYTES, COPY_BYTES, STRETCH_BYTES};

/// When a content is read that is being sent.
#[derive(Debug)]
pub(in crate::core) enum WhenRead {
    /// It was read before.
    Before(Read),
    /// As it is sent, which is all of it.
    AsSent(Reading),
    /// Ahead of what is sent, which is planned by it.
    Ahead(Ahead),
}

/// A content that is made from another, and still being read.
#[derive(Debug)]
pub(in crate::core) struct Ahead {
    reading: Reading,
    theirs: Theirs,
    /// Chunks that are planned.
    planned: usize,
}

impl Ahead {
    pub(in crate::core) fn new(reading: Reading, base: &[Chunk]) -> Self {
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
pub(in crate::core) struct Outgoing<F> {
    source: F,
    plan: Plan,
    read: WhenRead,
    /// Up to here it was sent.
    offset: u64,
    /// Where the source is read on.
    position: Option<u64>,
}

impl<F: Source> Outgoing<F> {
    pub(in crate::core) fn new(source: F, plan: Plan, read: WhenRead) -> Self {
        Self {
            source,
            plan,
            read,
            offset: 0,
            position: None,
        }
    }

    pub(in crate::core) fn source(&self) -> &F {
        &self.source
    }

    /// Up to here it was sent.
    pub(in crate::core) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the content that are still to come.
    pub(in crate::core) fn left(&self) -> u64 {
        self.source.found().seen.stamp.size.saturating_sub(self.offset)
    }

    /// Nothing is left to be sent.
    pub(in crate::core) fn is_told(&self) -> bool {
        self.plan.is_empty() && !matches!(self.read, WhenRead::Ahead(_))
    }

    /// The stretch to be sent next; `None` where there is none, or it is better to read on first.
    pub(in crate::core) fn next_stretch(&self) -> Option<Stretch> {
        match &self.read {
            WhenRead::Ahead(_) => self.plan.next(COPY_BYTES),
            WhenRead::Before(_) | WhenRead::AsSent(_) => self.plan.next(0),
        }
    }

    /// All of it was read.
    pub(in crate::core) fn finish_reading(&mut self) -> Read {
        match &mut self.read {
            WhenRead::Before(read) => Read {
                digest: read.digest,
                chunks: std::mem::take(&mut read.chunks),
            },
            WhenRead::AsSent(reading) | WhenRead::Ahead(Ahead { reading, .. }) => reading.finish(),
        }
    }

    /// Reads a bounded piece ahead, and plans how it is made. Returns whether there was something to be read.
    pub(in crate::core) fn read_ahead(&mut self) -> Result<bool, TreeError> {
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
    pub(in crate::core) fn next_piece<'a>(
        &mut self,
        stretch: Stretch,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Option<Piece<'a>>, TreeError> {
        let piece = match stretch {
            Stretch::Copy { from, length } => {
                let length = length.min(COPY_BYTES);
                Piece::Copy { from, length }
            }
            Stretch::Data { length } => self.next_data(length, buffer)?,
        };
        let taken = piece.length();
        if taken == 0 {
            return Ok(None);
        }
        self.plan.advance(taken);
        self.offset += taken;
        if let WhenRead::AsSent(reading) = &mut self.read {
            match &piece {
                Piece::Bytes(bytes) => reading.take(bytes),
                Piece::Copy { .. } | Piece::Hole(_) => reading.skip(taken),
            }
        }
        Ok(Some(piece))
    }

    /// The next of `length` bytes that are new.
    fn next_data<'a>(&mut self, length: u64, buffer: &'a mut Vec<u8>) -> Result<Piece<'a>, TreeError> {
        go_to(&mut self.source, self.position, self.offset)?;
        let hole = self.source.skip_hole(length.min(STRETCH_BYTES))?;
        let piece = if hole > 0 {
            Piece::Hole(hole)
        } else {
            let limit = usize::try_from(length).map_or(CHUNK_BYTES, |length| length.min(CHUNK_BYTES));
            self.source.read(buffer, limit)?;
            Piece::Bytes(buffer.as_slice().into())
        };
        self.position = Some(self.offset + piece.length());
        Ok(piece)
    }
}

/// Has `source`, which is read on at `position`, be read on at `offset`.
fn go_to<F: Source>(source: &mut F, position: Option<u64>, offset: u64) -> Result<(), TreeError> {
    if position != Some(offset) {
        source.seek(offset)?;
    }
    Ok(())
}
