//! What a monitor costs: one process, and no thread.

#[cfg(test)]
mod support;

use support::bridge::Bridge;
use support::bus::{Systemd, units_of_a_bmc};
use support::{AGENTS, Outcome, PROGRAM, World, tool};

/// Runs a recurring monitor in a PID namespace of its own. The shell there is process 1 and the agent is process 2: the
/// last number given out tells whether the agent made a process or a thread.
fn last_pid_of_monitor(world: &World, agent: &str) -> String {
    let script =
        "\"$0\" \"$1\" monitor; code=$?; read last </proc/sys/kernel/ns_last_pid; echo $last; exit $code";
    let mut command = tool("unshare");
    command.args([
        "--pid",
        "--fork",
        "--mount-proc",
        "sh",
        "-c",
        script,
        PROGRAM,
        agent,
    ]);
    let outcome = Outcome::of(command.env_clear().envs(world.environment(agent)));
    assert!(
        matches!(outcome.code, 0 | 8),
        "{agent}: {} {}",
        outcome.code,
        outcome.stderr
    );
    outcome.stdout.trim().to_owned()
}

#[test]
fn a_monitor_makes_no_process_and_no_thread() {
    let world = World::new();
    world.write("select", "1");
    let _systemd = Systemd::start(&world.path(""), &units_of_a_bmc());
    let _bridge = Bridge::start(&world.path("bridge.sock"));
    for agent in AGENTS {
        world.run(agent, "start").expect(0);
        if agent == "mux" {
            world.run(agent, "promote").expect(0);
        }
        remember_score(&world, agent);
        assert_eq!(last_pid_of_monitor(&world, agent), "2", "{agent}");
    }
}

/// Makes the last score that of the executor in the namespace, the shell there.
fn remember_score(world: &World, agent: &str) {
    let memory = format!("run/openbmc-{agent}-{agent}.score");
    if world.path(&memory).exists() {
        let entry = world.read(&memory);
        let score = entry.split(' ').next().unwrap_or_default();
        world.write(&memory, &format!("{score} 1"));
    }
}
