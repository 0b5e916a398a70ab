//! Wall clocks that are wrong, each in its way.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bmc_replication::{ClockError, WallClock};

use crate::disk::Disk;
use crate::random::Dice;

/// What a right clock shows when a schedule begins, in milliseconds since 1970.
const BEGIN_MS: u64 = 1_000_000_000_000;

/// The clock of a node. Runs as the simulated time does.
#[derive(Debug, Clone)]
pub(crate) struct SimClock {
    disk: Rc<RefCell<Disk>>,
    /// How far it is ahead of a clock that began at 1970, in milliseconds.
    ahead_ms: Rc<Cell<u64>>,
    disciplined: bool,
}

impl SimClock {
    /// Right to ten seconds. Some are kept right by others: those are off too, so that it shows when they are set.
    pub(crate) fn new(disk: &Rc<RefCell<Disk>>, dice: &mut Dice) -> Self {
        Self {
            disk: Rc::clone(disk),
            ahead_ms: Rc::new(Cell::new(BEGIN_MS + dice.below(10_000) as u64)),
            disciplined: dice.one_in(3),
        }
    }

    pub(crate) fn ahead_ms(&self) -> u64 {
        self.ahead_ms.get()
    }

    pub(crate) fn disciplined(&self) -> bool {
        self.disciplined
    }
}

impl WallClock for SimClock {
    fn now(&self) -> Duration {
        Duration::from_millis(self.ahead_ms.get() + self.disk.borrow().now_ms)
    }

    fn is_disciplined(&self) -> Result<bool, ClockError> {
        Ok(self.disciplined)
    }

    fn set(&mut self, to: Duration) -> Result<(), ClockError> {
        assert!(!self.disciplined, "a clock that is kept right was set");
        let now_ms = self.disk.borrow().now_ms;
        self.ahead_ms.set(to.as_millis() as u64 - now_ms);
        Ok(())
    }
}
