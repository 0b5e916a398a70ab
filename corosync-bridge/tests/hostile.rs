//! A member of the group that is not a bridge, on a real Corosync, sends a bridge what it likes. Needs root, and Corosync
//! installed.

#![allow(clippy::unwrap_used, reason = "test code")]

mod pair;

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use bmc_bridge_control::{Command, Position, Role, Switch, Sync};
use bmc_corosync::{Cpg, CpgEvent, SendOutcome};
use bmc_replication::digest::Digest;
use bmc_replication::entry::Attributes;
use bmc_replication::wire::{Hello, Message, Operation};
use bmc_replication::{EntryPath, NodeId};
use pair::{Node, Process, pair};
use rustix::event::{PollFd, PollFlags, poll};

/// The epoch that the liar says it opened.
const EPOCH: u64 = 5;

/// Transfers that are begun and never finished.
const TRANSFERS: u64 = 500;

/// Memory that a bridge may take more than before, in KiB: what its allocator keeps of messages of up to 1 MB.
const MEMORY_KIB: u64 = 16 << 10;

/// Only beneath `/mnt/settings` may anything change.
const PLACES: [&str; 8] = [
    "/mnt/outside/file",
    "/mnt/settings2",
    "/mnt/lists/settings.json",
    "/mnt/state/replication.state",
    "/etc/corosync/authkey",
    "/run/bmc-ha/bridge.sock",
    "/mnt/settings/link/file",
    "/mnt",
];

#[test]
fn a_member_that_lies_changes_nothing_outside_and_the_bridge_goes_on() {
    let [mut liar, victim] = pair();
    fs::create_dir(victim.path("/mnt/outside")).unwrap();
    fs::write(victim.path("/mnt/outside/file"), "not the liar's").unwrap();
    symlink("../outside", victim.path("/mnt/settings/link")).unwrap();
    liar.kill_bridge();
    victim.expect("sibling bmc0 left the group");
    let before = look_around(&victim);
    let memory = resident_kib(&victim);

    let me = std::env::current_exe().unwrap();
    let mut lie = liar.command(&me);
    lie.args(["--ignored", "--exact", "the_lies", "--nocapture"]);
    let lies = Process::start("the liar", &mut lie);
    lies.expect("all lies were delivered");
    victim.expect("/mnt/settings2: it is not configured to be replicated on this node");
    drop(lies);
    victim.expect("sibling bmc0 left the group");

    assert_eq!(look_around(&victim), before);
    assert!(victim.read("believed").is_some(), "what is in order is applied");
    let more = resident_kib(&victim).saturating_sub(memory);
    assert!(more < MEMORY_KIB, "the bridge took {more} KiB more");
    let problems = victim.status().problems;
    assert!(!problems.is_empty(), "status names no problem");

    // An honest sibling is replicated with as ever.
    liar.start_bridge();
    victim.ask(Command::Promote);
    victim.write("honest", b"1");
    victim.ask(Command::Flush);
    assert_eq!(liar.read("honest").unwrap(), b"1");
    assert_eq!(
        look_around(&victim).get(Path::new("/mnt/outside/file")),
        before.get(Path::new("/mnt/outside/file"))
    );
}

/// Runs on the liar's node, in place of its bridge; the test above starts it.
#[test]
#[ignore = "a part of the test above, which starts it on a node"]
fn the_lies() {
    let mut liar = Liar {
        cpg: Cpg::join("bmc-ha").unwrap(),
        sequence: 0,
    };
    liar.wait_for_member(2);
    liar.say(&Message::Hello(Hello {
        epoch: EPOCH,
        owner: NodeId(1),
        role: Role::Active,
        position: Position {
            epoch: EPOCH,
            sequence: 0,
        },
        sync: Sync::Source,
        switch: Switch::On,
        essential: true,
    }));
    liar.compare();
    liar.order(Operation::Put {
        path: path("/mnt/settings/believed"),
        attributes: attributes(),
        content: b"in order",
    });
    for place in PLACES {
        liar.attack(place);
    }
    liar.lie_about_paths();
    liar.lie_about_lengths();
    liar.leave_transfers_unfinished();
    liar.say_bytes(b"");
    liar.say_bytes(&[0xff; 100_000]);
    liar.lie_about_its_place_in_the_order();
    // The last of all: when this is delivered here, the others were delivered everywhere.
    let last = b"BMCR\xff the end";
    liar.say_bytes(last);
    liar.wait_for_own(last);
    eprintln!("all lies were delivered");
    // Stays until it is killed.
    liar.wait_for_own(b"nothing");
}

struct Liar {
    cpg: Cpg,
    sequence: u64,
}

impl Liar {
    fn compare(&mut self) {
        self.say(&Message::Compare {
            epoch: EPOCH,
            target: NodeId(2),
            session: 1,
            sequence: self.sequence,
        });
    }

    /// Every operation on a place that is not the liar's.
    fn attack(&mut self, place: &str) {
        let operations = [
            Operation::Put {
                path: path(place),
                attributes: attributes(),
                content: b"the liar's",
            },
            Operation::Directory {
                path: path(place),
                attributes: attributes(),
            },
            Operation::Link {
                path: path(place),
                attributes: attributes(),
                target: b"/",
            },
            Operation::Attributes {
                path: path(place),
                attributes: attributes(),
                content: Digest::of(b"not the liar's"),
            },
            Operation::Remove { path: path(place) },
        ];
        for operation in operations {
            self.order(operation);
        }
    }

    /// Paths that no [`EntryPath`] can be made of, put into the bytes.
    fn lie_about_paths(&mut self) {
        let place = "/mnt/settings/xxxxxxxxxxxxxxx";
        let bad = [
            "mnt/outside/file",
            "/mnt/settings/../outside",
            "/mnt/outside//file",
            "/mnt/settings/a\0b",
            "/",
        ];
        for bad in bad {
            self.sequence += 1;
            let bytes = self.operation(Operation::Remove { path: path(place) });
            let head = bytes.len() - place.len() - 4;
            let length = u32::try_from(bad.len()).unwrap().to_be_bytes();
            self.say_bytes(&[&bytes[..head], &length, bad.as_bytes()].concat());
        }
        let overlong = [b"/mnt/settings/".as_slice(), &[b'n'; 300]].concat();
        let bytes = self.operation(Operation::Remove { path: path(place) });
        let head = bytes.len() - place.len() - 4;
        let length = u32::try_from(overlong.len()).unwrap().to_be_bytes();
        self.say_bytes(&[&bytes[..head], &length, &overlong].concat());
    }

    /// A length of 4 GiB in a short message, at every place where a length may stand.
    fn lie_about_lengths(&mut self) {
        let bytes = self.operation(Operation::Put {
            path: path("/mnt/settings/long"),
            attributes: attributes(),
            content: b"short",
        });
        for at in 6..bytes.len() - 4 {
            let mut huge = bytes.clone();
            huge[at..at + 4].fill(0xff);
            self.say_bytes(&huge);
        }
    }

    fn leave_transfers_unfinished(&mut self) {
        for transfer in 0..TRANSFERS {
            self.say(&Message::Begin {
                epoch: EPOCH,
                target: None,
                transfer,
                path: path("/mnt/settings/unfinished"),
                base: None,
            });
            self.say(&Message::Chunk {
                epoch: EPOCH,
                transfer,
                offset: 0,
                bytes: &[b'.'; 4096],
            });
        }
    }

    fn lie_about_its_place_in_the_order(&mut self) {
        let removes = || Operation::Remove {
            path: path("/mnt/settings/believed"),
        };
        for (epoch, sequence) in [(0, 1), (4, 1), (EPOCH, 1), (EPOCH, u64::MAX), (u64::MAX, 1)] {
            self.say(&Message::Operation {
                epoch,
                sequence,
                target: None,
                operation: removes(),
            });
        }
    }

    fn operation(&self, operation: Operation<'_>) -> Vec<u8> {
        Message::Operation {
            epoch: EPOCH,
            sequence: self.sequence,
            target: None,
            operation,
        }
        .encode()
    }

    fn order(&mut self, operation: Operation<'_>) {
        self.sequence += 1;
        let bytes = self.operation(operation);
        self.say_bytes(&bytes);
    }

    fn say(&mut self, message: &Message<'_>) {
        self.say_bytes(&message.encode());
    }

    fn say_bytes(&mut self, bytes: &[u8]) {
        while self.cpg.send(bytes).unwrap() == SendOutcome::NoRoom {
            // Its own messages have to be taken in before there is room.
            let _ = self.cpg.next_event().unwrap();
        }
    }

    fn wait_for_own(&mut self, bytes: &[u8]) {
        self.wait_until(
            |event| matches!(event, CpgEvent::Message { from: 1, bytes: heard } if heard == bytes),
        );
    }

    fn wait_for_member(&mut self, node: u32) {
        self.wait_until(
            |event| matches!(event, CpgEvent::Membership { members, .. } if members.contains(&node)),
        );
    }

    fn wait_until(&mut self, wanted: impl Fn(&CpgEvent) -> bool) {
        loop {
            while let Some(event) = self.cpg.next_event().unwrap() {
                if wanted(&event) {
                    return;
                }
            }
            poll(
                &mut [PollFd::from_borrowed_fd(self.cpg.as_fd(), PollFlags::IN)],
                None,
            )
            .unwrap();
        }
    }
}

fn path(text: &str) -> EntryPath {
    EntryPath::new(text.as_bytes()).unwrap()
}

fn attributes() -> Attributes {
    Attributes {
        mode: 0o777,
        ..Attributes::default()
    }
}

/// Everything on a node that a test put there and that is not under replication.
fn look_around(node: &Node) -> BTreeMap<PathBuf, String> {
    let mut seen = BTreeMap::new();
    for top in ["/mnt/outside", "/mnt/lists", "/etc/corosync", "/mnt"] {
        look(node, Path::new(top), &mut seen);
    }
    seen
}

/// One directory and what is right in it. The bridge's own state changes, and of what is replicated only the name counts.
fn look(node: &Node, at: &Path, seen: &mut BTreeMap<PathBuf, String>) {
    let own = ["/mnt/state", "/mnt/settings"].map(Path::new);
    for entry in fs::read_dir(node.path(at.to_str().unwrap())).unwrap() {
        let entry = entry.unwrap();
        let place = at.join(entry.file_name());
        let metadata = entry.metadata().unwrap();
        let content = fs::read(entry.path()).unwrap_or_default();
        let whole = format!(
            "{:o} {}:{} {} {content:?}",
            metadata.mode(),
            metadata.uid(),
            metadata.gid(),
            metadata.ctime_nsec()
        );
        let is_own = own.contains(&place.as_path());
        seen.insert(place, if is_own { String::new() } else { whole });
    }
}

/// Resident memory of a node's bridge (`VmRSS`, proc(5)).
fn resident_kib(node: &Node) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", node.bridge_id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
