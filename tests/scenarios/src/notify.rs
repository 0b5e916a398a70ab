//! Services that are told when their settings have changed.

use lab::{Lab, Moment, Node, Result, deadline};

use crate::stage::{On, Scenario, Stage, ensure};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "a_service_on_the_passive_restarts_when_its_settings_arrive_and_one_that_is_stopped_stays_so",
    on: On::SettledLab,
    script: restart,
}];

/// The service that the lab's list names.
const UNIT: &str = "lab-listener.service";

/// What it listens to: `NotifyOnPaths` of the lab's list.
const LISTENED: &str = "/var/lib/phosphor-settings-manager/settings/listened";

const DEFINITION: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

fn restart(stage: &Stage<'_>) -> Result<()> {
    let (lab, active, passive) = (stage.lab, stage.active, stage.passive());
    for node in Node::BOTH {
        lab.write_setting(node, &format!("/run/systemd/system/{UNIT}"), DEFINITION)?;
        lab.run(node, &["systemctl", "daemon-reload"])?;
    }
    lab.run(passive, &["systemctl", "start", UNIT])?;
    let before = invocation(lab, passive)?;
    lab.write_setting(active, &format!("{LISTENED}/setting"), "new\n")?;
    lab.wait_for("the service's restart", deadline::SETTING, || {
        let now = invocation(lab, passive)?;
        Ok(if now == before { Err(now) } else { Ok(()) })
    })?;
    let problems = lab.bridge_status(passive)?.problems;
    ensure(problems.is_empty(), || format!("{problems:?}"))?;

    lab.run(passive, &["systemctl", "stop", UNIT])?;
    let begin = Moment::now();
    lab.run(active, &["rm", "-r", LISTENED])?;
    lab.follow(passive)?
        .wait_for("the word to the service", deadline::SETTING, |entry| {
            entry.at >= begin && entry.message.contains(&format!("told {UNIT} of changes"))
        })?;
    for node in Node::BOTH {
        let state = lab.exec(node, &["systemctl", "is-active", UNIT])?.stdout;
        ensure(state.trim() == "inactive", || {
            format!("{UNIT} on {node} is {state} and nobody started it")
        })?;
    }
    Ok(())
}

/// Changes with every start.
fn invocation(lab: &Lab, node: Node) -> Result<String> {
    lab.run(
        node,
        &["systemctl", "show", "--property=InvocationID", "--value", UNIT],
    )
}
