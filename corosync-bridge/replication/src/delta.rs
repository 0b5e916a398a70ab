//! Which parts of a content its receiver has already, in an older version of it.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::chunks::{Chunk, ChunkId, Section};

/// A part of a new content, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stretch {
    /// The receiver has it, in its version, from this byte on.
    Copy { from: u64, length: u64 },
    /// It has to be sent.
    Data { length: u64 },
}

impl Stretch {
    pub(crate) fn length(self) -> u64 {
        match self {
            Self::Copy { length, .. } | Self::Data { length } => length,
        }
    }

    /// What is left of it behind its first `done` bytes.
    fn behind(self, done: u64) -> Option<Self> {
        let length = self.length().saturating_sub(done);
        let rest = match self {
            Self::Copy { from, .. } => Self::Copy {
                from: from + done,
                length,
            },
            Self::Data { .. } => Self::Data { length },
        };
        (length > 0).then_some(rest)
    }
}

/// Sections of the receiver that are none of the sender's: there it may have chunks that the sender lacks a match for.
/// None where every section of the sender is matched.
pub(crate) fn unmatched(own: &[Section], theirs: &[Chunk]) -> Vec<u64> {
    let known: HashSet<Key> = theirs.iter().map(key).collect();
    let mut missing = false;
    let mut matched = HashSet::new();
    for section in own {
        let key = key(&section.whole);
        if known.contains(&key) {
            matched.insert(key);
        } else {
            missing = true;
        }
    }
    if !missing {
        return Vec::new();
    }
    let unmatched = theirs.iter().filter(|section| !matched.contains(&key(section)));
    unmatched.map(|section| section.offset).collect()
}

/// How to make a content of `size` bytes that is cut into `own` from what the receiver told of its version.
pub(crate) fn plan(
    size: u64,
    own: &[Chunk],
    own_sections: &[Section],
    their_sections: &[Chunk],
    their_chunks: &[Chunk],
) -> Plan {
    let sections = Theirs::of(their_sections.iter().copied());
    let implied = own_sections
        .iter()
        .flat_map(|section| sections.chunks_like(section, own));
    let chunks = Theirs::of(implied.chain(their_chunks.iter().copied()));
    let mut plan = Plan::default();
    for section in own_sections {
        if plan.copy(&section.whole, &sections) {
            continue;
        }
        for chunk in &own[section.chunks.clone()] {
            plan.copy(chunk, &chunks);
        }
    }
    plan.data_up_to(size);
    plan
}

fn key(chunk: &Chunk) -> Key {
    (chunk.length, chunk.id)
}

/// What a piece holds.
type Key = (u32, ChunkId);

/// What the receiver has where.
#[derive(Debug)]
pub(crate) struct Theirs {
    at: HashMap<u64, Key>,
    /// One of the places where it has this.
    place: HashMap<Key, u64>,
}

impl Theirs {
    pub(crate) fn of(pieces: impl Iterator<Item = Chunk>) -> Self {
        let (mut at, mut place) = (HashMap::new(), HashMap::new());
        for piece in pieces {
            at.insert(piece.offset, key(&piece));
            place.insert(key(&piece), piece.offset);
        }
        Self { at, place }
    }

    /// Where it has `piece`: best at `next`, where what was copied before it ends, so that both are copied at once.
    fn find(&self, piece: &Chunk, next: Option<u64>) -> Option<u64> {
        let wanted = key(piece);
        let is_there = |offset: &u64| self.at.get(offset) == Some(&wanted);
        next.filter(is_there)
            .or_else(|| Some(piece.offset).filter(is_there))
            .or_else(|| self.place.get(&wanted).copied())
    }

    /// The chunks of a section of its that is one of the sender's: nobody has to tell of them.
    fn chunks_like<'a>(&self, section: &Section, own: &'a [Chunk]) -> impl Iterator<Item = Chunk> + use<'a> {
        let place = self.find(&section.whole, None);
        let start = section.whole.offset;
        let chunks = own[section.chunks.clone()].iter();
        chunks.filter_map(move |chunk| {
            Some(Chunk {
                offset: place? + (chunk.offset - start),
                ..*chunk
            })
        })
    }
}

/// How a content is made, as far as that is known.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// What was not taken from it yet.
    stretches: VecDeque<Stretch>,
    /// Up to here the new content is planned.
    end: u64,
}

impl Plan {
    /// All of a content of `size` bytes has to be sent.
    pub(crate) fn whole(size: u64) -> Self {
        let mut plan = Self::default();
        plan.data_up_to(size);
        plan
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    /// The next stretch; `None` when there is none, or it may still grow and has not come to `enough` bytes.
    pub(crate) fn next(&self, enough: u64) -> Option<Stretch> {
        let next = self.stretches.front().copied();
        next.filter(|next| self.stretches.len() > 1 || next.length() >= enough)
    }

    /// So many bytes of the next stretch are done.
    pub(crate) fn advance(&mut self, done: u64) {
        let rest = self.stretches.pop_front().and_then(|next| next.behind(done));
        if let Some(rest) = rest {
            self.stretches.push_front(rest);
        }
    }

    /// The next chunk of the content is `piece`.
    pub(crate) fn add(&mut self, piece: &Chunk, theirs: &Theirs) {
        if !self.copy(piece, theirs) {
            self.data_up_to(piece.end());
        }
    }

    /// Has `piece` copied, if it is one of `theirs`.
    fn copy(&mut self, piece: &Chunk, theirs: &Theirs) -> bool {
        let next = match self.stretches.back() {
            Some(Stretch::Copy { from, length }) if self.end == piece.offset => Some(from + length),
            _ => None,
        };
        let Some(from) = theirs.find(piece, next) else {
            return false;
        };
        self.data_up_to(piece.offset);
        let more = u64::from(piece.length);
        self.end += more;
        match self.stretches.back_mut() {
            Some(Stretch::Copy { length, .. }) if next == Some(from) => *length += more,
            _ => self.stretches.push_back(Stretch::Copy { from, length: more }),
        }
        true
    }

    /// What is not planned yet before `offset` has to be sent.
    pub(crate) fn data_up_to(&mut self, offset: u64) {
        let more = offset.saturating_sub(self.end);
        match self.stretches.back_mut() {
            _ if more == 0 => {}
            Some(Stretch::Data { length }) => *length += more,
            _ => self.stretches.push_back(Stretch::Data { length: more }),
        }
        self.end += more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunks::sections;

    /// Chunks of a byte's worth each: `b'a'` is 1000 bytes of a content of its own.
    fn chunks(text: &str) -> Vec<Chunk> {
        let chunk = |(at, letter): (u64, u8)| Chunk {
            offset: at * 1000,
            length: 1000,
            // Never the end of a section.
            id: ChunkId([letter | 1; ChunkId::BYTES]),
        };
        (0..).zip(text.bytes()).map(chunk).collect()
    }

    fn planned(old: &str, new: &str) -> Vec<Stretch> {
        let (old, new) = (chunks(old), chunks(new));
        let size = new.last().map_or(0, Chunk::end);
        plan(size, &new, &sections(&new), &[], &old).stretches.into()
    }

    #[test]
    fn what_is_there_is_copied_and_the_rest_sent() {
        let copy = |from, length| Stretch::Copy { from, length };
        let data = |length| Stretch::Data { length };
        assert_eq!(planned("acegi", "acegi"), [copy(0, 5000)]);
        assert_eq!(
            planned("acegi", "acxgi"),
            [copy(0, 2000), data(1000), copy(3000, 2000)]
        );
        assert_eq!(planned("acegi", "giac"), [copy(3000, 2000), copy(0, 2000)]);
        assert_eq!(planned("", "ac"), [data(2000)]);
        assert_eq!(planned("ac", ""), []);
    }

    #[test]
    fn what_is_there_more_than_once_is_copied_in_one_piece() {
        let copy = |from, length| Stretch::Copy { from, length };
        assert_eq!(planned("aaaacaaa", "aaaacaaa"), [copy(0, 8000)]);
        assert_eq!(
            planned("aaaaaaaa", "aaacaaaa"),
            [copy(0, 3000), Stretch::Data { length: 1000 }, copy(4000, 4000)]
        );
    }

    #[test]
    fn chunks_of_a_section_that_is_there_are_known_untold() {
        let (old, new) = ("ac".repeat(256), "ac".repeat(200) + "e" + &"ac".repeat(300));
        let (old, new) = (chunks(&old), chunks(&new));
        let theirs: Vec<Chunk> = sections(&old).iter().map(|section| section.whole).collect();
        let size = new.last().map_or(0, Chunk::end);
        let stretches = plan(size, &new, &sections(&new), &theirs, &[]).stretches;
        let data = stretches.iter().map(|stretch| match stretch {
            Stretch::Copy { .. } => 0,
            Stretch::Data { length } => *length,
        });
        assert_eq!(data.sum::<u64>(), 1000, "{stretches:?}");
    }

    #[test]
    fn a_section_that_is_there_needs_no_chunks_and_one_that_is_not_asks_for_what_is_left() {
        let (old, new) = (chunks("acegi"), chunks("acegi"));
        let theirs: Vec<Chunk> = sections(&old).iter().map(|section| section.whole).collect();
        assert!(unmatched(&sections(&new), &theirs).is_empty());
        assert_eq!(
            plan(5000, &new, &sections(&new), &theirs, &[]).stretches,
            [Stretch::Copy {
                from: 0,
                length: 5000
            }]
        );
        assert_eq!(unmatched(&sections(&chunks("acxgi")), &theirs), [0]);
    }

    #[test]
    fn what_lies_between_chunks_is_sent() {
        let mut new = chunks("ac");
        new[1].offset = 5000;
        let plan = plan(7000, &new, &sections(&new), &[], &chunks("ac"));
        assert_eq!(
            plan.stretches,
            [
                Stretch::Copy {
                    from: 0,
                    length: 1000
                },
                Stretch::Data { length: 4000 },
                Stretch::Copy {
                    from: 1000,
                    length: 1000
                },
                Stretch::Data { length: 1000 },
            ]
        );
    }

    #[test]
    fn a_plan_that_is_made_while_it_is_carried_out_comes_to_the_same() {
        let (old, new) = (chunks("acegikm"), chunks("acxyikm"));
        let theirs = Theirs::of(old.iter().copied());
        let mut plan = Plan::default();
        let mut done: Vec<Stretch> = Vec::new();
        for chunk in &new {
            plan.add(chunk, &theirs);
            while let Some(next) = plan.next(1500) {
                let part = next.length().min(700);
                done.push(match next {
                    Stretch::Copy { from, .. } => Stretch::Copy { from, length: part },
                    Stretch::Data { .. } => Stretch::Data { length: part },
                });
                plan.advance(part);
            }
        }
        let mut at = 0;
        for part in done.iter().chain(&plan.stretches) {
            match *part {
                Stretch::Copy { from, .. } => assert_eq!(from, at),
                Stretch::Data { length } => assert!((2000..4000).contains(&at) && at + length <= 4000),
            }
            at += part.length();
        }
        assert_eq!(at, 7000);
        assert!(done.len() > 4, "{done:?}");
    }
}
