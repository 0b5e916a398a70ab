//! What a program on a Passive took away: offered behind what came.
//!
//! What is gone from one path may have been moved to another. Offered first at its new path, the Active takes the content
//! from the old one, and nothing of it is sent; and it has it at one of them at any moment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::EntryPath;

/// How long what is gone waits, at most: where new files come without end it would wait forever.
const LONGEST: Duration = Duration::from_secs(4);

/// Paths from which something is gone.
#[derive(Debug, Default)]
pub(super) struct Departures {
    /// Until when each waits for what came.
    waiting: BTreeMap<EntryPath, Duration>,
    /// They have waited long enough.
    overdue: BTreeSet<EntryPath>,
}

impl Departures {
    pub(super) fn put_off(&mut self, path: EntryPath, now: Duration) {
        if !self.overdue.contains(&path) {
            self.waiting.entry(path).or_insert(now + LONGEST);
        }
    }

    pub(super) fn contains(&self, path: &EntryPath) -> bool {
        self.waiting.contains_key(path) || self.overdue.contains(path)
    }

    pub(super) fn remove(&mut self, path: &EntryPath) {
        self.waiting.remove(path);
        self.overdue.remove(path);
    }

    pub(super) fn retain(&mut self, which: impl Fn(&EntryPath) -> bool) {
        self.waiting.retain(|path, _| which(path));
        self.overdue.retain(which);
    }

    /// One that waits for nothing any more.
    pub(super) fn overdue(&self) -> Option<&EntryPath> {
        self.overdue.first()
    }

    /// One that has its turn once everything that came was taken.
    pub(super) fn next(&self) -> Option<&EntryPath> {
        self.waiting.keys().next()
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.waiting.values().min().copied()
    }

    pub(super) fn time_passes(&mut self, now: Duration) {
        let is_over = |until: &Duration| *until <= now;
        let over = self.waiting.iter().filter(|(_, until)| is_over(until));
        self.overdue.extend(over.map(|(path, _)| path.clone()));
        self.waiting.retain(|_, until| !is_over(until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_waits_no_longer_than_from_when_it_was_found_gone_first() {
        let path = EntryPath::new(b"/b/d").expect("a plain path");
        let mut departures = Departures::default();
        departures.put_off(path.clone(), Duration::ZERO);
        departures.put_off(path.clone(), LONGEST / 2);
        assert_eq!(departures.deadline(), Some(LONGEST));
        departures.time_passes(LONGEST / 2);
        assert_eq!((departures.overdue(), departures.next()), (None, Some(&path)));
        departures.time_passes(LONGEST);
        assert_eq!((departures.overdue(), departures.next()), (Some(&path), None));
        departures.put_off(path.clone(), LONGEST);
        assert_eq!(departures.deadline(), None);
        departures.remove(&path);
        assert!(!departures.contains(&path));
    }
}
