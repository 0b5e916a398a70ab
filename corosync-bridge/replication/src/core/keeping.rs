//! Keeping what is known of every entry, for when the bridge starts again.
//!
//! Some time after a change the index is gone through. What was looked at so soon after its last change that a later one
//! might not show ([`Seen::settled`](crate::entry::Seen::settled)) is looked at again, once, so that nobody has to read it
//! another time; then it is written to the [`DigestLog`]. All of it waits until nothing else is to be done.

use std::time::Duration;

use super::{Core, Topic};
use crate::EntryPath;
use crate::digest::Digest;
use crate::digest_log::DigestLog;
use crate::entry::{Body, Known};
use crate::record_log::LogError;
use crate::scan::Hashing;
use crate::state::StateStore;
use crate::tree::{Inspection, Tree, TreeError};

/// From a change to the round that keeps it: a file that is written again and again is read once for many writes.
const PAUSE: Duration = Duration::from_secs(3);

/// Longest pause before what is still too fresh is looked at again. It is that fresh for a clock that was set back.
const PAUSE_LONGEST: Duration = Duration::from_secs(60);

/// Entries passed in one step, and those of them that are looked at on disk.
const STEP_ENTRIES: usize = 1024;
const STEP_LOOKS: usize = 32;

/// What keeps.
#[derive(Debug)]
pub(super) struct Keeper<F> {
    log: DigestLog,
    /// When the next round begins; none is needed otherwise.
    due: Option<Duration>,
    pause: Duration,
    round: Option<Round<F>>,
}

/// The index being gone through.
#[derive(Debug)]
struct Round<F> {
    cursor: Option<EntryPath>,
    /// Everything is written, and not only what is new.
    anew: bool,
    /// Something was too fresh to be sure of.
    fresh: bool,
    /// A file that is read again, and what was known of it.
    settling: Option<(Hashing<F>, Known)>,
}

impl<F> Keeper<F> {
    pub(super) fn new(log: DigestLog) -> Self {
        Self {
            log,
            due: None,
            pause: PAUSE,
            round: None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.due.filter(|_| self.round.is_none())
    }

    pub(super) fn has_work(&self, now: Duration) -> bool {
        self.round.is_some() || self.due.is_some_and(|due| due <= now)
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// Sees to it that what has become known is kept.
    pub(super) fn plan_keeping(&mut self, now: Duration) {
        if self.index.take_news() {
            self.keeper.pause = PAUSE;
            self.keeper.due.get_or_insert(now + PAUSE);
        }
    }

    pub(super) fn keep_step(&mut self, now: Duration) {
        let mut round = match self.keeper.round.take().map_or_else(|| self.begin_round(), Ok) {
            Ok(round) => round,
            Err(error) => return self.cannot_keep(&error, now),
        };
        let outcome = match round.settling.take() {
            Some((hashing, known)) => {
                // What cannot be read now is read when somebody asks for it.
                let _ = self.settle_content(&mut round, hashing, known);
                Ok(true)
            }
            None => self.go_through(&mut round),
        };
        match outcome {
            Ok(true) => self.keeper.round = Some(round),
            Ok(false) => self.end_round(&round, now),
            Err(error) => self.cannot_keep(&error, now),
        }
    }

    fn begin_round(&mut self) -> Result<Round<T::Source>, LogError> {
        self.keeper.due = None;
        let anew = self.keeper.log.is_overgrown(self.index.bytes_to_keep());
        if anew {
            self.keeper.log.begin_rewrite()?;
        }
        Ok(Round {
            cursor: None,
            anew,
            fresh: false,
            settling: None,
        })
    }

    /// Goes on to the next entries that are not kept. Returns whether there may be more.
    fn go_through(&mut self, round: &mut Round<T::Source>) -> Result<bool, LogError> {
        let mut ahead = Vec::new();
        let mut passed = None;
        for (path, known, kept) in self.index.to_keep(round.cursor.as_ref()).take(STEP_ENTRIES) {
            if kept && !round.anew {
                passed = Some(path);
                continue;
            }
            if ahead.len() == STEP_LOOKS {
                break;
            }
            passed = Some(path);
            ahead.push((path.clone(), *known));
        }
        let Some(passed) = passed.cloned() else {
            return Ok(false);
        };
        for (path, known) in ahead {
            if known.seen.settled {
                self.keep(&path, known)?;
            } else if let Ok(Some(hashing)) = self.settle(round, &path, known) {
                // The file is read in steps of its own; then the round goes on behind it.
                round.settling = Some((hashing, known));
                round.cursor = Some(path);
                return Ok(true);
            }
        }
        round.cursor = Some(passed);
        Ok(true)
    }

    fn keep(&mut self, path: &EntryPath, known: Known) -> Result<(), LogError> {
        self.keeper.log.keep(path, &known)?;
        self.index.kept(path, &known);
        Ok(())
    }

    /// Looks again at an entry whose last look settled nothing. A file that still shows the same stamp is given back to be
    /// read. What cannot be looked at now is left: whoever needs it looks again and reports it.
    fn settle(
        &mut self,
        round: &mut Round<T::Source>,
        path: &EntryPath,
        known: Known,
    ) -> Result<Option<Hashing<T::Source>>, TreeError> {
        let Inspection::Present(found) = self.tree.inspect(path, None)? else {
            return Ok(None);
        };
        if found.body == Body::File {
            if found.seen.stamp != known.seen.stamp {
                return Ok(None);
            }
            if found.seen.settled {
                let source = self.tree.open(path)?;
                return Ok(source.map(|source| Hashing::new(path.clone(), source)));
            }
        } else {
            let now = found.known_with(Digest::NONE);
            // A directory made anew has other things in it: that is for those to find who look for changes.
            if !now.same_as(&known) || !now.seen.stamp.is_same_inode(&known.seen.stamp) {
                return Ok(None);
            }
            if now.seen.settled {
                // It is written in the next round: this one has nothing to wait for.
                self.index.settled(path, &known, now);
                return Ok(None);
            }
        }
        round.fresh = true;
        Ok(None)
    }

    /// Goes on reading a file to settle what is known of it.
    fn settle_content(
        &mut self,
        round: &mut Round<T::Source>,
        mut hashing: Hashing<T::Source>,
        known: Known,
    ) -> Result<(), TreeError> {
        let Some(digest) = hashing.step()? else {
            round.settling = Some((hashing, known));
            return Ok(());
        };
        let now = hashing.found().known_with(digest);
        if now.seen.stamp != known.seen.stamp || !hashing.is_stable()? {
            return Ok(());
        }
        let path = hashing.path().clone();
        // Another name within the same tick leaves the stamp as it was; an Active has to tell of it.
        let is_told = now.linked == known.linked || self.active.is_none();
        if now.same_as(&known) && is_told {
            self.index.settled(&path, &known, now);
        } else {
            // Changed right after it was looked at, and nobody told.
            self.changed(path.as_path());
        }
        Ok(())
    }

    fn end_round(&mut self, round: &Round<T::Source>, now: Duration) {
        if let Err(error) = self.keeper.log.finish() {
            return self.cannot_keep(&error, now);
        }
        self.problems.clear(&Topic::Digests);
        if round.fresh {
            self.keep_later(now);
        }
    }

    fn cannot_keep(&mut self, error: &LogError, now: Duration) {
        self.problem(Topic::Digests, error.to_string());
        self.keeper.log.give_up();
        self.keep_later(now);
    }

    fn keep_later(&mut self, now: Duration) {
        self.keeper.pause = (self.keeper.pause * 2).min(PAUSE_LONGEST);
        self.keeper.due.get_or_insert(now + self.keeper.pause);
    }
}
