//! `bmc-ha sync`: the replication of the settings, by the word of the bridge on this BMC.

mod check;
mod conflicts;
mod flush;
mod follow;
mod full;
mod gauge;
mod schema;
mod source;
mod status;
mod switch;

use bmc_bridge_control::Command;
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
    /// Make sure that what was written before this command is durable on every BMC that is there.
    #[command(after_help = flush::EXAMPLES)]
    Flush(flush::FlushArgs),
    /// Look at everything again, compare with every BMC that is there and send what differs.
    #[command(after_help = full::EXAMPLES)]
    Full(full::FullArgs),
    /// Send nothing until resumed. Ends also with the Active's bridge and when another BMC becomes the Active.
    #[command(after_help = switch::PAUSE_EXAMPLES)]
    Pause,
    /// End a pause and send what changed meanwhile.
    #[command(after_help = switch::RESUME_EXAMPLES)]
    Resume,
    /// Send nothing until enabled, whatever restarts and whoever is the Active.
    #[command(after_help = switch::DISABLE_EXAMPLES)]
    Disable,
    /// End that and send what changed meanwhile.
    #[command(after_help = switch::ENABLE_EXAMPLES)]
    Enable,
    /// Versions of this BMC that lost against another's and were kept aside: list, show, restore or drop them.
    #[command(before_long_help = conflicts::ABOUT, after_help = conflicts::EXAMPLES)]
    Conflicts(conflicts::ConflictsArgs),
    /// Check lists of what is replicated, and explain what is wrong with them; exit status 2 when something is.
    #[command(after_help = check::EXAMPLES)]
    Check(check::CheckArgs),
    /// Print the JSON Schema of the lists, for editors and for the build of a firmware image.
    #[command(after_help = schema::EXAMPLES)]
    Schema,
}

/// Does it.
pub(crate) fn run(command: &SyncCommand, format: Format) -> anyhow::Result<Exit> {
    match command {
        SyncCommand::Status => status::run(format),
        SyncCommand::Flush(arguments) => flush::run(arguments, format),
        SyncCommand::Full(arguments) => full::run(arguments, format),
        SyncCommand::Pause => switch::run(Command::Pause, format),
        SyncCommand::Resume => switch::run(Command::Resume, format),
        SyncCommand::Disable => switch::run(Command::Disable, format),
        SyncCommand::Enable => switch::run(Command::Enable, format),
        SyncCommand::Conflicts(arguments) => conflicts::run(arguments, format),
        SyncCommand::Check(arguments) => check::run(arguments, format),
        SyncCommand::Schema => schema::run(),
    }
}
