//! The state machine.
//!
//! # Epochs
//! Every promotion opens an epoch, by a message that all members deliver in the same place of the agreed order.
//! Each keeps the newest epoch on disk and refuses what belongs to an older one. The Active that delivers someone
//! else's newer epoch, or hears of one from a member, is deposed: it becomes Passive at once and sends nothing
//! more. Two partitions may open the same epoch; when they meet, an Active opens a newer one (of two, the one with
//! the lower node id), so that an epoch never means two things for long.
//!
//! # Changes
//! A change on the Active gets the next sequence and is multicast. A Passive applies changes in that order and
//! acknowledges the last one that is durable. A change that it cannot apply taints its copy: it goes on
//! applying, to be as fresh as it can, but acknowledges nothing more and is not in sync until the Active has
//! compared again.
//!
//! # Large contents
//! A content that does not fit into one message travels in pieces, one content at a time, and takes its sequence when its
//! last byte was read as one state. Small changes go before the next piece, but not for good: neither they nor large
//! contents nor a comparison keep the others waiting forever. A change that replaces what is on its way, or a directory
//! above it, ends the transfer. A barrier waits for the large contents that were told of before it.
//!
//! # Joining
//! The Active asks a Passive that is not in sync to be compared ([`Message::Compare`]). From there on the Passive
//! applies every change. It cuts its copy into ranges of consecutive entries that leave no path out, and tells a digest
//! of each ([`Message::Summary`]). The Active digests its own entries of the same range; where that differs it asks
//! for the Passive's entries ([`Message::Detail`]), and sends those that differ as ordinary changes, then
//! [`Operation::InSync`](crate::wire::Operation::InSync).
//!
//! Changes go on all the while, so the two sides of a comparison are of different moments: what the Passive tells was so
//! when it had applied the changes up to some sequence p, and what the Active holds against it is its copy at a
//! later sequence a. The changes between them are under way to the Passive, which will apply them. Take any path:
//! - None of these changes concerns it. Then it compares as if time had stood still: equal, it is equal at a;
//!   differing, it is sent.
//! - One of them does. Then they make it on the Passive what they made it on the Active, whatever it was at p. Found to
//!   differ it is sent once more than needed; found equal, nothing is sent and nothing is lacking.
//!
//! A range is no more than its paths: an equal digest says of every path in it that it is equal, and a differing one
//! only that entries have to be looked at, for which the same holds at their own, later moments. The ranges are those of
//! the Passive, each summed up at once but one after the other; an entry that comes or goes between two of them came or
//! went by a change that every later comparison knows of. So nothing is missed, however both interleave, and equal ranges
//! are never looked at again.
//!
//! # Positions
//! A Passive's position moves while it is in sync, and once more when it comes in sync: a half-compared copy
//! never claims to be newer than it was. The Active's moves when the change is durable on its own disk.
//!
//! # A restarted bridge
//! An Active whose bridge was restarted has a copy that nobody else may have changed since, but cannot know which of
//! its messages arrived. It waits until every member has told its epoch, and opens the next one unless a
//! newer one is open.

mod active;
mod agreement;
mod applied;
mod arriving;
mod aside;
mod bulk;
mod comparison;
mod content;
mod deliver;
mod departures;
mod essential;
mod follower;
mod handing_over;
mod incoming;
mod intake;
mod keeping;
mod lacking;
mod linking;
mod links;
mod moves;
mod offers;
mod outbox;
mod owed;
mod peers;
mod problems;
mod queue;
mod requests;
mod roles;
mod schedule;
mod session;
mod signing;
mod suspects;
mod switches;
mod telling;
mod time;
mod twins;

use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crate::agreed::Agreed;
use crate::chunks::Seed;
use crate::conflicts::Kept;
use crate::coverage::Coverage;
use crate::digest_log::DigestLog;
use crate::index::Index;
use crate::scan::Scan;
use crate::state::{State, StateStore};
use crate::tree::Tree;
use crate::wire::{Hello, Message};
use crate::{EntryPath, NodeId, Position, Problem, Role, Switch, Sync, Transfer};

use active::Active;
use applied::Applied;
use essential::Essential;
use follower::Follower;
use intake::Intake;
use keeping::Keeper;
use offers::{OfferStep, Offers};
use outbox::Outbox;
use peers::Peers;
use problems::{Problems, Topic};
use requests::Requests;
use roles::Proposal;
use schedule::Schedule;
use switches::Switches;
use time::Time;

pub use requests::{Answer, Refusal, Request};

/// What happens to a core. Times are those of any clock that never goes back; all calls use the same one.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// The group has these members, told in its place of the agreed order; `me` is among them.
    Membership {
        /// This node.
        me: NodeId,
        /// All members.
        members: &'a [NodeId],
    },
    /// Whether this node's partition has quorum; it counts as having it as long as nobody has told. Told before the
    /// membership, and whenever it changes.
    Quorum(bool),
    /// This node is not in the group any more. Messages taken out but not delivered may be lost.
    Disconnected,
    /// A message was delivered in agreed order, this node's own among them.
    Delivered {
        /// Who sent it, by CPG's word.
        from: NodeId,
        /// The message.
        bytes: &'a [u8],
    },
    /// The entry at this absolute path may have changed: content, attributes, come or gone. Of a directory only the
    /// directory itself is looked at; one that was unknown is searched later, but no request waits for that.
    Changed(&'a Path),
    /// The file at this absolute path was moved away. The same as [`Event::Changed`], and if that was told and not looked at yet,
    /// what it was about is at another path now.
    Left(&'a Path),
    /// Anything at or beneath this absolute path may have changed. To be told of a directory that came, or was replaced.
    Rescan(&'a Path),
    /// Anything may have changed: notifications were lost.
    RescanAll,
    /// Whatever the kernel has to tell by now was told. To be said when [`Core::is_behind`].
    CaughtUp,
    /// Somebody asks for something. Answered once, through [`Core::take_answers`].
    Request {
        /// Named by the caller; comes back with the answer.
        id: u64,
        /// What is asked.
        request: Request,
        /// When to give up, on the same clock.
        deadline: Option<Duration>,
    },
    /// [`Core::deadline`] has come.
    Tick,
}

/// How a core starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// This node was the Active when its bridge ended, and has not rebooted since.
    pub resume_as_active: bool,
    /// What the pieces of the contents are named with that this node sends: nobody else may foretell it, and no core before
    /// may have had it.
    pub seed: Seed,
}

/// Why a role changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleCause {
    /// It was asked for.
    Requested,
    /// The bridge was restarted on the Active, or two partitions met.
    Resumed,
    /// Another member opened a newer epoch.
    Deposed {
        /// That epoch.
        epoch: u64,
        /// Who opened it.
        owner: NodeId,
    },
}

/// Something worth a line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// This node has another role from now on; to be kept where a restart of the bridge, but not a reboot, finds
    /// it ([`Options::resume_as_active`]).
    RoleChanged {
        /// The role.
        role: Role,
        /// The newest epoch.
        epoch: u64,
        /// Why.
        cause: RoleCause,
    },
    /// The Active compares copies with a member.
    CompareStarted {
        /// Which member.
        node: NodeId,
    },
    /// A member has everything, durably.
    CompareFinished {
        /// Which member.
        node: NodeId,
        /// Entries that were sent.
        entries: u64,
        /// Bytes of content that were sent.
        bytes: u64,
    },
    /// This Passive has everything, durably.
    InSync {
        /// Up to here.
        position: Position,
    },
    /// This Passive has set its clock by the Active's.
    ClockSet {
        /// Who the Active is.
        node: NodeId,
        /// What it showed, since 1970.
        before: Duration,
        /// What it shows.
        after: Duration,
    },
    /// A version of this node was kept aside: the Active has another one.
    KeptAside {
        /// Where it was.
        path: EntryPath,
        /// What became of it.
        kept: Kept,
    },
    /// Something keeps settings from being replicated.
    Problem(String),
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RoleChanged { role, epoch, cause } => match (role, cause) {
                (_, RoleCause::Deposed { epoch, owner }) => {
                    write!(f, "deposed: {owner} opened epoch {epoch}; this node is Passive")
                }
                (Role::Active, RoleCause::Requested) => write!(f, "promoted: Active in epoch {epoch}"),
                (Role::Active, RoleCause::Resumed) => write!(f, "resumed: Active in epoch {epoch}"),
                (Role::Passive, _) => write!(f, "demoted: Passive, last epoch {epoch}"),
            },
            Self::CompareStarted { node } => write!(f, "comparing settings with {node}"),
            Self::CompareFinished { node, entries, bytes } => {
                write!(f, "{node} is in sync: {entries} entries, {bytes} bytes sent")
            }
            Self::InSync { position } => write!(
                f,
                "in sync at epoch {} sequence {}",
                position.epoch, position.sequence
            ),
            Self::ClockSet { node, before, after } => write!(
                f,
                "clock set by {node}: showed {:.3}, shows {:.3} (seconds since 1970)",
                before.as_secs_f64(),
                after.as_secs_f64()
            ),
            Self::KeptAside { path, kept } => {
                write!(
                    f,
                    "{path} was changed here and on the Active: the version here was kept aside"
                )?;
                if kept.without_content {
                    f.write_str(", without its content, which is too large")?;
                }
                match kept.dropped {
                    0 => Ok(()),
                    dropped => write!(f, "; the {dropped} oldest that were kept had to go for it"),
                }
            }
            Self::Problem(message) => f.write_str(message),
        }
    }
}

/// A member, as this node knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberReport {
    /// Which node.
    pub node: NodeId,
    /// Its role, by its own word.
    pub role: Role,
    /// Its position, by its own word.
    pub position: Position,
    /// Its synchronisation, by its own word.
    pub sync: Sync,
    /// Everything of priority 1 is in sync there, though the rest may not be.
    pub essential: bool,
    /// Last sequence of the current epoch that it acknowledged. Known on the Active only.
    pub acknowledged: Option<u64>,
    /// Age of the oldest change that it has not acknowledged; zero when there is none. Known on the Active only.
    pub lag: Option<Duration>,
}

/// How things stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// This node; `None` while it was never in the group.
    pub node: Option<NodeId>,
    /// Whether it is in the group.
    pub joined: bool,
    /// Its role.
    pub role: Role,
    /// How new its copy is.
    pub position: Position,
    /// Whether its copy holds what the Active holds.
    pub sync: Sync,
    /// Everything of priority 1 is in sync here, though the rest may not be. Never where nothing has priority 1.
    pub essential: bool,
    /// Whether changes travel at all.
    pub switch: Switch,
    /// The other members that have introduced themselves, by node id.
    pub members: Vec<MemberReport>,
    /// Entries under replication here.
    pub entries: u64,
    /// What is still to be sent, on the Active.
    pub transfer: Option<Transfer>,
    /// Versions that lost and are kept aside here.
    pub conflicts: u64,
    /// What keeps settings from being replicated.
    pub problems: Vec<Problem>,
}

/// The replication of one node. See the [crate's documentation](crate) for how to drive it.
#[derive(Debug)]
pub struct Core<T: Tree, S> {
    coverage: Rc<dyn Coverage>,
    tree: T,
    store: S,
    index: Index,
    keeper: Keeper<T::Source>,
    state: State,
    seed: Seed,
    me: Option<NodeId>,
    joined: bool,
    quorate: bool,
    role: Role,
    sync: Sync,
    /// The Active of the newest epoch, where one is known.
    source: Option<NodeId>,
    /// What an Active has. `None` also while a restarted one has not opened its epoch yet.
    active: Option<Active<T::Source>>,
    follower: Follower<T>,
    applied: Applied,
    /// What this node and the others have last agreed on, where changes travel both ways.
    agreed: Agreed,
    /// Where changes of a Passive travel.
    offered_roots: Rc<[EntryPath]>,
    /// This Passive's own changes.
    offers: Offers<T::Source>,
    /// The Passives' changes, on the Active.
    intake: Intake<T>,
    peers: Peers,
    outbox: Outbox,
    proposal: Option<Proposal>,
    /// Until when a restarted Active waits for the members' epochs.
    resume: roles::Resume,
    requests: Requests,
    switches: Switches,
    schedule: Schedule,
    essential: Essential,
    /// Whether the members have to be told what changed here.
    announce: bool,
    time: Time,
    problems: Problems,
    notices: Vec<Notice>,
}

/// A bounded piece of work that can be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Passive: make what was applied durable and acknowledge it.
    Commit,
    /// Passive: look at, sum up or tell a part of this copy.
    Telling,
    /// Passive: make durable what was summed up.
    HardenTold,
    /// Passive: find out, or tell, what a version of a file is made of.
    Signing,
    /// Passive: go on with the large content that comes.
    Incoming,
    /// Active: learn what is there before anything is compared.
    BaseScan,
    /// Active: look at what may have changed.
    Change,
    /// Active: go on with the large content under way.
    Job,
    /// Active: begin with the next large content.
    Content,
    /// Active: compare a part of a Passive's copy, send what differed, or close the comparison.
    Session,
    /// Active: begin to compare with a Passive.
    Compare(NodeId),
    /// Active: make the own disk durable.
    Harden,
    /// Keep what is known of the entries for the next start.
    Keep,
    /// Make durable what was agreed.
    Agree,
    /// Passive: go on with the own changes.
    Offer(OfferStep),
    /// Active: go on with the changes of a Passive.
    Take(NodeId),
}

impl Step {
    /// Whether it is done once something is durable.
    fn waits_for_disk(self) -> bool {
        matches!(
            self,
            Self::Commit | Self::HardenTold | Self::Harden | Self::Keep | Self::Agree
        )
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// A core over a disk and its remembered state. State that cannot be had is reported as a problem, and the
    /// copy counts as older than any other until it has been compared.
    pub fn new(options: Options, coverage: Rc<dyn Coverage>, mut tree: T, mut store: S) -> Self {
        let mut problems = Problems::default();
        let mut notices = Vec::new();
        let state = store.load().unwrap_or_else(|error| {
            notices.push(problems.record(Topic::State, error.to_string()));
            State::default()
        });
        let switches = Switches::after_restart(state.disabled);
        let schedule = Schedule::new(&*coverage);
        let essential = Essential::new(&coverage);
        let mut index = Index::default();
        let (log, damage) = DigestLog::load(store.digests(), store.boot(), |path, known| {
            index.recall(path, known);
        });
        notices.extend(damage.map(|damage| problems.record(Topic::Digests, damage)));
        // Without a remembered epoch there is nothing to resume: this node cannot tell whether it was deposed.
        let resumes = options.resume_as_active && state.epoch > 0;
        let role = if resumes { Role::Active } else { Role::Passive };
        tree.take_role(role);
        let (agreed, damage) = Agreed::load(store.agreed());
        notices.extend(damage.map(|damage| problems.record(Topic::Agreed, damage)));
        let offered_roots = coverage.offered_roots().into();
        Self {
            coverage,
            tree,
            store,
            index,
            keeper: Keeper::new(log),
            state,
            seed: options.seed,
            me: None,
            joined: false,
            quorate: true,
            role,
            sync: if resumes { Sync::Source } else { Sync::NoSource },
            source: None,
            active: None,
            follower: Follower::default(),
            applied: Applied::default(),
            agreed,
            offered_roots,
            offers: Offers::new(essential.priorities().clone()),
            intake: Intake::default(),
            peers: Peers::default(),
            outbox: Outbox::default(),
            proposal: None,
            resume: if resumes {
                roles::Resume::Wanted
            } else {
                roles::Resume::No
            },
            requests: Requests::default(),
            switches,
            schedule,
            essential,
            announce: false,
            time: Time::default(),
            problems,
            notices,
        }
    }

    /// Takes in an event.
    pub fn handle(&mut self, event: &Event<'_>, now: Duration) {
        match event {
            Event::Membership { me, members } => self.membership(*me, members, now),
            Event::Quorum(quorate) => self.quorum(*quorate, now),
            Event::Disconnected => self.disconnected(),
            Event::Delivered { from, bytes } => self.delivered(*from, bytes, now),
            Event::Changed(path) => self.changed(path),
            Event::Left(path) => self.left(path),
            Event::Rescan(path) => self.rescan(path),
            Event::RescanAll => self.rescan_all(),
            Event::CaughtUp => self.caught_up(),
            Event::Request {
                id,
                request,
                deadline,
            } => self.request(*id, *request, *deadline),
            Event::Tick => self.tick(now),
        }
        self.ask_time(now);
        self.answer_requests(now);
        self.plan_keeping(now);
    }

    /// The next message to multicast. Once taken it must be sent, in this order, or [`Event::Disconnected`] be
    /// told.
    pub fn next_message(&mut self) -> Option<Vec<u8>> {
        if !self.joined {
            return None;
        }
        if std::mem::take(&mut self.announce) {
            return Some(Message::Hello(self.hello()).encode());
        }
        if let Some(promote) = self.promote_message() {
            return Some(promote.encode());
        }
        self.outbox.pop()
    }

    /// Whether what waits to be sent goes out before the next work: it is as much as goes together, or that work waits for
    /// the disk. Anything else is better sent once [`Core::work`] has nothing to do, or has had its turn.
    #[must_use]
    pub fn sends_first(&self, now: Duration) -> bool {
        self.outbox.fills_bundle() || self.next_step(now).is_some_and(Step::waits_for_disk)
    }

    /// Whether what waits to be sent is better sent with what [`Core::work`] makes next. Each message keeps Corosync's token
    /// awake for a while, on all members.
    #[must_use]
    pub fn gathers(&self, now: Duration) -> bool {
        self.outbox.gathers() && self.next_step(now) == Some(Step::Session)
    }

    /// Whether [`Core::work`] has something to do.
    #[must_use]
    pub fn has_work(&self, now: Duration) -> bool {
        self.next_step(now).is_some()
    }

    /// Whether it waits for [`Event::CaughtUp`]: something is gone that may have been moved, of which nobody has told yet.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.active
            .as_ref()
            .is_some_and(|active| active.queue.is_behind())
    }

    /// Does one bounded piece of work.
    pub fn work(&mut self, now: Duration) {
        let step = self.next_step(now);
        match (&mut self.active, step) {
            (Some(active), Some(step)) => {
                active.bulk.took(step);
                self.intake.took(step);
            }
            (None, Some(step)) => self.follower.took(step),
            (_, None) => {}
        }
        match step {
            None => return,
            Some(Step::Commit) => self.commit(),
            Some(Step::Telling) => self.telling_step(),
            Some(Step::HardenTold) => self.harden_told(),
            Some(Step::Signing) => self.signing_step(),
            Some(Step::Incoming) => self.incoming_step(),
            Some(Step::BaseScan) => self.base_scan_step(now),
            Some(Step::Change) => self.change_step(now),
            Some(Step::Job) => self.job_step(now),
            Some(Step::Content) => self.content_step(now),
            Some(Step::Session) => self.session_step(now),
            Some(Step::Compare(node)) => self.start_session(node, now),
            Some(Step::Harden) => self.harden(now),
            Some(Step::Keep) => self.keep_step(now),
            Some(Step::Agree) => self.agree_step(now),
            Some(Step::Offer(step)) => self.offer_step(step, now),
            Some(Step::Take(node)) => self.take_step(node, now),
        }
        self.answer_requests(now);
        self.plan_keeping(now);
    }

    /// When [`Event::Tick`] has to be told at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        [
            self.requests.deadline(),
            self.resume_deadline(),
            self.active.as_ref().and_then(Active::deadline),
            self.offers.deadline(),
            self.peers_deadline(),
            self.switches.deadline(),
            self.schedule.deadline(),
            self.keeper.deadline(),
            self.time.due,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Answers to requests since the last call.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        self.requests.take_answers()
    }

    /// What happened since the last call, for the log.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Entries of the lists, by [`Coverage::listened_entry`], of which something was applied here and is durable since the last
    /// call. While a copy is compared they wait until it is in sync.
    pub fn take_applied(&mut self) -> BTreeSet<usize> {
        self.applied.take()
    }

    /// How things stand. Cheap, and never waits.
    #[must_use]
    pub fn report(&self, now: Duration) -> Report {
        Report {
            node: self.me,
            joined: self.joined,
            role: self.role,
            position: self.position(),
            sync: self.sync,
            essential: self.essential_is_in_sync(),
            switch: self.switches.position,
            members: self.peers.report(self.active.as_ref(), now),
            entries: u64::try_from(self.index.len()).unwrap_or(u64::MAX),
            transfer: self.active.as_ref().and_then(Active::transfer),
            conflicts: self.store.conflicts(),
            problems: self.problems.list(),
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            epoch: self.state.epoch,
            owner: self.state.owner,
            role: self.role,
            position: self.position(),
            sync: self.sync,
            switch: self.switches.position,
            essential: self.essential_is_in_sync(),
        }
    }

    /// The Active's copy is as new as the last change that was seen; the others' as the last one that is durable.
    fn position(&self) -> Position {
        self.active
            .as_ref()
            .map_or(self.state.position, |active| Position {
                epoch: self.state.epoch,
                sequence: active.sequence,
            })
    }

    fn next_step(&self, now: Duration) -> Option<Step> {
        let step = match &self.active {
            None => self.next_follower_step(),
            Some(active) => self.next_active_step(active, now),
        };
        step.or_else(|| self.keeper.has_work(now).then_some(Step::Keep))
    }

    fn full_scan(&self, mode: crate::scan::Mode) -> Scan<T::Source> {
        Scan::new(mode, self.coverage.roots())
    }

    fn problem(&mut self, topic: Topic, message: String) {
        let notice = self.problems.record(topic, message);
        self.notices.push(notice);
    }
}
