//! `DestinationPath` on two real directories: what a node receives is kept apart from what it sends.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::fs;
use std::path::Path;
use std::rc::Rc;

use bmc_replication::entry::Attributes;
use bmc_replication::wire::{Message, Operation};
use bmc_replication::{Event, Request, Sync};
use bmc_sync_config::SyncConfig;
use support::{A, B, Node, Pair, path};

/// The inventory is kept at `/kept` by the Passive, but for `/inventory/local`; in its place at `/kept/local` stands
/// what is the same on both. One file has another name where it is kept.
const LIST: &str = r#"{
    "Files": [
        { "Path": "/etc/motd", "DestinationPath": "/etc/motd.active", "Description": "a file",
          "SyncDirection": "Active2Passive", "SyncType": "Immediate" }
    ],
    "Directories": [
        { "Path": "/inventory/", "DestinationPath": "/kept/", "Description": "a directory",
          "SyncDirection": "Active2Passive", "SyncType": "Immediate", "ExcludeList": ["/inventory/local/"] },
        { "Path": "/kept/local/", "Description": "another",
          "SyncDirection": "Active2Passive", "SyncType": "Immediate" }
    ]
}"#;

fn node() -> Node {
    let lists = tempfile::tempdir().unwrap();
    fs::write(lists.path().join("list.json"), LIST).unwrap();
    Node::with(Rc::new(SyncConfig::load_dir(lists.path()).unwrap()))
}

/// A is the Active and B in sync; each had an inventory of its own before.
fn pair() -> Pair {
    let (a, b) = (node(), node());
    for (node, content) in [(&a, "A's"), (&b, "B's")] {
        fs::create_dir_all(node.at("/inventory/board")).unwrap();
        fs::write(node.at("/inventory/board/fan"), content).unwrap();
    }
    let mut pair = Pair::of(a, b);
    pair.ask(A, Request::Promote).unwrap();
    pair.settle();
    assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
    pair
}

/// A gives the role to B.
fn switch_over(pair: &mut Pair) {
    pair.ask(A, Request::Demote).unwrap();
    pair.ask(B, Request::Promote).unwrap();
    pair.settle();
    assert_eq!(pair.nodes[&A].report().sync, Sync::InSync);
}

fn read(pair: &Pair, node: bmc_replication::NodeId, at: &str) -> Option<String> {
    fs::read_to_string(pair.nodes[&node].at(at)).ok()
}

#[test]
fn what_a_passive_receives_is_kept_at_its_destination_and_its_own_stays() {
    let mut pair = pair();
    assert_eq!(read(&pair, B, "/kept/board/fan").as_deref(), Some("A's"));
    pair.write(A, "/inventory/board/fan", "turned");
    pair.write(A, "/etc/motd", "hello");
    pair.ask(A, Request::Flush).unwrap();
    assert_eq!(read(&pair, B, "/kept/board/fan").as_deref(), Some("turned"));
    assert_eq!(read(&pair, B, "/inventory/board/fan").as_deref(), Some("B's"));
    assert_eq!(read(&pair, B, "/etc/motd.active").as_deref(), Some("hello"));
    assert_eq!(read(&pair, B, "/etc/motd"), None);
    assert_eq!(
        read(&pair, A, "/kept/board/fan"),
        None,
        "A sends and keeps nothing"
    );
}

#[test]
fn after_a_switchover_the_new_active_sends_from_its_path() {
    let mut pair = pair();
    pair.write(A, "/etc/motd", "hello");
    switch_over(&mut pair);
    assert_eq!(read(&pair, A, "/kept/board/fan").as_deref(), Some("B's"));
    assert_eq!(read(&pair, A, "/inventory/board/fan").as_deref(), Some("A's"));
    assert_eq!(
        read(&pair, B, "/kept/board/fan").as_deref(),
        Some("A's"),
        "a copy stays"
    );
    pair.write(B, "/inventory/board/fan", "turned");
    pair.ask(B, Request::Flush).unwrap();
    assert_eq!(read(&pair, A, "/kept/board/fan").as_deref(), Some("turned"));
    assert_eq!(
        read(&pair, A, "/etc/motd").as_deref(),
        Some("hello"),
        "B has none to send"
    );
}

#[test]
fn a_switchover_and_back_leaves_no_stale_copy_at_the_destination() {
    let mut pair = pair();
    pair.write(A, "/inventory/board/psu", "1");
    switch_over(&mut pair);
    pair.write(B, "/inventory/board/fan", "turned");
    pair.ask(B, Request::Demote).unwrap();
    fs::remove_file(pair.nodes[&A].at("/inventory/board/psu")).unwrap();
    pair.ask(A, Request::Promote).unwrap();
    pair.settle();
    assert_eq!(read(&pair, B, "/kept/board/fan").as_deref(), Some("A's"));
    assert_eq!(read(&pair, B, "/kept/board/psu"), None);
    assert_eq!(read(&pair, B, "/inventory/board/fan").as_deref(), Some("turned"));
}

#[test]
fn what_goes_at_the_path_goes_at_the_destination_and_nothing_of_another_entry() {
    let mut pair = pair();
    pair.change(A, "/kept/local", |at| fs::create_dir_all(at).unwrap());
    pair.write(A, "/kept/local/own", "of both");
    fs::create_dir(pair.nodes[&B].at("/inventory/local")).unwrap();
    pair.change(A, "/inventory", |at| fs::remove_dir_all(at).unwrap());
    pair.ask(A, Request::Flush).unwrap();
    assert_eq!(read(&pair, B, "/kept/board/fan"), None);
    assert_eq!(read(&pair, B, "/kept/local/own").as_deref(), Some("of both"));
    assert_eq!(read(&pair, B, "/inventory/board/fan").as_deref(), Some("B's"));
}

#[test]
fn a_passive_that_comes_back_has_nothing_to_be_sent_again() {
    let mut pair = pair();
    pair.nodes.get_mut(&B).unwrap().restart(false);
    pair.membership(&[A]);
    *pair.sent.borrow_mut() = 0;
    pair.membership(&[A, B]);
    assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
    assert!(*pair.sent.borrow() < 2000, "{} bytes", pair.sent.borrow());
    assert_eq!(read(&pair, B, "/kept/board/fan").as_deref(), Some("A's"));
}

#[test]
fn what_a_crash_left_at_a_destination_is_removed_whatever_the_role_is_then() {
    for resume_as_active in [false, true] {
        let mut pair = pair();
        let left_over = pair.nodes[&B].at("/kept/board/.bmc-ha-replication.7");
        fs::write(&left_over, "half").unwrap();
        pair.nodes.get_mut(&B).unwrap().restart(resume_as_active);
        assert!(!left_over.exists(), "resumes as Active: {resume_as_active}");
    }
}

#[test]
fn a_destination_is_no_name_on_the_wire() {
    let mut pair = pair();
    let report = pair.nodes[&B].report();
    let hostile = Message::Operation {
        epoch: report.position.epoch,
        sequence: report.position.sequence + 1,
        target: None,
        operation: Operation::Put {
            path: path("/kept/board/fan"),
            attributes: Attributes {
                mode: 0o644,
                uid: 0,
                gid: 0,
                mtime: Default::default(),
                xattrs: Vec::new(),
            },
            content: b"forged",
        },
    };
    let bytes = hostile.encode();
    let b = pair.nodes.get_mut(&B).unwrap();
    b.core.handle(
        &Event::Delivered {
            from: A,
            bytes: &bytes,
        },
        pair.now,
    );
    pair.settle();
    assert_eq!(read(&pair, B, "/kept/board/fan").as_deref(), Some("A's"));
    let problems = pair.nodes[&B].report().problems;
    assert!(
        problems
            .iter()
            .any(|problem| problem.message.contains("/kept/board/fan")),
        "{problems:?}"
    );
    assert!(!Path::new(&pair.nodes[&B].at("/kept/kept")).exists());
}
