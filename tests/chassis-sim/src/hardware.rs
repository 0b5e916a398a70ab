//! The files through which a BMC sees the chassis: their names, and what the kernel lets one do with them.
//!
//! The contract is docs/architecture.md, "Hardware as files".

/// Fans on the chassis.
pub const FANS: u8 = 4;

/// A file of a BMC's view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HardwareFile {
    /// Claim or release the mux.
    MuxSelect,
    /// Whether this BMC holds the mux.
    MuxGrant,
    /// Duty of fan 1 to 4.
    FanDuty(u8),
    /// Speed of fan 1 to 4.
    FanSpeed(u8),
    /// The temperature.
    Temperature,
    /// The critical threshold of the temperature.
    TemperatureCritical,
    /// Whether the host has power.
    PowerGood,
    /// Switch the host's power.
    PowerRequest,
    /// Reset the host.
    HostReset,
    /// The chassis-wide fencing lock.
    FenceLock,
    /// The sibling's reset line.
    SiblingReset,
    /// Whether the sibling is proven to be held in reset.
    SiblingHeld,
    /// Slot of this BMC.
    Position,
}

impl HardwareFile {
    /// Every file, in the order in which directories list them.
    pub fn all() -> Vec<Self> {
        let mut files = vec![Self::MuxSelect, Self::MuxGrant];
        files.extend((1..=FANS).map(Self::FanDuty));
        files.extend((1..=FANS).map(Self::FanSpeed));
        files.extend([
            Self::Temperature,
            Self::TemperatureCritical,
            Self::PowerGood,
            Self::PowerRequest,
            Self::HostReset,
            Self::FenceLock,
            Self::SiblingReset,
            Self::SiblingHeld,
            Self::Position,
        ]);
        files
    }

    /// Path beneath the view's root: one directory and a name, or a name alone.
    pub fn path(self) -> String {
        match self {
            Self::MuxSelect => "mux/select".into(),
            Self::MuxGrant => "mux/grant".into(),
            Self::FanDuty(fan) => format!("fans/pwm{fan}"),
            Self::FanSpeed(fan) => format!("fans/fan{fan}_input"),
            Self::Temperature => "sensors/temp1_input".into(),
            Self::TemperatureCritical => "sensors/temp1_crit".into(),
            Self::PowerGood => "power/good".into(),
            Self::PowerRequest => "power/request".into(),
            Self::HostReset => "host/reset".into(),
            Self::FenceLock => "sibling/fence_lock".into(),
            Self::SiblingReset => "sibling/reset".into(),
            Self::SiblingHeld => "sibling/held".into(),
            Self::Position => "position".into(),
        }
    }

    /// Whether it can be opened for reading.
    pub fn readable(self) -> bool {
        !matches!(self, Self::PowerRequest | Self::HostReset)
    }

    /// Whether it can be opened for writing.
    pub fn writable(self) -> bool {
        matches!(
            self,
            Self::MuxSelect
                | Self::FanDuty(_)
                | Self::PowerRequest
                | Self::HostReset
                | Self::FenceLock
                | Self::SiblingReset
        )
    }

    /// Permission bits.
    pub fn mode(self) -> u16 {
        let read = if self.readable() { 0o444 } else { 0 };
        let write = if self.writable() { 0o200 } else { 0 };
        read | write
    }

    /// Whether it lies behind the mux: without the mux, reading and writing it fails.
    pub fn behind_mux(self) -> bool {
        matches!(
            self,
            Self::FanDuty(_)
                | Self::FanSpeed(_)
                | Self::Temperature
                | Self::TemperatureCritical
                | Self::PowerRequest
                | Self::HostReset
        )
    }

    /// Whether poll(2) reports its changes with `POLLPRI`, as sysfs attributes that call `sysfs_notify` do.
    pub fn announces_changes(self) -> bool {
        matches!(self, Self::MuxGrant | Self::SiblingHeld | Self::PowerGood)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_has_a_path_of_its_own() {
        let paths: BTreeSet<String> = HardwareFile::all().into_iter().map(HardwareFile::path).collect();
        assert_eq!(paths.len(), HardwareFile::all().len());
    }

    #[test]
    fn files_that_only_report_cannot_be_opened_for_writing() {
        assert_eq!(HardwareFile::MuxGrant.mode(), 0o444);
        assert_eq!(HardwareFile::FanDuty(1).mode(), 0o644);
        assert_eq!(HardwareFile::HostReset.mode(), 0o200);
    }
}
