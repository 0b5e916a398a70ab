//! Changes that are made on the Passive.

use lab::{Lab, Node, Result, deadline};

use crate::stage::{On, Scenario, Stage, ensure};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "a_password_that_was_reset_on_the_passive_survives_a_failover_and_conflicts_are_settled_alike",
    on: On::SettledLab,
    script: both_ways,
}];

/// A path of the lab's `ExceptionList`, and one of the Active's beside it.
const PASSWORD: &str = "/etc/bmc-users/shadow";
const ACCOUNTS: &str = "/etc/bmc-users/accounts";
/// The lab's `Bidirectional` directory.
const NOTES: &str = "/var/lib/bmc-notes";

fn both_ways(stage: &Stage<'_>) -> Result<()> {
    let (lab, active, passive) = (stage.lab, stage.active, stage.passive());
    lab.write_setting(active, ACCOUNTS, "root\n")?;
    lab.wait_setting(passive, ACCOUNTS, "root\n")?;
    lab.write_setting(passive, PASSWORD, "reset at the switch\n")?;
    lab.wait_setting(active, PASSWORD, "reset at the switch\n")?;

    let (note, removed) = (format!("{NOTES}/note"), format!("{NOTES}/removed"));
    lab.write_setting(passive, &note, "first\n")?;
    lab.write_setting(passive, &removed, "first\n")?;
    lab.wait_setting(active, &note, "first\n")?;
    lab.wait_setting(active, &removed, "first\n")?;
    let kept = lab.bridge_status(passive)?.conflicts;
    signal_bridge(lab, passive, "STOP")?;
    lab.write_setting(active, &note, "the Active's\n")?;
    lab.run(active, &["rm", &removed])?;
    lab.write_setting(passive, &note, "the Passive's\n")?;
    signal_bridge(lab, passive, "CONT")?;
    lab.wait_setting(passive, &note, "the Active's\n")?;
    lab.wait_for(
        "the Passive's version to be kept aside",
        deadline::SETTING,
        || {
            let now = lab.bridge_status(passive)?.conflicts;
            Ok(if now == kept + 1 {
                Ok(())
            } else {
                Err(format!("{now} are kept"))
            })
        },
    )?;
    let listed = lab.run(passive, &["bmc-ha", "sync", "conflicts", "list"])?;
    ensure(listed.contains(&note), || {
        format!("{note} is not listed:\n{listed}")
    })?;

    lab.cut_power(active)?;
    lab.wait_active(passive, deadline::FAILOVER)?;
    let password = lab.read_setting(passive, PASSWORD)?;
    ensure(password == "reset at the switch\n", || {
        format!("the password is {password}")
    })?;
    lab.power_on(active)?;
    let settled = lab.settle()?;
    ensure(settled == passive, || format!("{settled} took over"))?;
    for node in Node::BOTH {
        let gone = lab.exec(node, &["test", "-e", &removed])?;
        ensure(!gone.status.success(), || {
            format!("{removed} came back on {node}")
        })?;
    }
    lab.wait_setting(active, &note, "the Active's\n")
}

fn signal_bridge(lab: &Lab, node: Node, signal: &str) -> Result<()> {
    let signal = format!("--signal={signal}");
    let unit = "corosync-bridge.service";
    lab.run(node, &["systemctl", "kill", "--kill-who=main", &signal, unit])
        .map(drop)
}
