//! Telling the Active, as a Passive, what this copy holds: digests of ranges first, then the entries of the ranges
//! that it asks for.

use std::collections::VecDeque;

use super::Core;
use super::follower::ApplyError;
use crate::EntryPath;
use crate::digest::Digest;
use crate::index::digest_of;
use crate::scan::{Findings, Mode, Scan};
use crate::state::StateStore;
use crate::tree::Tree;
use crate::wire::{MANIFEST_BYTES, ManifestEntry, Message, RANGE_ENTRIES, Range, SummaryRange};

/// Ranges in one message: the Active begins to compare while the rest is summed up.
const SUMMARY_RANGES: usize = 64;

/// Bytes of a manifest entry beside its path: length, kind and two digests.
const ENTRY_FIXED_BYTES: usize = 4 + 1 + 2 * Digest::BYTES;

/// A comparison, as the Passive sees it.
#[derive(Debug)]
pub(super) struct Telling<F> {
    session: u64,
    /// First everything is looked at,
    scan: Option<Scan<F>>,
    /// then summed up,
    summing_up: Option<SummingUp>,
    /// then made durable,
    owes_hardening: bool,
    /// then told where it is asked for.
    asked: VecDeque<Range>,
    /// Ranges that were told and can still be asked for.
    askable: usize,
}

/// The summary under way.
#[derive(Debug, Default)]
struct SummingUp {
    /// Path of the last entry that was summed up.
    cursor: Option<EntryPath>,
    /// Ranges for the next message.
    ranges: Vec<SummaryRange>,
}

impl<F> Telling<F> {
    /// Whether everything was summed up, and has to be made durable.
    pub(super) fn owes_hardening(&self) -> bool {
        self.owes_hardening && self.scan.is_none() && self.summing_up.is_none()
    }

    pub(super) fn has_work(&self) -> bool {
        self.scan.is_some() || self.summing_up.is_some() || self.owes_hardening || !self.asked.is_empty()
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    pub(super) fn begin_telling(&mut self, session: u64) {
        self.follower.telling = Some(Telling {
            session,
            scan: Some(self.full_scan(Mode::Learn)),
            summing_up: Some(SummingUp::default()),
            owes_hardening: true,
            asked: VecDeque::new(),
            askable: 0,
        });
    }

    /// The Active asks for what is in some of the ranges that it was told of.
    pub(super) fn detail_delivered(&mut self, session: u64, ranges: Vec<Range>) {
        let telling = self.follower.telling.as_mut();
        let Some(telling) = telling.filter(|telling| telling.session == session) else {
            return;
        };
        // More than it was told of it cannot need: a liar does not fill memory with ranges.
        match telling.askable.checked_sub(ranges.len()) {
            Some(left) => {
                telling.askable = left;
                telling.asked.extend(ranges);
            }
            None => self.taint(&ApplyError::Detail),
        }
    }

    pub(super) fn telling_step(&mut self) {
        let Some(mut telling) = self.follower.telling.take() else {
            return;
        };
        if let Some(mut scan) = telling.scan.take() {
            let mut findings = Findings::default();
            if !scan.step(&mut self.tree, &mut self.index, &*self.coverage, &mut findings) {
                telling.scan = Some(scan);
            }
            self.follower.telling = Some(telling);
            for error in findings.failed {
                self.taint(&error.into());
            }
            return;
        }
        if let Some(summing_up) = telling.summing_up.take() {
            self.sum_up(&mut telling, summing_up);
        } else if let Some(range) = telling.asked.pop_front() {
            self.tell_entries(&mut telling, range);
        }
        self.follower.telling = Some(telling);
    }

    /// Makes durable what was found, before much is applied: that is made durable by itself, and would be made so again.
    pub(super) fn harden_told(&mut self) {
        if let Some(telling) = &mut self.follower.telling {
            telling.owes_hardening = false;
        }
        if let Err(error) = self.harden_found() {
            self.lose_track(error.to_string());
        }
    }

    /// Sums up one range.
    fn sum_up(&mut self, telling: &mut Telling<T::Source>, mut summing_up: SummingUp) {
        let rest = Range {
            after: summing_up.cursor.take(),
            up_to: None,
        };
        let length = range_entries(self.index.len());
        let entries = || self.index.within(&rest).take(length);
        let last = entries().last().map(|(path, _)| path.clone());
        let is_last = last.is_none();
        if let Some(up_to) = last {
            let digest = digest_of(entries().map(|(path, known)| (path, self.compared(path, known))));
            summing_up.cursor = Some(up_to.clone());
            summing_up.ranges.push(SummaryRange { up_to, digest });
            telling.askable += 1;
        }
        let bytes: usize = summing_up
            .ranges
            .iter()
            .map(|range| range.up_to.as_bytes().len())
            .sum();
        if is_last || summing_up.ranges.len() >= SUMMARY_RANGES || bytes > MANIFEST_BYTES {
            let message = Message::Summary {
                epoch: self.state.epoch,
                session: telling.session,
                last: is_last,
                ranges: std::mem::take(&mut summing_up.ranges),
            };
            self.outbox.push(message.encode());
        }
        telling.summing_up = (!is_last).then_some(summing_up);
    }

    /// Tells of as many entries in `range` as one message takes; the rest is put back.
    fn tell_entries(&mut self, telling: &mut Telling<T::Source>, range: Range) {
        let mut entries: Vec<ManifestEntry> = Vec::new();
        let mut bytes = 0;
        let mut rest = None;
        for (path, known) in self.index.within(&range) {
            bytes += path.as_bytes().len() + ENTRY_FIXED_BYTES;
            if bytes > MANIFEST_BYTES {
                rest = Some(Range {
                    after: entries.last().map(|entry| entry.path.clone()),
                    up_to: range.up_to.clone(),
                });
                break;
            }
            let known = self.compared(path, known);
            entries.push(ManifestEntry {
                path: path.clone(),
                kind: known.kind,
                content: known.content,
                attributes: known.attributes,
            });
        }
        let told = Range {
            after: range.after,
            up_to: rest.as_ref().map_or(range.up_to, |rest| rest.after.clone()),
        };
        if let Some(rest) = rest {
            telling.asked.push_front(rest);
        }
        let message = Message::Manifest {
            epoch: self.state.epoch,
            session: telling.session,
            range: told,
            entries,
        };
        self.outbox.push(message.encode());
    }
}

/// Entries in each range of a copy that has `entries`: every range costs a line of the summary, and an entry that differs
/// costs the manifest of its range.
fn range_entries(entries: usize) -> usize {
    entries.isqrt().clamp(1, RANGE_ENTRIES)
}
