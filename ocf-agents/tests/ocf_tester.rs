//! Every agent before resource-agents' own judge.

#[cfg(test)]
mod support;

use std::os::unix::fs::PermissionsExt;

use support::bridge::Bridge;
use support::bus::{Systemd, units_of_a_bmc};
use support::{AGENTS, Outcome, PROGRAM, World, tool};

#[test]
fn ocf_tester_passes_for_every_agent() {
    let world = World::new();
    let systemd = Systemd::start(&world.path(""), &units_of_a_bmc());
    for agent in AGENTS {
        // A copy: ocf-tester also runs the agent as nobody, who may not reach the build folder.
        let program = world.path(agent);
        std::fs::copy(PROGRAM, &program).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        world.write(
            "select",
            if matches!(agent, "mux" | "settings") {
                "0"
            } else {
                "1"
            },
        );
        // The bridge's socket is there while its unit would be; ocf-tester starts with a stopped one.
        let outcome = if agent == "settings" {
            with_bridge(&world, &systemd)
        } else {
            judge(&world, agent)
        };
        assert!(
            outcome.stdout.contains("passed all tests"),
            "{agent}: {}{}",
            outcome.stdout,
            outcome.stderr
        );
    }
}

fn judge(world: &World, agent: &str) -> Outcome {
    let mut command = tool("ocf-tester");
    command.args(["-n", agent]).env_clear();
    for (name, value) in world.environment(agent) {
        match name.strip_prefix("OCF_RESKEY_") {
            Some(parameter) if !parameter.starts_with("CRM_meta_") => {
                command.arg("-o").arg(format!("{parameter}={value}"));
            }
            _ => drop(command.env(name, value)),
        }
    }
    Outcome::of(command.arg(world.path(agent)))
}

/// The stand-in for the bridge follows its unit: up while systemd says active.
fn with_bridge(world: &World, systemd: &Systemd) -> Outcome {
    std::thread::scope(|scope| {
        let judged = scope.spawn(|| judge(world, "settings"));
        let mut bridge = None;
        while !judged.is_finished() {
            let up = systemd.state("corosync-bridge.service") == "active";
            if up && bridge.is_none() {
                bridge = Some(Bridge::start(&world.path("bridge.sock")));
            } else if !up {
                bridge = None;
            }
            std::thread::yield_now();
        }
        judged
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
