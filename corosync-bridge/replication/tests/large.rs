//! Large contents between two cores: what they may hold up, what may hold them up, and what may end them.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::fs;
use std::time::Duration;

use bmc_replication::{Event, Request, Sync};

use support::{A, B, Pair};

/// Large enough to be on its way for many turns.
const LARGE_BYTES: usize = 2 << 20;

/// Turns in which a small change is read, sent, applied and acknowledged although something large is on its way.
const FEW_TURNS: usize = 10;

/// Turns in which a large content arrives between small changes without end: one for each change that may go before each
/// of its pieces, and as many again.
const MANY_TURNS: usize = 2 * 17 * (LARGE_BYTES >> 16);

/// The large content has begun to travel and is far from done.
fn on_its_way(large: &str) -> Pair {
    let mut pair = Pair::new();
    *pair.sent.borrow_mut() = 0;
    pair.write(A, large, vec![7; LARGE_BYTES]);
    while *pair.sent.borrow() < LARGE_BYTES / 8 {
        assert!(pair.turn(), "nothing travels");
    }
    pair
}

/// What programs do while something is waited for.
#[derive(Clone, Copy)]
enum Meanwhile {
    Nothing,
    /// They write a file of so many bytes every so many turns. Others each time: a path that waits does not wait twice.
    Write {
        bytes: usize,
        every: usize,
    },
}

/// A small change in every turn.
const SMALL_CHANGES: Meanwhile = Meanwhile::Write { bytes: 10, every: 1 };

/// More large contents than can be sent.
const LARGE_CHANGES: Meanwhile = Meanwhile::Write {
    bytes: LARGE_BYTES / 16,
    every: 4,
};

/// Turns until `arrived`.
fn turns_until(pair: &mut Pair, meanwhile: Meanwhile, arrived: impl Fn(&Pair) -> bool) -> usize {
    for turn in 0..MANY_TURNS {
        if arrived(pair) {
            return turn;
        }
        match meanwhile {
            Meanwhile::Write { bytes, every } if turn % every == 0 => {
                let content = vec![turn.to_le_bytes()[0]; bytes];
                pair.write(A, &format!("/s/other{}", turn / every % 64), content);
            }
            _ => {}
        }
        pair.turn();
    }
    panic!("it never arrived: {:#?}", pair.nodes[&A].report());
}

#[test]
fn a_small_change_goes_before_the_rest_of_a_large_content() {
    let mut pair = on_its_way("/s/large");
    pair.write(A, "/s/small", "quick");
    let turns = turns_until(&mut pair, Meanwhile::Nothing, |pair| {
        pair.read(B, "/s/small").is_some()
    });
    assert!(turns <= FEW_TURNS, "it took {turns} turns");
    assert!(pair.read(B, "/s/large").is_none());
    pair.settle();
    assert_eq!(pair.read(B, "/s/large").unwrap().len(), LARGE_BYTES);
}

#[test]
fn no_more_of_a_large_content_is_on_its_way_than_a_change_can_wait_behind() {
    let mut pair = Pair::new();
    let now = pair.now;
    pair.write(A, "/s/large", vec![7; LARGE_BYTES]);
    let a = &mut pair.nodes.get_mut(&A).unwrap().core;
    let mut sent = 0;
    // Nobody takes anything in.
    while a.has_work(now) {
        a.work(now);
        sent += std::iter::from_fn(|| a.next_message())
            .map(|message| message.len())
            .sum::<usize>();
    }
    assert!(sent < 640 << 10, "{sent} bytes were sent");
    pair.write(A, "/s/small", "quick");
    let a = &mut pair.nodes.get_mut(&A).unwrap().core;
    a.work(now);
    assert!(
        a.next_message().is_some(),
        "a small change waits with the large ones"
    );
}

#[test]
fn small_changes_without_end_do_not_keep_a_large_content_waiting() {
    let mut pair = on_its_way("/s/large");
    turns_until(&mut pair, SMALL_CHANGES, |pair| {
        pair.read(B, "/s/large").is_some()
    });
}

#[test]
fn changes_without_end_do_not_keep_a_comparison_waiting() {
    for changes in [SMALL_CHANGES, LARGE_CHANGES] {
        let mut pair = Pair::new();
        for number in 0..20 {
            pair.write(A, &format!("/s/old{number}"), "1");
        }
        pair.settle();
        pair.membership(&[A]);
        let b = pair.nodes.get_mut(&B).unwrap();
        b.restart(false);
        fs::remove_file(b.at("/s/old7")).unwrap();
        pair.join(&[A, B]);
        turns_until(&mut pair, changes, |pair| {
            pair.nodes[&B].report().sync == Sync::InSync
        });
        assert!(pair.read(B, "/s/old7").is_some());
    }
}

#[test]
fn a_flush_covers_the_large_content_that_was_changed_before_it() {
    let mut pair = on_its_way("/s/large");
    pair.write(A, "/s/second", vec![8; LARGE_BYTES / 8]);
    let (id, request, deadline) = (99, Request::Flush, None);
    let flush = Event::Request {
        id,
        request,
        deadline,
    };
    let a = pair.nodes.get_mut(&A).unwrap();
    a.core.handle(&flush, Duration::ZERO);
    turns_until(&mut pair, SMALL_CHANGES, |pair| {
        !pair.nodes[&A].answers.is_empty()
    });
    assert!(pair.nodes[&A].answers[0].outcome.is_ok());
    assert!(pair.read(B, "/s/large").is_some() && pair.read(B, "/s/second").is_some());
}

#[test]
fn a_newer_and_smaller_content_ends_the_transfer_of_the_older() {
    let mut pair = on_its_way("/s/large");
    pair.change(A, "/s/large", |path| {
        fs::write(path.with_extension("new"), "small now").unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
    });
    pair.ask(A, Request::Flush).unwrap();
    assert_eq!(pair.read(B, "/s/large").unwrap(), b"small now");
    assert!(
        *pair.sent.borrow() < LARGE_BYTES / 2,
        "the older one travelled on"
    );
}

#[test]
fn a_newer_large_content_takes_the_place_of_the_older_on_its_way() {
    let mut pair = on_its_way("/s/large");
    pair.write(A, "/s/large", vec![9; LARGE_BYTES]);
    pair.ask(A, Request::Flush).unwrap();
    assert!(pair.read(B, "/s/large").unwrap() == vec![9; LARGE_BYTES]);
    assert!(
        *pair.sent.borrow() < LARGE_BYTES * 3 / 2,
        "the older one travelled to its end"
    );
    assert_eq!(pair.nodes[&A].report().problems, []);
}

#[test]
fn a_directory_that_is_removed_takes_the_content_on_its_way_with_it() {
    let mut pair = Pair::new();
    pair.change(A, "/s/d", |path| fs::create_dir(path).unwrap());
    pair.settle();
    pair.write(A, "/s/d/large", vec![7; LARGE_BYTES]);
    for _ in 0..FEW_TURNS {
        pair.turn();
    }
    // The file itself stays the same: it only is somewhere else, outside of what is replicated.
    let a = &pair.nodes[&A];
    fs::rename(a.at("/s/d"), a.at("/gone")).unwrap();
    pair.change(A, "/s/d", |_| {});
    pair.settle();
    assert!(!pair.nodes[&B].at("/s/d").exists());
    assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
}
