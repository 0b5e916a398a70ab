//! A process on the Active dies of SIGKILL.

use lab::{Result, deadline};

use crate::stage::{On, Scenario, Stage, ensure, wait_takeover};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "kill_9_of_the_fan_service_on_the_active_is_mended_in_place",
        on: On::SettledLab,
        script: |stage| mended_in_place(stage, "phosphor-fan-control@0.service"),
    },
    Scenario {
        name: "kill_9_of_the_power_service_on_the_active_is_mended_in_place",
        on: On::SettledLab,
        script: |stage| mended_in_place(stage, "xyz.openbmc_project.State.Chassis@0.service"),
    },
    Scenario {
        name: "kill_9_of_the_bridge_on_the_active_is_mended_in_place",
        on: On::SettledLab,
        script: |stage| mended_in_place(stage, "corosync-bridge.service"),
    },
    Scenario {
        name: "kill_9_of_pacemakerd_on_the_active_is_mended_in_place",
        on: On::SettledLab,
        script: |stage| mended_in_place(stage, "pacemaker.service"),
    },
    Scenario {
        name: "kill_9_of_corosync_on_the_active_hands_over_after_fencing",
        on: On::SettledLab,
        script: corosync,
    },
    Scenario {
        name: "kill_9_of_the_bridge_on_the_passive_is_mended_in_place",
        on: On::SettledLab,
        script: bridge_of_the_passive,
    },
];

/// Where this scenario's setting is.
const SETTING: &str = "/var/lib/phosphor-settings-manager/settings/killed";

/// The unit's main process is another one afterwards, the Active is the same, nobody was reset, and a setting
/// written afterwards still arrives.
fn mended_in_place(stage: &Stage<'_>, unit: &str) -> Result<()> {
    let killed = main_pid(stage, stage.active, unit)?;
    stage.lab.kill9(stage.active, unit)?;
    stage
        .lab
        .wait_for(&format!("{unit} in a new process"), deadline::FAILOVER, || {
            let pid = main_pid(stage, stage.active, unit)?;
            Ok((pid != killed && pid != "0").then_some(()).ok_or(pid))
        })?;
    let active = stage.lab.settle()?;
    ensure(active == stage.active, || format!("{active} took over"))?;
    stage.assert_nobody_was_reset()?;
    stage.lab.write_setting(stage.active, SETTING, unit)?;
    stage.lab.wait_setting(stage.passive(), SETTING, unit)
}

fn corosync(stage: &Stage<'_>) -> Result<()> {
    stage.lab.kill9(stage.active, "corosync.service")?;
    wait_takeover(stage.lab, stage.active)?;
    stage.assert_fenced_before_takeover(stage.active)
}

fn bridge_of_the_passive(stage: &Stage<'_>) -> Result<()> {
    stage.lab.kill9(stage.passive(), "corosync-bridge.service")?;
    stage.lab.write_setting(
        stage.active,
        SETTING,
        "written while the Passive's bridge was dead",
    )?;
    stage.lab.wait_setting(
        stage.passive(),
        SETTING,
        "written while the Passive's bridge was dead",
    )?;
    stage.lab.wait_passive_in_sync(stage.active, deadline::SETTLE)?;
    stage.assert_nobody_was_reset()
}

fn main_pid(stage: &Stage<'_>, node: lab::Node, unit: &str) -> Result<String> {
    let pid = stage.lab.run(
        node,
        &["systemctl", "show", "--property=MainPID", "--value", unit],
    )?;
    Ok(pid.trim().to_owned())
}
