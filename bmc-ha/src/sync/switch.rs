//! `bmc-ha sync pause`, `resume`, `disable` and `enable`: whether changes travel at all.

use std::time::Duration;

use bmc_bridge_control::{Command, Switch};

use super::source::{Source, find_source};
use crate::cli::Format;
use crate::exit::Exit;
use crate::terminal::{print, print_json, print_refusal};

pub(super) const PAUSE_EXAMPLES: &str = "\
Examples:
  Hold changes back while many files are rewritten, and send the outcome:
    bmc-ha sync pause && rewrite-everything; bmc-ha sync resume";

pub(super) const RESUME_EXAMPLES: &str = "\
Examples:
  bmc-ha sync resume";

pub(super) const DISABLE_EXAMPLES: &str = "\
Examples:
  bmc-ha sync disable";

pub(super) const ENABLE_EXAMPLES: &str = "\
Examples:
  bmc-ha sync enable && bmc-ha sync flush --wait";

/// How long the siblings may take to put the switch on disk.
const DEADLINE: Duration = Duration::from_secs(10);

/// Throws the switch and prints how it stands.
pub(super) fn run(command: Command, format: Format) -> anyhow::Result<Exit> {
    let mut client = match find_source()? {
        Source::Here { client, .. } => client,
        Source::Elsewhere(reason) => {
            print_refusal(format, "to switch replication", &[reason])?;
            return Ok(Exit::Refused);
        }
    };
    client.run(command, DEADLINE)?;
    let switch = client.status(crate::bridge::STATUS_DEADLINE)?.switch;
    match format {
        Format::Json => print_json(&serde_json::json!({"switch": switch}))?,
        Format::Text => print(&format!("replication is {}\n", explain(switch)))?,
    }
    Ok(Exit::Done)
}

/// How it stands, and what ends it.
pub(super) fn explain(switch: Switch) -> &'static str {
    match switch {
        Switch::On => "on",
        Switch::Paused => {
            "paused, until bmc-ha sync resume, a restart of the Active's bridge or another BMC becoming the Active"
        }
        Switch::Disabled => "disabled, until bmc-ha sync enable",
    }
}
