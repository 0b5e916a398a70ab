//! The chassis's event log and control socket: what is written and what can be asked. No I/O here.
//!
//! The log is a file of one JSON [`Record`] per line. The control socket takes one JSON [`Request`] per line and
//! answers each with one JSON [`Answer`] per line; after [`Request::Subscribe`] the connection carries
//! [`Record`]s only.

use serde::{Deserialize, Serialize};

/// Slot of a BMC on the chassis: 0 or 1.
pub type Slot = u8;

/// A line of the event log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Counts records from 0, without gaps.
    pub number: u64,
    /// `CLOCK_MONOTONIC`, in microseconds.
    pub at_us: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What can happen on the chassis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The chassis was switched on, host power as given.
    Started {
        /// Whether the host has power.
        host_power: bool,
    },
    /// A BMC asked for the mux.
    MuxRequested {
        /// Who asked.
        bmc: Slot,
    },
    /// The mux was switched to a BMC.
    MuxGranted {
        /// Who holds it now.
        bmc: Slot,
    },
    /// A BMC gave the mux back, or lost it because it is held in reset.
    MuxReleased {
        /// Who held it.
        bmc: Slot,
        /// True when reset took it away.
        by_reset: bool,
    },
    /// A test took the mux away from its holder.
    MuxSeized {
        /// Who held it.
        bmc: Slot,
    },
    /// A fan's duty was written through the mux.
    FanDuty {
        /// Who wrote.
        bmc: Slot,
        /// Fan 1 to 4.
        fan: u8,
        /// 0 to 255.
        duty: u8,
    },
    /// A sensor passed its critical threshold: invariant 2 is broken.
    Overheated {
        /// Temperature in thousandths of a degree Celsius.
        millidegrees: i64,
    },
    /// The host's power changed.
    HostPower {
        /// Who asked for it.
        bmc: Slot,
        /// Whether the host has power now.
        on: bool,
    },
    /// The host was reset.
    HostReset {
        /// Who asked for it.
        bmc: Slot,
    },
    /// A BMC tried what the hardware does not let it do. Invariant 1 is broken when `without_mux`.
    Refused {
        /// Who tried.
        bmc: Slot,
        /// The file written, relative to the BMC's view.
        file: String,
        /// What was written.
        value: String,
        /// Why it was refused.
        reason: String,
        /// True for a write to fans, power or host without holding the mux.
        without_mux: bool,
    },
    /// A BMC took the fencing lock.
    FenceLockTaken {
        /// Who has it.
        bmc: Slot,
    },
    /// A BMC gave the fencing lock back or lost it.
    FenceLockReleased {
        /// Who had it.
        bmc: Slot,
    },
    /// The reset line of a BMC was asserted.
    ResetAsserted {
        /// Who is reset.
        bmc: Slot,
        /// Who pulled the line; none when a test did.
        by: Option<Slot>,
    },
    /// Nothing runs on a BMC that is held in reset any more.
    ResetHeld {
        /// Who is held.
        bmc: Slot,
    },
    /// The reset line of a BMC was released.
    ResetReleased {
        /// Who is released.
        bmc: Slot,
        /// Who released the line; none when a test did.
        by: Option<Slot>,
    },
    /// A BMC's own power was switched (not the host's).
    BmcPower {
        /// Which BMC.
        bmc: Slot,
        /// Whether it has power now.
        on: bool,
    },
    /// A BMC's operating system was started.
    BmcBooting {
        /// Which BMC.
        bmc: Slot,
        /// Process id of its PID 1, as seen from outside.
        pid: i32,
    },
    /// A BMC's operating system ended.
    BmcDown {
        /// Which BMC.
        bmc: Slot,
    },
    /// A word from a test, to find one's way in the log.
    Mark {
        /// The word.
        text: String,
    },
}

/// What a test can do to the chassis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// Switch a BMC's own power. Off kills its operating system at once; on boots it unless held in reset.
    Power {
        /// Which BMC.
        bmc: Slot,
        /// On or off.
        on: bool,
    },
    /// Take the mux away from whoever holds it, as a fault would.
    SeizeMux,
    /// The heat that the host gives off, in watts.
    Load {
        /// Watts.
        watts: u32,
    },
    /// Write a word into the log.
    Mark {
        /// The word.
        text: String,
    },
    /// Report the state.
    State,
    /// Stream the log from this record number on, first what is past and then what comes.
    Subscribe {
        /// First record wanted.
        from: u64,
    },
    /// Stop both BMCs, unmount, and end.
    Shutdown,
}

/// The chassis's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Answer {
    /// Done, and logged.
    Done,
    /// The answer to [`Request::State`].
    State(State),
    /// Refused or failed.
    Error {
        /// Why.
        message: String,
    },
}

/// The chassis as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Who holds the mux.
    pub mux_holder: Option<Slot>,
    /// Duties of the fans, 0 to 255.
    pub duty: [u8; 4],
    /// Speeds of the fans in RPM.
    pub rpm: [u32; 4],
    /// Temperature in thousandths of a degree Celsius.
    pub millidegrees: i64,
    /// The highest temperature so far.
    pub highest_millidegrees: i64,
    /// Whether the host has power.
    pub host_power: bool,
    /// Who has the fencing lock.
    pub fence_lock: Option<Slot>,
    /// Both BMCs, by slot.
    pub bmcs: [BmcState; 2],
    /// Number of the next log record.
    pub next_record: u64,
}

/// One BMC as the chassis sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BmcState {
    /// Whether it has power.
    pub powered: bool,
    /// Whether its reset line is asserted.
    pub in_reset: bool,
    /// Process id of its PID 1 as seen from outside, while its operating system runs.
    pub pid: Option<i32>,
}
