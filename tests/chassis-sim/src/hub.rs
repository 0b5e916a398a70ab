//! The one chassis behind one lock, and everything that follows from a change: log records, orders to the machines,
//! wake-ups of those who poll.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::chassis::{Chassis, Effect, Refusal};
use crate::hardware::{FANS, HardwareFile};
use crate::messages::{Record, Slot, State};

/// Carries out what the chassis wants done to the BMCs.
pub trait Machines: Send {
    /// Must not block: it is called with the chassis locked.
    fn order(&self, effect: Effect);
}

/// Wakes one that polls a file.
type Waker = Box<dyn FnOnce() + Send>;

/// Shared by the file systems, the machines and the control socket.
pub struct Hub {
    inner: Mutex<Inner>,
    changed: Condvar,
}

struct Inner {
    chassis: Chassis,
    log: File,
    lines: Vec<Arc<str>>,
    machines: Option<Box<dyn Machines>>,
    announced: HashMap<(Slot, HardwareFile), Announced>,
    /// When each fan's duty was last written, or the chassis switched on: its file's mtime.
    duty_written: [SystemTime; FANS as usize],
}

/// A file whose changes poll(2) reports.
#[derive(Default)]
struct Announced {
    shown: String,
    version: u64,
    /// By the kernel's handle of the open file.
    wakers: HashMap<u64, Waker>,
}

/// `CLOCK_MONOTONIC`.
pub fn monotonic() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

impl Hub {
    /// A chassis that is switched on now and logs to a new file.
    pub fn new(log: &Path, host_power: bool) -> io::Result<Arc<Self>> {
        let chassis = Chassis::new(monotonic(), host_power);
        let announced = [0, 1]
            .into_iter()
            .flat_map(|slot| HardwareFile::all().into_iter().map(move |file| (slot, file)))
            .filter(|(_, file)| file.announces_changes())
            .map(|(slot, file)| {
                (
                    (slot, file),
                    Announced {
                        shown: chassis.show(slot, file),
                        ..Announced::default()
                    },
                )
            })
            .collect();
        let hub = Arc::new(Self {
            inner: Mutex::new(Inner {
                chassis,
                log: File::create(log)?,
                lines: Vec::new(),
                machines: None,
                announced,
                duty_written: [SystemTime::now(); FANS as usize],
            }),
            changed: Condvar::new(),
        });
        hub.act(|_| ());
        Ok(hub)
    }

    /// Connects the machines that carry out what the chassis wants.
    pub fn connect(&self, machines: Box<dyn Machines>) {
        self.lock().machines = Some(machines);
        self.act(|_| ());
    }

    /// Does something to the chassis at this moment, then everything that follows from it.
    pub fn act<T>(&self, action: impl FnOnce(&mut Chassis) -> T) -> T {
        let mut inner = self.lock();
        let now = monotonic();
        inner.chassis.advance(now);
        let result = action(&mut inner.chassis);
        inner.settle(now);
        drop(inner);
        self.changed.notify_all();
        result
    }

    /// A BMC reads a file.
    pub fn read(&self, slot: Slot, file: HardwareFile) -> Result<String, Refusal> {
        self.act(|chassis| chassis.read(slot, file))
    }

    /// A BMC writes a file.
    pub fn write(&self, slot: Slot, file: HardwareFile, value: &str) -> Result<(), Refusal> {
        self.act(|chassis| chassis.write(slot, file, value))?;
        if let HardwareFile::FanDuty(fan) = file {
            if let Some(written) = self.lock().duty_written.get_mut(usize::from(fan) - 1) {
                *written = SystemTime::now();
            }
        }
        Ok(())
    }

    /// When a file was last written, as its mtime shows it.
    pub fn modified(&self, file: HardwareFile, otherwise: SystemTime) -> SystemTime {
        match file {
            HardwareFile::FanDuty(fan) => self
                .lock()
                .duty_written
                .get(usize::from(fan) - 1)
                .copied()
                .unwrap_or(otherwise),
            _ => otherwise,
        }
    }

    /// How often a file has changed, for files that announce it.
    pub fn version(&self, slot: Slot, file: HardwareFile) -> Option<u64> {
        self.lock()
            .announced
            .get(&(slot, file))
            .map(|announced| announced.version)
    }

    /// The file's version; if it is still `seen`, the waker is called at the next change. A later call with the same
    /// handle takes the place of an earlier one.
    pub fn watch(&self, slot: Slot, file: HardwareFile, seen: u64, handle: u64, waker: Waker) -> Option<u64> {
        let mut inner = self.lock();
        let announced = inner.announced.get_mut(&(slot, file))?;
        if announced.version == seen {
            announced.wakers.insert(handle, waker);
        }
        Some(announced.version)
    }

    /// Forgets a waker: its file was closed.
    pub fn unwatch(&self, slot: Slot, file: HardwareFile, handle: u64) {
        if let Some(announced) = self.lock().announced.get_mut(&(slot, file)) {
            announced.wakers.remove(&handle);
        }
    }

    /// The chassis as it is.
    pub fn state(&self) -> State {
        self.act(|_| ());
        let inner = self.lock();
        inner.chassis.state(inner.next_record())
    }

    /// Log records from this number on, as lines; waits until there is one or the deadline has passed.
    pub fn records_from(&self, number: u64, deadline: Instant) -> Vec<Arc<str>> {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let inner = self.wait_until(deadline, |inner| inner.lines.len() > number);
        inner.lines.get(number..).unwrap_or_default().to_vec()
    }

    /// Waits until nothing runs on either BMC; answers whether it came to that.
    pub fn wait_all_off(&self, deadline: Instant) -> bool {
        self.wait_until(deadline, |inner| inner.chassis.all_off())
            .chassis
            .all_off()
    }

    fn wait_until(&self, deadline: Instant, condition: impl Fn(&Inner) -> bool) -> MutexGuard<'_, Inner> {
        let timeout = deadline.saturating_duration_since(Instant::now());
        self.changed
            .wait_timeout_while(self.lock(), timeout, |inner| !condition(inner))
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn next_record(&self) -> u64 {
        self.lines.len() as u64
    }

    fn settle(&mut self, now: Duration) {
        self.log_events(now);
        if let Some(machines) = &self.machines {
            for effect in self.chassis.take_effects() {
                machines.order(effect);
            }
        }
        for ((slot, file), announced) in &mut self.announced {
            let shown = self.chassis.show(*slot, *file);
            if shown != announced.shown {
                announced.shown = shown;
                announced.version += 1;
                for (_, wake) in announced.wakers.drain() {
                    wake();
                }
            }
        }
    }

    fn log_events(&mut self, now: Duration) {
        let at_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        for event in self.chassis.take_events() {
            let record = Record {
                number: self.next_record(),
                at_us,
                event,
            };
            match serde_json::to_string(&record) {
                Ok(line) => self.append(line),
                Err(error) => eprintln!("chassis-sim: encode record {}: {error}", record.number),
            }
        }
    }

    fn append(&mut self, mut line: String) {
        line.push('\n');
        if let Err(error) = self.log.write_all(line.as_bytes()) {
            eprintln!(
                "chassis-sim: write record {} to the log: {error}",
                self.next_record()
            );
        }
        self.lines.push(line.into());
    }
}
