//! Large contents between two cores: what they may hold up, what may hold them up, and what may end them.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use bmc_replication::chunks::Seed;
use bmc_replication::wire::Message;
use bmc_replication::{Event, Request, Sync};

use support::{A, B, CHANGES, Node, Pair, are_named_alike, noise, path, unpacked};

/// Large enough to be on its way for many turns.
const LARGE_BYTES: usize = 2 << 20;

/// Turns in which a small change is read, sent, applied and acknowledged although something large is on its way.
const FEW_TURNS: usize = 10;

/// Turns in which a large content arrives between small changes without end: one for each change that may go before each
/// of its pieces, and some times as many.
const MANY_TURNS: usize = 4 * 17 * (LARGE_BYTES >> 16);

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

/// Files that programs write in turn.
const OTHERS: usize = 16;

/// Deadlines of other things that may come before that of an answer.
const FEW_DEADLINES: usize = 5;

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
                pair.write(A, &format!("/s/other{}", turn / every % OTHERS), content);
            }
            _ => {}
        }
        pair.turn();
    }
    panic!("it never arrived: {:#?}", pair.nodes[&A].report());
}

/// Lets a node do all it can while nobody takes anything in. Returns how many bytes it sent.
fn work_alone(node: &mut Node, now: Duration) -> usize {
    let mut sent = 0;
    while node.core.has_work(now) {
        node.core.work(now);
        let messages = std::iter::from_fn(|| node.core.next_message());
        sent += messages
            .flat_map(|bytes| unpacked(&bytes))
            .map(|message| message.len())
            .sum::<usize>();
    }
    sent
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
    let sent = work_alone(pair.nodes.get_mut(&A).unwrap(), now);
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

#[test]
fn what_was_moved_and_written_anew_is_there_before_something_large_takes_its_last_name() {
    let mut pair = Pair::new();
    let [old, new] = [vec![1; LARGE_BYTES / 8], vec![2; LARGE_BYTES / 4]];
    pair.write(A, "/s/one", &old);
    let a = &pair.nodes[&A];
    fs::hard_link(a.at("/s/one"), a.at("/s/link")).unwrap();
    pair.change(A, "/s/link", |_| {});
    pair.settle();
    pair.write(A, "/s/first", vec![7; LARGE_BYTES]);
    for _ in 0..FEW_TURNS {
        pair.turn();
    }
    let a = &pair.nodes[&A];
    let [link, one, moved] = ["/s/link", "/s/one", "/s/moved"].map(|at| a.at(at));
    fs::remove_file(&link).unwrap();
    pair.write(A, "/s/link", vec![3; LARGE_BYTES / 8]);
    for _ in 0..FEW_TURNS {
        pair.turn();
    }
    fs::write(&one, &new).unwrap();
    fs::rename(one, moved).unwrap();
    for at in ["/s/one", "/s/moved"] {
        pair.change(A, at, |_| {});
    }
    while pair.turn() {
        let old_is_there = ["/s/one", "/s/link"]
            .map(|at| pair.read(B, at))
            .contains(&Some(old.clone()));
        let new_is_there = pair.read(B, "/s/moved").as_ref() == Some(&new);
        assert!(old_is_there || new_is_there, "it was nowhere");
    }
    pair.settle();
    assert!(pair.read(B, "/s/link") == Some(vec![3; LARGE_BYTES / 8]));
    assert!(!pair.nodes[&B].at("/s/one").exists());
}

/// Both have `content` at `/s/large`; nothing was sent yet.
fn both_have(content: &[u8]) -> Pair {
    let mut pair = Pair::new();
    pair.write(A, "/s/large", content);
    pair.ask(A, Request::Flush).unwrap();
    assert!(pair.read(B, "/s/large").unwrap() == content);
    *pair.sent.borrow_mut() = 0;
    pair
}

/// The same, and the Active has been started anew since: it does not know how the content is cut.
fn both_have_for_long(content: &[u8]) -> Pair {
    let mut pair = both_have(content);
    pair.membership(&[B]);
    pair.nodes.get_mut(&A).unwrap().restart(true);
    pair.membership(&[A, B]);
    assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
    *pair.sent.borrow_mut() = 0;
    pair
}

#[test]
fn of_a_large_file_only_what_changed_travels() {
    let before = noise(16 << 20);
    for (what, change) in CHANGES {
        let mut pair = both_have_for_long(&before);
        let mut after = before.clone();
        // First the Passive is asked what it has, then the Active knows.
        for limit in [40_000, 60_000] {
            change(&mut after);
            *pair.sent.borrow_mut() = 0;
            pair.write(A, "/s/large", &after);
            pair.ask(A, Request::Flush).unwrap();
            assert!(pair.read(B, "/s/large").unwrap() == after, "{what}");
            let sent = *pair.sent.borrow();
            assert!(sent < limit, "{what}: {sent} bytes were sent");
            after[8_000_000] ^= 1;
        }
    }
}

#[test]
fn a_small_change_is_applied_while_the_passive_still_copies_from_its_version() {
    let mut content = noise(16 << 20);
    let mut pair = both_have_for_long(&content);
    content[5_000_000..5_004_096].fill(1);
    pair.write(A, "/s/large", &content);
    let changed = fs::metadata(pair.nodes[&A].at("/s/large")).unwrap().mtime_nsec();
    let is_there = |pair: &Pair| fs::metadata(pair.nodes[&B].at("/s/large")).unwrap().mtime_nsec() == changed;
    // The Passive has told of its version: what comes now is to be copied.
    while *pair.sent.borrow() < 20_000 {
        assert!(pair.turn(), "nothing travels");
    }
    pair.write(A, "/s/small", "quick");
    let turns = turns_until(&mut pair, Meanwhile::Nothing, |pair| {
        pair.read(B, "/s/small").is_some()
    });
    assert!(turns <= FEW_TURNS, "it took {turns} turns");
    let copied = fs::read_dir(pair.nodes[&B].at("/s")).unwrap().map(Result::unwrap);
    let copied = copied.filter(|entry| entry.file_name().as_bytes().starts_with(b".bmc-ha-replication."));
    let copied: u64 = copied.map(|entry| entry.metadata().unwrap().len()).sum();
    assert!(
        (1..4 << 20).contains(&copied),
        "{copied} bytes are copied already"
    );
    pair.settle();
    assert!(is_there(&pair));
    assert!(pair.read(B, "/s/large").unwrap() == content);
}

#[test]
fn a_sibling_that_joins_with_an_older_version_is_sent_what_changed() {
    let content = noise(4 << 20);
    let mut pair = both_have(&content);
    pair.membership(&[A]);
    let mut after = content;
    after[1_000_000..1_004_096].fill(1);
    pair.write(A, "/s/large", &after);
    pair.settle();
    pair.nodes.get_mut(&B).unwrap().restart(false);
    pair.membership(&[A, B]);
    assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
    assert!(pair.read(B, "/s/large").unwrap() == after);
    assert!(
        *pair.sent.borrow() < 60_000,
        "{} bytes were sent",
        pair.sent.borrow()
    );
}

#[test]
fn a_version_that_is_not_there_any_more_is_made_up_for() {
    let behind_its_back: [fn(&Path); 3] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::write(path, "something else").unwrap(),
        |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        },
    ];
    for (change, both_have) in behind_its_back
        .into_iter()
        .flat_map(|change| [both_have, both_have_for_long].map(|both_have| (change, both_have)))
    {
        let content = noise(1 << 20);
        let mut pair = both_have(&content);
        change(&pair.nodes[&B].at("/s/large"));
        let after = [content.as_slice(), b"appended"].concat();
        pair.write(A, "/s/large", &after);
        pair.ask(A, Request::Flush).unwrap();
        assert!(pair.read(B, "/s/large").unwrap() == after);
    }
}

#[test]
fn a_version_that_changes_while_it_is_copied_is_noticed_and_made_up_for() {
    let content = noise(24 << 20);
    // The Passive has told of its version, or did not need to, and the first pieces were copied.
    for both_have in [both_have_for_long, both_have] {
        let mut pair = both_have(&content);
        let after = [b"put before", content.as_slice()].concat();
        pair.write(A, "/s/large", &after);
        while *pair.sent.borrow() < 20_000 {
            assert!(pair.turn(), "nothing travels");
        }
        assert!(pair.read(B, "/s/large").unwrap() == content);
        fs::write(pair.nodes[&B].at("/s/large"), vec![0; content.len()]).unwrap();
        pair.settle();
        pair.pass(Duration::from_secs(60));
        assert!(pair.read(B, "/s/large").unwrap() == after);
        assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
    }
}

#[test]
fn what_the_active_sent_before_is_made_anew_while_it_is_still_read() {
    let mut content = noise(32 << 20);
    let mut pair = both_have(&content);
    content[5_000_000..5_004_096].fill(1);
    content[30_000_000] ^= 1;
    pair.write(A, "/s/large", &content);
    let a = pair.nodes.get_mut(&A).unwrap();
    let (mut first, mut steps) = (None, 0);
    while a.core.has_work(Duration::ZERO) {
        a.core.work(Duration::ZERO);
        steps += 1;
        if first.is_none() && a.core.next_message().is_some() {
            first = Some(steps);
        }
    }
    // It reads 256 KiB in a step.
    let first = first.expect("something is sent");
    assert!((20..30).contains(&first) && steps > 100, "{first} of {steps}");
}

#[test]
fn a_large_file_that_is_only_touched_is_not_made_anew() {
    let content = noise(4 << 20);
    let mut pair = both_have(&content);
    let inode = |pair: &Pair| fs::metadata(pair.nodes[&B].at("/s/large")).unwrap().ino();
    let before = inode(&pair);
    pair.write(A, "/s/large", &content);
    pair.ask(A, Request::Flush).unwrap();
    assert_eq!(inode(&pair), before);
    assert!(*pair.sent.borrow() < 1000);
}

#[test]
fn what_was_sent_under_another_name_is_of_use_after_a_rename() {
    let mut content = noise(4 << 20);
    let mut pair = both_have(&content);
    fs::rename(pair.nodes[&A].at("/s/large"), pair.nodes[&A].at("/s/moved")).unwrap();
    pair.change(A, "/s/large", |_| {});
    pair.change(A, "/s/moved", |_| {});
    pair.settle();
    content[1_000_000..1_000_010].fill(1);
    pair.write(A, "/s/moved", &content);
    pair.ask(A, Request::Flush).unwrap();
    assert!(pair.read(B, "/s/moved").unwrap() == content);
    assert!(
        *pair.sent.borrow() < 18_000,
        "{} bytes were sent",
        pair.sent.borrow()
    );
}

#[test]
fn a_receiver_that_never_tells_its_version_is_sent_the_whole_content() {
    let content = noise(1 << 20);
    let mut pair = both_have_for_long(&content);
    pair.write(A, "/s/large", [content.as_slice(), b"appended"].concat());
    let a = pair.nodes.get_mut(&A).unwrap();
    assert!(work_alone(a, Duration::ZERO) < 1000);
    let mut sent = 0;
    for _ in 0..FEW_DEADLINES {
        let deadline = a.core.deadline().expect("silence is noticed");
        a.core.handle(&Event::Tick, deadline);
        sent += work_alone(a, deadline);
    }
    assert!(sent > 500_000, "{sent} bytes were sent");
}

#[test]
fn a_passive_names_the_pieces_of_its_version_as_the_one_who_asks_does() {
    let mut pair = both_have(&noise(1 << 20));
    let (epoch, now) = (pair.nodes[&A].report().position.epoch, pair.now);
    let b = pair.nodes.get_mut(&B).unwrap();
    let mut told = |transfer, seed| {
        let sign = Message::Sign {
            epoch,
            target: B,
            transfer,
            path: path("/s/large"),
            seed: Seed(seed),
            sections: vec![],
        };
        b.chunks_told(A, &sign, now)
    };
    let first = told(1000, 1);
    // A bridge that was started anew may use the number once more.
    assert!(!are_named_alike(&first, &told(1000, 2)));
    assert!(are_named_alike(&first, &told(1001, 1)));
}

#[test]
fn files_of_any_size_arrive_and_stay_what_they_are() {
    let mut pair = Pair::new();
    for size in [
        0,
        1,
        (64 << 10) - 1,
        64 << 10,
        (64 << 10) + 1,
        (1 << 20) + 1,
        256 << 20,
    ] {
        let content = noise(size);
        pair.write(A, "/s/any", &content);
        pair.ask(A, Request::Flush).unwrap();
        assert!(pair.read(B, "/s/any").unwrap() == content, "{size} bytes");
    }
}

#[test]
fn what_was_never_written_is_neither_read_nor_sent_nor_takes_room() {
    let mut pair = Pair::new();
    *pair.sent.borrow_mut() = 0;
    let size = 256 << 20;
    let write = |file: &fs::File| {
        file.set_len(size).unwrap();
        file.write_all_at(b"beginning", 0).unwrap();
        file.write_all_at(b"middle", size / 2).unwrap();
    };
    pair.change(A, "/s/sparse", |path| write(&fs::File::create(path).unwrap()));
    pair.ask(A, Request::Flush).unwrap();
    let copy = fs::File::open(pair.nodes[&B].at("/s/sparse")).unwrap();
    let metadata = copy.metadata().unwrap();
    assert_eq!(metadata.len(), size);
    assert!(
        metadata.blocks() * 512 < 1 << 20,
        "it takes {} blocks",
        metadata.blocks()
    );
    for (text, at) in [(b"beginn", 0), (b"middle", size / 2)] {
        let mut bytes = [0; 6];
        copy.read_exact_at(&mut bytes, at).unwrap();
        assert_eq!(&bytes, text);
    }
    assert!(
        *pair.sent.borrow() < 100_000,
        "{} bytes were sent",
        pair.sent.borrow()
    );

    // A hole that is filled with zeros is a content like any other, and the other way round.
    pair.change(A, "/s/sparse", |path| {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&[0; 1 << 20], 1 << 20).unwrap();
        file.write_all_at(b"end", size).unwrap();
    });
    pair.ask(A, Request::Flush).unwrap();
    assert_eq!(
        fs::metadata(pair.nodes[&B].at("/s/sparse")).unwrap().len(),
        size + 3
    );
}
