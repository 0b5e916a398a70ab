//! Before a large content is sent: what it is, and what its receiver has of it already.

use std::time::Duration;

use super::super::Core;
use super::super::active::unstable;
use super::super::content::{Ahead, Own, Part, Read, Reading, Told, WhenRead};
use super::Job;
use super::bases::Base;
use super::sending::{Content, read_as_sent};
use crate::chunks::{CUT_BYTES, Seed, sections};
use crate::delta::{Plan, plan};
use crate::digest::Digest;
use crate::inodes::Inode;
use crate::state::StateStore;
use crate::tree::{Source, Tree, TreeError};
use crate::wire::Message;
use crate::{EntryPath, NodeId};

/// A large content about to be sent.
#[derive(Debug)]
pub(super) struct Survey<F> {
    pub(super) path: EntryPath,
    /// Who lacks it; `None`: it is a change.
    pub(super) target: Option<NodeId>,
    pub(super) source: F,
    own: Own,
    version: Option<Version>,
    before: Option<Before>,
}

/// A content that every receiver has there, while it is the beginning of the one here.
#[derive(Debug)]
struct Before {
    base: Base,
    /// Chunks that are the same in both, from the first on.
    alike: usize,
}

/// What the receiver was asked, and has told.
#[derive(Debug)]
struct Version {
    transfer: u64,
    of: NodeId,
    told: Told,
}

impl<F: Source> Survey<F> {
    /// Where it matters how it is cut: with this seed.
    pub(super) fn new(path: EntryPath, source: F, target: Option<NodeId>, cuts: Option<Seed>) -> Self {
        let cuts = cuts.filter(|_| source.found().seen.stamp.size <= CUT_BYTES);
        Self {
            path,
            target,
            source,
            own: Own::new(Reading::new(cuts)),
            version: None,
            before: None,
        }
    }

    /// Of a change of `base`, which every receiver has.
    pub(super) fn of_change(path: EntryPath, source: F, base: Base, seed: Seed) -> Self {
        let mut survey = Self::new(path, source, None, None);
        if survey.source.found().seen.stamp.size <= CUT_BYTES {
            survey.own = Own::new(Reading::like(&base.chunks, seed));
        }
        survey.before = Some(Before { base, alike: 0 });
        survey
    }

    /// The transfer of which the receiver has heard.
    pub(super) fn transfer(&self) -> Option<u64> {
        self.version.as_ref().map(|version| version.transfer)
    }

    /// Whose answer is waited for, and until when; nobody's as long as there is something to be read here.
    pub(super) fn awaits(&self) -> Option<(NodeId, Duration)> {
        let version = self.version.as_ref().filter(|_| self.own.is_read())?;
        Some((version.of, version.told.awaited_until()?))
    }

    /// Whether what was read so far shows that it is another content than before.
    fn differs(&mut self) -> bool {
        let (Own::Reading(reading), Some(before)) = (&self.own, &mut self.before) else {
            return false;
        };
        let (own, theirs) = (reading.chunks(), &before.base.chunks);
        let pairs = own[before.alike..].iter().zip(&theirs[before.alike..]);
        before.alike += pairs.take_while(|(own, theirs)| own == theirs).count();
        before.alike < own.len()
    }

    /// The receiver has nothing of it.
    fn is_lacked_whole(&self) -> bool {
        self.version
            .as_ref()
            .is_some_and(|version| version.told.is_nothing())
    }

    /// Where the receiver has chunks that it was not asked for, and that may be of use.
    fn sections_to_ask(&self) -> Vec<u64> {
        match (&self.own, &self.version) {
            (Own::Read(read), Some(version)) => version.told.sections_to_ask(read),
            _ => Vec::new(),
        }
    }

    fn plan(&self) -> Plan {
        let size = self.source.found().seen.stamp.size;
        match (&self.own, &self.version, &self.before) {
            (Own::Read(read), Some(version), _) => version.told.plan(size, read),
            (Own::Read(Read { chunks, .. }), None, Some(before)) => {
                plan(size, chunks, &sections(chunks), &[], &before.base.chunks)
            }
            _ => Plan::whole(size),
        }
    }

    fn digest(&self) -> Option<Digest> {
        match &self.own {
            Own::Read(read) => Some(read.digest),
            Own::Reading(_) => None,
        }
    }

    /// The content, to be sent as it was read, or as it is read on.
    fn into_content(self, seed: Seed) -> (Content<F>, WhenRead) {
        let content = Content {
            transfer: self.transfer(),
            path: self.path,
            target: self.target,
            base: self.before.as_ref().map(|before| before.base.content),
            source: self.source,
        };
        let read = match (self.own, self.before) {
            (Own::Read(read), _) => WhenRead::Before(read),
            (Own::Reading(reading), Some(before)) => {
                WhenRead::Ahead(Ahead::new(*reading, &before.base.chunks))
            }
            // All of it has to be sent, and read for that: its receiver has told that it has nothing.
            (Own::Reading(_), None) => read_as_sent(&content.source, seed),
        };
        (content, read)
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    pub(super) fn survey_step(
        &mut self,
        mut survey: Survey<T::Source>,
        now: Duration,
    ) -> Result<(), TreeError> {
        // Where it was moved to, its receiver has nothing of a change: only reading it shows that.
        let is_needed = survey.target.is_none() || !survey.is_lacked_whole();
        if is_needed && !survey.own.is_read() {
            if !survey.own.read(&mut survey.source)? {
                if survey.differs() {
                    let (content, read) = survey.into_content(self.seed);
                    self.begin_sending(content, Plan::default(), read, now);
                } else {
                    self.start(Job::Survey(survey));
                }
                return Ok(());
            }
            if !self.is_still_there(&survey.path, &survey.source)? {
                return self.changed_meanwhile(&Job::Survey(survey), now);
            }
            if survey.target.is_none() && self.announce_surveyed(&survey, now)? {
                return Ok(());
            }
            // Its receiver may have been waiting for its own disk as long.
            if let Some(version) = &mut survey.version {
                version.told.wait_anew(now);
            }
        }
        if let Some(version) = &mut survey.version {
            match version.told.awaited_until() {
                Some(until) if now < until && self.peers.follows(version.of) => {
                    self.start(Job::Survey(survey));
                    return Ok(());
                }
                Some(_) => version.told.give_up(),
                None => {}
            }
        }
        let missing = survey.sections_to_ask();
        match survey.version.as_ref().map(|version| version.of) {
            Some(of) if !missing.is_empty() => self.ask(survey, of, missing, now),
            _ => {
                let plan = survey.plan();
                let (content, read) = survey.into_content(self.seed);
                self.begin_sending(content, plan, read, now);
            }
        }
        Ok(())
    }

    /// Announces what can be announced without its content: the one that was announced last, moved or not, or any where
    /// nobody follows. Returns whether it could.
    fn announce_surveyed(&mut self, survey: &Survey<T::Source>, now: Duration) -> Result<bool, TreeError> {
        let Some(digest) = survey.digest() else {
            return Ok(false);
        };
        let found = survey.source.found().clone();
        let known = found.known_with(digest);
        self.follow_read_file(&survey.path, &found, &known, now)?;
        self.join_names(&survey.path, &found, &known, now)?;
        let is_announced = self.index.get(&survey.path).is_some_and(|before| {
            before.same_content(&known) && !self.was_another_files(&survey.path, &known)
        });
        if !is_announced && self.peers.any_follows() {
            return Ok(false);
        }
        self.withdraw(survey.transfer(), now);
        self.finished(&survey.path);
        self.announce_file(&survey.path, &found, known, None, now)?;
        Ok(true)
    }

    /// Asks `of` for its version of a file: for all of it, or for the chunks in some sections.
    pub(super) fn ask(
        &mut self,
        mut survey: Survey<T::Source>,
        of: NodeId,
        sections: Vec<u64>,
        now: Duration,
    ) {
        let Some(active) = &mut self.active else { return };
        let transfer = survey.transfer().unwrap_or_else(|| active.next_id());
        let version = survey.version.get_or_insert_with(|| Version {
            transfer,
            of,
            told: Told::default(),
        });
        version.told.expect(now);
        let sign = Message::Sign {
            epoch: self.state.epoch,
            target: of,
            transfer,
            path: survey.path.clone(),
            seed: self.seed,
            sections,
        };
        self.push_stream(&sign, now);
        self.start(Job::Survey(survey));
    }

    pub(in crate::core) fn signature_delivered(
        &mut self,
        from: NodeId,
        transfer: u64,
        part: Part,
        now: Duration,
    ) {
        let job = self.active.as_mut().and_then(|active| active.bulk.job.as_mut());
        let survey = match job {
            Some(Job::Survey(survey)) => survey,
            Some(Job::Send(sending)) => return sending.refuse(transfer),
            None => return,
        };
        let Some(version) = &mut survey.version else {
            return;
        };
        if (version.of, version.transfer) == (from, transfer) {
            version.told.take(part, now);
        }
    }

    /// What was being read or sent is not what it was any more.
    pub(super) fn changed_meanwhile(&mut self, job: &Job<T::Source>, now: Duration) -> Result<(), TreeError> {
        match job.target() {
            Some(_) => self.supply_later(job.path()),
            None => self.begin_again(job.path(), job.inode())?,
        }
        self.withdraw(job.transfer(), now);
        Ok(())
    }

    /// Begins anew with a content that changed, in the same turn, unless it never stands still.
    pub(super) fn begin_again(&mut self, path: &EntryPath, inode: Inode) -> Result<(), TreeError> {
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        if !active.bulk.may_begin_anew(path) {
            active.bulk.begun_anew = None;
            return Err(unstable(path));
        }
        active.bulk.line.push_front(path.clone(), Some(inode));
        Ok(())
    }
}
