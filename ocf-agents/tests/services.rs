//! The agents of what runs on the Active only, with systemd and its services on a private bus.

#[cfg(test)]
mod support;

use std::time::{Duration, Instant};

use support::World;
use support::bus::{Job, Systemd, Unit};

const FAN: &str = "phosphor-fan-control@0.service";
const POWER: &str = "xyz.openbmc_project.State.Chassis@0.service";
const TARGET: &str = "obmc-bmc-active.target";
const AGENTS: [(&str, &str); 3] = [("fan", FAN), ("power", POWER), ("target", TARGET)];

fn systemd(world: &World) -> Systemd {
    let units = [
        (FAN, Unit::owning("xyz.openbmc_project.Control.Thermal")),
        (POWER, Unit::owning("xyz.openbmc_project.State.Chassis0")),
        (TARGET, Unit::stopped()),
    ];
    Systemd::start(&world.path(""), &units)
}

/// A BMC that holds the mux.
fn active() -> (World, Systemd) {
    let world = World::new();
    world.write("select", "1");
    let systemd = systemd(&world);
    (world, systemd)
}

#[test]
fn a_whole_life() {
    let (world, systemd) = active();
    for (agent, unit) in AGENTS {
        world.probe(agent).expect(7);
        world.run(agent, "start").expect(0);
        world.run(agent, "start").expect(0);
        world.run(agent, "monitor").expect(0);
        assert_eq!(systemd.state(unit), "active");
        world.run(agent, "stop").expect(0);
        world.run(agent, "stop").expect(0);
        world.run(agent, "monitor").expect(7);
        assert_eq!(systemd.state(unit), "inactive");
    }
}

#[test]
fn nothing_is_started_on_a_bmc_that_does_not_hold_the_mux() {
    let world = World::new();
    let systemd = systemd(&world);
    for (agent, unit) in AGENTS {
        let outcome = world.run(agent, "start").expect(1);
        let expected =
            format!("start {unit}: this BMC does not hold the mux, so it must not drive the chassis");
        assert_eq!(outcome.reason(), expected);
    }
    assert_eq!(systemd.calls(), [""; 0]);
}

#[test]
fn without_a_bus_nothing_runs_and_stopping_succeeds() {
    let world = World::new();
    world.write("select", "1");
    for (agent, _) in AGENTS {
        world.probe(agent).expect(7);
        world.run(agent, "monitor").expect(7);
        world.run(agent, "stop").expect(0);
    }
}

#[test]
fn a_unit_that_is_not_installed_is_named() {
    let (world, _systemd) = active();
    let other = [("OCF_RESKEY_unit", "other.target")];
    assert_eq!(
        world.run_with("target", "start", &other).expect(5).reason(),
        "start other.target: systemd has no such unit"
    );
    world.run_with("target", "monitor", &other).expect(7);
    world.run_with("target", "stop", &other).expect(0);
    let at_level_10 = [("OCF_RESKEY_unit", "other.target"), ("OCF_CHECK_LEVEL", "10")];
    world.run_with("target", "validate-all", &at_level_10).expect(5);
    for (agent, _) in AGENTS {
        world
            .run_with(agent, "validate-all", &[("OCF_CHECK_LEVEL", "10")])
            .expect(0);
    }
}

#[test]
fn a_start_that_fails_says_what_systemd_said() {
    let world = World::new();
    world.write("select", "1");
    let failing = Unit {
        start: Job::Failed,
        ..Unit::stopped()
    };
    let _systemd = Systemd::start(&world.path(""), &[(TARGET, failing)]);
    let outcome = world.run("target", "start").expect(1);
    assert!(
        outcome.reason().contains("the job ended with \"failed\""),
        "{}",
        outcome.reason()
    );
    world.run("target", "monitor").expect(7);
}

#[test]
fn a_start_that_hangs_ends_before_pacemaker_gives_up() {
    let world = World::new();
    world.write("select", "1");
    let hanging = Unit {
        start: Job::Hangs,
        ..Unit::stopped()
    };
    let _systemd = Systemd::start(&world.path(""), &[(TARGET, hanging)]);
    let begun = Instant::now();
    let outcome = world
        .run_with("target", "start", &[("OCF_RESKEY_CRM_meta_timeout", "1000")])
        .expect(1);
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "took {:?}",
        begun.elapsed()
    );
    assert!(
        outcome.reason().contains("not done after"),
        "{}",
        outcome.reason()
    );
}

#[test]
fn a_service_that_does_not_stop_is_killed_before_pacemaker_gives_up() {
    let world = World::new();
    world.write("select", "1");
    let stubborn = Unit {
        stop: Job::Hangs,
        ..Unit::stopped()
    };
    let systemd = Systemd::start(&world.path(""), &[(TARGET, stubborn)]);
    world.run("target", "start").expect(0);
    world
        .run_with("target", "stop", &[("OCF_RESKEY_CRM_meta_timeout", "3000")])
        .expect(0);
    assert_eq!(systemd.calls().last().unwrap(), "KillUnit obmc-bmc-active.target");
    world.run("target", "monitor").expect(7);
}

#[test]
fn a_service_that_is_being_restarted_is_waited_for() {
    let (world, systemd) = active();
    world.run("target", "start").expect(0);
    systemd.set_state(TARGET, "activating");
    std::thread::scope(|scope| {
        let monitor = scope.spawn(|| world.run("target", "monitor"));
        systemd.set_state(TARGET, "active");
        monitor.join().unwrap().expect(0);
    });
}

#[test]
fn a_service_that_lost_its_bus_name_is_not_well() {
    let (world, systemd) = active();
    for (agent, unit) in [("fan", FAN), ("power", POWER)] {
        systemd.set_state(unit, "active");
        let outcome = world.run(agent, "monitor").expect(1);
        assert!(
            outcome.reason().contains("nobody owns xyz.openbmc_project"),
            "{}",
            outcome.reason()
        );
    }
}

#[test]
fn a_fan_that_hardly_turns_fails_the_monitor() {
    let (world, _systemd) = active();
    world.run("fan", "start").expect(0);
    world.write("fan2_input", "499");
    let outcome = world.run("fan", "monitor").expect(1);
    assert!(
        outcome
            .reason()
            .ends_with("fan2_input reads 499 RPM, below 500 RPM"),
        "{}",
        outcome.reason()
    );
}

#[test]
fn fan_control_that_stopped_writing_fails_the_monitor() {
    let (world, _systemd) = active();
    world.run("fan", "start").expect(0);
    world.age("pwm2", Duration::from_secs(60));
    let outcome = world
        .run_with("fan", "monitor", &[("OCF_RESKEY_duty_max_age", "1s")])
        .expect(1);
    assert!(
        outcome.reason().ends_with("pwm2 was not written for 1 s"),
        "{}",
        outcome.reason()
    );
}

#[test]
fn stopping_fan_control_leaves_the_fans_safe_while_the_mux_is_held() {
    let (world, _systemd) = active();
    world.run("fan", "start").expect(0);
    world
        .run_with("fan", "stop", &[("OCF_RESKEY_fail_safe_duty", "80")])
        .expect(0);
    assert_eq!(
        (world.read("pwm1"), world.read("pwm2")),
        ("204".into(), "204".into())
    );
}

#[test]
fn stopping_fan_control_without_the_mux_writes_nothing() {
    let (world, _systemd) = active();
    world.run("fan", "start").expect(0);
    world.write("select", "0");
    world.run("fan", "stop").expect(0);
    assert_eq!(
        (world.read("pwm1"), world.read("pwm2")),
        ("128".into(), "128".into())
    );
}

#[test]
fn host_power_that_is_not_as_shown_fails_the_monitor() {
    let (world, systemd) = active();
    world.run("power", "start").expect(0);
    systemd.set_power_state("Off");
    let outcome = world.run("power", "monitor").expect(1);
    assert!(
        outcome.reason().contains("PowerState.Off\" and "),
        "{}",
        outcome.reason()
    );
    world.write("power_good", "0");
    world.run("power", "monitor").expect(0);
}
