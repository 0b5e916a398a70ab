//! Prints bmc-ha's numbers next to those of its peers, measured in the same run on the same lab.

mod cpg;
mod failover;
mod inside;
mod monitors;
mod programs;
mod replication;
mod sizes;
mod stats;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use lab::{Lab, Node, Options, Provision};

/// Name of the benchmark's lab.
const LAB: &str = "bench";
/// File name of this program.
const OWN_NAME: &str = "bench";
/// File name of the program that does nothing.
const HELLO_WORLD: &str = "hello-world";

/// Prints bmc-ha's numbers next to those of its peers. Ratios within one run mean something; absolute times are
/// those of this machine.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  scripts/bench\n  scripts/bench monitors\n  scripts/bench failover --rounds 3"
)]
struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Clone, Subcommand)]
enum Part {
    /// One monitor of each agent, next to ocf:pacemaker:Stateful and a hello world.
    Monitors {
        /// How often each is run.
        #[arg(long, default_value_t = 300)]
        count: u32,
    },
    /// Changes, bursts and full syncs, next to rsync per event over stunnel and to lsyncd; and the bridge's memory.
    Replication {
        /// How many changes of 1 KiB.
        #[arg(long, default_value_t = 300)]
        count: u32,
        /// A little of everything, to see that it works.
        #[arg(long)]
        quick: bool,
        /// Only the cases whose name contains this, as they are named in the table.
        #[arg(long, default_value = "")]
        only: String,
    },
    /// The Active's power cut, next to stock Pacemaker moving one address without fencing.
    Failover {
        /// How many power cuts per token timeout.
        #[arg(long, default_value_t = 3)]
        rounds: u32,
    },
    /// Size of the programs on flash.
    Sizes,
}

#[derive(Debug, Subcommand)]
enum What {
    #[command(flatten)]
    Part(Part),
    /// What runs inside a BMC; started by the other parts.
    #[command(subcommand, hide = true)]
    Inside(Inside),
}

#[derive(Debug, Subcommand)]
enum Inside {
    /// Runs the commands given as JSON on standard input.
    Cases {
        #[arg(long)]
        count: u32,
    },
    /// Writes a setting for each name on standard input.
    WriteSettings {
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        size: usize,
    },
    /// Prints when settings become visible.
    WatchSettings {
        #[arg(long)]
        folder: PathBuf,
    },
    /// Makes many files.
    Fill {
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        first: u32,
        #[arg(long)]
        end: u32,
        #[arg(long)]
        size: usize,
    },
    /// Changes one page of the file of each name on standard input.
    ChangePage {
        #[arg(long)]
        folder: PathBuf,
    },
    /// Times durable writes.
    WriteDurably {
        #[arg(long)]
        count: u32,
        #[arg(long)]
        size: usize,
    },
    /// Runs a command for each event in a folder.
    SyncEach {
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        target: String,
        #[arg(last = true)]
        argv: Vec<String>,
    },
    /// Times a command.
    Time {
        #[arg(last = true)]
        argv: Vec<String>,
    },
    /// Answers each CPG message.
    CpgEcho,
    /// Times CPG round trips.
    CpgPing {
        #[arg(long)]
        count: u32,
        #[arg(long)]
        size: usize,
        /// Whether Corosync's token comes to rest before each.
        #[arg(long)]
        at_rest: bool,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().what {
        None => all(),
        Some(What::Part(part)) => one(part),
        Some(What::Inside(inside)) => run_inside(&inside),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn all() -> Result<()> {
    lab::clear_when_interrupted(&[LAB])?;
    sizes::programs()?;
    with_lab(|lab, active| {
        monitors::run(lab, active, 300)?;
        replication::run(lab, active, replication::Plan::whole(300), "")
    })?;
    failover::run(3)
}

fn one(part: Part) -> Result<()> {
    lab::clear_when_interrupted(&[LAB])?;
    match part {
        Part::Monitors { count } => with_lab(|lab, active| monitors::run(lab, active, count)),
        Part::Replication { count, quick, only } => {
            let plan = match quick {
                true => replication::Plan::QUICK,
                false => replication::Plan::whole(count),
            };
            with_lab(|lab, active| replication::run(lab, active, plan, &only))
        }
        Part::Failover { rounds } => failover::run(rounds),
        Part::Sizes => sizes::programs(),
    }
}

/// A provisioned lab at rest; taken down at the end.
fn with_lab(measure: impl FnOnce(&Lab, Node) -> Result<()>) -> Result<()> {
    eprintln!("bench: booting and provisioning two BMCs");
    let lab = Lab::up(&Options::named(LAB)?)?;
    lab.provision(&Provision::default())?;
    for name in [OWN_NAME, HELLO_WORLD] {
        programs::install(&lab, name)?;
    }
    let active = lab.settle()?;
    measure(&lab, active)?;
    Ok(lab.down()?)
}

fn run_inside(inside: &Inside) -> Result<()> {
    match inside {
        Inside::Cases { count } => inside::run_cases(*count),
        Inside::WriteSettings { folder, size } => inside::write_settings(folder, *size),
        Inside::WatchSettings { folder } => inside::watch_settings(folder),
        Inside::Fill {
            folder,
            first,
            end,
            size,
        } => inside::fill(folder, *first, *end, *size),
        Inside::ChangePage { folder } => inside::change_page(folder),
        Inside::WriteDurably { count, size } => inside::write_durably(*count, *size),
        Inside::SyncEach { folder, target, argv } => inside::sync_each(folder, target, argv),
        Inside::Time { argv } => inside::time(argv),
        Inside::CpgEcho => cpg::echo(),
        Inside::CpgPing { count, size, at_rest } => cpg::ping(*count, *size, *at_rest),
    }
}
