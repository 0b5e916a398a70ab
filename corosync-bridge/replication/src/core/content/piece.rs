//! What a large content is sent in, and put together from.

use std::borrow::Cow;

/// A part of a content.
#[derive(Debug)]
pub(in crate::core) enum Piece<'a> {
    /// What is new.
    Bytes(Cow<'a, [u8]>),
    /// So many bytes of the receiver's version, from this one on.
    Copy { from: u64, length: u64 },
    /// So many bytes that were never written.
    Hole(u64),
}

impl Piece<'_> {
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::Copy { length, .. } | Self::Hole(length) => *length,
        }
    }

    /// The same, to be kept.
    pub(super) fn into_owned(self) -> Piece<'static> {
        match self {
            Self::Bytes(bytes) => Piece::Bytes(Cow::Owned(bytes.into_owned())),
            Self::Copy { from, length } => Piece::Copy { from, length },
            Self::Hole(length) => Piece::Hole(length),
        }
    }
}
