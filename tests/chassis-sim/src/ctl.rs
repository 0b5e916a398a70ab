//! `chassis-sim ctl`: a running chassis at the command line.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand, ValueEnum};

use crate::client::{Client, Subscription};
use crate::messages::{Record, Request, Slot, State};

/// How long the past of a log may keep us waiting: it is all there already.
const PAST_DEADLINE: Duration = Duration::from_secs(5);
/// Following has no end; this is only how long one wait lasts.
const FOLLOW_WAIT: Duration = Duration::from_secs(3600);

/// Options of `ctl`.
#[derive(Debug, Parser)]
pub struct Options {
    /// The chassis's control socket
    #[arg(long, value_name = "SOCKET")]
    socket: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the state
    State,
    /// Switch a BMC's own power
    Power {
        /// bmc0 or bmc1
        #[arg(value_parser = parse_slot)]
        bmc: Slot,
        /// on or off
        power: OnOff,
    },
    /// Take the mux away from its holder, as a fault would
    SeizeMux,
    /// Set the heat that the host gives off
    Load {
        /// Watts, at most 400
        watts: u32,
    },
    /// Write a word into the event log
    Mark {
        /// The word
        text: String,
    },
    /// Show the event log
    Log {
        /// Go on with what comes
        #[arg(long)]
        follow: bool,
        /// First record shown
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        from: u64,
    },
    /// Stop both BMCs, unmount, and end the chassis
    Shutdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnOff {
    On,
    Off,
}

fn parse_slot(text: &str) -> Result<Slot, String> {
    match text.strip_prefix("bmc").unwrap_or(text) {
        "0" => Ok(0),
        "1" => Ok(1),
        _ => Err("expected bmc0 or bmc1".into()),
    }
}

/// Does what the options ask for, with results on standard output.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let request = match &options.action {
        Action::State => {
            print_state(&Client::connect(&options.socket)?.state()?)?;
            return Ok(());
        }
        Action::Log { follow, from } => return print_log(options, *from, *follow),
        Action::Power { bmc, power } => Request::Power {
            bmc: *bmc,
            on: *power == OnOff::On,
        },
        Action::SeizeMux => Request::SeizeMux,
        Action::Load { watts } => Request::Load { watts: *watts },
        Action::Mark { text } => Request::Mark { text: text.clone() },
        Action::Shutdown => Request::Shutdown,
    };
    Client::connect(&options.socket)?.perform(&request)?;
    Ok(())
}

fn print_state(state: &State) -> io::Result<()> {
    let holder = |slot: Option<Slot>| slot.map_or("nobody".into(), |slot| format!("bmc{slot}"));
    let mut out = io::stdout().lock();
    writeln!(out, "mux         {}", holder(state.mux_holder))?;
    writeln!(out, "fence lock  {}", holder(state.fence_lock))?;
    writeln!(out, "host power  {}", if state.host_power { "on" } else { "off" })?;
    writeln!(
        out,
        "temperature {} (highest {})",
        celsius(state.millidegrees),
        celsius(state.highest_millidegrees)
    )?;
    for (fan, (duty, rpm)) in (1..).zip(state.duty.iter().zip(state.rpm)) {
        writeln!(out, "fan {fan}       duty {duty:3}, {rpm} RPM")?;
    }
    for (slot, bmc) in state.bmcs.iter().enumerate() {
        let power = if bmc.powered { "powered" } else { "no power" };
        let reset = if bmc.in_reset { ", in reset" } else { "" };
        let pid = bmc.pid.map_or(String::new(), |pid| format!(", PID 1 is {pid}"));
        writeln!(out, "bmc{slot}        {power}{reset}{pid}")?;
    }
    Ok(())
}

fn celsius(millidegrees: i64) -> String {
    format!("{}.{} °C", millidegrees / 1000, millidegrees % 1000 / 100)
}

fn print_log(options: &Options, from: u64, follow: bool) -> anyhow::Result<()> {
    let end = Client::connect(&options.socket)?.state()?.next_record;
    let mut log = Subscription::open(&options.socket, from)?;
    let mut shown = from;
    while follow || shown < end {
        let wait = if follow { FOLLOW_WAIT } else { PAST_DEADLINE };
        if let Some(record) = log.next(Instant::now() + wait)? {
            print_record(&record)?;
            shown = record.number + 1;
        } else if !follow {
            anyhow::bail!("read the log: record {shown} of {end} did not come");
        }
    }
    Ok(())
}

fn print_record(record: &Record) -> anyhow::Result<()> {
    let seconds = Duration::from_micros(record.at_us).as_secs_f64();
    let event = serde_json::to_string(&record.event)?;
    writeln!(io::stdout().lock(), "{:6} {seconds:14.6} {event}", record.number)?;
    Ok(())
}
