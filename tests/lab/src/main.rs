//! The lab by hand: two BMCs to look into, to provision, and to cut the power of.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use lab::{Lab, LabError, Layout, Network, Node, Options, Policy, Provision, Result, Subnet};

/// Two real BMC containers on one emulated chassis
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
    /// Name of the lab; labs of different names stand side by side
    #[arg(long, global = true, default_value = "lab")]
    name: String,
}

const EXAMPLES: &str = "\
Examples:
  lab up && lab provision && lab status
  lab exec bmc0 pcs status
  lab shell bmc1
  lab cut-power bmc0
  lab log --follow
  lab down

Needs root. What a lab made is on record under /run/bmc-ha-lab; lab down removes all of it.";

#[derive(Debug, Subcommand)]
enum Action {
    /// Boot both BMCs
    Up {
        /// Folder with the built programs [default: that of this program]
        #[arg(long)]
        bin_dir: Option<PathBuf>,
        /// Subnet of each link; give it twice. They stay inside the lab's own namespaces
        #[arg(long, num_args = 1)]
        subnet: Vec<Subnet>,
        /// Leave both BMCs off
        #[arg(long)]
        powered_off: bool,
    },
    /// Make a cluster of both BMCs
    Provision {
        /// Corosync's token timeout, in milliseconds
        #[arg(long, default_value_t = 1000)]
        token: u64,
        /// Only act on a wish: nobody takes over by himself
        #[arg(long)]
        external: bool,
    },
    /// Remove the lab and all that it made
    Down,
    /// Run a command in a BMC
    Exec {
        /// bmc0 or bmc1
        node: Node,
        /// The command
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        argv: Vec<String>,
    },
    /// Enter a BMC
    Shell {
        /// bmc0 or bmc1
        node: Node,
    },
    /// Cut a BMC's power without warning
    CutPower {
        /// bmc0 or bmc1
        node: Node,
    },
    /// Give a BMC power
    PowerOn {
        /// bmc0 or bmc1
        node: Node,
    },
    /// Show chassis and cluster
    Status,
    /// Wait until both BMCs are online, one is the Active, and the other is in sync
    Settle,
    /// Show the chassis's event log
    Log {
        /// Go on with what comes
        #[arg(long)]
        follow: bool,
    },
    /// List the labs of this machine
    List,
    /// Put one question to a bridge; runs inside a BMC's PID namespace
    #[command(hide = true)]
    AskBridge {
        /// Control socket of the bridge
        socket: PathBuf,
        /// The command, as on the socket
        command: String,
        /// Deadline in milliseconds
        within: u64,
    },
    /// Become the container of a BMC; the chassis runs this
    #[command(hide = true)]
    Boot {
        /// bmc0 or bmc1
        node: Node,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let name = arguments.name.as_str();
    match &arguments.command {
        Action::Up {
            bin_dir,
            subnet,
            powered_off,
        } => up(name, bin_dir.as_ref(), subnet, *powered_off)?,
        Action::Provision { token, external } => return provision(name, *token, *external),
        Action::Down => Lab::clear(name)?,
        Action::Exec { node, argv } => return exec(name, *node, argv),
        Action::Shell { node } => return exec(name, *node, &shell()),
        Action::CutPower { node } => Lab::attach(name)?.cut_power(*node)?,
        Action::PowerOn { node } => Lab::attach(name)?.power_on(*node)?,
        Action::Status => print!("{}", status(&Lab::attach(name)?)?),
        Action::Settle => {
            let active = Lab::attach(name)?.settle()?;
            println!("{active} is the Active, {} is in sync", active.sibling());
        }
        Action::Log { follow } => log(&Lab::attach(name)?, *follow)?,
        Action::List => Layout::existing().iter().for_each(|name| println!("{name}")),
        Action::AskBridge {
            socket,
            command,
            within,
        } => println!(
            "{}",
            lab::ask_bridge(socket, command, Duration::from_millis(*within))?
        ),
        Action::Boot { node } => {
            let layout = Layout::new(name);
            lab::boot(&layout, &Network::of(&layout)?, *node)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn up(name: &str, bin_dir: Option<&PathBuf>, subnets: &[Subnet], powered_off: bool) -> Result<()> {
    let mut options = Options::named(name)?;
    if let Some(bin_dir) = bin_dir {
        options.bin_dir.clone_from(bin_dir);
    }
    match subnets {
        [] => {}
        [first, second] => options.subnets = [*first, *second],
        _ => {
            return Err(LabError::State(
                "give --subnet once for each of the two links".into(),
            ));
        }
    }
    let mut lab = if powered_off {
        Lab::up_powered_off(&options)?
    } else {
        Lab::up(&options)?
    };
    lab.keep()?;
    println!("{name} is up: lab shell bmc0 --name {name}");
    Ok(())
}

fn provision(name: &str, token: u64, external: bool) -> Result<ExitCode> {
    let provision = Provision {
        token: Duration::from_millis(token),
        policy: if external {
            Policy::External
        } else {
            Policy::Automatic
        },
        ..Provision::default()
    };
    hand_over(&mut Lab::attach(name)?.provision_command(&provision)?)
}

fn exec(name: &str, node: Node, argv: &[String]) -> Result<ExitCode> {
    hand_over(&mut Lab::attach(name)?.command(node, argv)?)
}

/// A login shell on this terminal, whose kind a command in a BMC does not get to know otherwise.
fn shell() -> Vec<String> {
    let terminal = std::env::var("TERM").unwrap_or_else(|_| "dumb".into());
    let terminal = format!("TERM={terminal}");
    ["env", "--unset=NO_COLOR", &terminal, "bash", "-l"]
        .map(str::to_owned)
        .to_vec()
}

/// Runs a command on this terminal; its exit status becomes ours.
fn hand_over(command: &mut std::process::Command) -> Result<ExitCode> {
    let status = command.status().map_err(|source| LabError::Start {
        command: format!("{command:?}"),
        source,
    })?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

fn status(lab: &Lab) -> Result<String> {
    let state = lab.chassis()?.state()?;
    let mut text = String::new();
    for node in Node::BOTH {
        let bmc = state.bmcs.get(usize::from(node.slot()));
        let word = match bmc {
            Some(bmc) if !bmc.powered => "no power",
            Some(bmc) if bmc.in_reset => "held in reset",
            Some(bmc) if bmc.pid.is_some() => "running",
            _ => "down",
        };
        text.push_str(&format!("{node}: {word}\n"));
    }
    let holder = state.mux_holder.and_then(Node::in_slot);
    let holder = holder.map_or("nobody", Node::name);
    text.push_str(&format!("mux: {holder}\n"));
    text.push_str(&format!("fans: {:?} RPM\n", state.rpm));
    text.push_str(&format!("temperature: {} m°C\n", state.millidegrees));
    match lab.cluster() {
        Ok(view) => text.push_str(&format!("cluster: {view}\n")),
        Err(error) => text.push_str(&format!("cluster: {error}\n")),
    }
    Ok(text)
}

fn log(lab: &Lab, follow: bool) -> Result<()> {
    let mut out = io::stdout().lock();
    lab.chassis()?.print_log(follow, |line| {
        // A closed pipe ends it: that is how head(1) says that it has enough.
        writeln!(out, "{line}").is_ok()
    })
}
