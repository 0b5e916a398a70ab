//! Bad parameters to every agent: one clear error that names the parameter, its value and what would be right.

#[cfg(test)]
mod support;

use support::{AGENTS, World};

/// Agent, parameter, value (`-` takes it away), what the reason must say.
const BAD: &[(&str, &str, &str, &str)] = &[
    (
        "mux",
        "mux_backend",
        "gpio",
        "parameter mux_backend is \"gpio\": expected file or command",
    ),
    (
        "mux",
        "mux_select_file",
        "-",
        "parameter mux_select_file is not set and mux_backend is file: expected an absolute path",
    ),
    (
        "mux",
        "mux_select_file",
        "mux/select",
        "parameter mux_select_file is \"mux/select\": expected an absolute path",
    ),
    (
        "mux",
        "mux_grant_file",
        "",
        "parameter mux_grant_file is not set and mux_backend is file",
    ),
    (
        "mux",
        "mux_grant_file",
        "/run/mux/",
        "parameter mux_grant_file is \"/run/mux/\": expected an absolute path",
    ),
    (
        "mux",
        "claim_timeout",
        "soon",
        "parameter claim_timeout is \"soon\": expected a time",
    ),
    (
        "mux",
        "claim_timeout",
        "0",
        "parameter claim_timeout is \"0\": expected a time above zero",
    ),
    (
        "mux",
        "claim_timeout",
        "-5s",
        "parameter claim_timeout is \"-5s\": expected a time",
    ),
    (
        "settings",
        "unit",
        "bridge",
        "parameter unit is \"bridge\": expected the name of a systemd service or target",
    ),
    (
        "settings",
        "unit",
        "../bridge.service",
        "parameter unit is \"../bridge.service\"",
    ),
    (
        "settings",
        "socket",
        "bridge.sock",
        "parameter socket is \"bridge.sock\": expected an absolute path",
    ),
    (
        "fan",
        "unit",
        "fan;reboot.service",
        "parameter unit is \"fan;reboot.service\"",
    ),
    (
        "fan",
        "bus_name",
        "thermal",
        "parameter bus_name is \"thermal\": expected a well-known D-Bus name",
    ),
    (
        "fan",
        "tach_files",
        "-",
        "parameter tach_files is not set: expected an absolute path",
    ),
    (
        "fan",
        "tach_files",
        "/sys/*/fan1_input",
        "parameter tach_files is \"/sys/*/fan1_input\": expected an absolute path, with * or ? in the file name only",
    ),
    (
        "fan",
        "tach_minimum",
        "fast",
        "parameter tach_minimum is \"fast\": expected a speed in RPM from 0 to 100000",
    ),
    ("fan", "tach_minimum", "-1", "parameter tach_minimum is \"-1\""),
    ("fan", "duty_files", "pwm*", "parameter duty_files is \"pwm*\""),
    ("fan", "duty_max_age", "0s", "parameter duty_max_age is \"0s\""),
    (
        "fan",
        "fail_safe_duty",
        "101",
        "parameter fail_safe_duty is \"101\": expected a percentage from 0 to 100",
    ),
    ("fan", "mux_backend", "FILE", "parameter mux_backend is \"FILE\""),
    (
        "power",
        "object_path",
        "chassis0",
        "parameter object_path is \"chassis0\": expected a D-Bus object path",
    ),
    (
        "power",
        "power_good_file",
        "-",
        "parameter power_good_file is not set: expected an absolute path",
    ),
    (
        "power",
        "mux_grant_file",
        "-",
        "parameter mux_grant_file is not set and mux_backend is file",
    ),
    (
        "target",
        "unit",
        "active.timer",
        "parameter unit is \"active.timer\"",
    ),
    (
        "target",
        "mux_grant_file",
        "grant",
        "parameter mux_grant_file is \"grant\": expected an absolute path",
    ),
];

#[test]
fn a_bad_parameter_is_refused_by_every_action_with_its_name_its_value_and_what_is_right() {
    let world = World::new();
    for (agent, parameter, value, reason) in BAD {
        let variable = format!("OCF_RESKEY_{parameter}");
        for action in ["validate-all", "start", "monitor", "stop"] {
            let outcome = world.run_with(agent, action, &[(&variable, value)]).expect(6);
            assert!(
                outcome.reason().starts_with(reason),
                "{agent} {action} {parameter}: {}",
                outcome.reason()
            );
            let reasons = outcome
                .stderr
                .lines()
                .filter(|line| line.starts_with("ocf-exit-reason:"))
                .count();
            assert_eq!(reasons, 1, "{}", outcome.stderr);
        }
    }
    assert_eq!(world.read("select"), "0");
}

#[test]
fn a_command_backend_needs_its_command() {
    let world = World::new();
    for agent in ["mux", "fan", "power", "target"] {
        let outcome = world
            .run_with(agent, "validate-all", &[("OCF_RESKEY_mux_backend", "command")])
            .expect(6);
        assert!(
            outcome
                .reason()
                .starts_with("parameter mux_command is not set and mux_backend is command")
        );
    }
}

#[test]
fn right_parameters_are_valid_on_a_machine_without_hardware() {
    let world = World::new();
    world.remove("grant");
    for agent in AGENTS {
        world.run(agent, "validate-all").expect(0);
    }
}

#[test]
fn at_check_level_10_the_machine_is_examined_too() {
    let world = World::new();
    world.remove("grant");
    let outcome = world
        .run_with("mux", "validate-all", &[("OCF_CHECK_LEVEL", "10")])
        .expect(5);
    assert!(outcome.reason().contains("grant"), "{}", outcome.reason());
    world
        .run_with("settings", "validate-all", &[("OCF_CHECK_LEVEL", "10")])
        .expect(1);
}

#[test]
fn unknown_parameters_are_passed_over_as_by_other_agents() {
    let world = World::new();
    world
        .run_with("mux", "validate-all", &[("OCF_RESKEY_surprise", "1")])
        .expect(0);
}
