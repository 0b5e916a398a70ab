//! The Active's side: finding what changed and sending it.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::time::Duration;

use super::bulk::Bulk;
use super::peers::weight;
use super::queue::{Barrier, Gone, Item, Queue, Replaced, Whereabouts};
use super::schedule::Occasion;
use super::session::Session;
use super::{Core, Step, Topic};
use crate::agreed::Version;
use crate::coverage::Timing;
use crate::digest::Digest;
use crate::entry::{Body, Found, Kind, Known};
use crate::scan::{Findings, Mode, Scan};
use crate::state::StateStore;
use crate::tree::{Inspection, Source, Tree, TreeError};
use crate::wire::{INLINE_BYTES, Message, Operation};
use crate::{EntryPath, NodeId, Position, Role, Transfer};

/// Changed entries that wait to be made durable here; above this everything is made durable at once.
const UNHARDENED: usize = 256;

/// Pause before an entry that could not be read, or a disk that could not be written, is tried again.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// How long the own disk waits for the Passives. A change that comes while this disk writes the one before would wait for
/// it.
const HARDEN_DELAY: Duration = Duration::from_millis(100);

/// Readings of a small file that changes while it is read, before it is left for later.
const READINGS: usize = 3;

/// What an Active has.
#[derive(Debug)]
pub(super) struct Active<F> {
    /// Sequence of the last change.
    pub(super) sequence: u64,
    /// How much is durable on the own disk.
    pub(super) hardened: Mark,
    /// Looks at what may not be durable.
    looks: u64,
    /// Bytes of operations and transfers sent in this epoch.
    pub(super) sent_bytes: u64,
    pub(super) queue: Queue<F>,
    /// The comparison under way.
    pub(super) session: Option<Session>,
    /// Names transfers and comparisons.
    pub(super) next_id: u64,
    base_scan: Option<Scan<F>>,
    /// Large contents that wait, and the one under way.
    pub(super) bulk: Bulk<F>,
    /// Changes that not every follower has acknowledged, oldest first.
    sent: VecDeque<Sent>,
    /// Last sequence that some follower has acknowledged.
    pub(super) acknowledged: u64,
    /// Announced where changes travel both ways, and not known to be agreed yet.
    pub(super) announced: VecDeque<(u64, EntryPath, Option<Version>)>,
    /// A follower has everything: all of it is agreed.
    pub(super) agree_on_all: bool,
    pub(super) agree_at: Option<Duration>,
    unhardened: Vec<EntryPath>,
    pub(super) harden_all: bool,
    harden_at: Option<Duration>,
    unreadable: BTreeSet<EntryPath>,
    /// Barriers that wait until everything has been read.
    held: Vec<Barrier>,
    retry_at: Option<Duration>,
}

/// A moment in an epoch: what had been sent, and what had been looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mark {
    /// Sequence of the last change.
    pub(super) sequence: u64,
    /// Looks at what may not be durable: not each of them finds a change.
    looks: u64,
}

/// A change on its way.
#[derive(Debug, Clone, Copy)]
struct Sent {
    sequence: u64,
    at: Duration,
}

/// Where an entry that is looked at had waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// With all changes.
    Queue,
    /// Behind all changes up to when something else was found there.
    Replaced,
    /// Behind all changes up to when it was gone.
    Gone,
    /// The same, and behind the large contents that had waited then.
    Lost,
    /// With the large contents: it is its turn to be sent.
    Bulk,
}

/// What came of the look at an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looked {
    /// It is announced as it is.
    Done,
    /// Its content is large and has to be read first.
    Later,
}

/// What a file was found to hold.
enum Content<F> {
    /// All of it, and its digest.
    Small(Vec<u8>, Digest),
    /// More than travels in one message.
    Large(F),
    /// It does not stand still.
    Unstable,
}

impl<F: Source> Active<F> {
    pub(super) fn new(base_scan: Scan<F>, queue: Queue<F>) -> Self {
        Self {
            sequence: 0,
            hardened: Mark::default(),
            // What this node wrote before it was the Active's bridge may not be durable.
            looks: 1,
            sent_bytes: 0,
            bulk: Bulk::new(queue.priorities().clone()),
            queue,
            session: None,
            next_id: 0,
            base_scan: Some(base_scan),
            sent: VecDeque::new(),
            acknowledged: 0,
            announced: VecDeque::new(),
            agree_on_all: false,
            agree_at: None,
            unhardened: Vec::new(),
            harden_all: true,
            harden_at: None,
            unreadable: BTreeSet::new(),
            held: Vec::new(),
            retry_at: None,
        }
    }

    /// What still has to be looked at, for the epoch after this one. Its barriers stay behind: their requests
    /// ask anew.
    pub(super) fn into_changes(self) -> Queue<F> {
        let mut queue = self.queue;
        let mut changes = queue.emptied();
        queue.catch_up();
        while let Some(item) = queue.pop() {
            match item {
                Item::Path(path) | Item::Gone(Gone { path, .. }) => changes.push_path(path),
                Item::Names(directory) => changes.push_names(directory),
                Item::Tree(top) => changes.push_tree(top),
                Item::Links(inodes) => inodes.into_iter().for_each(|inode| changes.push_links(inode)),
                Item::AnyLink => changes.push_any_link(),
                Item::Scan(scan) => changes.push_scan(queue.lane(), scan),
                Item::Barrier(_) => {}
                Item::Whereabouts => queue.note_whereabouts(Whereabouts::Unknown),
            }
        }
        for path in self.unreadable.into_iter().chain(self.bulk.into_paths()) {
            changes.push_path(path);
        }
        changes
    }

    /// An entry that could not be read. Nothing can be said of it, or of what is in it.
    pub(super) fn unreadable(&self) -> Option<&EntryPath> {
        self.unreadable.first()
    }

    /// All of them.
    pub(super) fn unreadable_entries(&self) -> impl Iterator<Item = &EntryPath> {
        self.unreadable.iter()
    }

    pub(super) fn is_unreadable(&self, path: &EntryPath) -> bool {
        self.unreadable
            .iter()
            .any(|unreadable| path == unreadable || path.is_beneath(unreadable))
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn age_of_oldest_after(&self, acknowledged: u64, now: Duration) -> Duration {
        self.sent
            .iter()
            .find(|sent| sent.sequence > acknowledged)
            .map_or(Duration::ZERO, |sent| now.saturating_sub(sent.at))
    }

    /// Forgets when changes were sent that all followers have; all of them where there are no followers.
    pub(super) fn forget_acknowledged(&mut self, by_all: Option<u64>) {
        let by_all = by_all.unwrap_or(u64::MAX);
        while self.sent.front().is_some_and(|sent| sent.sequence <= by_all) {
            self.sent.pop_front();
        }
    }

    /// The group is gone: what was being sent has to be sent again.
    pub(super) fn abandon_sending(&mut self) {
        self.session = None;
        self.forget_acknowledged(None);
        self.bulk.begin_anew();
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let hardens_at = self.untaken_since().filter(|_| self.owes_hardening());
        let times = [
            self.retry_at,
            self.harden_at,
            hardens_at.map(|at| at + HARDEN_DELAY),
            self.agree_at,
            self.bulk.deadline(),
        ];
        times.into_iter().flatten().min()
    }

    pub(super) fn retry_due(&mut self, now: Duration) {
        if self.retry_at.take_if(|at| *at <= now).is_some() {
            // Kept as unreadable until they have been read.
            self.queue.push_front(self.unreadable.iter().cloned().collect());
        }
        self.harden_at.take_if(|at| *at <= now);
        self.agree_at.take_if(|at| *at <= now);
    }

    pub(super) fn transfer(&self) -> Option<Transfer> {
        let (entries, bytes) = self.session.as_ref().map_or((0, 0), Session::left);
        let (contents, content_bytes) = self.bulk.left();
        let waiting = u64::try_from(self.queue.waiting()).unwrap_or(u64::MAX);
        let transfer = Transfer {
            entries_left: entries + contents + waiting,
            bytes_left: bytes + content_bytes,
        };
        (transfer != Transfer::default()).then_some(transfer)
    }

    /// Everything that was sent, and looked at, by now.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            sequence: self.sequence,
            looks: self.looks,
        }
    }

    /// Whether everything up to `mark` is durable here.
    pub(super) fn is_hardened(&self, mark: Mark) -> bool {
        self.hardened.sequence >= mark.sequence && self.hardened.looks >= mark.looks
    }

    /// A scan finds what is there, but not what came and went without a trace, and may still be on the disk after a
    /// power cut.
    pub(super) fn owe_hardening_all(&mut self) {
        self.harden_all = true;
        self.looks += 1;
    }

    /// What was written there may not be durable, even where it is what it was before.
    fn owe_hardening(&mut self, path: &EntryPath) {
        self.looks += 1;
        if self.unhardened.len() < UNHARDENED {
            self.unhardened.push(path.clone());
        } else {
            self.harden_all = true;
        }
    }

    /// Something is gone that had waited in `place`.
    pub(super) fn miss(&mut self, place: Place) {
        match place {
            Place::Queue | Place::Replaced => self.queue.miss(),
            Place::Bulk => {
                // The barriers behind it may not have come that far.
                self.queue.miss();
                self.bulk.miss();
            }
            Place::Gone | Place::Lost => {}
        }
    }

    /// What comes before anything large: a change is sent and made durable while large contents are on their way.
    fn next_live_step(&self, is_awaited: bool, is_taken: bool) -> Option<Step> {
        let hardens = if self.queue.is_empty() {
            is_taken && !self.unhardened.is_empty() && !self.harden_all
        } else {
            self.unhardened.len() >= UNHARDENED
        };
        // Who waits for the disk does not wait for what was told after its request as well.
        let hardens = hardens || is_awaited;
        if hardens && self.owes_hardening() {
            return Some(Step::Harden);
        }
        (!self.queue.is_empty()).then_some(Step::Change)
    }

    fn owes_hardening(&self) -> bool {
        self.harden_at.is_none() && !self.is_hardened(self.mark())
    }

    fn oldest_sent_at(&self) -> Option<Duration> {
        self.sent.front().map(|sent| sent.at)
    }

    /// Since when there is something that the Passives do not have.
    fn untaken_since(&self) -> Option<Duration> {
        self.oldest_sent_at().or(self.bulk.live_since())
    }

    /// Whether the Passives have what was sent and what is being sent, or have had their time.
    fn is_taken(&self, now: Duration) -> bool {
        self.untaken_since().is_none_or(|at| at + HARDEN_DELAY <= now)
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    pub(super) fn changed(&mut self, path: &Path) {
        let Some(path) = self.hint(path) else { return };
        if self.role == Role::Passive {
            return self.suspect(&path);
        }
        if self.holds_back() {
            return self.switches.miss();
        }
        if let Some(active) = &mut self.active {
            active.queue.push_path(path);
        }
    }

    pub(super) fn left(&mut self, path: &Path) {
        if let (Some(path), Some(active)) = (self.hint(path), &mut self.active) {
            active.queue.miss_at(&path);
        }
        self.changed(path);
    }

    pub(super) fn rescan(&mut self, path: &Path) {
        let Some(path) = self.hint(path) else { return };
        if self.role == Role::Passive {
            self.suspect(&path);
            return self.suspect_tree(&path);
        }
        if self.holds_back() {
            return self.switches.miss();
        }
        if let Some(active) = &mut self.active {
            // Names in it may have come and gone.
            active.owe_hardening(&path);
            active.queue.miss_beneath(&path);
            active.queue.push_tree(path);
        }
    }

    pub(super) fn rescan_all(&mut self) {
        if self.role == Role::Passive {
            return self.suspect_everything();
        }
        self.look_for(Occasion::Missed);
    }

    /// Hints about what is not replicated come with every directory that is watched for one file; what does not travel
    /// as it changes needs none.
    fn hint(&self, path: &Path) -> Option<EntryPath> {
        EntryPath::from_path(path)
            .ok()
            .filter(|path| self.coverage.covers(path))
            .filter(|path| self.coverage.rule(path).timing == Timing::Immediate)
    }

    pub(super) fn caught_up(&mut self) {
        if let Some(active) = &mut self.active {
            active.queue.catch_up();
        }
    }

    pub(super) fn compare_everyone_again(&mut self) {
        self.look_for(Occasion::FullSync);
        for (_, peer) in self.peers.iter_mut() {
            peer.compare_again();
        }
        if let Some(active) = &mut self.active {
            active.session = None;
            active.forget_acknowledged(None);
        }
    }

    pub(super) fn next_active_step(&self, active: &Active<T::Source>, now: Duration) -> Option<Step> {
        if active.base_scan.is_some() {
            return Some(Step::BaseScan);
        }
        if self.holds_back() {
            return active.owes_hardening().then_some(Step::Harden);
        }
        let taken = active.is_taken(now) || self.requests.has_mark();
        if self.outbox.has_room() && self.peers.window_is_open(active.sent_bytes) {
            let bulk = self.next_bulk_step(active, now);
            let offered = self.intake.next().map(Step::Take);
            let awaited = self.awaits_disk(active);
            let live = match self.intake.is_next {
                true => offered.or_else(|| active.next_live_step(awaited, taken)),
                false => active.next_live_step(awaited, taken).or(offered),
            };
            let live = live.filter(|_| bulk.is_none() || active.bulk.lets_pass());
            if live.is_some() {
                return live;
            }
            let bulk = bulk.filter(|step| self.has_room_for(*step, active));
            if bulk.is_some() {
                return bulk;
            }
        }
        if active.owes_hardening() && taken {
            return Some(Step::Harden);
        }
        self.owes_agreement(active).then_some(Step::Agree)
    }

    /// Learns what is there. Nobody is in sync yet, so nothing has to be sent.
    pub(super) fn base_scan_step(&mut self, now: Duration) {
        let Some(active) = &mut self.active else { return };
        let Some(mut scan) = active.base_scan.take() else {
            return;
        };
        let mut findings = Findings::default();
        if !scan.step(&mut self.tree, &mut self.index, &*self.coverage, &mut findings) {
            active.base_scan = Some(scan);
        } else {
            self.schedule.begin(now);
        }
        self.cannot_read(findings.failed, now);
    }

    pub(super) fn cannot_read(&mut self, errors: Vec<TreeError>, now: Duration) {
        for error in errors {
            self.problem(Topic::Entry(error.path.clone()), error.to_string());
            if let Some(active) = &mut self.active {
                active.unreadable.insert(error.path);
                active.retry_at.get_or_insert(now + RETRY);
            }
        }
    }

    pub(super) fn could_read(&mut self, path: &EntryPath) {
        let Some(active) = &mut self.active else { return };
        if active.unreadable.remove(path) {
            self.problems.clear(&Topic::Entry(path.clone()));
        }
        if active.unreadable.is_empty() {
            active.retry_at = None;
            for barrier in std::mem::take(&mut active.held) {
                active.queue.push_barrier(barrier);
            }
        }
    }

    pub(super) fn change_step(&mut self, now: Duration) {
        let Some(active) = &mut self.active else { return };
        match active.queue.pop() {
            None => {}
            Some(Item::Barrier(barrier)) => {
                if let Some(barrier) = active.bulk.hold(barrier) {
                    self.reach_barrier(barrier);
                }
            }
            Some(Item::Path(path)) => {
                self.owe_look_at_names(&path);
                self.examine_or_retry(path, Place::Queue, now);
            }
            Some(Item::Gone(Gone { path, place, .. })) => self.examine_or_retry(path, place, now),
            Some(Item::Links(inodes)) => self.find_names(&inodes),
            Some(Item::AnyLink) => self.look_at_all_links(),
            Some(Item::Names(directory)) if active.bulk.puts_names_off(&directory) => {}
            Some(Item::Names(directory)) => self.examine_or_retry(directory, Place::Queue, now),
            Some(Item::Tree(top)) => {
                if let (Ok(Inspection::Absent), Some(active)) =
                    (self.tree.inspect(&top, None), &mut self.active)
                {
                    // It was maybe moved on.
                    active.miss(Place::Queue);
                }
                self.owe_look_at_names(&top);
                // Those that came and went in it were of any file.
                self.lose_unknown_name();
                self.scan_step(Scan::new(Mode::Tell, vec![top]), now);
            }
            Some(Item::Scan(scan)) => self.scan_step(scan, now),
            Some(Item::Whereabouts) => self.look_up_whereabouts(),
        }
    }

    /// Finds what differs in a part of a scan's reach; that comes next, and then the rest of it.
    fn scan_step(&mut self, mut scan: Scan<T::Source>, now: Duration) {
        let mut findings = Findings::default();
        let is_done = scan.step(&mut self.tree, &mut self.index, &*self.coverage, &mut findings);
        if let Some(active) = &mut self.active {
            if !is_done {
                active.queue.push_scan_front(scan);
            }
            active.queue.push_front(findings.differing);
        }
        self.cannot_read(findings.failed, now);
    }

    /// Everything told before a request has been looked at and, as far as it could be read, sent.
    pub(super) fn reach_barrier(&mut self, barrier: Barrier) {
        if let Some(barrier) = barrier.behind_look() {
            return self.look_before(barrier);
        }
        let Some(active) = &mut self.active else { return };
        if active.unreadable().is_some() {
            active.held.push(barrier);
        } else {
            self.requests.barrier_reached(barrier.id, active.mark());
        }
    }

    /// Where things are moved faster than they are looked at, a request waits until everything was looked at once.
    fn look_before(&mut self, barrier: Barrier) {
        self.look_for(Occasion::Moving);
        if let Some(active) = &mut self.active {
            active.queue.push_barrier(barrier);
        }
    }

    pub(super) fn examine_or_retry(&mut self, path: EntryPath, place: Place, now: Duration) {
        let was_unreadable = self
            .active
            .as_ref()
            .is_some_and(|active| active.unreadable.contains(&path));
        match self.examine(&path, was_unreadable, place, now) {
            Ok(Looked::Done) => self.could_read(&path),
            Ok(Looked::Later) => {}
            Err(error) => self.cannot_read(vec![TreeError { path, ..error }], now),
        }
    }

    /// Looks at an entry, and sends it where it is not what was announced.
    fn examine(
        &mut self,
        path: &EntryPath,
        search: bool,
        place: Place,
        now: Duration,
    ) -> Result<Looked, TreeError> {
        if self.is_the_passives(path) {
            return Ok(Looked::Done);
        }
        let known = self.index.get(path).copied();
        let found = match self.tree.inspect(path, known.as_ref().map(|known| &known.seen))? {
            Inspection::Unchanged => {
                self.is_back(path);
                if search {
                    self.search(path);
                }
                return Ok(Looked::Done);
            }
            Inspection::Absent => return Ok(self.examine_gone(path, place, now)),
            Inspection::Present(found) => found,
        };
        if self.waits_for_moved(path, known.as_ref(), &found, place) {
            return Ok(Looked::Later);
        }
        self.is_back(path);
        let unsettled = known.filter(|known| may_be_as_known(&found, known));
        if unsettled.is_none() {
            self.owe_hardening(path);
        }
        let looked = self.examine_found(path, &found, known, search, place, now)?;
        let is_as_known = |known: &Known| {
            let now = self.index.get(path);
            now.is_some_and(|now| now.same_as(known) && now.seen.stamp == known.seen.stamp)
        };
        if !unsettled.as_ref().is_none_or(is_as_known) {
            self.owe_hardening(path);
        }
        Ok(looked)
    }

    /// Nobody has to look elsewhere for what was announced at `path`.
    fn is_back(&mut self, path: &EntryPath) {
        if let Some(active) = &mut self.active {
            active.queue.is_back(path);
        }
    }

    /// Nothing is at `path`. What was there may yet be found elsewhere: so what is renamed is told as that, and whatever is moved
    /// is at its new path before it leaves the old one.
    fn examine_gone(&mut self, path: &EntryPath, place: Place, now: Duration) -> Looked {
        let is_announced = self.index.holds(path);
        if let Some(active) = &mut self.active {
            active.miss(place);
        }
        if matches!(place, Place::Gone | Place::Lost) && self.waits_to_be_read(path, place, None) {
            return Looked::Later;
        }
        let is_small = self
            .index
            .get(path)
            .is_some_and(|known| self.is_sent_lightly(known));
        let inodes = self.gone(path);
        let is_found = place == Place::Gone && self.is_found_elsewhere(path);
        let Some(active) = &mut self.active else {
            return Looked::Done;
        };
        match place {
            Place::Gone if is_found => active.queue.push_gone(path.clone(), Place::Lost, inodes),
            Place::Queue if is_small => active.queue.push_small_gone(path.clone(), inodes),
            Place::Queue | Place::Replaced if is_announced => {
                active.queue.push_gone(path.clone(), Place::Gone, inodes);
            }
            Place::Bulk if is_announced => active.queue.push_gone(path.clone(), Place::Lost, inodes),
            // It was found elsewhere.
            Place::Gone | Place::Lost if !is_announced => return Looked::Done,
            Place::Queue | Place::Replaced | Place::Bulk | Place::Gone | Place::Lost => {
                self.announce_gone(path, now);
                return Looked::Done;
            }
        }
        Looked::Later
    }

    fn announce_gone(&mut self, path: &EntryPath, now: Duration) {
        self.owe_hardening(path);
        if !self.index.holds(path) {
            return self.lose_unknown_name();
        }
        if let Some(before) = self.index.get(path).copied() {
            self.lose_name(path, &before);
        }
        self.lose_names_beneath(path);
        self.index.remove(path);
        self.send(None, Operation::Remove { path: path.clone() }, now);
    }

    /// Sends what was found where it is not what was announced.
    fn examine_found(
        &mut self,
        path: &EntryPath,
        found: &Found,
        known: Option<Known>,
        search: bool,
        place: Place,
        now: Duration,
    ) -> Result<Looked, TreeError> {
        if let Some(above) = self.unannounced_above(path)? {
            // The directory first; it is searched, but not for what travels at other times than itself.
            let lost = self
                .active
                .as_ref()
                .is_some_and(|active| active.is_unreadable(&above));
            self.look_behind(above, Some(path).filter(|_| !lost), place);
            return Ok(Looked::Done);
        }
        if known.is_none() && !found.linked {
            self.lose_unknown_name();
        }
        if found.body == Body::File {
            return self.examine_file(path, known, place, now);
        }
        // One that was moved away and made anew has other things in it, of which nobody told.
        let is_new = known.is_none_or(|known| !known.seen.stamp.is_same_inode(&found.seen.stamp));
        let is_directory = found.body == Body::Directory;
        let is_moved = is_directory && is_new && self.follow_directory(path, found, now)?;
        self.announce_known(path, found, found.known_with(Digest::NONE), None, now);
        if is_moved {
            self.search_at_once(path);
        } else if is_directory && (is_new || search) {
            self.search(path);
        }
        Ok(Looked::Done)
    }

    /// The name `path` may have come or gone: then its directory has another mtime.
    pub(super) fn owe_look_at_names(&mut self, path: &EntryPath) {
        let directory = path.parent().filter(|directory| self.coverage.covers(directory));
        if let (Some(active), Some(directory)) = (&mut self.active, directory) {
            active.queue.push_names(directory);
        }
    }

    /// What was written there may not be durable, even where it is what it was before.
    pub(super) fn owe_hardening(&mut self, path: &EntryPath) {
        if let Some(active) = &mut self.active {
            active.owe_hardening(path);
        }
    }

    fn search(&mut self, directory: &EntryPath) {
        if let Some(active) = &mut self.active {
            active.queue.push_tree(directory.clone());
        }
    }

    /// What was told of where `directory` was before belongs to the barriers that wait.
    fn search_at_once(&mut self, directory: &EntryPath) {
        if let Some(active) = &mut self.active {
            let search = Scan::new(Mode::Tell, vec![directory.clone()]);
            active.queue.push_scan_front(search);
        }
    }

    /// The directory that has to be announced before what is in it at `path`.
    fn unannounced_above(&mut self, path: &EntryPath) -> Result<Option<EntryPath>, TreeError> {
        let topmost = std::iter::successors(path.parent(), EntryPath::parent)
            .filter(|above| self.coverage.covers(above))
            .filter(|above| {
                self.index
                    .get(above)
                    .is_none_or(|known| known.kind != Kind::Directory)
            })
            .last();
        match topmost {
            None => self.replaced_above(path),
            above => Ok(above),
        }
    }

    /// The directory that `path` is in, where it was made anew since it was announced. The one announced may have
    /// been moved away: told of as in that one, what is new here would be moved along.
    fn replaced_above(&mut self, path: &EntryPath) -> Result<Option<EntryPath>, TreeError> {
        let announced = path
            .parent()
            .and_then(|above| Some((self.index.get(&above)?.seen, above)));
        let Some((announced, above)) = announced else {
            return Ok(None);
        };
        Ok(match self.tree.inspect(&above, Some(&announced))? {
            Inspection::Present(found) if !found.seen.stamp.is_same_inode(&announced.stamp) => Some(above),
            Inspection::Present(_) | Inspection::Absent | Inspection::Unchanged => None,
        })
    }

    fn examine_file(
        &mut self,
        path: &EntryPath,
        known: Option<Known>,
        place: Place,
        now: Duration,
    ) -> Result<Looked, TreeError> {
        let Some(source) = self.tree.open(path)? else {
            // Gone between two looks: look again.
            self.look_later(path, place);
            return Ok(Looked::Done);
        };
        let found = source.found().clone();
        match self.content(path, source)? {
            Content::Small(bytes, digest) => {
                self.announce_file(path, &found, found.known_with(digest), Some(&bytes), now)?;
                Ok(Looked::Done)
            }
            Content::Large(source) if place != Place::Bulk => {
                self.follow_file(path, &source.found().seen.stamp, now)?;
                self.wait_in_bulk(path, &source, now)
            }
            Content::Large(source) => {
                self.begin_content(path, source, known, now);
                Ok(Looked::Later)
            }
            Content::Unstable => Err(unstable(path)),
        }
    }

    /// What was announced at `path`, where nothing was found instead.
    fn gone(&self, path: &EntryPath) -> Replaced {
        Replaced {
            announced: self.index.get(path).map(Into::into),
            found: None,
        }
    }

    /// Looks at an entry once more: it went between two looks.
    fn look_later(&mut self, path: &EntryPath, place: Place) {
        let inodes = self.gone(path);
        let Some(active) = &mut self.active else { return };
        match place {
            Place::Queue => active.queue.push_front(vec![path.clone()]),
            Place::Replaced | Place::Gone | Place::Lost => {
                active.queue.push_gone(path.clone(), Place::Gone, inodes);
            }
            Place::Bulk => active.bulk.line.push_front(path.clone(), None),
        }
    }

    /// Looks at the directory `above` first, and then once more at `path`, before what comes behind it in its place.
    fn look_behind(&mut self, above: EntryPath, path: Option<&EntryPath>, place: Place) {
        let Some(active) = &mut self.active else { return };
        match (path.cloned(), place) {
            (None, _) => active.queue.push_front(vec![above]),
            (Some(path), Place::Queue) => active.queue.push_front(vec![above, path]),
            (Some(path), Place::Replaced | Place::Gone | Place::Lost) => {
                active.queue.push_gone_front(above, path);
            }
            // Barriers behind a large content still wait for it.
            (Some(path), Place::Bulk) => {
                active.bulk.line.push_front(path, None);
                active.queue.push_front(vec![above]);
            }
        }
    }

    /// Reads a small file as one state of it.
    fn content(&mut self, path: &EntryPath, source: T::Source) -> Result<Content<T::Source>, TreeError> {
        let mut source = source;
        for _ in 0..READINGS {
            if source.found().seen.stamp.size > INLINE_BYTES as u64 {
                return Ok(Content::Large(source));
            }
            let mut bytes = Vec::new();
            loop {
                let before = bytes.len();
                // One byte more than fits shows that it grew.
                source.read(&mut bytes, INLINE_BYTES + 1 - before)?;
                if bytes.len() == before || bytes.len() > INLINE_BYTES {
                    break;
                }
            }
            if bytes.len() <= INLINE_BYTES && source.is_unchanged()? {
                let digest = Digest::of(&bytes);
                return Ok(Content::Small(bytes, digest));
            }
            match self.tree.open(path)? {
                Some(again) => source = again,
                None => break,
            }
        }
        Ok(Content::Unstable)
    }

    /// Sends an entry where it differs from what was announced: whole, or only its attributes.
    pub(super) fn announce_known(
        &mut self,
        path: &EntryPath,
        found: &Found,
        known: Known,
        content: Option<&[u8]>,
        now: Duration,
    ) {
        let before = self.index.get(path).copied();
        self.leave_names(path, &known);
        if known.kind != Kind::Directory {
            self.lose_names_beneath(path);
        }
        self.index.insert(path.clone(), known);
        if before.is_some_and(|before| before.same_as(&known)) {
            return;
        }
        let same_content = before.is_some_and(|before| before.same_content(&known));
        let operation = operation(path, found, known, content, same_content);
        self.send(None, operation, now);
    }

    /// Gives a change its sequence and, where somebody follows, sends it.
    pub(super) fn send(&mut self, target: Option<NodeId>, operation: Operation<'_>, now: Duration) {
        if target.is_none() {
            self.forget_not_taken(&operation);
            self.supersede(&operation, now);
        }
        let Some(active) = &mut self.active else { return };
        active.sequence += 1;
        if !self.peers.any_follows() {
            // Nobody has this one. What was told before and not acknowledged may not be anywhere either.
            active.agree_on_all = false;
            active.announced.clear();
            return;
        }
        active.sent.push_back(Sent {
            sequence: active.sequence,
            at: now,
        });
        if target.is_none() {
            self.note_announced(&operation);
        }
        let Some(active) = &self.active else { return };
        let closes = matches!(
            operation,
            Operation::EssentialInSync { .. } | Operation::InSync { .. }
        );
        let message = Message::Operation {
            epoch: self.state.epoch,
            sequence: active.sequence,
            target,
            operation,
        };
        let bytes = self.count_in_stream(&message, now);
        if target.is_some() && !closes {
            // What one Passive lacks; the next that it lacks comes at once.
            self.outbox.push_with_more(bytes);
        } else {
            self.outbox.push(bytes);
        }
    }

    pub(super) fn push_stream(&mut self, message: &Message<'_>, now: Duration) {
        let bytes = self.count_in_stream(message, now);
        self.outbox.push(bytes);
    }

    /// Returns the message as it is sent.
    fn count_in_stream(&mut self, message: &Message<'_>, now: Duration) -> Vec<u8> {
        let bytes = message.encode();
        if let Some(active) = &mut self.active {
            for (_, peer) in self.peers.iter_mut() {
                peer.will_owe(active.sent_bytes, active.sequence, now);
            }
            active.sent_bytes += weight(message, bytes.len());
        }
        bytes
    }

    /// Makes the own copy durable and remembers how new it is.
    pub(super) fn harden(&mut self, now: Duration) {
        let Some(active) = &mut self.active else { return };
        let paths = std::mem::take(&mut active.unhardened);
        let mark = active.mark();
        let outcome = if active.harden_all {
            self.tree.harden_all()
        } else {
            self.tree.harden(&paths)
        };
        let saved = outcome.map_err(|error| error.to_string()).and_then(|()| {
            self.state.position = Position {
                epoch: self.state.epoch,
                sequence: mark.sequence,
            };
            self.store.save(&self.state).map_err(|error| error.to_string())
        });
        match saved {
            Ok(()) => {
                if std::mem::take(&mut active.harden_all) {
                    self.index.undurable.clear();
                }
                active.hardened = mark;
                self.problems.clear(&Topic::Harden);
            }
            Err(message) => {
                active.harden_all = true;
                active.harden_at = Some(now + RETRY);
                self.problem(Topic::Harden, message);
            }
        }
    }
}

/// Whether an entry that was found may be what is known of it, of which the last look settled nothing. What it holds tells:
/// nobody makes it another and then the same again, its mtime included, within one tick of a clock.
fn may_be_as_known(found: &Found, known: &Known) -> bool {
    let is_large = found.body == Body::File && found.seen.stamp.size > INLINE_BYTES as u64;
    known.seen.stamp == found.seen.stamp && !known.linked && !found.linked && !is_large
}

/// The operation that brings an entry to what was found.
pub(super) fn operation<'a>(
    path: &EntryPath,
    found: &'a Found,
    known: Known,
    content: Option<&'a [u8]>,
    same_content: bool,
) -> Operation<'a> {
    let (path, attributes) = (path.clone(), found.attributes.clone());
    match (&found.body, content) {
        (Body::Directory, _) => Operation::Directory { path, attributes },
        (Body::Link(target), _) => Operation::Link {
            path,
            attributes,
            target,
        },
        (Body::File, Some(content)) if !same_content => Operation::Put {
            path,
            attributes,
            content,
        },
        (Body::File, _) => Operation::Attributes {
            path,
            attributes,
            content: known.content,
        },
    }
}

pub(super) fn unstable(path: &EntryPath) -> TreeError {
    TreeError {
        action: "read",
        path: path.clone(),
        source: std::io::Error::other("it changes while it is read"),
    }
}
