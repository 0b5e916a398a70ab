//! `bmc-ha sync full`: compares everything again.

use std::time::Duration;

use bmc_bridge_control::Command;
use clap::Args;

use super::follow::{Answer, End, follow};
use super::source::{Source, find_source};
use crate::cli::{Format, seconds};
use crate::exit::Exit;
use crate::terminal::{Paint, Tone, print, print_json, print_refusal};

pub(super) const EXAMPLES: &str = "\
Examples:
  Compare everything again, and watch:
    bmc-ha sync full --wait

  The same for a program, with how far it is in a file:
    bmc-ha --output json sync full --wait 2> progress";

/// How to synchronise.
#[derive(Debug, Args)]
pub(crate) struct FullArgs {
    /// Show how far it is on standard error, and return once every BMC that is there has everything durably.
    /// Without it, return as soon as the bridge has taken the request.
    #[arg(long)]
    wait: bool,
    /// Give up waiting after this many seconds; the bridge goes on.
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = seconds)]
    timeout: Duration,
}

/// Asks the bridge, waits for it when that is wanted, and prints.
pub(super) fn run(arguments: &FullArgs, format: Format) -> anyhow::Result<Exit> {
    let client = match find_source()? {
        Source::Here { client, .. } => client,
        Source::Elsewhere(reason) => {
            print_refusal(format, "to synchronise", &[reason])?;
            return Ok(Exit::Refused);
        }
    };
    let answer = follow(client, Command::FullSync, arguments.wait, arguments.timeout)?;
    match format {
        Format::Json => print_json(&answer)?,
        Format::Text => print(&render(&answer, Paint::for_stdout()))?,
    }
    Ok(Exit::Done)
}

fn render(answer: &Answer, paint: Paint) -> String {
    let siblings = answer.siblings.join(" and ");
    let line = match answer.result {
        End::Asked => {
            "the bridge compares everything again; bmc-ha sync status shows how far it is".to_owned()
        }
        End::Done if siblings.is_empty() => {
            paint.paint(Tone::Doubtful, "there is no sibling to compare with")
        }
        End::Done => {
            let duration = answer.duration_ms;
            paint.paint(Tone::Good, format!("{siblings} has everything: {duration} ms"))
        }
    };
    format!("{line}\n")
}
