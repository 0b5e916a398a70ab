//! How far a transfer is, on standard error: one line that changes on a terminal, one line per change elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use bmc_bridge_control::Transfer;

/// Goes back to the beginning of the line and clears it (ECMA-48, `EL`).
const CLEAR_LINE: &str = "\r\u{1b}[K";

/// What is shown.
#[derive(Debug)]
pub(super) struct Gauge {
    begin: Instant,
    terminal: bool,
    shown: Option<Transfer>,
}

impl Gauge {
    /// Nothing is shown yet.
    pub(super) fn new() -> Self {
        Self {
            begin: Instant::now(),
            terminal: io::stderr().is_terminal(),
            shown: None,
        }
    }

    /// Shows what is left.
    pub(super) fn show(&mut self, left: Transfer) {
        let is_news = self.shown.replace(left) != Some(left);
        // Progress that nobody can read any more is no reason to stop half-way.
        if self.terminal {
            let line = for_people(left);
            let seconds = self.begin.elapsed().as_secs_f32();
            let _ = write!(io::stderr(), "{CLEAR_LINE}[{seconds:5.1} s] {line}");
        } else if is_news {
            let _ = writeln!(io::stderr(), "{}", for_programs(left));
        }
    }

    /// Makes room for the answer.
    pub(super) fn end(&self) {
        if self.terminal && self.shown.is_some() {
            let _ = write!(io::stderr(), "{CLEAR_LINE}");
        }
    }
}

fn for_people(left: Transfer) -> String {
    let Transfer {
        entries_left,
        bytes_left,
    } = left;
    match (entries_left, bytes_left) {
        (0, 0) => "comparing".to_owned(),
        (_, 0..=1023) => format!("{entries_left} entries, {bytes_left} bytes left"),
        (_, 1024..=1_048_575) => format!("{entries_left} entries, {} KiB left", bytes_left / 1024),
        _ => format!("{entries_left} entries, {} MiB left", bytes_left / 1_048_576),
    }
}

fn for_programs(left: Transfer) -> String {
    format!(
        "entries_left={} bytes_left={}",
        left.entries_left, left.bytes_left
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_units_and_programs_read_numbers() {
        let left = |entries_left, bytes_left| Transfer {
            entries_left,
            bytes_left,
        };
        assert_eq!(for_people(left(0, 0)), "comparing");
        assert_eq!(for_people(left(3, 700)), "3 entries, 700 bytes left");
        assert_eq!(for_people(left(3, 70_000)), "3 entries, 68 KiB left");
        assert_eq!(for_people(left(3, 70_000_000)), "3 entries, 66 MiB left");
        assert_eq!(for_programs(left(3, 70_000)), "entries_left=3 bytes_left=70000");
    }
}
