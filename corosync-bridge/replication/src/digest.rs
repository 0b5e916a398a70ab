//! Digests of contents and attributes.

use sha2::{Digest as _, Sha256};

/// The first half of a SHA-256 digest. Two contents with the same digest are taken to be the same.
///
/// 128 bits are enough for that: by accident no two of a trillion contents meet, and nobody gains by making two that do,
/// for members are authenticated and whoever may write a setting may write any content. Half the bytes is what the index
/// of every entry, and every comparison of it, is made of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; Digest::BYTES]);

impl Digest {
    /// Bytes in a digest.
    pub const BYTES: usize = 16;

    /// What a directory has in place of a content.
    pub const NONE: Self = Self([0; Self::BYTES]);

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Digests contents that come in pieces.
#[derive(Clone)]
pub struct Hasher(Sha256);

impl Hasher {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self(Sha256::new())
    }

    /// Takes in `length` zeros: what a hole reads as.
    pub fn update_zeros(&mut self, length: u64) {
        const ZEROS: [u8; 4096] = [0; 4096];
        let mut left = length;
        while left > 0 {
            let now = usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
            self.update(&ZEROS[..now]);
            left -= u64::try_from(now).unwrap_or(left);
        }
    }

    /// Takes in `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything taken in.
    #[must_use]
    pub fn finish(self) -> Digest {
        let whole: [u8; 2 * Digest::BYTES] = self.0.finalize().into();
        let mut half = [0; Digest::BYTES];
        half.copy_from_slice(&whole[..Digest::BYTES]);
        Digest(half)
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}
