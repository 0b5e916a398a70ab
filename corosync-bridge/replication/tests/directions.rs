//! Changes that are made on the Passive: where they go, what wins, and what becomes of the loser.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bmc_replication::agreed::Version;
use bmc_replication::conflicts::{Conflict, ConflictDirectory};
use bmc_replication::digest::Digest;
use bmc_replication::entry::Kind;
use bmc_replication::wire::{INLINE_BYTES, Message};
use bmc_replication::{Coverage, Direction, EntryPath, Event, NodeId, Request, Rule, Sync, Timing};

use support::{A, B, Node, PERIOD, Pair, noise, path, unpacked};

/// `/s` goes to the Passive, but for `/s/own`, which goes both ways like all of `/b`, and like `/slow`, which is periodic; `/p` goes to the Active.
#[derive(Debug)]
struct AllWays;

impl Coverage for AllWays {
    fn roots(&self) -> Vec<EntryPath> {
        ["/s", "/b", "/p", "/slow"].map(path).to_vec()
    }

    fn covers(&self, entry: &EntryPath) -> bool {
        let within = |root: &EntryPath| entry == root || entry.is_beneath(root);
        self.roots().iter().any(within)
    }

    fn rule(&self, entry: &EntryPath) -> Rule {
        let within = |root: &str| *entry == path(root) || entry.is_beneath(&path(root));
        let direction = if within("/b") || within("/s/own") || within("/slow") {
            Direction::Both
        } else if within("/p") {
            Direction::PassiveToActive
        } else {
            Direction::ActiveToPassive
        };
        let timing = match within("/slow") {
            true => Timing::Periodic(PERIOD),
            false => Timing::Immediate,
        };
        Rule {
            direction,
            timing,
            ..Rule::default()
        }
    }

    fn is_uniform(&self, directory: &EntryPath) -> bool {
        directory.is_beneath(&path("/b"))
    }

    fn listened_entry(&self, entry: &EntryPath) -> Option<usize> {
        (*entry == path("/b/shared")).then_some(7)
    }

    fn offered_roots(&self) -> Vec<EntryPath> {
        ["/s/own", "/b", "/p", "/slow"].map(path).to_vec()
    }
}

fn node() -> Node {
    Node::with(Rc::new(AllWays))
}

/// A the Active, B in sync, `/b/shared` on both.
fn pair() -> Pair {
    let a = node();
    fs::create_dir(a.at("/b")).unwrap();
    fs::write(a.at("/b/shared"), "both").unwrap();
    let mut pair = Pair::of(a, node());
    pair.ask(A, Request::Promote).unwrap();
    assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
    assert_eq!(pair.read(B, "/b/shared").unwrap(), b"both");
    pair
}

fn part(pair: &mut Pair) {
    for alone in [A, B] {
        let members = [alone];
        let node = pair.nodes.get_mut(&alone).unwrap();
        let event = Event::Membership {
            me: alone,
            members: &members,
        };
        node.core.handle(&event, pair.now);
    }
    pair.members = vec![];
}

fn meet(pair: &mut Pair) {
    pair.membership(&[A, B]);
    pair.pass(Duration::from_secs(2));
}

fn kept_aside(pair: &Pair, node: NodeId) -> Vec<Conflict> {
    let kept = ConflictDirectory::new(pair.nodes[&node].state.path())
        .list()
        .unwrap();
    assert_eq!(pair.nodes[&node].report().conflicts, kept.len() as u64);
    kept
}

#[test]
fn a_change_on_the_passive_reaches_the_active_with_everything_and_no_conflict() {
    let mut pair = pair();
    pair.write(B, "/s/own", "a password");
    pair.write(B, "/b/large", vec![7; 20 * INLINE_BYTES]);
    pair.change(B, "/b/link", |path| symlink("over/there", path).unwrap());
    pair.change(B, "/b/d", |path| fs::create_dir(path).unwrap());
    pair.write(B, "/b/d/x", "deep");
    pair.change(B, "/b/shared", |path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o601)).unwrap();
    });
    pair.settle();
    assert_eq!(pair.read(A, "/s/own").unwrap(), b"a password");
    assert_eq!(pair.read(A, "/b/large").unwrap(), vec![7; 20 * INLINE_BYTES]);
    assert_eq!(pair.read(A, "/b/d/x").unwrap(), b"deep");
    let link = fs::read_link(pair.nodes[&A].at("/b/link")).unwrap();
    assert_eq!(link.to_str(), Some("over/there"));
    let shared = fs::metadata(pair.nodes[&A].at("/b/shared")).unwrap();
    assert_eq!(shared.permissions().mode() & 0o777, 0o601);
    assert_eq!((kept_aside(&pair, A).len(), kept_aside(&pair, B).len()), (0, 0));
    let (a, b) = (pair.nodes[&A].report(), pair.nodes[&B].report());
    assert_eq!((a.problems, b.problems), (vec![], vec![]));
    assert_eq!(a.position, b.position);
}

#[test]
fn a_name_that_the_active_gave_a_file_outside_keeps_its_attributes_when_a_passive_changes_them() {
    let mut pair = pair();
    pair.write(A, "/b/file", "content");
    pair.assert_alike();
    let outside = pair.nodes[&A].root.path().join("outside");
    fs::hard_link(pair.nodes[&A].at("/b/file"), &outside).unwrap();
    let before = fs::metadata(&outside).unwrap().permissions();
    pair.change(B, "/b/file", |path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o4711)).unwrap();
    });
    pair.pass(Duration::from_secs(2));
    pair.assert_alike();
    let here = fs::metadata(pair.nodes[&A].at("/b/file")).unwrap();
    assert_eq!(here.permissions().mode() & 0o7777, 0o4711);
    assert_eq!(fs::metadata(&outside).unwrap().permissions(), before);
}

#[test]
fn an_exception_that_comes_or_goes_on_the_passive_leaves_the_mtime_of_its_directory_to_the_active() {
    let mut pair = pair();
    let mtime = |pair: &Pair, node| {
        let directory = pair.nodes[&node].at("/s");
        fs::metadata(directory).unwrap().modified().unwrap()
    };
    let before = mtime(&pair, A);
    pair.write(B, "/s/own", "a password");
    pair.settle();
    assert_eq!(pair.read(A, "/s/own").unwrap(), b"a password");
    assert_eq!((mtime(&pair, A), mtime(&pair, B)), (before, before));
    pair.change(B, "/s/own", |path| fs::remove_file(path).unwrap());
    pair.settle();
    assert_eq!(pair.read(A, "/s/own"), None);
    assert_eq!((mtime(&pair, A), mtime(&pair, B)), (before, before));
}

#[test]
fn many_changes_of_one_file_on_the_passive_end_with_the_last_one_and_no_conflict() {
    let mut pair = pair();
    for round in 0..200 {
        pair.write(B, "/b/shared", format!("{round:04}"));
        pair.turn();
    }
    pair.settle();
    assert_eq!(pair.read(A, "/b/shared").unwrap(), b"0199");
    assert_eq!(pair.read(B, "/b/shared").unwrap(), b"0199");
    assert_eq!(kept_aside(&pair, B).len(), 0);
}

#[test]
fn what_is_not_configured_to_go_to_the_active_does_not() {
    let mut pair = pair();
    pair.write(A, "/s/setting", "the Active's");
    pair.settle();
    pair.write(B, "/s/setting", "the Passive's");
    pair.settle();
    assert_eq!(pair.read(A, "/s/setting").unwrap(), b"the Active's");
}

#[test]
fn a_removal_on_either_side_while_apart_holds_and_nothing_comes_back() {
    let mut pair = pair();
    for name in ["by-a", "by-b"] {
        pair.write(A, &format!("/b/{name}"), "agreed");
    }
    pair.change(A, "/b/d", |path| fs::create_dir(path).unwrap());
    pair.write(A, "/b/d/x", "agreed");
    pair.settle();
    part(&mut pair);
    pair.change(A, "/b/by-a", |path| fs::remove_file(path).unwrap());
    pair.change(B, "/b/by-b", |path| fs::remove_file(path).unwrap());
    pair.change(B, "/b/d", |path| fs::remove_dir_all(path).unwrap());
    meet(&mut pair);
    for node in [A, B] {
        for gone in ["/b/by-a", "/b/by-b", "/b/d"] {
            assert!(!pair.nodes[&node].at(gone).exists(), "{gone} on {node}");
        }
        assert_eq!(pair.read(node, "/b/shared").unwrap(), b"both");
        assert_eq!(kept_aside(&pair, node).len(), 0);
    }
}

#[test]
fn of_two_changes_while_apart_the_actives_counts_and_the_other_is_kept_aside() {
    let mut pair = pair();
    part(&mut pair);
    pair.write(A, "/b/shared", "the Active's");
    pair.write(B, "/b/shared", "the Passive's");
    pair.write(B, "/b/only-here", "the Passive's");
    meet(&mut pair);
    for node in [A, B] {
        assert_eq!(pair.read(node, "/b/shared").unwrap(), b"the Active's");
        assert_eq!(pair.read(node, "/b/only-here").unwrap(), b"the Passive's");
    }
    let kept = kept_aside(&pair, B);
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].about["path"], "/b/shared");
    assert_eq!(
        fs::read(kept[0].content.as_ref().unwrap()).unwrap(),
        b"the Passive's"
    );
    assert_eq!(kept_aside(&pair, A).len(), 0);
}

#[test]
fn a_file_changed_here_and_removed_with_its_directory_there_is_kept_aside() {
    let mut pair = pair();
    pair.change(A, "/b/d", |path| fs::create_dir(path).unwrap());
    pair.write(A, "/b/d/x", "agreed");
    pair.settle();
    part(&mut pair);
    pair.change(A, "/b/d", |path| fs::remove_dir_all(path).unwrap());
    pair.write(B, "/b/d/x", "changed meanwhile");
    meet(&mut pair);
    assert!(!pair.nodes[&A].at("/b/d").exists());
    assert!(!pair.nodes[&B].at("/b/d").exists());
    let kept = kept_aside(&pair, B);
    let contents: Vec<_> = kept.iter().filter_map(|kept| kept.content.as_ref()).collect();
    assert_eq!(contents.len(), 1, "{kept:?}");
    assert_eq!(fs::read(contents[0]).unwrap(), b"changed meanwhile");
}

/// Whether A compares B's copy once it was offered a new `/b/x` there instead of one that A has not.
fn is_compared_after_a_lost_offer(pair: &mut Pair) -> bool {
    let version = |content: &[u8]| Version {
        kind: Kind::File,
        content: Digest::of(content),
        attributes: Digest::of(b"attributes"),
    };
    let offer = Message::Offer {
        epoch: pair.nodes[&A].report().position.epoch,
        offer: 1,
        path: path("/b/x"),
        base: Some(version(b"agreed once, and gone on both")),
        now: Some(version(b"new")),
    };
    let (now, core) = (pair.now, &mut pair.nodes.get_mut(&A).unwrap().core);
    let bytes = offer.encode();
    core.handle(
        &Event::Delivered {
            from: B,
            bytes: &bytes,
        },
        now,
    );
    while core.has_work(now) {
        core.work(now);
    }
    let said = std::iter::from_fn(|| core.next_message()).flat_map(|bytes| unpacked(&bytes));
    let is_compare = |bytes: &Vec<u8>| matches!(Message::decode(bytes), Ok(Message::Compare { .. }));
    said.filter(is_compare).count() > 0
}

#[test]
fn who_loses_again_with_a_change_of_what_is_gone_on_both_is_compared() {
    let mut pair = pair();
    assert!(
        !is_compared_after_a_lost_offer(&mut pair),
        "what it lost to may be on its way"
    );
    assert!(is_compared_after_a_lost_offer(&mut pair));
}

#[test]
fn after_a_failover_the_old_actives_untold_change_is_settled_like_any_other() {
    let mut pair = pair();
    part(&mut pair);
    pair.write(A, "/b/shared", "A's, told to nobody");
    pair.write(A, "/b/new", "A's, told to nobody");
    pair.members = vec![B];
    pair.ask(B, Request::Promote).unwrap();
    pair.write(B, "/b/shared", "B's");
    pair.settle();
    meet(&mut pair);
    for node in [A, B] {
        assert_eq!(pair.read(node, "/b/shared").unwrap(), b"B's");
        assert_eq!(pair.read(node, "/b/new").unwrap(), b"A's, told to nobody");
    }
    let kept = kept_aside(&pair, A);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(
        fs::read(kept[0].content.as_ref().unwrap()).unwrap(),
        b"A's, told to nobody"
    );
}

#[test]
fn what_travels_periodically_is_looked_for_on_the_passive_too() {
    let mut pair = pair();
    fs::write(pair.nodes[&B].at("/slow"), "written on the Passive").unwrap();
    pair.settle();
    assert_eq!(pair.read(A, "/slow"), None);
    pair.pass(PERIOD);
    assert_eq!(pair.read(A, "/slow").unwrap(), b"written on the Passive");
}

#[test]
fn where_only_the_passive_counts_the_active_takes_and_removes_whatever_it_has() {
    let (a, b) = (node(), node());
    for node in [&a, &b] {
        fs::create_dir(node.at("/p")).unwrap();
    }
    fs::write(a.at("/p/extra"), "the Active's").unwrap();
    fs::write(a.at("/p/log"), "the Active's").unwrap();
    fs::write(b.at("/p/log"), "the Passive's").unwrap();
    let mut pair = Pair::of(a, b);
    pair.ask(A, Request::Promote).unwrap();
    assert!(!pair.nodes[&A].at("/p/extra").exists());
    assert_eq!(pair.read(A, "/p/log").unwrap(), b"the Passive's");
    pair.write(A, "/p/log", "changed on the Active");
    pair.settle();
    assert_eq!(pair.read(B, "/p/log").unwrap(), b"the Passive's");
    pair.write(B, "/p/log", "again the Passive's");
    pair.settle();
    assert_eq!(pair.read(A, "/p/log").unwrap(), b"again the Passive's");
    assert_eq!((kept_aside(&pair, A).len(), kept_aside(&pair, B).len()), (0, 0));
}

#[test]
fn with_the_record_of_what_was_agreed_damaged_nothing_is_lost_and_nothing_removed_comes_back() {
    let mut pair = pair();
    pair.write(A, "/b/gone", "agreed");
    pair.settle();
    part(&mut pair);
    let record = pair.nodes[&B].state.path().join("replication.agreed");
    let mut bytes = fs::read(&record).unwrap();
    bytes[20] ^= 1;
    fs::write(&record, bytes).unwrap();
    pair.change(A, "/b/gone", |path| fs::remove_file(path).unwrap());
    fs::write(pair.nodes[&B].at("/b/shared"), "changed meanwhile").unwrap();
    pair.nodes.get_mut(&B).unwrap().restart(false);
    meet(&mut pair);
    for node in [A, B] {
        assert!(!pair.nodes[&node].at("/b/gone").exists());
        assert_eq!(pair.read(node, "/b/shared").unwrap(), b"both");
    }
    let contents: Vec<Vec<u8>> = kept_aside(&pair, B)
        .iter()
        .filter_map(|kept| fs::read(kept.content.as_ref()?).ok())
        .collect();
    assert!(contents.contains(&b"changed meanwhile".to_vec()), "{contents:?}");
    pair.write(B, "/b/shared", "and on it goes");
    pair.settle();
    assert_eq!(pair.read(A, "/b/shared").unwrap(), b"and on it goes");
}

#[test]
fn a_program_on_the_passive_that_never_stops_writing_does_not_hold_back_its_join() {
    let (a, b) = (node(), node());
    for node in [&a, &b] {
        fs::create_dir(node.at("/b")).unwrap();
    }
    let mut pair = Pair::of(a, b);
    pair.ask_without_waiting(A, Request::Promote);
    let mut turns = 0;
    while pair.nodes[&B].report().sync != Sync::InSync {
        turns += 1;
        assert!(turns < 400, "still {:?}", pair.nodes[&B].report().sync);
        pair.write(B, &format!("/b/log{}", turns % 7), format!("line {turns}"));
        pair.turn();
    }
    let arrived = (0..7).filter(|number| pair.read(A, &format!("/b/log{number}")).is_some());
    assert!(arrived.count() > 0);
    pair.settle();
    for number in 0..7 {
        let name = format!("/b/log{number}");
        assert_eq!(pair.read(A, &name), pair.read(B, &name));
    }
}

#[test]
fn changes_without_end_on_the_active_do_not_keep_a_change_of_the_passive_waiting() {
    let mut pair = pair();
    pair.write(B, "/s/own", "a password");
    for turn in 0..200 {
        for name in ["one", "two", "three"] {
            pair.write(A, &format!("/s/{name}"), format!("{turn}"));
        }
        pair.turn();
    }
    assert_eq!(pair.read(A, "/s/own").unwrap(), b"a password");
}

/// The Active makes a directory with a mode of its own.
fn make_directory(pair: &mut Pair) {
    pair.change(A, "/b/d", |path| {
        fs::create_dir(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o2751)).unwrap();
    });
}

/// The directory is there as the Active made it, with what the Active changed in it and nothing else.
fn assert_directory_is_back(pair: &Pair) {
    for node in [A, B] {
        assert_eq!(pair.read(node, "/b/d/changed").unwrap(), b"the Active's");
        assert_eq!(pair.read(node, "/b/d/other"), None, "{node}");
        let directory = fs::metadata(pair.nodes[&node].at("/b/d")).unwrap();
        assert_eq!(directory.permissions().mode() & 0o7777, 0o2751, "{node}");
    }
}

/// A program beside the Active moves a directory.
fn move_directory(pair: &mut Pair) {
    let [from, to] = ["/b/d", "/b/moved"].map(|at| pair.nodes[&A].at(at));
    fs::rename(from, to).unwrap();
    pair.change(A, "/b/d", |_| {});
    let a = &mut pair.nodes.get_mut(&A).unwrap().core;
    a.handle(&Event::Rescan(Path::new("/b/moved")), pair.now);
}

#[test]
fn a_directory_that_the_active_moves_is_moved_here_and_nothing_of_it_is_anyones_change() {
    let mut pair = pair();
    make_directory(&mut pair);
    let contents = ["/within", "/deeper/within"];
    pair.change(A, "/b/d/deeper", |path| fs::create_dir(path).unwrap());
    for at in contents {
        pair.write(A, &format!("/b/d{at}"), vec![1; INLINE_BYTES / 2]);
    }
    pair.settle();
    let inode = fs::metadata(pair.nodes[&B].at("/b/d/within")).unwrap().ino();
    *pair.sent.borrow_mut() = 0;
    move_directory(&mut pair);
    pair.settle();
    assert!(*pair.sent.borrow() < INLINE_BYTES / 2, "it was sent again");
    assert_eq!(
        fs::metadata(pair.nodes[&B].at("/b/moved/within")).unwrap().ino(),
        inode
    );
    assert!(!pair.nodes[&B].at("/b/d").exists());
    // All of it was agreed on: what either does with it then, also apart, is its own change.
    for (node, at) in [(A, "/b/moved/within"), (B, "/b/moved/deeper/within")] {
        pair.write(node, at, "changed");
        pair.settle();
    }
    part(&mut pair);
    fs::remove_dir_all(pair.nodes[&B].at("/b/moved/deeper")).unwrap();
    meet(&mut pair);
    for node in [A, B] {
        assert_eq!(pair.read(node, "/b/moved/within").unwrap(), b"changed");
        assert!(!pair.nodes[&node].at("/b/moved/deeper").exists(), "{node}");
        assert!(!pair.nodes[&node].at("/b/d").exists(), "{node}");
        assert_eq!(kept_aside(&pair, node).len(), 0, "{node}");
    }
    assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
}

/// What a program beside the Passive moves, with a large and a sparse file in it, is had from where it was.
#[test]
fn a_directory_that_the_passive_moves_is_made_from_what_the_active_has_and_not_sent_again() {
    let mut pair = pair();
    pair.change(A, "/b/d", |path| {
        fs::create_dir_all(path.join("deeper")).unwrap();
        fs::write(path.join("small"), vec![1; 10_000]).unwrap();
        fs::write(path.join("deeper/large"), noise(10 * INLINE_BYTES)).unwrap();
        let sparse = File::create(path.join("sparse")).unwrap();
        sparse.write_all_at(b"data", 1 << 20).unwrap();
        sparse.set_len(2 << 20).unwrap();
    });
    pair.assert_alike();
    *pair.sent.borrow_mut() = 0;
    let at = |at| pair.nodes[&B].at(at);
    fs::rename(at("/b/d"), at("/b/moved")).unwrap();
    pair.change(B, "/b/d", |_| {});
    let b = &mut pair.nodes.get_mut(&B).unwrap().core;
    b.handle(&Event::Rescan(Path::new("/b/moved")), pair.now);
    let has_large = |pair: &Pair| {
        let places = ["/b/d/deeper/large", "/b/moved/deeper/large"];
        places.iter().any(|at| pair.read(A, at).is_some())
    };
    while pair.turn() {
        assert!(has_large(&pair), "the Active has it nowhere");
    }
    assert!(*pair.sent.borrow() < 10_000, "it was sent again");
    assert!(!pair.nodes[&A].at("/b/d").exists());
    let blocks = |node| {
        fs::metadata(pair.nodes[&node].at("/b/moved/sparse"))
            .unwrap()
            .blocks()
    };
    assert_eq!(blocks(A), blocks(B));
    assert_eq!((kept_aside(&pair, A).len(), kept_aside(&pair, B).len()), (0, 0));
    let copies = [A, B].map(|node| copies::Copy::read(&pair.nodes[&node].at("/b"), &[]).unwrap());
    assert_eq!(copies[0].differences(&copies[1]), [""; 0]);
    pair.assert_alike();
}

#[test]
fn what_is_written_to_a_file_of_several_names_shows_under_all_on_both() {
    for (node, through) in [(A, "/b/x"), (A, "/b/y"), (B, "/b/x"), (B, "/b/y")] {
        let mut pair = pair();
        pair.write(A, "/b/x", "before");
        pair.settle();
        let [file, gone] = ["/b/x", "/b/gone"].map(|at| pair.nodes[&node].at(at));
        pair.change(node, "/b/y", |name| fs::hard_link(&file, name).unwrap());
        pair.settle();
        let assert_all_hold = |pair: &Pair, content: &[u8]| {
            for (at, other) in [("/b/x", A), ("/b/y", A), ("/b/x", B), ("/b/y", B)] {
                let is_there = pair.read(other, at).unwrap();
                assert_eq!(is_there, content, "{at} of {other}, {through} of {node}");
                let names = fs::metadata(pair.nodes[&other].at(at)).unwrap().nlink();
                assert_eq!(names, 2, "{at} of {other}, {through} of {node}");
            }
        };
        assert_all_hold(&pair, b"before");
        pair.write(node, through, "written through one");
        pair.settle();
        assert_all_hold(&pair, b"written through one");
        // The name through which it was written is gone before anybody has looked.
        fs::hard_link(&file, &gone).unwrap();
        fs::write(&gone, "through one that is gone").unwrap();
        pair.change(node, "/b/gone", |name| fs::remove_file(name).unwrap());
        pair.settle();
        assert_all_hold(&pair, b"through one that is gone");
        pair.change(node, through, |name| {
            fs::set_permissions(name, fs::Permissions::from_mode(0o604)).unwrap();
        });
        pair.settle();
        assert_all_hold(&pair, b"through one that is gone");
        assert_eq!((kept_aside(&pair, A).len(), kept_aside(&pair, B).len()), (0, 0));
        let copies = [A, B].map(|node| copies::Copy::read(&pair.nodes[&node].at("/b"), &[]).unwrap());
        assert_eq!(copies[0].differences(&copies[1]), [""; 0]);
        pair.assert_alike();
    }
}

#[test]
fn names_that_were_given_while_apart_are_one_file_on_both() {
    for node in [A, B] {
        let mut pair = pair();
        part(&mut pair);
        let shared = pair.nodes[&node].at("/b/shared");
        for name in ["/b/first", "/b/second"] {
            pair.change(node, name, |name| fs::hard_link(&shared, name).unwrap());
        }
        meet(&mut pair);
        for other in [A, B] {
            assert_eq!(pair.read(other, "/b/second").unwrap(), b"both");
            let names = fs::metadata(pair.nodes[&other].at("/b/first")).unwrap().nlink();
            assert_eq!(names, 3, "of {other}, given on {node}");
            assert_eq!(kept_aside(&pair, other).len(), 0);
        }
        pair.assert_alike();
    }
}

#[test]
fn a_change_here_in_a_directory_that_the_active_moves_is_kept_aside() {
    let mut pair = pair();
    make_directory(&mut pair);
    for at in ["/b/d/changed", "/b/d/other"] {
        pair.write(A, at, "agreed");
    }
    pair.settle();
    fs::write(pair.nodes[&B].at("/b/d/changed"), "the Passive's").unwrap();
    move_directory(&mut pair);
    pair.change(B, "/b/d/changed", |_| {});
    pair.settle();
    pair.pass(Duration::from_secs(2));
    for node in [A, B] {
        assert_eq!(pair.read(node, "/b/moved/changed").unwrap(), b"agreed");
        assert_eq!(pair.read(node, "/b/moved/other").unwrap(), b"agreed");
        assert!(!pair.nodes[&node].at("/b/d").exists(), "{node}");
    }
    let kept = kept_aside(&pair, B);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(kept[0].about["path"], "/b/d/changed");
    assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
}

#[test]
fn a_directory_that_was_removed_here_comes_back_with_what_the_active_changed_in_it_and_nothing_else() {
    let mut pair = pair();
    make_directory(&mut pair);
    pair.write(A, "/b/d/changed", "agreed");
    pair.write(A, "/b/d/other", "agreed");
    pair.settle();
    pair.change(B, "/b/d", |path| fs::remove_dir_all(path).unwrap());
    pair.write(A, "/b/d/changed", "the Active's");
    pair.settle();
    pair.pass(Duration::from_secs(2));
    assert_directory_is_back(&pair);
}

#[test]
fn a_directory_that_a_file_took_the_place_of_here_comes_back_and_the_file_is_kept_aside() {
    let mut pair = pair();
    make_directory(&mut pair);
    pair.write(A, "/b/d/other", "agreed");
    pair.settle();
    pair.change(B, "/b/d", |path| {
        fs::remove_dir_all(path).unwrap();
        fs::write(path, "in its place").unwrap();
    });
    pair.write(A, "/b/d/changed", "the Active's");
    pair.settle();
    assert_eq!(pair.read(B, "/b/d/changed").unwrap(), b"the Active's");
    pair.pass(Duration::from_secs(2));
    assert_directory_is_back(&pair);
    let kept = kept_aside(&pair, B);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(kept[0].about["path"], "/b/d");
    assert_eq!(
        fs::read(kept[0].content.as_ref().unwrap()).unwrap(),
        b"in its place"
    );
}

#[test]
fn a_directory_that_is_removed_here_keeps_on_the_active_what_is_still_on_its_way() {
    let mut pair = pair();
    pair.change(A, "/b/d", |path| fs::create_dir(path).unwrap());
    pair.settle();
    let large = vec![7; 100 * INLINE_BYTES];
    pair.write(A, "/b/d/large", &large);
    pair.change(A, "/b/d", |_| ());
    // The directory was looked at for itself, and is told as it is now; the content in it waits for its turn.
    let told = |pair: &Pair, node| {
        fs::metadata(pair.nodes[&node].at("/b/d"))
            .unwrap()
            .modified()
            .unwrap()
    };
    while told(&pair, A) != told(&pair, B) {
        assert!(pair.turn());
    }
    pair.change(B, "/b/d", |path| fs::remove_dir(path).unwrap());
    pair.settle();
    pair.pass(Duration::from_secs(2));
    for node in [A, B] {
        let is_there = pair.read(node, "/b/d/large").is_some_and(|copy| copy == large);
        assert!(is_there, "{node} lost it");
    }
}

#[test]
fn an_exception_that_came_and_went_unseen_leaves_the_mtime_of_its_directory_to_the_active() {
    let mut pair = pair();
    let mtime = |pair: &Pair, node| {
        let directory = pair.nodes[&node].at("/s");
        fs::metadata(directory).unwrap().modified().unwrap()
    };
    pair.change(B, "/s/own", |path| {
        fs::write(path, "for a moment").unwrap();
        fs::remove_file(path).unwrap();
    });
    assert_ne!(mtime(&pair, A), mtime(&pair, B));
    pair.settle();
    assert_eq!(mtime(&pair, A), mtime(&pair, B));
}

#[test]
fn the_actives_services_are_told_of_what_it_takes_from_the_passive() {
    let mut pair = pair();
    let told = |pair: &mut Pair| {
        let active = pair.nodes.get_mut(&A).unwrap();
        active.core.take_applied().contains(&7)
    };
    assert!(!told(&mut pair));
    pair.write(B, "/b/other", "nobody listens");
    pair.settle();
    assert!(!told(&mut pair));
    pair.write(B, "/b/shared", "the Passive's");
    pair.settle();
    assert!(told(&mut pair));
    pair.change(B, "/b/shared", |path| fs::remove_file(path).unwrap());
    pair.settle();
    assert!(told(&mut pair));
}

#[test]
fn what_the_passive_puts_into_a_directory_that_the_active_does_not_have_is_kept_aside() {
    let mut pair = pair();
    for node in [A, B] {
        fs::remove_dir(pair.nodes[&node].at("/s")).unwrap();
    }
    pair.change(A, "/s", |_| {});
    pair.settle();
    fs::create_dir(pair.nodes[&B].at("/s")).unwrap();
    pair.write(B, "/s/own", "a password");
    pair.settle();
    assert!(!pair.nodes[&B].at("/s").exists());
    let kept = kept_aside(&pair, B);
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].about["path"], "/s/own");
    pair.pass(Duration::from_secs(2));
    let sent = *pair.sent.borrow();
    pair.pass(Duration::from_secs(2));
    assert_eq!(*pair.sent.borrow(), sent, "it is offered for ever");
}
