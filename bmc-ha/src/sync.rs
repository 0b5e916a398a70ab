//! `bmc-ha sync`: the replication of the settings, by the word of the bridge on this BMC.

mod status;

use clap::Subcommand;

use crate::cli::Format;
use crate::exit::Exit;

const STATUS_EXAMPLES: &str = "\
Examples:
  bmc-ha sync status
  bmc-ha --output json sync status | jq '.members[] | {name, lag_ms}'";

/// What to do with the settings.
#[derive(Debug, Subcommand)]
pub(crate) enum SyncCommand {
    /// Show how new each BMC's copy is, what is on its way, and what keeps settings from being replicated.
    #[command(after_help = STATUS_EXAMPLES)]
    Status,
}

/// Does it.
pub(crate) fn run(command: &SyncCommand, format: Format) -> anyhow::Result<Exit> {
    match command {
        SyncCommand::Status => status::run(format),
    }
}
