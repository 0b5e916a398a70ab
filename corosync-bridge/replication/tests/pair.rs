//! Two cores on two real directories; and a peer that lies.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use bmc_replication::digest::Digest;
use bmc_replication::entry::Attributes;
use bmc_replication::wire::{Hello, INLINE_BYTES, Message, OfferStage, Operation, Range, SummaryRange};
use bmc_replication::{Event, NodeId, Position, Request, Role, Switch, Sync};
use support::{A, B, Node, PERIOD, Pair, path, unpacked};

#[test]
fn what_was_there_before_is_on_both_after_the_promotion_and_the_extra_is_gone() {
    let (a, b) = (Node::new(false), Node::new(false));
    fs::write(a.at("/s/kept"), "1").unwrap();
    fs::create_dir_all(a.at("/s/d/empty")).unwrap();
    fs::write(a.at("/etc/one"), "one").unwrap();
    fs::create_dir_all(b.at("/s/extra/deep")).unwrap();
    fs::write(b.at("/s/extra/deep/x"), "old").unwrap();
    fs::create_dir_all(b.at("/s/private")).unwrap();
    fs::write(b.at("/s/private/key"), "B's own").unwrap();
    let mut pair = Pair::of(a, b);
    pair.ask(A, Request::Promote).unwrap();
    pair.ask(A, Request::Flush).unwrap();
    assert_eq!(pair.read(B, "/s/kept").unwrap(), b"1");
    assert_eq!(pair.read(B, "/etc/one").unwrap(), b"one");
    assert!(pair.nodes[&B].at("/s/d/empty").is_dir());
    assert!(!pair.nodes[&B].at("/s/extra").exists());
    assert_eq!(pair.read(B, "/s/private/key").unwrap(), b"B's own");
}

#[test]
fn a_change_arrives_and_both_agree_on_the_position() {
    let mut pair = Pair::new();
    pair.write(A, "/s/a", "new");
    pair.settle();
    assert_eq!(pair.read(B, "/s/a").unwrap(), b"new");
    let (a, b) = (pair.nodes[&A].report(), pair.nodes[&B].report());
    assert_eq!(a.position, b.position);
    assert_eq!(a.members[0].acknowledged, Some(a.position.sequence));
    assert_eq!(a.members[0].lag, Some(Duration::ZERO));
    assert_eq!((a.transfer, a.problems.len(), b.problems.len()), (None, 0, 0));
}

#[test]
fn a_second_change_of_the_same_size_in_the_same_moment_arrives_too() {
    let mut pair = Pair::new();
    for round in 0..50 {
        let content = format!("{:04}", round % 2);
        pair.write(A, "/s/a", &content);
        pair.settle();
        assert_eq!(pair.read(B, "/s/a").unwrap(), content.as_bytes(), "round {round}");
    }
}

#[test]
fn a_change_of_attributes_does_not_send_the_content_again() {
    let mut pair = Pair::new();
    pair.write(A, "/s/large", vec![7; 4 * INLINE_BYTES]);
    pair.write(A, "/s/small", vec![7; INLINE_BYTES]);
    pair.settle();
    let inode = fs::metadata(pair.nodes[&B].at("/s/large")).unwrap().ino();
    *pair.sent.borrow_mut() = 0;
    for at in ["/s/large", "/s/small"] {
        pair.change(A, at, |path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o601)).unwrap();
        });
    }
    pair.settle();
    let copy = fs::metadata(pair.nodes[&B].at("/s/large")).unwrap();
    assert_eq!((copy.mode() & 0o777, copy.ino()), (0o601, inode));
    assert!(
        *pair.sent.borrow() < 1000,
        "{} bytes were sent",
        pair.sent.borrow()
    );
}

#[test]
fn large_files_travel_in_pieces_and_arrive_whole() {
    let mut pair = Pair::new();
    let mut content: Vec<u8> = (0_u32..1_000_000).flat_map(u32::to_be_bytes).collect();
    pair.write(A, "/s/large", &content);
    pair.settle();
    assert!(pair.read(B, "/s/large").unwrap() == content);
    content[1_234_567] ^= 1;
    pair.write(A, "/s/large", &content);
    pair.ask(A, Request::Flush).unwrap();
    assert!(pair.read(B, "/s/large").unwrap() == content);
}

#[test]
fn directories_links_removals_and_renames_carry_over() {
    let mut pair = Pair::new();
    // Filled before anybody could watch it: only the directory is told of.
    pair.change(A, "/s/d", |path| {
        fs::create_dir_all(path.join("e/f")).unwrap();
        fs::write(path.join("e/x"), "x").unwrap();
        symlink("../nowhere", path.join("l")).unwrap();
    });
    pair.settle();
    assert_eq!(pair.read(B, "/s/d/e/x").unwrap(), b"x");
    assert!(pair.nodes[&B].at("/s/d/e/f").is_dir());
    assert_eq!(
        fs::read_link(pair.nodes[&B].at("/s/d/l")).unwrap(),
        Path::new("../nowhere")
    );

    fs::rename(pair.nodes[&A].at("/s/d"), pair.nodes[&A].at("/s/renamed")).unwrap();
    pair.change(A, "/s/d", |_| {});
    pair.change(A, "/s/renamed", |_| {});
    pair.settle();
    assert!(!pair.nodes[&B].at("/s/d").exists());
    assert_eq!(pair.read(B, "/s/renamed/e/x").unwrap(), b"x");

    // Moved away and made anew: told of once, as one path.
    fs::rename(pair.nodes[&A].at("/s/renamed"), pair.nodes[&A].at("/gone")).unwrap();
    pair.change(A, "/s/renamed", |path| fs::create_dir(path).unwrap());
    pair.settle();
    assert_eq!(fs::read_dir(pair.nodes[&B].at("/s/renamed")).unwrap().count(), 0);
}

#[test]
fn lost_notifications_are_made_up_for_by_a_rescan() {
    let mut pair = Pair::new();
    pair.write(A, "/s/a", "1");
    pair.settle();
    let a = pair.nodes.get_mut(&A).unwrap();
    fs::remove_file(a.at("/s/a")).unwrap();
    fs::create_dir(a.at("/s/new")).unwrap();
    fs::write(a.at("/s/new/b"), "2").unwrap();
    a.core.handle(&Event::RescanAll, Duration::ZERO);
    pair.ask(A, Request::Flush).unwrap();
    assert!(pair.read(B, "/s/a").is_none());
    assert_eq!(pair.read(B, "/s/new/b").unwrap(), b"2");
}

/// Both hold this many files beneath `/s` and are in sync.
fn pair_with_files(count: usize) -> Pair {
    let mut pair = Pair::new();
    for number in 0..count {
        pair.write(A, &format!("/s/file{number:03}"), vec![1; 4096]);
    }
    pair.settle();
    pair
}

/// B goes, `change` happens, and B comes back: the bytes that its return costs.
fn cost_of_a_return(pair: &mut Pair, change: impl FnOnce(&mut Pair)) -> usize {
    pair.membership(&[A]);
    change(pair);
    pair.settle();
    pair.nodes.get_mut(&B).unwrap().restart(false);
    *pair.sent.borrow_mut() = 0;
    pair.membership(&[A, B]);
    assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
    assert_eq!(pair.contents(A), pair.contents(B));
    *pair.sent.borrow()
}

#[test]
fn a_join_at_which_nothing_differs_costs_a_summary() {
    let mut pair = pair_with_files(400);
    let sent = cost_of_a_return(&mut pair, |_| {});
    assert!(sent < 1500, "{sent} bytes were sent");
}

#[test]
fn a_join_costs_what_differs_and_what_is_near_it() {
    let mut pair = pair_with_files(400);
    let sent = cost_of_a_return(&mut pair, |pair| {
        pair.write(A, "/s/file050", "changed");
        pair.write(A, "/s/file200-added", "added");
        pair.change(A, "/s/file300", |path| fs::remove_file(path).unwrap());
        // And at either end of all paths.
        pair.write(A, "/etc/one", "first");
        pair.write(A, "/s/zzz", "last");
        pair.write(B, "/s/zzzz", "extra");
    });
    assert!(sent < 8000, "{sent} bytes were sent");
}

#[test]
fn a_join_finds_what_differs_wherever_it_is() {
    let mut pair = pair_with_files(100);
    for number in (0..100).step_by(3).chain([99]) {
        let sent = cost_of_a_return(&mut pair, |pair| {
            pair.write(B, &format!("/s/file{number:03}"), "changed where nobody looks");
        });
        assert!(sent < 8000, "{sent} bytes were sent for file {number}");
    }
}

#[test]
fn a_switchover_carries_on_where_the_other_stopped() {
    let mut pair = Pair::new();
    pair.write(A, "/s/a", "from A");
    pair.ask(A, Request::Demote).unwrap();
    assert_eq!(pair.read(B, "/s/a").unwrap(), b"from A");
    assert_eq!(pair.nodes[&A].report().sync, Sync::InSync);
    pair.ask(B, Request::Promote).unwrap();
    pair.write(B, "/s/a", "from B");
    pair.ask(B, Request::Flush).unwrap();
    assert_eq!(pair.read(A, "/s/a").unwrap(), b"from B");
    let epochs = [A, B].map(|node| pair.nodes[&node].report().position.epoch);
    assert_eq!(epochs, [2, 2]);
}

#[test]
fn promoting_the_active_and_demoting_a_passive_change_nothing() {
    let mut pair = Pair::new();
    let before = pair.nodes[&A].report().position;
    pair.ask(A, Request::Promote).unwrap();
    pair.ask(B, Request::Demote).unwrap();
    assert_eq!(pair.nodes[&A].report().position, before);
    let refused = pair.ask(B, Request::Flush).unwrap_err();
    assert_eq!(refused, "flush: this node is not the Active");
}

#[test]
fn what_is_essential_travels_first_and_a_passive_tells_when_it_has_it() {
    let (a, b) = (Node::new(false), Node::new(false));
    for number in 0..100 {
        fs::write(a.at(&format!("/s/{number}")), "ordinary").unwrap();
    }
    fs::write(a.at("/etc/one"), "essential").unwrap();
    let mut pair = Pair::of(a, b);
    assert!(!pair.nodes[&B].report().essential);
    pair.ask_without_waiting(A, Request::Promote);
    while !pair.nodes[&B].report().essential {
        assert!(pair.turn(), "{:#?}", pair.nodes[&B].report());
    }
    assert_eq!(pair.nodes[&B].report().sync, Sync::Syncing);
    assert_eq!(pair.read(B, "/etc/one").unwrap(), b"essential");
    assert!(pair.read(B, "/s/99").is_none());
    pair.settle();
    let told = pair.nodes[&A].report().members[0];
    assert_eq!((told.sync, told.essential), (Sync::InSync, true));
}

#[test]
fn a_passive_that_missed_changes_has_what_is_essential_only_when_it_was_told_so_again() {
    let mut pair = Pair::new();
    pair.membership(&[A]);
    pair.nodes.get_mut(&B).unwrap().restart(false);
    assert!(!pair.nodes[&B].report().essential);
    pair.membership(&[A, B]);
    assert!(pair.nodes[&B].report().essential);
    pair.ask(B, Request::Promote).unwrap();
    assert!(pair.nodes[&A].report().essential);
}

#[test]
fn what_is_periodic_travels_when_its_time_has_come_and_not_before() {
    let mut pair = Pair::new();
    pair.change(A, "/s/log", |path| fs::create_dir(path).unwrap());
    pair.write(A, "/s/log/console", "1");
    let a = pair.nodes.get_mut(&A).unwrap();
    a.core.handle(&Event::Rescan(Path::new("/s")), Duration::ZERO);
    a.core.handle(&Event::RescanAll, Duration::ZERO);
    pair.settle();
    assert!(!pair.nodes[&B].at("/s/log").exists());
    let just_before = PERIOD - Duration::from_millis(1);
    pair.pass(just_before);
    assert!(!pair.nodes[&B].at("/s/log").exists());
    pair.pass(PERIOD - just_before);
    assert_eq!(pair.read(B, "/s/log/console").unwrap(), b"1");

    fs::remove_file(pair.nodes[&A].at("/s/log/console")).unwrap();
    pair.pass(PERIOD);
    assert!(pair.read(B, "/s/log/console").is_none());
    // A Passive counts no periods: once it has kept what it knows, it waits for nothing.
    let begin = Instant::now();
    while let Some(deadline) = pair.nodes[&B].core.deadline() {
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "it waits for {deadline:?}"
        );
        pair.pass(deadline.saturating_sub(pair.now));
    }
}

#[test]
fn a_period_in_which_nothing_changed_sends_nothing() {
    let mut pair = Pair::new();
    fs::create_dir(pair.nodes[&A].at("/s/log")).unwrap();
    fs::write(pair.nodes[&A].at("/s/log/console"), "1").unwrap();
    pair.pass(PERIOD);
    *pair.sent.borrow_mut() = 0;
    pair.pass(PERIOD);
    assert_eq!(*pair.sent.borrow(), 0);
}

#[test]
fn a_flush_covers_what_is_periodic_and_leaves_what_waits_for_a_join() {
    let mut pair = Pair::new();
    fs::create_dir(pair.nodes[&A].at("/s/log")).unwrap();
    fs::write(pair.nodes[&A].at("/s/log/console"), "1").unwrap();
    pair.write(A, "/etc/board", "1");
    pair.ask(A, Request::Flush).unwrap();
    assert_eq!(pair.read(B, "/s/log/console").unwrap(), b"1");
    assert!(pair.read(B, "/etc/board").is_none());
}

#[test]
fn what_travels_at_a_join_travels_then_and_at_a_full_sync() {
    let mut pair = Pair::new();
    pair.write(A, "/etc/board", "1");
    pair.settle();
    pair.pass(PERIOD);
    assert!(pair.read(B, "/etc/board").is_none());
    pair.membership(&[A]);
    pair.nodes.get_mut(&B).unwrap().restart(false);
    pair.membership(&[A, B]);
    assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
    assert_eq!(pair.read(B, "/etc/board").unwrap(), b"1");
    pair.write(A, "/etc/board", "2");
    pair.ask(A, Request::FullSync).unwrap();
    assert_eq!(pair.read(B, "/etc/board").unwrap(), b"2");
}

#[test]
fn a_demotion_takes_along_what_would_have_travelled_later() {
    let mut pair = Pair::new();
    fs::create_dir(pair.nodes[&A].at("/s/log")).unwrap();
    fs::write(pair.nodes[&A].at("/s/log/console"), "1").unwrap();
    pair.write(A, "/etc/board", "1");
    pair.ask(A, Request::Demote).unwrap();
    for at in ["/s/log/console", "/etc/board"] {
        assert_eq!(pair.read(B, at).unwrap(), b"1", "{at}");
    }
}

#[test]
fn a_pause_holds_changes_back_until_it_is_resumed_and_every_member_shows_it() {
    let mut pair = Pair::new();
    pair.ask(A, Request::Pause).unwrap();
    assert_eq!(
        [A, B].map(|node| pair.nodes[&node].report().switch),
        [Switch::Paused; 2]
    );
    pair.write(A, "/s/a", "1");
    pair.settle();
    assert!(pair.read(B, "/s/a").is_none());
    for request in [Request::Flush, Request::FullSync] {
        let refused = pair.ask(A, request).unwrap_err();
        assert_eq!(refused, format!("{request}: replication is paused"));
    }
    pair.ask(A, Request::Resume).unwrap();
    pair.ask(A, Request::Flush).unwrap();
    assert_eq!(
        [A, B].map(|node| pair.nodes[&node].report().switch),
        [Switch::On; 2]
    );
    assert_eq!(pair.read(B, "/s/a").unwrap(), b"1");
}

#[test]
fn a_flush_that_waits_when_replication_is_paused_is_refused_with_the_reason() {
    let mut pair = Pair::new();
    pair.write(A, "/s/a", "1");
    let core = &mut pair.nodes.get_mut(&A).unwrap().core;
    for (id, request) in [(101, Request::Flush), (102, Request::Pause)] {
        let deadline = None;
        core.handle(
            &Event::Request {
                id,
                request,
                deadline,
            },
            Duration::ZERO,
        );
    }
    let answers = core.take_answers();
    assert_eq!(
        answers[0].outcome.as_ref().unwrap_err().to_string(),
        "flush: replication is paused"
    );
}

#[test]
fn only_the_active_is_switched() {
    let mut pair = Pair::new();
    for request in [Request::Pause, Request::Resume, Request::Disable, Request::Enable] {
        let refused = pair.ask(B, request).unwrap_err();
        assert_eq!(refused, format!("{request}: this node is not the Active"));
    }
}

#[test]
fn a_pause_ends_with_the_bridge_of_the_active_and_with_the_role() {
    let mut pair = Pair::new();
    pair.ask(A, Request::Pause).unwrap();
    pair.membership(&[B]);
    assert_eq!(pair.nodes[&B].report().switch, Switch::On);
    pair.nodes.get_mut(&A).unwrap().restart(true);
    pair.membership(&[A, B]);
    assert_eq!(
        [A, B].map(|node| pair.nodes[&node].report().switch),
        [Switch::On; 2]
    );

    pair.ask(A, Request::Pause).unwrap();
    pair.ask(B, Request::Promote).unwrap();
    assert_eq!(
        [A, B].map(|node| pair.nodes[&node].report().switch),
        [Switch::On; 2]
    );
}

#[test]
fn a_disabled_replication_stays_so_across_restarts_and_role_changes_until_it_is_enabled() {
    let mut pair = Pair::new();
    pair.ask(A, Request::Disable).unwrap();
    let refused = pair.ask(A, Request::Resume).unwrap_err();
    assert_eq!(refused, "resume: replication is disabled");
    for (node, resume) in [(A, true), (B, false)] {
        pair.membership(&[if node == A { B } else { A }]);
        pair.nodes.get_mut(&node).unwrap().restart(resume);
        pair.membership(&[A, B]);
    }
    assert_eq!(
        [A, B].map(|node| pair.nodes[&node].report().switch),
        [Switch::Disabled; 2]
    );
    pair.ask(B, Request::Promote).unwrap();
    pair.write(B, "/s/b", "held back");
    pair.settle();
    assert_eq!(pair.nodes[&B].report().switch, Switch::Disabled);
    assert!(pair.read(A, "/s/b").is_none());
    pair.ask(B, Request::Enable).unwrap();
    pair.ask(B, Request::Flush).unwrap();
    assert_eq!(pair.read(A, "/s/b").unwrap(), b"held back");
    pair.nodes.get_mut(&A).unwrap().restart(false);
    assert_eq!(pair.nodes[&A].report().switch, Switch::On);
}

#[test]
fn a_demotion_sends_what_was_held_back() {
    for request in [Request::Pause, Request::Disable] {
        let mut pair = Pair::new();
        pair.ask(A, request).unwrap();
        pair.write(A, "/s/a", "held back");
        pair.settle();
        assert!(pair.read(B, "/s/a").is_none());
        pair.ask(A, Request::Demote).unwrap();
        assert_eq!(pair.read(B, "/s/a").unwrap(), b"held back", "{request}");
    }
}

#[test]
fn a_restarted_active_resumes_and_sends_what_changed_while_it_was_away() {
    let mut pair = Pair::new();
    pair.write(A, "/s/a", "1");
    pair.settle();
    pair.membership(&[B]);
    fs::write(pair.nodes[&A].at("/s/a"), "2, unseen").unwrap();
    pair.nodes.get_mut(&A).unwrap().restart(true);
    pair.membership(&[A, B]);
    let report = pair.nodes[&A].report();
    assert_eq!((report.role, report.position.epoch), (Role::Active, 2));
    pair.ask(A, Request::Flush).unwrap();
    assert_eq!(pair.read(B, "/s/a").unwrap(), b"2, unseen");
}

#[test]
fn a_restarted_active_opens_no_epoch_before_it_has_quorum() {
    let mut pair = Pair::new();
    pair.membership(&[B]);
    pair.nodes.get_mut(&A).unwrap().restart(true);
    let tell = |pair: &mut Pair, quorate| {
        let core = &mut pair.nodes.get_mut(&A).unwrap().core;
        core.handle(&Event::Quorum(quorate), pair.now);
    };
    tell(&mut pair, false);
    pair.membership(&[A]);
    pair.pass(Duration::from_secs(60));
    assert_eq!(pair.nodes[&A].report().position.epoch, 1);
    assert_eq!(pair.nodes[&A].core.deadline(), None);
    tell(&mut pair, true);
    pair.settle();
    let report = pair.nodes[&A].report();
    assert_eq!((report.role, report.position.epoch), (Role::Active, 2));
}

#[test]
fn a_restarted_active_that_was_replaced_meanwhile_is_passive_and_changes_nothing() {
    let mut pair = Pair::new();
    pair.write(A, "/s/a", "1");
    pair.settle();
    pair.membership(&[B]);
    pair.ask(B, Request::Promote).unwrap();
    pair.write(B, "/s/a", "the newer");
    fs::write(pair.nodes[&A].at("/s/a"), "the deposed").unwrap();
    pair.nodes.get_mut(&A).unwrap().restart(true);
    pair.membership(&[A, B]);
    assert_eq!(pair.nodes[&A].report().role, Role::Passive);
    for node in [A, B] {
        assert_eq!(pair.read(node, "/s/a").unwrap(), b"the newer");
    }
}

#[test]
fn an_active_that_was_deposed_just_before_it_ended_does_not_resume() {
    let mut pair = Pair::new();
    pair.ask(B, Request::Promote).unwrap();
    pair.membership(&[B]);
    pair.nodes.get_mut(&A).unwrap().restart(true);
    pair.membership(&[A]);
    assert_eq!(pair.nodes[&A].report().role, Role::Passive);
}

#[test]
fn what_was_acknowledged_and_which_epoch_is_open_survive_a_restart() {
    let mut pair = Pair::new();
    pair.write(A, "/s/a", "1");
    pair.settle();
    let position = pair.nodes[&A].report().position;
    let b = pair.nodes.get_mut(&B).unwrap();
    b.restart(false);
    assert_eq!((b.report().position, b.report().sync), (position, Sync::NoSource));
    let a = pair.nodes.get_mut(&A).unwrap();
    a.restart(false);
    assert_eq!(a.report().position, position);

    // Only heard of, and not yet compared in: still nobody opens it a second time.
    let mut pair = Pair::new();
    pair.ask(A, Request::Demote).unwrap();
    let promote = Message::Promote { epoch: 7 }.encode();
    let b = pair.nodes.get_mut(&B).unwrap();
    b.core.handle(
        &Event::Delivered {
            from: A,
            bytes: &promote,
        },
        Duration::ZERO,
    );
    b.restart(false);
    pair.membership(&[B]);
    pair.ask(B, Request::Promote).unwrap();
    assert_eq!(pair.nodes[&B].report().position.epoch, 8);
}

#[test]
fn what_was_moved_while_a_passive_was_away_is_there_all_the_time() {
    let mut pair = Pair::new();
    pair.write(A, "/s/a", "moved");
    pair.settle();
    pair.nodes.get_mut(&B).unwrap().restart(false);
    pair.membership(&[A]);
    let new = pair.nodes[&A].at("/s/z");
    pair.change(A, "/s/a", |path| fs::rename(path, new).unwrap());
    pair.change(A, "/s/z", |_| ());
    // More than goes together.
    for number in 0..400 {
        pair.write(A, &format!("/s/b{number}"), vec![7; 1000]);
    }
    pair.settle();
    pair.join(&[A, B]);
    while pair.turn() {
        let copies = ["/s/a", "/s/z"].map(|path| pair.read(B, path));
        assert!(copies.contains(&Some(b"moved".to_vec())), "{copies:?}");
    }
    assert_eq!(pair.read(B, "/s/a"), None);
}

/// A program writes on B, `turns` turns after B has come back, to a file of which B lacks the mode. Returns whether it was in time.
fn write_on_the_passive_while_it_is_compared(turns: usize) -> bool {
    let mode = |pair: &Pair| fs::metadata(pair.nodes[&B].at("/s/file")).unwrap().mode() & 0o777;
    let mut pair = Pair::new();
    pair.write(A, "/s/file", "of the Active");
    pair.settle();
    pair.nodes.get_mut(&B).unwrap().restart(false);
    pair.membership(&[A]);
    pair.change(A, "/s/file", |path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    });
    pair.settle();
    pair.join(&[A, B]);
    for _ in 0..turns {
        pair.turn();
    }
    if mode(&pair) == 0o600 {
        return false;
    }
    fs::write(pair.nodes[&B].at("/s/file"), "of a program beside the Passive").unwrap();
    pair.settle();
    pair.pass(Duration::from_secs(60));
    pair.assert_alike();
    true
}

#[test]
fn what_is_written_on_a_passive_while_it_is_compared_does_not_count_as_the_same() {
    let written = (0..)
        .take_while(|turns| write_on_the_passive_while_it_is_compared(*turns))
        .count();
    assert!(written > 2, "it was compared too fast");
}

#[test]
fn what_a_passive_lacks_travels_in_few_messages() {
    let mut pair = Pair::new();
    pair.nodes.get_mut(&B).unwrap().restart(false);
    pair.membership(&[A]);
    for number in 0..400 {
        pair.write(A, &format!("/s/{number}"), vec![7; 1000]);
    }
    pair.settle();
    pair.carried = 0;
    pair.membership(&[A, B]);
    pair.settle();
    assert_eq!(pair.read(B, "/s/399").unwrap(), vec![7; 1000]);
    assert!(pair.carried < 40, "{} messages", pair.carried);
}

#[test]
fn a_passive_that_takes_nothing_in_is_not_flooded_and_not_waited_for_forever() {
    let mut pair = Pair::new();
    let now = pair.now;
    pair.write(A, "/s/large", vec![1; 8 << 20]);
    let a = &mut pair.nodes.get_mut(&A).unwrap().core;
    let mut sent = 0;
    while a.has_work(now) {
        a.work(now);
        sent += std::iter::from_fn(|| a.next_message())
            .flat_map(|bytes| unpacked(&bytes))
            .map(|message| message.len())
            .sum::<usize>();
    }
    assert!(
        sent < 3 << 20,
        "{sent} bytes were sent to one who takes nothing in"
    );
    let problems = loop {
        let deadline = a.deadline().expect("silence is noticed");
        a.handle(&Event::Tick, deadline);
        while a.has_work(deadline) {
            a.work(deadline);
        }
        let problems = a.report(deadline).problems;
        if !problems.is_empty() {
            break problems;
        }
    };
    assert!(problems[0].message.contains("no acknowledgement"), "{problems:?}");
}

#[test]
fn a_flush_that_was_asked_of_an_active_is_not_answered_by_a_later_one() {
    let mut pair = Pair::new();
    let now = pair.now;
    let a = &mut pair.nodes.get_mut(&A).unwrap().core;
    for (id, request) in [(91, Request::Demote), (92, Request::Flush), (93, Request::Demote)] {
        let deadline = None;
        a.handle(
            &Event::Request {
                id,
                request,
                deadline,
            },
            now,
        );
    }
    pair.settle();
    let answers = std::mem::take(&mut pair.nodes.get_mut(&A).unwrap().answers);
    let told: Vec<(u64, bool)> = answers
        .iter()
        .map(|answer| (answer.id, answer.outcome.is_ok()))
        .collect();
    assert_eq!(told, [(91, true), (92, false), (93, true)]);
}

#[test]
fn of_two_who_opened_the_same_epoch_one_is_left_in_a_newer_one() {
    let mut pair = Pair::of(Node::new(false), Node::new(false));
    for node in [A, B] {
        pair.membership(&[node]);
    }
    // Apart, each hears only itself.
    for node in [A, B] {
        let core = &mut pair.nodes.get_mut(&node).unwrap().core;
        let request = Event::Request {
            id: 1,
            request: Request::Promote,
            deadline: None,
        };
        core.handle(&request, Duration::ZERO);
        while let Some(bytes) = core.next_message() {
            core.handle(
                &Event::Delivered {
                    from: node,
                    bytes: &bytes,
                },
                Duration::ZERO,
            );
        }
    }
    pair.membership(&[A, B]);
    let (a, b) = (pair.nodes[&A].report(), pair.nodes[&B].report());
    assert_eq!((a.role, a.position.epoch), (Role::Active, 2));
    assert_eq!((b.role, b.sync), (Role::Passive, Sync::InSync));
}

#[test]
fn a_passive_that_is_not_configured_for_a_path_refuses_it_and_says_so() {
    let a = Node::new(false);
    fs::write(a.at("/s/a"), "1").unwrap();
    fs::write(a.at("/etc/one"), "one").unwrap();
    let mut pair = Pair::of(a, Node::new(true));
    pair.ask(A, Request::Promote).unwrap();
    let refused = pair.ask(A, Request::Flush).unwrap_err();
    assert_eq!(
        refused,
        "flush: not on node 2: refuse /s: it is not configured to be replicated on this node"
    );
    assert!(pair.read(B, "/s/a").is_none());
    assert_eq!(pair.read(B, "/etc/one").unwrap(), b"one");
    let report = pair.nodes[&B].report();
    assert_eq!(report.sync, Sync::Failed);
    assert!(report.problems[0].message.contains("/s"), "{:?}", report.problems);
    let problems = pair.nodes[&A].report().problems;
    assert!(problems[0].message.contains("node 2"), "{problems:?}");
}

#[test]
fn trouble_on_the_passive_is_told_and_ends_when_its_cause_does() {
    let mut pair = Pair::new();
    // Nothing can be placed over a directory in which something uncovered is mounted, or like here, kept.
    let blocker = pair.nodes[&B].at("/s/private");
    fs::create_dir_all(&blocker).unwrap();
    fs::remove_dir(pair.nodes[&A].at("/s")).unwrap();
    pair.write(A, "/s", "a file where a directory was");
    pair.settle();
    let report = pair.nodes[&B].report();
    assert_eq!((report.sync, report.problems.len()), (Sync::Failed, 1));
    fs::remove_dir(&blocker).unwrap();
    pair.pass(Duration::from_secs(60));
    assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
    assert_eq!(pair.read(B, "/s").unwrap(), b"a file where a directory was");
    for node in [A, B] {
        assert_eq!(pair.nodes[&node].report().problems, []);
    }
}

#[test]
fn a_hint_for_one_path_looks_at_nothing_else() {
    let mut pair = Pair::new();
    pair.write(A, "/s/told", "1");
    fs::write(pair.nodes[&A].at("/s/untold"), "2").unwrap();
    pair.settle();
    assert!(pair.read(B, "/s/told").is_some());
    assert!(pair.read(B, "/s/untold").is_none());
}

#[test]
fn a_damaged_state_file_is_told_and_replaced_once_compared() {
    let mut pair = Pair::new();
    pair.write(A, "/s/a", "1");
    pair.settle();
    pair.membership(&[A]);
    let file = pair.nodes[&B].state.path().join("replication.state");
    fs::write(&file, "garbage").unwrap();
    let b = pair.nodes.get_mut(&B).unwrap();
    b.restart(false);
    assert_eq!(b.report().position, Position::default());
    assert!(b.report().problems[0].message.contains("damaged"));
    pair.membership(&[A, B]);
    let (a, b) = (pair.nodes[&A].report(), pair.nodes[&B].report());
    assert_eq!((b.sync, b.position), (Sync::InSync, a.position));
    assert_eq!(b.problems, []);
}

#[test]
fn an_active_whose_state_was_damaged_does_not_resume_however_it_ended() {
    let damage = |pair: &Pair| {
        fs::write(pair.nodes[&A].state.path().join("replication.state"), "garbage").unwrap();
    };
    // Replaced while it was away: what it wrote since gives way to the newer copy.
    let mut pair = Pair::new();
    pair.write(A, "/s/a", "1");
    pair.settle();
    pair.membership(&[B]);
    pair.ask(B, Request::Promote).unwrap();
    pair.write(B, "/s/a", "the newer");
    fs::write(pair.nodes[&A].at("/s/a"), "the deposed").unwrap();
    damage(&pair);
    pair.nodes.get_mut(&A).unwrap().restart(true);
    pair.membership(&[A, B]);
    assert_eq!(pair.nodes[&A].report().role, Role::Passive);
    for node in [A, B] {
        assert_eq!(pair.read(node, "/s/a").unwrap(), b"the newer");
    }

    // Nor when nobody is there to tell it so.
    let mut pair = Pair::new();
    pair.membership(&[B]);
    damage(&pair);
    pair.nodes.get_mut(&A).unwrap().restart(true);
    pair.membership(&[A]);
    pair.pass(Duration::from_secs(60));
    let report = pair.nodes[&A].report();
    assert_eq!(
        (report.role, report.position),
        (Role::Passive, Position::default())
    );
}

#[test]
fn damaged_digests_are_told_of_and_kept_anew() {
    let mut pair = pair_with_files(20);
    let log = pair.nodes[&B].state.path().join("replication.digests");
    let begin = Instant::now();
    let kept = |pair: &mut Pair| {
        while fs::metadata(&log).map_or(0, |log| log.len()) < 20 * 100 {
            assert!(
                begin.elapsed() < Duration::from_secs(30),
                "the digests are not kept"
            );
            pair.pass(Duration::from_secs(3));
        }
    };
    kept(&mut pair);
    let mut bytes = fs::read(&log).unwrap();
    bytes[40] ^= 1;
    fs::write(&log, bytes).unwrap();
    pair.membership(&[A]);
    let b = pair.nodes.get_mut(&B).unwrap();
    b.restart(false);
    let problems = b.report().problems;
    assert!(
        problems[0].message.contains("replication.digests: it is damaged"),
        "{problems:?}"
    );
    pair.membership(&[A, B]);
    assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
    kept(&mut pair);
    assert_eq!(pair.nodes[&B].report().problems, []);
}

/// A member that lies to B, in A's place.
struct Liar {
    b: Node,
    sequence: u64,
}

impl Liar {
    /// B follows it.
    fn new() -> Self {
        let mut liar = Self {
            b: Node::new(false),
            sequence: 0,
        };
        fs::create_dir(liar.b.at("/outside")).unwrap();
        fs::write(liar.b.at("/outside/x"), "theirs").unwrap();
        fs::create_dir(liar.b.at("/s/private")).unwrap();
        fs::write(liar.b.at("/s/private/key"), "secret").unwrap();
        let members = [A, B];
        liar.b.core.handle(
            &Event::Membership {
                me: B,
                members: &members,
            },
            Duration::ZERO,
        );
        liar.say(&Message::Hello(Hello {
            epoch: 5,
            owner: A,
            role: Role::Active,
            position: Position {
                epoch: 5,
                sequence: 0,
            },
            sync: Sync::Source,
            switch: Switch::On,
            essential: true,
        }));
        liar.say(&Message::Compare {
            epoch: 5,
            target: B,
            session: 1,
            sequence: 0,
        });
        assert_eq!(liar.b.report().sync, Sync::Syncing);
        liar
    }

    fn say(&mut self, message: &Message<'_>) {
        self.say_bytes(&message.encode());
    }

    fn say_bytes(&mut self, bytes: &[u8]) {
        self.b
            .core
            .handle(&Event::Delivered { from: A, bytes }, Duration::ZERO);
        while self.b.core.has_work(Duration::ZERO) {
            self.b.core.work(Duration::ZERO);
            while self.b.core.next_message().is_some() {}
        }
    }

    fn order(&mut self, operation: Operation<'_>) {
        self.sequence += 1;
        self.say(&Message::Operation {
            epoch: 5,
            sequence: self.sequence,
            target: None,
            operation,
        });
    }

    fn assert_nothing_outside_changed(&self) {
        assert_eq!(fs::read(self.b.at("/outside/x")).unwrap(), b"theirs");
        assert_eq!(fs::read_dir(self.b.at("/outside")).unwrap().count(), 1);
        assert_eq!(fs::read(self.b.at("/s/private/key")).unwrap(), b"secret");
        assert_eq!(fs::read_dir(self.b.at("/etc")).unwrap().count(), 0);
        let top = fs::read_dir(self.b.root.path()).unwrap().count();
        assert_eq!(top, 3, "something was made beside s, etc and outside");
    }
}

#[test]
fn a_liar_reaches_nothing_that_is_not_configured() {
    let mut liar = Liar::new();
    for target in [
        "/outside/x",
        "/etc/shadow",
        "/s/private/key",
        "/etc",
        "/etc/one/below",
        "/s2",
    ] {
        let attributes = Attributes::default;
        let path = || path(target);
        for operation in [
            Operation::Put {
                path: path(),
                attributes: attributes(),
                content: b"mine",
            },
            Operation::Directory {
                path: path(),
                attributes: attributes(),
            },
            Operation::Link {
                path: path(),
                attributes: attributes(),
                target: b"/",
            },
            Operation::Attributes {
                path: path(),
                attributes: attributes(),
                content: Digest::of(b"theirs"),
            },
            Operation::Remove { path: path() },
        ] {
            liar.order(operation);
        }
        liar.say(&Message::Begin {
            epoch: 5,
            target: None,
            transfer: 1,
            path: path(),
            base: None,
        });
    }
    liar.assert_nothing_outside_changed();
    let report = liar.b.report();
    assert_eq!(report.sync, Sync::Failed);
    assert!(
        report.problems[0].message.starts_with("refuse "),
        "{:?}",
        report.problems
    );
    assert_eq!(report.problems[0].count, 36);
}

#[test]
fn a_liar_gets_nowhere_through_links_that_it_makes() {
    let mut liar = Liar::new();
    for target in ["../outside", "/outside", "private"] {
        liar.order(Operation::Link {
            path: path("/s/way"),
            attributes: Attributes::default(),
            target: target.as_bytes(),
        });
        liar.order(Operation::Put {
            path: path("/s/way/x"),
            attributes: Attributes::default(),
            content: b"mine",
        });
        liar.order(Operation::Remove {
            path: path("/s/way/x"),
        });
        liar.order(Operation::Attributes {
            path: path("/s/way"),
            attributes: Attributes {
                mode: 0o777,
                ..Attributes::default()
            },
            content: Digest::NONE,
        });
        liar.order(Operation::Remove { path: path("/s/way") });
    }
    liar.assert_nothing_outside_changed();
}

#[test]
fn a_liar_that_removes_everything_leaves_what_is_excluded() {
    let mut liar = Liar::new();
    liar.order(Operation::Remove { path: path("/s") });
    liar.assert_nothing_outside_changed();
}

#[test]
fn what_belongs_to_another_epoch_or_another_sender_is_refused() {
    let mut liar = Liar::new();
    let operation = || Operation::Put {
        path: path("/s/a"),
        attributes: Attributes::default(),
        content: b"mine",
    };
    for epoch in [0, 4, 6, u64::MAX] {
        liar.say(&Message::Operation {
            epoch,
            sequence: 1,
            target: None,
            operation: operation(),
        });
    }
    let members = [A, B, NodeId(3)];
    liar.b.core.handle(
        &Event::Membership {
            me: B,
            members: &members,
        },
        Duration::ZERO,
    );
    let bytes = Message::Operation {
        epoch: 5,
        sequence: 1,
        target: None,
        operation: operation(),
    }
    .encode();
    liar.b.core.handle(
        &Event::Delivered {
            from: NodeId(3),
            bytes: &bytes,
        },
        Duration::ZERO,
    );
    liar.say_bytes(b"");
    assert!(!liar.b.at("/s/a").exists());
    liar.order(operation());
    assert!(liar.b.at("/s/a").exists(), "what is in order is applied");
}

#[test]
fn a_transfer_that_is_not_what_was_promised_is_not_put_in_place() {
    let cases: [(&str, u64, u64, &[u8]); 4] = [
        ("another transfer", 2, 3, b"abc"),
        ("another size", 1, 4, b"abc"),
        ("another digest", 1, 3, b"abd"),
        ("a hole", 1, 6, b"abcabc"),
    ];
    for (what, transfer, size, digested) in cases {
        let mut liar = Liar::new();
        liar.say(&Message::Begin {
            epoch: 5,
            target: None,
            transfer: 1,
            path: path("/s/a"),
            base: None,
        });
        let chunk = |offset| Message::Chunk {
            epoch: 5,
            transfer: 1,
            offset,
            bytes: b"abc",
        };
        liar.say(&chunk(0));
        if what == "a hole" {
            liar.say(&chunk(u64::MAX));
        }
        liar.order(Operation::PutTransferred {
            path: path("/s/a"),
            attributes: Attributes::default(),
            transfer,
            size,
            digest: Digest::of(digested),
        });
        assert!(!liar.b.at("/s/a").exists(), "{what}");
        assert_eq!(liar.b.report().sync, Sync::Failed, "{what}");
        assert_eq!(
            fs::read_dir(liar.b.at("/s")).unwrap().count(),
            1,
            "{what}: something was left"
        );
    }
}

#[test]
fn changes_that_skip_a_number_are_not_applied() {
    let mut liar = Liar::new();
    liar.sequence = 6;
    liar.order(Operation::Put {
        path: path("/s/a"),
        attributes: Attributes::default(),
        content: b"too early",
    });
    assert!(!liar.b.at("/s/a").exists());
    assert_eq!(liar.b.report().sync, Sync::Failed);
}

#[test]
fn an_active_that_asks_for_more_than_it_was_told_of_is_not_answered_without_end() {
    let mut liar = Liar::new();
    let ranges = (0..3).map(|number| Range {
        after: Some(path(&format!("/s/{number}"))),
        up_to: Some(path(&format!("/s/{}", number + 1))),
    });
    liar.say(&Message::Detail {
        epoch: 5,
        target: B,
        session: 1,
        ranges: ranges.collect(),
    });
    assert_eq!(liar.b.report().sync, Sync::Failed);
    let problems = liar.b.report().problems;
    assert!(
        problems[0].message.contains("more than it was told of"),
        "{problems:?}"
    );
}

#[test]
fn a_passive_that_tells_of_its_copy_out_of_order_is_not_believed() {
    let summary = |ends: &[&str], last| Message::Summary {
        epoch: 1,
        session: 1,
        last,
        ranges: ends
            .iter()
            .map(|end| SummaryRange {
                up_to: path(end),
                digest: Digest::NONE,
            })
            .collect(),
    };
    let manifest = |after, up_to| Message::Manifest {
        epoch: 1,
        session: 1,
        range: Range {
            after: Some(path(after)),
            up_to: Some(path(up_to)),
        },
        entries: Vec::new(),
    };
    for told in [
        vec![summary(&["/s/b"], false), summary(&["/s/a"], false)],
        vec![summary(&["/s/a"], true), summary(&["/s/b"], true)],
        vec![manifest("/s/a", "/s/b")],
        vec![summary(&["/s/a"], true), manifest("/s/a", "/s/b")],
    ] {
        let mut a = Node::new(false);
        let (me, members, now) = (A, [A, B], Duration::ZERO);
        a.core.handle(
            &Event::Membership {
                me,
                members: &members,
            },
            now,
        );
        let hello = Message::Hello(Hello {
            epoch: 0,
            owner: NodeId(0),
            role: Role::Passive,
            position: Position::default(),
            sync: Sync::NoSource,
            switch: Switch::On,
            essential: true,
        });
        let request = Event::Request {
            id: 1,
            request: Request::Promote,
            deadline: None,
        };
        a.core.handle(&request, now);
        let promote = Message::Promote { epoch: 1 };
        for (from, message) in [(B, hello), (A, promote)] {
            let bytes = message.encode();
            a.core.handle(&Event::Delivered { from, bytes: &bytes }, now);
        }
        let offered = Message::Offering {
            epoch: 1,
            stage: OfferStage::Done,
        };
        let bytes = offered.encode();
        let offered = Event::Delivered {
            from: B,
            bytes: &bytes,
        };
        a.core.handle(&offered, now);
        while a.core.has_work(now) {
            a.core.work(now);
        }
        for message in told {
            let bytes = message.encode();
            a.core.handle(
                &Event::Delivered {
                    from: B,
                    bytes: &bytes,
                },
                now,
            );
            while a.core.has_work(now) {
                a.core.work(now);
            }
        }
        let problems = a.report().problems;
        assert!(
            problems
                .iter()
                .any(|problem| problem.message.contains("out of order")),
            "{problems:?}"
        );
    }
}

#[test]
fn a_member_of_another_version_is_named_and_not_waited_for() {
    let mut pair = Pair::of(Node::new(false), Node::new(false));
    pair.membership(&[A]);
    let members = [A, NodeId(9)];
    let core = &mut pair.nodes.get_mut(&A).unwrap().core;
    core.handle(
        &Event::Membership {
            me: A,
            members: &members,
        },
        Duration::ZERO,
    );
    let mut bytes = Message::Promote { epoch: 99 }.encode();
    bytes[4] = 1;
    core.handle(
        &Event::Delivered {
            from: NodeId(9),
            bytes: &bytes,
        },
        Duration::ZERO,
    );
    pair.ask(A, Request::Promote).unwrap();
    pair.ask(A, Request::Flush).unwrap();
    let report = pair.nodes[&A].report();
    assert_eq!(report.position.epoch, 1);
}
