//! Cores on real directories, with a network that delivers at once.

#![allow(dead_code, unused_imports, reason = "every test program uses a part of it")]

mod large_files;
mod unpacked;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bmc_replication::chunks::{Chunk, Seed};
use bmc_replication::wire::Message;
use bmc_replication::{
    Answer, Core, Coverage, DiskTree, EntryPath, Event, NodeId, Notice, Options, PlacedTree, Placement,
    Priority, Report, Request, Rule, StateFile, Sync, Timing,
};

pub(crate) use large_files::{CHANGES, noise};
pub(crate) use unpacked::unpacked;

/// Turns after which two quiet cores must have come to rest.
pub(crate) const TURNS: usize = 100_000;

pub(crate) const A: NodeId = NodeId(1);
pub(crate) const B: NodeId = NodeId(2);

/// How often `/s/log` is looked at.
pub(crate) const PERIOD: Duration = Duration::from_secs(60);

/// `/s` is replicated but for `/s/private`, and the file `/etc/one`; a narrow node has only `/etc/one`. `/s/log` travels
/// periodically, `/etc/board` when a sibling joins; `/etc/one` is essential.
#[derive(Debug)]
pub(crate) struct Configured {
    pub(crate) narrow: bool,
}

impl Coverage for Configured {
    fn roots(&self) -> Vec<EntryPath> {
        let all = vec![path("/s"), path("/s/log"), path("/etc/one"), path("/etc/board")];
        all.into_iter().filter(|root| self.covers(root)).collect()
    }

    fn covers(&self, entry: &EntryPath) -> bool {
        let private = *entry == path("/s/private") || entry.is_beneath(&path("/s/private"));
        let beneath = *entry == path("/s") || entry.is_beneath(&path("/s"));
        let wide = *entry == path("/etc/board") || (beneath && !private);
        *entry == path("/etc/one") || (wide && !self.narrow)
    }

    /// The file is entry 1 and what is in the directory entry 0, but for one file, which is entry 2.
    fn listened_entry(&self, entry: &EntryPath) -> Option<usize> {
        match entry {
            entry if *entry == path("/s/d/listened") => Some(2),
            entry if *entry == path("/etc/one") => Some(1),
            entry if entry.is_beneath(&path("/s")) => Some(0),
            _ => None,
        }
    }

    fn rule(&self, entry: &EntryPath) -> Rule {
        let log = path("/s/log");
        let timing = if *entry == log || entry.is_beneath(&log) {
            Timing::Periodic(PERIOD)
        } else if *entry == path("/etc/board") {
            Timing::AtJoin
        } else {
            Timing::Immediate
        };
        let priority = if *entry == path("/etc/one") {
            Priority::Essential
        } else {
            Priority::Ordinary
        };
        Rule {
            timing,
            priority,
            ..Rule::default()
        }
    }

    fn is_uniform(&self, entry: &EntryPath) -> bool {
        entry.is_beneath(&path("/s"))
    }
}

pub(crate) fn path(text: &str) -> EntryPath {
    EntryPath::new(text.as_bytes()).expect("a plain path")
}

pub(crate) struct Node {
    pub(crate) root: tempfile::TempDir,
    pub(crate) state: tempfile::TempDir,
    coverage: Rc<dyn Coverage>,
    pub(crate) core: Core<PlacedTree<DiskTree>, StateFile>,
    pub(crate) answers: Vec<Answer>,
}

impl Node {
    pub(crate) fn new(narrow: bool) -> Self {
        Self::with(Rc::new(Configured { narrow }))
    }

    pub(crate) fn with(coverage: Rc<dyn Coverage>) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let state = tempfile::tempdir().expect("a directory");
        fs::create_dir(root.path().join("s")).expect("a directory");
        fs::create_dir(root.path().join("etc")).expect("a directory");
        let core = core(root.path(), state.path(), &coverage, false);
        Self {
            root,
            state,
            coverage,
            core,
            answers: Vec::new(),
        }
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    pub(crate) fn report(&self) -> Report {
        self.core.report(Duration::ZERO)
    }

    /// What it tells of its version of a file when `from` asks so. Nobody else hears of it.
    pub(crate) fn chunks_told(&mut self, from: NodeId, question: &Message<'_>, now: Duration) -> Vec<Chunk> {
        let bytes = question.encode();
        let asked = Event::Delivered { from, bytes: &bytes };
        self.core.handle(&asked, now);
        while self.core.has_work(now) {
            self.core.work(now);
        }
        let messages = std::iter::from_fn(|| self.core.next_message());
        let messages: Vec<_> = messages.flat_map(|bytes| unpacked(&bytes)).collect();
        let told = messages.iter().map(|bytes| match Message::decode(bytes) {
            Ok(Message::Signature { chunks, .. }) => chunks,
            _ => Vec::new(),
        });
        told.flatten().collect()
    }

    /// The bridge dies and comes back.
    pub(crate) fn restart(&mut self, resume_as_active: bool) {
        self.core = core(
            self.root.path(),
            self.state.path(),
            &self.coverage,
            resume_as_active,
        );
    }
}

pub(crate) fn core(
    root: &Path,
    state: &Path,
    coverage: &Rc<dyn Coverage>,
    resume_as_active: bool,
) -> Core<PlacedTree<DiskTree>, StateFile> {
    let placement = Placement::new(Rc::clone(coverage));
    let tree = DiskTree::new(root, placement.clone()).expect("a tree");
    Core::new(
        Options {
            resume_as_active,
            seed: another_seed(),
        },
        Rc::clone(coverage),
        PlacedTree::new(tree, placement),
        StateFile::new(state),
    )
}

/// A seed that no other core of this program has.
fn another_seed() -> Seed {
    static SEEDS: AtomicU64 = AtomicU64::new(1);
    Seed(SEEDS.fetch_add(1, Ordering::Relaxed))
}

/// Fails unless both are the same cuts; tells whether they have the same names.
pub(crate) fn are_named_alike(one: &[Chunk], other: &[Chunk]) -> bool {
    assert!(one.len() > 10, "{} chunks", one.len());
    let place = |chunk: &Chunk| (chunk.offset, chunk.length);
    assert!(one.iter().map(place).eq(other.iter().map(place)));
    one.iter().zip(other).all(|(one, other)| one.id == other.id)
}

pub(crate) struct Pair {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) members: Vec<NodeId>,
    /// Bytes that went over the network.
    pub(crate) sent: RefCell<usize>,
    /// Messages that the group carried.
    pub(crate) carried: usize,
    pub(crate) requests: u64,
    pub(crate) now: Duration,
}

impl Pair {
    /// Both in the group, A the Active and B in sync.
    pub(crate) fn new() -> Self {
        let mut pair = Self::of(Node::new(false), Node::new(false));
        pair.ask(A, Request::Promote).expect("A is promoted");
        pair.settle();
        assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
        pair
    }

    pub(crate) fn of(a: Node, b: Node) -> Self {
        let mut pair = Self {
            nodes: BTreeMap::from([(A, a), (B, b)]),
            members: Vec::new(),
            sent: RefCell::new(0),
            carried: 0,
            requests: 0,
            now: Duration::ZERO,
        };
        pair.membership(&[A, B]);
        pair
    }

    pub(crate) fn membership(&mut self, members: &[NodeId]) {
        self.join(members);
        self.settle();
    }

    /// As `membership`, but nobody has done anything about it yet.
    pub(crate) fn join(&mut self, members: &[NodeId]) {
        self.members = members.to_vec();
        for &me in members {
            let node = self.nodes.get_mut(&me).expect("a node");
            node.core.handle(&Event::Membership { me, members }, self.now);
        }
    }

    /// Lets both work until neither has anything to do.
    pub(crate) fn settle(&mut self) {
        for _ in 0..TURNS {
            if !self.turn() {
                return;
            }
        }
        panic!("the nodes do not come to rest: {:#?}", self.nodes[&A].report());
    }

    pub(crate) fn turn(&mut self) -> bool {
        let mut busy = false;
        let mut messages = VecDeque::new();
        let members = &self.members;
        for (&id, node) in self.nodes.iter_mut().filter(|(id, _)| members.contains(id)) {
            if node.core.has_work(self.now) {
                busy = true;
                node.core.work(self.now);
            }
            if node.core.is_behind() {
                busy = true;
                node.core.handle(&Event::CaughtUp, self.now);
            }
            while !node.core.gathers(self.now) {
                let Some(message) = node.core.next_message() else {
                    break;
                };
                messages.push_back((id, message));
            }
            node.answers.extend(node.core.take_answers());
        }
        for (from, bytes) in messages {
            busy = true;
            self.carried += 1;
            *self.sent.borrow_mut() += unpacked(&bytes).iter().map(Vec::len).sum::<usize>();
            for (_, node) in self.nodes.iter_mut().filter(|(id, _)| members.contains(id)) {
                node.core
                    .handle(&Event::Delivered { from, bytes: &bytes }, self.now);
            }
        }
        busy
    }

    /// What `node` says while nobody listens.
    pub(crate) fn said(&mut self, node: NodeId) -> Vec<Vec<u8>> {
        let now = self.now;
        let core = &mut self.nodes.get_mut(&node).expect("a node").core;
        let mut said = Vec::new();
        loop {
            if core.is_behind() {
                core.handle(&Event::CaughtUp, now);
            }
            if core.has_work(now) {
                core.work(now);
            }
            let messages: Vec<Vec<u8>> = std::iter::from_fn(|| core.next_message()).collect();
            said.extend(messages.iter().flat_map(|bytes| unpacked(bytes)));
            if messages.is_empty() && !core.has_work(now) && !core.is_behind() {
                return said;
            }
        }
    }

    pub(crate) fn ask_without_waiting(&mut self, node: NodeId, request: Request) {
        self.requests += 1;
        let id = self.requests;
        let deadline = None;
        let core = &mut self.nodes.get_mut(&node).expect("a node").core;
        core.handle(
            &Event::Request {
                id,
                request,
                deadline,
            },
            self.now,
        );
    }

    pub(crate) fn ask(&mut self, node: NodeId, request: Request) -> Result<(), String> {
        self.requests += 1;
        let (id, now) = (self.requests, self.now);
        let core = &mut self.nodes.get_mut(&node).expect("a node").core;
        let deadline = Some(now + Duration::from_secs(1));
        core.handle(
            &Event::Request {
                id,
                request,
                deadline,
            },
            now,
        );
        self.settle();
        for _ in 0..2 {
            let asked = self.nodes.get_mut(&node).expect("a node");
            if let Some(index) = asked.answers.iter().position(|answer| answer.id == id) {
                return asked
                    .answers
                    .remove(index)
                    .outcome
                    .map_err(|error| error.to_string());
            }
            // Nothing moves any more: only the deadline can answer.
            self.pass(Duration::from_secs(1));
        }
        panic!("{request:?} was never answered");
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        for node in self.nodes.values_mut() {
            if node.core.deadline().is_some_and(|deadline| deadline <= self.now) {
                node.core.handle(&Event::Tick, self.now);
            }
        }
        self.settle();
    }

    /// A program changes something on a node, and the kernel tells of it.
    pub(crate) fn change(&mut self, node: NodeId, at: &str, change: impl FnOnce(&Path)) {
        let node = self.nodes.get_mut(&node).expect("a node");
        change(&node.at(at));
        node.core.handle(&Event::Changed(Path::new(at)), self.now);
    }

    pub(crate) fn write(&mut self, node: NodeId, at: &str, content: impl AsRef<[u8]>) {
        self.change(node, at, |path| fs::write(path, content).expect("a written file"));
    }

    /// Names and contents of the files in `/s`.
    pub(crate) fn contents(&self, node: NodeId) -> BTreeMap<PathBuf, Vec<u8>> {
        let entries = fs::read_dir(self.nodes[&node].at("/s")).expect("a directory");
        entries
            .map(|entry| entry.expect("an entry"))
            .map(|entry| (entry.file_name().into(), fs::read(entry.path()).expect("a file")))
            .collect()
    }

    /// Fails unless both copies are the same, to the last attribute, and a full synchronisation finds nothing to send.
    pub(crate) fn assert_alike(&mut self) {
        self.ask(A, Request::Flush).expect("a flush");
        let [a, b] = [A, B].map(|node| {
            copies::Copy::read(&self.nodes[&node].at("/s"), &["private"]).expect("a readable copy")
        });
        assert_eq!(a.differences(&b), [""; 0]);
        self.take_notices();
        self.ask(A, Request::FullSync).expect("a full synchronisation");
        let compared = self.take_notices();
        let nothing = |notice: &Notice| {
            matches!(
                notice,
                Notice::CompareFinished {
                    node: B,
                    entries: 0,
                    ..
                }
            )
        };
        assert!(compared.iter().any(nothing), "{compared:?}");
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        self.nodes.get_mut(&A).expect("a node").core.take_notices()
    }

    pub(crate) fn read(&self, node: NodeId, at: &str) -> Option<Vec<u8>> {
        fs::read(self.nodes[&node].at(at)).ok()
    }
}
