//! `chassis-sim`: runs the emulated chassis, and lets people and scripts ask it things.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use chassis_sim::config::Config;
use chassis_sim::{ctl, server, verdict};
use clap::{Args, Parser, Subcommand};

/// The emulated chassis that two lab BMCs share.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_required = false)]
struct CommandLine {
    #[command(flatten)]
    run: RunOptions,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct RunOptions {
    /// Run the chassis that this JSON file describes, until SIGTERM
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask a running chassis, or do something to it
    Ctl(ctl::Options),
    /// Judge an event log by the first two invariants; exit status 1 when one is broken
    Verdict(verdict::Options),
}

fn main() -> ExitCode {
    match act(CommandLine::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("chassis-sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(command_line: CommandLine) -> anyhow::Result<ExitCode> {
    match command_line.command {
        Some(Command::Ctl(options)) => ctl::run(&options)?,
        Some(Command::Verdict(options)) => return verdict::run(&options),
        None => {
            let path = command_line.run.config.context("--config is missing")?;
            server::run(&Config::load(&path)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
