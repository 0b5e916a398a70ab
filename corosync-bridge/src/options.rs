//! The command line.

use std::path::PathBuf;

use bmc_bridge_control::{DEFAULT_CONFIG_DIR, DEFAULT_RUN_DIR, DEFAULT_SOCKET, DEFAULT_STATE_DIR};
use clap::Parser;

const EXAMPLES: &str = "\
Examples:
  corosync-bridge
      Run with the paths of an installed BMC. This is what corosync-bridge.service does.
  corosync-bridge --check-config
      Say whether the lists in /etc/bmc-ha/data-sync.d are good, and exit.
  corosync-bridge --check-config --config-dir ./lists
      The same for lists that are not installed yet.";

/// Replicates the settings of the Active BMC to the Passive one, as Corosync CPG messages.
///
/// The lists in the configuration directory, in phosphor-data-sync's format, say which files and directories
/// are replicated. The settings resource agent starts, stops, promotes and demotes the bridge through its
/// control socket; `bmc-ha status` shows how it is doing.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Directory of the *.json lists that say what is replicated.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_CONFIG_DIR)]
    pub(crate) config_dir: PathBuf,

    /// Directory for what has to survive a reboot: epoch and sequence.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE_DIR)]
    pub(crate) state_dir: PathBuf,

    /// Directory for what must not survive a reboot: the role.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_RUN_DIR)]
    pub(crate) run_dir: PathBuf,

    /// Control socket.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub(crate) socket: PathBuf,

    /// CPG group to join; the same on all BMCs of a pair.
    #[arg(long, value_name = "NAME", default_value = "bmc-ha", value_parser = group_name)]
    pub(crate) group: String,

    /// Leave the wall clock alone: neither tell the Passive what it shows nor set it by the Active's. Otherwise a Passive
    /// whose clock nobody keeps right (by NTP, say) takes over the Active's time when it joins and every hour.
    #[arg(long)]
    pub(crate) no_time: bool,

    /// Check the lists, say what is wrong with them, and exit.
    #[arg(long)]
    pub(crate) check_config: bool,
}

/// Longest group name (`CPG_MAX_NAME_LENGTH` of `corosync/cpg.h`).
const MAX_GROUP_BYTES: usize = 128;

fn group_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > MAX_GROUP_BYTES {
        return Err(format!("a group name has 1 to {MAX_GROUP_BYTES} bytes"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn the_manual_page_has_every_option_and_default() {
        let page = include_str!("../man/corosync-bridge.8").replace("\\-", "-");
        let mut command = Options::command();
        command.build();
        for option in command.get_arguments() {
            let name = option.get_long().unwrap();
            assert!(
                page.contains(&format!("--{name}")),
                "--{name} is not in the manual page"
            );
            // A flag has the default "false", which no page says.
            let takes_value = option.get_action().takes_values();
            for default in option.get_default_values().iter().filter(|_| takes_value) {
                let default = default.to_str().unwrap();
                assert!(
                    page.contains(default),
                    "{default}, the default of --{name}, is not in the manual page"
                );
            }
        }
    }

    #[test]
    fn a_group_name_that_corosync_would_refuse_is_refused() {
        assert!(Options::try_parse_from(["corosync-bridge", "--group", ""]).is_err());
        assert!(Options::try_parse_from(["corosync-bridge", "--group", &"n".repeat(129)]).is_err());
        assert!(Options::try_parse_from(["corosync-bridge", "--group", &"n".repeat(128)]).is_ok());
    }
}
