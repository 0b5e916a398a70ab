//! The BMCs lose sight of each other.

use chassis_sim::messages::Event;
use lab::{Following, Link, Moment, Node, Result, deadline};

use crate::pacing::assert_no_token_was_missed;
use crate::stage::{On, Scenario, Stage, ensure, fail};

/// How often the link is lost and comes back.
const FLAPS: u32 = 3;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "one_of_two_links_lost_changes_nothing",
        on: On::SettledLab,
        script: one_link,
    },
    Scenario {
        name: "two_bmcs_that_lost_sight_of_each_other_shoot_once_and_one_goes_on",
        on: On::SettledLab,
        script: split,
    },
];

fn one_link(stage: &Stage<'_>) -> Result<()> {
    let setting = "/var/lib/phosphor-settings-manager/settings/over-one-link";
    let start = Moment::now();
    // A link that broke just after it came up is the hard case: Corosync is slow to give such a link up.
    for round in 1..=FLAPS {
        let mut journal = stage.lab.follow(stage.active)?;
        let cut = Moment::now();
        stage.lab.network().cut(stage.passive(), Link::First)?;
        wait_for_link(&mut journal, cut, "is down")?;
        let value = format!("arrives over the other link, {round}");
        stage.lab.write_setting(stage.active, setting, &value)?;
        stage.lab.wait_setting(stage.passive(), setting, &value)?;
        let healed = Moment::now();
        stage.lab.network().heal()?;
        wait_for_link(&mut journal, healed, "is up")?;
    }
    let active = stage.lab.settle()?;
    ensure(active == stage.active, || format!("{active} took over"))?;
    assert_no_token_was_missed(stage.lab, start)?;
    stage.assert_nobody_was_reset()
}

fn wait_for_link(journal: &mut Following, since: Moment, state: &str) -> Result<()> {
    journal
        .wait_for(&format!("a link that {state}"), deadline::FAILOVER, |entry| {
            entry.at >= since && entry.who == "corosync" && entry.message.contains(state)
        })
        .map(drop)
}

fn split(stage: &Stage<'_>) -> Result<()> {
    stage.lab.network().partition()?;
    let shot = stage.chassis()?.wait_for(
        stage.mark,
        "one BMC held in reset by the other",
        deadline::FAILOVER,
        |event| matches!(event, Event::ResetHeld { .. }),
    )?;
    stage.lab.network().heal()?;
    let Event::ResetHeld { bmc } = shot.event else {
        return fail(format!("waited for a reset, got {shot:?}"));
    };
    let Some(survivor) = Node::in_slot(bmc).map(Node::sibling) else {
        return fail(format!("no BMC in slot {bmc}"));
    };
    stage.lab.wait_active(survivor, deadline::FAILOVER)?;
    let settled = stage.lab.settle()?;
    ensure(settled == survivor, || {
        format!("{survivor} survived, but {settled} is the Active")
    })?;
    let shots = stage.chassis()?.records(stage.mark)?;
    let shots = shots
        .iter()
        .filter(|record| matches!(record.event, Event::ResetAsserted { .. }))
        .count();
    ensure(shots == 1, || format!("{shots} resets, one was needed"))
}
