//! A third BMC, as another Passive, on a real Corosync. Needs root, and Corosync installed.

#![allow(clippy::unwrap_used, reason = "test code")]

mod pair;

use bmc_bridge_control::{Command, Role, Sync};
use pair::{Node, nodes};

#[test]
fn of_three_one_dies_another_is_promoted_and_all_become_equal() {
    let [mut first, second, third] = nodes();
    first.ask(Command::Promote);
    first.write("kept", b"1");
    first.write("changed", b"of the first");
    first.write("removed", b"1");
    first.ask(Command::Flush);
    for passive in [&second, &third] {
        assert_eq!(passive.read("changed").unwrap(), b"of the first");
        assert_eq!(passive.status().sync, Sync::InSync);
    }

    first.cut_power();
    for survivor in [&second, &third] {
        survivor.expect("sibling bmc0 left the group");
    }
    first.write("unseen", b"what nobody was sent");
    second.ask(Command::Promote);
    second.write("changed", b"of the second");
    std::fs::remove_file(second.path("/mnt/settings/removed")).unwrap();
    second.ask(Command::Flush);
    assert_settings_of_the_second(&third);

    first.start_corosync();
    first.start_bridge();
    first.expect("in sync at epoch 2");
    second.ask(Command::Flush);
    assert_settings_of_the_second(&first);
    assert_eq!(first.read("unseen"), None);
    let roles = [&first, &second, &third].map(|node| node.status().role);
    assert_eq!(roles, [Role::Passive, Role::Active, Role::Passive]);
    for node in [first, second, third] {
        assert_eq!(node.status().problems, []);
    }
}

#[test]
fn an_active_that_lost_both_others_and_was_restarted_opens_no_epoch_before_it_has_quorum() {
    let [mut active, mut second, mut third] = nodes();
    active.ask(Command::Promote);
    second.cut_power();
    third.cut_power();
    active.expect("lost quorum");
    active.kill_bridge();
    active.start_bridge();
    assert_eq!(active.status().position.epoch, 1);
    third.start_corosync();
    active.expect("has quorum");
    active.expect("resumed epoch 2");
    assert_eq!(active.status().role, Role::Active);
}

fn assert_settings_of_the_second(node: &Node) {
    assert_eq!(node.read("kept").unwrap(), b"1");
    assert_eq!(node.read("changed").unwrap(), b"of the second");
    assert_eq!(node.read("removed"), None);
}

#[test]
fn a_flush_waits_for_both_passives_and_for_one_that_comes_later_once_it_is_there() {
    let [active, second, mut third] = nodes();
    active.ask(Command::Promote);
    third.kill_bridge();
    active.expect("sibling bmc2 left the group");
    active.write("setting", b"1");
    active.ask(Command::Flush);
    assert_eq!(second.read("setting").unwrap(), b"1");
    assert_eq!(third.read("setting"), None);
    third.start_bridge();
    third.expect("in sync at epoch 1");
    active.ask(Command::Flush);
    assert_eq!(third.read("setting").unwrap(), b"1");
}
