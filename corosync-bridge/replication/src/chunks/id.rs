//! What names a piece of a content. It costs little to make, and nobody knows beforehand what it will be.

use twox_hash::XxHash3_128;

use crate::digest::{Digest, Hasher};

/// What a piece of a content is known by, among those that were named with the same seed.
///
/// Two pieces with the same are taken to be the same, but nothing depends on it: the digest of the whole content decides.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkId(pub [u8; ChunkId::BYTES]);

impl ChunkId {
    /// Bytes in an identity.
    pub const BYTES: usize = 16;
}

impl std::fmt::Debug for ChunkId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What the pieces of a content are named with, on both sides. The one who sends the content has chosen it.
///
/// Whoever knows it can write a file with two pieces that have one name. That file would not fit its digest however often it is
/// sent, so the seed is a secret of the members, and another one whenever a bridge starts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub u64);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed")
    }
}

/// Bytes of a secret, as the hash has them by itself.
const SECRET_BYTES: usize = 192;

/// Names pieces.
#[derive(Clone)]
pub(super) struct ChunkHasher {
    secret: [u8; SECRET_BYTES],
}

impl ChunkHasher {
    /// Everything that the hash works with comes from the seed by way of a digest, so that no part of it tells of another. The
    /// hash itself would add the seed to numbers that everyone knows, and then name some pairs alike under one seed of 65.
    pub(super) fn new(seed: Seed) -> Self {
        let mut secret = [0; SECRET_BYTES];
        for (number, part) in (0_u8..).zip(secret.chunks_exact_mut(Digest::BYTES)) {
            let mut hasher = Hasher::new();
            hasher.update(&seed.0.to_be_bytes());
            hasher.update(&[number]);
            part.copy_from_slice(&hasher.finish().0);
        }
        Self { secret }
    }

    /// The name of a piece.
    pub(super) fn id_of(&self, piece: &[u8]) -> ChunkId {
        let hash = XxHash3_128::oneshot_with_secret(&self.secret, piece);
        // It refuses a secret that is too short, which this is not.
        ChunkId(hash.unwrap_or_default().to_be_bytes())
    }
}

impl std::fmt::Debug for ChunkHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChunkHasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let numbers = 0..u64::try_from(length.div_ceil(8)).unwrap();
        let mixed = numbers.flat_map(|number| (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        mixed.take(length).collect()
    }

    #[test]
    fn every_byte_of_a_piece_and_the_seed_make_its_name() {
        let names = |seed: u64| {
            let hasher = ChunkHasher::new(Seed(seed));
            move |piece: &[u8]| hasher.id_of(piece)
        };
        let (name, other, again) = (names(1), names(2), names(1));
        for length in [1, 16, 17, 128, 129, 240, 241, 1024, 4096, 65_536] {
            let mut piece = noise(length);
            let before = name(&piece);
            assert_eq!(again(&piece), before);
            assert_ne!(other(&piece), before, "{length} bytes");
            for at in [0, length / 2, length - 1] {
                piece[at] ^= 0x80;
                assert_ne!(name(&piece), before, "byte {at} of {length}");
                piece[at] ^= 0x80;
            }
        }
    }

    #[test]
    fn pieces_that_the_hash_names_alike_by_itself_have_names_of_their_own() {
        // Under one seed of 65 the numbers that the hash makes of it here differ by just this.
        const DIFFERENCE: u64 = 0x060a_0410;
        let mut one = vec![0; 4096];
        one[12 * 64..12 * 64 + 8].copy_from_slice(&DIFFERENCE.to_le_bytes());
        let mut other = one.clone();
        for at in [0, 12 * 64] {
            other[at + 7] ^= 0x80;
        }
        let alike = |names: fn(u64, &[u8]) -> u128| {
            let seeds = (0..10_000_u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            seeds
                .filter(|seed| names(*seed, &one) == names(*seed, &other))
                .count()
        };
        assert!(alike(XxHash3_128::oneshot_with_seed) > 50);
        let ours = |seed: u64, piece: &[u8]| u128::from_be_bytes(ChunkHasher::new(Seed(seed)).id_of(piece).0);
        assert_eq!(alike(ours), 0);
    }

    #[test]
    fn a_seed_is_not_told_to_the_log() {
        assert_eq!(format!("{:?}", Seed(0x1234_5678)), "Seed");
        let hasher = ChunkHasher::new(Seed(0x1234_5678));
        assert_eq!(format!("{hasher:?}"), "ChunkHasher");
    }
}
