//! What a node says was applied on it, with two cores on two real directories.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use bmc_replication::{Event, NodeId, Request, Sync};
use support::{A, B, Node, Pair};

fn applied(pair: &mut Pair, node: NodeId) -> BTreeSet<usize> {
    pair.nodes.get_mut(&node).unwrap().core.take_applied()
}

#[test]
fn a_comparison_is_told_of_once_at_its_end() {
    let (a, b) = (Node::new(false), Node::new(false));
    for file in 0..300 {
        fs::write(a.at(&format!("/s/{file}")), "new").unwrap();
    }
    fs::write(a.at("/etc/one"), "one").unwrap();
    let mut pair = Pair::of(a, b);
    let request = Event::Request {
        id: 0,
        request: Request::Promote,
        deadline: None,
    };
    let active = pair.nodes.get_mut(&A).unwrap();
    active.core.handle(&request, Duration::ZERO);
    let mut told = Vec::new();
    while pair.turn() {
        let applied = applied(&mut pair, B);
        if !applied.is_empty() {
            assert_eq!(pair.nodes[&B].report().sync, Sync::InSync, "told of half a copy");
            told.push(applied);
        }
    }
    assert_eq!(told, [[0, 1].into()]);
}

#[test]
fn a_change_and_a_removal_are_told_of_where_they_were_applied_and_nowhere_else() {
    let mut pair = Pair::new();
    pair.write(A, "/etc/one", "1");
    pair.write(A, "/s/a", "1");
    pair.settle();
    assert_eq!(applied(&mut pair, B), [0, 1].into());
    assert_eq!(applied(&mut pair, B), [].into(), "told twice");
    pair.change(A, "/etc/one", |path| fs::remove_file(path).unwrap());
    pair.settle();
    assert_eq!(applied(&mut pair, B), [1].into());
    assert_eq!(applied(&mut pair, A), [].into());
}

#[test]
fn what_goes_with_its_directory_is_told_of() {
    let mut pair = Pair::new();
    pair.change(A, "/s/d", |path| fs::create_dir(path).unwrap());
    pair.write(A, "/s/d/listened", "1");
    pair.settle();
    assert!(applied(&mut pair, B).contains(&2));
    let moved = pair.nodes[&A].at("/s/e");
    pair.change(A, "/s/d", |path| fs::rename(path, &moved).unwrap());
    pair.change(A, "/s/e", |_| {});
    pair.settle();
    assert!(applied(&mut pair, B).contains(&2), "gone from where it was");
    pair.change(A, "/s/e", |path| {
        fs::rename(path, path.with_file_name("d")).unwrap();
    });
    pair.change(A, "/s/d", |_| {});
    pair.settle();
    assert!(applied(&mut pair, B).contains(&2), "come to where it was");
    pair.change(A, "/s/d", |path| fs::remove_dir_all(path).unwrap());
    pair.settle();
    assert!(applied(&mut pair, B).contains(&2), "removed");
}
