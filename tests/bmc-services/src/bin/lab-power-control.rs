//! `lab-power-control`: stands in for OpenBMC's chassis state service in the lab.

use bmc_services::options::Options;
use bmc_services::power_control;
use clap::Parser;

/// Shows and switches the power of the emulated chassis's host, under the D-Bus name of OpenBMC's chassis state
#[derive(Debug, Parser)]
#[command(version)]
struct CommandLine {
    #[command(flatten)]
    options: Options,
    /// Number of the chassis in the D-Bus name and path
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    chassis: u8,
}

fn main() -> anyhow::Result<()> {
    let command_line = CommandLine::parse();
    match power_control::run(&command_line.options, command_line.chassis)? {}
}
