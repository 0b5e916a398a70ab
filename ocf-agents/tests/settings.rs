//! The settings agent, with systemd on a private bus and a stand-in for the bridge.

#[cfg(test)]
mod support;

use std::time::{Duration, Instant};

use bmc_bridge_control::{Command, Connection, Member, Position, Role, Sync};
use support::World;
use support::bridge::Bridge;
use support::bus::{Systemd, Unit};

const UNIT: &str = "corosync-bridge.service";

fn systemd(world: &World) -> Systemd {
    Systemd::start(&world.path(""), &[(UNIT, Unit::stopped())])
}

/// A BMC whose bridge is up.
fn running() -> (World, Systemd, Bridge) {
    let world = World::new();
    let systemd = systemd(&world);
    let bridge = Bridge::start(&world.path("bridge.sock"));
    world.run("settings", "start").expect(0);
    (world, systemd, bridge)
}

fn score(world: &World) -> String {
    world.scores().pop().unwrap_or_default()
}

#[test]
fn a_whole_life() {
    let (world, systemd, bridge) = running();
    world.run("settings", "monitor").expect(0);
    world.run("settings", "promote").expect(0);
    world.run("settings", "monitor").expect(8);
    world.run("settings", "demote").expect(0);
    world.run("settings", "monitor").expect(0);
    assert_eq!(bridge.commands(), [Command::Promote, Command::Demote]);
    drop(bridge);
    world.run("settings", "stop").expect(0);
    assert_eq!(systemd.state(UNIT), "inactive");
    world.run("settings", "monitor").expect(7);
    world.run("settings", "stop").expect(0);
}

#[test]
fn a_probe_without_a_bus_or_a_bridge_says_not_running() {
    let world = World::new();
    world.probe("settings").expect(7);
    world.run("settings", "stop").expect(0);
    let _systemd = systemd(&world);
    world.probe("settings").expect(7);
}

#[test]
fn the_score_follows_the_copy_and_the_tool_runs_only_when_it_changed() {
    let (world, _systemd, bridge) = running();
    world.run("settings", "monitor").expect(0);
    assert_eq!(world.scores(), ["--promotion=settings --update=805"]);
    let active = Member {
        node_id: 2,
        name: "bmc1".into(),
        role: Role::Active,
        position: Position {
            epoch: 4,
            sequence: 0,
        },
        sync: Sync::Source,
        essential: false,
        acknowledged: None,
        lag_ms: None,
    };
    bridge.change(|status| {
        status.members = vec![active];
        status.sync = Sync::Syncing;
    });
    world.run("settings", "monitor").expect(0);
    assert_eq!(score(&world), "--promotion=settings --update=15");
    bridge.change(|status| status.sync = Sync::InSync);
    world.run("settings", "monitor").expect(0);
    world.run("settings", "monitor").expect(0);
    assert_eq!(score(&world), "--promotion=settings --update=505");
    bridge.change(|status| status.connection = Connection::Disconnected);
    world.run("settings", "monitor").expect(0);
    assert_eq!(score(&world), "--promotion=settings --delete");
    assert_eq!(world.scores().len(), 4);
}

#[test]
fn the_score_of_a_new_active_is_set_by_its_monitor_and_holds_no_promotion_up() {
    let (world, _systemd, _bridge) = running();
    world.run("settings", "promote").expect(0);
    assert_eq!(score(&world), "--promotion=settings --update=805");
    world.run("settings", "monitor").expect(8);
    assert_eq!(score(&world), "--promotion=settings --update=1000");
}

#[test]
fn a_promotion_that_the_bridge_refuses_fails_with_its_words() {
    let (world, _systemd, bridge) = running();
    bridge.refuse("promote: the epoch was not agreed");
    assert_eq!(
        world.run("settings", "promote").expect(1).reason(),
        "promote: the epoch was not agreed"
    );
    world.run("settings", "monitor").expect(0);
}

#[test]
fn stopping_a_source_demotes_it_first() {
    let (world, _systemd, bridge) = running();
    world.run("settings", "promote").expect(0);
    world.run("settings", "stop").expect(0);
    assert_eq!(bridge.commands().last(), Some(&Command::Demote));
}

#[test]
fn a_source_that_cannot_step_down_is_stopped_all_the_same() {
    let (world, systemd, bridge) = running();
    world.run("settings", "promote").expect(0);
    bridge.refuse("flush: no answer from node 2");
    let outcome = world.run("settings", "stop").expect(0);
    assert!(
        outcome.stderr.contains("flush: no answer from node 2"),
        "{}",
        outcome.stderr
    );
    assert_eq!(systemd.state(UNIT), "inactive");
}

#[test]
fn a_bridge_that_starts_as_the_source_is_demoted() {
    let world = World::new();
    let _systemd = systemd(&world);
    let bridge = Bridge::start(&world.path("bridge.sock"));
    bridge.change(|status| status.role = Role::Active);
    world.run("settings", "start").expect(0);
    assert_eq!(bridge.commands(), [Command::Demote]);
    world.run("settings", "monitor").expect(0);
}

#[test]
fn a_start_waits_until_the_group_is_joined() {
    let world = World::new();
    let _systemd = systemd(&world);
    let bridge = Bridge::start(&world.path("bridge.sock"));
    bridge.change(|status| status.connection = Connection::Disconnected);
    let soon = [("OCF_RESKEY_CRM_meta_timeout", "700")];
    let outcome = world.run_with("settings", "start", &soon).expect(1);
    assert_eq!(
        outcome.reason(),
        "start settings: the bridge is outside the replication group instead of in it"
    );
    std::thread::scope(|scope| {
        let start = scope.spawn(|| world.run("settings", "start"));
        bridge.change(|status| status.connection = Connection::Joined);
        start.join().unwrap().expect(0);
    });
}

#[test]
fn a_bridge_that_was_killed_and_comes_back_is_not_reported() {
    let (world, systemd, bridge) = running();
    drop(bridge);
    systemd.set_state(UNIT, "activating");
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let monitor = scope.spawn(|| world.run("settings", "monitor"));
        let _bridge = Bridge::start(&world.path("bridge.sock"));
        systemd.set_state(UNIT, "active");
        monitor.join().unwrap().expect(0);
    });
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "what systemd said was not heard: it took {:?}",
        begun.elapsed()
    );
}

#[test]
fn a_bridge_that_does_not_come_back_has_failed() {
    let (world, systemd, bridge) = running();
    drop(bridge);
    systemd.set_state(UNIT, "activating");
    let begun = Instant::now();
    let soon = [("OCF_RESKEY_CRM_meta_timeout", "1000")];
    let outcome = world.run_with("settings", "monitor", &soon).expect(1);
    assert!(
        outcome.reason().starts_with("connect to the bridge at "),
        "{}",
        outcome.reason()
    );
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "took {:?}",
        begun.elapsed()
    );
    systemd.set_state(UNIT, "failed");
    world.run("settings", "monitor").expect(7);
}

#[test]
fn an_active_that_lost_the_group_has_failed() {
    let (world, _systemd, bridge) = running();
    world.run("settings", "promote").expect(0);
    bridge.change(|status| status.connection = Connection::Disconnected);
    world
        .run_with("settings", "monitor", &[("OCF_RESKEY_CRM_meta_timeout", "1000")])
        .expect(9);
}

#[test]
fn demoting_what_does_not_run_succeeds() {
    let world = World::new();
    world.run("settings", "demote").expect(0);
    let _systemd = systemd(&world);
    world.run("settings", "demote").expect(0);
}
