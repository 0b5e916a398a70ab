//! What is essential travels first, of all that waits; and holds nothing else up for good.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::fs;
use std::path::Path;
use std::rc::Rc;

use bmc_replication::wire::{INLINE_BYTES, Message, Operation};
use bmc_replication::{Coverage, Direction, EntryPath, Event, NodeId, Priority, Request, Rule, Sync};

use support::{A, B, Node, Pair, path};

/// Small changes that wait.
const BURST: usize = 500;

/// Messages that may go before one that has nothing to wait for.
const FEW_MESSAGES: usize = 3;

/// Files that are essential and written all the time, one after the other.
const STORM_FILES: usize = 64;

/// Items of priority 1 that go before one that waits.
const ESSENTIAL_FIRST: usize = 16;

/// Turns in which what was sent is applied and acknowledged.
const FEW_TURNS: usize = 10;

const LARGE_BYTES: usize = 1 << 20;

/// `/s` and what is in it has priority 2, `/z` priority 1, which comes last in the order of paths.
#[derive(Debug)]
struct TwoPriorities(Direction);

impl Coverage for TwoPriorities {
    fn roots(&self) -> Vec<EntryPath> {
        ["/s", "/z"].map(path).to_vec()
    }

    fn covers(&self, entry: &EntryPath) -> bool {
        let within = |root: &EntryPath| entry == root || entry.is_beneath(root);
        self.roots().iter().any(within)
    }

    fn rule(&self, entry: &EntryPath) -> Rule {
        let priority = match entry.as_bytes().starts_with(b"/z") {
            true => Priority::Essential,
            false => Priority::Ordinary,
        };
        Rule {
            priority,
            direction: self.0,
            ..Rule::default()
        }
    }

    fn is_uniform(&self, _: &EntryPath) -> bool {
        true
    }

    fn offered_roots(&self) -> Vec<EntryPath> {
        match self.0 {
            Direction::ActiveToPassive => Vec::new(),
            Direction::PassiveToActive | Direction::Both => self.roots(),
        }
    }
}

/// A the Active, B in sync.
fn pair(direction: Direction) -> Pair {
    let [a, b] = [(), ()].map(|()| Node::with(Rc::new(TwoPriorities(direction))));
    for node in [&a, &b] {
        fs::create_dir(node.at("/z")).unwrap();
    }
    let mut pair = Pair::of(a, b);
    pair.ask(A, Request::Promote).unwrap();
    assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
    pair
}

/// The path that `message` brings a change of, or offers.
fn concerned(message: &[u8]) -> Option<EntryPath> {
    match Message::decode(message).unwrap() {
        Message::Offer { path, .. }
        | Message::Operation {
            operation: Operation::Put { path, .. },
            ..
        } => Some(path),
        _ => None,
    }
}

/// The path of which `message` tells that it is gone.
fn removed(message: &[u8]) -> Option<EntryPath> {
    match Message::decode(message).unwrap() {
        Message::Operation {
            operation: Operation::Remove { path },
            ..
        } => Some(path),
        _ => None,
    }
}

/// Fails unless the change of what is essential is among the first that `node` tells of, of many.
fn assert_first(pair: &mut Pair, node: NodeId) {
    let told: Vec<EntryPath> = pair
        .said(node)
        .iter()
        .filter_map(|bytes| concerned(bytes))
        .collect();
    let place = told.iter().position(|told| *told == path("/z/one"));
    assert!(
        place.is_some_and(|place| place < FEW_MESSAGES),
        "it is number {place:?} of {}",
        told.len()
    );
    assert!(told.len() > BURST / 5, "only {} were told of", told.len());
}

fn burst(pair: &mut Pair, node: NodeId) {
    for number in 0..BURST {
        pair.write(node, &format!("/s/{number}"), "not so urgent");
    }
}

/// How programs write what is essential all the time.
#[derive(Clone, Copy)]
struct Storm {
    /// Of each file.
    bytes: usize,
    /// Files that are written together.
    files: usize,
    /// Turns from one time to the next.
    every: usize,
}

/// One of them always waits.
const STORM: Storm = Storm {
    bytes: 10,
    files: 4,
    every: 1,
};

/// More than can be sent.
const LARGE_STORM: Storm = Storm {
    bytes: 2 * INLINE_BYTES,
    files: 1,
    every: 4,
};

/// Programs write what is essential until `is_done`, which it has to be in `patience` turns.
fn storm_until(pair: &mut Pair, storm: Storm, patience: usize, is_done: impl Fn(&Pair) -> bool) {
    for turn in 0..patience {
        if is_done(pair) {
            return;
        }
        for write in (0..storm.files).filter(|_| turn % storm.every == 0) {
            let file = (turn / storm.every * storm.files + write) % STORM_FILES;
            let content = vec![turn.to_le_bytes()[0]; storm.bytes];
            pair.write(A, &format!("/z/storm{file}"), content);
        }
        pair.turn();
    }
    panic!(
        "it took more than {patience} turns: {:#?}",
        pair.nodes[&A].report()
    );
}

#[test]
fn an_essential_change_goes_before_a_burst_of_others() {
    let mut pair = pair(Direction::ActiveToPassive);
    burst(&mut pair, A);
    pair.write(A, "/z/one", "urgent");
    assert_first(&mut pair, A);
}

/// Writes a file as most programs do.
fn write_by_rename(pair: &mut Pair, at: &str, content: &str) {
    let new = format!("{at}.new");
    let [from, to] = [&new, at].map(|at| pair.nodes[&A].at(at));
    fs::write(&from, content).unwrap();
    fs::rename(from, to).unwrap();
    for at in [&new, at] {
        pair.change(A, at, |_| {});
    }
}

#[test]
fn an_essential_change_by_rename_goes_before_a_burst_of_others() {
    for others_by_rename in [false, true] {
        let mut pair = pair(Direction::ActiveToPassive);
        write_by_rename(&mut pair, "/z/one", "old");
        burst(&mut pair, A);
        pair.settle();
        for number in 0..BURST / 4 {
            let at = format!("/s/{number}");
            match others_by_rename {
                true => write_by_rename(&mut pair, &at, "not so urgent as that"),
                false => pair.write(A, &at, "not so urgent as that"),
            }
        }
        write_by_rename(&mut pair, "/z/one", "urgent");
        assert_first(&mut pair, A);
    }
}

#[test]
fn an_essential_file_that_is_removed_goes_before_a_burst_of_others() {
    let mut pair = pair(Direction::ActiveToPassive);
    pair.write(A, "/z/one", "not for long");
    pair.settle();
    burst(&mut pair, A);
    pair.change(A, "/z/one", |path| fs::remove_file(path).unwrap());
    let said = pair.said(A);
    let place = said
        .iter()
        .position(|bytes| removed(bytes) == Some(path("/z/one")));
    assert!(
        place.is_some_and(|place| place < FEW_MESSAGES),
        "it is number {place:?} of {}",
        said.len()
    );
}

#[test]
fn what_is_essential_is_found_first_where_notifications_were_lost() {
    let mut pair = pair(Direction::ActiveToPassive);
    let a = pair.nodes.get_mut(&A).unwrap();
    for number in 0..BURST {
        fs::write(a.at(&format!("/s/{number}")), "not so urgent").unwrap();
    }
    fs::write(a.at("/z/one"), "urgent").unwrap();
    a.core.handle(&Event::RescanAll, pair.now);
    assert_first(&mut pair, A);
}

#[test]
fn a_passive_offers_what_is_essential_first() {
    let mut pair = pair(Direction::Both);
    burst(&mut pair, B);
    pair.write(B, "/z/one", "urgent");
    assert_first(&mut pair, B);
    pair.settle();
}

#[test]
fn a_flush_does_not_wait_for_essential_files_that_are_written_all_the_time() {
    let mut pair = pair(Direction::ActiveToPassive);
    storm_until(&mut pair, STORM, BURST, |pair| {
        pair.read(B, "/z/storm63").is_some()
    });
    let before = 100;
    for number in 0..before {
        pair.write(A, &format!("/s/{number}"), "before the flush");
    }
    pair.ask_without_waiting(A, Request::Flush);
    // One of the others for each that was changed before, and what was changed before of both.
    let patience = 2 * before + 2 * STORM_FILES + FEW_TURNS;
    storm_until(&mut pair, STORM, patience, |pair| {
        !pair.nodes[&A].answers.is_empty()
    });
    for number in 0..before {
        assert!(pair.read(B, &format!("/s/{number}")).is_some(), "{number}");
    }
}

#[test]
fn essential_files_that_are_written_all_the_time_do_not_keep_others_waiting() {
    let mut pair = pair(Direction::ActiveToPassive);
    storm_until(&mut pair, STORM, BURST, |pair| {
        pair.read(B, "/z/storm63").is_some()
    });
    pair.write(A, "/s/other", "not so urgent");
    storm_until(&mut pair, STORM, ESSENTIAL_FIRST + FEW_TURNS, |pair| {
        pair.read(B, "/s/other").is_some()
    });
}

#[test]
fn a_flush_does_not_wait_for_essential_directories_that_are_made_anew_all_the_time() {
    let mut pair = pair(Direction::ActiveToPassive);
    pair.write(A, "/s/other", "before the flush");
    for turn in 0..20_000 {
        let directory = format!("/z/d{}", turn % 3);
        let at = pair.nodes[&A].at(&directory);
        let tell = |pair: &mut Pair| {
            let core = &mut pair.nodes.get_mut(&A).unwrap().core;
            core.handle(&Event::Rescan(Path::new(&directory)), pair.now);
        };
        let _ = fs::remove_dir_all(&at);
        tell(&mut pair);
        fs::create_dir(&at).unwrap();
        tell(&mut pair);
        for name in 0..5 {
            pair.write(A, &format!("{directory}/{name}"), turn.to_string());
        }
        if turn == 300 {
            pair.ask_without_waiting(A, Request::Flush);
        }
        pair.turn();
        if let Some(answer) = pair.nodes.get_mut(&A).unwrap().answers.pop() {
            return answer.outcome.unwrap();
        }
    }
    panic!("the flush was not answered");
}

/// A large content of priority 2 is under way.
fn on_its_way() -> Pair {
    let mut pair = pair(Direction::ActiveToPassive);
    pair.write(A, "/s/first", vec![1; LARGE_BYTES]);
    *pair.sent.borrow_mut() = 0;
    while *pair.sent.borrow() < LARGE_BYTES / 8 {
        assert!(pair.turn(), "nothing travels");
    }
    pair
}

/// Those of `paths` that are on the Passive, in the order in which they came there.
fn arrivals(pair: &mut Pair, paths: &[&str]) -> Vec<String> {
    let mut arrived: Vec<String> = Vec::new();
    while pair.turn() {
        for path in paths {
            if !arrived.iter().any(|other| other == path) && pair.read(B, path).is_some() {
                arrived.push((*path).to_owned());
            }
        }
    }
    arrived
}

#[test]
fn a_large_essential_content_goes_before_others_that_wait() {
    let mut pair = on_its_way();
    for at in ["/s/second", "/s/third", "/z/large"] {
        pair.write(A, at, vec![2; LARGE_BYTES]);
        for _ in 0..FEW_TURNS {
            pair.turn();
        }
    }
    let arrived = arrivals(&mut pair, &["/s/first", "/s/second", "/s/third", "/z/large"]);
    assert_eq!(arrived, ["/s/first", "/z/large", "/s/second", "/s/third"]);
}

#[test]
fn a_flush_waits_for_no_large_essential_content_that_was_changed_after_it() {
    let mut pair = on_its_way();
    pair.write(A, "/s/second", vec![2; LARGE_BYTES]);
    pair.ask_without_waiting(A, Request::Flush);
    for _ in 0..FEW_TURNS {
        pair.turn();
    }
    pair.write(A, "/z/large", vec![2; LARGE_BYTES]);
    while pair.nodes[&A].answers.is_empty() {
        assert!(pair.turn(), "the flush was not answered");
    }
    assert!(pair.read(B, "/s/second").is_some());
    assert!(pair.read(B, "/z/large").is_none());
    pair.settle();
    assert!(pair.read(B, "/z/large").is_some());
}

#[test]
fn large_essential_contents_without_end_do_not_keep_others_waiting() {
    let mut pair = on_its_way();
    pair.write(A, "/s/second", vec![2; 2 * INLINE_BYTES]);
    // Much more than the contents that may go before it take.
    storm_until(&mut pair, LARGE_STORM, 5000, |pair| {
        pair.read(B, "/s/second").is_some()
    });
}

#[test]
fn what_was_moved_from_an_essential_path_is_at_its_new_one_first() {
    for (length, next) in [(10, 10), (LARGE_BYTES, LARGE_BYTES), (LARGE_BYTES, 10)] {
        let mut pair = pair(Direction::ActiveToPassive);
        let (old, new) = (vec![1; length], vec![2; next]);
        pair.write(A, "/z/one", &old);
        pair.settle();
        burst(&mut pair, A);
        let [from, to] = ["/z/one", "/s/moved"].map(|at| pair.nodes[&A].at(at));
        fs::rename(&from, to).unwrap();
        pair.write(A, "/z/one", &new);
        pair.change(A, "/s/moved", |_| {});
        while pair.read(B, "/z/one").as_ref() != Some(&new) {
            assert!(pair.turn(), "the new one never came");
        }
        assert!(
            pair.read(B, "/s/moved") == Some(old),
            "{length} bytes were replaced first"
        );
    }
}

#[test]
fn what_was_moved_from_an_essential_path_while_nobody_followed_is_at_its_new_one_first() {
    for length in [10, LARGE_BYTES] {
        let mut pair = pair(Direction::ActiveToPassive);
        let content = vec![1; length];
        pair.change(A, "/z/d", |path| fs::create_dir(path).unwrap());
        pair.write(A, "/z/d/one", &content);
        pair.settle();
        pair.membership(&[B]);
        pair.membership(&[A]);
        burst(&mut pair, A);
        let [from, to] = ["/z/d", "/s/moved"].map(|at| pair.nodes[&A].at(at));
        fs::rename(from, to).unwrap();
        for at in ["/z/d", "/s/moved"] {
            pair.change(A, at, |_| {});
        }
        pair.settle();
        pair.join(&[A, B]);
        while pair.turn() {
            let copies = ["/z/d/one", "/s/moved/one"].map(|at| pair.read(B, at));
            assert!(copies.contains(&Some(content.clone())), "it was nowhere");
        }
        assert!(!pair.nodes[&B].at("/z/d").exists());
        assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
    }
}

#[test]
fn what_was_moved_from_an_essential_path_is_at_its_new_one_before_its_other_name_is_replaced() {
    let mut pair = pair(Direction::ActiveToPassive);
    let [old, new] = [1, 2].map(|byte| vec![byte; LARGE_BYTES]);
    pair.write(A, "/z/one", &old);
    let [one, link, moved] = ["/z/one", "/z/link", "/s/moved"].map(|at| pair.nodes[&A].at(at));
    pair.change(A, "/z/link", |link| fs::hard_link(&one, link).unwrap());
    pair.settle();
    fs::remove_file(link).unwrap();
    pair.write(A, "/z/link", &new);
    *pair.sent.borrow_mut() = 0;
    while *pair.sent.borrow() < LARGE_BYTES / 8 {
        assert!(pair.turn(), "nothing travels");
    }
    fs::rename(one, moved).unwrap();
    for at in ["/z/one", "/s/moved"] {
        pair.change(A, at, |_| {});
    }
    while pair.turn() {
        let copies = ["/z/one", "/z/link", "/s/moved"].map(|at| pair.read(B, at));
        assert!(copies.contains(&Some(old.clone())), "it was nowhere");
    }
    assert_eq!(pair.read(B, "/z/link"), Some(new));
    assert!(!pair.nodes[&B].at("/z/one").exists());
}

#[test]
fn a_directory_that_is_replicated_otherwise_at_its_new_path_is_there_first() {
    let mut pair = pair(Direction::ActiveToPassive);
    let content = vec![1; LARGE_BYTES];
    pair.change(A, "/s/d", |path| fs::create_dir(path).unwrap());
    pair.write(A, "/s/d/large", &content);
    pair.settle();
    let [from, to] = ["/s/d", "/z/d"].map(|at| pair.nodes[&A].at(at));
    fs::rename(from, to).unwrap();
    let a = &mut pair.nodes.get_mut(&A).unwrap().core;
    for at in ["/s/d", "/z/d"] {
        a.handle(&Event::Rescan(Path::new(at)), pair.now);
    }
    while pair.read(B, "/z/d/large").is_none() {
        assert!(pair.turn(), "it never came");
        let copies = ["/s/d/large", "/z/d/large"].map(|at| pair.read(B, at));
        assert!(copies.contains(&Some(content.clone())), "it was nowhere");
    }
    pair.settle();
    assert!(!pair.nodes[&B].at("/s/d").exists());
}

#[test]
fn a_large_file_is_at_its_new_path_before_a_directory_takes_its_place() {
    for (from, to) in [("/s/one", "/z/moved"), ("/z/one", "/s/moved")] {
        let mut pair = pair(Direction::ActiveToPassive);
        let content = vec![1; LARGE_BYTES];
        pair.write(A, from, &content);
        pair.settle();
        let [old, new] = [from, to].map(|at| pair.nodes[&A].at(at));
        fs::rename(&old, new).unwrap();
        fs::create_dir(&old).unwrap();
        fs::write(old.join("within"), "1").unwrap();
        let a = &mut pair.nodes.get_mut(&A).unwrap().core;
        a.handle(&Event::Rescan(Path::new(from)), pair.now);
        a.handle(&Event::Changed(Path::new(to)), pair.now);
        let within = format!("{from}/within");
        while pair.read(B, &within).is_none() {
            assert!(pair.turn(), "it never came");
            let copies = [from, to].map(|at| pair.read(B, at));
            assert!(copies.contains(&Some(content.clone())), "it was nowhere");
        }
        pair.settle();
        assert_eq!(pair.read(B, to), Some(content));
    }
}
