//! Everything about an entry but its content, on two real disks: each test ends with a comparison to the last attribute.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use bmc_replication::wire::{Message, Operation};
use bmc_replication::{Event, Request};
use support::{A, B, Node, Pair};

#[test]
fn a_directory_keeps_its_mtime_whatever_comes_and_goes_in_it() {
    let mut pair = Pair::new();
    pair.change(A, "/s/d", |path| fs::create_dir(path).unwrap());
    pair.assert_alike();
    for round in 0..3 {
        pair.write(A, "/s/d/kept", round.to_string());
        pair.write(A, &format!("/s/d/new{round}"), "1");
        pair.change(A, "/s/d/link", |path| {
            let _ = fs::remove_file(path);
            symlink("nowhere", path).unwrap();
        });
        pair.change(A, &format!("/s/d/e{round}"), |path| fs::create_dir(path).unwrap());
        pair.assert_alike();
    }
    pair.change(A, "/s/d/new1", |path| fs::remove_file(path).unwrap());
    pair.change(A, "/s/d/e1", |path| fs::remove_dir(path).unwrap());
    pair.assert_alike();
    pair.write(A, "/s/d/large", vec![7; 1 << 20]);
    pair.assert_alike();
}

#[test]
fn a_new_content_alone_leaves_the_mtime_of_its_directory() {
    let mut pair = Pair::new();
    pair.write(A, "/s/file", "1");
    pair.assert_alike();
    pair.write(A, "/s/file", "2");
    pair.assert_alike();
}

#[test]
fn a_file_that_came_and_went_unseen_leaves_its_trace_in_the_mtime_of_the_directory() {
    let mut pair = Pair::new();
    pair.change(A, "/s/passing", |path| {
        fs::write(path, "1").unwrap();
        fs::remove_file(path).unwrap();
    });
    pair.assert_alike();
}

#[test]
fn a_directory_that_came_and_went_unseen_leaves_its_trace_in_the_mtime_of_the_one_above() {
    let mut pair = Pair::new();
    pair.write(A, "/s/file", "1");
    pair.assert_alike();
    let passing = pair.nodes[&A].at("/s/passing");
    fs::create_dir(&passing).unwrap();
    fs::remove_dir(&passing).unwrap();
    let a = pair.nodes.get_mut(&A).unwrap();
    a.core
        .handle(&Event::Rescan(Path::new("/s/passing")), Duration::ZERO);
    pair.assert_alike();
}

#[test]
fn what_an_editor_replaces_by_a_rename_leaves_both_directories_alike() {
    let mut pair = Pair::new();
    pair.write(A, "/s/setting", "before");
    pair.assert_alike();
    let next = pair.nodes[&A].at("/s/setting.next");
    pair.write(A, "/s/setting.next", "after");
    pair.change(A, "/s/setting", |path| fs::rename(&next, path).unwrap());
    pair.change(A, "/s/setting.next", |_| {});
    pair.assert_alike();
    assert_eq!(pair.read(B, "/s/setting").unwrap(), b"after");
}

#[test]
fn a_touch_alone_carries_the_new_mtime_of_a_file_and_of_a_directory() {
    let mut pair = Pair::new();
    pair.write(A, "/s/file", "1");
    pair.change(A, "/s/d", |path| fs::create_dir(path).unwrap());
    pair.settle();
    let inode = fs::metadata(pair.nodes[&B].at("/s/file")).unwrap().ino();
    for (at, nanoseconds) in [("/s/file", 1), ("/s/d", 2)] {
        pair.change(A, at, |path| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds);
            File::open(path).unwrap().set_modified(time).unwrap();
        });
    }
    pair.assert_alike();
    let copy = fs::metadata(pair.nodes[&B].at("/s/file")).unwrap();
    assert_eq!((copy.mtime(), copy.mtime_nsec(), copy.ino()), (0, 1, inode));
}

#[test]
fn what_is_new_beneath_a_sticky_or_set_group_id_directory_is_as_on_the_active() {
    let mut pair = Pair::new();
    for (at, mode) in [("/s/sticky", 0o1777), ("/s/group", 0o2775)] {
        pair.change(A, at, |path| {
            fs::create_dir(path).unwrap();
            std::os::unix::fs::chown(path, Some(12), Some(34)).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        });
        pair.change(A, &format!("{at}/inside"), |path| fs::create_dir(path).unwrap());
        pair.write(A, &format!("{at}/file"), "1");
    }
    pair.assert_alike();
    let group = fs::metadata(pair.nodes[&B].at("/s/group/file")).unwrap();
    assert_eq!(group.gid(), 34);
}

/// Bytes that went over the network since the last call.
fn sent(pair: &Pair) -> usize {
    pair.sent.replace(0)
}

/// A directory with some hundred KiB in it, on both.
fn pair_with_a_full_directory() -> Pair {
    let mut pair = Pair::new();
    pair.change(A, "/s/d", |path| {
        fs::create_dir_all(path.join("e/f")).unwrap();
        fs::write(path.join("e/large"), vec![1; 300_000]).unwrap();
        for number in 0..20 {
            fs::write(path.join(format!("file{number}")), vec![1; 10_000]).unwrap();
        }
    });
    pair.assert_alike();
    sent(&pair);
    pair
}

/// A program renames `from` to `to` on A, and the kernel tells of the ends in this order.
fn rename(pair: &mut Pair, from: &str, to: &str, told: [&str; 2]) {
    let [old, new] = [from, to].map(|at| pair.nodes[&A].at(at));
    fs::rename(old, new).unwrap();
    for at in told {
        pair.change(A, at, |_| {});
    }
}

#[test]
fn what_takes_the_place_of_a_file_by_a_link_is_there_before_its_first_name_goes() {
    let mut pair = Pair::new();
    pair.write(A, "/s/b", "settings");
    pair.write(A, "/s/other", "replaced");
    let third = pair.nodes[&A].at("/s/third");
    pair.change(A, "/s/other", |path| fs::hard_link(path, &third).unwrap());
    pair.change(A, "/s/third", |_| ());
    pair.settle();
    let [first, other] = ["/s/b", "/s/other"].map(|at| pair.nodes[&A].at(at));
    fs::remove_file(&other).unwrap();
    fs::hard_link(&first, &other).unwrap();
    let (now, core) = (pair.now, &mut pair.nodes.get_mut(&A).unwrap().core);
    core.handle(&Event::Changed(Path::new("/s/other")), now);
    while core.has_work(now) {
        core.work(now);
    }
    // Its first name goes while the other waits for the kernel's word.
    fs::remove_file(&first).unwrap();
    for path in ["/s/b", "/s/other", "/s"] {
        core.handle(&Event::Changed(Path::new(path)), now);
    }
    core.handle(&Event::CaughtUp, now);
    while pair.turn() {
        let copies = ["/s/b", "/s/other"].map(|at| pair.read(B, at));
        assert!(copies.contains(&Some(b"settings".to_vec())), "{copies:?}");
    }
    pair.assert_alike();
}

#[test]
fn what_is_gone_is_told_as_that_only_when_the_kernel_was_heard_once_more() {
    let mut pair = pair_with_a_full_directory();
    for (from, to) in [("/s/d/e/large", "/s/moved"), ("/s/d", "/s/a")] {
        sent(&pair);
        let [old, new] = [from, to].map(|at| pair.nodes[&A].at(at));
        fs::rename(old, new).unwrap();
        // The old path is looked at for something that came before.
        let (now, core) = (pair.now, &mut pair.nodes.get_mut(&A).unwrap().core);
        core.handle(&Event::Changed(Path::new(from)), now);
        while core.has_work(now) {
            core.work(now);
        }
        assert!(core.is_behind(), "{from}");
        core.handle(&Event::Rescan(Path::new(to)), now);
        pair.settle();
        assert!(sent(&pair) < 2000, "{from}");
        pair.assert_alike();
    }
}

#[test]
fn a_directory_that_is_moved_on_before_anybody_looks_is_moved() {
    let mut pair = pair_with_a_full_directory();
    let [first, second, third] = ["/s/d", "/s/e", "/s/f"].map(|at| pair.nodes[&A].at(at));
    let now = pair.now;
    let work = |pair: &mut Pair, events: &[Event<'_>]| {
        let core = &mut pair.nodes.get_mut(&A).unwrap().core;
        events.iter().for_each(|event| core.handle(event, now));
        while core.has_work(now) {
            core.work(now);
        }
    };
    fs::rename(&first, &second).unwrap();
    work(&mut pair, &[Event::Changed(Path::new("/s/d"))]);
    fs::rename(&second, &third).unwrap();
    work(&mut pair, &[Event::Rescan(Path::new("/s/e")), Event::CaughtUp]);
    assert!(pair.nodes[&A].core.is_behind(), "the old path is told as gone");
    work(&mut pair, &[Event::Rescan(Path::new("/s/f"))]);
    pair.settle();
    assert!(sent(&pair) < 2000);
    pair.assert_alike();
}

#[test]
fn what_leaves_a_moved_directory_before_anybody_looks_is_never_missing() {
    let mut pair = Pair::new();
    pair.change(A, "/s/d", |path| {
        fs::create_dir(path).unwrap();
        fs::write(path.join("file"), "settings").unwrap();
    });
    pair.assert_alike();
    let now = pair.now;
    let [d, e, out] = ["/s/d", "/s/e", "/s/out"].map(|at| pair.nodes[&A].at(at));
    fs::rename(&d, &e).unwrap();
    let core = &mut pair.nodes.get_mut(&A).unwrap().core;
    core.handle(&Event::Rescan(Path::new("/s/d")), now);
    while core.has_work(now) {
        core.work(now);
    }
    // The old path waits for the word, and the new one to be looked at.
    core.handle(&Event::Rescan(Path::new("/s/e")), now);
    core.handle(&Event::CaughtUp, now);
    fs::rename(e.join("file"), &out).unwrap();
    for at in ["/s/e/file", "/s/out"] {
        core.handle(&Event::Changed(Path::new(at)), now);
    }
    while pair.turn() {
        let copies = ["/s/d/file", "/s/e/file", "/s/out"].map(|at| pair.read(B, at));
        assert!(copies.contains(&Some(b"settings".to_vec())), "it is nowhere");
    }
    pair.assert_alike();
}

#[test]
fn a_renamed_directory_moves_and_nothing_in_it_is_sent_again() {
    let mut pair = pair_with_a_full_directory();
    let inode = fs::metadata(pair.nodes[&B].at("/s/d/e/large")).unwrap().ino();
    rename(&mut pair, "/s/d", "/s/a", ["/s/a", "/s/d"]);
    pair.settle();
    assert!(sent(&pair) < 2000);
    pair.assert_alike();
    let copy = fs::metadata(pair.nodes[&B].at("/s/a/e/large")).unwrap();
    assert_eq!(copy.ino(), inode);
    // Deeper, and again.
    rename(&mut pair, "/s/a/e", "/s/e", ["/s/e", "/s/a/e"]);
    rename(&mut pair, "/s/a", "/s/e/f/a", ["/s/e/f/a", "/s/a"]);
    pair.settle();
    assert!(sent(&pair) < 4000);
    pair.assert_alike();
}

#[test]
fn a_renamed_directory_moves_though_nobody_told() {
    for to in ["/s/a", "/s/z"] {
        let mut pair = pair_with_a_full_directory();
        fs::rename(pair.nodes[&A].at("/s/d"), pair.nodes[&A].at(to)).unwrap();
        let a = pair.nodes.get_mut(&A).unwrap();
        a.core.handle(&Event::RescanAll, Duration::ZERO);
        pair.settle();
        assert!(sent(&pair) < 2000, "to {to}");
        pair.assert_alike();
    }
}

#[test]
fn what_changed_in_a_directory_while_it_was_renamed_is_not_missed() {
    let mut pair = pair_with_a_full_directory();
    let d = pair.nodes[&A].at("/s/d");
    fs::write(d.join("file1"), "changed before").unwrap();
    fs::rename(&d, pair.nodes[&A].at("/s/a")).unwrap();
    fs::write(pair.nodes[&A].at("/s/a/file2"), "changed after").unwrap();
    fs::remove_file(pair.nodes[&A].at("/s/a/file3")).unwrap();
    pair.change(A, "/s/a", |path| fs::write(path.join("e/f/new"), "new").unwrap());
    pair.change(A, "/s/d", |_| {});
    pair.settle();
    assert!(sent(&pair) < 3000);
    pair.assert_alike();
}

#[test]
fn a_flush_covers_what_was_removed_in_a_directory_before_that_was_renamed() {
    let mut pair = pair_with_a_full_directory();
    pair.change(A, "/s/d/file3", |path| fs::remove_file(path).unwrap());
    rename(&mut pair, "/s/d", "/s/a", ["/s/a", "/s/d"]);
    pair.ask_without_waiting(A, Request::Flush);
    while pair.nodes[&A].answers.is_empty() {
        assert!(pair.turn(), "the flush was not answered");
    }
    assert!(pair.read(B, "/s/a/file3").is_none());
    pair.assert_alike();
}

#[test]
fn what_is_in_a_directory_that_was_made_anew_does_not_move_with_the_old_one() {
    let mut pair = pair_with_a_full_directory();
    let [d, moved] = ["/s/d", "/s/moved"].map(|at| pair.nodes[&A].at(at));
    fs::rename(&d, &moved).unwrap();
    fs::create_dir(&d).unwrap();
    fs::write(d.join("file1"), "new").unwrap();
    // The kernel had told of the file before, and of the rest comes to tell only now.
    for at in ["/s/d/file1", "/s/moved", "/s/d"] {
        pair.change(A, at, |_| {});
    }
    while pair.turn() {
        let copy = pair.read(B, "/s/moved/file1");
        assert!(
            copy.is_none_or(|copy| copy == [1; 10_000]),
            "that was never there"
        );
    }
    assert_eq!(pair.read(B, "/s/d/file1").unwrap(), b"new");
    pair.assert_alike();
}

#[test]
fn a_directory_is_renamed_though_a_file_in_it_has_another_name_of_the_other_priority() {
    let mut pair = Pair::new();
    pair.change(A, "/s/d", |path| {
        fs::create_dir(path).unwrap();
        fs::write(path.join("file"), vec![1; 10_000]).unwrap();
    });
    let file = pair.nodes[&A].at("/s/d/file");
    pair.change(A, "/etc/one", |name| fs::hard_link(&file, name).unwrap());
    pair.ask(A, Request::FullSync).expect("a full synchronisation");
    // Another ctime, and nothing else that is new.
    pair.change(A, "/etc/one", |name| {
        fs::remove_file(name).unwrap();
        fs::hard_link(&file, name).unwrap();
    });
    pair.settle();
    sent(&pair);
    rename(&mut pair, "/s/d", "/s/moved", ["/s/moved", "/s/d"]);
    pair.settle();
    assert!(sent(&pair) < 2000);
    assert_eq!(pair.read(B, "/s/moved/file").unwrap().len(), 10_000);
    assert_eq!(pair.read(B, "/s/d/file"), None);
}

#[test]
fn a_large_file_that_leaves_a_directory_is_never_missing_when_that_is_renamed() {
    // The first directory is told as renamed, and the other as a new one: nothing in it is what it was.
    for changed in [None, Some("after")] {
        let mut pair = Pair::new();
        pair.change(A, "/s/d", |path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("large"), vec![1; 300_000]).unwrap();
            fs::write(path.join("small"), "before").unwrap();
        });
        pair.assert_alike();
        sent(&pair);
        let at = |at| pair.nodes[&A].at(at);
        fs::rename(at("/s/d/large"), at("/s/large")).unwrap();
        fs::rename(at("/s/d"), at("/s/moved")).unwrap();
        if let Some(changed) = changed {
            fs::write(at("/s/moved/small"), changed).unwrap();
        }
        for at in ["/s/large", "/s/d/large", "/s/moved", "/s/d", "/s/moved/small"] {
            pair.change(A, at, |_| {});
        }
        while pair.turn() {
            let places = ["/s/d/large", "/s/moved/large", "/s/large"];
            let is_there = places.iter().any(|at| pair.read(B, at).is_some());
            assert!(is_there, "changed: {changed:?}");
        }
        assert!(sent(&pair) < 2000, "changed: {changed:?}");
        pair.assert_alike();
    }
}

#[test]
fn a_large_file_that_is_renamed_while_it_waits_for_its_turn_is_never_missing() {
    for turns in 0..8 {
        let mut pair = Pair::new();
        pair.write(A, "/s/large", vec![1; 300_000]);
        pair.assert_alike();
        pair.write(A, "/s/before", vec![2; 300_000]);
        pair.change(A, "/s/large", |path| {
            let now = SystemTime::now();
            File::open(path).unwrap().set_modified(now).unwrap();
        });
        for _ in 0..turns {
            pair.turn();
        }
        rename(&mut pair, "/s/large", "/s/renamed", ["/s/large", "/s/renamed"]);
        while pair.turn() {
            let there = ["/s/large", "/s/renamed"].map(|at| pair.read(B, at).is_some());
            assert_ne!(there, [false; 2], "renamed after {turns} turns");
        }
        pair.assert_alike();
    }
}

#[test]
fn a_renamed_large_file_moves_also_over_another_one() {
    let mut pair = pair_with_a_full_directory();
    rename(
        &mut pair,
        "/s/d/e/large",
        "/s/moved",
        ["/s/moved", "/s/d/e/large"],
    );
    pair.settle();
    rename(&mut pair, "/s/moved", "/s/d/file0", ["/s/d/file0", "/s/moved"]);
    pair.settle();
    assert!(sent(&pair) < 2000);
    pair.assert_alike();
    assert_eq!(pair.read(B, "/s/d/file0").unwrap().len(), 300_000);
}

#[test]
fn a_touched_large_file_has_its_new_mtime_before_it_is_moved_over_another_one() {
    for has_another_name in [false, true] {
        let mut pair = pair_with_a_full_directory();
        let (large, target) = ("/s/d/e/large", "/s/d/file0");
        if has_another_name {
            let file = pair.nodes[&A].at(large);
            pair.change(A, "/s/another", |name| fs::hard_link(file, name).unwrap());
            pair.settle();
        }
        let file = File::open(pair.nodes[&A].at(large)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        rename(&mut pair, large, target, [target, large]);
        let said = pair.said(A);
        let told_of = |operation: &Operation<'_>| match operation {
            Operation::Attributes { path, .. } => Some(format!("attributes of {path}")),
            Operation::Rename { from, to } => Some(format!("{from} to {to}")),
            Operation::HardLink { path, to, .. } => Some(format!("{path} is {to}")),
            _ => None,
        };
        let told = said
            .iter()
            .filter_map(|bytes| match Message::decode(bytes).unwrap() {
                Message::Operation { operation, .. } => told_of(&operation),
                _ => None,
            });
        let told: Vec<String> = told.collect();
        let expected = match has_another_name {
            false => [format!("attributes of {large}"), format!("{large} to {target}")],
            true => [
                "attributes of /s/another".to_owned(),
                format!("{target} is /s/another"),
            ],
        };
        assert_eq!(told, expected);
    }
}

#[test]
fn a_renamed_small_file_leaves_its_old_name_only_once_it_is_at_the_new_one() {
    for told in [["/s/a", "/s/b"], ["/s/b", "/s/a"]] {
        let mut pair = Pair::new();
        pair.write(A, "/s/a", "content");
        pair.assert_alike();
        rename(&mut pair, "/s/a", "/s/b", told);
        while pair.turn() {
            let there = ["/s/a", "/s/b"].map(|at| pair.read(B, at).is_some());
            assert_ne!(there, [false; 2], "told of {told:?}");
        }
        pair.assert_alike();
    }
}

#[test]
fn what_takes_the_place_of_another_file_is_there_before_something_takes_its_own() {
    let logs = ["/s/log", "/s/log.1", "/s/log.2", "/s/log.3"];
    let in_order = logs.to_vec();
    let backwards = logs.into_iter().rev().collect();
    for told in [in_order, backwards] {
        for is_written_anew in [true, false] {
            let mut pair = Pair::new();
            for log in logs {
                pair.write(A, log, format!("written to {log}"));
            }
            pair.assert_alike();
            let kept = logs[..3].iter().map(|log| pair.read(B, log)).collect::<Vec<_>>();
            // As logs are rotated, the oldest first.
            for ends in logs.windows(2).rev() {
                let [from, to] = [ends[0], ends[1]].map(|at| pair.nodes[&A].at(at));
                fs::rename(from, to).unwrap();
            }
            if is_written_anew {
                fs::write(pair.nodes[&A].at(logs[0]), "new").unwrap();
            }
            for log in &told {
                pair.change(A, log, |_| {});
            }
            while pair.turn() {
                let copies: Vec<_> = logs.iter().map(|log| pair.read(B, log)).collect();
                for content in &kept {
                    assert!(copies.contains(content), "told of {told:?}: {copies:?}");
                }
            }
            pair.assert_alike();
        }
    }
}

#[test]
fn what_was_renamed_moves_also_when_its_old_name_is_told_of_first() {
    let mut pair = pair_with_a_full_directory();
    rename(&mut pair, "/s/d", "/s/g", ["/s/d", "/s/g"]);
    pair.settle();
    let bytes = sent(&pair);
    rename(
        &mut pair,
        "/s/g/e/large",
        "/s/large",
        ["/s/g/e/large", "/s/large"],
    );
    pair.settle();
    let more = sent(&pair);
    assert!(bytes < 2000 && more < 2000, "{bytes} {more}");
    pair.assert_alike();
}

#[test]
fn hard_links_stay_names_of_one_file_however_they_come_about() {
    let mut pair = Pair::new();
    let [file, large] = ["/s/m", "/s/large"].map(|at| pair.nodes[&A].at(at));
    pair.write(A, "/s/m", "content");
    pair.write(A, "/s/large", vec![1; 300_000]);
    pair.assert_alike();
    sent(&pair);
    // Before and behind it in order, and of a large one, whose content is not sent again.
    pair.change(A, "/s/a", |path| fs::hard_link(&file, path).unwrap());
    pair.change(A, "/s/z", |path| fs::hard_link(&file, path).unwrap());
    pair.change(A, "/s/big", |path| fs::hard_link(&large, path).unwrap());
    pair.settle();
    assert!(sent(&pair) < 4000);
    pair.assert_alike();
    let inodes = ["/s/a", "/s/m", "/s/z"].map(|at| fs::metadata(pair.nodes[&B].at(at)).unwrap().ino());
    assert_eq!(inodes, [inodes[0]; 3]);
    // Together with the directory that they are in.
    pair.change(A, "/s/d", |path| {
        fs::create_dir(path).unwrap();
        fs::write(path.join("1"), "both").unwrap();
        fs::hard_link(path.join("1"), path.join("2")).unwrap();
    });
    pair.assert_alike();
}

#[test]
fn a_content_written_through_one_name_shows_under_all() {
    let mut pair = pair_with_hard_links();
    for (at, content) in [("/s/b", "new"), ("/s/a", "newer"), ("/s/c", "newest")] {
        pair.write(A, at, content);
        pair.settle();
        for name in ["/s/a", "/s/b", "/s/c"] {
            assert_eq!(
                pair.read(B, name).unwrap(),
                content.as_bytes(),
                "{name} through {at}"
            );
        }
        pair.assert_alike();
    }
    for size in [200_000, 300_000] {
        pair.write(A, "/s/b", vec![1; size]);
        pair.assert_alike();
    }
    pair.change(A, "/s/c", |path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o601)).unwrap();
    });
    pair.assert_alike();
}

#[test]
fn what_was_written_through_a_name_that_is_gone_shows_under_the_others() {
    // One that was never known, and those that are gone, or names of something else then.
    for (at, then) in [
        ("/s/passing", ""),
        ("/s/b", ""),
        ("/s/b", "file"),
        ("/s/c", "directory"),
    ] {
        let mut pair = pair_with_hard_links();
        let file = pair.nodes[&A].at("/s/a");
        pair.change(A, at, |path| {
            let _ = fs::hard_link(&file, path);
            fs::write(path, "through it").unwrap();
            fs::remove_file(path).unwrap();
            match then {
                "file" => fs::write(path, "its own").unwrap(),
                "directory" => fs::create_dir(path).unwrap(),
                _ => {}
            }
        });
        pair.settle();
        assert_eq!(pair.read(B, "/s/a").unwrap(), b"through it", "{at} {then}");
        pair.assert_alike();
    }
}

#[test]
fn what_was_written_through_a_name_that_went_with_its_directory_shows_under_the_others() {
    for in_its_place in [None, Some("a file")] {
        let mut pair = pair_with_hard_links();
        let file = pair.nodes[&A].at("/s/a");
        pair.change(A, "/s/d", |path| fs::create_dir(path).unwrap());
        pair.change(A, "/s/d/within", |path| fs::hard_link(&file, path).unwrap());
        pair.assert_alike();
        pair.write(A, "/s/d/within", "through it");
        pair.change(A, "/s/d", |path| {
            fs::remove_dir_all(path).unwrap();
            if let Some(content) = in_its_place {
                fs::write(path, content).unwrap();
            }
        });
        pair.settle();
        assert_eq!(pair.read(B, "/s/a").unwrap(), b"through it", "{in_its_place:?}");
        pair.assert_alike();
    }
}

#[test]
fn names_that_are_replicated_unlike_are_files_of_their_own_of_one_content() {
    let mut pair = Pair::new();
    pair.write(A, "/s/a", "before");
    let file = pair.nodes[&A].at("/s/a");
    pair.change(A, "/etc/one", |path| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::hard_link(&file, path).unwrap();
    });
    for (at, content) in [("/s/a", "after"), ("/etc/one", "last")] {
        pair.write(A, at, content);
        pair.settle();
        for name in ["/s/a", "/etc/one"] {
            assert_eq!(
                pair.read(B, name).unwrap(),
                content.as_bytes(),
                "{name} through {at}"
            );
            let copy = fs::metadata(pair.nodes[&B].at(name)).unwrap();
            assert_eq!(copy.nlink(), 1);
        }
    }
}

#[test]
fn a_name_that_leaves_a_file_leaves_the_others_linked() {
    for leave in [0, 1, 2] {
        for name in ["/s/a", "/s/b", "/s/c"] {
            let mut pair = pair_with_hard_links();
            let next = pair.nodes[&A].at("/s/next");
            pair.change(A, name, |path| match leave {
                0 => fs::remove_file(path).unwrap(),
                1 => {
                    fs::write(&next, "its own").unwrap();
                    fs::rename(&next, path).unwrap();
                }
                _ => {
                    fs::remove_file(path).unwrap();
                    fs::create_dir(path).unwrap();
                }
            });
            pair.assert_alike();
        }
    }
}

#[test]
fn a_copy_that_takes_the_place_of_a_name_is_a_file_of_its_own() {
    for size in [7, 300_000] {
        for name in ["/s/a", "/s/b", "/s/c"] {
            for is_exact in [false, true] {
                let mut pair = pair_with_hard_links();
                pair.write(A, "/s/b", vec![1; size]);
                pair.assert_alike();
                let [file, next] = ["/s/b", "/s/next"].map(|at| pair.nodes[&A].at(at));
                pair.change(A, name, |path| {
                    fs::copy(&file, &next).unwrap();
                    if is_exact {
                        let mtime = fs::metadata(&file).unwrap().modified().unwrap();
                        File::open(&next).unwrap().set_modified(mtime).unwrap();
                    }
                    fs::rename(&next, path).unwrap();
                });
                pair.settle();
                let links = fs::metadata(pair.nodes[&B].at(name)).unwrap().nlink();
                assert_eq!(links, 1, "{name} of {size} bytes, exact: {is_exact}");
                pair.assert_alike();
            }
        }
    }
}

#[test]
fn a_copy_is_a_file_of_its_own_also_when_the_last_other_name_is_looked_at_first() {
    let mut pair = Pair::new();
    pair.write(A, "/s/a", "content");
    let [file, next] = ["/s/a", "/s/next"].map(|at| pair.nodes[&A].at(at));
    pair.change(A, "/s/b", |path| fs::hard_link(&file, path).unwrap());
    pair.assert_alike();
    fs::copy(&file, &next).unwrap();
    fs::rename(&next, pair.nodes[&A].at("/s/b")).unwrap();
    for at in ["/s/a", "/s/b"] {
        pair.change(A, at, |_| {});
    }
    pair.assert_alike();
}

#[test]
fn a_large_file_that_is_kept_under_another_name_and_replaced_is_never_missing() {
    let mut pair = Pair::new();
    pair.write(A, "/s/large", vec![1; 300_000]);
    pair.assert_alike();
    sent(&pair);
    let [file, next] = ["/s/large", "/s/next"].map(|at| pair.nodes[&A].at(at));
    pair.change(A, "/s/old", |path| {
        fs::hard_link(&file, path).unwrap();
        fs::write(&next, "replaced").unwrap();
        fs::rename(&next, &file).unwrap();
    });
    while pair.turn() {
        assert!(pair.nodes[&B].at("/s/large").exists());
    }
    pair.change(A, "/s/large", |_| {});
    pair.settle();
    assert!(sent(&pair) < 4000);
    pair.assert_alike();
}

#[test]
fn a_name_that_moves_with_its_directory_stays_linked_to_one_that_is_told_of_first() {
    let mut pair = Pair::new();
    pair.change(A, "/s/d", |path| {
        fs::create_dir(path).unwrap();
        fs::write(path.join("kept"), "by which the directory is known").unwrap();
        fs::write(path.join("x"), "content").unwrap();
        fs::hard_link(path.join("x"), path.parent().unwrap().join("y")).unwrap();
    });
    pair.change(A, "/s/y", |_| {});
    pair.assert_alike();
    for [from, to] in [["/s/y", "/s/z"], ["/s/d", "/s/e"]] {
        let from = pair.nodes[&A].at(from);
        fs::rename(from, pair.nodes[&A].at(to)).unwrap();
    }
    for at in ["/s/z", "/s/e", "/s/y", "/s/d"] {
        pair.change(A, at, |_| {});
    }
    pair.assert_alike();
}

#[test]
fn a_name_that_moves_with_its_directory_is_linked_to_one_that_was_not_known_to_be_another() {
    // The kernel tells of the rename before, between and after the looks at both names.
    for turns in 0..8 {
        let mut pair = Pair::new();
        pair.write(A, "/s/a", "content");
        pair.change(A, "/s/d", |path| fs::create_dir(path).unwrap());
        pair.assert_alike();
        let [file, d, e] = ["/s/a", "/s/d", "/s/e"].map(|at| pair.nodes[&A].at(at));
        pair.change(A, "/s/d/x", |path| fs::hard_link(file, path).unwrap());
        while !pair.nodes[&B].at("/s/d/x").exists() {
            assert!(pair.turn());
        }
        fs::rename(d, e).unwrap();
        for _ in 0..turns {
            pair.turn();
        }
        for at in ["/s/e", "/s/d"] {
            pair.change(A, at, |_| {});
        }
        pair.assert_alike();
    }
}

#[test]
fn a_large_file_that_loses_a_name_unseen_did_not_move_to_another() {
    for lost in ["/s/a", "/s/b"] {
        let mut pair = Pair::new();
        pair.write(A, "/s/a", vec![1; 300_000]);
        let file = pair.nodes[&A].at("/s/a");
        pair.change(A, "/s/b", |path| fs::hard_link(&file, path).unwrap());
        pair.assert_alike();
        fs::remove_file(pair.nodes[&A].at(lost)).unwrap();
        let a = pair.nodes.get_mut(&A).unwrap();
        a.core.handle(&Event::RescanAll, Duration::ZERO);
        pair.assert_alike();
    }
}

#[test]
fn what_was_written_through_the_last_name_is_not_missing_when_that_takes_the_place_of_another() {
    for told in [["/s/a", "/s/b"], ["/s/b", "/s/a"]] {
        let mut pair = Pair::new();
        pair.write(A, "/s/a", "content");
        let file = pair.nodes[&A].at("/s/a");
        pair.change(A, "/s/b", |path| fs::hard_link(&file, path).unwrap());
        pair.assert_alike();
        fs::remove_file(pair.nodes[&A].at("/s/b")).unwrap();
        pair.write(A, "/s/a", "newer");
        let is_newer = |pair: &Pair| {
            ["/s/a", "/s/b"]
                .iter()
                .any(|at| pair.read(B, at).is_some_and(|content| content == b"newer"))
        };
        while !is_newer(&pair) {
            assert!(pair.turn());
        }
        rename(&mut pair, "/s/a", "/s/b", told);
        while pair.turn() {
            assert!(is_newer(&pair), "told of {told:?}");
        }
        pair.assert_alike();
    }
}

#[test]
fn a_name_takes_the_place_of_another_file_with_the_attributes_of_its_own() {
    let mut pair = pair_with_hard_links();
    pair.write(A, "/s/other", "other");
    pair.assert_alike();
    // The kernel tells of the attributes later.
    let [file, next] = ["/s/a", "/s/next"].map(|at| pair.nodes[&A].at(at));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    pair.change(A, "/s/other", |path| {
        fs::hard_link(&file, &next).unwrap();
        fs::rename(&next, path).unwrap();
    });
    while pair.turn() {
        let copy = pair.nodes[&B].at("/s/other");
        let mode = fs::metadata(&copy).unwrap().permissions().mode();
        let is_own = fs::read(&copy).unwrap() == b"content";
        assert!(
            !is_own || mode & 0o777 == 0o600,
            "its own content with mode {mode:o}"
        );
    }
    pair.change(A, "/s/a", |_| {});
    pair.assert_alike();
}

#[test]
fn a_name_that_comes_while_a_passive_is_compared_leaves_it_nothing_to_complain_of() {
    let mut pair = Pair::new();
    pair.membership(&[A]);
    for number in 0..300 {
        pair.write(A, &format!("/s/file{number}"), number.to_string());
    }
    let file = pair.nodes[&A].at("/s/file299");
    pair.change(A, "/s/last", |path| fs::hard_link(&file, path).unwrap());
    pair.settle();
    pair.nodes.get_mut(&B).unwrap().restart(false);
    pair.join(&[A, B]);
    // Before and behind the two in order.
    let mut names = 0;
    while pair.turn() {
        let was_compared = pair.read(B, "/s/file0").is_some();
        if was_compared && names < 50 {
            names += 1;
            pair.change(A, &format!("/s/{}{names}", ["a", "z"][names % 2]), |path| {
                fs::hard_link(&file, path).unwrap();
            });
        }
        assert_eq!(pair.nodes[&A].report().problems, []);
    }
    assert_eq!(names, 50);
    pair.assert_alike();
}

#[test]
fn a_join_finds_names_that_are_not_linked_and_names_that_should_not_be() {
    let a = Node::new(false);
    let b = Node::new(false);
    for node in [&a, &b] {
        fs::write(node.at("/s/a"), "same").unwrap();
        fs::write(node.at("/s/x"), "same").unwrap();
    }
    fs::hard_link(a.at("/s/a"), a.at("/s/b")).unwrap();
    fs::write(b.at("/s/b"), "same").unwrap();
    fs::write(a.at("/s/y"), "same").unwrap();
    fs::hard_link(b.at("/s/x"), b.at("/s/y")).unwrap();
    let mut pair = Pair::of(a, b);
    pair.ask(A, Request::Promote).unwrap();
    pair.assert_alike();
}

#[test]
fn a_file_whose_other_name_is_not_replicated_is_just_a_file() {
    let mut pair = Pair::new();
    let outside = pair.nodes[&A].root.path().join("outside");
    fs::write(&outside, "1").unwrap();
    pair.change(A, "/s/a", |path| fs::hard_link(&outside, path).unwrap());
    pair.settle();
    assert_eq!(pair.read(B, "/s/a").unwrap(), b"1");
    assert_eq!(fs::metadata(pair.nodes[&B].at("/s/a")).unwrap().nlink(), 1);
}

#[test]
fn a_name_that_a_passive_gave_a_file_outside_keeps_the_attributes_that_it_had() {
    let mut pair = pair_with_hard_links();
    pair.write(A, "/s/single", vec![1; 300_000]);
    pair.assert_alike();
    let outside = ["a", "single"].map(|name| {
        let outside = pair.nodes[&B].root.path().join(name);
        fs::hard_link(pair.nodes[&B].at("/s").join(name), &outside).unwrap();
        outside
    });
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let before = outside.each_ref().map(|path| mode(path));
    for at in ["/s/b", "/s/single"] {
        pair.change(A, at, |path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o4711)).unwrap();
        });
    }
    // Whatever was done to its copy is found by a comparison.
    for _ in 0..3 {
        pair.pass(Duration::from_secs(2));
    }
    pair.assert_alike();
    assert_eq!(mode(&pair.nodes[&B].at("/s/a")), 0o4711);
    assert_eq!(outside.each_ref().map(|path| mode(path)), before);
    assert_eq!(fs::read(&outside[1]).unwrap(), vec![1; 300_000]);
    let inodes = ["/s/a", "/s/b", "/s/c"].map(|at| fs::metadata(pair.nodes[&B].at(at)).unwrap().ino());
    assert_eq!(inodes, [inodes[0]; 3]);
    assert_ne!(inodes[0], fs::metadata(&outside[0]).unwrap().ino());
}

/// `/s/a`, `/s/b` and `/s/c` are one file, on both.
fn pair_with_hard_links() -> Pair {
    let mut pair = Pair::new();
    pair.write(A, "/s/b", "content");
    let file = pair.nodes[&A].at("/s/b");
    for at in ["/s/a", "/s/c"] {
        pair.change(A, at, |path| fs::hard_link(&file, path).unwrap());
    }
    pair.assert_alike();
    pair
}

#[test]
fn directories_that_change_places_are_right_in_the_end() {
    let mut pair = pair_with_a_full_directory();
    pair.change(A, "/s/x", |path| {
        fs::create_dir(path).unwrap();
        fs::write(path.join("other"), "1").unwrap();
    });
    pair.settle();
    let [d, x, t] = ["/s/d", "/s/x", "/s/t"].map(|at| pair.nodes[&A].at(at));
    fs::rename(&d, &t).unwrap();
    fs::rename(&x, &d).unwrap();
    fs::rename(&t, &x).unwrap();
    for at in ["/s/t", "/s/d", "/s/x"] {
        pair.change(A, at, |_| {});
    }
    pair.assert_alike();
}

#[test]
fn what_comes_from_or_goes_where_it_is_not_replicated_is_sent_and_removed() {
    let mut pair = pair_with_a_full_directory();
    rename(&mut pair, "/s/d", "/s/private", ["/s/private", "/s/d"]);
    pair.assert_alike();
    assert!(!pair.nodes[&B].at("/s/d").exists());
    assert!(!pair.nodes[&B].at("/s/private").exists());
    rename(&mut pair, "/s/private", "/s/back", ["/s/back", "/s/private"]);
    pair.assert_alike();
    assert!(pair.nodes[&B].at("/s/back/e/large").exists());
}

#[test]
fn a_passive_that_lacks_what_is_to_be_renamed_is_compared_again() {
    let mut pair = pair_with_a_full_directory();
    fs::remove_dir_all(pair.nodes[&B].at("/s/d")).unwrap();
    rename(&mut pair, "/s/d", "/s/a", ["/s/a", "/s/d"]);
    pair.settle();
    pair.pass(Duration::from_secs(60));
    pair.assert_alike();
}

#[test]
fn a_file_that_took_over_an_inode_number_is_not_taken_for_the_old_one() {
    let mut pair = pair_with_a_full_directory();
    let [d, n] = ["/s/d", "/s/n"].map(|at| pair.nodes[&A].at(at));
    let before = fs::metadata(d.join("e/large")).unwrap().ino();
    fs::remove_file(d.join("e/large")).unwrap();
    fs::write(&n, vec![2; 300_000]).unwrap();
    // File systems differ; where numbers are used again at once, the other content has to arrive all the same.
    let _used_again = fs::metadata(&n).unwrap().ino() == before;
    pair.change(A, "/s/n", |_| {});
    pair.change(A, "/s/d/e/large", |_| {});
    pair.assert_alike();
}

/// Sets an extended attribute of what is at `path` itself, be it a link.
fn set_attribute(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
}

#[test]
fn attributes_alone_carry_over_of_every_kind_of_entry() {
    let mut pair = Pair::new();
    pair.write(A, "/s/file", "1");
    pair.change(A, "/s/d", |path| fs::create_dir(path).unwrap());
    pair.change(A, "/s/link", |path| symlink("nowhere", path).unwrap());
    pair.assert_alike();
    // Version 2, CAP_CHOWN permitted and effective.
    let capability = [1, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // Version 2; the owner reads and writes, user 12 reads, the mask leaves it, others nothing.
    let mut acl = vec![2, 0, 0, 0];
    for (tag, permissions, id) in [
        (1_u16, 6_u16, !0_u32),
        (2, 4, 12),
        (4, 4, !0),
        (16, 4, !0),
        (32, 0, !0),
    ] {
        acl.extend(
            tag.to_le_bytes()
                .into_iter()
                .chain(permissions.to_le_bytes())
                .chain(id.to_le_bytes()),
        );
    }
    let attributes: [(&str, &str, &[u8]); 6] = [
        ("/s/file", "user.comment", b"on a file"),
        ("/s/file", "security.capability", &capability),
        ("/s/file", "system.posix_acl_access", &acl),
        ("/s/d", "system.posix_acl_default", &acl),
        ("/s/d", "user.empty", b""),
        ("/s/link", "trusted.comment", b"on a link"),
    ];
    for (at, name, value) in attributes {
        pair.change(A, at, |path| set_attribute(path, name, value));
        pair.assert_alike();
    }
    for at in ["/s/file", "/s/d", "/s/link"] {
        pair.change(A, at, |path| {
            std::os::unix::fs::lchown(path, Some(12), Some(34)).unwrap();
        });
        pair.assert_alike();
    }
    pair.change(A, "/s/link", |path| {
        rustix::fs::lremovexattr(path, "trusted.comment").unwrap();
    });
    pair.assert_alike();
}

#[test]
fn odd_names_and_deep_trees_carry_over() {
    let mut pair = Pair::new();
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe \n");
    let mut deep = pair.nodes[&A].at("/s/deep");
    for _ in 0..14 {
        deep.push("d".repeat(250));
    }
    pair.change(A, "/s/deep", |path| {
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), "deep").unwrap();
        fs::write(path.join(odd), "odd").unwrap();
        fs::create_dir(path.join("empty")).unwrap();
    });
    pair.assert_alike();
}

#[test]
fn a_file_that_lost_a_name_or_got_another_takes_attributes_at_once() {
    for to in [None, Some("/s/z")] {
        let mut pair = Pair::new();
        pair.write(A, "/s/b", vec![1; 300_000]);
        let file = pair.nodes[&A].at("/s/b");
        for at in ["/s/a", "/s/c"] {
            pair.change(A, at, |path| fs::hard_link(&file, path).unwrap());
        }
        pair.settle();
        match to {
            None => pair.change(A, "/s/a", |path| fs::remove_file(path).unwrap()),
            Some(to) => rename(&mut pair, "/s/a", to, [to, "/s/a"]),
        }
        pair.settle();
        pair.change(A, "/s/b", |path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        });
        pair.ask(A, Request::Flush).unwrap();
        assert_eq!(pair.nodes[&B].report().problems, []);
        pair.assert_alike();
    }
}
