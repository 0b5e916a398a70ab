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
