//! `bmc-ha sync conflicts`: versions of this BMC that lost against another's and were kept aside.

mod restore;

use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::Context;
use bmc_replication::conflicts::{Conflict, ConflictDirectory};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::Format;
use crate::exit::{Exit, UsageError};
use crate::terminal::{Paint, print, print_json};

pub(super) const EXAMPLES: &str = "\
Examples:
  bmc-ha sync conflicts list
  bmc-ha sync conflicts show 3
  bmc-ha sync conflicts show 3 --content | diff /etc/users/shadow -
  bmc-ha sync conflicts restore 3";

/// What it is about, for those who ask for help.
pub(super) const ABOUT: &str = "\
Where settings travel both ways, two BMCs may change the same path before they hear of each other. The Active's \
version counts then; the other is kept on the BMC on which it was made, up to 64 versions and 16 MiB, the oldest \
going first.";

const LIST_EXAMPLES: &str = "\
Examples:
  bmc-ha sync conflicts list
  bmc-ha --output json sync conflicts list | jq -r '.[].path'";

const SHOW_EXAMPLES: &str = "\
Examples:
  bmc-ha sync conflicts show 3
  bmc-ha sync conflicts show 3 --content > version-that-lost";

const RESTORE_EXAMPLES: &str = "\
Examples:
  bmc-ha sync conflicts restore 3";

const DROP_EXAMPLES: &str = "\
Examples:
  bmc-ha sync conflicts drop 3
  bmc-ha sync conflicts drop --all";

/// Which conflicts, and what to do with them.
#[derive(Debug, Args)]
pub(crate) struct ConflictsArgs {
    /// What to do.
    #[command(subcommand)]
    command: ConflictsCommand,
    /// The bridge's directory for what survives a reboot.
    #[arg(long, global = true, value_name = "DIR", default_value = "/var/lib/bmc-ha")]
    state_dir: PathBuf,
}

/// What to do with them.
#[derive(Debug, Subcommand)]
enum ConflictsCommand {
    /// List the versions that were kept, the oldest first.
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Show what is known of one, or its content.
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// Its number in the list.
        number: u64,
        /// Write what the file held, or where the link pointed, as it was.
        #[arg(long)]
        content: bool,
    },
    /// Put one back in its place and forget it. From there it travels as any change that is made on this BMC.
    #[command(after_help = RESTORE_EXAMPLES)]
    Restore {
        /// Its number in the list.
        number: u64,
    },
    /// Forget one, or all.
    #[command(after_help = DROP_EXAMPLES)]
    Drop {
        /// Its number in the list.
        #[arg(required_unless_present = "all")]
        number: Option<u64>,
        /// All of them.
        #[arg(long, conflicts_with = "number")]
        all: bool,
    },
}

/// Does it.
pub(super) fn run(arguments: &ConflictsArgs, format: Format) -> anyhow::Result<Exit> {
    let directory = ConflictDirectory::new(&arguments.state_dir);
    match &arguments.command {
        ConflictsCommand::List => list(&directory.list()?, format)?,
        ConflictsCommand::Show { number, content } => {
            let conflict = find(&directory, *number)?;
            if *content {
                copy_content(&conflict)?;
            } else {
                show(&conflict, format)?;
            }
        }
        ConflictsCommand::Restore { number } => {
            let conflict = find(&directory, *number)?;
            restore::restore(&conflict, directory.xattrs(&conflict)?)?;
            directory.drop_one(*number)?;
            let path = about(&conflict, "path");
            match format {
                Format::Json => print_json(&json!({"result": "restored", "path": path}))?,
                Format::Text => print(&format!("restored {path}\n"))?,
            }
        }
        ConflictsCommand::Drop { number, .. } => {
            let dropped = match number {
                Some(number) => vec![find(&directory, *number)?.number],
                None => directory.list()?.iter().map(|conflict| conflict.number).collect(),
            };
            dropped
                .iter()
                .try_for_each(|number| directory.drop_one(*number))?;
            match format {
                Format::Json => print_json(&json!({"result": "dropped", "numbers": dropped}))?,
                Format::Text => print(&format!("dropped {}\n", dropped.len()))?,
            }
        }
    }
    Ok(Exit::Done)
}

fn find(directory: &ConflictDirectory, number: u64) -> anyhow::Result<Conflict> {
    let found = directory
        .list()?
        .into_iter()
        .find(|conflict| conflict.number == number);
    found.ok_or_else(|| {
        UsageError::new(format!(
            "no version {number} is kept; see bmc-ha sync conflicts list"
        ))
        .into()
    })
}

fn about<'a>(conflict: &'a Conflict, name: &str) -> &'a str {
    conflict.about.get(name).map_or("-", String::as_str)
}

fn list(conflicts: &[Conflict], format: Format) -> io::Result<()> {
    if format == Format::Json {
        return print_json(&conflicts.iter().map(as_json).collect::<Vec<_>>());
    }
    if conflicts.is_empty() {
        return print("no version is kept aside\n");
    }
    let mut rows = vec![["number", "path", "kind", "node", "why"].map(str::to_owned)];
    rows.extend(conflicts.iter().map(|conflict| {
        let [path, kind, node, why] =
            ["path", "kind", "node", "why"].map(|name| about(conflict, name).to_owned());
        [conflict.number.to_string(), path, kind, node, why]
    }));
    print(&(Paint::for_stdout().table(rows).join("\n") + "\n"))
}

fn show(conflict: &Conflict, format: Format) -> io::Result<()> {
    if format == Format::Json {
        return print_json(&as_json(conflict));
    }
    let lines = conflict
        .about
        .iter()
        .map(|(name, value)| format!("  {name:<8}{value}\n"));
    print(&lines.collect::<String>())
}

fn as_json(conflict: &Conflict) -> Value {
    let mut value = json!(conflict.about);
    value["number"] = conflict.number.into();
    value
}

fn copy_content(conflict: &Conflict) -> anyhow::Result<()> {
    let kept = conflict.content.as_ref();
    let kept = kept.ok_or_else(|| UsageError::new(format!("version {} has no content", conflict.number)))?;
    let mut file = fs::File::open(kept).with_context(|| format!("read {}", kept.display()))?;
    io::copy(&mut file, &mut io::stdout())?;
    Ok(())
}
