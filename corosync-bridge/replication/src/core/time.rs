//! Wall-clock time, from the Active to the Passive.
//!
//! A Passive asks when it has found its Active, and every hour; the Active answers with what its clock shows. What it
//! shows belongs to some moment between the question and the answer, so half of the time in between is the error that
//! is possible, as in NTP. An answer that took long says too little: it is not used, and asked for again. So a node that
//! was held up by load, by its disk or by a debugger never takes the delay for a wrong clock, and two nodes whose
//! clocks agree never set them.

use std::time::Duration;

use super::{Core, Notice, Topic};
use crate::NodeId;
use crate::Role;
use crate::clock::WallClock;
use crate::state::StateStore;
use crate::tree::Tree;
use crate::wire::Message;

/// How often a Passive asks. A quartz that is off by 20 ppm drifts 72 ms in it.
const INTERVAL: Duration = Duration::from_secs(3600);

/// The longest way there and back that is believed: a few rotations of the token on a busy BMC.
const LONGEST_TRIP: Duration = Duration::from_millis(250);

/// Pause before it is asked again after an answer that took too long.
const AGAIN: Duration = Duration::from_secs(2);

/// What two clocks may differ beyond the possible error. A step upsets timers and logs, so it has to be worth it.
const TOLERANCE: Duration = Duration::from_millis(50);

/// What a node knows of the Active's time.
#[derive(Debug, Default)]
pub(super) struct Time {
    clock: Option<Box<dyn WallClock>>,
    /// Whom it asks, and in which epoch.
    source: Option<(NodeId, u64)>,
    /// When it asks next; nothing where it has nobody to ask.
    pub(super) due: Option<Duration>,
    asked: Option<Question>,
}

/// A question on its way.
#[derive(Debug, Clone, Copy)]
struct Question {
    exchange: u64,
    at: Duration,
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// From here on this node tells its time as the Active, and takes over the Active's as a Passive.
    pub fn share_time(&mut self, clock: Box<dyn WallClock>) {
        self.time.clock = Some(clock);
    }

    /// Asks when it is time to.
    pub(super) fn ask_time(&mut self, now: Duration) {
        let source = self.source.filter(|_| self.joined && self.role == Role::Passive);
        let (Some(source), Some(clock)) = (source, &self.time.clock) else {
            if self.time.source.take().is_some() {
                self.time.due = None;
                self.problems.clear(&Topic::Clock);
            }
            return;
        };
        let asks_of = Some((source, self.state.epoch));
        let is_new = std::mem::replace(&mut self.time.source, asks_of) != asks_of;
        if !is_new && self.time.due.is_none_or(|due| now < due) {
            return;
        }
        self.time.due = Some(now + INTERVAL);
        match clock.is_disciplined() {
            Ok(true) => self.problems.clear(&Topic::Clock),
            Ok(false) => {
                // Named by a time: a bridge that was restarted does not take the late answer to a question of the one
                // before it for its own.
                let exchange = u64::try_from(clock.now().as_nanos()).unwrap_or(u64::MAX);
                self.time.asked = Some(Question { exchange, at: now });
                self.say_time(source, exchange, None);
            }
            Err(error) => self.problem(Topic::Clock, error.to_string()),
        }
    }

    pub(super) fn time_delivered(
        &mut self,
        from: NodeId,
        exchange: u64,
        time: Option<Duration>,
        now: Duration,
    ) {
        match (time, &self.time.clock) {
            (Some(theirs), _) if self.source == Some(from) => self.time_told(from, exchange, theirs, now),
            (None, Some(clock)) if self.active.is_some() => {
                let time = clock.now();
                self.say_time(from, exchange, Some(time));
            }
            _ => {}
        }
    }

    fn time_told(&mut self, from: NodeId, exchange: u64, theirs: Duration, now: Duration) {
        let asked = self.time.asked.take_if(|asked| asked.exchange == exchange);
        let (Some(asked), Some(clock)) = (asked, &mut self.time.clock) else {
            return;
        };
        let trip = now.saturating_sub(asked.at);
        if trip > LONGEST_TRIP {
            self.time.due = Some(now + AGAIN);
            return;
        }
        let (before, after) = (clock.now(), theirs.saturating_add(trip / 2));
        if before.abs_diff(after) <= TOLERANCE + trip / 2 {
            return self.problems.clear(&Topic::Clock);
        }
        match clock.set(after) {
            Ok(()) => {
                self.problems.clear(&Topic::Clock);
                let node = from;
                self.notices.push(Notice::ClockSet { node, before, after });
            }
            Err(error) => self.problem(Topic::Clock, error.to_string()),
        }
    }

    fn say_time(&mut self, target: NodeId, exchange: u64, time: Option<Duration>) {
        let message = Message::Time {
            epoch: self.state.epoch,
            target,
            exchange,
            time,
        };
        self.outbox.push(message.encode());
    }
}
