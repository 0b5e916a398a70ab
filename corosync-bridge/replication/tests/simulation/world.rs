//! Nodes, the network between them, the programs that write settings, and the person (or Pacemaker) who
//! promotes; and what must hold all the while.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bmc_replication::chunks::Seed;
use bmc_replication::coverage::Coverage;
use bmc_replication::entry::{Attributes, FileTime};
use bmc_replication::wire::{INLINE_BYTES, Message, Operation, Verdict};
use bmc_replication::{
    Core, Direction, EntryPath, Event, NodeId, Notice, Options, PlacedTree, Placement, Position, Priority,
    Report, Request, Role, Rule, Switch, Sync, Timing,
};

use crate::clock::SimClock;
use crate::disk::{Contents, Data, Disk, Image, SimState, SimTree, contents};
use crate::random::Dice;
use crate::unpacked::unpacked;

/// Messages that Corosync takes from one node before it says "try again".
const CPG_ROOM: usize = 4;

/// How the names of moved settings begin.
const MOVED: &str = "moved";

/// Steps in which a healed world has to come to rest.
const REST_STEPS: usize = 60_000;

/// What the clocks of an Active and a Passive may differ, in milliseconds: the tolerance, half of the longest way there and
/// back that is believed for what was left alone, and as much for what was measured.
const CLOCKS_APART_MS: u64 = 50 + 125 + 125;

/// Longer than a Passive pauses before it tries again.
const QUIET: Duration = Duration::from_secs(4);

/// Moves that are looked at one by one when everything is well.
const MOVES_AT_REST: usize = 2;

/// How often `/p` and `/bp` are looked at.
const PERIOD: Duration = Duration::from_secs(2);

/// `/s` and `/f` travel as they change, `/p` and `/bp` periodically, `/j` when a sibling joins. A Passive keeps `/r` at `/q`. `/f` is
/// essential, and in `/s` and `/b` what [`is_essential_name`] says, with all that is in it.
#[derive(Debug)]
struct Everything;

impl Coverage for Everything {
    fn roots(&self) -> Vec<EntryPath> {
        let roots = ["/s", "/f", "/p", "/j", "/r", "/b", "/o", "/bp"];
        roots.map(path).to_vec()
    }

    fn covers(&self, entry: &EntryPath) -> bool {
        let directories = ["/s", "/b", "/o"].map(path);
        self.roots()
            .iter()
            .any(|root| entry == root || (directories.contains(root) && entry.is_beneath(root)))
    }

    fn rule(&self, entry: &EntryPath) -> Rule {
        let timing = match entry.as_bytes() {
            b"/p" | b"/bp" => Timing::Periodic(PERIOD),
            b"/j" => Timing::AtJoin,
            _ => Timing::Immediate,
        };
        let direction = if is_two_way(entry) {
            Direction::Both
        } else if is_the_passives(entry) {
            Direction::PassiveToActive
        } else {
            Direction::ActiveToPassive
        };
        Rule {
            timing,
            priority: priority(entry),
            direction,
        }
    }

    fn destination(&self, entry: &EntryPath) -> Option<EntryPath> {
        entry.rebased(&path("/r"), &path("/q"))
    }

    fn source(&self, entry: &EntryPath) -> Option<EntryPath> {
        entry.rebased(&path("/q"), &path("/r"))
    }

    fn is_uniform(&self, directory: &EntryPath) -> bool {
        ["/s", "/b"].iter().any(|root| directory.is_beneath(&path(root)))
    }

    fn listened_entry(&self, _: &EntryPath) -> Option<usize> {
        Some(0)
    }

    fn offered_roots(&self) -> Vec<EntryPath> {
        vec![path("/b"), path("/bp"), path("/o"), path("/s/own")]
    }
}

fn priority(entry: &EntryPath) -> Priority {
    let is_in_essential = ["/s", "/b"].iter().any(|root| {
        let beneath = entry.as_path().strip_prefix(root).ok();
        let name = beneath.and_then(|beneath| beneath.iter().next());
        name.is_some_and(|name| is_essential_name(&name.to_string_lossy()))
    });
    match *entry == path("/f") || is_in_essential {
        true => Priority::Essential,
        false => Priority::Ordinary,
    }
}

/// Some of what is written, and of what was moved.
fn is_essential_name(name: &str) -> bool {
    name == "a" || name.starts_with(MOVED) && name.ends_with('e')
}

/// A name in `/s` that was never there, for what is moved or linked at the time of `version`.
fn new_name_in(root: &str, version: Version, priority: Priority) -> EntryPath {
    let end = match priority {
        Priority::Essential => "e",
        Priority::Ordinary => "",
    };
    path(&format!("{root}/{MOVED}{version}{end}"))
}

fn is_alike(one: &EntryPath, other: &EntryPath) -> bool {
    Everything.rule(one) == Everything.rule(other)
}

/// Whether names of one file stay that: not where changes travel both ways.
fn stay_linked(one: &EntryPath, other: &EntryPath) -> bool {
    is_alike(one, other) && is_the_actives(one)
}

/// Whether changes of `entry` travel both ways.
pub(crate) fn is_two_way(entry: &EntryPath) -> bool {
    let directory = path("/b");
    [path("/s/own"), path("/bp")].contains(entry) || *entry == directory || entry.is_beneath(&directory)
}

/// Whether only a Passive's changes of `entry` travel.
fn is_the_passives(entry: &EntryPath) -> bool {
    let directory = path("/o");
    *entry == directory || entry.is_beneath(&directory)
}

/// Whether only the Active's changes of `entry` travel, to the same path.
fn is_the_actives(entry: &EntryPath) -> bool {
    let is_placed = [path("/r"), path("/q")].contains(entry);
    !is_placed && !is_two_way(entry) && !is_the_passives(entry)
}

fn path(text: &str) -> EntryPath {
    EntryPath::new(text.as_bytes()).expect("a plain path")
}

/// Number of a write. Later writes have higher ones, whoever writes.
pub(crate) type Version = u64;

/// The number of the write that gave an entry these attributes: its mtime.
pub(crate) fn version(attributes: &Attributes) -> Version {
    attributes.mtime.seconds as Version
}

/// The oldest version of each path that a copy may hold.
type Floor = BTreeMap<EntryPath, Version>;

enum Delivery {
    Membership(Vec<NodeId>),
    Message(NodeId, Rc<Vec<u8>>),
}

/// What the kernel tells.
enum Hint {
    /// Something changed here.
    Path(EntryPath),
    /// A file was moved away from here.
    Left(EntryPath),
    /// A directory came or went here.
    Tree(EntryPath),
}

impl Hint {
    fn new(path: EntryPath, is_tree: bool) -> Self {
        if is_tree {
            Self::Tree(path)
        } else {
            Self::Path(path)
        }
    }

    fn event(&self) -> Event<'_> {
        match self {
            Self::Path(path) => Event::Changed(path.as_path()),
            Self::Left(path) => Event::Left(path.as_path()),
            Self::Tree(top) => Event::Rescan(top.as_path()),
        }
    }
}

struct Bridge {
    core: Core<PlacedTree<SimTree>, SimState>,
    inbox: VecDeque<Delivery>,
    /// With Corosync, not yet in the agreed order.
    outgoing: VecDeque<Vec<u8>>,
    /// Told by the kernel, not yet to the core. Of both ends of a rename it tells at once.
    hints: VecDeque<Vec<Hint>>,
    members: Vec<NodeId>,
    /// In the group, as the group sees it.
    joined: bool,
    last: Option<(Sync, u64, BTreeMap<EntryPath, Version>)>,
    /// It said that it has what is essential.
    essential: bool,
    /// What a Passive had when it was last said that something was applied to it.
    told: Option<Contents>,
    /// Synchronisation, epoch and disk generation that were checked last.
    looked: Option<(Sync, u64, u64)>,
}

struct Node {
    id: NodeId,
    disk: Rc<RefCell<Disk>>,
    bridge: Option<Bridge>,
    /// The marker that survives the bridge, but not a power cut.
    marker: Role,
    island: usize,
    floor: Floor,
    /// Contents that the Active knows to be durable here, by the writes that made them, and still has. Only a new content
    /// takes their place: however they are moved about, they are somewhere here at any moment.
    entrusted: BTreeSet<Version>,
    clock: SimClock,
}

impl Bridge {
    /// Everything that the kernel told of was looked at and sent.
    fn is_done(&self, now: Duration) -> bool {
        let waits =
            self.core.report(now).transfer.is_some() || self.core.has_work(now) || self.core.is_behind();
        self.hints.is_empty() && !waits
    }

    /// A program beside it has written at `target`: nobody is told of that, and there may be less than before.
    fn writes_itself(&mut self, target: &EntryPath, live: &Image) {
        let concerns =
            |path: &EntryPath| path == target || path.is_beneath(target) || target.is_beneath(path);
        if let Some((_, _, versions)) = &mut self.last {
            versions.retain(|path, _| !concerns(path));
        }
        let Some(told) = &mut self.told else { return };
        told.retain(|path, _| !concerns(path));
        told.extend(
            contents(live, stay_linked)
                .into_iter()
                .filter(|(path, _)| concerns(path)),
        );
    }
}

/// A flush that was asked for: what it covers.
struct Flush {
    node: usize,
    id: u64,
    floor: Floor,
    /// The writes that made what the files hold.
    files: BTreeSet<Version>,
}

pub(crate) struct World {
    dice: Dice,
    now: Duration,
    /// When a message was sent last.
    spoken_at: Duration,
    nodes: Vec<Node>,
    version: Version,
    /// What was written when: `None` is a removal.
    writes: BTreeMap<EntryPath, Vec<(Version, bool)>>,
    /// Last write of each path by the node that is the Active, per node's own copy.
    flushes: Vec<Flush>,
    requests: u64,
    /// What an epoch's Active started from: a copy that begins to follow it is not held to more.
    bases: BTreeMap<u64, Floor>,
    /// What was flushed, and when: a copy that is in sync there or behind it is held to it.
    flushed: BTreeMap<Position, Floor>,
    /// Whoever is cut off is fenced before another is promoted.
    fencing: bool,
    /// How much calmer than the worst.
    calm: usize,
    /// Versions that a power cut tore before anybody acknowledged them.
    torn: BTreeSet<Version>,
    /// Nodes that are in the middle of sending a large content.
    transferring: BTreeSet<NodeId>,
    /// Versions that a program beside a Passive gave to directories whose mtime is the Active's to say.
    strays: BTreeSet<(EntryPath, Version)>,
    /// What programs copied from the Active beside a Passive. It may be gone there before anybody is told of it: only a comparison
    /// finds it then.
    copied: BTreeSet<EntryPath>,
    /// Counts the contents that the Active began to send.
    contents_sent: u64,
    /// Counts the contents that Passives handed over, and the pieces of large ones.
    contents_handed_over: u64,
    /// Versions that a core has put on some disk.
    shared: Rc<RefCell<BTreeSet<(EntryPath, Version)>>>,
    /// Whether everything that happens is printed.
    trace: bool,
    pub(crate) tally: Tally,
}

/// How much happened: a simulation that does nothing proves nothing.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) flushes: u64,
    pub(crate) promotions: u64,
    pub(crate) synced: u64,
    pub(crate) resumed: u64,
    pub(crate) deposed: u64,
    pub(crate) problems: u64,
    pub(crate) conflicts: u64,
    /// Changes of a Passive that the Active took.
    pub(crate) taken: u64,
    /// Those that lost against its own.
    pub(crate) lost: u64,
    /// Pieces of large ones.
    pub(crate) pieces: u64,
    /// Those that were copied from the Active's version.
    pub(crate) offered_copies: u64,
    /// Those that were never written.
    pub(crate) offered_holes: u64,
    pub(crate) switched_off: u64,
    /// Changes that went before the rest of a large content.
    pub(crate) overtakes: u64,
    pub(crate) essential: u64,
    pub(crate) renames: u64,
    /// Pieces of large contents that were copied from an older version.
    pub(crate) copies: u64,
    /// Large contents of which the receivers were not asked what they have, but told from what to make them.
    pub(crate) remade: u64,
    /// Answers that there is nothing to make them from.
    pub(crate) refused: u64,
    /// Pieces of large contents that were never written.
    pub(crate) holes: u64,
    /// Copies that lacked something else, and kept what is essential.
    pub(crate) essential_stood: u64,
    pub(crate) told: u64,
    pub(crate) clocks_set: u64,
    pub(crate) links: u64,
    pub(crate) reused_inodes: u64,
    /// What a program beside a Passive copied from the Active.
    pub(crate) copied: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.flushes += other.flushes;
        self.promotions += other.promotions;
        self.synced += other.synced;
        self.resumed += other.resumed;
        self.deposed += other.deposed;
        self.problems += other.problems;
        self.essential += other.essential;
        self.essential_stood += other.essential_stood;
        self.conflicts += other.conflicts;
        self.taken += other.taken;
        self.lost += other.lost;
        self.pieces += other.pieces;
        self.offered_copies += other.offered_copies;
        self.offered_holes += other.offered_holes;
        self.switched_off += other.switched_off;
        self.overtakes += other.overtakes;
        self.renames += other.renames;
        self.copies += other.copies;
        self.remade += other.remade;
        self.refused += other.refused;
        self.holes += other.holes;
        self.clocks_set += other.clocks_set;
        self.told += other.told;
        self.links += other.links;
        self.copied += other.copied;
        self.reused_inodes += other.reused_inodes;
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let count = if dice.one_in(4) { 3 } else { 2 };
        let fencing = !dice.one_in(4);
        let calm = [1, 3, 8][dice.below(3)];
        let nodes = (1..=count)
            .map(|id| {
                let disk = Rc::default();
                Node {
                    id: NodeId(id),
                    clock: SimClock::new(&disk, &mut dice),
                    disk,
                    bridge: None,
                    marker: Role::Passive,
                    island: 0,
                    floor: Floor::new(),
                    entrusted: BTreeSet::new(),
                }
            })
            .collect();
        let mut world = Self {
            dice,
            now: Duration::ZERO,
            spoken_at: Duration::ZERO,
            nodes,
            version: 0,
            writes: BTreeMap::new(),
            flushes: Vec::new(),
            requests: 0,
            bases: BTreeMap::new(),
            flushed: BTreeMap::new(),
            fencing,
            calm,
            torn: BTreeSet::new(),
            transferring: BTreeSet::new(),
            strays: BTreeSet::new(),
            copied: BTreeSet::new(),
            contents_sent: 0,
            contents_handed_over: 0,
            shared: Rc::default(),
            trace: std::env::var_os("BMC_SIM_TRACE").is_some(),
            tally: Tally::default(),
        };
        for node in 0..world.nodes.len() {
            let reuses_inodes = world.dice.one_in(2);
            let disk = &world.nodes[node].disk;
            disk.borrow_mut().shared = Rc::clone(&world.shared);
            disk.borrow_mut().inodes.reuses = reuses_inodes;
            world.start(node);
        }
        world
    }

    /// One run: trouble, then peace, in which programs go on writing, then everything has to be well.
    pub(crate) fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.step();
        }
        self.heal();
        self.come_to_rest();
        for _ in 0..steps / 4 {
            self.peaceful_step();
        }
        self.come_to_rest();
        // What travels at a join only may have changed since.
        let mut except = self.copied.clone();
        except.insert(path("/j"));
        self.check_all_is_well(&except);
        self.check_moves();
        for at in 0..self.nodes.len() {
            self.copy_from_the_active(at, true);
        }
        let hardened = self.hardened_whole();
        if let Some(active) = self.active() {
            self.ask(active, Request::FullSync);
        }
        self.come_to_rest();
        self.check_all_is_well(&BTreeSet::new());
        assert_eq!(
            self.hardened_whole(),
            hardened,
            "what was durable was made so again"
        );
        for node in &self.nodes {
            self.tally.renames += node.disk.borrow().renames;
            self.tally.links += node.disk.borrow().links;
            self.tally.reused_inodes += node.disk.borrow().inodes.reused;
        }
    }

    fn step(&mut self) {
        let node = self.dice.below(self.nodes.len());
        self.advance();
        // Some schedules are mostly calm, so that copies are in sync when trouble comes.
        match self.dice.below(1000 * self.calm) {
            0..=499 => self.turn(node),
            500..=649 => self.sequence_message(node),
            650..=774 => self.write_a_setting(node),
            775..=784 => self.move_a_setting(node),
            785..=789 => self.link_a_setting(node),
            790..=824 => self.write_where_anyone_may(node),
            825..=827 => self.copy_from_the_active(node, false),
            828..=829 => self.remove_what_the_active_changes(node),
            830..=869 => self.flush(node),
            870..=899 => self.promote_someone(node),
            900..=909 => self.ask(node, Request::Demote),
            910..=914 => self.ask(node, Request::FullSync),
            915..=929 => self.kill_bridge(node),
            930..=939 => self.cut_power(node),
            940..=969 => self.start(node),
            970..=974 => self.partition(),
            975..=984 => self.join_all(),
            985..=989 => self.restart_corosync(node),
            990 => self.nodes[node].disk.borrow_mut().full = true,
            991..=992 => self.refuse_an_entry(node),
            993..=994 => self.nodes[node].disk.borrow_mut().unreadable = true,
            995..=996 => self.repair_disk(node),
            997..=999 => self.throw_a_switch(node),
            roll if roll % 64 == 8 => self.move_a_setting(node),
            roll if roll % 64 == 40 => self.link_a_setting(node),
            roll if roll % 64 == 24 => self.copy_from_the_active(node, false),
            roll if roll % 64 == 56 => self.remove_what_the_active_changes(node),
            roll if roll % 16 == 0 => self.write_where_anyone_may(node),
            roll if roll % 8 == 0 => self.write_a_setting(node),
            roll if roll % 8 < 4 => self.sequence_message(node),
            _ => self.turn(node),
        }
    }

    /// Copies that are in sync follow what is written on all sides.
    fn peaceful_step(&mut self) {
        let node = self.dice.below(self.nodes.len());
        self.advance();
        match self.dice.below(100) {
            0..=44 => self.turn(node),
            45..=89 => self.sequence_message(node),
            90..=92 => self.write_a_setting(node),
            93 => self.remove_what_the_active_changes(node),
            94 => self.link_a_setting(node),
            95 => self.move_a_setting(node),
            96..=98 => self.write_where_anyone_may(node),
            _ => self.flush(node),
        }
    }

    fn advance(&mut self) {
        self.now += Duration::from_millis(self.dice.below(12) as u64);
        let now_ms = self.now.as_millis() as u64;
        for node in &self.nodes {
            node.disk.borrow_mut().now_ms = now_ms;
        }
    }

    /// A node's loop goes round.
    fn turn(&mut self, at: usize) {
        for _ in 0..self.dice.below(4) {
            self.deliver(at);
        }
        let now = self.now;
        let Some(bridge) = &mut self.nodes[at].bridge else {
            return;
        };
        for _ in 0..self.dice.below(4) {
            for hint in bridge.hints.pop_front().into_iter().flatten() {
                bridge.core.handle(&hint.event(), now);
            }
        }
        if bridge.core.is_behind() && self.dice.one_in(2) {
            for hint in bridge.hints.drain(..).flatten() {
                bridge.core.handle(&hint.event(), now);
            }
            bridge.core.handle(&Event::CaughtUp, now);
        }
        if bridge.core.deadline().is_some_and(|deadline| deadline <= now) {
            bridge.core.handle(&Event::Tick, now);
        }
        for _ in 0..self.dice.below(4) {
            bridge.core.work(now);
        }
        let gathers = bridge.core.gathers(now) && self.dice.one_in(2);
        while bridge.joined && !gathers && bridge.outgoing.len() < CPG_ROOM {
            match bridge.core.next_message() {
                // To a core it makes no difference; to what may happen between two messages it does.
                Some(bytes) if self.dice.one_in(2) => bridge.outgoing.extend(unpacked(&bytes)),
                Some(bytes) => bridge.outgoing.push_back(bytes),
                None => break,
            }
        }
        self.observe(at);
    }

    fn deliver(&mut self, at: usize) {
        let (now, me) = (self.now, self.nodes[at].id);
        let Some(bridge) = &mut self.nodes[at].bridge else {
            return;
        };
        match bridge.inbox.pop_front() {
            None => return,
            Some(Delivery::Membership(members)) => {
                if self.trace {
                    eprintln!("{me}: members {members:?}");
                }
                bridge.core.handle(
                    &Event::Membership {
                        me,
                        members: &members,
                    },
                    now,
                );
                bridge.members = members;
            }
            Some(Delivery::Message(from, bytes)) => {
                if self.trace {
                    for message in unpacked(&bytes) {
                        let text = format!("{:?}", Message::decode(&message));
                        eprintln!("{me} from {from}: {}", text.chars().take(300).collect::<String>());
                    }
                }
                bridge.core.handle(&Event::Delivered { from, bytes: &bytes }, now);
            }
        }
        self.observe(at);
    }

    /// Corosync puts one of a node's messages into the agreed order of its island.
    fn sequence_message(&mut self, at: usize) {
        let (from, island) = (self.nodes[at].id, self.nodes[at].island);
        let message = match &mut self.nodes[at].bridge {
            Some(bridge) if bridge.joined => bridge.outgoing.pop_front(),
            _ => None,
        };
        let Some(message) = message.map(Rc::new) else {
            return;
        };
        self.spoken_at = self.now;
        for message in unpacked(&message) {
            self.count_bulk(from, &message);
        }
        for bridge in self.members_of(island) {
            bridge
                .inbox
                .push_back(Delivery::Message(from, Rc::clone(&message)));
        }
    }

    fn count_bulk(&mut self, from: NodeId, bytes: &[u8]) {
        let message = Message::decode(bytes);
        let is_content = matches!(
            message,
            Ok(Message::Begin { .. }
                | Message::Operation {
                    operation: Operation::Put { .. },
                    ..
                })
        );
        self.contents_sent += u64::from(is_content);
        let is_handed_over = matches!(
            message,
            Ok(Message::Piece { .. }
                | Message::Contribution {
                    operation: Operation::Put { .. },
                    ..
                })
        );
        self.contents_handed_over += u64::from(is_handed_over);
        match message {
            Ok(Message::Begin { base, .. }) => {
                self.transferring.insert(from);
                self.tally.remade += u64::from(base.is_some());
            }
            Ok(Message::Signature {
                detail: true,
                last: true,
                chunks,
                ..
            }) if chunks.is_empty() => self.tally.refused += 1,
            Ok(
                Message::Abandon { .. }
                | Message::Promote { .. }
                | Message::Operation {
                    operation: Operation::PutTransferred { .. },
                    ..
                },
            ) => {
                self.transferring.remove(&from);
            }
            Ok(Message::Operation { target: None, .. }) if self.transferring.contains(&from) => {
                self.tally.overtakes += 1;
            }
            Ok(Message::Verdict { verdict, .. }) => match verdict {
                Verdict::Taken => self.tally.taken += 1,
                Verdict::Lost => self.tally.lost += 1,
                _ => {}
            },
            Ok(Message::Piece { .. }) => self.tally.pieces += 1,
            Ok(Message::PieceCopy { .. }) => self.tally.offered_copies += 1,
            Ok(Message::PieceHole { .. }) => self.tally.offered_holes += 1,
            Ok(Message::Copy { .. }) => self.tally.copies += 1,
            Ok(Message::Hole { .. }) => self.tally.holes += 1,
            _ => {}
        }
    }

    fn members_of(&mut self, island: usize) -> impl Iterator<Item = &mut Bridge> {
        self.nodes
            .iter_mut()
            .filter(move |node| node.island == island)
            .filter_map(|node| node.bridge.as_mut())
            .filter(|bridge| bridge.joined)
    }

    fn tell_membership(&mut self, island: usize) {
        let members: Vec<NodeId> = self
            .nodes
            .iter()
            .filter(|node| node.island == island)
            .filter(|node| node.bridge.as_ref().is_some_and(|bridge| bridge.joined))
            .map(|node| node.id)
            .collect();
        for bridge in self.members_of(island) {
            bridge.inbox.push_back(Delivery::Membership(members.clone()));
        }
    }

    fn start(&mut self, at: usize) {
        if self.nodes[at].bridge.is_some() {
            return;
        }
        let node = &mut self.nodes[at];
        let options = Options {
            resume_as_active: node.marker == Role::Active,
            seed: Seed(self.dice.next()),
        };
        let placement = Placement::new(Rc::new(Everything));
        let mut core = Core::new(
            options,
            Rc::new(Everything),
            PlacedTree::new(SimTree::new(Rc::clone(&node.disk)), placement),
            SimState(Rc::clone(&node.disk)),
        );
        core.share_time(Box::new(node.clock.clone()));
        node.bridge = Some(Bridge {
            core,
            inbox: VecDeque::new(),
            outgoing: VecDeque::new(),
            hints: VecDeque::new(),
            members: Vec::new(),
            joined: true,
            last: None,
            essential: false,
            told: None,
            looked: None,
        });
        let island = node.island;
        self.tell_membership(island);
    }

    fn stop(&mut self, at: usize) {
        // What Corosync had taken may still be sent, before the others see the node go.
        while self.dice.one_in(2) && self.nodes[at].bridge.is_some() {
            self.sequence_message(at);
        }
        self.nodes[at].bridge = None;
        self.flushes.retain(|flush| flush.node != at);
        self.tell_membership(self.nodes[at].island);
    }

    fn kill_bridge(&mut self, at: usize) {
        self.stop(at);
        let disk = Rc::clone(&self.nodes[at].disk);
        disk.borrow_mut().kill_bridge(&mut self.dice);
    }

    fn cut_power(&mut self, at: usize) {
        if self.nodes[at].bridge.is_none() && self.dice.one_in(2) {
            return;
        }
        self.lose_power(at);
    }

    fn lose_power(&mut self, at: usize) {
        self.stop(at);
        let node = &mut self.nodes[at];
        if self.trace {
            eprintln!("{}: power cut", node.id);
        }
        node.disk.borrow_mut().cut_power(&mut self.dice);
        node.marker = Role::Passive;
        self.find_torn(at);
    }

    /// What a program never synced may be torn by a power cut, and is a setting like any other then; what was
    /// acknowledged may not.
    fn find_torn(&mut self, at: usize) {
        let node = &self.nodes[at];
        for (path, entry) in &node.disk.borrow().live {
            let version = entry.attributes.mtime.seconds as Version;
            if entry.data.is_torn() && !self.torn.contains(&version) {
                let acknowledged = node.floor.get(path).is_some_and(|floor| *floor >= version);
                assert!(!acknowledged, "{}: {path} is torn, version {version}", node.id);
                self.torn.insert(version);
            }
        }
    }

    fn partition(&mut self) {
        let lonely = self.dice.below(self.nodes.len());
        for (at, node) in self.nodes.iter_mut().enumerate() {
            node.island = usize::from(at == lonely);
        }
        self.tell_membership(0);
        self.tell_membership(1);
    }

    fn join_all(&mut self) {
        if self.nodes.iter().all(|node| node.island == 0) {
            return;
        }
        for node in &mut self.nodes {
            node.island = 0;
        }
        // Each side sees the other leave before it sees it join again; that has happened at the partition.
        self.tell_membership(0);
    }

    fn restart_corosync(&mut self, at: usize) {
        let (now, island) = (self.now, self.nodes[at].island);
        let Some(bridge) = self.nodes[at].bridge.as_mut() else {
            return;
        };
        bridge.inbox.clear();
        bridge.outgoing.clear();
        bridge.joined = false;
        bridge.core.handle(&Event::Disconnected, now);
        self.observe(at);
        self.tell_membership(island);
        if let Some(bridge) = self.nodes[at].bridge.as_mut() {
            bridge.joined = true;
        }
        self.tell_membership(island);
    }

    /// One entry cannot be written: too long a name, a limit, a bad block.
    fn refuse_an_entry(&mut self, at: usize) {
        let names = ["/s/a", "/s/d", "/s/d/x", "/f", "/p"];
        let refused = self.dice.pick(&names).map(|name| path(name));
        self.nodes[at].disk.borrow_mut().refused = refused;
    }

    fn repair_disk(&mut self, at: usize) {
        let mut disk = self.nodes[at].disk.borrow_mut();
        disk.full = false;
        disk.refused = None;
        disk.unreadable = false;
    }

    fn report(&self, at: usize) -> Option<Report> {
        let bridge = self.nodes[at].bridge.as_ref()?;
        Some(bridge.core.report(self.now))
    }

    /// A program changes settings on what it takes for the Active.
    fn write_a_setting(&mut self, at: usize) {
        if self.report(at).is_none_or(|report| report.role != Role::Active) {
            return;
        }
        let names = [
            "/s/a", "/s/b", "/s/d", "/s/d/x", "/s/d/y", "/s/d/e", "/s/d/e/z", "/s/link", "/f", "/p", "/j",
            "/r",
        ];
        let mut targets: Vec<EntryPath> = names.iter().map(|name| path(name)).collect();
        let disk = Rc::clone(&self.nodes[at].disk);
        let is_moved = |path: &&EntryPath| is_moved(path) && !is_two_way(path);
        targets.extend(disk.borrow().live.keys().filter(is_moved).cloned());
        if let Some(target) = self.dice.pick(&targets) {
            self.write(at, target);
        }
    }

    /// A program changes what is not the Active's alone, whoever it runs beside; also while the bridge is away.
    fn write_where_anyone_may(&mut self, at: usize) {
        let both = [
            "/b/a", "/b/d", "/b/d/x", "/b/d/y", "/b/d/e", "/b/link", "/s/own", "/bp",
        ];
        let the_passives = ["/o", "/o/a", "/o/d", "/o/d/x"];
        let is_passive = self.report(at).is_some_and(|report| report.role == Role::Passive);
        let mut targets: Vec<EntryPath> = match is_passive && self.dice.one_in(3) {
            true => the_passives.map(path).to_vec(),
            false => both.map(path).to_vec(),
        };
        let disk = Rc::clone(&self.nodes[at].disk);
        let is_moved = |path: &&EntryPath| is_moved(path) && is_two_way(path);
        targets.extend(disk.borrow().live.keys().filter(is_moved).cloned());
        if let Some(target) = self.dice.pick(&targets).cloned() {
            self.write(at, &target);
            if is_passive {
                self.strayed(&target);
            }
        }
    }

    /// Somebody makes beside a Passive, behind the bridge's back, what the Active has: nothing differs then, and nothing is
    /// durable until the next comparison has found it. Only where no power is cut any more that takes the place of what is the
    /// same already: that was acknowledged, and a program may not take that back.
    fn copy_from_the_active(&mut self, at: usize, also_the_same: bool) {
        let is_passive = self.report(at).is_none_or(|report| report.role == Role::Passive);
        let Some(active) = self.active().filter(|_| is_passive) else {
            return;
        };
        let source = self.nodes[active].disk.borrow().live.clone();
        let Node {
            id,
            bridge,
            disk,
            floor,
            entrusted,
            ..
        } = &mut self.nodes[at];
        let mut disk = disk.borrow_mut();
        let is_worth_it = |path: &&EntryPath| match (disk.live.get(*path), source.get(*path)) {
            (None, _) | (_, None) => true,
            (Some(here), Some(there)) => {
                let versions = [here, there].map(|entry| version(&entry.attributes));
                versions[0] < versions[1]
                    || also_the_same && here.data.is_file() && versions[0] == versions[1]
            }
        };
        let paths: BTreeSet<&EntryPath> = source.keys().chain(disk.live.keys()).collect();
        let paths = paths.into_iter().filter(|path| is_the_actives(path));
        let mut targets: Vec<EntryPath> = paths.filter(is_worth_it).cloned().collect();
        if !self.dice.one_in(3) {
            targets = self.dice.pick(&targets).cloned().into_iter().collect();
        }
        for target in targets {
            let from = source.get(&target);
            let was_there = disk.live.contains_key(&target);
            if !disk.copy(&target, from) {
                continue;
            }
            if self.trace {
                eprintln!("{id}: a program copies {target} from the Active");
            }
            // What it removed, or made again where it had been removed, is nothing to be held to until that is acknowledged.
            let is_held = was_there && from.is_some();
            floor.retain(|path, _| !path.is_beneath(&target) && (*path != target || is_held));
            let newer = from.map(|from| version(&from.attributes));
            self.strays.extend(newer.map(|version| (target.clone(), version)));
            if let Some(bridge) = bridge {
                bridge.writes_itself(&target, &disk.live);
            }
            self.tally.copied += 1;
            self.copied.insert(target);
        }
        let left = file_versions(&disk.live);
        entrusted.retain(|version| left.contains(version));
    }

    /// The newest write, beside a Passive, may have given the directories above `target` a version that the Active's
    /// takes the place of.
    fn strayed(&mut self, target: &EntryPath) {
        let above = std::iter::successors(target.parent(), EntryPath::parent);
        let strays = above.map(|directory| (directory, self.version));
        self.strays.extend(strays);
    }

    fn write(&mut self, at: usize, target: &EntryPath) {
        let is_there = self.nodes[at].disk.borrow().live.contains_key(target);
        let removes = is_there && self.dice.one_in(5);
        self.change(at, target, removes);
    }

    /// A program beside a Passive removes a directory, in which one beside the Active changes something.
    fn remove_what_the_active_changes(&mut self, at: usize) {
        let Some(active) = self.active().filter(|active| *active != at) else {
            return;
        };
        let directory = path("/b/d");
        let held = |at: usize| {
            let disk = self.nodes[at].disk.borrow();
            let held = disk.live.keys().filter(|path| path.is_beneath(&directory));
            held.cloned().collect::<Vec<EntryPath>>()
        };
        let (here, there) = (held(at), held(active));
        if let Some(changed) = self.dice.pick(&there).filter(|_| !here.is_empty()) {
            self.change(at, &directory, true);
            self.strayed(&directory);
            self.write(active, changed);
        }
    }

    /// A program writes `target`, or removes it.
    fn change(&mut self, at: usize, target: &EntryPath, removes: bool) {
        let target = target.clone();
        let disk = Rc::clone(&self.nodes[at].disk);
        let mut disk = disk.borrow_mut();
        self.version += 1;
        let mut touched: Vec<Hint> = names_left(&disk, &target).into_iter().map(Hint::Path).collect();
        let was_directory = |path: &EntryPath, disk: &Disk| {
            disk.live
                .get(path)
                .is_some_and(|node| node.data == Data::Directory)
        };
        let was_tree = was_directory(&target, &disk);
        if self.trace {
            let id = self.nodes[at].id;
            eprintln!("{id}: a program writes {target}, version {}", self.version);
        }
        if removes {
            let gone: Vec<EntryPath> = disk
                .live
                .keys()
                .filter(|other| other.is_beneath(&target))
                .cloned()
                .collect();
            let above = disk.remove(&target, attributes(self.version).mtime);
            for path in gone.into_iter().chain([target.clone()]) {
                self.writes.entry(path).or_default().push((self.version, false));
            }
            self.wrote_above(&target, above);
        } else {
            let mut above: Vec<EntryPath> =
                std::iter::successors(target.parent(), EntryPath::parent).collect();
            while let Some(above) = above.pop() {
                if !was_directory(&above, &disk) {
                    let higher = disk.write(&above, Data::Directory, attributes(self.version));
                    self.writes
                        .entry(above.clone())
                        .or_default()
                        .push((self.version, true));
                    self.wrote_above(&above, higher);
                    touched.push(Hint::Tree(above));
                }
            }
            let gone: Vec<EntryPath> = disk
                .live
                .keys()
                .filter(|other| other.is_beneath(&target))
                .cloned()
                .collect();
            let was_large = disk
                .live
                .get(&target)
                .is_some_and(|node| matches!(&node.data, Data::File(bytes) if bytes.len() > INLINE_BYTES));
            let data = self.some_data(&target, was_large);
            if data != Data::Directory {
                for path in gone {
                    self.writes.entry(path).or_default().push((self.version, false));
                }
            }
            let keep = disk.live.get(&target).filter(|_| self.dice.one_in(4)).cloned();
            let above = match keep {
                // Only the attributes, or a copy in its place.
                Some(node) => {
                    if node.data.is_torn() {
                        self.torn.insert(self.version);
                    }
                    match self.dice.one_in(4) {
                        true => disk.replace(&target, node.data, attributes(self.version)),
                        false => disk.write(&target, node.data, attributes(self.version)),
                    }
                }
                // By a file beside it, which is then renamed.
                None if self.dice.one_in(4) => disk.replace(&target, data, attributes(self.version)),
                None => disk.write(&target, data, attributes(self.version)),
            };
            self.wrote_above(&target, above);
            let mut names: Vec<EntryPath> = disk.names(&disk.live[&target]).cloned().collect();
            if names.is_empty() {
                names.push(target.clone());
            }
            for name in names {
                self.writes.entry(name).or_default().push((self.version, true));
            }
        }
        let is_tree = was_directory(&target, &disk);
        // Of one that went the name may be all that is told.
        let is_told_whole = is_tree || self.dice.one_in(2);
        touched.insert(0, Hint::new(target.clone(), was_tree != is_tree && is_told_whole));
        if let Some(bridge) = &mut self.nodes[at].bridge {
            bridge.hints.extend(touched.into_iter().map(|hint| vec![hint]));
            let names = disk
                .live
                .get(&target)
                .into_iter()
                .flat_map(|file| disk.names(file));
            for name in names.chain([&target]) {
                bridge.writes_itself(name, &disk.live);
            }
        }
        drop(disk);
        if self.dice.one_in(20) {
            self.lose_hints(at);
        }
    }

    /// A program gives a file another name, which was never there or is that of an older one: what is at a path never gets
    /// older. On a Passive, and now and then on the Active, it is one of which changes travel both ways.
    fn link_a_setting(&mut self, at: usize) {
        let Some(role) = self.report(at).map(|report| report.role) else {
            return;
        };
        let is_two_way = role == Role::Passive || self.dice.one_in(4);
        let disk = Rc::clone(&self.nodes[at].disk);
        let mut disk = disk.borrow_mut();
        // Often a large one: there are few.
        let least = if self.dice.one_in(2) { INLINE_BYTES } else { 0 };
        let is_worth_it =
            |node: &crate::disk::Node| matches!(&node.data, Data::File(bytes) if bytes.len() > least);
        let root = if is_two_way { "/b" } else { "/s" };
        let worth_it = plain_files(&disk, root).filter(|(_, node)| is_worth_it(node));
        let worth_it: Vec<(EntryPath, Version)> = worth_it
            .map(|(path, node)| (path.clone(), node.attributes.mtime.seconds as Version))
            .collect();
        let Some((file, version)) = self.dice.pick(&worth_it).cloned() else {
            return;
        };
        self.version += 1;
        // Names of one file are of one priority.
        let over = !is_two_way && self.dice.one_in(2);
        let replaced = over.then(|| older_file(&disk, &file, true, &mut self.dice));
        let replaced = replaced.flatten();
        let name = replaced.unwrap_or_else(|| new_name_in(root, self.version, priority(&file)));
        if self.trace {
            eprintln!("{}: a program links {name} to {file}", self.nodes[at].id);
        }
        let left = names_left(&disk, &name);
        disk.hard_link(&name, &file, attributes(self.version).mtime);
        self.writes.entry(name.clone()).or_default().push((version, true));
        self.wrote_above(&name, true);
        if let Some(bridge) = &mut self.nodes[at].bridge {
            bridge.writes_itself(&name, &disk.live);
            let touched = std::iter::once(name).chain(left);
            bridge.hints.extend(touched.map(|name| vec![Hint::Path(name)]));
        }
        drop(disk);
        if self.dice.one_in(10) {
            self.lose_hints(at);
        }
    }

    /// A program moves a setting on what it takes for the Active, mostly one that is worth being moved instead of being sent
    /// again; or on a Passive a directory of which changes travel both ways.
    fn move_a_setting(&mut self, at: usize) {
        match self.report(at).map(|report| report.role) {
            Some(Role::Active) => {
                let any = self.dice.one_in(8);
                let over = self.dice.one_in(4);
                self.move_entry(at, &["/s", "/b"], any || over, over);
            }
            Some(Role::Passive) => {
                self.move_entry(at, &["/b"], false, false);
            }
            None => {}
        }
    }

    /// A program moves a setting `within` these, `any` or one that is worth it, to a name that was never there, or of a file `over` an older one:
    /// what is at a path never gets older. Returns whether it is replicated there as it was before.
    fn move_entry(&mut self, at: usize, within: &[&str], any: bool, over: bool) -> bool {
        let disk = Rc::clone(&self.nodes[at].disk);
        let mut disk = disk.borrow_mut();
        let is_within = |root: &str, entry: &EntryPath| entry.is_beneath(&path(root));
        let is_worth_it = |path: &EntryPath, node: &crate::disk::Node| match &node.data {
            _ if any && is_within("/s", path) => true,
            Data::Directory if is_the_actives(path) || is_within("/b", path) => {
                disk.live.keys().any(|other| other.is_beneath(path))
            }
            Data::File(bytes) => is_the_actives(path) && bytes.len() > INLINE_BYTES,
            Data::Directory | Data::Link(_) => false,
        };
        let movable = disk.live.iter().filter(|(path, node)| {
            within.iter().any(|root| is_within(root, path)) && is_worth_it(path, node)
        });
        let movable: Vec<EntryPath> = movable.map(|(path, _)| path.clone()).collect();
        let Some(from) = self.dice.pick(&movable).cloned() else {
            return false;
        };
        self.version += 1;
        // Names of one file stay of one priority.
        let is_linked = disk.live.iter().any(|(path, node)| {
            (*path == from || path.is_beneath(&from)) && disk.names(node).nth(1).is_some()
        });
        let replaced = over.then(|| older_file(&disk, &from, is_linked, &mut self.dice));
        let replaced = replaced.flatten();
        let left = replaced
            .as_ref()
            .map_or_else(Vec::new, |replaced| names_left(&disk, replaced));
        let changes_priority = !is_linked && self.dice.one_in(3);
        let to_priority = match (priority(&from), changes_priority) {
            (Priority::Ordinary, true) => Priority::Essential,
            (Priority::Essential, true) => Priority::Ordinary,
            (priority, false) => priority,
        };
        let root = if is_within("/b", &from) { "/b" } else { "/s" };
        let to = replaced.unwrap_or_else(|| new_name_in(root, self.version, to_priority));
        if self.trace {
            eprintln!("{}: a program moves {from} to {to}", self.nodes[at].id);
        }
        let moved: Vec<(EntryPath, Version)> = disk
            .live
            .iter()
            .filter(|(path, _)| **path == from || path.is_beneath(&from))
            .map(|(path, node)| (path.clone(), node.attributes.mtime.seconds as Version))
            .collect();
        disk.rename(&from, &to, attributes(self.version).mtime);
        // A copy beside a Passive moves with its directory.
        let copied = self.copied.iter().filter(|path| path.is_beneath(&from));
        let copied: Vec<EntryPath> = copied.filter_map(|path| path.rebased(&from, &to)).collect();
        self.copied.extend(copied);
        for (path, version) in moved {
            if let Some(path) = path.rebased(&from, &to) {
                self.writes.entry(path).or_default().push((version, true));
            }
            self.writes.entry(path).or_default().push((self.version, false));
        }
        self.wrote_above(&from, true);
        self.wrote_above(&to, true);
        let is_tree = disk
            .live
            .get(&to)
            .is_some_and(|node| node.data == Data::Directory);
        let stays_alike = is_alike(&from, &to);
        if let Some(bridge) = &mut self.nodes[at].bridge {
            for end in [&from, &to] {
                bridge.writes_itself(end, &disk.live);
            }
        }
        let gone = if is_tree {
            Hint::Tree(from)
        } else {
            Hint::Left(from)
        };
        let mut touched = vec![Hint::new(to, is_tree), gone];
        if self.dice.one_in(2) {
            touched.reverse();
        }
        if let Some(bridge) = &mut self.nodes[at].bridge {
            bridge.hints.push_back(touched);
            bridge
                .hints
                .extend(left.into_iter().map(|name| vec![Hint::Path(name)]));
        }
        drop(disk);
        if self.dice.one_in(10) {
            self.lose_hints(at);
        }
        stays_alike
    }

    /// Nobody tells of the new mtime of the directory that `path` is in.
    fn wrote_above(&mut self, path: &EntryPath, changed: bool) {
        if let Some(directory) = path.parent().filter(|_| changed) {
            self.writes
                .entry(directory)
                .or_default()
                .push((self.version, true));
        }
    }

    fn lose_hints(&mut self, at: usize) {
        let now = self.now;
        if let Some(bridge) = &mut self.nodes[at].bridge {
            bridge.hints.clear();
            bridge.core.handle(&Event::RescanAll, now);
        }
    }

    fn some_data(&mut self, target: &EntryPath, was_large: bool) -> Data {
        let directories = ["/s/d", "/s/d/e", "/b/d", "/o", "/o/d"].map(path);
        let is_directory = directories.contains(target);
        if is_directory && !self.dice.one_in(10) {
            return Data::Directory;
        }
        if target.name() == b"link" {
            return Data::Link(format!("/nowhere/{}", self.version).into_bytes());
        }
        // Now and then of one size, so that only a digest tells them apart; now and then large, with most of it as in the
        // version before, something put in anywhere, and a hole. What is large often stays large, and more often where a
        // Passive's changes travel, too: few of those are taken.
        let mut bytes = format!("{:08}", self.version).into_bytes();
        let is_offered = is_two_way(target) || is_the_passives(target);
        let is_large = match (was_large, is_offered) {
            (true, true) => !self.dice.one_in(4),
            (true, false) => self.dice.one_in(2),
            (false, true) => self.dice.one_in(6),
            (false, false) => self.dice.one_in(12),
        };
        if is_large {
            let mut body = Dice::new(target.as_bytes().len() as u64);
            bytes.extend((0..INLINE_BYTES / 4).flat_map(|_| body.next().to_be_bytes()));
            bytes.truncate(INLINE_BYTES + 1 + self.dice.below(INLINE_BYTES));
            let at = self.dice.below(bytes.len());
            bytes.splice(at..at, self.version.to_be_bytes());
            if self.dice.one_in(2) {
                let length = bytes.len() + self.dice.below(INLINE_BYTES);
                bytes.resize(length, 0);
            }
        }
        Data::File(bytes)
    }

    /// The version of each entry of a copy: its mtime is the number of its write. What is received is kept apart from
    /// what is sent, so a new Active does not go on from what it received.
    fn versions(image: &Image) -> BTreeMap<EntryPath, Version> {
        image
            .iter()
            .filter(|(place, _)| ![path("/r"), path("/q")].contains(place))
            .filter(|(path, _)| !is_two_way(path) && !is_the_passives(path))
            .map(|(path, node)| (path.clone(), version(&node.attributes)))
            .collect()
    }

    fn ask(&mut self, at: usize, request: Request) {
        self.requests += 1;
        let (id, now) = (self.requests, self.now);
        let deadline = Some(now + Duration::from_secs(20));
        let switched = self.report(at).map(|report| report.switch);
        if matches!(request, Request::Disable | Request::Pause) && switched == Some(Switch::On) {
            self.tally.switched_off += 1;
        }
        if let Some(bridge) = &mut self.nodes[at].bridge {
            // The kernel's notifications first, as the daemon does.
            for hint in bridge.hints.drain(..).flatten() {
                bridge.core.handle(&hint.event(), now);
            }
            bridge.core.handle(
                &Event::Request {
                    id,
                    request,
                    deadline,
                },
                now,
            );
        }
        self.observe(at);
    }

    fn flush(&mut self, at: usize) {
        if self.report(at).is_none_or(|report| report.role != Role::Active) {
            return;
        }
        let disk = Rc::clone(&self.nodes[at].disk);
        let mut floor = Self::versions(&disk.borrow().live);
        floor.remove(&path("/j"));
        let files = file_versions(&disk.borrow().live);
        let id = self.requests + 1;
        if self.trace {
            eprintln!("{}: request {id}: flush {floor:?}", self.nodes[at].id);
        }
        self.flushes.push(Flush {
            node: at,
            id,
            floor,
            files,
        });
        self.ask(at, Request::Flush);
    }

    /// Somebody pauses or disables replication, and more often ends that.
    fn throw_a_switch(&mut self, at: usize) {
        let requests = [
            Request::Pause,
            Request::Disable,
            Request::Resume,
            Request::Enable,
            Request::Enable,
        ];
        if let Some(&request) = self.dice.pick(&requests) {
            self.ask(at, request);
        }
    }

    /// The node with the newest copy of its island is promoted, as the scores make it; now and then another.
    fn promote_someone(&mut self, near: usize) {
        let island = self.nodes[near].island;
        let candidates: Vec<usize> = (0..self.nodes.len())
            .filter(|&at| self.nodes[at].island == island && self.nodes[at].bridge.is_some())
            .collect();
        let best = candidates
            .iter()
            .copied()
            .max_by_key(|&at| self.report(at).map(|report| (report.essential, report.position)));
        let Some(best) = best else { return };
        let chosen = if self.dice.one_in(3) { near } else { best };
        if self.nodes[chosen].bridge.is_none() {
            return;
        }
        if self.fencing {
            for at in 0..self.nodes.len() {
                if self.nodes[at].island != island {
                    self.lose_power(at);
                }
            }
        }
        self.ask(chosen, Request::Promote);
    }

    /// Looks at what a node says, and holds it to what must be.
    fn observe(&mut self, at: usize) {
        let now = self.now;
        let Some(bridge) = &mut self.nodes[at].bridge else {
            return;
        };
        for notice in bridge.core.take_notices() {
            self.noticed(at, &notice);
        }
        let Node { bridge, disk, .. } = &mut self.nodes[at];
        let Some(bridge) = bridge else {
            return;
        };
        let answers = bridge.core.take_answers();
        let report = bridge.core.report(now);
        if !bridge.core.take_applied().is_empty() {
            let mut told = contents(&disk.borrow().live, stay_linked);
            // What it would send as the Active; nothing that it receives comes there.
            told.remove(&path("/r"));
            bridge.told = Some(told);
            self.tally.told += 1;
        }
        if report.role == Role::Active {
            // What it writes itself is not told of.
            bridge.told = None;
        }
        for answer in answers {
            if let Some(index) = self.flushes.iter().position(|flush| flush.id == answer.id) {
                let flush = self.flushes.swap_remove(index);
                if answer.outcome.is_ok() {
                    self.flushed(&flush, &report);
                }
            }
        }
        self.check_order(at, &report);
        self.check_essential(at, &report);
        if report.role == Role::Passive && !self.nodes[at].entrusted.is_empty() {
            self.check_entrusted(at);
        }
    }

    /// What a Passive was entrusted with is somewhere on its disk, as long as the Active has it anywhere.
    fn check_entrusted(&mut self, at: usize) {
        let here = file_versions(&self.nodes[at].disk.borrow().live);
        let missing = |entrusted: &BTreeSet<Version>| entrusted.iter().any(|version| !here.contains(version));
        let Some(active) = self.active().filter(|_| missing(&self.nodes[at].entrusted)) else {
            return;
        };
        let held = file_versions(&self.nodes[active].disk.borrow().live);
        let Node { id, entrusted, .. } = &mut self.nodes[at];
        entrusted.retain(|version| held.contains(version));
        let missing: Vec<&Version> = entrusted.difference(&here).collect();
        assert!(
            missing.is_empty(),
            "{id} had versions {missing:?}, and has them nowhere now"
        );
    }

    /// A copy that claims to have what is essential, and not the rest, has at least what was acknowledged of it.
    fn check_essential(&mut self, at: usize, report: &Report) {
        let Some(bridge) = &mut self.nodes[at].bridge else {
            return;
        };
        let claimed = std::mem::replace(&mut bridge.essential, report.essential);
        self.tally.essential_stood += u64::from(report.essential && report.sync == Sync::Failed);
        if claimed || !report.essential || report.sync != Sync::Syncing {
            return;
        }
        self.tally.essential += 1;
        let active = report.members.iter().find(|member| member.role == Role::Active);
        if let Some(active) = active.filter(|_| self.fencing) {
            let mut floor = self.floor_at(active.position);
            floor.retain(|path, _| priority(path) == Priority::Essential);
            let node = &self.nodes[at];
            self.check_floor(
                "a copy with what is essential",
                &floor,
                &node.disk.borrow().durable,
            );
            raise(&mut self.nodes[at].floor, &floor);
        }
    }

    fn noticed(&mut self, at: usize, notice: &Notice) {
        if self.trace {
            eprintln!("{}: {notice}", self.nodes[at].id);
        }
        match notice {
            Notice::RoleChanged { role, epoch, cause } => {
                self.nodes[at].marker = *role;
                if *role == Role::Active {
                    self.nodes.iter_mut().for_each(|node| node.entrusted.clear());
                    self.tally.promotions += 1;
                    self.tally.resumed += u64::from(*cause == bmc_replication::RoleCause::Resumed);
                    let node = &self.nodes[at];
                    if self.fencing {
                        self.check_floor("the new Active", &node.floor, &node.disk.borrow().live);
                    }
                    let floor = node.floor.clone();
                    self.bases.insert(*epoch, floor);
                    // Another may have opened an epoch of this number, and died before anybody heard of it.
                    self.flushed.retain(|position, _| position.epoch != *epoch);
                } else if matches!(cause, bmc_replication::RoleCause::Deposed { .. }) {
                    self.tally.deposed += 1;
                }
            }
            Notice::InSync { position } => {
                self.tally.synced += 1;
                let floor = self.floor_at(*position);
                if self.fencing {
                    self.check_floor("a copy in sync", &floor, &self.nodes[at].disk.borrow().durable);
                }
                self.nodes[at].floor = floor;
            }
            Notice::Problem(_) => self.tally.problems += 1,
            Notice::ClockSet { .. } => self.tally.clocks_set += 1,
            Notice::KeptAside { .. } => self.tally.conflicts += 1,
            Notice::CompareStarted { .. } | Notice::CompareFinished { .. } => {}
        }
    }

    /// What a copy holds that is in sync at `position`.
    fn floor_at(&self, position: Position) -> Floor {
        let mut floor = self.bases.get(&position.epoch).cloned().unwrap_or_default();
        let opened = Position {
            epoch: position.epoch,
            sequence: 0,
        };
        for flushed in self.flushed.range(opened..=position) {
            raise(&mut floor, flushed.1);
        }
        floor
    }

    /// A flush was answered: everything written before it is durable on every member.
    fn flushed(&mut self, flush: &Flush, report: &Report) {
        self.tally.flushes += 1;
        if !self.fencing {
            return;
        }
        let members = self.nodes[flush.node]
            .bridge
            .as_ref()
            .map(|bridge| bridge.members.clone())
            .unwrap_or_default();
        for at in 0..self.nodes.len() {
            if !members.contains(&self.nodes[at].id) {
                continue;
            }
            self.check_floor(
                "a flushed copy",
                &flush.floor,
                &self.nodes[at].disk.borrow().durable,
            );
            raise(&mut self.nodes[at].floor, &flush.floor);
            if at != flush.node {
                self.nodes[at].entrusted.extend(&flush.files);
            }
        }
        raise(self.flushed.entry(report.position).or_default(), &flush.floor);
    }

    /// Nothing in `image` is older than `floor`.
    fn check_floor(&self, what: &str, floor: &Floor, image: &Image) {
        for (path, version) in floor {
            match image.get(path) {
                // Made on the way to something else, while a comparison was under way.
                Some(node) if node.data == Data::Directory && node.attributes.mtime.seconds == 0 => {}
                Some(node) => {
                    let found = node.attributes.mtime.seconds as Version;
                    assert!(
                        found >= *version,
                        "{what} has version {found} of {path}, before {version}"
                    );
                    let torn = node.data.is_torn() && !self.torn.contains(&found);
                    assert!(!torn, "{what} has version {found} of {path} torn");
                }
                None => {
                    let removed = self
                        .writes
                        .get(path)
                        .is_some_and(|writes| writes.iter().any(|(at, there)| !there && at >= version));
                    assert!(removed, "{what} lost {path}, version {version}");
                }
            }
        }
    }

    /// A copy in sync only ever gets newer within an epoch; one that starts to follow an Active is not held to
    /// more than that Active is.
    fn check_order(&mut self, at: usize, report: &Report) {
        let node = &mut self.nodes[at];
        let Some(bridge) = &mut node.bridge else { return };
        let epoch = report.position.epoch;
        let look = (report.sync, epoch, node.disk.borrow().generation);
        if bridge.looked == Some(look) && report.sync == Sync::InSync {
            return;
        }
        bridge.looked = Some(look);
        let versions = Self::versions(&node.disk.borrow().live);
        if let Some((Sync::InSync, before_epoch, before)) = &bridge.last {
            if report.sync == Sync::InSync && *before_epoch == epoch {
                for (path, version) in before {
                    if let Some(now) = versions.get(path) {
                        let strayed = self.strays.contains(&(path.clone(), *version));
                        assert!(
                            now >= version || strayed,
                            "{}: {path} went from {version} back to {now}",
                            node.id
                        );
                    }
                }
            }
        }
        if report.role == Role::Passive && matches!(report.sync, Sync::Syncing | Sync::Failed) {
            let active = report.members.iter().find(|member| member.role == Role::Active);
            let newest = self.bases.keys().next_back().copied();
            let epoch = active.map(|active| active.position.epoch).or(newest);
            let other = epoch
                .and_then(|epoch| self.bases.get(&epoch))
                .cloned()
                .unwrap_or_default();
            let mut floor = node.floor.clone();
            lower(&mut floor, &other);
            if report.essential {
                let held = node
                    .floor
                    .iter()
                    .filter(|(path, _)| priority(path) == Priority::Essential);
                raise(
                    &mut floor,
                    &held.map(|(path, version)| (path.clone(), *version)).collect(),
                );
            }
            node.floor = floor;
        }
        bridge.last = Some((report.sync, epoch, versions));
    }

    /// Peace: no more trouble, everyone is there, and somebody is the Active.
    fn heal(&mut self) {
        self.join_all();
        for at in 0..self.nodes.len() {
            self.repair_disk(at);
            self.start(at);
        }
    }

    fn come_to_rest(&mut self) {
        let mut periods_over = self.now + PERIOD * 2;
        for round in 0..REST_STEPS {
            self.advance();
            for at in 0..self.nodes.len() {
                self.turn(at);
                self.sequence_message(at);
            }
            if round % 64 == 0 && self.is_at_rest(periods_over) {
                match self.active() {
                    Some(at)
                        if self
                            .report(at)
                            .is_some_and(|report| report.switch == Switch::Disabled) =>
                    {
                        self.ask(at, Request::Enable);
                        periods_over = self.now + PERIOD * 2;
                    }
                    Some(at)
                        if self
                            .report(at)
                            .is_some_and(|report| report.switch == Switch::Paused) =>
                    {
                        self.ask(at, Request::Resume);
                        periods_over = self.now + PERIOD * 2;
                    }
                    Some(_) => return,
                    None => self.promote_someone(0),
                }
            }
        }
        let reports: Vec<_> = (0..self.nodes.len()).map(|at| self.report(at)).collect();
        let cores = self.nodes.iter().filter_map(|node| node.bridge.as_ref());
        let owed: Vec<_> = cores
            .map(|bridge| (bridge.core.has_work(self.now), bridge.core.deadline()))
            .collect();
        panic!(
            "the nodes do not come to rest at {:?}: {owed:?} {reports:#?}",
            self.now
        );
    }

    /// Waits until nothing moves for now, though something may yet be due.
    fn come_to_a_pause(&mut self) {
        for _ in 0..REST_STEPS {
            self.advance();
            for at in 0..self.nodes.len() {
                self.turn(at);
                self.sequence_message(at);
            }
            let is_still = |bridge: &Bridge| {
                bridge.inbox.is_empty() && bridge.outgoing.is_empty() && bridge.is_done(self.now)
            };
            let mut bridges = self.nodes.iter().filter_map(|node| node.bridge.as_ref());
            if bridges.all(is_still) {
                return;
            }
        }
        panic!("the nodes do not come to a pause");
    }

    /// Nothing moves, and nothing is waited for but the next period.
    fn is_at_rest(&self, periods_over: Duration) -> bool {
        // Some problems go only with what an Active says.
        let has_active = self.active().is_some();
        self.nodes.iter().all(|node| {
            node.bridge.as_ref().is_some_and(|bridge| {
                let report = bridge.core.report(self.now);
                let is_well = report.problems.is_empty() || report.switch != Switch::On || !has_active;
                let is_quiet = report.role == Role::Active || self.spoken_at + QUIET <= self.now;
                bridge.inbox.is_empty()
                    && bridge.outgoing.is_empty()
                    && bridge.hints.is_empty()
                    && !bridge.core.has_work(self.now)
                    && !bridge.core.is_behind()
                    && (waits_long(bridge.core.deadline(), self.now)
                        || is_well && is_quiet && periods_over <= self.now)
            })
        })
    }

    /// What is moved while nothing else happens, between paths that are replicated alike, is moved on the Passives as well: no
    /// content travels.
    fn check_moves(&mut self) {
        let Some(active) = self.active() else { return };
        for _ in 0..MOVES_AT_REST {
            let before = self.contents_sent;
            let stays_alike = self.move_entry(active, &["/s", "/b"], false, false);
            self.come_to_a_pause();
            assert!(
                !stays_alike || self.contents_sent == before,
                "what was moved was sent again"
            );
        }
        // What is moved on a Passive the Active has already, be it replicated otherwise there.
        for passive in (0..self.nodes.len()).filter(|&at| at != active) {
            let before = self.contents_handed_over;
            self.move_entry(passive, &["/b"], false, false);
            self.come_to_a_pause();
            assert_eq!(
                self.contents_handed_over, before,
                "what was moved on a Passive was handed over again"
            );
        }
    }

    /// How often each Passive made all of its copy durable.
    fn hardened_whole(&self) -> Vec<u64> {
        let passives = (0..self.nodes.len()).filter(|&at| Some(at) != self.active());
        passives
            .map(|at| self.nodes[at].disk.borrow().hardened_whole)
            .collect()
    }

    fn active(&self) -> Option<usize> {
        (0..self.nodes.len()).find(|&at| self.report(at).is_some_and(|report| report.role == Role::Active))
    }

    fn check_all_is_well(&mut self, except: &BTreeSet<EntryPath>) {
        let Some(active) = self.active() else {
            panic!("nobody is the Active");
        };
        let mut image = contents(&self.nodes[active].disk.borrow().live, stay_linked);
        image.remove(&path("/q"));
        let report = self.report(active).expect("it is up");
        for at in 0..self.nodes.len() {
            let this = self.report(at).expect("it is up");
            let id = self.nodes[at].id;
            assert_eq!(this.problems, [], "{id} has problems");
            assert_eq!(this.switch, Switch::On, "{id}");
            if at == active {
                assert_eq!(this.sync, Sync::Source);
                continue;
            }
            assert_eq!(
                (this.role, this.sync),
                (Role::Passive, Sync::InSync),
                "{id}: {this:#?}"
            );
            assert_eq!(this.position, report.position, "{id}");
            let mut copy = contents(&self.nodes[at].disk.borrow().durable, stay_linked);
            copy.remove(&path("/r"));
            let claims = (0..at).all(|before| before == active);
            let mut undurable = self.nodes[at].disk.borrow().undurable();
            // Nobody makes durable what a program writes there and nobody asks for.
            undurable.retain(|path| !except.contains(path) && *path != self::path("/r"));
            undurable.retain(|path| claims || !is_the_passives(path));
            assert!(undurable.is_empty(), "{undurable:?} is not durable on {id}");
            let told = self.nodes[at]
                .bridge
                .as_ref()
                .and_then(|bridge| bridge.told.as_ref());
            if let Some(told) = told {
                let mut untold = differing(told, &copy);
                untold.retain(|path| (claims || !is_the_passives(path)) && !except.contains(*path));
                assert!(
                    untold.is_empty(),
                    "{untold:?} was applied on {id} and not told of"
                );
            }
            if let Some(received) = copy.remove(&path("/q")) {
                copy.insert(path("/r"), received);
            }
            let clocks = [&self.nodes[active].clock, &self.nodes[at].clock];
            let apart_ms = clocks[0].ahead_ms().abs_diff(clocks[1].ahead_ms());
            assert!(
                clocks[1].disciplined() || apart_ms <= CLOCKS_APART_MS,
                "the clock of {id} is {apart_ms} ms off"
            );
            let mut differing = differing(&image, &copy);
            differing.retain(|path| (claims || !is_the_passives(path)) && !except.contains(*path));
            assert!(
                differing.is_empty(),
                "{id} differs from {} in {differing:?}",
                self.nodes[active].id
            );
        }
        for member in &report.members {
            assert_eq!(member.acknowledged, Some(report.position.sequence));
            assert_eq!(member.lag, Some(Duration::ZERO));
        }
    }
}

/// Files in `root` that travel as it does.
fn plain_files<'a>(
    disk: &'a Disk,
    root: &str,
) -> impl Iterator<Item = (&'a EntryPath, &'a crate::disk::Node)> {
    let (root, both_ways) = (path(root), is_two_way(&path(root)));
    disk.live.iter().filter(move |(path, node)| {
        let is_file = matches!(node.data, Data::File(_));
        is_file && path.is_beneath(&root) && is_two_way(path) == both_ways
    })
}

/// Another file, in whose place the one at `file` may get a name, maybe only one of the `same_priority`: it is older, and what the one at `file` holds is not. A power cut
/// may bring the name, and what the file had when it was synced last.
fn older_file(disk: &Disk, file: &EntryPath, same_priority: bool, dice: &mut Dice) -> Option<EntryPath> {
    let version = |node: &crate::disk::Node| node.attributes.mtime.seconds as Version;
    let mut plain = plain_files(disk, "/s");
    let (_, node) = plain.find(|(path, _)| *path == file)?;
    let is_synced = disk
        .durable
        .get(file)
        .is_some_and(|durable| version(durable) == version(node));
    let is_older = |(_, other): &(&EntryPath, &crate::disk::Node)| version(other) < version(node);
    let is_alike = |other: &EntryPath| !same_priority || priority(other) == priority(file);
    let older: Vec<EntryPath> = plain_files(disk, "/s")
        .filter(is_older)
        .filter(|(other, _)| is_alike(other))
        .map(|(path, _)| path.clone())
        .collect();
    dice.pick(&older).filter(|_| is_synced).cloned()
}

/// What is left of the files that have two names, of which one is at or beneath `gone`. Nobody can tell that what was written
/// through a name that came and went unseen shows under the one that is left, so a program that does that has to touch it.
fn names_left(disk: &Disk, gone: &EntryPath) -> Vec<EntryPath> {
    let is_gone = |path: &EntryPath| path == gone || path.is_beneath(gone);
    let files = disk.live.iter().filter(|(path, _)| is_gone(path));
    let left = files.filter_map(|(_, file)| {
        let mut names = disk.names(file).filter(|name| !is_gone(name));
        names.next().filter(|_| names.next().is_none()).cloned()
    });
    left.collect()
}

/// What is not the same in both.
fn differing<'a>(one: &'a Contents, other: &'a Contents) -> BTreeSet<&'a EntryPath> {
    let paths = one.keys().chain(other.keys());
    paths.filter(|path| one.get(path) != other.get(path)).collect()
}

/// The writes that made what the Active's files hold.
fn file_versions(image: &Image) -> BTreeSet<Version> {
    let is_the_actives =
        |path: &EntryPath| is_the_actives(path) && Everything.rule(path).timing != Timing::AtJoin;
    let files = image
        .iter()
        .filter(|(path, node)| node.data.is_file() && is_the_actives(path));
    files.map(|(_, node)| version(&node.attributes)).collect()
}

fn is_moved(path: &EntryPath) -> bool {
    String::from_utf8_lossy(path.as_bytes()).contains(MOVED)
}

/// Nothing is waited for but the next hour's look at the clock.
fn waits_long(deadline: Option<Duration>, now: Duration) -> bool {
    deadline.is_none_or(|deadline| deadline > now + Duration::from_secs(600))
}

fn attributes(version: Version) -> Attributes {
    Attributes {
        mode: 0o644,
        uid: 1,
        gid: 2,
        mtime: FileTime {
            seconds: version as i64,
            nanoseconds: 0,
        },
        xattrs: Vec::new(),
    }
}

fn raise(floor: &mut Floor, by: &Floor) {
    for (path, version) in by {
        let entry = floor.entry(path.clone()).or_default();
        *entry = (*entry).max(*version);
    }
}

fn lower(floor: &mut Floor, to: &Floor) {
    floor.retain(|path, version| match to.get(path) {
        Some(other) => {
            *version = (*version).min(*other);
            true
        }
        None => false,
    });
}
