//! The five invariants, one by one: what the chassis's log and both BMCs' disks say about each.

use anyhow::Result;
use bmc_bridge_control::messages::{Role, Sync};
use chassis_sim::invariants::Verdict;
use chassis_sim::messages::Event;
use lab::{Lab, Mark, Node};

use crate::screen::Screen;

/// Prints the verdict; true when every invariant held.
pub(crate) fn print(lab: &Lab, screen: &Screen, mark: Mark, active: Node) -> Result<bool> {
    let mut judgements = chassis_is_well(lab, mark)?;
    judgements.push(settings_are_equal(lab)?);
    judgements.push(nobody_was_promoted_out_of_sync(lab, mark, active)?);
    judgements.push(nothing_outside_was_touched(lab)?);
    for judgement in &judgements {
        if judgement.held {
            screen.kept(&judgement.text);
        } else {
            screen.broken(&judgement.text);
        }
    }
    let held = judgements.iter().all(|judgement| judgement.held);
    screen.say("");
    screen.say(if held {
        "All five invariants held."
    } else {
        "An invariant was BROKEN."
    });
    Ok(held)
}

/// What was found about one invariant.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) held: bool,
    pub(crate) text: String,
}

/// Invariants 1 and 2: the log's own judgement.
fn chassis_is_well(lab: &Lab, mark: Mark) -> Result<Vec<Judgement>> {
    let verdicts = lab.chassis()?.verdict(mark)?;
    Ok(verdicts.iter().map(judgement_of).collect())
}

fn judgement_of(verdict: &Verdict) -> Judgement {
    let number = verdict.invariant.number();
    let mut text = format!("{number} {}: {}", verdict.invariant, verdict.evidence);
    for violation in &verdict.violations {
        text.push_str(&format!("; record {}: {}", violation.record, violation.what));
    }
    Judgement {
        held: verdict.held(),
        text,
    }
}

fn settings_are_equal(lab: &Lab) -> Result<Judgement> {
    let differences = lab.differences()?;
    let text = match differences.as_slice() {
        [] => {
            "3 no acknowledged setting was lost: both copies are equal, byte by byte and with their metadata"
                .into()
        }
        some => format!("3 the copies differ: {}", some.join(", ")),
    };
    Ok(Judgement {
        held: differences.is_empty(),
        text,
    })
}

/// Each time the mux changed hands, the log of the new holder's bridge says what its copy was.
fn nobody_was_promoted_out_of_sync(lab: &Lab, mark: Mark, active: Node) -> Result<Judgement> {
    let takeovers = lab
        .chassis()?
        .records(mark)?
        .iter()
        .filter(|record| matches!(record.event, Event::MuxGranted { .. }))
        .count();
    let unready = lab.promotions_out_of_sync(mark)?;
    let (source, copy) = (lab.bridge_status(active)?, lab.bridge_status(active.sibling())?);
    let in_sync =
        source.role == Role::Active && copy.sync == Sync::InSync && copy.position == source.position;
    Ok(Judgement {
        held: unready.is_empty() && in_sync,
        text: format!(
            "4 the mux changed hands {takeovers} times, each time to a BMC whose settings were in sync"
        ),
    })
}

fn nothing_outside_was_touched(lab: &Lab) -> Result<Judgement> {
    let touched = lab.touched_outside()?;
    let text = match touched.as_slice() {
        [] => "5 nothing outside the configured paths was touched, nor was a link followed out".into(),
        some => format!("5 outside the configured paths: {}", some.join(", ")),
    };
    Ok(Judgement {
        held: touched.is_empty(),
        text,
    })
}
