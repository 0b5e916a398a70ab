//! `lab-fan-control`: stands in for OpenBMC's fan control in the lab.

use bmc_services::fan_control;
use bmc_services::options::Options;
use clap::Parser;

/// Controls the fans of the emulated chassis, under the D-Bus name of OpenBMC's fan control
#[derive(Debug, Parser)]
#[command(version)]
struct CommandLine {
    #[command(flatten)]
    options: Options,
}

fn main() -> anyhow::Result<()> {
    match fan_control::run(&CommandLine::parse().options)? {}
}
