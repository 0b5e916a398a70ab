//! What happened when in a failover: put together from the chassis log, the survivor's journal and the prober,
//! which share the machine's monotonic clock.

use std::fmt;
use std::time::Duration;

use chassis_sim::messages::{Event, Record};

use crate::Lab;
use crate::chassis::Mark;
use crate::error::{LabError, Result};
use crate::journal::{JournalEntry, Moment};
use crate::node::Node;

/// A step of a failover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The survivor's corosync missed the token.
    Detected,
    /// The survivor agreed with itself that it is alone.
    NewMembership,
    /// The lost BMC's reset line was pulled.
    ResetAsserted,
    /// The lost BMC is proven to be held in reset.
    Fenced,
    /// The survivor's settings are the source.
    Promoted,
    /// The survivor holds the mux.
    MuxClaimed,
    /// The survivor wrote the duty of all four fans.
    FansDriven,
    /// The floating address answers.
    AddressAnswers,
    /// The lost BMC boots again.
    LostBoots,
}

impl Stage {
    /// All stages, in the order they happen.
    pub const ALL: [Self; 9] = [
        Self::Detected,
        Self::NewMembership,
        Self::ResetAsserted,
        Self::Fenced,
        Self::Promoted,
        Self::MuxClaimed,
        Self::FansDriven,
        Self::AddressAnswers,
        Self::LostBoots,
    ];

    /// What happened, in words.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Detected => "silence noticed (corosync's token)",
            Self::NewMembership => "membership agreed without the lost BMC",
            Self::ResetAsserted => "reset line of the lost BMC pulled",
            Self::Fenced => "lost BMC proven to be held in reset",
            Self::Promoted => "settings promoted in a new epoch",
            Self::MuxClaimed => "mux claimed",
            Self::FansDriven => "all fans driven again",
            Self::AddressAnswers => "address answers",
            Self::LostBoots => "lost BMC boots again",
        }
    }
}

/// A failover, step by step, counted from the moment the Active was lost.
#[derive(Debug, Clone)]
pub struct Timeline {
    lost: Node,
    stages: Vec<(Stage, Option<Duration>)>,
    fan_gap: Option<Duration>,
}

impl Timeline {
    /// Puts together the failover that followed the loss of `lost` after `mark`. `address` is when the floating
    /// address was first seen to answer again, where somebody probed it.
    ///
    /// # Errors
    /// When the chassis log or the survivor's journal cannot be read, or `lost` never lost its power.
    pub fn of_failover(lab: &Lab, mark: Mark, lost: Node, address: Option<Moment>) -> Result<Self> {
        let records = lab.chassis()?.records(mark)?;
        let journal = lab.journal(lost.sibling(), mark.at)?;
        let off = |event: &Event| {
            *event
                == Event::BmcPower {
                    bmc: lost.slot(),
                    on: false,
                }
        };
        let zero = time_of(&records, off)
            .ok_or_else(|| LabError::State(format!("{lost} did not lose its power since the mark")))?;
        let survivor = lost.sibling();
        let at = |stage| match stage {
            Stage::Detected => said(&journal, zero, "corosync", "processor failed"),
            Stage::NewMembership => said(&journal, zero, "corosync", "A new membership"),
            Stage::ResetAsserted => time_of(
                &records,
                |event| matches!(event, Event::ResetAsserted { bmc, .. } if *bmc == lost.slot()),
            ),
            Stage::Fenced => time_of(&records, |event| *event == Event::ResetHeld { bmc: lost.slot() }),
            Stage::Promoted => said(
                &journal,
                zero,
                "pacemaker-controld",
                "promote operation for settings",
            ),
            Stage::MuxClaimed => time_of(&records, |event| {
                *event == Event::MuxGranted { bmc: survivor.slot() }
            }),
            Stage::FansDriven => all_fans(&records, survivor),
            Stage::AddressAnswers => address,
            Stage::LostBoots => time_of(
                &records,
                |event| matches!(event, Event::BmcBooting { bmc, .. } if *bmc == lost.slot()),
            ),
        };
        let stages = Stage::ALL
            .into_iter()
            .map(|stage| (stage, at(stage).map(|moment| moment.since(zero))))
            .collect();
        let last = last_duty(&lab.chassis()?.records(Mark::START)?, lost, zero);
        let fan_gap = last.and_then(|last| Some(all_fans(&records, survivor)?.since(last)));
        Ok(Self {
            lost,
            stages,
            fan_gap,
        })
    }

    /// When a stage came, counted from the loss; none when it was not seen.
    #[must_use]
    pub fn at(&self, stage: Stage) -> Option<Duration> {
        self.stages
            .iter()
            .find(|(which, _)| *which == stage)
            .and_then(|(_, at)| *at)
    }

    /// How long nobody drove the fans: from the lost BMC's last write to the survivor's of all four.
    #[must_use]
    pub fn fan_gap(&self) -> Option<Duration> {
        self.fan_gap
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>9}  {} lost its power", "0 ms", self.lost)?;
        for (stage, at) in &self.stages {
            match at {
                Some(at) => writeln!(f, "{:>9}  {}", format!("{} ms", at.as_millis()), stage.describe())?,
                None => writeln!(f, "{:>9}  {}", "not yet", stage.describe())?,
            }
        }
        if let Some(gap) = self.fan_gap {
            writeln!(f, "{:>9}  gap in fan control", format!("{} ms", gap.as_millis()))?;
        }
        Ok(())
    }
}

fn time_of(records: &[Record], wanted: impl Fn(&Event) -> bool) -> Option<Moment> {
    records
        .iter()
        .find(|record| wanted(&record.event))
        .map(|record| Moment {
            microseconds: record.at_us,
        })
}

fn said(journal: &[JournalEntry], since: Moment, who: &str, what: &str) -> Option<Moment> {
    journal
        .iter()
        .find(|entry| entry.at >= since && entry.who == who && entry.message.contains(what))
        .map(|entry| entry.at)
}

/// When `node` had written the duty of each fan at least once.
fn all_fans(records: &[Record], node: Node) -> Option<Moment> {
    let mut driven = [false; 4];
    for record in records {
        let Event::FanDuty { bmc, fan, .. } = record.event else {
            continue;
        };
        if bmc != node.slot() {
            continue;
        }
        if let Some(fan) = driven.get_mut(usize::from(fan.saturating_sub(1))) {
            *fan = true;
        }
        if driven == [true; 4] {
            return Some(Moment {
                microseconds: record.at_us,
            });
        }
    }
    None
}

/// The last duty that `node` wrote before `until`.
fn last_duty(records: &[Record], node: Node, until: Moment) -> Option<Moment> {
    records
        .iter()
        .rev()
        .map(|record| {
            (
                Moment {
                    microseconds: record.at_us,
                },
                &record.event,
            )
        })
        .find(|(at, event)| {
            *at <= until && matches!(event, Event::FanDuty { bmc, .. } if *bmc == node.slot())
        })
        .map(|(at, _)| at)
}
