//! The Passive is lost, and comes back.

use lab::{Result, deadline};

use crate::stage::{On, Scenario, Stage, ensure};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "the_passive_is_lost_and_comes_back_and_the_active_goes_on",
    on: On::SettledLab,
    script: lost_and_back,
}];

fn lost_and_back(stage: &Stage<'_>) -> Result<()> {
    use chassis_sim::messages::Event;
    let setting = "/etc/systemd/network/00-bmc.network";
    stage.lab.cut_power(stage.passive())?;
    // Nothing tells the Active that its sibling merely has no power: it makes sure.
    stage.chassis()?.wait_for(
        stage.mark,
        "proof that the Passive is held in reset",
        deadline::FAILOVER,
        |event| {
            *event
                == Event::ResetHeld {
                    bmc: stage.passive().slot(),
                }
        },
    )?;
    stage
        .lab
        .write_setting(stage.active, setting, "[Match]\nName=eth0\n")?;
    stage.lab.power_on(stage.passive())?;
    let active = stage.lab.settle()?;
    ensure(active == stage.active, || format!("{active} took over"))?;
    stage
        .lab
        .wait_setting(stage.passive(), setting, "[Match]\nName=eth0\n")?;
    let records = stage.chassis()?.records(stage.mark)?;
    let moved = records
        .iter()
        .find(|record| matches!(record.event, Event::MuxReleased { .. } | Event::MuxGranted { .. }));
    ensure(moved.is_none(), || format!("the mux moved: {moved:?}"))
}
