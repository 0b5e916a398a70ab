//! The command line, and nothing else: what can be asked, and the words that explain it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::sync::SyncCommand;

/// Ends the long help text.
const EXIT_STATUS: &str = "\
Exit status:
  0  done, or all is well
  1  it failed; the message says what and why
  2  the command line or a value is wrong; nothing was done
  3  refused, because it would be unsafe or cannot work; the message says why
  4  status, sync status: something is not as it should be;
     sync flush --require-sibling: there was no sibling";

const EXAMPLES: &str = "\
Examples:
  bmc-ha status
  bmc-ha failover --dry-run
  bmc-ha template list";

const PROVISION_EXAMPLES: &str = "\
Run it as root on one of the two BMCs. Running it again changes nothing when everything is as asked.

Examples:
  Two links, the password of hacluster in a file, parameters of this board in a file:
    bmc-ha provision --node bmc0=10.0.0.1,10.0.1.1 --node bmc1=10.0.0.2,10.0.1.2 \\
      --password-file /root/hacluster --params board.json

  Faster detection, and one value given by hand; the password is in BMC_HA_PASSWORD:
    bmc-ha provision --node bmc0=10.0.0.1 --node bmc1=10.0.0.2 --token 300 \\
      --params board.json --set address=10.0.0.10";

const STATUS_EXAMPLES: &str = "\
Examples:
  bmc-ha status
  bmc-ha --output json status | jq -r .active";

const FAILOVER_EXAMPLES: &str = "\
Examples:
  What would happen, and whether it would be refused:
    bmc-ha failover --dry-run

  Make bmc1 the Active, and give up waiting after a minute:
    bmc-ha failover bmc1 --wait 60

  Make the Passive the Active although its settings are not in sync:
    bmc-ha failover --force";

const SYNC_EXAMPLES: &str = "\
Examples:
  bmc-ha sync status
  bmc-ha sync flush --wait
  bmc-ha sync full --wait";

const TEMPLATE_EXAMPLES: &str = "\
Examples:
  bmc-ha template list
  bmc-ha template show redundant-bmc
  bmc-ha template verify redundant-bmc --params board.json
  bmc-ha template apply redundant-bmc --keep --set policy=external";

const LIST_EXAMPLES: &str = "\
Examples:
  bmc-ha template list
  bmc-ha --output json template list";

const SHOW_EXAMPLES: &str = "\
Examples:
  Every parameter with its type, default and meaning:
    bmc-ha template show redundant-bmc

  The template itself:
    bmc-ha template show redundant-bmc --source";

const RENDER_EXAMPLES: &str = "\
Examples:
  bmc-ha template render redundant-bmc --params board.json > configuration.xml";

const VERIFY_EXAMPLES: &str = "\
Examples:
  bmc-ha template verify redundant-bmc --params board.json --set node0=bmc0 --set node1=bmc1";

const APPLY_EXAMPLES: &str = "\
Examples:
  Change one parameter of the running cluster and keep the others:
    bmc-ha template apply redundant-bmc --keep --set policy=external

  Prepare a file instead of the running cluster:
    CIB_file=cib.xml bmc-ha template apply redundant-bmc --params board.json";

const COMPLETION_EXAMPLES: &str = "\
Examples:
  bmc-ha completion bash > /etc/bash_completion.d/bmc-ha";

const MAN_EXAMPLES: &str = "\
Examples:
  bmc-ha man --out /usr/share/man/man8";

/// Run a pair of BMCs as one: provision it, look at it, switch it.
#[derive(Debug, Parser)]
#[command(
    name = "bmc-ha",
    version,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{EXIT_STATUS}"),
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// How the answer is written to standard output; progress and errors go to standard error.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub(crate) output: Format,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people; coloured on a terminal unless `NO_COLOR` is set.
    Text,
    /// For programs: one JSON value.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make two machines a redundant pair: authenticate, set up and start the cluster, apply a template.
    #[command(after_help = PROVISION_EXAMPLES)]
    Provision(ProvisionArgs),
    /// Show roles, mux, settings, fencing and what keeps a BMC from taking over.
    #[command(after_help = STATUS_EXAMPLES)]
    Status,
    /// Make the other BMC, or the one named, the Active; refused when that is unsafe.
    #[command(after_help = FAILOVER_EXAMPLES)]
    Failover(FailoverArgs),
    /// Look at the replication of the settings, wait for it, switch it off and on.
    #[command(after_help = SYNC_EXAMPLES)]
    Sync {
        /// What to do with it.
        #[command(subcommand)]
        command: SyncCommand,
    },
    /// List, show, render, verify and apply the cluster's configuration templates.
    #[command(after_help = TEMPLATE_EXAMPLES)]
    Template {
        /// What to do with them.
        #[command(subcommand)]
        command: TemplateCommand,
    },
    /// Print a completion script for a shell.
    #[command(after_help = COMPLETION_EXAMPLES)]
    Completion {
        /// The shell.
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write the manual pages.
    #[command(after_help = MAN_EXAMPLES)]
    Man {
        /// Folder to write them into; made when it is not there.
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
}

/// Values for a template.
#[derive(Debug, Args)]
pub(crate) struct ValueArgs {
    /// Read values from a JSON file: an object of names and values. A later file wins over an earlier one.
    #[arg(long = "params", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Give one value. Wins over files.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) values: Vec<String>,
}

/// What a pair is made of.
#[derive(Debug, Args)]
pub(crate) struct ProvisionArgs {
    /// A BMC and its address on each link. Give it twice.
    #[arg(long = "node", value_name = "NAME=ADDRESS[,ADDRESS...]", required = true)]
    pub(crate) nodes: Vec<NodeArg>,
    /// Read the password of the user hacluster from the first line of a file. Without it, the environment
    /// variable BMC_HA_PASSWORD is used.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Name of the cluster.
    #[arg(long, value_name = "NAME", default_value = "bmc")]
    pub(crate) cluster_name: String,
    /// Corosync's token timeout: how long a BMC may be silent before it counts as lost. Shorter finds a
    /// lost BMC sooner; too short takes a busy BMC for a lost one, and resets it.
    #[arg(long, value_name = "MILLISECONDS", default_value = "1000", value_parser = clap::value_parser!(u32).range(100..=60_000))]
    pub(crate) token: u32,
    /// After power comes on, wait until both BMCs have been seen once. With it, no BMC resets a sibling that
    /// is only slow to boot, but a BMC whose sibling is dead stays without an Active until somebody steps in.
    /// Without it (the default), a BMC that comes up alone resets its sibling and goes on by itself.
    #[arg(long)]
    pub(crate) wait_for_all: bool,
    /// The template to apply.
    #[arg(long, value_name = "NAME", default_value = "redundant-bmc")]
    pub(crate) template: String,
    /// Values for the template; node0 and node1 follow from --node.
    #[command(flatten)]
    pub(crate) values: ValueArgs,
    /// Give up when the cluster is not up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    pub(crate) wait: Duration,
    /// Destroy an existing cluster that has resources, other nodes or another corosync configuration.
    #[arg(long)]
    pub(crate) force: bool,
}

/// A BMC on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeArg {
    /// Its name.
    pub(crate) name: String,
    /// Its address on each link.
    pub(crate) addresses: Vec<IpAddr>,
}

impl FromStr for NodeArg {
    type Err = String;

    fn from_str(argument: &str) -> Result<Self, Self::Err> {
        let (name, addresses) = argument
            .split_once('=')
            .ok_or_else(|| "expected NAME=ADDRESS, such as bmc0=10.0.0.1,10.0.1.1".to_owned())?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.starts_with(['-', '.']) || !name.chars().all(fits) {
            return Err(format!(
                "{name:?} is not a node name: letters, digits, '-', '_' and '.', not beginning with '-' or '.'"
            ));
        }
        let addresses = addresses
            .split(',')
            .map(|address| {
                address
                    .parse()
                    .map_err(|_| format!("{address:?} is not an IPv4 or IPv6 address"))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            name: name.to_owned(),
            addresses,
        })
    }
}

/// How to switch.
#[derive(Debug, Args)]
pub(crate) struct FailoverArgs {
    /// The BMC that is to be the Active; the Passive when not given.
    pub(crate) node: Option<String>,
    /// Go on although it is unsafe. Settings that are not in sync may be lost.
    #[arg(long)]
    pub(crate) force: bool,
    /// Give up waiting after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) wait: Duration,
    /// Change nothing; show what Pacemaker would do, and what would be refused.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What to do with templates.
#[derive(Debug, Subcommand)]
pub(crate) enum TemplateCommand {
    /// List the templates.
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Show a template's parameters, or the template itself.
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// The template.
        name: String,
        /// Print the template as it is stored.
        #[arg(long)]
        source: bool,
    },
    /// Print the configuration that a template and values make.
    #[command(after_help = RENDER_EXAMPLES)]
    Render(FillArgs),
    /// Check values, and let the installed Pacemaker check the result. Changes nothing.
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(FillArgs),
    /// Verify, and push the difference to the cluster in one step. Applying twice changes nothing.
    #[command(after_help = APPLY_EXAMPLES)]
    Apply {
        /// What to apply.
        #[command(flatten)]
        fill: FillArgs,
        /// Apply it although the Active would lose its role.
        #[arg(long)]
        force: bool,
    },
}

/// A template and its values.
#[derive(Debug, Args)]
pub(crate) struct FillArgs {
    /// The template.
    pub(crate) name: String,
    /// Values for it.
    #[command(flatten)]
    pub(crate) values: ValueArgs,
    /// Start from the values that the cluster has now.
    #[arg(long)]
    pub(crate) keep: bool,
}

pub(crate) fn seconds(argument: &str) -> Result<Duration, String> {
    match argument.parse::<u32>() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds.into())),
        _ => Err("expected a whole number of seconds, at least 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_fits_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_explains_itself_with_examples() {
        fn check(command: &clap::Command) {
            let help = command.clone().render_help().to_string();
            assert!(help.contains("Examples:"), "{}: {help}", command.get_name());
            for child in command
                .get_subcommands()
                .filter(|child| child.get_name() != "help")
            {
                check(child);
            }
        }
        check(&Cli::command());
    }

    #[test]
    fn a_node_has_a_name_and_an_address_on_each_link() {
        let node: NodeArg = "bmc0=10.0.0.1,fd00::1".parse().unwrap();
        assert_eq!(node.name, "bmc0");
        assert_eq!(node.addresses.len(), 2);
        for wrong in [
            "bmc0",
            "=10.0.0.1",
            "-x=10.0.0.1",
            "bmc0=",
            "bmc0=10.0.0",
            "b c=10.0.0.1",
        ] {
            assert!(wrong.parse::<NodeArg>().is_err(), "{wrong}");
        }
    }
}
