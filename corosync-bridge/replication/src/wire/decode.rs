//! Bytes to messages.

use std::time::Duration;

use super::{
    COPY_BYTES, Hello, MAGIC, ManifestEntry, Message, OfferStage, Operation, Range, STRETCH_BYTES,
    SummaryRange, VERSION, Verdict, kind, operation, stage, verdict,
};
use crate::agreed::Version;
use crate::chunks::{Chunk, ChunkId, Seed};
use crate::digest::Digest;
use crate::entry::{Attributes, FileTime, Kind, Xattr};
use crate::path::PathError;
use crate::{EntryPath, NodeId, Position, Role, Switch, Sync};

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not of this protocol at all.
    #[error("decode a message: it does not begin as one")]
    NotOurs,
    /// Of this protocol in another version.
    #[error("decode a message: it has version {theirs}, and this node speaks version {VERSION}")]
    Version {
        /// The version of the message.
        theirs: u8,
    },
    /// Ends within a field, or a length points beyond its end.
    #[error("decode a message: it ends too early")]
    Truncated,
    /// Bytes behind the last field.
    #[error("decode a message: {0} bytes are left over")]
    Surplus(usize),
    /// A field holds what it cannot.
    #[error("decode a message: {field} cannot be {value}")]
    Value {
        /// The field.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
    /// What was packed cannot be unpacked.
    #[error("decode a message: what is packed in it cannot be unpacked")]
    Packed,
    /// Words for people that are not UTF-8.
    #[error("decode a message: its text is not UTF-8")]
    Text,
    /// A path that no member may name.
    #[error("decode a message: {0}")]
    Path(#[from] PathError),
    /// Manifest entries or attributes are out of order.
    #[error("decode a message: {0} do not ascend")]
    Order(&'static str),
}

pub(super) fn message(bytes: &[u8]) -> Result<Message<'_>, WireError> {
    let mut input = Input(bytes);
    if input.take(MAGIC.len()).map_err(|_| WireError::NotOurs)? != MAGIC {
        return Err(WireError::NotOurs);
    }
    let theirs = input.byte()?;
    if theirs != VERSION {
        return Err(WireError::Version { theirs });
    }
    let message = input.message()?;
    match input.0.len() {
        0 => Ok(message),
        surplus => Err(WireError::Surplus(surplus)),
    }
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn message(&mut self) -> Result<Message<'a>, WireError> {
        let kind = self.byte()?;
        match kind {
            kind::HELLO => Ok(Message::Hello(self.hello()?)),
            kind::PROMOTE => Ok(Message::Promote { epoch: self.u64()? }),
            kind::COMPARE => Ok(Message::Compare {
                epoch: self.u64()?,
                target: self.node()?,
                session: self.u64()?,
                sequence: self.u64()?,
            }),
            kind::MANIFEST => self.manifest(),
            kind::ACK => Ok(Message::Ack {
                epoch: self.u64()?,
                sequence: self.u64()?,
                received: self.u64()?,
            }),
            kind::LACKS => Ok(Message::Lacks {
                epoch: self.u64()?,
                session: self.u64()?,
                follows: self.mark("the mark of who follows")?,
                path: match self.long()? {
                    [] => None,
                    path => Some(EntryPath::new(path)?),
                },
                reason: std::str::from_utf8(self.long()?).map_err(|_| WireError::Text)?,
            }),
            kind::OPERATION => Ok(Message::Operation {
                epoch: self.u64()?,
                sequence: self.u64()?,
                target: self.target()?,
                operation: self.operation()?,
            }),
            kind::BEGIN | kind::BEGIN_FROM => Ok(Message::Begin {
                epoch: self.u64()?,
                target: self.target()?,
                transfer: self.u64()?,
                path: self.path()?,
                base: (kind == kind::BEGIN_FROM).then(|| self.digest()).transpose()?,
            }),
            kind::CHUNK => Ok(Message::Chunk {
                epoch: self.u64()?,
                transfer: self.u64()?,
                offset: self.u64()?,
                bytes: self.long()?,
            }),
            kind::ABANDON => Ok(Message::Abandon {
                epoch: self.u64()?,
                transfer: self.u64()?,
            }),
            kind::SUMMARY => self.summary(),
            kind::DETAIL => self.detail(),
            kind::SIGN => self.sign(),
            kind::SIGNATURE => self.signature(),
            kind::COPY => Ok(Message::Copy {
                epoch: self.u64()?,
                transfer: self.u64()?,
                offset: self.u64()?,
                from: self.u64()?,
                length: self.stretch(COPY_BYTES)?,
            }),
            kind::HOLE => Ok(Message::Hole {
                epoch: self.u64()?,
                transfer: self.u64()?,
                offset: self.u64()?,
                length: self.stretch(STRETCH_BYTES)?,
            }),
            kind::TIME => Ok(Message::Time {
                epoch: self.u64()?,
                target: self.node()?,
                exchange: self.u64()?,
                time: match self.byte()? {
                    0 => None,
                    1 => Some(Duration::from_nanos(self.u64()?)),
                    other => return Err(value("a question or a time", other)),
                },
            }),
            kind::OFFER => Ok(Message::Offer {
                epoch: self.u64()?,
                offer: self.u64()?,
                path: self.path()?,
                base: self.version()?,
                now: self.version()?,
            }),
            kind::VERDICT => Ok(Message::Verdict {
                epoch: self.u64()?,
                target: self.node()?,
                offer: self.u64()?,
                verdict: self.verdict()?,
            }),
            kind::CONTRIBUTION => Ok(Message::Contribution {
                epoch: self.u64()?,
                offer: self.u64()?,
                operation: self.operation()?,
            }),
            kind::PIECE => Ok(Message::Piece {
                epoch: self.u64()?,
                offer: self.u64()?,
                offset: self.u64()?,
                bytes: self.long()?,
            }),
            kind::SIGN_BASE => self.sign_base(),
            kind::PIECE_COPY => Ok(Message::PieceCopy {
                epoch: self.u64()?,
                offer: self.u64()?,
                offset: self.u64()?,
                from: self.u64()?,
                length: self.stretch(COPY_BYTES)?,
            }),
            kind::PIECE_HOLE => Ok(Message::PieceHole {
                epoch: self.u64()?,
                offer: self.u64()?,
                offset: self.u64()?,
                length: self.stretch(STRETCH_BYTES)?,
            }),
            kind::OFFERING => Ok(Message::Offering {
                epoch: self.u64()?,
                stage: match self.byte()? {
                    stage::BEGUN => OfferStage::Begun,
                    stage::DONE => OfferStage::Done,
                    stage::CLAIMED => OfferStage::Claimed,
                    other => return Err(value("a stage of the offers", other)),
                },
            }),
            other => Err(value("the kind of message", other)),
        }
    }

    fn hello(&mut self) -> Result<Hello, WireError> {
        Ok(Hello {
            epoch: self.u64()?,
            owner: NodeId(self.u32()?),
            role: match self.byte()? {
                1 => Role::Active,
                2 => Role::Passive,
                other => return Err(value("a role", other)),
            },
            position: Position {
                epoch: self.u64()?,
                sequence: self.u64()?,
            },
            sync: match self.byte()? {
                1 => Sync::Source,
                2 => Sync::InSync,
                3 => Sync::Syncing,
                4 => Sync::NoSource,
                5 => Sync::Failed,
                other => return Err(value("a synchronisation", other)),
            },
            switch: match self.byte()? {
                1 => Switch::On,
                2 => Switch::Paused,
                3 => Switch::Disabled,
                other => return Err(value("a switch", other)),
            },
            essential: self.mark("the mark of what is essential")?,
        })
    }

    fn manifest(&mut self) -> Result<Message<'a>, WireError> {
        let epoch = self.u64()?;
        let session = self.u64()?;
        let range = self.range()?;
        let mut entries: Vec<ManifestEntry> = Vec::new();
        while !self.0.is_empty() {
            let entry = self.manifest_entry()?;
            let ascends =
                entries.last().map(|before| &before.path).or(range.after.as_ref()) < Some(&entry.path);
            if !ascends || range.ends_before(&entry.path) {
                return Err(WireError::Order("manifest entries"));
            }
            entries.push(entry);
        }
        Ok(Message::Manifest {
            epoch,
            session,
            range,
            entries,
        })
    }

    fn summary(&mut self) -> Result<Message<'a>, WireError> {
        let epoch = self.u64()?;
        let session = self.u64()?;
        let last = self.mark("the mark of the last part")?;
        let mut ranges: Vec<SummaryRange> = Vec::new();
        while !self.0.is_empty() {
            let range = SummaryRange {
                up_to: self.path()?,
                digest: self.digest()?,
            };
            if ranges.last().is_some_and(|before| before.up_to >= range.up_to) {
                return Err(WireError::Order("ranges"));
            }
            ranges.push(range);
        }
        Ok(Message::Summary {
            epoch,
            session,
            last,
            ranges,
        })
    }

    fn detail(&mut self) -> Result<Message<'a>, WireError> {
        let epoch = self.u64()?;
        let target = self.node()?;
        let session = self.u64()?;
        let mut ranges: Vec<Range> = Vec::new();
        while !self.0.is_empty() {
            let range = self.range()?;
            if ranges.last().is_some_and(|before| !range.is_behind(before)) {
                return Err(WireError::Order("ranges"));
            }
            ranges.push(range);
        }
        Ok(Message::Detail {
            epoch,
            target,
            session,
            ranges,
        })
    }

    fn range(&mut self) -> Result<Range, WireError> {
        let (after, up_to) = (self.end()?, self.end()?);
        if up_to.is_some() && after >= up_to {
            return Err(WireError::Order("the ends of a range"));
        }
        Ok(Range { after, up_to })
    }

    /// An end of a range; an empty path is an open one.
    fn end(&mut self) -> Result<Option<EntryPath>, WireError> {
        match self.long()? {
            [] => Ok(None),
            bytes => Ok(Some(EntryPath::new(bytes)?)),
        }
    }

    fn manifest_entry(&mut self) -> Result<ManifestEntry, WireError> {
        Ok(ManifestEntry {
            path: self.path()?,
            kind: self.entry_kind()?,
            content: self.digest()?,
            attributes: self.digest()?,
        })
    }

    fn entry_kind(&mut self) -> Result<Kind, WireError> {
        let number = self.byte()?;
        Kind::from_number(number).ok_or(value("the kind of an entry", number))
    }

    fn version(&mut self) -> Result<Option<Version>, WireError> {
        if self.0.first() == Some(&0) {
            self.byte()?;
            return Ok(None);
        }
        Ok(Some(Version {
            kind: self.entry_kind()?,
            content: self.digest()?,
            attributes: self.digest()?,
        }))
    }

    fn verdict(&mut self) -> Result<Verdict, WireError> {
        match self.byte()? {
            verdict::TAKEN => Ok(Verdict::Taken),
            verdict::LOST => Ok(Verdict::Lost),
            verdict::LATER => Ok(Verdict::Later),
            verdict::REFUSED => Ok(Verdict::Refused),
            verdict::WANTS_ATTRIBUTES => Ok(Verdict::WantsAttributes),
            verdict::WANTS_CONTENT => Ok(Verdict::WantsContent { offset: self.u64()? }),
            verdict::WANTS_CHANGES => Ok(Verdict::WantsChanges),
            other => Err(value("the kind of verdict", other)),
        }
    }

    fn operation(&mut self) -> Result<Operation<'a>, WireError> {
        match self.byte()? {
            operation::PUT => Ok(Operation::Put {
                path: self.path()?,
                attributes: self.attributes()?,
                content: self.long()?,
            }),
            operation::PUT_TRANSFERRED => Ok(Operation::PutTransferred {
                path: self.path()?,
                attributes: self.attributes()?,
                transfer: self.u64()?,
                size: self.u64()?,
                digest: self.digest()?,
            }),
            operation::DIRECTORY => Ok(Operation::Directory {
                path: self.path()?,
                attributes: self.attributes()?,
            }),
            operation::LINK => Ok(Operation::Link {
                path: self.path()?,
                attributes: self.attributes()?,
                target: self.long()?,
            }),
            operation::ATTRIBUTES => Ok(Operation::Attributes {
                path: self.path()?,
                attributes: self.attributes()?,
                content: self.digest()?,
            }),
            operation::REMOVE => Ok(Operation::Remove { path: self.path()? }),
            operation::ESSENTIAL_IN_SYNC => Ok(Operation::EssentialInSync { session: self.u64()? }),
            operation::IN_SYNC => Ok(Operation::InSync { session: self.u64()? }),
            operation::HARD_LINK => Ok(Operation::HardLink {
                path: self.path()?,
                to: self.path()?,
                content: self.digest()?,
            }),
            operation::RENAME => Ok(Operation::Rename {
                from: self.path()?,
                to: self.path()?,
            }),
            other => Err(value("the kind of operation", other)),
        }
    }

    fn sign(&mut self) -> Result<Message<'a>, WireError> {
        let epoch = self.u64()?;
        let target = self.node()?;
        let transfer = self.u64()?;
        let path = self.path()?;
        Ok(Message::Sign {
            epoch,
            target,
            transfer,
            path,
            seed: Seed(self.u64()?),
            sections: self.offsets()?,
        })
    }

    fn sign_base(&mut self) -> Result<Message<'a>, WireError> {
        Ok(Message::SignBase {
            epoch: self.u64()?,
            offer: self.u64()?,
            seed: Seed(self.u64()?),
            sections: self.offsets()?,
        })
    }

    /// As many as there are bytes for.
    fn offsets(&mut self) -> Result<Vec<u64>, WireError> {
        let mut offsets = Vec::new();
        while !self.0.is_empty() {
            offsets.push(self.u64()?);
        }
        Ok(offsets)
    }

    fn signature(&mut self) -> Result<Message<'a>, WireError> {
        let epoch = self.u64()?;
        let transfer = self.u64()?;
        let detail = self.mark("the mark of chunks")?;
        let last = self.mark("the mark of the last part")?;
        let mut chunks = Vec::new();
        while !self.0.is_empty() {
            chunks.push(Chunk {
                offset: self.u64()?,
                length: self.u32()?,
                id: ChunkId(self.array()?),
            });
        }
        Ok(Message::Signature {
            epoch,
            transfer,
            detail,
            last,
            chunks,
        })
    }

    fn stretch(&mut self, longest: u64) -> Result<u64, WireError> {
        match self.u64()? {
            length if length <= longest => Ok(length),
            other => Err(value("the length of a stretch", other)),
        }
    }

    fn attributes(&mut self) -> Result<Attributes, WireError> {
        let mode = self.u32()?;
        if mode & !0o7777 != 0 {
            return Err(value("a mode", mode));
        }
        let (uid, gid) = (self.owner()?, self.owner()?);
        let mtime = self.time()?;
        let mut xattrs: Vec<Xattr> = Vec::new();
        for _ in 0..self.u32()? {
            let xattr = Xattr {
                name: self.long()?.to_vec(),
                value: self.long()?.to_vec(),
            };
            if xattrs.last().is_some_and(|before| before.name >= xattr.name) {
                return Err(WireError::Order("extended attributes"));
            }
            xattrs.push(xattr);
        }
        Ok(Attributes {
            mode,
            uid,
            gid,
            mtime,
            xattrs,
        })
    }

    /// A user or a group. The highest number stands for none, and no file has it.
    fn owner(&mut self) -> Result<u32, WireError> {
        match self.u32()? {
            u32::MAX => Err(value("an owner", u32::MAX)),
            owner => Ok(owner),
        }
    }

    fn time(&mut self) -> Result<FileTime, WireError> {
        let seconds = i64::from_be_bytes(self.array()?);
        let nanoseconds = self.u32()?;
        if nanoseconds >= 1_000_000_000 {
            return Err(value("nanoseconds", nanoseconds));
        }
        Ok(FileTime { seconds, nanoseconds })
    }

    fn path(&mut self) -> Result<EntryPath, WireError> {
        Ok(EntryPath::new(self.long()?)?)
    }

    fn node(&mut self) -> Result<NodeId, WireError> {
        Ok(NodeId(self.u32()?))
    }

    fn target(&mut self) -> Result<Option<NodeId>, WireError> {
        Ok(Some(self.node()?).filter(|node| node.0 != 0))
    }

    fn mark(&mut self, field: &'static str) -> Result<bool, WireError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(value(field, other)),
        }
    }

    fn digest(&mut self) -> Result<Digest, WireError> {
        Ok(Digest(self.array()?))
    }

    fn long(&mut self) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.u32()?).map_err(|_| WireError::Truncated)?;
        self.take(length)
    }

    fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn byte(&mut self) -> Result<u8, WireError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        self.take(N)?.try_into().map_err(|_| WireError::Truncated)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn value(field: &'static str, value: impl Into<u64>) -> WireError {
    WireError::Value {
        field,
        value: value.into(),
    }
}
