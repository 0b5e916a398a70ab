//! What is made durable, and when.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs;
use std::rc::Rc;
use std::time::Duration;

use bmc_replication::chunks::Seed;
use bmc_replication::entry::{Attributes, Seen};
use bmc_replication::tree::{Complete, Inspection, TreeError};
use bmc_replication::{Core, DiskTree, EntryPath, Event, NodeId, Options, Request, StateFile, Sync, Tree};
use support::{A, B, Configured};

/// What was asked of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    HardenAll,
    Stage,
    Seal(usize),
    Place,
}

/// A disk that notes what it is asked.
#[derive(Debug)]
struct Noted {
    disk: DiskTree,
    asked: Rc<RefCell<Vec<Asked>>>,
}

impl Noted {
    fn note(&self, asked: Asked) {
        self.asked.borrow_mut().push(asked);
    }
}

impl Tree for Noted {
    type Source = <DiskTree as Tree>::Source;
    type Stage = <DiskTree as Tree>::Stage;
    type Sealing = <DiskTree as Tree>::Sealing;

    const TOGETHER: usize = 2;

    fn inspect(&mut self, path: &EntryPath, known: Option<&Seen>) -> Result<Inspection, TreeError> {
        self.disk.inspect(path, known)
    }

    fn list(&mut self, path: &EntryPath) -> Result<Vec<Vec<u8>>, TreeError> {
        self.disk.list(path)
    }

    fn open(&mut self, path: &EntryPath) -> Result<Option<Self::Source>, TreeError> {
        self.disk.open(path)
    }

    fn harden(&mut self, paths: &[EntryPath]) -> Result<(), TreeError> {
        self.disk.harden(paths)
    }

    fn harden_all(&mut self) -> Result<(), TreeError> {
        self.note(Asked::HardenAll);
        self.disk.harden_all()
    }

    fn stage(&mut self, path: &EntryPath) -> Result<Self::Stage, TreeError> {
        self.note(Asked::Stage);
        self.disk.stage(path)
    }

    fn seal(&mut self, batch: Vec<Complete<Self::Stage>>) -> Self::Sealing {
        self.note(Asked::Seal(batch.len()));
        self.disk.seal(batch)
    }

    fn place_sealed(&mut self, sealing: Self::Sealing) -> Vec<Result<Seen, TreeError>> {
        self.note(Asked::Place);
        self.disk.place_sealed(sealing)
    }

    fn make_directory(&mut self, path: &EntryPath, attributes: &Attributes) -> Result<Seen, TreeError> {
        self.disk.make_directory(path, attributes)
    }

    fn make_link(
        &mut self,
        path: &EntryPath,
        target: &[u8],
        attributes: &Attributes,
    ) -> Result<Seen, TreeError> {
        self.disk.make_link(path, target, attributes)
    }

    fn set_attributes(
        &mut self,
        path: &EntryPath,
        attributes: &Attributes,
        names: &[EntryPath],
    ) -> Result<Seen, TreeError> {
        self.disk.set_attributes(path, attributes, names)
    }

    fn make_hard_link(&mut self, path: &EntryPath, to: &EntryPath) -> Result<Seen, TreeError> {
        self.disk.make_hard_link(path, to)
    }

    fn rename(&mut self, from: &EntryPath, to: &EntryPath) -> Result<Seen, TreeError> {
        self.disk.rename(from, to)
    }

    fn remove(&mut self, path: &EntryPath) -> Result<(), TreeError> {
        self.disk.remove(path)
    }

    fn sync(&mut self) -> Result<(), TreeError> {
        self.disk.sync()
    }

    fn release(&mut self) {
        self.disk.release();
    }
}

struct Node {
    id: NodeId,
    root: tempfile::TempDir,
    _state: tempfile::TempDir,
    core: Core<Noted, StateFile>,
    asked: Rc<RefCell<Vec<Asked>>>,
}

impl Node {
    fn new(id: NodeId, files: &[&str]) -> Self {
        let (root, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(root.path().join("s")).unwrap();
        for file in files {
            fs::write(root.path().join("s").join(file), "content").unwrap();
        }
        let coverage = Rc::new(Configured { narrow: false });
        let asked = Rc::default();
        let disk = DiskTree::new(root.path(), coverage.clone()).unwrap();
        let tree = Noted {
            disk,
            asked: Rc::clone(&asked),
        };
        let options = Options {
            resume_as_active: false,
            seed: Seed(u64::from(id.0)),
        };
        let core = Core::new(options, coverage, tree, StateFile::new(state.path()));
        Self {
            id,
            root,
            _state: state,
            core,
            asked,
        }
    }

    fn ask(&mut self, request: Request) {
        let event = Event::Request {
            id: 1,
            request,
            deadline: None,
        };
        self.core.handle(&event, Duration::ZERO);
    }

    fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.borrow_mut())
    }
}

/// Lets all work until nobody has anything to do.
fn settle(nodes: &mut [Node]) {
    let now = Duration::ZERO;
    for _ in 0..support::TURNS {
        let mut messages = VecDeque::new();
        let mut busy = false;
        for node in nodes.iter_mut() {
            while node.core.has_work(now) {
                node.core.work(now);
                busy = true;
            }
            let sent = std::iter::from_fn(|| node.core.next_message());
            messages.extend(sent.map(|bytes| (node.id, bytes)));
        }
        busy |= !messages.is_empty();
        for (from, bytes) in messages {
            let event = Event::Delivered { from, bytes: &bytes };
            nodes.iter_mut().for_each(|node| node.core.handle(&event, now));
        }
        if !busy {
            return;
        }
    }
    panic!("the nodes do not come to rest");
}

/// A, the Active, and B, in sync, which had nothing but this in `/s`.
fn pair(on_b: &[&str]) -> [Node; 2] {
    let mut nodes = [Node::new(A, &["a", "b", "c"]), Node::new(B, on_b)];
    let members = [A, B];
    for node in &mut nodes {
        let event = Event::Membership {
            me: node.id,
            members: &members,
        };
        node.core.handle(&event, Duration::ZERO);
    }
    nodes[0].ask(Request::Promote);
    settle(&mut nodes);
    assert_eq!(nodes[1].core.report(Duration::ZERO).sync, Sync::InSync);
    nodes
}

#[test]
fn what_a_passive_had_is_made_durable_before_anything_is_applied_to_it_and_not_again_after() {
    let [_, b] = pair(&["a"]);
    let asked = b.take_asked();
    let hardened: Vec<usize> = (0..asked.len())
        .filter(|&at| asked[at] == Asked::HardenAll)
        .collect();
    let placed = asked.iter().position(|asked| *asked == Asked::Place);
    assert_eq!(hardened.len(), 1, "{asked:?}");
    assert!(hardened[0] < placed.unwrap(), "{asked:?}");
}

#[test]
fn more_is_taken_in_while_the_disk_makes_durable_what_came_before() {
    use Asked::{Place, Seal, Stage};
    let mut nodes = pair(&["a", "b", "c"]);
    let _ = nodes.each_ref().map(Node::take_asked);
    for file in ["a", "b", "c", "d", "e"] {
        let path = nodes[0].root.path().join("s").join(file);
        fs::write(path, "more content").unwrap();
    }
    nodes[0].core.handle(&Event::RescanAll, Duration::ZERO);
    settle(&mut nodes);
    let together = [Stage, Stage, Seal(2), Stage, Stage, Place, Seal(2)];
    let rest = [Stage, Place, Seal(1), Place];
    assert_eq!(nodes[1].take_asked(), [&together[..], &rest[..]].concat());
}
