//! Who may take over, and who decides.

use bmc_bridge_control::messages::Role;
use lab::{Node, Result, deadline};

use crate::stage::{On, Scenario, Stage, ensure, fail, wait_takeover};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_switchover_to_a_bmc_that_does_not_acknowledge_is_refused_with_the_reason",
        on: On::SettledLab,
        script: unacknowledged,
    },
    Scenario {
        name: "with_the_policy_external_nobody_takes_over_until_asked",
        on: On::SettledLab,
        script: external,
    },
];

/// Exit status of `bmc-ha failover` when it is unsafe.
const REFUSED: i32 = 3;
/// The bridge's unit.
const BRIDGE: &str = "corosync-bridge.service";

fn unacknowledged(stage: &Stage<'_>) -> Result<()> {
    let setting = "/var/lib/phosphor-settings-manager/settings/not-acknowledged";
    signal(stage, stage.passive(), "STOP")?;
    stage.lab.write_setting(stage.active, setting, "late")?;
    let answer = stage
        .lab
        .exec(stage.active, &["bmc-ha", "failover", "--output", "json"]);
    signal(stage, stage.passive(), "CONT")?;
    let answer = answer?;
    ensure(
        answer.status.code() == Some(REFUSED) && answer.stdout.contains("NotInSync"),
        || {
            format!(
                "it should have been refused: {}: {}{}",
                answer.status, answer.stdout, answer.stderr
            )
        },
    )?;
    stage.lab.wait_setting(stage.passive(), setting, "late")?;
    let active = stage.lab.settle()?;
    ensure(active == stage.active, || format!("{active} took over"))?;
    stage.assert_nobody_was_reset()
}

fn signal(stage: &Stage<'_>, node: Node, signal: &str) -> Result<()> {
    stage
        .lab
        .run(
            node,
            &["systemctl", "kill", &format!("--signal={signal}"), BRIDGE],
        )
        .map(drop)
}

fn external(stage: &Stage<'_>) -> Result<()> {
    set_policy(stage, stage.active, "external")?;
    let outcome = only_when_asked(stage);
    let active = stage.lab.active()?;
    set_policy(stage, active, "automatic")?;
    outcome
}

fn only_when_asked(stage: &Stage<'_>) -> Result<()> {
    use chassis_sim::messages::Event;
    let survivor = stage.passive();
    stage.lab.cut_power(stage.active)?;
    stage.chassis()?.wait_for(
        stage.mark,
        "proof that the lost Active is held in reset",
        deadline::FAILOVER,
        |event| {
            *event
                == Event::ResetHeld {
                    bmc: stage.active.slot(),
                }
        },
    )?;
    // Done deciding: whatever Pacemaker wants to do after the loss, it has done when this returns.
    stage.lab.run(survivor, &["crm_resource", "--wait"])?;
    if let Some(holder) = stage.chassis()?.mux_holder()? {
        return fail(format!("{holder} took over without being asked"));
    }
    let role = stage.lab.bridge_status(survivor)?.role;
    ensure(role == Role::Passive, || {
        format!("{survivor} is {role:?} without being asked")
    })?;
    stage
        .lab
        .run(survivor, &["bmc-ha", "failover", survivor.name()])?;
    wait_takeover(stage.lab, stage.active)
}

fn set_policy(stage: &Stage<'_>, on: Node, policy: &str) -> Result<()> {
    let policy = format!("policy={policy}");
    stage
        .lab
        .run(
            on,
            &[
                "bmc-ha",
                "template",
                "apply",
                "redundant-bmc",
                "--keep",
                "--set",
                &policy,
            ],
        )
        .map(drop)
}
