//! `bmc-ha sync flush`: saved on both, or not.

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
  Say \"saved on both\" only when it is true:
    bmc-ha sync flush --wait --require-sibling

  Give up after five seconds:
    bmc-ha sync flush --wait --timeout 5";

/// How to flush.
#[derive(Debug, Args)]
pub(crate) struct FlushArgs {
    /// Return once everything that was written before this command is durable on every BMC that is there.
    /// Without it, return as soon as the bridge has taken the request.
    #[arg(long)]
    wait: bool,
    /// End with status 4 when there was no sibling: everything is durable here then, and nowhere else.
    #[arg(long, requires = "wait")]
    require_sibling: bool,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    timeout: Duration,
}

/// Asks the bridge, waits for it when that is wanted, and prints.
pub(super) fn run(arguments: &FlushArgs, format: Format) -> anyhow::Result<Exit> {
    let (client, local) = match find_source()? {
        Source::Here { client, local } => (client, local),
        Source::Elsewhere(reason) => {
            print_refusal(format, "to flush", &[reason])?;
            return Ok(Exit::Refused);
        }
    };
    let answer = follow(client, Command::Flush, arguments.wait, arguments.timeout)?;
    match format {
        Format::Json => print_json(&answer)?,
        Format::Text => print(&render(&answer, &local, Paint::for_stdout()))?,
    }
    let lacks_sibling = arguments.require_sibling && answer.siblings.is_empty();
    Ok(if lacks_sibling { Exit::Degraded } else { Exit::Done })
}

fn render(answer: &Answer, local: &str, paint: Paint) -> String {
    let siblings = answer.siblings.join(" and ");
    let line = match answer.result {
        End::Asked => "the bridge flushes; with --wait, this command returns when it is done".to_owned(),
        End::Done if siblings.is_empty() => paint.paint(
            Tone::Doubtful,
            format!("saved on {local} only: there is no sibling to save it on"),
        ),
        End::Done => paint.paint(Tone::Good, format!("saved on {local} and {siblings}")),
    };
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_on_both_is_said_of_those_who_have_it_and_of_nobody_else() {
        let text = |siblings: &[&str]| {
            let answer = Answer {
                result: End::Done,
                siblings: siblings.iter().map(|&name| name.to_owned()).collect(),
                duration_ms: 3,
            };
            render(&answer, "bmc0", Paint::plain())
        };
        assert_eq!(text(&["bmc1"]), "saved on bmc0 and bmc1\n");
        assert_eq!(text(&["bmc1", "bmc2"]), "saved on bmc0 and bmc1 and bmc2\n");
        assert_eq!(
            text(&[]),
            "saved on bmc0 only: there is no sibling to save it on\n"
        );
    }
}
