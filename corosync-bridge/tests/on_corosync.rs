//! Two bridges on a real Corosync. Needs root, and Corosync installed.

mod pair;

use std::fs;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use bmc_bridge_control::{Command, Connection, Followed, Role, Switch, Sync, Transfer};
use pair::{PATIENCE, pair};

#[test]
fn a_change_on_the_active_is_on_the_passive_once_a_flush_is_answered() {
    let [active, passive] = pair();
    active.write("before", b"written before the promotion");
    active.ask(Command::Promote);
    active.expect("promoted epoch 1");
    active.write("after", b"written after it");
    active.ask(Command::Flush);
    assert_eq!(passive.read("before").unwrap(), b"written before the promotion");
    assert_eq!(passive.read("after").unwrap(), b"written after it");

    fs::remove_file(active.path("/mnt/settings/before")).unwrap();
    fs::create_dir(active.path("/mnt/settings/empty")).unwrap();
    active.ask(Command::Flush);
    assert_eq!(passive.read("before"), None);
    assert!(passive.path("/mnt/settings/empty").is_dir());

    let status = active.status();
    assert_eq!(
        (status.name.as_str(), status.node_id, status.quorate),
        ("bmc0", 1, true)
    );
    assert_eq!(
        (status.role, status.sync, status.position.epoch),
        (Role::Active, Sync::Source, 1)
    );
    assert_eq!(status.problems, []);
    let [member] = status.members.as_slice() else {
        panic!("{:?}", status.members)
    };
    assert_eq!(
        (member.name.as_str(), member.role, member.sync),
        ("bmc1", Role::Passive, Sync::InSync)
    );
    assert_eq!(
        (member.acknowledged, member.lag_ms),
        (Some(status.position.sequence), Some(0))
    );
    let status = passive.status();
    assert_eq!((status.role, status.sync), (Role::Passive, Sync::InSync));
    assert_eq!(status.position, member.position);
}

#[test]
fn a_killed_bridge_comes_back_in_its_role_and_with_what_changed_meanwhile() {
    let [mut active, mut passive] = pair();
    active.ask(Command::Promote);
    active.write("first", b"1");
    active.ask(Command::Flush);

    passive.kill_bridge();
    active.expect("sibling bmc1 left the group");
    active.write("second", b"2");
    active.ask(Command::Flush);
    passive.start_bridge();
    passive.expect("in sync at epoch 1");
    assert_eq!(passive.read("second").unwrap(), b"2");

    active.kill_bridge();
    passive.expect("sibling bmc0 left the group");
    active.write("third", b"3");
    fs::remove_file(active.path("/mnt/settings/first")).unwrap();
    active.start_bridge();
    active.expect("resumed epoch 2");
    active.ask(Command::Flush);
    assert_eq!(passive.read("third").unwrap(), b"3");
    assert_eq!(passive.read("first"), None);
}

#[test]
fn roles_swap_in_a_switchover_and_the_old_active_sends_nothing_more() {
    let [first, second] = pair();
    first.ask(Command::Promote);
    first.write("setting", b"of the first");
    first.ask(Command::Demote);
    first.expect("demoted epoch 1");
    second.ask(Command::Promote);
    second.expect("promoted epoch 2");
    first.write("setting", b"of one that is not the Active");
    second.ask(Command::FullSync);
    assert_eq!(first.read("setting").unwrap(), b"of the first");
    assert_eq!(second.read("setting").unwrap(), b"of the first");
    let refusal = first.client().run(Command::Flush, PATIENCE).unwrap_err();
    assert_eq!(refusal.to_string(), "flush: this node is not the Active");
}

#[test]
fn a_promotion_by_the_sibling_deposes_the_active() {
    let [first, second] = pair();
    first.ask(Command::Promote);
    // Asked before it has heard of that epoch it would ask for the same one, and be refused.
    second.expect("in sync at epoch 1");
    second.ask(Command::Promote);
    first.expect("deposed by bmc1 in epoch 2");
    assert_eq!(first.status().role, Role::Passive);
    assert_eq!(second.status().role, Role::Active);
}

#[test]
fn the_bridge_joins_again_after_corosync_was_killed_and_replicates_on() {
    let [active, mut passive] = pair();
    active.ask(Command::Promote);
    passive.kill_corosync();
    passive.expect("lost corosync");
    assert_eq!(passive.status().connection, Connection::Disconnected);
    active.expect("sibling bmc1 left the group");
    active.write("meanwhile", b"changed while it was away");
    passive.start_corosync();
    passive.expect("joined the group bmc-ha as bmc1 (node 2)");
    passive.expect("in sync at epoch 1");
    assert_eq!(passive.read("meanwhile").unwrap(), b"changed while it was away");
}

#[test]
fn whoever_waits_for_the_group_is_told_when_it_is_joined() {
    let [_, mut node] = pair();
    node.ask(Command::WaitJoined);
    node.kill_corosync();
    node.expect("lost corosync");
    let mut client = node.client();
    let waiter = std::thread::spawn(move || client.run(Command::WaitJoined, PATIENCE));
    node.start_corosync();
    waiter.join().unwrap().unwrap();
    assert_eq!(node.status().connection, Connection::Joined);
}

#[test]
fn who_follows_a_full_sync_hears_that_it_was_accepted_and_at_its_end_who_has_everything() {
    let [active, passive] = pair();
    let refusal = active.client().follow(Command::FullSync, PATIENCE, |progress| {
        panic!("refused, and yet it was told {progress:?}")
    });
    assert_eq!(
        refusal.unwrap_err().to_string(),
        "full sync: this node is not the Active"
    );
    active.ask(Command::Promote);
    active.write("setting", b"1");
    let accepted = active
        .client()
        .follow(Command::FullSync, PATIENCE, |_| ControlFlow::Break(()));
    assert_eq!(accepted.unwrap(), Followed::NoFurther);
    let mut last = None;
    let ended = active.client().follow(Command::FullSync, PATIENCE, |progress| {
        last = Some(progress);
        ControlFlow::Continue(())
    });
    assert_eq!(ended.unwrap(), Followed::ToTheEnd);
    let last = last.unwrap();
    assert_eq!(last.transfer, Transfer::default());
    let [member] = last.members.as_slice() else {
        panic!("{last:?}")
    };
    assert_eq!(member.name, "bmc1");
    assert!(member.acknowledged.is_some(), "{last:?}");
    assert_eq!(passive.read("setting").unwrap(), b"1");
}

#[test]
fn a_pause_holds_changes_back_on_every_member_until_it_is_resumed() {
    let [active, passive] = pair();
    active.ask(Command::Promote);
    active.ask(Command::Pause);
    assert_eq!(passive.status().switch, Switch::Paused);
    active.write("setting", b"1");
    let refusal = active.client().run(Command::Flush, PATIENCE).unwrap_err();
    assert_eq!(refusal.to_string(), "flush: replication is paused");
    active.ask(Command::Resume);
    active.ask(Command::Flush);
    assert_eq!(passive.read("setting").unwrap(), b"1");
}

#[test]
fn an_active_whose_corosync_was_killed_stays_the_active_and_sends_what_changed_meanwhile() {
    let [mut active, passive] = pair();
    active.ask(Command::Promote);
    active.kill_corosync();
    active.expect("lost corosync");
    passive.expect("sibling bmc0 left the group");
    active.write("meanwhile", b"changed while it was cut off");
    active.start_corosync();
    active.expect("joined the group bmc-ha as bmc0 (node 1)");
    // At first it is alone in its new membership.
    active.expect("sibling bmc1 joined the group");
    active.ask(Command::Flush);
    assert_eq!(active.status().role, Role::Active);
    assert_eq!(
        passive.read("meanwhile").unwrap(),
        b"changed while it was cut off"
    );
}

#[test]
fn a_burst_of_files_and_a_large_one_arrive_whole() {
    let [active, passive] = pair();
    active.ask(Command::Promote);
    let large: Vec<u8> = (0..8 * 1024 * 1024_u32)
        .flat_map(u32::to_le_bytes)
        .step_by(4)
        .collect();
    active.write("large", &large);
    for directory in 0..10 {
        let path = active.path(&format!("/mnt/settings/{directory}/deep"));
        fs::create_dir_all(path).unwrap();
        for file in 0..50 {
            active.write(&format!("{directory}/deep/{file}"), &[directory; 100]);
        }
    }
    fs::rename(
        active.path("/mnt/settings/9"),
        active.path("/mnt/settings/renamed"),
    )
    .unwrap();
    active.ask(Command::Flush);
    assert!(passive.read("large").unwrap() == large, "the large file differs");
    for (name, content) in [("0", 0), ("8", 8), ("renamed", 9)] {
        for file in 0..50 {
            let setting = format!("{name}/deep/{file}");
            assert_eq!(passive.read(&setting), Some(vec![content; 100]), "{setting}");
        }
    }
    assert_eq!(passive.read("9/deep/0"), None);
    assert_eq!(active.status().entries, passive.status().entries);
}

/// Not a promise, only information: the machine is shared, and durability depends on the file system.
#[test]
fn round_trips_are_measured_for_information() {
    let [active, _passive] = pair();
    active.ask(Command::Promote);
    active.ask(Command::Flush);
    let mut client = active.client();
    let mut times: Vec<Duration> = (0..50_u32)
        .map(|round| {
            let start = Instant::now();
            active.write("setting", format!("{round:01024}").as_bytes());
            client.run(Command::Flush, PATIENCE).unwrap();
            start.elapsed()
        })
        .collect();
    times.sort();
    let memory = fs::read_to_string(format!("/proc/{}/status", active.bridge_id())).unwrap();
    let resident = memory.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    println!(
        "1 KiB written, replicated, durable and flushed: median {:?}, p90 {:?}; bridge {resident}",
        times[25], times[45]
    );
}
