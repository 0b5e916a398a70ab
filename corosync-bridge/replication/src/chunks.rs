//! Cutting a content where the content says so, so that two versions of a file are cut alike wherever they are alike:
//! what is put in or taken out moves what comes behind it, but not where that is cut.
//!
//! A cut falls where a hash of the last 64 bytes (Gear, as in FastCDC) has a run of zero bits. Runs of chunks are put
//! together to sections by the same idea, on the chunks' digests: of a large file with a small change, the sections tell
//! where to look, and only there chunks have to be told.

use std::ops::Range;

use crate::digest::{Digest, Hasher};

/// No chunk but the last before a gap or the end is shorter, in bytes: bounds how many chunks there are.
pub(crate) const SHORTEST: usize = 4 * 1024;

/// Bytes that say whether a cut falls behind them: each leaves the hash with the 64th after it.
const COUNTING: usize = u64::BITS as usize;

/// No chunk is longer, in bytes: where nothing says where to cut.
const LONGEST: usize = 64 * 1024;

/// A cut falls where these bits are zero: 8 KiB after the shortest on average. A changed byte costs a chunk, and each
/// chunk costs its entry in a list; this keeps the sum low for files of some megabytes.
const CUT: u64 = (8 * 1024 - 1) << 51;

/// Contents up to this size, in bytes, are cut; larger ones travel whole. Bounds the memory for a list of chunks to some
/// megabytes.
pub(crate) const CUT_BYTES: u64 = 1 << 30;

/// Chunks in a section on average: about 1 MiB of content.
const SECTION_CHUNKS: u8 = 64;

/// Chunks in the longest section.
const SECTION_LONGEST: usize = 256;

/// A piece of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Where in the content it begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub length: u32,
    /// Digest of its bytes; of a section, of the digests of its chunks.
    pub digest: Digest,
}

impl Chunk {
    /// Where the next byte behind it is.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.length))
    }
}

/// Cuts a content that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Chunker {
    chunks: Vec<Chunk>,
    /// Where the chunk under way begins.
    offset: u64,
    length: usize,
    gear: u64,
    hasher: Hasher,
}

impl Chunker {
    /// Takes in the next bytes.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (taken, is_cut) = self.next_cut(rest);
            let (piece, behind) = rest.split_at(taken);
            self.hasher.update(piece);
            self.length += taken;
            rest = behind;
            if is_cut {
                self.cut();
            }
        }
    }

    /// Takes in a hole: it belongs to no chunk.
    pub(crate) fn skip(&mut self, length: u64) {
        if length > 0 {
            self.cut();
            self.offset += length;
        }
    }

    /// The chunks up to the last cut, in order.
    pub(crate) fn so_far(&self) -> &[Chunk] {
        &self.chunks
    }

    /// All chunks, in order.
    pub(crate) fn finish(mut self) -> Vec<Chunk> {
        self.cut();
        self.chunks
    }

    /// How many of `bytes` still belong to the chunk under way, and whether it ends there.
    fn next_cut(&mut self, bytes: &[u8]) -> (usize, bool) {
        let room = LONGEST - self.length;
        let bytes = &bytes[..bytes.len().min(room)];
        // What came before the last bytes that count is not even looked at, and behind a short chunk nothing is cut.
        let within = |length: usize| length.saturating_sub(self.length).min(bytes.len());
        let (counts_from, cuts_from) = (within(SHORTEST - COUNTING), within(SHORTEST - 1));
        let (before, behind) = bytes.split_at(cuts_from);
        for byte in &before[counts_from..] {
            self.gear = (self.gear << 1).wrapping_add(GEAR[usize::from(*byte)]);
        }
        match first_cut(&mut self.gear, behind) {
            Some(taken) => (cuts_from + taken, true),
            None => (bytes.len(), bytes.len() >= room),
        }
    }

    fn cut(&mut self) {
        if self.length > 0 {
            self.chunks.push(Chunk {
                offset: self.offset,
                length: u32::try_from(self.length).unwrap_or(u32::MAX),
                digest: std::mem::take(&mut self.hasher).finish(),
            });
            self.offset += u64::try_from(self.length).unwrap_or(u64::MAX);
            self.length = 0;
        }
        self.gear = 0;
    }
}

/// Takes `bytes` into the hash up to the first cut, and tells how many those are; all of them where there is no cut.
///
/// Two at a time: each sum waits for the one before it, and this halves how many there are.
fn first_cut(gear: &mut u64, bytes: &[u8]) -> Option<usize> {
    let mut taken = 0;
    let mut hash = *gear;
    let mut pairs = bytes.chunks_exact(2);
    for pair in &mut pairs {
        let [first, second] = [pair[0], pair[1]].map(|byte| GEAR[usize::from(byte)]);
        let one = (hash << 1).wrapping_add(first);
        hash = (hash << 2).wrapping_add((first << 1).wrapping_add(second));
        if one & CUT == 0 {
            return Some(taken + 1);
        }
        taken += 2;
        if hash & CUT == 0 {
            return Some(taken);
        }
    }
    for byte in pairs.remainder() {
        hash = (hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
        taken += 1;
        if hash & CUT == 0 {
            return Some(taken);
        }
    }
    *gear = hash;
    None
}

/// A run of chunks, and which of `chunks` they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) whole: Chunk,
    pub(crate) chunks: Range<usize>,
}

/// Puts `chunks` together to sections.
pub(crate) fn sections(chunks: &[Chunk]) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut first = 0;
    for (at, chunk) in chunks.iter().enumerate() {
        let is_last = chunks.get(at + 1).is_none_or(|next| next.offset != chunk.end());
        let is_cut = chunk.digest.0[0] % SECTION_CHUNKS == 0 || at + 1 - first >= SECTION_LONGEST;
        if is_last || is_cut {
            sections.push(section(chunks, first..at + 1));
            first = at + 1;
        }
    }
    sections
}

fn section(all: &[Chunk], chunks: Range<usize>) -> Section {
    let mut hasher = Hasher::new();
    let mut length = 0;
    for chunk in &all[chunks.clone()] {
        hasher.update(&chunk.length.to_be_bytes());
        hasher.update(&chunk.digest.0);
        length += chunk.length;
    }
    Section {
        whole: Chunk {
            offset: all[chunks.start].offset,
            length,
            digest: hasher.finish(),
        },
        chunks,
    }
}

/// A number for each byte, that has nothing to do with those of others.
static GEAR: [u64; 256] = gear();

const fn gear() -> [u64; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    let mut state: u64 = 0;
    while at < table.len() {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[at] = mixed ^ (mixed >> 31);
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes without a pattern.
    fn noise(length: usize) -> Vec<u8> {
        let mut state: u32 = 1;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..length).map(|_| next()).collect()
    }

    fn chunks(content: &[u8], piece: usize) -> Vec<Chunk> {
        let mut chunker = Chunker::default();
        content.chunks(piece).for_each(|bytes| chunker.take(bytes));
        chunker.finish()
    }

    #[test]
    fn chunks_are_the_content_without_a_gap_and_within_their_bounds() {
        let content = noise(1 << 20);
        let chunks = chunks(&content, 1 << 16);
        let mut end = 0;
        for chunk in &chunks {
            assert_eq!(chunk.offset, end);
            end = chunk.end();
            let bytes = &content[usize::try_from(chunk.offset).unwrap()..usize::try_from(end).unwrap()];
            assert_eq!(chunk.digest, Digest::of(bytes));
            assert!(bytes.len() <= LONGEST);
            assert!(bytes.len() >= SHORTEST || chunk.end() == 1 << 20);
        }
        assert_eq!(end, 1 << 20);
        assert!((50..200).contains(&chunks.len()), "{} chunks", chunks.len());
    }

    #[test]
    fn it_makes_no_difference_in_which_pieces_a_content_comes() {
        let content = noise(300_000);
        let whole = chunks(&content, content.len());
        for piece in [1, 100, 4096, 65_537] {
            assert_eq!(chunks(&content, piece), whole);
        }
    }

    #[test]
    fn a_cut_falls_where_the_last_bytes_say_so_and_nowhere_else() {
        let mut content = noise(400_000);
        content[100_000..300_000].fill(b'.');
        let hash = |bytes: &[u8]| {
            let sum = |hash: u64, byte: &u8| (hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
            bytes.iter().fold(0, sum)
        };
        let says_so = |rest: &[u8], end: usize| hash(&rest[end - COUNTING..end]) & CUT == 0;
        let mut lengths = Vec::new();
        let mut rest = &content[..];
        while !rest.is_empty() {
            let longest = rest.len().min(LONGEST);
            let end = (SHORTEST..longest)
                .find(|end| says_so(rest, *end))
                .unwrap_or(longest);
            lengths.push(u32::try_from(end).unwrap());
            rest = &rest[end..];
        }
        assert!(lengths.contains(&u32::try_from(LONGEST).unwrap()));
        // Odd pieces: a cut falls on either of the bytes that are taken together.
        for piece in [400_000, 65_536, 4097, 33] {
            let cut: Vec<u32> = chunks(&content, piece).iter().map(|chunk| chunk.length).collect();
            assert_eq!(cut, lengths, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_put_in_changes_few_chunks() {
        let before = noise(1 << 20);
        let mut after = before.clone();
        after.splice(500_000..500_000, *b"something new");
        let known: Vec<Digest> = chunks(&before, 1 << 16)
            .iter()
            .map(|chunk| chunk.digest)
            .collect();
        let new = chunks(&after, 1 << 16)
            .iter()
            .filter(|chunk| !known.contains(&chunk.digest))
            .count();
        assert!((1..=2).contains(&new), "{new} chunks are new");
    }

    #[test]
    fn a_hole_belongs_to_no_chunk_and_ends_the_one_before_it() {
        let content = noise(10_000);
        let mut chunker = Chunker::default();
        chunker.take(&content[..100]);
        chunker.skip(1 << 30);
        chunker.take(&content);
        let chunks = chunker.finish();
        assert_eq!((chunks[0].length, chunks[1].offset), (100, (1 << 30) + 100));
        assert_eq!(chunks[1].digest, self::chunks(&content, 10_000)[0].digest);
        assert_eq!(sections(&chunks)[0].chunks, 0..1);
    }

    #[test]
    fn sections_hold_every_chunk_and_a_change_is_in_one_of_them() {
        let before = noise(8 << 20);
        let mut after = before.clone();
        after[4_000_000] ^= 1;
        let [before, after] = [before, after].map(|content| chunks(&content, 1 << 16));
        let [old, new] = [&before, &after].map(|chunks| sections(chunks));
        assert_eq!(old.last().unwrap().chunks.end, before.len());
        assert!(
            old.windows(2)
                .all(|pair| pair[0].chunks.end == pair[1].chunks.start)
        );
        let known: Vec<Digest> = old.iter().map(|section| section.whole.digest).collect();
        let differing = new
            .iter()
            .filter(|section| !known.contains(&section.whole.digest))
            .count();
        assert!(
            (1..=2).contains(&differing),
            "{differing} of {} differ",
            new.len()
        );
    }
}
