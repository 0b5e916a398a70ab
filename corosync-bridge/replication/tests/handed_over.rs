//! Large contents that are changed on a Passive, and handed over to the Active as what is new of them.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bmc_replication::agreed::Version;
use bmc_replication::chunks::Seed;
use bmc_replication::digest::Digest;
use bmc_replication::entry::{Attributes, Kind};
use bmc_replication::wire::{COPY_BYTES, Message, Operation, STRETCH_BYTES};
use bmc_replication::{Coverage, Direction, EntryPath, Event, NodeId, Request, Rule, Sync};

use support::{A, B, CHANGES, Node, Pair, are_named_alike, noise, path, unpacked};

/// `/s` goes to the Passive, `/b` both ways, `/p` to the Active.
#[derive(Debug)]
struct AllWays;

impl Coverage for AllWays {
    fn roots(&self) -> Vec<EntryPath> {
        ["/s", "/b", "/p"].map(path).to_vec()
    }

    fn covers(&self, entry: &EntryPath) -> bool {
        let within = |root: &EntryPath| entry == root || entry.is_beneath(root);
        self.roots().iter().any(within)
    }

    fn rule(&self, entry: &EntryPath) -> Rule {
        let within = |root: &str| *entry == path(root) || entry.is_beneath(&path(root));
        let direction = if within("/b") {
            Direction::Both
        } else if within("/p") {
            Direction::PassiveToActive
        } else {
            Direction::ActiveToPassive
        };
        Rule {
            direction,
            ..Rule::default()
        }
    }

    fn offered_roots(&self) -> Vec<EntryPath> {
        ["/b", "/p"].map(path).to_vec()
    }
}

/// Where a file is changed on the Passive.
const TWO_WAY: &str = "/b/large";
const PASSIVES: &str = "/p/large";

/// A the Active, B in sync, both with `content` at `at`; nothing was sent yet.
fn both_have(at: &str, content: &[u8]) -> Pair {
    let [a, b] = [(); 2].map(|()| Node::with(Rc::new(AllWays)));
    for node in [&a, &b] {
        fs::create_dir(node.at("/b")).unwrap();
        fs::create_dir(node.at("/p")).unwrap();
    }
    fs::write(b.at(at), content).unwrap();
    let mut pair = Pair::of(a, b);
    pair.ask(A, Request::Promote).unwrap();
    assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
    assert!(pair.read(A, at).unwrap() == content);
    *pair.sent.borrow_mut() = 0;
    pair
}

/// Bytes of a content that the Active has put together out of sight, in `directory`.
fn put_together(pair: &Pair, directory: &str) -> Option<u64> {
    let entries = fs::read_dir(pair.nodes[&A].at(directory))
        .unwrap()
        .map(Result::unwrap);
    let mut staged =
        entries.filter(|entry| entry.file_name().as_bytes().starts_with(b".bmc-ha-replication."));
    staged.next().map(|entry| entry.metadata().unwrap().len())
}

fn assert_settled(pair: &mut Pair, at: &str, content: &[u8]) {
    for node in [A, B] {
        assert!(pair.read(node, at).unwrap() == content, "{at} on {node}");
        let report = pair.nodes[&node].report();
        assert_eq!((report.problems, report.conflicts), (vec![], 0), "{node}");
    }
    let of = |node| fs::metadata(pair.nodes[&node].at(at)).unwrap();
    let (a, b) = (of(A), of(B));
    assert_eq!(
        (a.mode(), a.uid(), a.mtime(), a.mtime_nsec()),
        (b.mode(), b.uid(), b.mtime(), b.mtime_nsec())
    );
    assert!(put_together(pair, "/b").is_none() && put_together(pair, "/p").is_none());
    assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
}

#[test]
fn of_a_large_file_of_a_passive_only_what_changed_travels() {
    let before = noise(16 << 20);
    for (at, changes) in [(TWO_WAY, &CHANGES[..]), (PASSIVES, &CHANGES[..2])] {
        let mut pair = both_have(at, &before);
        for (what, change) in changes {
            let mut after = before.clone();
            change(&mut after);
            // There, and back again.
            for content in [&after, &before] {
                *pair.sent.borrow_mut() = 0;
                pair.change(B, at, |file| {
                    fs::write(file, content).unwrap();
                    fs::set_permissions(file, fs::Permissions::from_mode(0o640)).unwrap();
                });
                pair.settle();
                let sent = *pair.sent.borrow();
                assert_settled(&mut pair, at, content);
                // What was lost is new when it comes back.
                let limit = 40_000 + content.len().saturating_sub(after.len()) * 101 / 100;
                assert!(sent < limit, "{what} of {at}: {sent} bytes were sent");
            }
        }
    }
}

#[test]
fn what_changed_while_the_passive_was_away_travels_as_what_is_new() {
    for at in [TWO_WAY, PASSIVES] {
        let content = noise(4 << 20);
        let mut pair = both_have(at, &content);
        pair.membership(&[A]);
        let mut after = content;
        after[1_000_000..1_004_096].fill(1);
        fs::write(pair.nodes[&B].at(at), &after).unwrap();
        pair.nodes.get_mut(&B).unwrap().restart(false);
        pair.membership(&[A, B]);
        let sent = *pair.sent.borrow();
        assert_settled(&mut pair, at, &after);
        assert!(sent < 60_000, "{at}: {sent} bytes were sent");
    }
}

#[test]
fn a_hole_of_a_passives_file_travels_as_one_and_comes_out_as_one() {
    let size = 64 << 20;
    let mut pair = both_have(TWO_WAY, b"small");
    let write_at = |file: &Path, bytes: &[u8], at: u64| {
        let file = fs::OpenOptions::new().write(true).open(file).unwrap();
        file.write_all_at(bytes, at).unwrap();
    };
    let is_sparse = |pair: &Pair| fs::metadata(pair.nodes[&A].at(TWO_WAY)).unwrap().blocks() * 512 < 1 << 20;
    // First the Active has nothing large there, then most of it.
    pair.change(B, TWO_WAY, |file| {
        fs::File::create(file).unwrap().set_len(size).unwrap();
        write_at(file, &noise(200_000), 1 << 20);
    });
    pair.settle();
    let sent = *pair.sent.borrow();
    let content = pair.read(B, TWO_WAY).unwrap();
    assert_settled(&mut pair, TWO_WAY, &content);
    assert!(is_sparse(&pair));
    assert!(sent < 250_000, "{sent} bytes were sent");

    *pair.sent.borrow_mut() = 0;
    pair.change(B, TWO_WAY, |file| write_at(file, b"somewhere in it", size / 2));
    pair.settle();
    let sent = *pair.sent.borrow();
    let content = pair.read(B, TWO_WAY).unwrap();
    assert_settled(&mut pair, TWO_WAY, &content);
    assert!(is_sparse(&pair));
    assert!(sent < 40_000, "{sent} bytes were sent");
}

#[test]
fn a_version_of_the_active_that_changes_meanwhile_is_settled_like_any_other() {
    let content = noise(12 << 20);
    let after = [b"put before", content.as_slice()].concat();
    type Moment = fn(&Pair) -> bool;
    let moments: [Moment; 2] = [
        // The Active was asked what its version is made of.
        |pair| *pair.sent.borrow() > 200,
        // It has told, and copied some of it.
        |pair| put_together(pair, "/b").or(put_together(pair, "/p")).unwrap_or(0) > 4 << 20,
    ];
    for (moment, is_told) in moments
        .into_iter()
        .flat_map(|moment| [(moment, true), (moment, false)])
    {
        for (at, written) in [
            (TWO_WAY, vec![0; content.len()]),
            (TWO_WAY, b"something else".to_vec()),
            (PASSIVES, vec![0; content.len()]),
        ] {
            let mut pair = both_have(at, &content);
            pair.write(B, at, &after);
            while !moment(&pair) {
                assert!(pair.turn(), "nothing comes of it");
            }
            assert!(pair.read(A, at).unwrap() == content);
            if is_told {
                pair.write(A, at, &written);
            } else {
                // The kernel has not told of it yet.
                fs::write(pair.nodes[&A].at(at), &written).unwrap();
            }
            pair.settle();
            pair.pass(Duration::from_secs(60));
            let expected = if at == TWO_WAY { &written } else { &after };
            for node in [A, B] {
                assert!(pair.read(node, at).unwrap() == *expected, "{at} on {node}");
                assert_eq!(pair.nodes[&node].report().problems, []);
            }
            // Of two changes of one path the Active's counts.
            let kept = pair.nodes[&B].report().conflicts;
            assert_eq!(kept, u64::from(at == TWO_WAY));
            assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
        }
    }
}

/// Lets `workers` work a bit, and has what B says be something else. Returns whether anything was done or said.
fn turn_with(
    pair: &mut Pair,
    workers: &[NodeId],
    mut other: impl FnMut(&Message<'_>) -> Option<Message<'static>>,
) -> bool {
    let mut busy = false;
    let mut messages = Vec::new();
    for (&id, node) in &mut pair.nodes {
        if workers.contains(&id) && node.core.has_work(pair.now) {
            busy = true;
            node.core.work(pair.now);
        }
        if node.core.is_behind() {
            busy = true;
            node.core.handle(&Event::CaughtUp, pair.now);
        }
        while let Some(bytes) = node.core.next_message() {
            messages.extend(unpacked(&bytes).into_iter().map(|bytes| (id, bytes)));
        }
    }
    for (from, bytes) in messages {
        busy = true;
        let replaced = (from == B).then(|| other(&Message::decode(&bytes).unwrap()));
        let bytes = replaced.flatten().map_or(bytes, |message| message.encode());
        *pair.sent.borrow_mut() += bytes.len();
        for node in pair.nodes.values_mut() {
            node.core
                .handle(&Event::Delivered { from, bytes: &bytes }, pair.now);
        }
    }
    busy
}

/// Lets both work, and has what B says be something else.
fn settle_with(pair: &mut Pair, mut other: impl FnMut(&Message<'_>) -> Option<Message<'static>>) {
    for _ in 0..support::TURNS {
        if !turn_with(pair, &[A, B], &mut other) {
            return;
        }
    }
    panic!("the nodes do not come to rest");
}

#[test]
fn what_does_not_come_to_what_was_offered_is_asked_for_as_a_whole() {
    let content = noise(4 << 20);
    let mut pair = both_have(TWO_WAY, &content);
    let after = [content.as_slice(), b"appended"].concat();
    pair.write(B, TWO_WAY, &after);
    let mut wrong = 0;
    settle_with(&mut pair, |message| match *message {
        Message::PieceCopy {
            epoch,
            offer,
            offset,
            from,
            length,
        } => {
            wrong += 1;
            Some(Message::PieceCopy {
                epoch,
                offer,
                offset,
                from: from + 1,
                length,
            })
        }
        _ => None,
    });
    assert!(wrong > 0);
    assert!(*pair.sent.borrow() > content.len());
    assert_settled(&mut pair, TWO_WAY, &after);
}

#[test]
fn an_active_that_never_tells_its_version_is_sent_the_whole_content() {
    let content = noise(1 << 20);
    let mut pair = both_have(TWO_WAY, &content);
    let after = [content.as_slice(), b"appended"].concat();
    pair.write(B, TWO_WAY, &after);
    // The question does not come to the Active.
    settle_with(&mut pair, |message| match *message {
        Message::SignBase {
            epoch, offer, seed, ..
        } => Some(Message::SignBase {
            epoch,
            offer: !offer,
            seed,
            sections: vec![],
        }),
        _ => None,
    });
    assert!(pair.read(A, TWO_WAY).unwrap() == content);
    assert!(*pair.sent.borrow() < 1000);
    pair.pass(Duration::from_secs(9));
    assert!(pair.read(A, TWO_WAY).unwrap() == content);
    pair.pass(Duration::from_secs(2));
    assert!(*pair.sent.borrow() > content.len());
    assert_settled(&mut pair, TWO_WAY, &after);
}

#[test]
fn a_small_change_is_announced_while_the_active_still_copies_from_its_version() {
    let content = noise(24 << 20);
    let mut pair = both_have(TWO_WAY, &content);
    let after = [content.as_slice(), b"appended"].concat();
    pair.write(B, TWO_WAY, &after);
    while put_together(&pair, "/b").unwrap_or(0) < 1 << 20 {
        assert!(pair.turn(), "nothing is put together");
    }
    pair.write(A, "/s/small", "quick");
    let mut turns = 0;
    while pair.read(B, "/s/small").is_none() {
        turns += 1;
        assert!(turns < 10, "it took {turns} turns");
        pair.turn();
    }
    let copied = put_together(&pair, "/b").expect("it is still put together");
    assert!(copied < 8 << 20, "{copied} bytes are copied already");
    pair.settle();
    assert_settled(&mut pair, TWO_WAY, &after);
}

#[test]
fn a_content_that_is_told_to_be_whole_is_put_together_step_by_step_all_the_same() {
    let content = noise(8 << 20);
    let mut pair = both_have(TWO_WAY, &content);
    let after = [content.as_slice(), b"appended"].concat();
    pair.write(B, TWO_WAY, &after);
    // The Active takes in what comes, and puts nothing together.
    let mut is_whole = false;
    while !is_whole {
        let workers = match put_together(&pair, "/b") {
            None => &[A, B][..],
            Some(_) => &[B],
        };
        let busy = turn_with(&mut pair, workers, |message| {
            is_whole |= matches!(
                message,
                Message::Contribution {
                    operation: Operation::PutTransferred { .. },
                    ..
                }
            );
            None
        });
        assert!(busy, "it is never told to be whole");
    }
    let copied = put_together(&pair, "/b").expect("it is not whole yet");
    assert!(copied < 1 << 20, "{copied} bytes were copied at once");
    pair.settle();
    assert_settled(&mut pair, TWO_WAY, &after);
}

/// Says to A what B would not.
fn say(pair: &mut Pair, message: &Message<'_>) {
    let bytes = message.encode();
    let a = &mut pair.nodes.get_mut(&A).unwrap().core;
    a.handle(
        &Event::Delivered {
            from: B,
            bytes: &bytes,
        },
        pair.now,
    );
}

#[test]
fn the_active_names_the_pieces_of_its_version_as_the_one_who_asks_does() {
    let mut pair = both_have(PASSIVES, &noise(1 << 20));
    let (epoch, offer, now) = (pair.nodes[&A].report().position.epoch, 1, pair.now);
    let version = Some(Version {
        kind: Kind::File,
        content: Digest::of(b"something else"),
        attributes: Digest::of(b"whatever"),
    });
    say(
        &mut pair,
        &Message::Offer {
            epoch,
            offer,
            path: path(PASSIVES),
            base: None,
            now: version,
        },
    );
    while turn_with(&mut pair, &[A], |_| None) {}
    let a = pair.nodes.get_mut(&A).unwrap();
    let mut told = |seed| {
        let sign = Message::SignBase {
            epoch,
            offer,
            seed: Seed(seed),
            sections: vec![],
        };
        a.chunks_told(B, &sign, now)
    };
    let first = told(1);
    assert!(!are_named_alike(&first, &told(2)));
    assert!(are_named_alike(&first, &told(1)));
}

#[test]
fn a_passive_that_hands_over_more_than_it_was_asked_for_is_not_listened_to() {
    let content = noise(8 << 20);
    let mut pair = both_have(PASSIVES, &content);
    let (epoch, offer) = (pair.nodes[&A].report().position.epoch, 1);
    let now = Some(Version {
        kind: Kind::File,
        content: Digest::of(b"something else"),
        attributes: Digest::of(b"whatever"),
    });
    let of = path(PASSIVES);
    say(
        &mut pair,
        &Message::Offer {
            epoch,
            offer,
            path: of.clone(),
            base: None,
            now,
        },
    );
    while turn_with(&mut pair, &[A], |_| None) {}
    let (seed, sections, from, length) = (Seed(1), vec![], 0, COPY_BYTES);
    say(
        &mut pair,
        &Message::SignBase {
            epoch,
            offer,
            seed,
            sections,
        },
    );
    while turn_with(&mut pair, &[A], |_| None) {}
    for number in 0..100 {
        let copy = Message::PieceCopy {
            epoch,
            offer,
            offset: number * COPY_BYTES,
            from,
            length,
        };
        say(&mut pair, &copy);
    }
    assert!(
        put_together(&pair, "/p").unwrap() < 1 << 20,
        "it was copied at once"
    );
    while turn_with(&mut pair, &[A], |_| None) {}
    let copied = put_together(&pair, "/p").unwrap();
    assert_eq!(copied, 2 * COPY_BYTES);

    // Nor are those that lead nowhere; the content as a whole is asked for.
    let offset = copied;
    for from in [u64::MAX, u64::MAX >> 1, copied] {
        let copy = Message::PieceCopy {
            epoch,
            offer,
            offset,
            from,
            length,
        };
        say(&mut pair, &copy);
        while turn_with(&mut pair, &[A], |_| None) {}
    }
    let hole = Message::PieceHole {
        epoch,
        offer,
        offset: u64::MAX,
        length: STRETCH_BYTES,
    };
    say(&mut pair, &hole);
    let operation = Operation::PutTransferred {
        path: of,
        attributes: Attributes::default(),
        transfer: offer,
        size: u64::MAX,
        digest: Digest::of(b"something else"),
    };
    say(
        &mut pair,
        &Message::Contribution {
            epoch,
            offer,
            operation,
        },
    );
    while turn_with(&mut pair, &[A], |_| None) {}
    assert!(pair.read(A, PASSIVES).unwrap() == content);
    assert!(put_together(&pair, "/p").is_none());
}
