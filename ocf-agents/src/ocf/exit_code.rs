//! Exit statuses.

/// How an action ended (OCF Resource Agent API 1.1, "Exit Status Codes"). Pacemaker's own list is `enum ocf_exitcode`
/// in `crm/common/results.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// The action succeeded; for `monitor`: running, and not promoted.
    Success = 0,
    /// The action failed. Pacemaker may try again, here or elsewhere.
    Generic = 1,
    /// The agent was called the wrong way on this machine.
    Arguments = 2,
    /// The action is not offered.
    Unimplemented = 3,
    /// The agent may not do what it has to.
    Permission = 4,
    /// Something that the resource needs is not installed here.
    NotInstalled = 5,
    /// A parameter is wrong wherever the resource runs.
    Configured = 6,
    /// The resource is cleanly stopped.
    NotRunning = 7,
    /// The resource runs and is promoted.
    RunningPromoted = 8,
    /// The resource is promoted and has failed.
    FailedPromoted = 9,
    /// The resource runs and is likely to fail soon.
    Degraded = 190,
    /// The resource is promoted and likely to fail soon.
    DegradedPromoted = 191,
}

impl ExitCode {
    /// The number.
    #[must_use]
    pub const fn value(self) -> u8 {
        self as u8
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.value())
    }
}
