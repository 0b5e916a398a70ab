//! Every agent, in the hands of resource-agents' own tester, on real hardware files and a real bridge; and as the
//! administrators' tools show it.

use lab::{Node, Result};

use crate::stage::{On, Scenario, Stage, ensure};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "pcs_and_crm_show_the_help_of_every_agent",
        on: On::RunningLab,
        script: described,
    },
    Scenario {
        name: "ocf_tester_passes_for_every_agent",
        on: On::SettledLab,
        script: tested,
    },
];

const GATE: &str = "mux_grant_file=/run/chassis/mux/grant";

/// An agent and the parameters that the tester gives it. The mux is first: what comes after needs it.
const AGENTS: &[(&str, &[&str])] = &[
    ("mux", &["mux_select_file=/run/chassis/mux/select", GATE]),
    ("settings", &[]),
    (
        "fan",
        &[
            GATE,
            "tach_files=/run/chassis/fans/fan*_input",
            "duty_files=/run/chassis/fans/pwm*",
        ],
    ),
    ("power", &[GATE, "power_good_file=/run/chassis/power/good"]),
    ("target", &[GATE]),
];

fn tested(stage: &Stage<'_>) -> Result<()> {
    // The tester starts and stops what Pacemaker would be watching: everything is stopped first.
    let on = Node::Bmc0;
    stage
        .lab
        .run(on, &["pcs", "node", "standby", "--all", "--wait=60"])?;
    let outcome = AGENTS
        .iter()
        .try_for_each(|(agent, parameters)| test(stage, on, agent, parameters));
    stage.lab.write_setting(on, "/run/chassis/mux/select", "0")?;
    stage
        .lab
        .run(on, &["pcs", "node", "unstandby", "--all", "--wait=60"])?;
    outcome
}

fn test(stage: &Stage<'_>, on: Node, agent: &str, parameters: &[&str]) -> Result<()> {
    if agent != "mux" {
        stage.lab.write_setting(on, "/run/chassis/mux/select", "1")?;
        stage.lab.wait_setting(on, "/run/chassis/mux/grant", "1\n")?;
    }
    let path = format!("/usr/lib/ocf/resource.d/openbmc/{agent}");
    let mut argv = vec!["ocf-tester", "-v", "-n", agent];
    for parameter in parameters {
        argv.extend(["-o", parameter]);
    }
    argv.push(&path);
    stage.lab.run(on, &argv).map(drop)
}

fn described(stage: &Stage<'_>) -> Result<()> {
    let on = Node::Bmc0;
    stage.lab.wait_booted(on)?;
    for (agent, _) in AGENTS {
        let name = format!("ocf:openbmc:{agent}");
        for argv in [
            ["pcs", "resource", "describe", &name],
            ["crm", "ra", "info", &name],
        ] {
            shows(stage, on, &argv, &["monitor", "interval"])?;
        }
    }
    shows(
        stage,
        on,
        &["pcs", "stonith", "describe", "fence_bmc"],
        &["reset_file", "held_file", "lock_file"],
    )
}

fn shows(stage: &Stage<'_>, on: Node, argv: &[&str], needles: &[&str]) -> Result<()> {
    let text = stage.lab.run(on, argv)?;
    needles.iter().try_for_each(|needle| {
        ensure(text.contains(needle), || {
            format!("{} does not show {needle}:\n{text}", argv.join(" "))
        })
    })
}
