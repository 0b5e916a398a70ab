//! What members say to each other, and its bytes. No I/O here.
//!
//! Every message begins with [`MAGIC`], one byte of [`VERSION`] and one byte that tells its kind; numbers
//! are big-endian; nothing may follow the last field. The sender is not in it: CPG tells it, and Corosync's
//! encryption vouches for it.
//!
//! **Version rule.** [`VERSION`] is raised by any change of bytes that were shipped. A member refuses a message of
//! another version as a whole and names both versions: it neither replicates to such a member nor waits for it. The
//! bytes of the version spoken are pinned by `tests/wire_v2.rs`. Magic and version stay where they are for good.
//!
//! **Bounds.** Decoding allocates no more than the message holds, and never panics. A [`Bundle`] holds what it unpacks to,
//! which is bounded.

mod bundle;
mod decode;
mod encode;

use std::time::Duration;

use crate::agreed::Version;
use crate::chunks::{Chunk, Seed};
use crate::digest::Digest;
use crate::entry::{Attributes, Kind};
use crate::{EntryPath, NodeId, Position, Role, Switch, Sync};

pub use bundle::{BUNDLE_BYTES, Bundle};
pub use decode::WireError;

/// The first bytes of every message.
pub const MAGIC: [u8; 4] = *b"BMCR";

/// The version of these messages.
pub const VERSION: u8 = 2;

/// A file up to this size, in bytes, travels whole in one message. CPG carries about 1 MB at most, and
/// messages of 8 to 64 KiB gave it its best throughput.
pub const INLINE_BYTES: usize = 64 * 1024;

/// Content in one [`Message::Chunk`], in bytes: small enough that a setting changed meanwhile waits for no
/// more than a few of them.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Bytes of a content that one [`Message::Hole`] or [`Message::PieceHole`] stands for, at most: they are digested in one go, some milliseconds on a BMC's
/// processor.
pub const STRETCH_BYTES: u64 = 1024 * 1024;

/// Bytes that one [`Message::Copy`] or [`Message::PieceCopy`] stands for, at most: they are copied step by step, and each message costs a rotation of
/// Corosync's token.
pub const COPY_BYTES: u64 = 8 * 1024 * 1024;

/// Extended attributes of one entry, encoded, in bytes: with path and inline content still one CPG message.
pub const XATTR_BYTES: usize = 256 * 1024;

/// Entries in one [`Message::Manifest`], and ranges in one [`Message::Summary`] or [`Message::Detail`], fill about this
/// many bytes.
pub const MANIFEST_BYTES: usize = 48 * 1024;

/// Entries in one range of a [`Message::Summary`] at most: with ten of 100,000 entries differing, summary and manifests
/// cost the least in all.
pub const RANGE_ENTRIES: usize = 128;

/// A member introduces itself: when the membership changes and when something of this changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Newest epoch that it has seen.
    pub epoch: u64,
    /// Who opened that epoch; node 0 when no epoch was ever opened.
    pub owner: NodeId,
    /// Its role.
    pub role: Role,
    /// How new its copy is.
    pub position: Position,
    /// Whether its copy holds what the Active holds.
    pub sync: Sync,
    /// Whether changes travel at all: on the Active as it was switched, elsewhere as it was taken over.
    pub switch: Switch,
    /// Everything of priority 1 is in sync there, though the rest may not be.
    pub essential: bool,
}

/// A range of paths, in their order: `after` is not in it, `up_to` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// Behind this path; from the first path on where there is none.
    pub after: Option<EntryPath>,
    /// Up to this path; to the last one where there is none.
    pub up_to: Option<EntryPath>,
}

impl Range {
    /// Whether `path` lies behind the range.
    #[must_use]
    pub fn ends_before(&self, path: &EntryPath) -> bool {
        self.up_to.as_ref().is_some_and(|end| path > end)
    }

    /// Whether all of this range lies behind `other`.
    #[must_use]
    pub fn is_behind(&self, other: &Self) -> bool {
        other.up_to.is_some() && self.after >= other.up_to
    }
}

/// Consecutive entries of a copy, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryRange {
    /// Path of the last of them. The first is right behind the last of the range before.
    pub up_to: EntryPath,
    /// Digest over all of them.
    pub digest: Digest,
}

/// An entry of a copy, for comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestEntry {
    /// Its path.
    pub path: EntryPath,
    /// What it is.
    pub kind: Kind,
    /// Digest of its content.
    pub content: Digest,
    /// Digest of its attributes.
    pub attributes: Digest,
}

/// How far a Passive is with its offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferStage {
    /// It begins: what it offered before is forgotten.
    Begun,
    /// Everything was offered, as far as it can be: it can be compared.
    Done,
    /// The same; and of the `Passive2Active` paths its copy is the one that counts: what it has not offered there is to
    /// go.
    Claimed,
}

/// What becomes of an offered change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The Active has it, durably.
    Taken,
    /// The Active has another version than the one that it was made from: that one stays.
    Lost,
    /// It cannot be taken now; to be offered again.
    Later,
    /// The Active is not configured to take it.
    Refused,
    /// The Active has the content and asks for the rest.
    WantsAttributes,
    /// The Active asks for the content from this byte on.
    WantsContent {
        /// Bytes that it has.
        offset: u64,
    },
    /// The Active asks for the content, and has a large one there: asked what that is made of, it tells.
    WantsChanges,
}

/// One change. Applied whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation<'a> {
    /// The file has this content.
    Put {
        /// Which file.
        path: EntryPath,
        /// Its attributes.
        attributes: Attributes,
        /// Its whole content.
        content: &'a [u8],
    },
    /// The file has the content that the chunks of a transfer carried.
    PutTransferred {
        /// Which file.
        path: EntryPath,
        /// Its attributes.
        attributes: Attributes,
        /// The transfer.
        transfer: u64,
        /// Size of the content in bytes.
        size: u64,
        /// Digest of the content.
        digest: Digest,
    },
    /// It is a directory with these attributes; what is in it stays.
    Directory {
        /// Which directory.
        path: EntryPath,
        /// Its attributes.
        attributes: Attributes,
    },
    /// It is a symbolic link.
    Link {
        /// Which link.
        path: EntryPath,
        /// Its attributes.
        attributes: Attributes,
        /// Where it points.
        target: &'a [u8],
    },
    /// The file keeps its content and gets these attributes.
    Attributes {
        /// Which file.
        path: EntryPath,
        /// Its attributes.
        attributes: Attributes,
        /// Digest of the content that these attributes belong to.
        content: Digest,
    },
    /// Nothing covered is there, nor in it.
    Remove {
        /// Which entry.
        path: EntryPath,
    },
    /// Everything of priority 1 that differed in the comparison `session` was sent before this.
    EssentialInSync {
        /// Which comparison.
        session: u64,
    },
    /// The comparison `session` is done: everything that differed was sent before this.
    InSync {
        /// Which comparison.
        session: u64,
    },
    /// It is another name of a file.
    HardLink {
        /// The name.
        path: EntryPath,
        /// A name that the file has already.
        to: EntryPath,
        /// Digest of its content.
        content: Digest,
    },
    /// The entry, with everything in it, has another path; what was there is gone.
    Rename {
        /// Its path before.
        from: EntryPath,
        /// Its path from now on.
        to: EntryPath,
    },
}

/// What travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// A member introduces itself.
    Hello(Hello),
    /// The sender opens this epoch, and is its Active once this is delivered, unless that epoch or a newer one is
    /// open already.
    Promote {
        /// The epoch to open.
        epoch: u64,
    },
    /// The Active asks `target` to sum up its copy. From here on `target` applies every operation.
    Compare {
        /// Epoch of the sender.
        epoch: u64,
        /// Who is asked.
        target: NodeId,
        /// Names this comparison.
        session: u64,
        /// Last sequence that was sent before this.
        sequence: u64,
    },
    /// All entries of the sender's copy in a range.
    Manifest {
        /// Epoch of the comparison.
        epoch: u64,
        /// Which comparison.
        session: u64,
        /// The range: one that was asked for, or the next part of it.
        range: Range,
        /// The entries, ascending.
        entries: Vec<ManifestEntry>,
    },
    /// Everything up to `sequence` is durable at the sender.
    Ack {
        /// Epoch of the operations.
        epoch: u64,
        /// Last sequence applied and durable.
        sequence: u64,
        /// Bytes of messages of the stream (operations and transfers) taken in since the comparison began; paces the
        /// Active.
        received: u64,
    },
    /// The sender could not apply something, and is not in sync until it has been compared again.
    Lacks {
        /// Epoch of the comparison.
        epoch: u64,
        /// The comparison since which it follows.
        session: u64,
        /// It takes in and acknowledges everything else.
        follows: bool,
        /// What it could not apply, where it is one entry.
        path: Option<EntryPath>,
        /// What was attempted on what, and why it failed.
        reason: &'a str,
    },
    /// A change.
    Operation {
        /// Epoch of the sender.
        epoch: u64,
        /// One more than that of the operation before it.
        sequence: u64,
        /// Who applies it; everyone else just counts it. `None`: all apply it.
        target: Option<NodeId>,
        /// What changes.
        operation: Operation<'a>,
    },
    /// A large content follows in chunks. Ends a transfer under way.
    Begin {
        /// Epoch of the sender.
        epoch: u64,
        /// Who takes it.
        target: Option<NodeId>,
        /// Names this transfer.
        transfer: u64,
        /// Where the content will go.
        path: EntryPath,
        /// The content from which pieces are to be copied, where its receivers have it there already.
        base: Option<Digest>,
    },
    /// A piece of a large content.
    Chunk {
        /// Epoch of the sender.
        epoch: u64,
        /// Which transfer.
        transfer: u64,
        /// Where in the content it belongs, in bytes: right behind the piece before it.
        offset: u64,
        /// The piece.
        bytes: &'a [u8],
    },
    /// The transfer comes to nothing: the file changed while it was read.
    Abandon {
        /// Epoch of the sender.
        epoch: u64,
        /// Which transfer.
        transfer: u64,
    },
    /// Part of a copy, range by range. Ranges ascend within and across the parts.
    Summary {
        /// Epoch of the comparison.
        epoch: u64,
        /// Which comparison.
        session: u64,
        /// Whether this is the last part: there is nothing behind its ranges.
        last: bool,
        /// The ranges.
        ranges: Vec<SummaryRange>,
    },
    /// The Active asks `target` for its entries in these ranges.
    Detail {
        /// Epoch of the sender.
        epoch: u64,
        /// Who is asked.
        target: NodeId,
        /// Which comparison.
        session: u64,
        /// The ranges, ascending.
        ranges: Vec<Range>,
    },
    /// The Active asks `target` what its version of a file is made of, to send only what is new.
    Sign {
        /// Epoch of the sender.
        epoch: u64,
        /// Who is asked.
        target: NodeId,
        /// The transfer that this is for.
        transfer: u64,
        /// Which file.
        path: EntryPath,
        /// What the pieces are to be named with.
        seed: Seed,
        /// Where the sections begin of which the chunks are asked, in bytes; none: the sections are.
        sections: Vec<u64>,
    },
    /// What the sender's version of a file is made of, or a part of that: of a Passive's for a transfer, of the Active's for an
    /// offer. All of it and no chunks: it has none to copy from.
    Signature {
        /// Epoch of the Active.
        epoch: u64,
        /// Which transfer, or which offer.
        transfer: u64,
        /// Whether these are chunks, and not sections.
        detail: bool,
        /// Whether this is the last part.
        last: bool,
        /// Sections or chunks, named with the seed that came with the question.
        chunks: Vec<Chunk>,
    },
    /// A piece of a large content that the receiver has: in the version that it told of, or in the one that the transfer began
    /// with.
    Copy {
        /// Epoch of the sender.
        epoch: u64,
        /// Which transfer.
        transfer: u64,
        /// Where in the content it belongs, in bytes: right behind the piece before it.
        offset: u64,
        /// Where in the receiver's version it begins, in bytes.
        from: u64,
        /// How long it is, in bytes: [`COPY_BYTES`] at most.
        length: u64,
    },
    /// A piece of a large content that was never written, and reads as zeros.
    Hole {
        /// Epoch of the sender.
        epoch: u64,
        /// Which transfer.
        transfer: u64,
        /// Where in the content it belongs, in bytes: right behind the piece before it.
        offset: u64,
        /// How long it is, in bytes: [`STRETCH_BYTES`] at most.
        length: u64,
    },
    /// What the Active's clock shows, or the question for it.
    Time {
        /// Epoch of the sender.
        epoch: u64,
        /// Who is asked or told.
        target: NodeId,
        /// Names the question; the answer has the same.
        exchange: u64,
        /// What the sender's clock shows, since 1970, to the nanosecond and up to the year 2554; `None` asks.
        time: Option<Duration>,
    },
    /// A Passive offers a change of its own to the Active. A newer one of the same path takes its place; one that changes
    /// nothing just withdraws it.
    Offer {
        /// Epoch of the Active.
        epoch: u64,
        /// Names the offer: the same change has the same name, whoever asks and however often.
        offer: u64,
        /// Which entry.
        path: EntryPath,
        /// What was agreed before; `None`: that nothing is there.
        base: Option<Version>,
        /// What it is now; `None`: nothing is there.
        now: Option<Version>,
    },
    /// What becomes of an offer.
    Verdict {
        /// Epoch of the sender.
        epoch: u64,
        /// Whose offer.
        target: NodeId,
        /// Which offer.
        offer: u64,
        /// What becomes of it.
        verdict: Verdict,
    },
    /// What the Active wants of an offer.
    Contribution {
        /// Epoch of the Active.
        epoch: u64,
        /// Which offer.
        offer: u64,
        /// The change.
        operation: Operation<'a>,
    },
    /// A piece of an offered content that is too large for a contribution.
    Piece {
        /// Epoch of the Active.
        epoch: u64,
        /// Which offer.
        offer: u64,
        /// Where in the content it belongs, in bytes: right behind the piece before it.
        offset: u64,
        /// The piece.
        bytes: &'a [u8],
    },
    /// A Passive asks the Active what its version of an offered file is made of, to hand over only what is new.
    SignBase {
        /// Epoch of the Active.
        epoch: u64,
        /// Which offer.
        offer: u64,
        /// What the pieces are to be named with.
        seed: Seed,
        /// Where the sections begin of which the chunks are asked, in bytes; none: the sections are.
        sections: Vec<u64>,
    },
    /// A piece of an offered content that the Active has, in the version that it told of.
    PieceCopy {
        /// Epoch of the Active.
        epoch: u64,
        /// Which offer.
        offer: u64,
        /// Where in the content it belongs, in bytes: right behind the piece before it.
        offset: u64,
        /// Where in the Active's version it begins, in bytes.
        from: u64,
        /// How long it is, in bytes: [`COPY_BYTES`] at most.
        length: u64,
    },
    /// A piece of an offered content that was never written, and reads as zeros.
    PieceHole {
        /// Epoch of the Active.
        epoch: u64,
        /// Which offer.
        offer: u64,
        /// Where in the content it belongs, in bytes: right behind the piece before it.
        offset: u64,
        /// How long it is, in bytes: [`STRETCH_BYTES`] at most.
        length: u64,
    },
    /// How far a Passive is with what it changed since it followed an Active last.
    Offering {
        /// Epoch of the Active.
        epoch: u64,
        /// How far.
        stage: OfferStage,
    },
}

impl Operation<'_> {
    /// The one entry that it concerns.
    #[must_use]
    pub fn path(&self) -> Option<&EntryPath> {
        match self {
            Self::Put { path, .. }
            | Self::PutTransferred { path, .. }
            | Self::Directory { path, .. }
            | Self::Link { path, .. }
            | Self::Attributes { path, .. }
            | Self::Remove { path } => Some(path),
            Self::HardLink { .. }
            | Self::Rename { .. }
            | Self::InSync { .. }
            | Self::EssentialInSync { .. } => None,
        }
    }

    /// Whether this leaves nothing of what was at `path`.
    #[must_use]
    pub fn replaces(&self, path: &EntryPath) -> bool {
        match self {
            Self::Put { path: at, .. }
            | Self::HardLink { path: at, .. }
            | Self::PutTransferred { path: at, .. }
            | Self::Link { path: at, .. }
            | Self::Remove { path: at } => path == at || path.is_beneath(at),
            Self::Rename { from, to } => [from, to]
                .into_iter()
                .any(|end| path == end || path.is_beneath(end)),
            Self::Directory { path: at, .. } | Self::Attributes { path: at, .. } => path == at,
            Self::InSync { .. } | Self::EssentialInSync { .. } => false,
        }
    }

    /// What the entry is once this is applied; `None`: nothing is there.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        let (kind, content, attributes) = match self {
            Self::Put {
                content, attributes, ..
            } => (Kind::File, Digest::of(content), attributes),
            Self::PutTransferred {
                digest, attributes, ..
            } => (Kind::File, *digest, attributes),
            Self::Attributes {
                content, attributes, ..
            } => (Kind::File, *content, attributes),
            Self::Directory { attributes, .. } => (Kind::Directory, Digest::NONE, attributes),
            Self::Link {
                target, attributes, ..
            } => (Kind::Link, Digest::of(target), attributes),
            Self::Remove { .. }
            | Self::HardLink { .. }
            | Self::Rename { .. }
            | Self::InSync { .. }
            | Self::EssentialInSync { .. } => return None,
        };
        Some(Version {
            kind,
            content,
            attributes: attributes.digest(),
        })
    }
}

impl<'a> Message<'a> {
    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode::message(self)
    }

    /// The message that `bytes` hold.
    ///
    /// # Errors
    /// [`WireError`] says what is wrong with the bytes.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
        decode::message(bytes)
    }
}

/// First bytes of each kind of message.
mod kind {
    pub(super) const HELLO: u8 = 1;
    pub(super) const PROMOTE: u8 = 2;
    pub(super) const COMPARE: u8 = 3;
    pub(super) const MANIFEST: u8 = 4;
    pub(super) const ACK: u8 = 5;
    pub(super) const OPERATION: u8 = 6;
    pub(super) const BEGIN: u8 = 7;
    pub(super) const CHUNK: u8 = 8;
    pub(super) const ABANDON: u8 = 9;
    pub(super) const SUMMARY: u8 = 10;
    pub(super) const DETAIL: u8 = 11;
    pub(super) const SIGN: u8 = 12;
    pub(super) const SIGNATURE: u8 = 13;
    pub(super) const COPY: u8 = 14;
    pub(super) const HOLE: u8 = 15;
    pub(super) const OFFER: u8 = 16;
    pub(super) const VERDICT: u8 = 17;
    pub(super) const CONTRIBUTION: u8 = 18;
    pub(super) const PIECE: u8 = 19;
    pub(super) const OFFERING: u8 = 20;
    pub(super) const LACKS: u8 = 21;
    pub(super) const TIME: u8 = 24;
    pub(super) const BUNDLE: u8 = 25;
    pub(super) const BEGIN_FROM: u8 = 26;
    pub(super) const SIGN_BASE: u8 = 27;
    pub(super) const PIECE_COPY: u8 = 28;
    pub(super) const PIECE_HOLE: u8 = 29;
}

/// First bytes of each kind of operation.
mod operation {
    pub(super) const PUT: u8 = 1;
    pub(super) const PUT_TRANSFERRED: u8 = 2;
    pub(super) const DIRECTORY: u8 = 3;
    pub(super) const LINK: u8 = 4;
    pub(super) const ATTRIBUTES: u8 = 5;
    pub(super) const REMOVE: u8 = 6;
    pub(super) const IN_SYNC: u8 = 7;
    pub(super) const HARD_LINK: u8 = 8;
    pub(super) const RENAME: u8 = 9;
    pub(super) const ESSENTIAL_IN_SYNC: u8 = 10;
}

/// Each stage of the offers.
mod stage {
    pub(super) const BEGUN: u8 = 1;
    pub(super) const DONE: u8 = 2;
    pub(super) const CLAIMED: u8 = 3;
}

/// First bytes of each kind of verdict.
mod verdict {
    pub(super) const TAKEN: u8 = 1;
    pub(super) const LOST: u8 = 2;
    pub(super) const LATER: u8 = 3;
    pub(super) const REFUSED: u8 = 4;
    pub(super) const WANTS_ATTRIBUTES: u8 = 5;
    pub(super) const WANTS_CONTENT: u8 = 6;
    pub(super) const WANTS_CHANGES: u8 = 7;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> EntryPath {
        EntryPath::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_taken_away_or_moved_is_so_with_all_that_is_in_it() {
        let remove = Operation::Remove { path: path("/b/d") };
        let rename = Operation::Rename {
            from: path("/e"),
            to: path("/c"),
        };
        for (operation, replaced, kept) in [
            (remove, ["/b/d", "/b/d/x"], ["/b", "/c"]),
            (rename, ["/c", "/e/x"], ["/b", "/cc"]),
        ] {
            assert!(
                replaced.iter().all(|at| operation.replaces(&path(at))),
                "{operation:?}"
            );
            assert!(
                kept.iter().all(|at| !operation.replaces(&path(at))),
                "{operation:?}"
            );
        }
    }

    #[test]
    fn what_is_told_of_a_directory_says_nothing_of_what_is_in_it() {
        let operation = Operation::Directory {
            path: path("/b"),
            attributes: Attributes::default(),
        };
        assert!(operation.replaces(&path("/b")));
        assert!(!operation.replaces(&path("/b/d")));
    }
}
