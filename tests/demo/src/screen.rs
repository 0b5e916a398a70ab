//! How the demo looks: headings, commands as typed, their output indented. Colours only on a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Instant;

/// Where the demo is told.
#[derive(Debug)]
pub(crate) struct Screen {
    colours: bool,
    chapter: u32,
}

impl Screen {
    /// Standard output; without colours when it is no terminal or `NO_COLOR` is set (no-color.org).
    pub(crate) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            colours: wanted && io::stdout().is_terminal(),
            chapter: 0,
        }
    }

    /// A new part of the story.
    pub(crate) fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        println!("\n{}", self.paint("1;34", &format!("{}. {title}", self.chapter)));
    }

    /// A sentence of the narrator.
    pub(crate) fn say(&self, text: &str) {
        println!("   {text}");
    }

    /// A command as an admin types it on a BMC.
    pub(crate) fn command(&self, host: &str, line: &str) {
        println!(
            "\n   {} {}",
            self.paint("2", &format!("root@{host}:~#")),
            self.paint("1", line)
        );
    }

    /// What a command printed.
    pub(crate) fn output(&self, text: &str) {
        for line in text.trim_end().lines() {
            println!("   {line}");
        }
    }

    /// A promise that was kept.
    pub(crate) fn kept(&self, text: &str) {
        println!("   {} {text}", self.paint("32", "ok"));
    }

    /// A promise that was not.
    pub(crate) fn broken(&self, text: &str) {
        println!("   {} {text}", self.paint("1;31", "BROKEN"));
    }

    /// Does something that takes a while, and says how long it took.
    pub(crate) fn during<T>(&self, what: &str, work: impl FnOnce() -> T) -> T {
        print!("   {what} … ");
        // A terminal that cannot be flushed shows the line a little later.
        let _ = io::stdout().flush();
        let start = Instant::now();
        let result = work();
        println!(
            "{}",
            self.paint("2", &format!("{:.1} s", start.elapsed().as_secs_f64()))
        );
        result
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
