//! The chassis as a scenario uses it.

use std::time::{Duration, Instant};

use chassis_sim::client::{Client, ClientError, Subscription};
use chassis_sim::invariants::{self, Verdict};
use chassis_sim::messages::{Event, Record, Request, State};
use chassis_sim::verdict::read_log;

use crate::error::{LabError, Result};
use crate::journal::Moment;
use crate::layout::Layout;
use crate::node::Node;

/// How long following the log waits before it looks whether it is still wanted: following has no end.
const FOLLOW_WAIT: Duration = Duration::from_secs(3600);

/// A place in the chassis's log: what a scenario counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Number of the first record from then on.
    pub record: u64,
    /// When it was set.
    pub at: Moment,
}

/// The chassis's control socket, log and verdict.
#[derive(Debug)]
pub struct Chassis {
    layout: Layout,
}

impl Mark {
    /// The beginning of the log.
    pub const START: Self = Self {
        record: 0,
        at: Moment { microseconds: 0 },
    };
}

impl Chassis {
    pub(crate) fn connect(layout: &Layout) -> Result<Self> {
        let chassis = Self {
            layout: layout.clone(),
        };
        chassis.client()?;
        Ok(chassis)
    }

    /// The chassis as it is.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn state(&self) -> Result<State> {
        self.client()?.state().map_err(failed)
    }

    /// The BMC that the mux is switched to.
    ///
    /// # Errors
    /// When the chassis does not answer.
    pub fn mux_holder(&self) -> Result<Option<Node>> {
        Ok(self.state()?.mux_holder.and_then(Node::in_slot))
    }

    /// Switches a BMC's own power.
    ///
    /// # Errors
    /// When the chassis refuses.
    pub fn power(&self, node: Node, on: bool) -> Result<()> {
        self.order(&Request::Power { bmc: node.slot(), on })
    }

    /// Takes the mux away from its holder, as a fault would.
    ///
    /// # Errors
    /// When the chassis refuses.
    pub fn seize_mux(&self) -> Result<()> {
        self.order(&Request::SeizeMux)
    }

    /// Sets the heat that the host gives off.
    ///
    /// # Errors
    /// When the chassis refuses.
    pub fn load(&self, watts: u32) -> Result<()> {
        self.order(&Request::Load { watts })
    }

    /// Writes a word into the log and returns its place.
    ///
    /// # Errors
    /// When the chassis does not answer.
    pub fn mark(&self, text: &str) -> Result<Mark> {
        let mark = Mark {
            record: self.state()?.next_record,
            at: Moment::now(),
        };
        self.order(&Request::Mark {
            text: text.to_owned(),
        })?;
        Ok(mark)
    }

    /// Everything that was logged since `mark`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn records(&self, mark: Mark) -> Result<Vec<Record>> {
        let path = self.layout.chassis_log();
        let mut records = read_log(&path).map_err(|error| LabError::Malformed {
            of: "the chassis log".into(),
            detail: format!("{error:#}"),
        })?;
        records.retain(|record| record.number >= mark.record);
        Ok(records)
    }

    /// Waits until something `wanted` is in the log, at `mark` or later.
    ///
    /// # Errors
    /// When it does not come in time.
    pub fn wait_for(
        &self,
        mark: Mark,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<Record> {
        Subscription::open(&self.layout.chassis_socket(), mark.record)
            .and_then(|mut log| log.wait_for(what, Instant::now() + within, |record| wanted(&record.event)))
            .map_err(failed)
    }

    /// Fails if one of the invariants that the log can judge was broken since `mark`: two BMCs never drive the
    /// chassis, and the host never notices.
    ///
    /// # Errors
    /// [`LabError::State`] with every violation.
    pub fn assert_invariants(&self, mark: Mark) -> Result<()> {
        let violations = invariants::violations(&self.records(Mark::START)?, mark.record);
        if violations.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
        Err(LabError::State(lines.join("\n")))
    }

    /// The verdict on each invariant that the log can judge, for a person.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn verdict(&self, mark: Mark) -> Result<Vec<Verdict>> {
        Ok(invariants::verdict(&self.records(Mark::START)?, mark.record))
    }

    /// Prints the log line by line until `print` has enough; goes on with what comes when it is to `follow`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn print_log(&self, follow: bool, mut print: impl FnMut(&str) -> bool) -> Result<()> {
        if !follow {
            for record in self.records(Mark::START)? {
                if !print(&show(&record)) {
                    break;
                }
            }
            return Ok(());
        }
        let mut log = Subscription::open(&self.layout.chassis_socket(), 0).map_err(failed)?;
        loop {
            match log.next(Instant::now() + FOLLOW_WAIT).map_err(failed)? {
                Some(record) if !print(&show(&record)) => return Ok(()),
                _ => {}
            }
        }
    }

    /// The last records of the log, for a person; fan duties, which come four times a second, are left out.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn tail(&self, lines: usize) -> Result<String> {
        let records = self.records(Mark::START)?;
        let shown: Vec<String> = records
            .iter()
            .filter(|record| !matches!(record.event, Event::FanDuty { .. }))
            .map(show)
            .collect();
        Ok(shown[shown.len().saturating_sub(lines)..].join("\n"))
    }

    /// Ends both BMCs and the chassis.
    pub(crate) fn shut_down(&self) -> Result<()> {
        self.order(&Request::Shutdown)
    }

    fn order(&self, request: &Request) -> Result<()> {
        self.client()?.perform(request).map_err(failed)
    }

    fn client(&self) -> Result<Client> {
        Client::connect(&self.layout.chassis_socket()).map_err(failed)
    }
}

fn failed(error: ClientError) -> LabError {
    LabError::Chassis(Box::new(error))
}

/// A record for a person: time in seconds, event.
fn show(record: &Record) -> String {
    let (seconds, microseconds) = (record.at_us / 1_000_000, record.at_us % 1_000_000);
    format!(
        "[{seconds:>6}.{microseconds:06}] #{} {:?}",
        record.number, record.event
    )
}
