//! The chassis as a state machine: what BMCs write and tests ask for goes in, events and effects come out.
//!
//! Plain deterministic code. Time is passed in; processes, files and the log belong to the callers.
//!
//! What the hardware keeps and loses:
//! - The mux stays latched with its holder until that BMC releases it or is held in reset. Losing power alone does not
//!   free it, so a BMC that vanished keeps the chassis until it is fenced. Only a claim that still waits is dropped.
//! - The fencing lock and the reset line that a BMC pulls are driven by that BMC: both fall when it loses power or is
//!   itself reset.
//! - Fans keep the last duty that was written.
//! - A BMC without power or in reset reads and writes nothing, even while its last processes are being killed.

use std::time::Duration;

use crate::hardware::HardwareFile;
use crate::messages::{BmcState, Event, Slot, State};
use crate::thermal::{CRITICAL_MILLIDEGREES, MAX_LOAD_WATTS, Thermal};

/// Why the hardware does not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The file lies behind the mux.
    #[error("this BMC does not hold the mux")]
    NoMux,
    /// The BMC has no power or is in reset.
    #[error("this BMC is without power or in reset")]
    NotRunning,
    /// The reset line is guarded by the fencing lock.
    #[error("this BMC does not have the fencing lock")]
    NotLocked,
    /// The sibling has the fencing lock.
    #[error("the sibling has the fencing lock")]
    LockTaken,
    /// Not a value that this file takes.
    #[error("expected {expected}")]
    BadValue {
        /// What would have been taken.
        expected: &'static str,
    },
    /// The file cannot be read, or not be written.
    #[error("the file does not allow this access")]
    WrongAccess,
}

/// What the world has to do for the chassis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Start the BMC's operating system.
    Boot(Slot),
    /// Kill everything that runs on the BMC, and report when it is gone.
    Kill(Slot),
}

/// How far a BMC's operating system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Os {
    /// Nothing runs.
    Off,
    /// Ordered to start and not ordered to stop since.
    On,
    /// Ordered to be killed.
    Stopping,
}

#[derive(Debug, Clone, Copy)]
struct Bmc {
    powered: bool,
    in_reset: bool,
    os: Os,
    pid: Option<i32>,
    wants_mux: bool,
}

impl Bmc {
    const ABSENT: Self = Self {
        powered: false,
        in_reset: false,
        os: Os::Off,
        pid: None,
        wants_mux: false,
    };

    fn running(&self) -> bool {
        self.powered && !self.in_reset
    }

    fn held(&self) -> bool {
        self.in_reset && self.os == Os::Off
    }
}

/// The chassis.
#[derive(Debug)]
pub struct Chassis {
    bmcs: [Bmc; 2],
    mux_holder: Option<Slot>,
    fence_lock: Option<Slot>,
    host_power: bool,
    thermal: Thermal,
    highest_millidegrees: i64,
    events: Vec<Event>,
    effects: Vec<Effect>,
}

/// The other slot.
pub fn sibling(slot: Slot) -> Slot {
    1 - slot.min(1)
}

impl Chassis {
    /// A chassis that is switched on at this moment, both BMCs without power.
    pub fn new(now: Duration, host_power: bool) -> Self {
        let thermal = Thermal::new(now);
        Self {
            bmcs: [Bmc::ABSENT; 2],
            mux_holder: None,
            fence_lock: None,
            host_power,
            highest_millidegrees: thermal.millidegrees(),
            thermal,
            events: vec![Event::Started { host_power }],
            effects: Vec::new(),
        }
    }

    /// Lets time pass.
    pub fn advance(&mut self, now: Duration) {
        loop {
            let before = self.thermal.millidegrees();
            if !self.thermal.step(now, self.host_power) {
                return;
            }
            let millidegrees = self.thermal.millidegrees();
            self.highest_millidegrees = self.highest_millidegrees.max(millidegrees);
            if before < CRITICAL_MILLIDEGREES && millidegrees >= CRITICAL_MILLIDEGREES {
                self.events.push(Event::Overheated { millidegrees });
            }
        }
    }

    /// What a BMC reads from a file of its view, without the line end.
    pub fn read(&self, slot: Slot, file: HardwareFile) -> Result<String, Refusal> {
        if !file.readable() {
            return Err(Refusal::WrongAccess);
        }
        if !self.bmc(slot).running() {
            return Err(Refusal::NotRunning);
        }
        if file.behind_mux() && self.mux_holder != Some(slot) {
            return Err(Refusal::NoMux);
        }
        Ok(self.show(slot, file))
    }

    /// What a file would show if nothing were in the way.
    pub fn show(&self, slot: Slot, file: HardwareFile) -> String {
        match file {
            HardwareFile::MuxSelect => bit(self.bmc(slot).wants_mux),
            HardwareFile::MuxGrant => bit(self.mux_holder == Some(slot)),
            HardwareFile::FanDuty(fan) => self.thermal.duty()[fan_index(fan)].to_string(),
            HardwareFile::FanSpeed(fan) => self.thermal.rpm()[fan_index(fan)].to_string(),
            HardwareFile::Temperature => self.thermal.millidegrees().to_string(),
            HardwareFile::TemperatureCritical => CRITICAL_MILLIDEGREES.to_string(),
            HardwareFile::PowerGood => bit(self.host_power),
            HardwareFile::FenceLock => bit(self.fence_lock == Some(slot)),
            HardwareFile::SiblingReset => bit(self.bmc(sibling(slot)).in_reset),
            HardwareFile::SiblingHeld => bit(self.bmc(sibling(slot)).held()),
            HardwareFile::Position => slot.to_string(),
            HardwareFile::PowerRequest | HardwareFile::HostReset => String::new(),
        }
    }

    /// A BMC writes to a file of its view. A refusal is logged.
    pub fn write(&mut self, slot: Slot, file: HardwareFile, value: &str) -> Result<(), Refusal> {
        let value = value.trim_end_matches('\n');
        self.try_write(slot, file, value).inspect_err(|refusal| {
            self.events.push(Event::Refused {
                bmc: slot,
                file: file.path(),
                value: value.into(),
                reason: refusal.to_string(),
                without_mux: *refusal == Refusal::NoMux,
            });
        })
    }

    fn try_write(&mut self, slot: Slot, file: HardwareFile, value: &str) -> Result<(), Refusal> {
        if !self.bmc(slot).running() {
            return Err(Refusal::NotRunning);
        }
        if file.behind_mux() && self.mux_holder != Some(slot) {
            return Err(Refusal::NoMux);
        }
        match file {
            HardwareFile::MuxSelect => parse_bit(value).map(|claim| self.select_mux(slot, claim)),
            HardwareFile::FanDuty(fan) => self.drive_fan(slot, fan, value),
            HardwareFile::PowerRequest => self.request_host_power(slot, value),
            HardwareFile::HostReset => self.reset_host(slot, value),
            HardwareFile::FenceLock => self.lock_fencing(slot, parse_bit(value)?),
            HardwareFile::SiblingReset => self.drive_sibling_reset(slot, parse_bit(value)?),
            HardwareFile::MuxGrant
            | HardwareFile::FanSpeed(_)
            | HardwareFile::Temperature
            | HardwareFile::TemperatureCritical
            | HardwareFile::PowerGood
            | HardwareFile::SiblingHeld
            | HardwareFile::Position => Err(Refusal::WrongAccess),
        }
    }

    fn select_mux(&mut self, slot: Slot, claim: bool) {
        if claim == self.bmc(slot).wants_mux {
            return;
        }
        self.bmc_mut(slot).wants_mux = claim;
        if claim {
            self.events.push(Event::MuxRequested { bmc: slot });
            if self.mux_holder.is_none() {
                self.grant_mux(slot);
            }
        } else {
            self.free_mux_of(slot, false);
        }
    }

    fn grant_mux(&mut self, slot: Slot) {
        self.mux_holder = Some(slot);
        self.events.push(Event::MuxGranted { bmc: slot });
    }

    /// If this BMC holds the mux it does no longer, and a waiting sibling gets it.
    fn free_mux_of(&mut self, slot: Slot, by_reset: bool) {
        if self.mux_holder == Some(slot) {
            self.mux_holder = None;
            self.events.push(Event::MuxReleased { bmc: slot, by_reset });
            self.grant_mux_to_waiting(sibling(slot));
        }
    }

    fn grant_mux_to_waiting(&mut self, slot: Slot) {
        if self.bmc(slot).wants_mux {
            self.grant_mux(slot);
        }
    }

    fn drive_fan(&mut self, slot: Slot, fan: u8, value: &str) -> Result<(), Refusal> {
        let duty = value.parse().map_err(|_| Refusal::BadValue {
            expected: "a duty from 0 to 255",
        })?;
        self.thermal.set_duty(fan_index(fan), duty);
        self.events.push(Event::FanDuty { bmc: slot, fan, duty });
        Ok(())
    }

    fn request_host_power(&mut self, slot: Slot, value: &str) -> Result<(), Refusal> {
        let on = match value {
            "on" => true,
            "off" => false,
            _ => {
                return Err(Refusal::BadValue {
                    expected: "on or off",
                });
            }
        };
        if self.host_power != on {
            self.host_power = on;
            self.events.push(Event::HostPower { bmc: slot, on });
        }
        Ok(())
    }

    fn reset_host(&mut self, slot: Slot, value: &str) -> Result<(), Refusal> {
        if value != "1" {
            return Err(Refusal::BadValue { expected: "1" });
        }
        self.events.push(Event::HostReset { bmc: slot });
        Ok(())
    }

    fn lock_fencing(&mut self, slot: Slot, take: bool) -> Result<(), Refusal> {
        match (take, self.fence_lock) {
            (true, None) => {
                self.fence_lock = Some(slot);
                self.events.push(Event::FenceLockTaken { bmc: slot });
            }
            (true, Some(owner)) if owner != slot => return Err(Refusal::LockTaken),
            (true, Some(_)) => {}
            (false, _) => self.drop_fence_lock_of(slot),
        }
        Ok(())
    }

    fn drop_fence_lock_of(&mut self, slot: Slot) {
        if self.fence_lock == Some(slot) {
            self.fence_lock = None;
            self.events.push(Event::FenceLockReleased { bmc: slot });
        }
    }

    fn drive_sibling_reset(&mut self, slot: Slot, assert: bool) -> Result<(), Refusal> {
        if self.fence_lock != Some(slot) {
            return Err(Refusal::NotLocked);
        }
        if assert {
            self.assert_reset(sibling(slot), slot);
        } else {
            self.release_reset(sibling(slot), slot);
        }
        Ok(())
    }

    fn assert_reset(&mut self, target: Slot, by: Slot) {
        if self.bmc(target).in_reset {
            return;
        }
        self.bmc_mut(target).in_reset = true;
        self.events.push(Event::ResetAsserted {
            bmc: target,
            by: Some(by),
        });
        self.lines_fall(target);
        self.stop_os(target);
        if self.bmc(target).held() {
            self.reset_is_held(target);
        }
    }

    fn release_reset(&mut self, target: Slot, by: Slot) {
        if self.bmc(target).in_reset {
            self.bmc_mut(target).in_reset = false;
            self.events.push(Event::ResetReleased {
                bmc: target,
                by: Some(by),
            });
            self.boot_if_due(target);
        }
    }

    /// Lines that a BMC drives fall when it stops being able to drive them.
    fn lines_fall(&mut self, slot: Slot) {
        self.drop_fence_lock_of(slot);
        self.release_reset(sibling(slot), slot);
    }

    fn reset_is_held(&mut self, slot: Slot) {
        self.events.push(Event::ResetHeld { bmc: slot });
        self.bmc_mut(slot).wants_mux = false;
        self.free_mux_of(slot, true);
    }

    fn stop_os(&mut self, slot: Slot) {
        if self.bmc(slot).os == Os::On {
            self.bmc_mut(slot).os = Os::Stopping;
            self.effects.push(Effect::Kill(slot));
        }
    }

    fn boot_if_due(&mut self, slot: Slot) {
        let bmc = self.bmc_mut(slot);
        if bmc.running() && bmc.os == Os::Off {
            bmc.os = Os::On;
            self.effects.push(Effect::Boot(slot));
        }
    }

    /// A test switches a BMC's own power.
    pub fn switch_bmc_power(&mut self, slot: Slot, on: bool) {
        if self.bmc(slot).powered == on {
            return;
        }
        self.bmc_mut(slot).powered = on;
        self.events.push(Event::BmcPower { bmc: slot, on });
        if on {
            self.boot_if_due(slot);
        } else {
            self.lines_fall(slot);
            if self.mux_holder != Some(slot) {
                self.bmc_mut(slot).wants_mux = false;
            }
            self.stop_os(slot);
        }
    }

    /// A test takes the mux away. The loser has to claim again.
    pub fn seize_mux(&mut self) -> Result<(), Refusal> {
        let Some(holder) = self.mux_holder.take() else {
            return Err(Refusal::BadValue {
                expected: "a BMC that holds the mux",
            });
        };
        self.bmc_mut(holder).wants_mux = false;
        self.events.push(Event::MuxSeized { bmc: holder });
        self.grant_mux_to_waiting(sibling(holder));
        Ok(())
    }

    /// A test sets the host's load.
    pub fn set_load(&mut self, watts: u32) -> Result<(), Refusal> {
        if watts > MAX_LOAD_WATTS {
            return Err(Refusal::BadValue {
                expected: "a load of at most 400 W",
            });
        }
        self.thermal.set_load(watts);
        Ok(())
    }

    /// A test writes a word into the log.
    pub fn mark(&mut self, text: String) {
        self.events.push(Event::Mark { text });
    }

    /// A BMC's operating system runs: this is its PID 1.
    pub fn os_started(&mut self, slot: Slot, pid: i32) {
        self.bmc_mut(slot).pid = Some(pid);
        self.events.push(Event::BmcBooting { bmc: slot, pid });
    }

    /// A BMC's PID 1 ended, and with it everything beneath. What started it may start it again.
    pub fn os_ended(&mut self, slot: Slot) {
        if self.bmc_mut(slot).pid.take().is_some() {
            self.events.push(Event::BmcDown { bmc: slot });
        }
    }

    /// Nothing of the BMC's operating system is left, nor what started it.
    pub fn os_gone(&mut self, slot: Slot, wants_reboot: bool) {
        self.os_ended(slot);
        let bmc = self.bmc_mut(slot);
        let killed = bmc.os == Os::Stopping;
        bmc.os = Os::Off;
        if bmc.held() {
            self.reset_is_held(slot);
        } else if killed || wants_reboot {
            self.boot_if_due(slot);
        }
    }

    /// What happened since the last call, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// What is to be done since the last call, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// The chassis as it is.
    pub fn state(&self, next_record: u64) -> State {
        State {
            mux_holder: self.mux_holder,
            duty: self.thermal.duty(),
            rpm: self.thermal.rpm(),
            millidegrees: self.thermal.millidegrees(),
            highest_millidegrees: self.highest_millidegrees,
            host_power: self.host_power,
            fence_lock: self.fence_lock,
            bmcs: self.bmcs.map(|bmc| BmcState {
                powered: bmc.powered,
                in_reset: bmc.in_reset,
                pid: bmc.pid,
            }),
            next_record,
        }
    }

    /// Whether nothing runs on either BMC.
    pub fn all_off(&self) -> bool {
        self.bmcs.iter().all(|bmc| bmc.os == Os::Off)
    }

    fn bmc(&self, slot: Slot) -> &Bmc {
        &self.bmcs[usize::from(slot.min(1))]
    }

    fn bmc_mut(&mut self, slot: Slot) -> &mut Bmc {
        &mut self.bmcs[usize::from(slot.min(1))]
    }
}

fn fan_index(fan: u8) -> usize {
    usize::from(fan.clamp(1, crate::hardware::FANS) - 1)
}

fn bit(set: bool) -> String {
    if set { "1".into() } else { "0".into() }
}

fn parse_bit(value: &str) -> Result<bool, Refusal> {
    match value {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(Refusal::BadValue { expected: "0 or 1" }),
    }
}

#[cfg(test)]
mod tests;
