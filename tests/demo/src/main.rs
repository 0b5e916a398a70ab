//! The demo: two BMCs on one chassis, provisioned, switched over, one of them cut off, and the verdict.

mod screen;
mod settings;
mod story;
mod verdict;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use lab::{Lab, Options};

use screen::Screen;
use story::Story;

/// Two real BMC containers on one emulated chassis: provisioned with pcs, switched over, the Active cut off.
#[derive(Debug, Parser)]
#[command(
    after_help = "Exit status: 0 all invariants held, 1 something failed.\n\nExamples:\n  scripts/demo\n  scripts/demo --keep --token 300"
)]
struct Arguments {
    /// Leave the lab up at the end and print how to enter it.
    #[arg(long)]
    keep: bool,
    /// Corosync's token timeout in milliseconds: how long a silence is before a BMC counts as lost.
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    token: u64,
    /// Name of the lab; labs of different names stand side by side.
    #[arg(long, default_value = "demo")]
    name: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match demo(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Tells the story; true when every invariant held.
fn demo(arguments: &Arguments) -> anyhow::Result<bool> {
    let mut screen = Screen::new();
    screen.chapter("Two BMCs, one chassis");
    screen.say("Two containers with systemd, D-Bus, corosync, pacemaker and pcs, on two network links,");
    screen.say("share one emulated chassis: a mux, four fans, the host's power, and a reset line each way.");
    let options = Options::named(&arguments.name)?;
    lab::clear_when_interrupted(&[&arguments.name])?;
    let mut lab = screen.during("booting both BMCs", || Lab::up(&options))?;
    let told = Story::new(&lab, &mut screen, Duration::from_millis(arguments.token)).tell();
    if told.is_err() {
        eprintln!("{}", lab.diagnosis());
    }
    if arguments.keep {
        lab.keep()?;
        how_to_enter(&screen, &arguments.name);
    } else {
        screen.during("taking the lab down", || lab.down())?;
    }
    told
}

fn how_to_enter(screen: &Screen, name: &str) {
    let program = std::env::current_exe().map(|path| path.with_file_name("lab").display().to_string());
    let program = program.unwrap_or_else(|_| "lab".into());
    screen.say("");
    screen.say("The lab stays up:");
    screen.output(&format!(
        "  {program} shell --name {name} bmc0          # a shell in a BMC\n  \
           {program} cut-power --name {name} bmc1      # see what happens\n  \
           {program} log --name {name} --follow        # what the chassis sees\n  \
           {program} down --name {name}                # take it down"
    ));
}
