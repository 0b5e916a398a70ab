//! A flush is about what was written before it: what is written after it never keeps it waiting.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::fs;
use std::path::Path;

use bmc_replication::{Event, Request};
use support::{A, B, Pair};

/// Turns in which something is changed before the flush is asked for.
const BEFORE: usize = 300;

/// Lets `change` change something before each turn, and asks for a flush in the midst of it. It has to be answered in
/// `patience` turns; in each a core takes one step.
fn flush_while(patience: usize, mut change: impl FnMut(&mut Pair, usize)) {
    let mut pair = Pair::new();
    let pair = &mut pair;
    for turn in 0..BEFORE {
        change(pair, turn);
        pair.turn();
    }
    pair.ask_without_waiting(A, Request::Flush);
    for turn in BEFORE..BEFORE + patience {
        change(pair, turn);
        pair.turn();
        if let Some(answer) = pair.nodes.get_mut(&A).unwrap().answers.pop() {
            return answer.outcome.unwrap();
        }
    }
    panic!("the flush was not answered");
}

#[test]
fn a_flush_does_not_wait_for_files_that_are_written_all_the_time() {
    flush_while(20, |pair, turn| {
        pair.write(A, &format!("/s/{}", turn % 7), turn.to_string());
    });
}

#[test]
fn a_flush_does_not_wait_for_directories_that_are_made_anew_all_the_time() {
    // Some hundred each time that it is put off, four times that, and then it looks at everything and waits once more: 1000 to
    // 5000, by how much each look can tell in its moment.
    flush_while(20_000, |pair: &mut Pair, turn| {
        let directory = format!("/s/d{}", turn % 3);
        let tell = |pair: &mut Pair| {
            let core = &mut pair.nodes.get_mut(&A).unwrap().core;
            core.handle(&Event::Rescan(Path::new(&directory)), pair.now);
        };
        let at = pair.nodes[&A].at(&directory);
        let _ = fs::remove_dir_all(&at);
        tell(pair);
        fs::create_dir(&at).unwrap();
        tell(pair);
        for name in 0..5 {
            pair.write(A, &format!("{directory}/{name}"), turn.to_string());
        }
    });
}

/// A program writes two files, asks for a flush, and renames the second `turns` turns after that. Returns whether it was in time.
fn rename_while_flushed(length: usize, turns: usize) -> bool {
    let mut pair = Pair::new();
    let content = vec![1; length];
    pair.write(A, "/s/first", &content);
    pair.write(A, "/s/second", &content);
    pair.ask_without_waiting(A, Request::Flush);
    for _ in 0..turns {
        pair.turn();
    }
    let is_in_time = pair.nodes[&A].answers.is_empty();
    let [from, to] = ["/s/second", "/s/renamed"].map(|at| pair.nodes[&A].at(at));
    fs::rename(from, to).unwrap();
    for at in ["/s/second", "/s/renamed"] {
        pair.change(A, at, |_| {});
    }
    while pair.nodes[&A].answers.is_empty() {
        assert!(pair.turn(), "the flush was not answered");
    }
    let copies = ["/s/second", "/s/renamed"].map(|at| pair.read(B, at));
    let is_there = copies.contains(&Some(content));
    assert!(
        is_there,
        "{length} bytes are missing that were renamed after {turns} turns"
    );
    is_in_time
}

#[test]
fn a_flush_covers_what_was_written_before_it_and_renamed_while_it_waits() {
    for length in [10, 300_000] {
        let renamed = (0..)
            .take_while(|turns| rename_while_flushed(length, *turns))
            .count();
        assert!(renamed > 2, "it was never renamed while the flush waited");
    }
}

#[test]
fn a_flush_covers_what_was_moved_more_often_than_it_waits_for_that() {
    const OTHERS: usize = 40;
    let mut pair = Pair::new();
    let content = "written before the flush".as_bytes();
    let at = |number: usize| format!("/s/{number}");
    pair.write(A, &at(0), content);
    pair.ask_without_waiting(A, Request::Flush);
    let mut number = 0;
    for turn in 0.. {
        // So much waits that it was moved on whenever its turn comes.
        pair.write(A, &format!("/s/other{}", turn % OTHERS), turn.to_string());
        if turn % 5 == 0 {
            let names = [number, number + 1].map(at);
            let [from, to] = names.each_ref().map(|name| pair.nodes[&A].at(name));
            fs::rename(from, to).unwrap();
            names.iter().for_each(|name| pair.change(A, name, |_| {}));
            number += 1;
        }
        pair.turn();
        if !pair.nodes[&A].answers.is_empty() {
            break;
        }
        assert!(turn < 100 * OTHERS, "the flush was not answered");
    }
    let is_copy = |number: usize| pair.read(B, &at(number)).as_deref() == Some(content);
    assert!(
        (0..=number).any(is_copy),
        "what was moved {number} times is missing"
    );
}

/// A program writes `/s/d/file`, asks for a flush, moves `what` and writes the file anew, before anybody looked.
fn move_and_write_anew_while_flushed(what: &str) {
    let mut pair = Pair::new();
    let content = "written before the flush".as_bytes();
    let [directory, old, new] = ["/s/d", what, "/s/moved"].map(|at| pair.nodes[&A].at(at));
    fs::create_dir(&directory).unwrap();
    let event = |pair: &mut Pair, event: &Event<'_>| {
        let core = &mut pair.nodes.get_mut(&A).unwrap().core;
        core.handle(event, pair.now);
    };
    event(&mut pair, &Event::Rescan(Path::new("/s/d")));
    pair.write(A, "/s/d/file", content);
    pair.ask_without_waiting(A, Request::Flush);
    let is_tree = old == directory;
    fs::rename(old, new).unwrap();
    let [gone, there] = [what, "/s/moved"].map(Path::new);
    if is_tree {
        fs::create_dir(&directory).unwrap();
        event(&mut pair, &Event::Rescan(gone));
        event(&mut pair, &Event::Rescan(there));
    } else {
        event(&mut pair, &Event::Left(gone));
        event(&mut pair, &Event::Changed(there));
    }
    pair.write(A, "/s/d/file", "written after it");
    while pair.nodes[&A].answers.is_empty() {
        assert!(pair.turn(), "the flush was not answered");
    }
    let copies = ["/s/moved", "/s/moved/file"].map(|at| fs::read(pair.nodes[&B].at(at)).ok());
    assert!(copies.contains(&Some(content.to_vec())), "{what} is missing");
}

#[test]
fn a_flush_covers_what_was_moved_and_written_anew_before_anybody_looked() {
    move_and_write_anew_while_flushed("/s/d/file");
    move_and_write_anew_while_flushed("/s/d");
}
