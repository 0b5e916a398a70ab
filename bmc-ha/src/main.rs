//! `bmc-ha`: provision a pair of BMCs, look at it, switch it, keep its settings together.

mod bridge;
mod cli;
mod cluster;
mod documents;
mod exit;
mod failover;
mod mux;
mod provision;
mod status;
mod sync;
mod template;
mod terminal;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use exit::Exit;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(exit) => exit.into(),
        // Whoever reads the answer has seen enough, as in `bmc-ha status | head -1`.
        Err(error) if is_broken_pipe(&error) => Exit::Done.into(),
        Err(error) => {
            eprintln!("bmc-ha: {}", sentence(&error));
            Exit::of(&error).into()
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<Exit> {
    match &cli.command {
        Command::Provision(arguments) => provision::run(arguments, cli.output),
        Command::Status => status::run(cli.output),
        Command::Failover(arguments) => failover::run(arguments, cli.output),
        Command::Sync { command } => sync::run(command, cli.output),
        Command::Template { command } => template::run(command, cli.output),
        Command::Completion { shell } => Ok(documents::completion(*shell)),
        Command::Man { out } => Ok(documents::man(out)?),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// An error and its causes, without those that a message before them already told.
fn sentence(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |said, cause| {
        let cause = cause.to_string();
        match said.as_str() {
            "" => cause,
            text if text.contains(&cause) => said,
            _ => format!("{said}: {cause}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let cause = io::Error::other("no space");
        let error = anyhow::Error::new(cause)
            .context("write a: no space")
            .context("apply");
        assert_eq!(sentence(&error), "apply: write a: no space");
    }
}
