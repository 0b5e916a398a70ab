//! What a person sees: colours where they help, and progress on standard error.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use crate::cli::Format;
use crate::status::reason::Reason;

/// Whether text for people may be coloured. See <https://no-color.org>.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    coloured: bool,
}

/// What a colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Worth a look.
    Doubtful,
    /// Not as it should be.
    Bad,
    /// A heading.
    Strong,
}

impl Paint {
    /// Colours for standard output: only on a terminal, and only when `NO_COLOR` is unset or empty.
    pub(crate) fn for_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            coloured: !refused && io::stdout().is_terminal(),
        }
    }

    /// No colours.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { coloured: false }
    }

    /// Rows side by side, the first of them as a heading.
    pub(crate) fn table<const COLUMNS: usize>(self, rows: Vec<[String; COLUMNS]>) -> Vec<String> {
        let mut widths = [0; COLUMNS];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let lines = rows.into_iter().map(|row| {
            let cells = row
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:<width$}"));
            format!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end())
        });
        let mut lines: Vec<String> = lines.collect();
        if let Some(heading) = lines.first_mut() {
            *heading = self.paint(Tone::Strong, &heading);
        }
        lines
    }

    /// Text in a tone.
    pub(crate) fn paint(self, tone: Tone, text: impl fmt::Display) -> String {
        if !self.coloured {
            return text.to_string();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Doubtful => "33",
            Tone::Bad => "31",
            Tone::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Says on standard error what a command is at. Every step that may take over a second begins with a line.
#[derive(Debug)]
pub(crate) struct Progress {
    begin: Instant,
}

impl Progress {
    /// Starts the clock.
    pub(crate) fn new() -> Self {
        Self {
            begin: Instant::now(),
        }
    }

    /// Says what begins now.
    pub(crate) fn step(&self, what: impl fmt::Display) {
        let seconds = self.begin.elapsed().as_secs_f32();
        // Progress that nobody can read any more is no reason to stop half-way.
        let _ = writeln!(io::stderr(), "[{seconds:5.1} s] {what}");
    }
}

/// Writes an answer to standard output.
///
/// # Errors
/// When nobody reads it any more.
pub(crate) fn print(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())
}

/// Writes an answer to standard output as one indented JSON object.
///
/// # Errors
/// When nobody reads it any more.
pub(crate) fn print_json(value: &impl serde::Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    print(&text)
}

/// Writes that something was refused, and why.
///
/// # Errors
/// When nobody reads it any more.
pub(crate) fn print_refusal(format: Format, what: &str, reasons: &[Reason]) -> io::Result<()> {
    if format == Format::Json {
        return print_json(&serde_json::json!({"result": "refused", "reasons": reasons}));
    }
    let heading = Paint::for_stdout().paint(Tone::Bad, format!("refused {what}:"));
    let reasons = reasons
        .iter()
        .map(|reason| format!("  {:?}: {}\n", reason.id, reason.message));
    print(&format!("{heading}\n{}", reasons.collect::<String>()))
}
