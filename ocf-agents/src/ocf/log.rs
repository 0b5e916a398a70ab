//! Messages, to where the agents that Pacemaker ships send theirs: syslog (the journal) when the resource manager
//! names a facility, else standard error. No process is started for it.

use std::io::{IsTerminal, Write, stderr};
use std::os::unix::net::UnixDatagram;

use super::Environment;

/// Where syslog listens; the journal listens there too, and adds the monotonic time of arrival.
const SYSLOG_SOCKET: &str = "/dev/log";

/// In front of the reason for an exit status, when the resource manager names no other mark. Pacemaker looks for it on
/// standard error.
pub const EXIT_REASON_PREFIX: &str = "ocf-exit-reason:";

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For developers; dropped unless `HA_debug` is set.
    Debug,
    /// An event that belongs in the history.
    Info,
    /// Something is not as it should be, and the action goes on.
    Warning,
    /// The action failed.
    Error,
}

impl Level {
    /// As in front of a message of an OCF agent.
    const fn label(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }

    /// Severity of syslog(3).
    const fn severity(self) -> u8 {
        match self {
            Self::Debug => 7,
            Self::Info => 6,
            Self::Warning => 4,
            Self::Error => 3,
        }
    }
}

/// Where this call's messages go.
#[derive(Debug)]
pub struct Log {
    tag: String,
    facility: Option<u8>,
    debug: bool,
    reason_prefix: String,
}

impl Log {
    /// The log of a call of `agent`.
    #[must_use]
    pub fn new(agent: &str, environment: &Environment) -> Self {
        Self {
            tag: format!("{agent}({})[{}]", environment.instance(), std::process::id()),
            facility: environment.variable("HA_LOGFACILITY").and_then(facility_number),
            debug: environment.variable("HA_debug").is_some_and(|value| value != "0"),
            reason_prefix: environment
                .variable("OCF_EXIT_REASON_PREFIX")
                .unwrap_or(EXIT_REASON_PREFIX)
                .to_owned(),
        }
    }

    /// Writes a message. A log that cannot be written to must not fail an action.
    pub fn write(&self, level: Level, message: &str) {
        if level == Level::Debug && !self.debug {
            return;
        }
        let line = format!("{}: {message}", level.label());
        if stderr().is_terminal() {
            let _ = writeln!(stderr(), "{}: {line}", self.tag);
        } else if !self.send(level, &line) {
            let _ = writeln!(stderr(), "{line}");
        }
    }

    /// Tells the resource manager why the action fails, for its status displays, and logs it.
    pub fn exit_reason(&self, message: &str) {
        let one_line = message.replace('\n', " ");
        let _ = writeln!(stderr(), "{}{one_line}", self.reason_prefix);
        self.send(Level::Error, &format!("{}: {one_line}", Level::Error.label()));
    }

    fn send(&self, level: Level, line: &str) -> bool {
        let Some(facility) = self.facility else {
            return false;
        };
        let priority = facility * 8 + level.severity();
        let Ok(socket) = UnixDatagram::unbound() else {
            return false;
        };
        // A full syslog must not hold an action up.
        let datagram = format!("<{priority}>{}: {line}", self.tag);
        socket.set_nonblocking(true).is_ok() && socket.send_to(datagram.as_bytes(), SYSLOG_SOCKET).is_ok()
    }
}

/// Numbers of syslog(3).
fn facility_number(name: &str) -> Option<u8> {
    match name {
        "kern" => Some(0),
        "user" => Some(1),
        "mail" => Some(2),
        "daemon" => Some(3),
        "auth" => Some(4),
        "syslog" => Some(5),
        "lpr" => Some(6),
        "news" => Some(7),
        "uucp" => Some(8),
        "cron" => Some(9),
        "authpriv" => Some(10),
        "ftp" => Some(11),
        local => {
            let number: u8 = local.strip_prefix("local")?.parse().ok()?;
            (number < 8).then(|| 16 + number)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities_have_the_numbers_of_syslog() {
        assert_eq!(facility_number("daemon"), Some(3));
        assert_eq!(facility_number("local7"), Some(23));
        assert_eq!(facility_number("local8"), None);
        assert_eq!(facility_number("none"), None);
    }
}
