//! Cutting a content where the content says so, so that two versions of a file are cut alike wherever they are alike:
//! what is put in or taken out moves what comes behind it, but not where that is cut.
//!
//! A cut falls where a hash of the last 64 bytes (Gear, as in FastCDC) has a run of zero bits. Runs of chunks are put
//! together to sections by the same idea, on the chunks' identities: of a large file with a small change, the sections tell
//! where to look, and only there chunks have to be told.

mod id;

use std::collections::HashMap;
use std::ops::Range;

use crate::digest::Hasher;

use id::ChunkHasher;
pub use id::{ChunkId, Seed};

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
    /// What its bytes are known by; of a section, its chunks.
    pub id: ChunkId,
}

impl Chunk {
    /// Where the next byte behind it is.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.length))
    }
}

/// A chunk of another version.
#[derive(Debug, Clone, Copy)]
struct Expected {
    length: usize,
    id: ChunkId,
}

/// How another version of a content is cut.
///
/// A chunk that holds the same and begins with a cut ends with one: to see that it does is less work than to look for its end.
/// That goes for what the content ended there, not for what ended with the content.
#[derive(Debug, Default)]
struct Expectations {
    /// What comes behind a chunk.
    behind: HashMap<(u32, ChunkId), Expected>,
    /// What begins at an offset.
    at: HashMap<u64, Expected>,
}

impl Expectations {
    fn of(chunks: &[Chunk]) -> Self {
        let mut expectations = Self::default();
        let mut before: Option<&Chunk> = None;
        for pair in chunks.windows(2) {
            let [chunk, next] = [&pair[0], &pair[1]];
            let ends_by_content = chunk.end() == next.offset;
            if ends_by_content {
                let expected = Expected {
                    length: usize::try_from(chunk.length).unwrap_or(usize::MAX),
                    id: chunk.id,
                };
                expectations.at.insert(chunk.offset, expected);
                if let Some(before) = before.filter(|before| before.end() == chunk.offset) {
                    let key = (before.length, before.id);
                    expectations.behind.insert(key, expected);
                }
            }
            before = Some(chunk);
        }
        expectations
    }

    /// What is expected behind `chunk`.
    fn behind(&self, chunk: &Chunk) -> Option<Expected> {
        let found = self.behind.get(&(chunk.length, chunk.id));
        found.or_else(|| self.at.get(&chunk.end())).copied()
    }
}

/// Cuts a content that comes in pieces.
#[derive(Debug)]
pub(crate) struct Chunker {
    hasher: ChunkHasher,
    chunks: Vec<Chunk>,
    /// Where the chunk under way begins.
    offset: u64,
    /// What came of it with the pieces before: it is named as a whole.
    held: Vec<u8>,
    gear: u64,
    /// How the version before is cut.
    before: Option<Expectations>,
    /// What the chunk under way probably is. As long as it may be, nothing looks for its end.
    expected: Option<Expected>,
}

impl Chunker {
    /// For a content whose chunks are named with `seed`.
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            hasher: ChunkHasher::new(seed),
            chunks: Vec::new(),
            offset: 0,
            held: Vec::new(),
            gear: 0,
            before: None,
            expected: None,
        }
    }

    /// For a content most of which is probably cut into `chunks`, which were named with the same seed.
    pub(crate) fn like(chunks: &[Chunk], seed: Seed) -> Self {
        let before = Expectations::of(chunks);
        Self {
            expected: before.at.get(&0).copied(),
            before: Some(before),
            ..Self::new(seed)
        }
    }

    /// Takes in the next bytes.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.expected {
                Some(expected) => self.take_expected(expected, rest),
                None => self.take_unknown(rest),
            };
        }
    }

    /// Takes in bytes up to the next cut. Returns what is left.
    fn take_unknown<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (taken, is_cut) = self.next_cut(bytes);
        let (piece, behind) = bytes.split_at(taken);
        if is_cut && self.held.is_empty() {
            self.push(taken, self.hasher.id_of(piece));
        } else {
            self.held.extend_from_slice(piece);
            if is_cut {
                self.cut();
            }
        }
        behind
    }

    /// Takes in bytes as far as the chunk under way is expected to go. Returns what is left.
    fn take_expected<'a>(&mut self, expected: Expected, bytes: &'a [u8]) -> &'a [u8] {
        if self.held.is_empty() && bytes.len() >= expected.length {
            let (piece, behind) = bytes.split_at(expected.length);
            return if self.is_as(expected, piece) {
                behind
            } else {
                bytes
            };
        }
        let missing = bytes.len().min(expected.length - self.held.len());
        let (piece, behind) = bytes.split_at(missing);
        self.held.extend_from_slice(piece);
        if self.held.len() == expected.length {
            let held = std::mem::take(&mut self.held);
            if !self.is_as(expected, &held) {
                self.take(&held);
            }
        }
        behind
    }

    /// Whether `bytes` are what was expected; they are a chunk then.
    fn is_as(&mut self, expected: Expected, bytes: &[u8]) -> bool {
        self.expected = None;
        let is_the_same = self.hasher.id_of(bytes) == expected.id;
        if is_the_same {
            self.push(bytes.len(), expected.id);
        }
        is_the_same
    }

    /// What is held does not come to what was expected.
    fn expect_nothing(&mut self) {
        while self.expected.take().is_some() {
            // At least one chunk of it ends, or nothing is expected any more.
            let held = std::mem::take(&mut self.held);
            self.take(&held);
        }
    }

    /// Takes in a hole: it belongs to no chunk.
    pub(crate) fn skip(&mut self, length: u64) {
        if length > 0 {
            self.expect_nothing();
            self.cut();
            self.offset += length;
            let before = self.before.as_ref();
            self.expected = before.and_then(|before| before.at.get(&self.offset).copied());
        }
    }

    /// The chunks up to the last cut, in order.
    pub(crate) fn so_far(&self) -> &[Chunk] {
        &self.chunks
    }

    /// All chunks, in order.
    pub(crate) fn finish(mut self) -> Vec<Chunk> {
        self.expect_nothing();
        self.cut();
        self.chunks
    }

    /// How many of `bytes` still belong to the chunk under way, and whether it ends there.
    fn next_cut(&mut self, bytes: &[u8]) -> (usize, bool) {
        let room = LONGEST - self.held.len();
        let bytes = &bytes[..bytes.len().min(room)];
        // What came before the last bytes that count is not even looked at, and behind a short chunk nothing is cut.
        let within = |length: usize| length.saturating_sub(self.held.len()).min(bytes.len());
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

    /// The chunk under way ends with what is held.
    fn cut(&mut self) {
        if !self.held.is_empty() {
            let id = self.hasher.id_of(&self.held);
            self.push(self.held.len(), id);
            self.held.clear();
        }
    }

    /// The chunk under way is whole.
    fn push(&mut self, length: usize, id: ChunkId) {
        let chunk = Chunk {
            offset: self.offset,
            length: u32::try_from(length).unwrap_or(u32::MAX),
            id,
        };
        self.chunks.push(chunk);
        self.offset = chunk.end();
        self.gear = 0;
        let before = self.before.as_ref();
        self.expected = before.and_then(|before| before.behind(&chunk));
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
        let is_cut = chunk.id.0[0] % SECTION_CHUNKS == 0 || at + 1 - first >= SECTION_LONGEST;
        if is_last || is_cut {
            sections.push(section(chunks, first..at + 1));
            first = at + 1;
        }
    }
    sections
}

/// Few bytes name a section, so a digest does it; the seed is in the chunks' identities already.
fn section(all: &[Chunk], chunks: Range<usize>) -> Section {
    let mut hasher = Hasher::new();
    let mut length = 0;
    for chunk in &all[chunks.clone()] {
        hasher.update(&chunk.length.to_be_bytes());
        hasher.update(&chunk.id.0);
        length += chunk.length;
    }
    Section {
        whole: Chunk {
            offset: all[chunks.start].offset,
            length,
            id: ChunkId(hasher.finish().0),
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

    const SEED: Seed = Seed(1);

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
        let mut chunker = Chunker::new(SEED);
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
            assert_eq!(chunk.id, ChunkHasher::new(SEED).id_of(bytes));
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
    fn another_seed_gives_the_chunks_other_names_and_the_same_cuts() {
        let content = noise(1 << 20);
        let [ours, theirs] = [SEED, Seed(2)].map(|seed| {
            let mut chunker = Chunker::new(seed);
            chunker.take(&content);
            chunker.finish()
        });
        let place = |chunk: &Chunk| (chunk.offset, chunk.length);
        assert!(ours.iter().map(place).eq(theirs.iter().map(place)));
        assert!(
            ours.iter()
                .all(|own| theirs.iter().all(|their| own.id != their.id))
        );
        let [ours, theirs] = [ours, theirs].map(|chunks| sections(&chunks));
        let is_there = |own: &Section| theirs.iter().any(|their| own.whole.id == their.whole.id);
        assert!(!ours.iter().any(is_there));
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
        let known: Vec<ChunkId> = chunks(&before, 1 << 16).iter().map(|chunk| chunk.id).collect();
        let new = chunks(&after, 1 << 16)
            .iter()
            .filter(|chunk| !known.contains(&chunk.id))
            .count();
        assert!((1..=2).contains(&new), "{new} chunks are new");
    }

    #[test]
    fn a_version_is_cut_the_same_whatever_was_expected_of_it() {
        let before = noise(600_000);
        let cut = chunks(&before, 1 << 16);
        let end = usize::try_from(cut[cut.len() - 1].offset).unwrap();
        let changed = |change: fn(&mut Vec<u8>, usize)| {
            let mut after = before.clone();
            change(&mut after, end);
            after
        };
        let versions = [
            changed(|_, _| ()),
            changed(|content, _| content[300_000] ^= 1),
            changed(|content, _| drop(content.splice(200_000..200_000, *b"put in"))),
            changed(|content, _| drop(content.drain(100_000..250_000))),
            changed(|content, end| content.truncate(end + 100)),
            changed(|content, _| content.extend(noise(100_000))),
            changed(|content, _| content.rotate_left(123_456)),
        ];
        for (number, after) in versions.iter().enumerate() {
            for piece in [1 << 16, 20_000, 1000, 77] {
                let mut chunker = Chunker::like(&cut, SEED);
                after.chunks(piece).for_each(|bytes| chunker.take(bytes));
                assert_eq!(
                    chunker.finish(),
                    chunks(after, 1 << 16),
                    "version {number} in pieces of {piece}"
                );
            }
        }
    }

    #[test]
    fn a_version_with_holes_is_cut_the_same_whatever_was_expected_of_it() {
        let content = noise(200_000);
        let cut_with = |mut chunker: Chunker, hole: u64| {
            chunker.take(&content[..90_000]);
            chunker.skip(hole);
            content[90_000..]
                .chunks(30_000)
                .for_each(|bytes| chunker.take(bytes));
            chunker.finish()
        };
        let before = cut_with(Chunker::new(SEED), 1 << 20);
        for hole in [1 << 20, 4096] {
            let expected = cut_with(Chunker::new(SEED), hole);
            assert_eq!(cut_with(Chunker::like(&before, SEED), hole), expected);
        }
        let whole = chunks(&content, 1 << 16);
        assert_eq!(
            cut_with(Chunker::like(&whole, SEED), 4096),
            cut_with(Chunker::new(SEED), 4096)
        );
        let mut without = Chunker::like(&before, SEED);
        without.take(&content);
        assert_eq!(without.finish(), whole);
    }

    #[test]
    fn a_hole_belongs_to_no_chunk_and_ends_the_one_before_it() {
        let content = noise(10_000);
        let mut chunker = Chunker::new(SEED);
        chunker.take(&content[..100]);
        chunker.skip(1 << 30);
        chunker.take(&content);
        let chunks = chunker.finish();
        assert_eq!((chunks[0].length, chunks[1].offset), (100, (1 << 30) + 100));
        assert_eq!(chunks[1].id, self::chunks(&content, 10_000)[0].id);
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
        let known: Vec<ChunkId> = old.iter().map(|section| section.whole.id).collect();
        let differing = new
            .iter()
            .filter(|section| !known.contains(&section.whole.id))
            .count();
        assert!(
            (1..=2).contains(&differing),
            "{differing} of {} differ",
            new.len()
        );
    }
}
