//! Planned changes of roles, by each of the tools that an administrator may use.

use lab::{Node, Result};

use crate::stage::{On, Scenario, Stage, wait_takeover};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "bmc_ha_failover_switches_over_without_a_reset",
        on: On::SettledLab,
        script: |stage| switch_over(stage, |passive| words(&["bmc-ha", "failover", passive.name()])),
    },
    Scenario {
        name: "pcs_resource_move_switches_over_without_a_reset",
        on: On::SettledLab,
        script: |stage| {
            switch_over(stage, |passive| {
                words(&[
                    "pcs",
                    "resource",
                    "move",
                    "settings-clone",
                    passive.name(),
                    "--promoted",
                ])
            })
        },
    },
    Scenario {
        name: "crm_resource_move_switches_over_without_a_reset",
        on: On::SettledLab,
        script: |stage| {
            switch_over(stage, |passive| {
                words(&["crm", "resource", "move", "settings-clone", passive.name()])
            })?;
            // crmsh leaves a constraint; an administrator takes it back like this.
            stage
                .lab
                .run(stage.active, &["crm", "resource", "clear", "settings-clone"])
                .map(drop)
        },
    },
];

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn switch_over(stage: &Stage<'_>, command: fn(Node) -> Vec<String>) -> Result<()> {
    stage.lab.run(stage.active, &command(stage.passive()))?;
    wait_takeover(stage.lab, stage.active)?;
    stage.assert_nobody_was_reset()
}
