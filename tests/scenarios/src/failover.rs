//! The Active is lost.

use lab::{Result, Stage as Step, Timeline, deadline};

use crate::stage::{On, Scenario, Stage, ensure, wait_takeover};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_power_cut_of_the_active_moves_everything_to_the_passive_after_fencing",
        on: On::SettledLab,
        script: power_cut,
    },
    Scenario {
        name: "a_lost_bmc_comes_back_as_passive_and_catches_up",
        on: On::SettledLab,
        script: comes_back,
    },
    Scenario {
        name: "a_mux_taken_away_from_the_active_is_noticed_and_claimed_again",
        on: On::SettledLab,
        script: seized,
    },
    Scenario {
        name: "a_hot_host_stays_below_critical_through_a_failover",
        on: On::SettledLab,
        script: hot,
    },
];

/// Heat of a host under full load, in watts.
const FULL_LOAD_WATTS: u32 = 300;
/// Heat of a host that does little, in watts: what the chassis starts with.
const USUAL_LOAD_WATTS: u32 = 120;

fn power_cut(stage: &Stage<'_>) -> Result<()> {
    let probe = stage.lab.probe_address()?;
    probe.wait_for(true, stage.mark.at, deadline::FAILOVER)?;
    let mark = stage.chassis()?.mark("power cut")?;
    stage.lab.cut_power(stage.active)?;
    let silent = probe.wait_for(false, mark.at, deadline::FAILOVER)?;
    let answers = probe.wait_for(true, silent, deadline::FAILOVER)?;
    wait_takeover(stage.lab, stage.active)?;
    stage.assert_fenced_before_takeover(stage.active)?;
    let timeline = Timeline::of_failover(stage.lab, mark, stage.active, Some(answers))?;
    for step in Step::ALL.into_iter().filter(|step| *step != Step::LostBoots) {
        ensure(timeline.at(step).is_some(), || {
            format!("the timeline lacks \"{}\":\n{timeline}", step.describe())
        })?;
    }
    eprint!("{timeline}");
    Ok(())
}

fn comes_back(stage: &Stage<'_>) -> Result<()> {
    let setting = "/var/lib/phosphor-settings-manager/settings/written-while-away";
    stage.lab.cut_power(stage.active)?;
    wait_takeover(stage.lab, stage.active)?;
    stage
        .lab
        .write_setting(stage.passive(), setting, "by the new Active")?;
    stage.lab.power_on(stage.active)?;
    stage
        .lab
        .wait_passive_in_sync(stage.passive(), deadline::SETTLE)?;
    stage
        .lab
        .wait_setting(stage.active, setting, "by the new Active")?;
    let now = stage.lab.active()?;
    ensure(now == stage.passive(), || {
        format!("{now} is the Active again without being asked")
    })
}

fn seized(stage: &Stage<'_>) -> Result<()> {
    use chassis_sim::messages::Event;
    let mark = stage.chassis()?.mark("the mux is taken away")?;
    stage.chassis()?.seize_mux()?;
    stage
        .chassis()?
        .wait_for(mark, "a new claim of the mux", deadline::FAILOVER, |event| {
            matches!(event, Event::MuxGranted { .. })
        })?;
    stage.lab.settle().map(drop)
}

fn hot(stage: &Stage<'_>) -> Result<()> {
    stage.chassis()?.load(FULL_LOAD_WATTS)?;
    stage.lab.cut_power(stage.active)?;
    let outcome = wait_takeover(stage.lab, stage.active);
    stage.chassis()?.load(USUAL_LOAD_WATTS)?;
    outcome
}
