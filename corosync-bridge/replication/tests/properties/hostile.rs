//! A member that is not ours sends what it likes to a Passive on a real disk, and somebody on that Passive helps it; or it
//! offers and hands over what it likes to an Active. Only what is configured may change, and memory stays bounded.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bmc_replication::agreed::Version;
use bmc_replication::chunks::Seed;
use bmc_replication::digest::{Digest, Hasher};
use bmc_replication::entry::{Attributes, Kind};
use bmc_replication::wire::{COPY_BYTES, Hello, Message, Operation};
use bmc_replication::{
    Core, Coverage, Direction, DiskTree, EntryPath, Event, NodeId, Options, Position, Report, Request, Role,
    Rule, StateFile, Switch, Sync,
};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tempfile::TempDir;

use crate::messages::{some_bytes, some_message};
use crate::random::Dice;
use crate::{damage, memory, number};

const LIAR: NodeId = NodeId(1);
const PASSIVE: NodeId = NodeId(2);

/// The epoch that the liar opened.
const EPOCH: u64 = 5;

/// Liars in an ordinary test run, and what each sends.
const LIARS: u64 = 60;
const MESSAGES: usize = 300;

/// Memory that a Passive may take for messages that are a kilobyte at most: a few of them, and what it knows of the
/// paths that it has.
const MEMORY: usize = 64 << 10;

/// Memory that an Active may take for what a Passive hands over to it: a piece that is read, one that is written, and the
/// pieces that it asked for.
const MEMORY_TO_TAKE: usize = 256 << 10;

/// Where the Active has a large file, of which the liar hands over others.
const LARGE: &str = "/s/large";

/// Changes that are applied while a directory turns into a link and back.
const SWAPPED_CHANGES: u64 = 1500;

/// `/s` is replicated but for `/s/private`, and the file `/etc/one`.
#[derive(Debug)]
struct Configured;

impl Coverage for Configured {
    fn roots(&self) -> Vec<EntryPath> {
        vec![path("/s"), path("/etc/one")]
    }

    fn covers(&self, entry: &EntryPath) -> bool {
        let in_or_at = |top: &EntryPath| entry == top || entry.is_beneath(top);
        *entry == path("/etc/one") || (in_or_at(&path("/s")) && !in_or_at(&path("/s/private")))
    }

    fn rule(&self, _: &EntryPath) -> Rule {
        Rule::default()
    }
}

/// The same, all of which goes to the Active.
#[derive(Debug)]
struct FromPassives;

impl Coverage for FromPassives {
    fn roots(&self) -> Vec<EntryPath> {
        Configured.roots()
    }

    fn covers(&self, entry: &EntryPath) -> bool {
        Configured.covers(entry)
    }

    fn rule(&self, _: &EntryPath) -> Rule {
        Rule {
            direction: Direction::PassiveToActive,
            ..Rule::default()
        }
    }

    fn offered_roots(&self) -> Vec<EntryPath> {
        self.roots()
    }
}

fn path(text: &str) -> EntryPath {
    EntryPath::new(text.as_bytes()).expect("a plain path")
}

/// A Passive that follows the liar.
struct Victim {
    root: TempDir,
    _state: TempDir,
    core: Core<DiskTree, StateFile>,
    sequence: u64,
}

impl Victim {
    fn new() -> Self {
        let mut victim = Self::of(Rc::new(Configured));
        victim.introduce(Role::Active);
        victim.compare();
        assert_eq!(victim.report().sync, Sync::Syncing);
        victim
    }

    /// An Active, to which the liar is a Passive.
    fn active() -> Self {
        let mut victim = Self::of(Rc::new(FromPassives));
        let content: Vec<u8> = (0..40_000_u32)
            .flat_map(|number| number.wrapping_mul(number).to_be_bytes())
            .collect();
        fs::write(victim.root.path().join(&LARGE[1..]), content).expect("a file");
        let request = Event::Request {
            id: 1,
            request: Request::Promote,
            deadline: None,
        };
        victim.core.handle(&request, Duration::ZERO);
        let promote = victim.core.next_message().expect("it asks for an epoch");
        let promote = std::iter::once(promote).chain(std::iter::from_fn(|| victim.core.next_message()));
        for bytes in promote.collect::<Vec<_>>() {
            let from = PASSIVE;
            let heard = Event::Delivered { from, bytes: &bytes };
            victim.core.handle(&heard, Duration::ZERO);
        }
        assert_eq!(victim.report().role, Role::Active);
        victim.introduce(Role::Passive);
        victim
    }

    fn of(coverage: Rc<dyn Coverage>) -> Self {
        let (root, state) = (
            TempDir::new().expect("a directory"),
            TempDir::new().expect("a directory"),
        );
        for directory in ["s/d", "s/private", "etc", "outside/d"] {
            fs::create_dir_all(root.path().join(directory)).expect("a directory");
        }
        for file in ["s/private/key", "etc/shadow", "outside/x", "outside/d/x"] {
            fs::write(root.path().join(file), "not the liar's").expect("a file");
        }
        symlink("../outside", root.path().join("s/way")).expect("a link");
        let tree = DiskTree::new(root.path(), Rc::clone(&coverage)).expect("a tree");
        let options = Options {
            resume_as_active: false,
            seed: Seed(1),
        };
        let core = Core::new(options, coverage, tree, StateFile::new(state.path()));
        let mut victim = Self {
            root,
            _state: state,
            core,
            sequence: 0,
        };
        let members = [LIAR, PASSIVE];
        let membership = Event::Membership {
            me: PASSIVE,
            members: &members,
        };
        victim.core.handle(&membership, Duration::ZERO);
        victim
    }

    /// The liar says who it is.
    fn introduce(&mut self, role: Role) {
        let (epoch, owner, sync) = match role {
            Role::Active => (EPOCH, LIAR, Sync::Source),
            Role::Passive => (0, NodeId(0), Sync::NoSource),
        };
        let position = Position { epoch, sequence: 0 };
        let hello = Hello {
            epoch,
            owner,
            role,
            position,
            sync,
            switch: Switch::On,
            essential: true,
        };
        self.hear(&Message::Hello(hello).encode());
    }

    fn compare(&mut self) {
        let compare = Message::Compare {
            epoch: EPOCH,
            target: PASSIVE,
            session: 1,
            sequence: self.sequence,
        };
        self.hear(&compare.encode());
    }

    fn report(&self) -> Report {
        self.core.report(Duration::ZERO)
    }

    fn hear(&mut self, bytes: &[u8]) {
        let heard = Event::Delivered { from: LIAR, bytes };
        self.core.handle(&heard, Duration::ZERO);
        while self.core.has_work(Duration::ZERO) {
            self.core.work(Duration::ZERO);
            while self.core.next_message().is_some() {}
        }
        // What a daemon takes out as well.
        drop(self.core.take_notices());
    }

    fn order(&mut self, operation: Operation<'_>) {
        self.sequence += 1;
        let message = Message::Operation {
            epoch: EPOCH,
            sequence: self.sequence,
            target: None,
            operation,
        };
        self.hear(&message.encode());
    }

    /// Everything that is not configured.
    fn outside(&self) -> BTreeMap<PathBuf, String> {
        let mut seen = self.look();
        seen.retain(|at, _| !is_configured(at));
        seen
    }

    /// Everything that is.
    fn configured(&self) -> BTreeMap<PathBuf, String> {
        let mut seen = self.look();
        seen.retain(|at, _| is_configured(at));
        seen
    }

    fn look(&self) -> BTreeMap<PathBuf, String> {
        let mut seen = BTreeMap::new();
        look(self.root.path(), Path::new("/"), &mut seen);
        seen
    }
}

fn is_configured(at: &Path) -> bool {
    EntryPath::from_path(at).is_ok_and(|at| Configured.covers(&at))
}

/// What there is to see of everything in a directory. Times of directories that hold something configured change.
fn look(root: &Path, at: &Path, seen: &mut BTreeMap<PathBuf, String>) {
    let real = root.join(at.strip_prefix("/").unwrap_or(at));
    let metadata = fs::symlink_metadata(&real).expect("it is there");
    let body = if metadata.is_file() {
        format!("{:?}", fs::read(&real).expect("a file"))
    } else if metadata.is_symlink() {
        format!("{:?}", fs::read_link(&real).expect("a link"))
    } else {
        for entry in fs::read_dir(&real).expect("a directory") {
            look(root, &at.join(entry.expect("an entry").file_name()), seen);
        }
        String::new()
    };
    let (mode, owner, links) = (
        metadata.mode(),
        (metadata.uid(), metadata.gid()),
        metadata.nlink(),
    );
    let holds_configured = ["/", "/etc"].map(Path::new).contains(&at);
    let changed = (!holds_configured).then(|| (metadata.ctime(), metadata.ctime_nsec(), links));
    seen.insert(at.to_owned(), format!("{mode:o} {owner:?} {changed:?} {body}"));
}

#[test]
fn whatever_a_member_sends_nothing_outside_changes_and_memory_stays_bounded() {
    let first = number("BMC_PROPERTY_SEED");
    let seeds = first.unwrap_or(0)..first.map_or(LIARS, |seed| seed + 1);
    let (mut tried, mut changed) = (0, 0);
    for seed in seeds {
        tried += 1;
        let mut dice = Dice::new(seed);
        let mut victim = Victim::new();
        let (outside, configured) = (victim.outside(), victim.configured());
        let peak = memory::peak_of(|| {
            for _ in 0..MESSAGES {
                let bytes = memory::uncounted(|| some_lie(&mut dice, victim.sequence + 1));
                victim.hear(&bytes);
                memory::uncounted(|| victim.keep_following(&bytes));
            }
        });
        // A transfer under way has its temporary file beside its target.
        victim.core.handle(&Event::Disconnected, Duration::ZERO);
        assert_eq!(victim.outside(), outside, "BMC_PROPERTY_SEED={seed}");
        assert!(peak < MEMORY, "BMC_PROPERTY_SEED={seed}: {peak} bytes of memory");
        assert!(!victim.report().problems.is_empty(), "BMC_PROPERTY_SEED={seed}");
        changed += u64::from(victim.configured() != configured);
    }
    assert!(
        changed * 2 > tried,
        "of {tried} liars only {changed} were believed in anything"
    );
}

impl Victim {
    /// A liar that is found out begins anew: one that is not followed proves nothing.
    fn keep_following(&mut self, heard: &[u8]) {
        let next = (self.sequence + 1).to_be_bytes();
        if heard.get(SEQUENCE_AT) == Some(&next) {
            self.sequence += 1;
        }
        if self.report().sync == Sync::Failed {
            self.compare();
        }
    }
}

/// Where a message has its epoch, unless it is a `Hello`.
const EPOCH_AT: std::ops::Range<usize> = 6..14;
/// Where an operation has its sequence.
const SEQUENCE_AT: std::ops::Range<usize> = 14..22;

/// A message with the epoch and the number that the victim expects, more often than not; then now and then damaged.
fn some_lie(dice: &mut Dice, sequence: u64) -> Vec<u8> {
    let content = some_bytes(dice, 300);
    loop {
        let message = some_message(dice, &content);
        let is_operation = matches!(message, Message::Operation { .. });
        // These may end what the liar can do.
        let ends = matches!(message, Message::Hello(_) | Message::Promote { .. });
        if ends || (!is_operation && !dice.one_in(4)) {
            continue;
        }
        let mut bytes = message.encode();
        if !dice.one_in(10) {
            bytes[EPOCH_AT].copy_from_slice(&EPOCH.to_be_bytes());
        }
        if is_operation && !dice.one_in(10) {
            bytes[SEQUENCE_AT].copy_from_slice(&sequence.to_be_bytes());
        }
        return if dice.one_in(5) {
            damage(dice, bytes)
        } else {
            bytes
        };
    }
}

#[test]
fn whatever_a_passive_hands_over_nothing_outside_changes_and_memory_stays_bounded() {
    let first = number("BMC_PROPERTY_SEED");
    let seeds = first.unwrap_or(0)..first.map_or(LIARS, |seed| seed + 1);
    let (mut tried, mut changed) = (0, 0);
    for seed in seeds {
        tried += 1;
        let mut dice = Dice::new(seed);
        let mut victim = Victim::active();
        let epoch = victim.report().position.epoch;
        let (outside, configured) = (victim.outside(), victim.configured());
        let mut given = Given::default();
        let peak = memory::peak_of(|| {
            for _ in 0..MESSAGES {
                let bytes = memory::uncounted(|| given.some_lie(&mut dice, epoch));
                victim.hear(&bytes);
            }
        });
        assert_eq!(victim.report().role, Role::Active, "BMC_PROPERTY_SEED={seed}");
        victim.core.handle(&Event::Disconnected, Duration::ZERO);
        assert_eq!(victim.outside(), outside, "BMC_PROPERTY_SEED={seed}");
        assert!(
            peak < MEMORY_TO_TAKE,
            "BMC_PROPERTY_SEED={seed}: {peak} bytes of memory"
        );
        changed += u64::from(victim.configured() != configured);
    }
    assert!(
        changed * 4 > tried,
        "of {tried} liars only {changed} were believed in anything"
    );
}

/// Names of offers that a liar uses.
const OFFERS: usize = 2;

/// A liar's holes are this long at most: longer ones only take longer.
const HOLE_BYTES: u64 = 64 << 10;

/// What a liar has given of a content so far.
#[derive(Debug, Default)]
struct Given {
    bytes: u64,
    hasher: Hasher,
}

impl Given {
    /// A part of a large content, more often than not the next one; then now and then damaged.
    fn some_lie(&mut self, dice: &mut Dice, epoch: u64) -> Vec<u8> {
        let offer = dice.below(OFFERS) as u64;
        if dice.one_in(40) {
            *self = Self::default();
        }
        let offset = if dice.one_in(10) { dice.next() } else { self.bytes };
        let content = some_bytes(dice, 300);
        let mut transferred = None;
        let message = match dice.below(8) {
            0 => Message::Offer {
                epoch,
                offer,
                path: path(LARGE),
                base: None,
                now: Some(Version {
                    kind: Kind::File,
                    content: Digest::of(&content),
                    attributes: Digest::NONE,
                }),
            },
            1 => Message::SignBase {
                epoch,
                offer,
                seed: Seed(dice.next()),
                sections: (0..dice.below(3)).map(|_| dice.next()).collect(),
            },
            2 => Message::PieceCopy {
                epoch,
                offer,
                offset,
                from: if dice.one_in(4) { dice.next() } else { 0 },
                length: dice.next() % (COPY_BYTES + 1),
            },
            4 => Message::PieceHole {
                epoch,
                offer,
                offset,
                length: dice.next() % (HOLE_BYTES + 1),
            },
            3 | 5 => Message::Piece {
                epoch,
                offer,
                offset,
                bytes: &content,
            },
            6 => {
                transferred = Some(std::mem::take(&mut self.hasher).finish());
                Message::Contribution {
                    epoch,
                    offer,
                    operation: Operation::PutTransferred {
                        path: path(LARGE),
                        attributes: Attributes::default(),
                        transfer: offer,
                        size: self.bytes,
                        digest: transferred.unwrap_or(Digest::NONE),
                    },
                }
            }
            _ => some_message(dice, &content),
        };
        match &message {
            // What is copied the liar does not know: nothing comes of that.
            Message::PieceCopy { length, .. } => self.bytes = self.bytes.wrapping_add(*length),
            Message::PieceHole { length, .. } => {
                self.hasher.update_zeros(*length);
                self.bytes = self.bytes.wrapping_add(*length);
            }
            Message::Piece { bytes, .. } => {
                self.hasher.update(bytes);
                self.bytes += bytes.len() as u64;
            }
            // These may end what the liar can do.
            Message::Hello(_) | Message::Promote { .. } => return Vec::new(),
            _ => {}
        }
        if transferred.is_some() {
            *self = Self::default();
        }
        let bytes = message.encode();
        if dice.one_in(20) {
            damage(dice, bytes)
        } else {
            bytes
        }
    }
}

#[test]
fn directories_that_turn_into_links_while_changes_are_applied_lead_nowhere() {
    let mut victim = Victim::new();
    let outside = victim.outside();
    let (directory, link) = (victim.root.path().join("s/d"), victim.root.path().join("s/swap"));
    symlink("../outside/d", &link).expect("a link");
    let (stop, mut refused) = (AtomicBool::new(false), 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                renameat_with(CWD, &directory, CWD, &link, RenameFlags::EXCHANGE).expect("they swap");
            }
        });
        for round in 0..SWAPPED_CHANGES {
            let before = victim.report().problems.len();
            let attributes = Attributes {
                mode: 0o777,
                ..Attributes::default()
            };
            victim.order(match round % 7 {
                0 | 1 => Operation::Put {
                    path: path("/s/d/x"),
                    attributes,
                    content: b"mine",
                },
                2 => Operation::Directory {
                    path: path("/s/d/y"),
                    attributes,
                },
                3 => Operation::Attributes {
                    path: path("/s/d/x"),
                    attributes,
                    content: Digest::of(b"mine"),
                },
                4 => Operation::HardLink {
                    path: path("/s/d/z"),
                    to: path("/s/d/x"),
                    content: Digest::of(b"mine"),
                },
                5 => Operation::HardLink {
                    path: path("/s/z"),
                    to: path("/s/d/x"),
                    content: Digest::of(b"mine"),
                },
                _ => Operation::Remove { path: path("/s/d/x") },
            });
            refused += usize::from(victim.report().problems.len() > before);
            if victim.report().sync == Sync::Failed {
                victim.compare();
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(victim.outside(), outside);
    assert!(refused > 0, "the swaps were never met");
}
