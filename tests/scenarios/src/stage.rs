//! What every scenario gets, and what is asserted after each: the lab settles again, both copies of the settings are
//! equal, and the chassis log breaks no invariant.

use std::io::Write as _;
use std::time::{Duration, Instant};

use lab::{Chassis, Lab, LabError, Mark, Node, Options, Provision, Result, deadline};

/// Name of the lab that the scenarios run on.
pub(crate) const LAB: &str = "scenarios";

/// A scenario: a sentence about behaviour, and the script that shows it.
pub(crate) struct Scenario {
    /// The sentence, as a test name.
    pub(crate) name: &'static str,
    /// What it plays on.
    pub(crate) on: On,
    /// The script.
    pub(crate) script: fn(&Stage<'_>) -> Result<()>,
}

/// What a scenario plays on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    /// The lab, settled.
    SettledLab,
    /// The lab, as long as both BMCs run; whatever its cluster does.
    RunningLab,
}

/// The lab during one scenario.
pub(crate) struct Stage<'lab> {
    /// The lab.
    pub(crate) lab: &'lab Lab,
    /// Where the scenario begins in the chassis log.
    pub(crate) mark: Mark,
    /// The Active at the beginning; means nothing on a lab that is not settled.
    pub(crate) active: Node,
}

impl Stage<'_> {
    /// The Passive at the beginning.
    pub(crate) fn passive(&self) -> Node {
        self.active.sibling()
    }

    /// The chassis.
    pub(crate) fn chassis(&self) -> Result<Chassis> {
        self.lab.chassis()
    }

    /// Asserts that nobody was reset or rebooted since the beginning: what happened was mended in place.
    pub(crate) fn assert_nobody_was_reset(&self) -> Result<()> {
        use chassis_sim::messages::Event;
        let records = self.chassis()?.records(self.mark)?;
        match records
            .iter()
            .find(|record| matches!(record.event, Event::ResetAsserted { .. } | Event::BmcDown { .. }))
        {
            None => Ok(()),
            Some(record) => fail(format!("nobody should have been reset, but: {record:?}")),
        }
    }

    /// Asserts that `node` was proven to be held in reset before its sibling got the mux.
    pub(crate) fn assert_fenced_before_takeover(&self, node: Node) -> Result<()> {
        use chassis_sim::messages::Event;
        let records = self.chassis()?.records(self.mark)?;
        let place = |wanted: Event| records.iter().position(|record| record.event == wanted);
        let held = place(Event::ResetHeld { bmc: node.slot() });
        let granted = place(Event::MuxGranted {
            bmc: node.sibling().slot(),
        });
        match (held, granted) {
            (Some(held), Some(granted)) if held < granted => Ok(()),
            other => fail(format!(
                "{node} was not fenced before its sibling got the mux: records {other:?}"
            )),
        }
    }
}

/// The lab between scenarios.
#[derive(Default)]
pub(crate) struct World {
    lab: Option<Lab>,
    provisioned: bool,
}

impl World {
    /// Plays one scenario and holds the chassis log to the invariants.
    pub(crate) fn play(&mut self, scenario: &Scenario) -> std::result::Result<(), String> {
        let start = Instant::now();
        let outcome = self.try_play(scenario);
        let took = start.elapsed();
        note(&format!("{} took {}", scenario.name, seconds(took)));
        outcome.map_err(|error| {
            let text = match &self.lab {
                Some(lab) if scenario.on == On::SettledLab => format!("{error}\n{}", lab.diagnosis()),
                _ => error.to_string(),
            };
            // The next scenario should not suffer from this one: it gets a lab that still settles, or a new one.
            if !(self.provisioned && self.lab.as_ref().is_some_and(|lab| lab.settle().is_ok())) {
                self.close();
            }
            text
        })
    }

    fn try_play(&mut self, scenario: &Scenario) -> Result<()> {
        self.open()?;
        if scenario.on == On::SettledLab {
            self.provision()?;
        }
        let lab = self.lab()?;
        let active = match scenario.on {
            On::SettledLab => lab.settle()?,
            On::RunningLab => Node::Bmc0,
        };
        if scenario.on == On::SettledLab {
            lab.plant_outside(active)?;
        }
        let stage = Stage {
            lab,
            mark: lab.chassis()?.mark(scenario.name)?,
            active,
        };
        (scenario.script)(&stage)?;
        if scenario.on == On::SettledLab {
            lab.settle()?;
            lab.assert_equal_settings()?;
            lab.assert_promotions_in_sync(stage.mark)?;
            lab.assert_outside_untouched()?;
        }
        stage.chassis()?.assert_invariants(stage.mark)
    }

    fn lab(&self) -> Result<&Lab> {
        self.lab
            .as_ref()
            .ok_or_else(|| LabError::State("there is no lab".into()))
    }

    /// Makes the lab when there is none.
    fn open(&mut self) -> Result<()> {
        if self.lab.is_none() {
            let start = Instant::now();
            self.lab = Some(Lab::up(&Options::named(LAB)?)?);
            self.provisioned = false;
            note(&format!("both BMCs booted in {}", seconds(start.elapsed())));
        }
        Ok(())
    }

    /// Provisions the lab when it is not.
    fn provision(&mut self) -> Result<()> {
        if !self.provisioned {
            let start = Instant::now();
            self.lab()?.provision(&Provision::default())?;
            self.provisioned = true;
            note(&format!("provisioned in {}", seconds(start.elapsed())));
        }
        Ok(())
    }

    /// Takes the lab down.
    pub(crate) fn close(&mut self) {
        if let Some(lab) = self.lab.take() {
            if let Err(error) = lab.down() {
                note(&format!("taking the lab down: {error}"));
            }
        }
    }
}

/// What a scenario fails with that found something other than it should.
pub(crate) fn fail<T>(what: impl Into<String>) -> Result<T> {
    Err(LabError::State(what.into()))
}

/// Fails unless `condition`.
pub(crate) fn ensure(condition: bool, what: impl FnOnce() -> String) -> Result<()> {
    if condition { Ok(()) } else { fail(what()) }
}

/// Waits for a failover to the sibling of `lost`, all services included.
pub(crate) fn wait_takeover(lab: &Lab, lost: Node) -> Result<()> {
    lab.wait_active(lost.sibling(), deadline::FAILOVER)
}

/// A line for whoever watches, between the test names.
fn note(text: &str) {
    // Nobody watches when it fails.
    let _ = writeln!(std::io::stderr(), "    {text}");
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
