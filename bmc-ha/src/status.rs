//! `bmc-ha status`: what the pair is doing, and what keeps a BMC from taking over.

mod candidate;
mod fencing;
#[cfg(test)]
pub(crate) mod fixtures;
mod judge;
mod observed;
pub(crate) mod reason;
pub(crate) mod report;
mod text;

pub(crate) use fencing::reasons as fencing_reasons;
pub(crate) use judge::report as judge;
pub(crate) use observed::Observed;
pub(crate) use text::sync_word;

use crate::cli::Format;
use crate::exit::Exit;
use crate::terminal::{Paint, print, print_json};

/// Looks, judges and prints.
pub(crate) fn run(format: Format) -> anyhow::Result<Exit> {
    let report = judge(&Observed::now());
    match format {
        Format::Json => print_json(&report)?,
        Format::Text => print(&text::render(&report, Paint::for_stdout()))?,
    }
    Ok(if report.healthy {
        Exit::Done
    } else {
        Exit::Degraded
    })
}
