//! A change travels before the Active's own disk is waited for.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::time::Duration;

use bmc_replication::wire::{Message, Operation};
use bmc_replication::{Event, Request};
use support::{A, B, Pair, path, unpacked};

/// A pair that has come to rest, and a setting that was changed on the Active since.
fn pair_with_a_change() -> Pair {
    let mut pair = Pair::new();
    pair.ask(A, Request::Flush).unwrap();
    pair.write(A, "/s/a", "new");
    pair
}

/// What the Active sends now.
fn sent(pair: &mut Pair) -> Vec<Vec<u8>> {
    let core = &mut pair.nodes.get_mut(&A).unwrap().core;
    std::iter::from_fn(|| core.next_message()).collect()
}

fn brings_the_change(messages: &[Vec<u8>]) -> bool {
    let brings = |message: &Vec<u8>| match Message::decode(message).unwrap() {
        Message::Operation {
            operation: Operation::Put { path: at, .. },
            ..
        } => at == path("/s/a"),
        _ => false,
    };
    messages
        .iter()
        .flat_map(|bytes| unpacked(bytes))
        .any(|message| brings(&message))
}

#[test]
fn the_own_disk_waits_until_the_passive_has_the_change() {
    let mut pair = pair_with_a_change();
    let now = pair.now;
    let core = &mut pair.nodes.get_mut(&A).unwrap().core;
    while core.has_work(now) {
        core.work(now);
        assert!(!core.sends_first(now), "the own disk is next");
    }
    let position = core.report(now).position;
    let messages = sent(&mut pair);
    assert!(brings_the_change(&messages));
    assert_ne!(state_on_disk(&pair), position);

    for bytes in messages {
        for node in pair.nodes.values_mut() {
            let bytes = &bytes;
            node.core.handle(&Event::Delivered { from: A, bytes }, now);
        }
    }
    pair.settle();
    assert_eq!(pair.read(B, "/s/a").unwrap(), b"new");
    assert_eq!(state_on_disk(&pair), position);
}

#[test]
fn a_large_content_travels_before_any_disk_is_waited_for_and_its_directory_with_it() {
    let mut pair = Pair::new();
    pair.ask(A, Request::Flush).unwrap();
    for at in ["/s/large", "/s/larger"] {
        pair.write(A, at, vec![7; 200_000]);
    }
    let now = pair.now;
    let core = &mut pair.nodes.get_mut(&A).unwrap().core;
    let mut messages = Vec::new();
    while core.has_work(now) {
        core.work(now);
        messages.extend(std::iter::from_fn(|| core.next_message()));
        let position = core.report(now).position;
        assert!(
            position.sequence > 1 || !core.sends_first(now),
            "the own disk is next"
        );
    }
    let unpacked: Vec<Vec<u8>> = messages.iter().flat_map(|bytes| unpacked(bytes)).collect();
    let changes = unpacked
        .iter()
        .filter_map(|message| match Message::decode(message) {
            Ok(Message::Operation { operation, .. }) => operation.path().map(ToString::to_string),
            _ => None,
        });
    assert_eq!(changes.collect::<Vec<_>>(), ["/s/large", "/s/larger", "/s"]);
    for bytes in messages {
        for node in pair.nodes.values_mut() {
            let bytes = &bytes;
            node.core.handle(&Event::Delivered { from: A, bytes }, now);
        }
    }
    pair.assert_alike();
}

#[test]
fn a_passive_that_says_nothing_does_not_keep_the_own_disk_waiting_for_long() {
    let mut pair = pair_with_a_change();
    let now = pair.now;
    let core = &mut pair.nodes.get_mut(&A).unwrap().core;
    while core.has_work(now) {
        core.work(now);
    }
    let (position, due) = (core.report(now).position, core.deadline().unwrap());
    assert!(due <= now + Duration::from_secs(1), "{due:?} after {now:?}");
    core.handle(&Event::Tick, due);
    while core.has_work(due) {
        core.work(due);
    }
    assert_eq!(state_on_disk(&pair), position);
}

#[test]
fn what_a_flush_waits_for_is_sent_before_the_own_disk_is_waited_for() {
    let mut pair = pair_with_a_change();
    pair.ask_without_waiting(A, Request::Flush);
    let now = pair.now;
    let core = &mut pair.nodes.get_mut(&A).unwrap().core;
    while !core.sends_first(now) {
        assert!(core.has_work(now), "nothing was to be made durable");
        core.work(now);
    }
    let position = core.report(now).position;
    assert!(brings_the_change(&sent(&mut pair)));
    assert_ne!(state_on_disk(&pair), position);
}

/// The position that the Active would claim after a power cut.
fn state_on_disk(pair: &Pair) -> bmc_replication::Position {
    use bmc_replication::{StateFile, StateStore as _};
    let mut store = StateFile::new(pair.nodes[&A].state.path());
    store.load().unwrap().position
}
