//! Finding out, on the Active, where a Passive's copy differs: by digests of ranges first, entry by entry where
//! those differ. One range, or a piece of one, at a time.

use std::collections::VecDeque;
use std::time::Duration;

use super::peers::Follow;
use super::session::{Need, Session};
use super::{Core, Topic};
use crate::entry::Kind;
use crate::index::digest_of;
use crate::state::StateStore;
use crate::tree::Tree;
use crate::wire::{ManifestEntry, Message, RANGE_ENTRIES, Range, SummaryRange};
use crate::{EntryPath, NodeId};

/// Ranges that are asked for at once. More are asked for when these have come: it bounds what a Passive's answers
/// take of memory here.
const ASKED_RANGES: usize = 64;

/// Own entries compared in one step: well below a millisecond.
const STEP_ENTRIES: usize = 512;

/// What a Passive told of its copy is not in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OutOfOrder;

/// How far a comparison has come.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// Last path that the summary has come to.
    summed_up_to: Option<EntryPath>,
    /// Whether all of the summary has come.
    summed_up: bool,
    /// What was told and is not compared yet.
    told: VecDeque<Told>,
    /// Ranges that differ and are not asked for yet.
    differing: VecDeque<Range>,
    /// Ranges that were asked for, less what has come of them.
    asked: VecDeque<Range>,
}

/// What a Passive has in a range.
#[derive(Debug)]
struct Told {
    range: Range,
    copy: Copy,
}

#[derive(Debug)]
enum Copy {
    /// Entries with this digest.
    Summary(crate::digest::Digest),
    /// These entries.
    Entries(VecDeque<ManifestEntry>),
}

impl Comparison {
    /// Whether there is something to compare or to ask for now.
    pub(super) fn can_go_on(&self) -> bool {
        !self.told.is_empty() || self.can_ask()
    }

    fn can_ask(&self) -> bool {
        self.asked.is_empty() && !self.differing.is_empty()
    }

    /// Whether everything was compared.
    pub(super) fn is_complete(&self) -> bool {
        self.summed_up && self.told.is_empty() && self.differing.is_empty() && self.asked.is_empty()
    }

    fn take_summary(&mut self, last: bool, ranges: Vec<SummaryRange>) -> Result<(), OutOfOrder> {
        if self.summed_up {
            return Err(OutOfOrder);
        }
        for SummaryRange { up_to, digest } in ranges {
            let after = self.summed_up_to.replace(up_to.clone());
            if after.as_ref() >= Some(&up_to) {
                return Err(OutOfOrder);
            }
            self.told.push_back(Told {
                range: Range {
                    after,
                    up_to: Some(up_to),
                },
                copy: Copy::Summary(digest),
            });
        }
        if last {
            self.summed_up = true;
            // Behind the last range it has nothing.
            self.told.push_back(Told {
                range: Range {
                    after: self.summed_up_to.clone(),
                    up_to: None,
                },
                copy: Copy::Entries(VecDeque::new()),
            });
        }
        Ok(())
    }

    /// Takes the next part of what was asked for.
    fn take_entries(&mut self, range: Range, entries: Vec<ManifestEntry>) -> Result<(), OutOfOrder> {
        let asked = self.asked.front_mut().ok_or(OutOfOrder)?;
        let is_inside = match (&range.up_to, &asked.up_to) {
            (Some(end), Some(asked)) => end <= asked,
            (_, None) => true,
            (None, Some(_)) => false,
        };
        if asked.after != range.after || !is_inside {
            return Err(OutOfOrder);
        }
        if range.up_to == asked.up_to {
            self.asked.pop_front();
        } else {
            asked.after.clone_from(&range.up_to);
        }
        self.told.push_back(Told {
            range,
            copy: Copy::Entries(entries.into()),
        });
        Ok(())
    }

    /// The ranges to ask for now, neighbours taken together.
    fn ask(&mut self) -> Vec<Range> {
        let mut ranges: Vec<Range> = Vec::new();
        for range in self.differing.drain(..self.differing.len().min(ASKED_RANGES)) {
            match ranges.last_mut() {
                Some(before) if before.up_to == range.after => before.up_to = range.up_to,
                _ => ranges.push(range),
            }
        }
        self.asked.extend(ranges.iter().cloned());
        ranges
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    pub(super) fn summary_delivered(
        &mut self,
        from: NodeId,
        session: u64,
        last: bool,
        ranges: Vec<SummaryRange>,
        now: Duration,
    ) {
        self.told(from, session, now, |comparison| {
            comparison.take_summary(last, ranges)
        });
    }

    pub(super) fn manifest_delivered(
        &mut self,
        from: NodeId,
        session: u64,
        range: Range,
        entries: Vec<ManifestEntry>,
        now: Duration,
    ) {
        self.told(from, session, now, |comparison| {
            comparison.take_entries(range, entries)
        });
    }

    /// The Passive has told something of its copy, in the comparison under way.
    fn told(
        &mut self,
        from: NodeId,
        session: u64,
        now: Duration,
        take: impl FnOnce(&mut Comparison) -> Result<(), OutOfOrder>,
    ) {
        let under_way = self.active.as_mut().and_then(|active| active.session.as_mut());
        let Some(under_way) = under_way.filter(|under_way| under_way.is(from, session)) else {
            return;
        };
        let taken = take(&mut under_way.comparison);
        if let Some(Follow::Since { progress_at, .. }) = self.peers.get_mut(from).map(|peer| &mut peer.follow)
        {
            *progress_at = now;
        }
        if taken == Err(OutOfOrder) {
            self.peer_failed(from, now);
            self.problem(
                Topic::Peer(from),
                format!("compare with {from}: what it tells of its copy is out of order"),
            );
        }
    }

    /// Compares what was told next, or asks for more.
    pub(super) fn compare_step(&mut self) {
        let Some(mut session) = self.active.as_mut().and_then(|active| active.session.take()) else {
            return;
        };
        match session.comparison.told.pop_front() {
            Some(Told {
                range,
                copy: Copy::Summary(digest),
            }) => {
                // One entry more than a range has tells a longer one apart.
                let own = self.index.within(&range).take(RANGE_ENTRIES + 1);
                let compared = own.map(|(path, known)| (path, self.compared(path, known)));
                if digest_of(compared) != digest {
                    session.comparison.differing.push_back(range);
                }
            }
            Some(Told {
                range,
                copy: Copy::Entries(entries),
            }) => self.compare_entries(&mut session, range, entries),
            None => self.ask_for_differing(&mut session),
        }
        if let Some(active) = &mut self.active {
            active.session = Some(session);
        }
    }

    fn ask_for_differing(&mut self, session: &mut Session) {
        let message = Message::Detail {
            epoch: self.state.epoch,
            target: session.target,
            session: session.id,
            ranges: session.comparison.ask(),
        };
        self.outbox.push(message.encode());
    }

    /// Merges a Passive's entries of a range with the own ones; what is left for another step is put back.
    fn compare_entries(&self, session: &mut Session, range: Range, mut theirs: VecDeque<ManifestEntry>) {
        let mut compared_up_to = None;
        for (path, known) in self.index.within(&range).take(STEP_ENTRIES) {
            while let Some(extra) = next_if(&mut theirs, |entry| entry.path < *path) {
                self.compare_extra(session, &extra);
            }
            let compared = self.compared(path, known);
            match next_if(&mut theirs, |entry| entry.path == *path) {
                Some(entry) if (entry.kind, entry.content) != (compared.kind, compared.content) => {
                    session.need(self.priority(path), path, Need::Whole, Some(known));
                }
                Some(entry) if entry.attributes != compared.attributes => {
                    session.need(self.priority(path), path, Need::Attributes, Some(known));
                }
                Some(_) => {}
                None => session.need(self.priority(path), path, Need::Whole, Some(known)),
            }
            compared_up_to = Some(path);
        }
        let rest = Range {
            after: compared_up_to.cloned().or(range.after),
            up_to: range.up_to,
        };
        if self.index.within(&rest).next().is_some() {
            session.comparison.told.push_front(Told {
                range: rest,
                copy: Copy::Entries(theirs),
            });
            return;
        }
        for extra in theirs {
            self.compare_extra(session, &extra);
        }
    }

    /// The Passive has what the Active has not. What this node does not replicate it does not order away either,
    /// and of what it could not read it does not know.
    fn compare_extra(&self, session: &mut Session, extra: &ManifestEntry) {
        let unknown = self
            .active
            .as_ref()
            .is_some_and(|active| active.is_unreadable(&extra.path));
        if unknown {
            session.cannot_tell(self.priority(&extra.path));
        } else if self.coverage.covers(&extra.path) {
            let priority = self.priority(&extra.path);
            if extra.kind == Kind::File {
                session.note_extra(priority, extra.content);
            }
            session.need(priority, &extra.path, Need::Removal, None);
        }
    }
}

fn next_if(
    entries: &mut VecDeque<ManifestEntry>,
    wanted: impl FnOnce(&ManifestEntry) -> bool,
) -> Option<ManifestEntry> {
    if entries.front().is_some_and(wanted) {
        entries.pop_front()
    } else {
        None
    }
}
