//! The first two invariants, judged from the event log alone.
//!
//! 1. Two BMCs never drive the chassis: no fan, power or mux write from a BMC that does not hold the mux.
//! 2. The host never notices: its power and reset lines do not change and no sensor passes its critical threshold.
//!    A test that wants the host switched says so before, with the mark [`HOST_CHANGE_EXPECTED`].

use std::fmt;

use crate::messages::{Event, Record, Slot};

/// The word of a [`Event::Mark`] that allows the next change of the host's power or the next reset of the host.
pub const HOST_CHANGE_EXPECTED: &str = "host change expected";

/// The invariants that the log can judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// Two BMCs never drive the chassis.
    OneDriver,
    /// The host never notices.
    HostUndisturbed,
}

impl Invariant {
    /// Both, in their order.
    pub const ALL: [Self; 2] = [Self::OneDriver, Self::HostUndisturbed];

    /// Its number in docs/architecture.md.
    pub fn number(self) -> u8 {
        match self {
            Self::OneDriver => 1,
            Self::HostUndisturbed => 2,
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::OneDriver => "two BMCs never drive the chassis",
            Self::HostUndisturbed => "the host never notices",
        })
    }
}

/// A record that breaks an invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// The record's number.
    pub record: u64,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "invariant {}, record {}: {}",
            self.invariant.number(),
            self.record,
            self.what
        )
    }
}

/// Judges a whole log from its first record. Violations before record `from` are left out, but what happened before
/// it is taken into account.
pub fn violations(log: &[Record], from: u64) -> Vec<Violation> {
    let mut judge = Judge::default();
    for (expected, record) in (0..).zip(log) {
        if record.number != expected {
            judge.report(
                record,
                Invariant::OneDriver,
                format!("the log is not whole: record {expected} is missing"),
            );
            break;
        }
        judge.judge(record);
    }
    judge.violations.retain(|violation| violation.record >= from);
    judge.violations
}

/// What the log shows about one invariant, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which one.
    pub invariant: Invariant,
    /// What the judgement rests on.
    pub evidence: String,
    /// The records that break it; none when it held.
    pub violations: Vec<Violation>,
}

impl Verdict {
    /// Whether the invariant held.
    pub fn held(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.held() { "held  " } else { "BROKEN" };
        let (number, invariant) = (self.invariant.number(), self.invariant);
        write!(formatter, "{mark} {number} {invariant}: {}", self.evidence)?;
        self.violations.iter().try_for_each(|violation| {
            write!(
                formatter,
                "\n         record {}: {}",
                violation.record, violation.what
            )
        })
    }
}

/// What the log shows at the end, invariant by invariant.
pub fn verdict(log: &[Record], from: u64) -> Vec<Verdict> {
    let violations = violations(log, from);
    Invariant::ALL
        .into_iter()
        .map(|invariant| Verdict {
            invariant,
            evidence: evidence(log, from, invariant),
            violations: violations
                .iter()
                .filter(|violation| violation.invariant == invariant)
                .cloned()
                .collect(),
        })
        .collect()
}

/// What the judgement rests on.
fn evidence(log: &[Record], from: u64, invariant: Invariant) -> String {
    let count = |fits: fn(&Event) -> bool| {
        log.iter()
            .filter(|record| record.number >= from && fits(&record.event))
            .count()
    };
    match invariant {
        Invariant::OneDriver => format!(
            "{} fan writes, mux granted {} times, {} writes without the mux",
            count(|event| matches!(event, Event::FanDuty { .. })),
            count(|event| matches!(event, Event::MuxGranted { .. })),
            count(|event| matches!(
                event,
                Event::Refused {
                    without_mux: true,
                    ..
                }
            )),
        ),
        Invariant::HostUndisturbed => format!(
            "{} changes of host power, {} resets of the host, critical temperature passed {} times",
            count(|event| matches!(event, Event::HostPower { .. })),
            count(|event| matches!(event, Event::HostReset { .. })),
            count(|event| matches!(event, Event::Overheated { .. })),
        ),
    }
}

/// What one has to know of the past to judge the next record.
#[derive(Debug, Default)]
struct Judge {
    mux_holder: Option<Slot>,
    held_in_reset: [bool; 2],
    host_changes_expected: u32,
    violations: Vec<Violation>,
}

impl Judge {
    fn judge(&mut self, record: &Record) {
        match &record.event {
            Event::MuxGranted { bmc } => {
                if let Some(holder) = self.mux_holder.filter(|holder| holder != bmc) {
                    self.report(
                        record,
                        Invariant::OneDriver,
                        format!("BMC {bmc} got the mux while BMC {holder} held it"),
                    );
                }
                self.mux_holder = Some(*bmc);
            }
            Event::MuxReleased { .. } | Event::MuxSeized { .. } => self.mux_holder = None,
            Event::FanDuty { bmc, fan, .. } => self.judge_driver(record, *bmc, &format!("drove fan {fan}")),
            Event::HostPower { bmc, on } => {
                self.judge_driver(record, *bmc, "switched the host");
                let state = if *on { "on" } else { "off" };
                self.judge_host_change(record, format!("BMC {bmc} switched the host {state}"));
            }
            Event::HostReset { bmc } => {
                self.judge_driver(record, *bmc, "reset the host");
                self.judge_host_change(record, format!("BMC {bmc} reset the host"));
            }
            Event::Refused {
                bmc,
                file,
                value,
                without_mux: true,
                ..
            } => {
                self.report(
                    record,
                    Invariant::OneDriver,
                    format!("BMC {bmc} wrote {value} to {file} without the mux"),
                );
            }
            Event::Refused { bmc, file, .. } => {
                self.judge_held(record, *bmc, &format!("wrote to {file}"));
            }
            Event::Overheated { millidegrees } => {
                let what = format!("the temperature passed its critical threshold: {millidegrees} m°C");
                self.report(record, Invariant::HostUndisturbed, what);
            }
            Event::ResetHeld { bmc } => self.set_held(*bmc, true),
            Event::ResetReleased { bmc, .. } => self.set_held(*bmc, false),
            Event::Mark { text } if text == HOST_CHANGE_EXPECTED => self.host_changes_expected += 1,
            Event::Started { .. }
            | Event::MuxRequested { .. }
            | Event::FenceLockTaken { .. }
            | Event::FenceLockReleased { .. }
            | Event::ResetAsserted { .. }
            | Event::BmcPower { .. }
            | Event::BmcBooting { .. }
            | Event::BmcDown { .. }
            | Event::Mark { .. } => {}
        }
    }

    fn judge_driver(&mut self, record: &Record, bmc: Slot, deed: &str) {
        if self.mux_holder != Some(bmc) {
            let holder = self
                .mux_holder
                .map_or("nobody".into(), |holder| format!("BMC {holder}"));
            self.report(
                record,
                Invariant::OneDriver,
                format!("BMC {bmc} {deed} while {holder} held the mux"),
            );
        }
        self.judge_held(record, bmc, deed);
    }

    fn judge_held(&mut self, record: &Record, bmc: Slot, deed: &str) {
        if self.held_in_reset.get(usize::from(bmc)) == Some(&true) {
            self.report(
                record,
                Invariant::OneDriver,
                format!("BMC {bmc} {deed} while it was held in reset"),
            );
        }
    }

    fn judge_host_change(&mut self, record: &Record, what: String) {
        match self.host_changes_expected.checked_sub(1) {
            Some(left) => self.host_changes_expected = left,
            None => self.report(record, Invariant::HostUndisturbed, what),
        }
    }

    fn set_held(&mut self, bmc: Slot, held: bool) {
        if let Some(state) = self.held_in_reset.get_mut(usize::from(bmc)) {
            *state = held;
        }
    }

    fn report(&mut self, record: &Record, invariant: Invariant, what: String) {
        self.violations.push(Violation {
            invariant,
            record: record.number,
            what,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(events: Vec<Event>) -> Vec<Record> {
        (0..)
            .zip(events)
            .map(|(number, event)| Record {
                number,
                at_us: number,
                event,
            })
            .collect()
    }

    fn judged(events: Vec<Event>) -> Vec<String> {
        violations(&log(events), 0)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn duty(bmc: Slot) -> Event {
        Event::FanDuty {
            bmc,
            fan: 1,
            duty: 100,
        }
    }

    fn handover() -> Vec<Event> {
        vec![
            Event::Started { host_power: true },
            Event::MuxGranted { bmc: 0 },
            duty(0),
            Event::ResetAsserted { bmc: 0, by: Some(1) },
            Event::ResetHeld { bmc: 0 },
            Event::MuxReleased {
                bmc: 0,
                by_reset: true,
            },
            Event::MuxGranted { bmc: 1 },
            duty(1),
        ]
    }

    #[test]
    fn a_clean_failover_breaks_nothing() {
        assert_eq!(judged(handover()), Vec::<String>::new());
        assert!(
            verdict(&log(handover()), 0)
                .iter()
                .all(|verdict| verdict.to_string().starts_with("held"))
        );
    }

    #[test]
    fn a_grant_while_another_holds_the_mux_breaks_the_first() {
        let events = vec![Event::MuxGranted { bmc: 0 }, Event::MuxGranted { bmc: 1 }];
        assert_eq!(
            judged(events),
            ["invariant 1, record 1: BMC 1 got the mux while BMC 0 held it"]
        );
    }

    #[test]
    fn driving_without_the_mux_breaks_the_first() {
        assert_eq!(
            judged(vec![
                Event::MuxGranted { bmc: 0 },
                duty(1),
                Event::MuxSeized { bmc: 0 },
                duty(0)
            ]),
            [
                "invariant 1, record 1: BMC 1 drove fan 1 while BMC 0 held the mux",
                "invariant 1, record 3: BMC 0 drove fan 1 while nobody held the mux"
            ]
        );
    }

    #[test]
    fn a_refused_write_without_the_mux_breaks_the_first_and_other_refusals_do_not() {
        let refused = |without_mux| Event::Refused {
            bmc: 1,
            file: "fans/pwm1".into(),
            value: "0".into(),
            reason: "…".into(),
            without_mux,
        };
        let expected = ["invariant 1, record 1: BMC 1 wrote 0 to fans/pwm1 without the mux"];
        assert_eq!(judged(vec![refused(false), refused(true)]), expected);
    }

    #[test]
    fn a_write_of_one_that_was_proven_held_in_reset_breaks_the_first() {
        let refused = Event::Refused {
            bmc: 0,
            file: "mux/select".into(),
            value: "1".into(),
            reason: "…".into(),
            without_mux: false,
        };
        let mut events = handover();
        events.push(refused);
        assert_eq!(
            judged(events),
            ["invariant 1, record 8: BMC 0 wrote to mux/select while it was held in reset"]
        );
    }

    #[test]
    fn heat_and_host_changes_break_the_second() {
        let events = vec![
            Event::MuxGranted { bmc: 0 },
            Event::HostPower { bmc: 0, on: false },
            Event::HostReset { bmc: 0 },
            Event::Overheated { millidegrees: 90_001 },
        ];
        assert_eq!(
            judged(events),
            [
                "invariant 2, record 1: BMC 0 switched the host off",
                "invariant 2, record 2: BMC 0 reset the host",
                "invariant 2, record 3: the temperature passed its critical threshold: 90001 m°C"
            ]
        );
    }

    #[test]
    fn a_host_change_that_was_announced_is_allowed_once() {
        let events = vec![
            Event::MuxGranted { bmc: 0 },
            Event::Mark {
                text: HOST_CHANGE_EXPECTED.into(),
            },
            Event::HostPower { bmc: 0, on: false },
            Event::HostPower { bmc: 0, on: true },
        ];
        assert_eq!(
            judged(events),
            ["invariant 2, record 3: BMC 0 switched the host on"]
        );
    }

    #[test]
    fn what_was_before_is_left_out_but_known() {
        let mut events = vec![Event::MuxGranted { bmc: 1 }, duty(0)];
        events.push(duty(1));
        assert_eq!(violations(&log(events), 2), []);
    }

    #[test]
    fn a_log_with_a_gap_is_not_taken_as_proof() {
        let mut log = log(handover());
        log.remove(3);
        assert!(violations(&log, 0)[0].what.contains("record 3 is missing"));
    }

    #[test]
    fn a_verdict_names_what_broke() {
        let verdicts = verdict(&log(vec![Event::MuxGranted { bmc: 0 }, duty(1)]), 0);
        let text = verdicts
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("BROKEN 1"), "{lines:?}");
        assert!(lines[1].contains("record 1: BMC 1 drove fan 1"), "{lines:?}");
        assert!(lines[2].starts_with("held   2"), "{lines:?}");
    }
}
