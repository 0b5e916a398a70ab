//! `bmc-ha sync check`: are these lists good? Explained as a compiler does.

use std::path::{Path, PathBuf};

use bmc_bridge_control::{DEFAULT_CONFIG_DIR, DEFAULT_RUN_DIR, DEFAULT_STATE_DIR};
use bmc_sync_config::{ConfigError, MOST_TOLD, Part, Refused, SyncConfig};
use clap::Args;
use serde_json::json;

use crate::cli::Format;
use crate::exit::Exit;
use crate::terminal::{Paint, Tone, print, print_json};

pub(crate) const EXAMPLES: &str = "\
Examples:
  What the bridge would read when it is restarted:
    bmc-ha sync check

  Lists that are not installed yet, together with those that are:
    bmc-ha sync check board.json /etc/bmc-ha/data-sync.d

  The mistakes for an editor:
    bmc-ha --output json sync check board.json | jq -r '.problems[] | \"\\(.file):\\(.line):\\(.column): \\(.message)\"'";

/// Which lists.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Files, and directories with *.json files in them; together they are one configuration. Without any,
    /// /etc/bmc-ha/data-sync.d.
    #[arg(value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
}

/// Checks files and directories as one configuration; without any, what is installed.
pub(crate) fn run(arguments: &CheckArgs, format: Format) -> anyhow::Result<Exit> {
    let installed = [PathBuf::from(DEFAULT_CONFIG_DIR)];
    let paths = match arguments.paths.as_slice() {
        [] => &installed,
        paths => paths,
    };
    let own = [DEFAULT_STATE_DIR, DEFAULT_RUN_DIR].map(Path::new);
    match SyncConfig::load(paths, &own) {
        Ok(config) => {
            let entries = config.entries().len();
            match format {
                Format::Json => print_json(&json!({"result": "good", "entries": entries}))?,
                Format::Text => print(&format!("good, {entries} entries\n"))?,
            }
            Ok(Exit::Done)
        }
        Err(ConfigError::Refused(refused)) => {
            match format {
                Format::Json => print_json(&json!({"result": "refused", "problems": refused.problems}))?,
                Format::Text => print(&explain(&refused, Paint::for_stdout()))?,
            }
            Ok(Exit::Usage)
        }
        Err(error) => Err(error.into()),
    }
}

fn explain(refused: &Refused, paint: Paint) -> String {
    let colour = |part, text: &str| match part {
        Part::Error | Part::Underline => paint.paint(Tone::Bad, text),
        Part::Message | Part::Hint => paint.paint(Tone::Strong, text),
        Part::Frame => text.to_owned(),
    };
    let explained = refused
        .problems
        .iter()
        .map(|problem| problem.explain(colour) + "\n");
    let mistakes = match refused.problems.len() {
        1 => "1 mistake".to_owned(),
        MOST_TOLD => format!("{MOST_TOLD} mistakes, and maybe more"),
        several => format!("{several} mistakes"),
    };
    explained.collect::<String>() + &mistakes + "\n"
}
