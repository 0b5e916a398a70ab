//! A full synchronisation of much data holds up neither the membership nor a small change.

use std::time::{Duration, Instant};

use bmc_bridge_control::messages::Command;
use lab::{Lab, Moment, Node, Result};

use crate::stage::{On, Scenario, Stage, ensure};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "two_hundred_mebibytes_cost_no_token_and_a_small_change_overtakes_them",
    on: On::SettledLab,
    script: bulk,
}];

const FOLDER: &str = "/var/lib/phosphor-settings-manager/settings/bulk";
const SMALL: &str = "/var/lib/phosphor-settings-manager/settings/small";

/// 200 MiB in files that are each far larger than a message.
const FILES: usize = 25;
const FILE_BYTES: usize = 8 << 20;

/// How long all of it may take.
const BULK_DEADLINE: Duration = Duration::from_secs(300);

fn bulk(stage: &Stage<'_>) -> Result<()> {
    let (lab, start) = (stage.lab, Moment::now());
    for number in 0..FILES {
        let content = format!("{number:0>7}\n").repeat(FILE_BYTES / 8);
        lab.write_setting(stage.active, &format!("{FOLDER}/{number}"), &content)?;
    }
    let began = Instant::now();
    let small = "x".repeat(1024);
    lab.write_setting(stage.active, SMALL, &small)?;
    lab.wait_setting(stage.passive(), SMALL, &small)?;
    let (took, arrived) = (began.elapsed(), files_in(lab, stage.passive())?);
    eprintln!(
        "    1 KiB took {} ms, when {arrived} of {FILES} large files had arrived",
        took.as_millis()
    );
    lab.bridge(stage.active)?.run(Command::Flush, BULK_DEADLINE)?;
    let all = files_in(lab, stage.passive())?;
    ensure(all == FILES, || format!("{all} of {FILES} arrived"))?;
    eprintln!("    200 MiB took {} ms", began.elapsed().as_millis());
    ensure(arrived < FILES, || {
        "the small change waited for all of the large ones".to_owned()
    })?;
    assert_no_token_was_missed(lab, start)?;
    lab.run(stage.active, &["rm", "-r", FOLDER, SMALL])?;
    lab.bridge(stage.active)?.run(Command::Flush, BULK_DEADLINE)
}

fn files_in(lab: &Lab, node: Node) -> Result<usize> {
    let listed = lab.exec(node, &["ls", FOLDER])?;
    Ok(listed.stdout.lines().count())
}

/// Neither BMC's Corosync waited in vain for the token.
pub(crate) fn assert_no_token_was_missed(lab: &Lab, since: Moment) -> Result<()> {
    for node in Node::BOTH {
        let lost = lab
            .journal(node, since)?
            .into_iter()
            .find(|entry| entry.who == "corosync" && entry.message.contains("Token has not been received"));
        ensure(lost.is_none(), || format!("{node} missed the token: {lost:?}"))?;
    }
    Ok(())
}
