//! Large contents on their way from the Active: one at a time, and never in the way of what is small.
//!
//! Contents wait here in the order in which they were found, and barriers among them. A piece of the one under way
//! is sent when no small change waits, or after [`LIVE_STEPS`] of them.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::active::{Active, Looked, Place, unstable};
use super::{Core, Step};
use crate::digest::Hasher;
use crate::entry::{Kind, Known};
use crate::scan::Hashing;
use crate::state::StateStore;
use crate::tree::{Source, Tree, TreeError};
use crate::wire::{CHUNK_BYTES, Message, Operation};
use crate::{EntryPath, NodeId};

/// Steps for small changes between two pieces of a large content. More would let a stream of changes that never ends
/// hold a content up for long; fewer would let a content hold a burst of changes up.
const LIVE_STEPS: u32 = 16;

/// Times that a content is begun anew at once because the file changed, before it is left alone for a while.
const BEGINNINGS: u32 = 3;

/// What an Active has of large contents.
#[derive(Debug)]
pub(super) struct Bulk<F> {
    job: Option<Job<F>>,
    waiting: VecDeque<Turn>,
    /// The paths in `waiting`.
    paths: BTreeSet<EntryPath>,
    /// Steps that small changes took since the last one for anything large.
    live_steps: u32,
    /// The comparison has its turn before the next content.
    comparison_is_next: bool,
    /// A content that was begun anew, and how often.
    begun_anew: Option<(EntryPath, u32)>,
}

/// What waits.
#[derive(Debug)]
enum Turn {
    /// The file here was large when it was looked at.
    Content(EntryPath),
    /// The request with this id may go on: every content before it is sent.
    Barrier(u64),
}

/// A large file under way.
#[derive(Debug)]
enum Job<F> {
    /// Whether its content changed is being found out.
    Hash(Hashing<F>),
    /// Its content is being sent.
    Send(Sending<F>),
}

/// A large content being sent.
#[derive(Debug)]
struct Sending<F> {
    transfer: u64,
    path: EntryPath,
    target: Option<NodeId>,
    source: F,
    hasher: Hasher,
    offset: u64,
}

impl<F> Default for Bulk<F> {
    fn default() -> Self {
        Self {
            job: None,
            waiting: VecDeque::new(),
            paths: BTreeSet::new(),
            live_steps: 0,
            comparison_is_next: false,
            begun_anew: None,
        }
    }
}

impl<F: Source> Bulk<F> {
    /// Takes a barrier in where something has to be sent before it; gives it back where nothing has.
    pub(super) fn hold(&mut self, id: u64) -> Option<u64> {
        let is_live = self.job.as_ref().is_some_and(|job| job.target().is_none());
        if self.waiting.is_empty() && !is_live {
            return Some(id);
        }
        self.waiting.push_back(Turn::Barrier(id));
        None
    }

    pub(super) fn push_front(&mut self, path: EntryPath) {
        if self.paths.insert(path.clone()) {
            self.waiting.push_front(Turn::Content(path));
        }
    }

    pub(super) fn push(&mut self, path: &EntryPath) {
        if self.paths.insert(path.clone()) {
            self.waiting.push_back(Turn::Content(path.clone()));
        }
    }

    fn next(&mut self) -> Option<Turn> {
        let turn = self.waiting.pop_front()?;
        if let Turn::Content(path) = &turn {
            self.paths.remove(path);
        }
        Some(turn)
    }

    /// Whether a small change may go before what is large.
    pub(super) fn lets_pass(&self) -> bool {
        self.live_steps < LIVE_STEPS
    }

    /// Keeps the turns: a step is about to be taken.
    pub(super) fn took(&mut self, step: Step) {
        match step {
            Step::Change | Step::Harden => self.live_steps = self.live_steps.saturating_add(1),
            Step::Job => self.live_steps = 0,
            Step::Content => {
                self.live_steps = 0;
                self.comparison_is_next = true;
            }
            Step::Session | Step::Compare(_) => {
                self.live_steps = 0;
                self.comparison_is_next = false;
            }
            Step::BaseScan | Step::Commit | Step::Telling | Step::Keep => {}
        }
    }

    /// The group is gone: what was being sent has to be sent again.
    pub(super) fn begin_anew(&mut self) {
        if let Some(job) = self.job.take().filter(|job| job.target().is_none()) {
            self.push_front(job.path().clone());
        }
    }

    /// Counts how often the content of `path` was begun anew. Returns whether to do it again.
    fn may_begin_anew(&mut self, path: &EntryPath) -> bool {
        match &mut self.begun_anew {
            Some((last, times)) if last == path => {
                *times += 1;
                *times < BEGINNINGS
            }
            other => {
                *other = Some((path.clone(), 1));
                true
            }
        }
    }

    /// Entries and bytes still to be sent.
    pub(super) fn left(&self) -> (u64, u64) {
        let (entries, bytes) = self.job.as_ref().map_or((0, 0), Job::left);
        let waiting = u64::try_from(self.paths.len()).unwrap_or(u64::MAX);
        (entries + waiting, bytes)
    }

    /// What still has to be looked at.
    pub(super) fn into_paths(self) -> impl Iterator<Item = EntryPath> {
        let under_way = self.job.map(|job| job.path().clone());
        under_way.into_iter().chain(self.paths)
    }
}

impl<F: Source> Job<F> {
    fn path(&self) -> &EntryPath {
        match self {
            Self::Hash(hashing) => hashing.path(),
            Self::Send(sending) => &sending.path,
        }
    }

    /// Who lacks the content; `None`: it is a change.
    fn target(&self) -> Option<NodeId> {
        match self {
            Self::Hash(_) => None,
            Self::Send(sending) => sending.target,
        }
    }

    fn source(&self) -> &F {
        match self {
            Self::Hash(hashing) => hashing.source(),
            Self::Send(sending) => &sending.source,
        }
    }

    /// Entries and bytes still to be sent.
    fn left(&self) -> (u64, u64) {
        match self {
            Self::Hash(_) => (0, 0),
            Self::Send(sending) => {
                let size = sending.source.found().seen.stamp.size;
                (1, size.saturating_sub(sending.offset))
            }
        }
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// The next step for what is large: the content under way, then contents and the comparison in turns.
    pub(super) fn next_bulk_step(&self, active: &Active<T::Source>, now: Duration) -> Option<Step> {
        if active.bulk.job.is_some() {
            return Some(Step::Job);
        }
        let content = (!active.bulk.waiting.is_empty()).then_some(Step::Content);
        let comparison = match &active.session {
            Some(session) => session.can_go_on().then_some(Step::Session),
            None => {
                let node = self.peers.to_compare(now).filter(|_| self.joined);
                node.map(Step::Compare)
            }
        };
        if active.bulk.comparison_is_next {
            comparison.or(content)
        } else {
            content.or(comparison)
        }
    }

    pub(super) fn bulk_has_room(&self, active: &Active<T::Source>) -> bool {
        self.outbox.has_room_for_bulk() && self.peers.bulk_window_is_open(active.sent_bytes)
    }

    /// A changed file turned out to be large: it waits for its turn. Where an older state of it is on its way, that ends.
    pub(super) fn wait_in_bulk(
        &mut self,
        path: &EntryPath,
        found: &T::Source,
        now: Duration,
    ) -> Result<Looked, TreeError> {
        let Some(active) = &mut self.active else {
            return Ok(Looked::Later);
        };
        let seen = found.found().seen;
        let older = active.bulk.job.take_if(|job| {
            let theirs = job.source().found().seen;
            let is_same = theirs.settled && theirs.stamp == seen.stamp;
            job.target().is_none() && job.path() == path && !is_same
        });
        match older {
            Some(job) => {
                self.withdraw(&job, now);
                self.begin_again(path)?;
            }
            None if active
                .bulk
                .job
                .as_ref()
                .is_some_and(|job| job.target().is_none() && job.path() == path) => {}
            None => active.bulk.push(path),
        }
        Ok(Looked::Later)
    }

    /// Begins anew with a content that changed, in the same turn, unless it never stands still.
    fn begin_again(&mut self, path: &EntryPath) -> Result<(), TreeError> {
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        if !active.bulk.may_begin_anew(path) {
            active.bulk.begun_anew = None;
            return Err(unstable(path));
        }
        active.bulk.push_front(path.clone());
        Ok(())
    }

    /// Ends the transfer of what a change for everyone replaces.
    pub(super) fn supersede(&mut self, change: &Operation<'_>, now: Duration) {
        let Some(active) = &mut self.active else { return };
        let replaced = active.bulk.job.take_if(|job| replaces(change, job.path()));
        let Some(job) = replaced else { return };
        self.withdraw(&job, now);
        let path = job.path().clone();
        if job.target().is_some() {
            self.supply_later(&path);
        } else if let Some(active) = &mut self.active {
            // Looked at again before the barriers behind it: it may have come back.
            active.bulk.push_front(path);
        }
    }

    pub(super) fn content_step(&mut self, now: Duration) {
        let turn = self.active.as_mut().and_then(|active| active.bulk.next());
        match turn {
            None => {}
            Some(Turn::Barrier(id)) => self.reach_barrier(id),
            Some(Turn::Content(path)) => self.examine_or_retry(path, Place::Bulk, now),
        }
    }

    /// Begins with a large content whose turn has come. One that was announced before, here or elsewhere, may be the
    /// same still.
    pub(super) fn begin_content(
        &mut self,
        path: &EntryPath,
        source: T::Source,
        known: Option<Known>,
        now: Duration,
    ) {
        let is_known_elsewhere = self.index.names(&source.found().seen.stamp).next().is_some();
        if is_known_elsewhere || known.is_some_and(|known| known.kind == Kind::File) {
            self.start(Job::Hash(Hashing::new(path.clone(), source)));
        } else {
            self.send_large(path.clone(), source, None, now);
        }
    }

    fn start(&mut self, job: Job<T::Source>) {
        if let Some(active) = &mut self.active {
            active.bulk.job = Some(job);
        }
    }

    /// Begins to send a large content; to nobody, it is only digested.
    pub(super) fn send_large(
        &mut self,
        path: EntryPath,
        source: T::Source,
        target: Option<NodeId>,
        now: Duration,
    ) {
        if !self.peers.any_follows() {
            return self.start(Job::Hash(Hashing::new(path, source)));
        }
        let Some(active) = &mut self.active else { return };
        let transfer = active.next_id();
        let begin = Message::Begin {
            epoch: self.state.epoch,
            target,
            transfer,
            path: path.clone(),
        };
        self.push_stream(&begin, now);
        self.start(Job::Send(Sending {
            transfer,
            path,
            target,
            source,
            hasher: Hasher::new(),
            offset: 0,
        }));
    }

    pub(super) fn job_step(&mut self, now: Duration) {
        let job = self.active.as_mut().and_then(|active| active.bulk.job.take());
        let Some(job) = job else { return };
        if job.target().is_some_and(|target| !self.peers.follows(target)) {
            return self.withdraw(&job, now);
        }
        let path = job.path().clone();
        let outcome = match job {
            Job::Hash(hashing) => self.hash_step(hashing, now),
            Job::Send(sending) => self.send_step(sending, now),
        };
        if let Err(error) = outcome {
            self.cannot_read(vec![TreeError { path, ..error }], now);
        }
    }

    fn hash_step(&mut self, mut hashing: Hashing<T::Source>, now: Duration) -> Result<(), TreeError> {
        let Some(digest) = hashing.step()? else {
            self.start(Job::Hash(hashing));
            return Ok(());
        };
        let path = hashing.path().clone();
        if !hashing.is_stable()? {
            return self.begin_again(&path);
        }
        let known = hashing.found().known_with(digest);
        self.follow_file(&path, &known, now)?;
        let same_content = self
            .index
            .get(&path)
            .is_some_and(|before| before.same_content(&known));
        if same_content || !self.peers.any_follows() {
            let found = hashing.found().clone();
            self.finished(&path);
            self.announce_known(&path, &found, known, None, now);
            return Ok(());
        }
        match self.tree.open(&path)? {
            Some(source) => self.send_large(path, source, None, now),
            None => self.begin_again(&path)?,
        }
        Ok(())
    }

    fn send_step(&mut self, mut sending: Sending<T::Source>, now: Duration) -> Result<(), TreeError> {
        let epoch = self.state.epoch;
        let mut bytes = Vec::with_capacity(CHUNK_BYTES);
        let read = sending.source.read(&mut bytes, CHUNK_BYTES);
        if let Err(error) = read {
            self.abandon(&sending, now);
            return Err(error);
        }
        if !bytes.is_empty() {
            sending.hasher.update(&bytes);
            let chunk = Message::Chunk {
                epoch,
                transfer: sending.transfer,
                offset: sending.offset,
                bytes: &bytes,
            };
            self.push_stream(&chunk, now);
            sending.offset += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.start(Job::Send(sending));
            return Ok(());
        }
        match sending.source.is_unchanged() {
            Ok(true) => {
                self.finish_sending(&sending, now);
                Ok(())
            }
            Ok(false) => {
                self.abandon(&sending, now);
                match sending.target {
                    Some(_) => Ok(()),
                    None => self.begin_again(&sending.path),
                }
            }
            Err(error) => {
                self.abandon(&sending, now);
                Err(error)
            }
        }
    }

    fn finish_sending(&mut self, sending: &Sending<T::Source>, now: Duration) {
        let digest = sending.hasher.clone().finish();
        let found = sending.source.found().clone();
        let known = found.known_with(digest);
        let announced = self
            .index
            .get(&sending.path)
            .is_some_and(|before| before.same_as(&known));
        if sending.target.is_some() && !announced {
            // It changed since it was announced: everyone has to hear of it, not just one.
            return self.abandon(sending, now);
        }
        self.finished(&sending.path);
        self.index.insert(sending.path.clone(), known);
        let operation = Operation::PutTransferred {
            path: sending.path.clone(),
            attributes: found.attributes,
            transfer: sending.transfer,
            size: sending.offset,
            digest,
        };
        self.send(sending.target, operation, now);
    }

    /// A content was read as one state.
    fn finished(&mut self, path: &EntryPath) {
        if let Some(active) = &mut self.active {
            active.bulk.begun_anew.take_if(|(begun, _)| begun == path);
        }
        self.could_read(path);
    }

    /// What was sent of it comes to nothing. One who lacks the content still lacks it.
    fn abandon(&mut self, sending: &Sending<T::Source>, now: Duration) {
        self.tell_abandoned(sending.transfer, now);
        if sending.target.is_some() {
            self.supply_later(&sending.path);
        }
    }

    /// Tells the receivers of a job, if any have begun, that nothing comes of it.
    fn withdraw(&mut self, job: &Job<T::Source>, now: Duration) {
        if let Job::Send(sending) = job {
            self.tell_abandoned(sending.transfer, now);
        }
    }

    fn tell_abandoned(&mut self, transfer: u64, now: Duration) {
        let abandon = Message::Abandon {
            epoch: self.state.epoch,
            transfer,
        };
        self.push_stream(&abandon, now);
    }
}

/// Whether `change` leaves nothing of what was at `path`.
fn replaces(change: &Operation<'_>, path: &EntryPath) -> bool {
    match change {
        Operation::Put { path: at, .. }
        | Operation::PutTransferred { path: at, .. }
        | Operation::Link { path: at, .. }
        | Operation::Remove { path: at } => path == at || path.is_beneath(at),
        Operation::Rename { from, to } => [from, to]
            .into_iter()
            .any(|end| path == end || path.is_beneath(end)),
        Operation::Directory { path: at, .. } | Operation::Attributes { path: at, .. } => path == at,
        Operation::InSync { .. } | Operation::EssentialInSync { .. } => false,
    }
}
