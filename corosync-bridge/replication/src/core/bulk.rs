//! Large contents on their way from the Active: one at a time, and never in the way of what is small.
//!
//! Contents wait ([`line`]) in the order in which they were found, and barriers among them; one of priority 1 goes before those
//! of priority 2 behind the last barrier, each of which waits for a few of them at most. The one under way is not put off. A piece
//! of it is sent when no small change waits, or after [`LIVE_STEPS`] of them.

mod bases;
mod line;
mod sending;
mod survey;

use std::collections::BTreeSet;
use std::time::Duration;

use super::active::{Active, Looked, Place};
use super::essential::Priorities;
use super::queue::Barrier;
use super::{Core, Step};
use crate::chunks::Chunk;
use crate::delta::Plan;
use crate::digest::Digest;
use crate::entry::{Found, Kind, Known};
use crate::inodes::Inode;
use crate::state::StateStore;
use crate::tree::{Inspection, Source, Tree, TreeError};
use crate::wire::{Message, Operation};
use crate::{EntryPath, NodeId};

use bases::{Base, Bases};
use line::{Due, Line, Next};
use sending::{Content, Sending, read_as_sent};
use survey::Survey;

/// Steps for small changes between two pieces of a large content. More would let a stream of changes that never ends
/// hold a content up for long; fewer would let a content hold a burst of changes up.
const LIVE_STEPS: u32 = 16;

/// Times that a content is begun anew at once because the file changed, before it is left alone for a while.
const BEGINNINGS: u32 = 3;

/// What an Active has of large contents.
#[derive(Debug)]
pub(super) struct Bulk<F> {
    job: Option<Job<F>>,
    pub(super) line: Line,
    /// Counts what was gone when its turn came.
    missed: u64,
    /// Steps that small changes took since the last one for anything large.
    live_steps: u32,
    /// The comparison has its turn before the next content.
    comparison_is_next: bool,
    /// A content that was begun anew, and how often.
    begun_anew: Option<(EntryPath, u32)>,
    /// Directories in which names changed, that are told of with what is large in them: by themselves they would cost every disk
    /// a sync, in the middle of a content.
    late_names: BTreeSet<EntryPath>,
    /// Since when there is something that changed.
    live_since: Option<Duration>,
    bases: Bases,
}

/// A large file under way.
#[derive(Debug)]
enum Job<F> {
    /// What it holds, and what its receiver has of that, is being found out.
    Survey(Survey<F>),
    /// Its content is being sent.
    Send(Box<Sending<F>>),
}

impl<F: Source> Bulk<F> {
    pub(super) fn new(priorities: Priorities) -> Self {
        Self {
            job: None,
            line: Line::new(priorities),
            missed: 0,
            live_steps: 0,
            comparison_is_next: false,
            begun_anew: None,
            late_names: BTreeSet::new(),
            live_since: None,
            bases: Bases::default(),
        }
    }

    /// Takes a barrier in where something has to be sent before it; gives it back where nothing has.
    pub(super) fn hold(&mut self, mut barrier: Barrier) -> Option<Barrier> {
        if self.line.is_empty() && self.live_job().is_none() {
            return Some(barrier);
        }
        barrier.wait(self.missed);
        self.line.push_barrier(barrier);
        None
    }

    /// The change that is being sent.
    fn live_job(&self) -> Option<&Job<F>> {
        self.job.as_ref().filter(|job| job.target().is_none())
    }

    /// Since when something that changed is on its way.
    pub(super) fn live_since(&self) -> Option<Duration> {
        self.live_since
    }

    /// Whether the names in `directory` wait for what is large in it. They come with that.
    pub(super) fn puts_names_off(&mut self, directory: &EntryPath) -> bool {
        let waits = self.holds_content_in(directory);
        if waits {
            self.late_names.insert(directory.clone());
        }
        waits
    }

    fn holds_content_in(&self, directory: &EntryPath) -> bool {
        let sent = self.live_job().and_then(|job| job.path().parent());
        sent.as_ref() == Some(directory) || self.line.holds_content_in(directory)
    }

    /// Directories that wait for nothing any more.
    fn take_due_names(&mut self) -> Vec<EntryPath> {
        if self.late_names.is_empty() {
            return Vec::new();
        }
        let late = std::mem::take(&mut self.late_names).into_iter();
        let (late, due): (BTreeSet<_>, BTreeSet<_>) =
            late.partition(|directory| self.holds_content_in(directory));
        self.late_names = late;
        due.into_iter().collect()
    }

    /// What had waited is gone when its turn comes.
    pub(super) fn miss(&mut self) {
        self.missed += 1;
    }

    /// The files that wait to be read, or are being read, and where they are.
    pub(super) fn files(&self) -> impl Iterator<Item = (&EntryPath, Inode)> {
        let job = self.job.as_ref().map(|job| (job.path(), job.inode()));
        job.into_iter().chain(self.line.files())
    }

    /// Where the file of `inode` waits to be read, or is being read.
    pub(super) fn places(&self, inode: Inode) -> impl Iterator<Item = &EntryPath> {
        let job = self.job.as_ref().filter(|job| job.inode() == inode);
        job.map(Job::path).into_iter().chain(self.line.places(inode))
    }

    /// Whether another file than that of `inode` is about to be told of at `path`.
    pub(super) fn is_replacing(&self, path: &EntryPath, inode: Inode) -> bool {
        let job = self.live_job();
        job.is_some_and(|job| job.path() == path && job.inode() != inode)
    }

    /// Whether a small change may go before what is large.
    pub(super) fn lets_pass(&self) -> bool {
        self.live_steps < LIVE_STEPS
    }

    /// Keeps the turns: a step is about to be taken.
    pub(super) fn took(&mut self, step: Step) {
        match step {
            Step::Change | Step::Take(_) | Step::Harden => {
                self.live_steps = self.live_steps.saturating_add(1);
            }
            Step::Job => self.live_steps = 0,
            Step::Content => {
                self.live_steps = 0;
                self.comparison_is_next = true;
            }
            Step::Session | Step::Compare(_) => {
                self.live_steps = 0;
                self.comparison_is_next = false;
            }
            Step::BaseScan
            | Step::Commit
            | Step::Telling
            | Step::HardenTold
            | Step::Signing
            | Step::Incoming
            | Step::Keep
            | Step::Agree
            | Step::Offer(_) => {}
        }
    }

    /// The group is gone: what was being sent has to be sent again.
    pub(super) fn begin_anew(&mut self) {
        if let Some(job) = self.job.take().filter(|job| job.target().is_none()) {
            self.line.push_front(job.path().clone(), Some(job.inode()));
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

    /// Until when an answer is waited for.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.job.as_ref().and_then(Job::awaits).map(|(_, until)| until)
    }

    /// Entries and bytes still to be sent.
    pub(super) fn left(&self) -> (u64, u64) {
        let (entries, bytes) = self.job.as_ref().map_or((0, 0), Job::left);
        let waiting = u64::try_from(self.line.contents()).unwrap_or(u64::MAX);
        (entries + waiting, bytes)
    }

    /// What still has to be looked at.
    pub(super) fn into_paths(self) -> impl Iterator<Item = EntryPath> {
        let under_way = self.job.map(|job| job.path().clone());
        under_way.into_iter().chain(self.line.into_paths())
    }
}

impl<F: Source> Job<F> {
    fn path(&self) -> &EntryPath {
        match self {
            Self::Survey(survey) => &survey.path,
            Self::Send(sending) => &sending.path,
        }
    }

    /// Who lacks the content; `None`: it is a change.
    fn target(&self) -> Option<NodeId> {
        match self {
            Self::Survey(survey) => survey.target,
            Self::Send(sending) => sending.target,
        }
    }

    /// Which file it is.
    fn inode(&self) -> Inode {
        self.source().found().seen.stamp.inode()
    }

    fn source(&self) -> &F {
        match self {
            Self::Survey(survey) => &survey.source,
            Self::Send(sending) => sending.source(),
        }
    }

    /// The transfer of which a receiver has heard.
    fn transfer(&self) -> Option<u64> {
        match self {
            Self::Survey(survey) => survey.transfer(),
            Self::Send(sending) => Some(sending.transfer),
        }
    }

    /// Whose answer is waited for, and until when.
    fn awaits(&self) -> Option<(NodeId, Duration)> {
        match self {
            Self::Survey(survey) => survey.awaits(),
            Self::Send(_) => None,
        }
    }

    /// Entries and bytes still to be sent.
    fn left(&self) -> (u64, u64) {
        match self {
            Self::Survey(survey) => (1, survey.source.found().seen.stamp.size),
            Self::Send(sending) => (1, sending.left()),
        }
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// The next step for what is large: the content under way, then contents and the comparison in turns.
    pub(super) fn next_bulk_step(&self, active: &Active<T::Source>, now: Duration) -> Option<Step> {
        if let Some(job) = &active.bulk.job {
            let waits = job
                .awaits()
                .is_some_and(|(node, until)| now < until && self.peers.follows(node));
            return (!waits).then_some(Step::Job);
        }
        let content = (!active.bulk.line.is_empty()).then_some(Step::Content);
        let comparison = match &active.session {
            // What is gone is not announced as that yet: it would be looked for again and again.
            _ if active.queue.is_behind() => None,
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

    /// Whether there is room for what `step` makes.
    pub(super) fn has_room_for(&self, step: Step, active: &Active<T::Source>) -> bool {
        match step {
            // What it sends is small.
            Step::Session => self.peers.supply_window_is_open(active.sent_bytes),
            _ => self.bulk_has_room(active),
        }
    }

    fn bulk_has_room(&self, active: &Active<T::Source>) -> bool {
        let behind = match &active.bulk.job {
            Some(Job::Send(sending)) => sending.ends_behind().map(|until| (sending.target, until)),
            _ => None,
        };
        self.outbox.has_room_for_bulk()
            && self.peers.bulk_window_is_open(active.sent_bytes)
            && behind.is_none_or(|(receiver, sent_bytes)| self.peers.have_taken(receiver, sent_bytes))
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
        active.bulk.live_since.get_or_insert(now);
        let seen = found.found().seen;
        let older = active.bulk.job.take_if(|job| {
            let theirs = job.source().found().seen;
            let is_same = theirs.settled && theirs.stamp == seen.stamp;
            job.target().is_none() && job.path() == path && !is_same
        });
        match older {
            Some(job) => {
                self.withdraw(job.transfer(), now);
                self.begin_again(path, job.inode())?;
            }
            None if active
                .bulk
                .job
                .as_ref()
                .is_some_and(|job| job.target().is_none() && job.path() == path) => {}
            None => {
                let announced = self.index.get(path).map(|known| known.seen.stamp.inode());
                active
                    .bulk
                    .line
                    .push_by_priority(path, seen.stamp.inode(), announced);
            }
        }
        self.look_at_names_with(path, &seen.stamp);
        Ok(Looked::Later)
    }

    /// Ends the transfer of what a change for everyone replaces, and spares the one who is compared the same twice.
    pub(super) fn supersede(&mut self, change: &Operation<'_>, now: Duration) {
        if let Some(path) = brings(change) {
            let priority = self.priority(path);
            let known = self.index.get(path);
            let session = self.active.as_mut().and_then(|active| active.session.as_mut());
            if let Some(session) = session {
                session.forget(priority, path, known);
            }
        }
        let Some(active) = &mut self.active else { return };
        let replaced = active.bulk.job.take_if(|job| change.replaces(job.path()));
        let Some(job) = replaced else { return };
        self.withdraw(job.transfer(), now);
        let (path, inode) = (job.path().clone(), job.inode());
        if job.target().is_some() {
            self.supply_later(&path);
        } else if let Some(active) = &mut self.active {
            // Looked at again before the barriers behind it: it may have come back.
            active.bulk.line.push_front(path, Some(inode));
        }
    }

    pub(super) fn content_step(&mut self, now: Duration) {
        let Some(active) = &mut self.active else { return };
        active.queue.take_in_hand();
        match active.bulk.line.pop() {
            None => {}
            Some(Next::Barrier(mut barrier)) => {
                if barrier.is_put_off(active.bulk.missed) {
                    active.queue.put_off(barrier);
                } else {
                    // It does not wait for the contents behind it.
                    let late = std::mem::take(&mut active.bulk.late_names);
                    self.look_at_late_names(late, now);
                    self.reach_barrier(barrier);
                }
            }
            Some(Next::Content(due)) if self.waits_on(&due) => {}
            Some(Next::Content(due)) => self.examine_or_retry(due.path, Place::Bulk, now),
        }
        self.content_has_ended(now);
    }

    /// Nothing may be left of what something else waits for.
    fn content_has_ended(&mut self, now: Duration) {
        let Some(active) = &mut self.active else { return };
        let due = active.bulk.take_due_names();
        self.look_at_late_names(due, now);
        if let Some(active) = &mut self.active {
            let is_live = active.bulk.line.contents() > 0 || active.bulk.live_job().is_some();
            active.bulk.live_since.take_if(|_| !is_live);
        }
    }

    fn look_at_late_names(&mut self, directories: impl IntoIterator<Item = EntryPath>, now: Duration) {
        for directory in directories {
            self.examine_or_retry(directory, Place::Queue, now);
        }
    }

    /// What waited may have been moved where it is not there now: of that, too, the barriers behind it have to wait for the word.
    /// Returns whether it waits on: behind what it may have become, or what it takes the place of.
    fn waits_on(&mut self, due: &Due) -> bool {
        let found = match self.tree.inspect(&due.path, None) {
            Ok(Inspection::Present(found)) => Some(found.seen.stamp.inode()),
            Ok(Inspection::Absent) => None,
            Ok(Inspection::Unchanged) | Err(_) => return false,
        };
        let has_left = due.files.iter().any(|waited| Some(*waited) != found);
        if let Some(active) = self.active.as_mut().filter(|_| has_left) {
            active.miss(Place::Bulk);
        }
        match found {
            None => has_left && self.waits_to_be_read(&due.path, Place::Gone, None),
            Some(found) => self.lets_replaced_go_first(due, found),
        }
    }

    /// Another file was `found` where one was announced that waits for its turn elsewhere, written anew maybe, so that nobody was
    /// told that it was moved: that goes first, once. Returns whether it does.
    fn lets_replaced_go_first(&mut self, due: &Due, found: Inode) -> bool {
        let announced = self.index.get(&due.path).map(|known| known.seen.stamp.inode());
        let is_another = announced.is_some_and(|announced| announced != found);
        let waits = is_another && !due.has_waited && self.is_read_elsewhere(&due.path, Place::Gone);
        if let Some(active) = self.active.as_mut().filter(|_| waits) {
            active.miss(Place::Bulk);
            active.bulk.line.wait_once(due);
        }
        waits
    }

    /// Begins with a large content whose turn has come. One that was announced before, here or elsewhere, may be the
    /// same still, and one who follows may have most of it.
    pub(super) fn begin_content(
        &mut self,
        path: &EntryPath,
        source: T::Source,
        known: Option<Known>,
        now: Duration,
    ) {
        let is_known_elsewhere = self.index.names(&source.found().seen.stamp).next().is_some();
        let is_new = !is_known_elsewhere && known.is_none_or(|known| known.kind != Kind::File);
        if is_new && self.peers.any_follows() {
            let plan = Plan::whole(source.found().seen.stamp.size);
            let read = read_as_sent(&source, self.seed);
            let content = Content {
                transfer: None,
                path: path.clone(),
                target: None,
                base: None,
                source,
            };
            self.begin_sending(content, plan, read, now);
        } else if let Some(base) = known.and_then(|known| self.base_of(&known, source.found())) {
            let survey = Survey::of_change(path.clone(), source, base, self.seed);
            self.start(Job::Survey(survey));
        } else {
            let follower = self.peers.only_follower();
            let cuts = follower.map(|_| self.seed);
            let survey = Survey::new(path.clone(), source, None, cuts);
            self.survey(survey, follower, now);
        }
    }

    /// What every follower has of a file that was announced as `known`, and is changed to what was `found`; `None` where
    /// that is not certain, or it may have been moved there.
    fn base_of(&self, known: &Known, found: &Found) -> Option<Base> {
        let active = self.active.as_ref()?;
        let has_one_name = !known.linked && !found.linked;
        let mut names = self.index.names(&found.seen.stamp);
        let is_the_same = known.seen.stamp.is_same_inode(&found.seen.stamp) || names.next().is_none();
        let is_certain = active.session.is_none() && self.peers.any_follows();
        let base = active.bulk.bases.find(known.content);
        base.filter(|_| is_certain && is_the_same && has_one_name)
    }

    /// Every follower has this content, or is sent it.
    fn remember_base(&mut self, content: Digest, chunks: Vec<Chunk>) {
        if let Some(active) = &mut self.active {
            active.bulk.bases.remember(content, chunks);
        }
    }

    fn forget_base(&mut self, content: Digest) {
        if let Some(active) = &mut self.active {
            active.bulk.bases.forget(content);
        }
    }

    /// Begins to send a large content to one who lacks it.
    pub(super) fn supply_content(
        &mut self,
        path: &EntryPath,
        source: T::Source,
        target: NodeId,
        now: Duration,
    ) {
        let survey = Survey::new(path.clone(), source, Some(target), Some(self.seed));
        self.survey(survey, Some(target), now);
    }

    /// Finds out what a content is; meanwhile `receiver`, where it is the only one, finds out what it has of it.
    fn survey(&mut self, survey: Survey<T::Source>, receiver: Option<NodeId>, now: Duration) {
        match receiver {
            Some(receiver) => self.ask(survey, receiver, Vec::new(), now),
            None => self.start(Job::Survey(survey)),
        }
    }

    fn start(&mut self, job: Job<T::Source>) {
        if let Some(active) = &mut self.active {
            active.bulk.job = Some(job);
        }
    }

    pub(super) fn job_step(&mut self, now: Duration) {
        let job = self.active.as_mut().and_then(|active| active.bulk.job.take());
        let Some(job) = job else { return };
        if job.target().is_some_and(|target| !self.peers.follows(target)) {
            return self.withdraw(job.transfer(), now);
        }
        let (path, target, transfer) = (job.path().clone(), job.target(), job.transfer());
        let outcome = match job {
            Job::Survey(survey) => self.survey_step(survey, now),
            Job::Send(sending) => self.send_step(sending, now),
        };
        if let Err(error) = outcome {
            self.withdraw(transfer, now);
            if target.is_some() {
                self.supply_later(&path);
            }
            self.cannot_read(vec![TreeError { path, ..error }], now);
        }
        if self
            .active
            .as_ref()
            .is_some_and(|active| active.bulk.job.is_none())
        {
            self.content_has_ended(now);
        }
    }

    /// Whether `path` shows what was opened as `source`, unchanged. The open file alone cannot say: where it was moved away or
    /// replaced before it was announced there, nothing else tells of it any more.
    fn is_still_there(&mut self, path: &EntryPath, source: &T::Source) -> Result<bool, TreeError> {
        if !source.is_unchanged()? {
            return Ok(false);
        }
        Ok(match self.tree.inspect(path, None)? {
            Inspection::Present(found) => found.seen.stamp == source.found().seen.stamp,
            Inspection::Absent | Inspection::Unchanged => false,
        })
    }

    /// A content was read as one state.
    fn finished(&mut self, path: &EntryPath) {
        if let Some(active) = &mut self.active {
            active.bulk.begun_anew.take_if(|(begun, _)| begun == path);
        }
        self.could_read(path);
    }

    /// Tells the receivers of a transfer, if any have heard of it, that nothing comes of it.
    fn withdraw(&mut self, transfer: Option<u64>, now: Duration) {
        if let Some(transfer) = transfer {
            let epoch = self.state.epoch;
            self.push_stream(&Message::Abandon { epoch, transfer }, now);
        }
    }
}

/// The path of which `change` tells everything.
fn brings<'a>(change: &'a Operation<'_>) -> Option<&'a EntryPath> {
    match change {
        Operation::Put { path, .. }
        | Operation::PutTransferred { path, .. }
        | Operation::Link { path, .. }
        | Operation::Directory { path, .. } => Some(path),
        Operation::Attributes { .. }
        | Operation::HardLink { .. }
        | Operation::Remove { .. }
        | Operation::Rename { .. }
        | Operation::EssentialInSync { .. }
        | Operation::InSync { .. } => None,
    }
}
