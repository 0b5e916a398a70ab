//! A flush is about what was written before it: what is written after it never keeps it waiting.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::fs;
use std::path::Path;

use bmc_replication::{Event, Request};
use support::{A, Pair};

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
    flush_while(1000, |pair: &mut Pair, turn| {
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
        for name in 0..20 {
            pair.write(A, &format!("{directory}/{name}"), turn.to_string());
        }
    });
}
