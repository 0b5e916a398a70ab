//! Lines on standard error, with the priority prefixes of `sd-daemon(3)` when the journal reads them.
//!
//! Contents of settings are never logged, only their paths.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::LazyLock;

/// systemd sets this for a service whose standard error is the journal (`systemd.exec(5)`).
static JOURNAL: LazyLock<bool> = LazyLock::new(|| std::env::var_os("JOURNAL_STREAM").is_some());

/// Syslog's numbers of the priorities in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Priority {
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
}

/// The bridge cannot go on.
pub(crate) fn error(message: impl Display) {
    write(Priority::Error, &message);
}

/// Something keeps settings from being replicated.
pub(crate) fn warning(message: impl Display) {
    write(Priority::Warning, &message);
}

/// A role or a member changed: the lines from which the timeline of a failover is read.
pub(crate) fn notice(message: impl Display) {
    write(Priority::Notice, &message);
}

/// Ordinary work.
pub(crate) fn info(message: impl Display) {
    write(Priority::Info, &message);
}

fn write(priority: Priority, message: &dyn Display) {
    // Nobody can be told that standard error is gone.
    let _ = io::stderr().write_all(line(*JOURNAL, priority, message).as_bytes());
}

/// One line, whatever is in the message: names of files may hold newlines.
fn line(journal: bool, priority: Priority, message: &dyn Display) -> String {
    let text = message.to_string().replace('\n', "\\n");
    if journal {
        format!("<{}>{text}\n", priority as u8)
    } else {
        format!("corosync-bridge: {text}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_gets_a_priority_and_a_terminal_the_program() {
        assert_eq!(line(true, Priority::Warning, &"watch /a"), "<4>watch /a\n");
        assert_eq!(
            line(false, Priority::Info, &"joined"),
            "corosync-bridge: joined\n"
        );
    }

    #[test]
    fn a_message_stays_one_line() {
        assert_eq!(line(true, Priority::Info, &"a\n<0>b"), "<6>a\\n<0>b\n");
    }
}
