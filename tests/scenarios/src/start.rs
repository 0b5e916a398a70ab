//! How a pair comes up.

use lab::{LabError, Node, Result, deadline};

use crate::stage::{On, Scenario, Stage, ensure, fail};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_fresh_pair_is_provisioned_and_one_bmc_drives_the_chassis",
        on: On::SettledLab,
        script: fresh,
    },
    Scenario {
        name: "provisioning_twice_changes_nothing",
        on: On::SettledLab,
        script: provisioned_twice,
    },
    Scenario {
        name: "after_a_cold_start_of_both_one_bmc_is_active_and_nobody_is_reset",
        on: On::SettledLab,
        script: cold_start,
    },
    Scenario {
        name: "a_bmc_whose_sibling_is_dead_comes_up_alone_after_fencing_it",
        on: On::SettledLab,
        script: alone,
    },
];

fn fresh(stage: &Stage<'_>) -> Result<()> {
    let holder = stage.chassis()?.mux_holder()?;
    ensure(holder == Some(stage.active), || {
        format!("{} is promoted, but {holder:?} holds the mux", stage.active)
    })?;
    let probe = stage.lab.probe_address()?;
    probe.wait_for(true, stage.mark.at, deadline::FAILOVER).map(drop)
}

fn provisioned_twice(stage: &Stage<'_>) -> Result<()> {
    let version = |lab: &lab::Lab| {
        // Admin epoch, epoch and number of updates, from the CIB's first line.
        let cib = lab.run(Node::Bmc0, &["cibadmin", "--query"])?;
        let line = cib.lines().next().unwrap_or_default().to_owned();
        let epochs = line.split(' ').filter(|word| word.contains("epoch="));
        Ok::<String, LabError>(epochs.collect::<Vec<_>>().join(" "))
    };
    let before = version(stage.lab)?;
    stage.lab.provision(&lab::Provision::default())?;
    let after = version(stage.lab)?;
    ensure(before == after, || {
        format!("the configuration was {before} and is {after}")
    })?;
    stage.assert_nobody_was_reset()
}

fn cold_start(stage: &Stage<'_>) -> Result<()> {
    for node in Node::BOTH {
        stage.lab.cut_power(node)?;
    }
    let mark = stage.chassis()?.mark("both BMCs are off")?;
    stage.lab.boot_all()?;
    stage.lab.settle()?;
    let records = stage.chassis()?.records(mark)?;
    let reset = records
        .iter()
        .find(|record| matches!(record.event, chassis_sim::messages::Event::ResetAsserted { .. }));
    match reset {
        None => Ok(()),
        Some(record) => fail(format!(
            "a BMC reset its sibling, which was just booting: {record:?}"
        )),
    }
}

fn alone(stage: &Stage<'_>) -> Result<()> {
    for node in Node::BOTH {
        stage.lab.cut_power(node)?;
    }
    let mark = stage.chassis()?.mark("both BMCs are off")?;
    let (alone, dead) = (stage.passive(), stage.active);
    stage.lab.power_on(alone)?;
    stage.lab.wait_active(alone, deadline::SETTLE)?;
    stage.chassis()?.wait_for(
        mark,
        "proof that the dead BMC is held in reset",
        deadline::BRIDGE,
        |event| *event == chassis_sim::messages::Event::ResetHeld { bmc: dead.slot() },
    )?;
    Ok(())
}
