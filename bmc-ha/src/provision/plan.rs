//! The cluster that is asked for, and how one that is there differs from it. No I/O here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cib_templates::tool::Tool;

use super::pcs::{Corosync, CorosyncNode, pcs};
use crate::cli::{NodeArg, ProvisionArgs};

/// Added to the time that pcs itself waits for the cluster, before pcs is given up on.
const PCS_MARGIN: Duration = Duration::from_secs(120);

/// Every packet goes over every link, so that no lost link delays the token. With Corosync's default, `passive`, a
/// packet takes one link, and a link that broke within seconds of coming up counts as good for longer than a
/// token lives: losing one of two links then costs the membership.
const LINK_MODE: &str = "active";

/// Rotations of the token without a message after which Corosync lets it rest. Every message keeps both processors and both links
/// busy for so many; with Corosync's default, 30, a change a second costs a BMC's processor more than all that is done for it.
const ROTATIONS_WITHOUT_MESSAGES: u32 = 3;

/// Rotations after which a packet that did not come is asked for again. Corosync's default, 5, would let the token rest first, and
/// the packet wait for it. It is there for packets that come behind the token, which a link between two BMCs does not bring about.
const ROTATIONS_WITHOUT_PACKET: u32 = 1;

/// Why a pair cannot be made of what was asked for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum PlanError {
    /// Not two.
    #[error("--node: a pair is two BMCs, got {0}; give --node twice")]
    Count(usize),
    /// The same name twice.
    #[error("--node: both BMCs are called {0}")]
    Name(String),
    /// The same address twice.
    #[error("--node: address {0} is given twice")]
    Address(String),
    /// Not as many addresses on both.
    #[error(
        "--node: {first} has {first_links} addresses and {second} has {second_links}; each link needs one on both"
    )]
    Links {
        /// A BMC.
        first: String,
        /// Its links.
        first_links: usize,
        /// The other.
        second: String,
        /// Its links.
        second_links: usize,
    },
}

/// The cluster that is asked for.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// Its name.
    pub(super) cluster_name: &'a str,
    /// The BMCs.
    pub(super) nodes: [&'a NodeArg; 2],
    token: String,
    wait_for_all: &'static str,
    wait: Duration,
}

impl<'a> Plan<'a> {
    /// Checks what was asked for.
    pub(super) fn new(arguments: &'a ProvisionArgs) -> Result<Self, PlanError> {
        let [first, second] = arguments.nodes.as_slice() else {
            return Err(PlanError::Count(arguments.nodes.len()));
        };
        if first.name == second.name {
            return Err(PlanError::Name(first.name.clone()));
        }
        if first.addresses.len() != second.addresses.len() {
            return Err(PlanError::Links {
                first: first.name.clone(),
                first_links: first.addresses.len(),
                second: second.name.clone(),
                second_links: second.addresses.len(),
            });
        }
        let mut seen = BTreeSet::new();
        for address in first.addresses.iter().chain(&second.addresses) {
            if !seen.insert(address) {
                return Err(PlanError::Address(address.to_string()));
            }
        }
        Ok(Self {
            cluster_name: &arguments.cluster_name,
            nodes: [first, second],
            token: arguments.token.to_string(),
            wait_for_all: if arguments.wait_for_all { "1" } else { "0" },
            wait: arguments.wait,
        })
    }

    /// Each BMC's name and the address at which its pcsd is asked.
    pub(super) fn hosts(&self) -> [(&'a str, String); 2] {
        // An address was parsed for every link, and there is at least one.
        self.nodes.map(|node| {
            (
                node.name.as_str(),
                node.addresses
                    .first()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            )
        })
    }

    /// `pcs cluster setup` with everything that is ours to choose. The links are encrypted (aes256, sha256):
    /// that is what pcs does when nothing is said. `wait_for_all` is always said, because Corosync's own
    /// default for two nodes is yes.
    pub(super) fn setup(&self, overwrite: bool) -> Tool {
        let mut tool = pcs(&["cluster", "setup", self.cluster_name]);
        for node in self.nodes {
            tool = tool.arg(&node.name);
            tool = tool.args(node.addresses.iter().map(|address| format!("addr={address}")));
        }
        tool = tool
            .args(["transport", "knet", &format!("link_mode={LINK_MODE}")])
            .args(["totem".to_owned(), format!("token={}", self.token)])
            .arg(format!("seqno_unchanged_const={ROTATIONS_WITHOUT_MESSAGES}"))
            .arg(format!("miss_count_const={ROTATIONS_WITHOUT_PACKET}"))
            .args(["quorum".to_owned(), format!("wait_for_all={}", self.wait_for_all)])
            .args(["--enable", "--start"])
            .arg(format!("--wait={}", self.wait.as_secs()))
            .deadline(self.wait + PCS_MARGIN);
        if overwrite { tool.arg("--force") } else { tool }
    }

    /// `pcs cluster start` on both BMCs.
    pub(super) fn start(&self) -> Tool {
        pcs(&["cluster", "start", "--all"])
            .arg(format!("--wait={}", self.wait.as_secs()))
            .deadline(self.wait + PCS_MARGIN)
    }

    /// How a cluster that is there differs from this one, in words; nothing when it does not.
    pub(super) fn differences(&self, present: &Corosync) -> Vec<String> {
        let mut differences = Vec::new();
        let mut compare = |what: &str, has: &str, wanted: &str| {
            if has != wanted {
                differences.push(format!("its {what} is {has:?}, not {wanted:?}"));
            }
        };
        let option = |options: &'_ BTreeMap<String, String>, name: &str| {
            options.get(name).cloned().unwrap_or_default()
        };
        let nodes = |words: Vec<String>| words.join(" ");
        compare("name", &present.cluster_name, self.cluster_name);
        compare(
            "list of nodes",
            &nodes(present.nodes.iter().map(present_node).collect()),
            &nodes(self.nodes.iter().map(|node| wanted_node(node)).collect()),
        );
        compare("token", &option(&present.totem_options, "token"), &self.token);
        compare(
            "link_mode",
            &option(&present.transport_options, "link_mode"),
            LINK_MODE,
        );
        compare(
            "wait_for_all",
            &option(&present.quorum_options, "wait_for_all"),
            self.wait_for_all,
        );
        differences
    }
}

fn present_node(node: &CorosyncNode) -> String {
    let mut addresses: Vec<_> = node.addrs.iter().collect();
    addresses.sort_by_key(|address| address.link.parse::<u32>().unwrap_or(u32::MAX));
    let addresses: Vec<&str> = addresses.iter().map(|address| address.addr.as_str()).collect();
    format!("{}={}", node.name, addresses.join(","))
}

fn wanted_node(node: &NodeArg) -> String {
    let addresses: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
    format!("{}={}", node.name, addresses.join(","))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn arguments(words: &[&str]) -> ProvisionArgs {
        let all = ["bmc-ha", "provision"].iter().chain(words);
        match Cli::try_parse_from(all).unwrap().command {
            Command::Provision(arguments) => arguments,
            other => panic!("{other:?}"),
        }
    }

    const PAIR: [&str; 4] = [
        "--node",
        "bmc0=10.0.0.1,10.0.1.1",
        "--node",
        "bmc1=10.0.0.2,10.0.1.2",
    ];

    /// What `pcs cluster config show --output-format json` prints for such a pair.
    const PRESENT: &str = r#"{"cluster_name": "bmc", "nodes": [
        {"name": "bmc0", "addrs": [{"addr": "10.0.1.1", "link": "1"}, {"addr": "10.0.0.1", "link": "0"}]},
        {"name": "bmc1", "addrs": [{"addr": "10.0.0.2", "link": "0"}, {"addr": "10.0.1.2", "link": "1"}]}],
        "totem_options": {"token": "1000"}, "transport_options": {"link_mode": "active"},
        "quorum_options": {"wait_for_all": "0"}}"#;

    #[test]
    fn a_pair_is_set_up_with_both_links_token_and_an_explicit_wait_for_all() {
        let arguments = arguments(&PAIR);
        let command = Plan::new(&arguments).unwrap().setup(false).to_string();
        assert_eq!(
            command,
            "pcs cluster setup bmc bmc0 addr=10.0.0.1 addr=10.0.1.1 bmc1 addr=10.0.0.2 addr=10.0.1.2 \
             transport knet link_mode=active totem token=1000 seqno_unchanged_const=3 \
             miss_count_const=1 quorum wait_for_all=0 --enable --start --wait=120"
        );
    }

    #[test]
    fn a_cluster_as_asked_for_has_no_differences() {
        let arguments = arguments(&PAIR);
        let present: Corosync = serde_json::from_str(PRESENT).unwrap();
        assert_eq!(
            Plan::new(&arguments).unwrap().differences(&present),
            Vec::<String>::new()
        );
    }

    #[test]
    fn what_differs_is_named_with_both_values() {
        let mut words = PAIR.to_vec();
        words.extend(["--token", "300", "--wait-for-all"]);
        let arguments = arguments(&words);
        let present = PRESENT.replace("active", "passive");
        let present: Corosync = serde_json::from_str(&present).unwrap();
        let differences = Plan::new(&arguments).unwrap().differences(&present);
        assert_eq!(
            differences,
            [
                r#"its token is "1000", not "300""#,
                r#"its link_mode is "passive", not "active""#,
                r#"its wait_for_all is "0", not "1""#
            ]
        );
    }

    #[test]
    fn what_is_not_a_pair_is_refused() {
        let error = |words: &[&str]| Plan::new(&arguments(words)).map(drop).unwrap_err();
        assert_eq!(error(&PAIR[..2]), PlanError::Count(1));
        let twice = ["--node", "bmc0=10.0.0.1", "--node", "bmc0=10.0.0.2"];
        assert_eq!(error(&twice), PlanError::Name("bmc0".to_owned()));
        let same = ["--node", "bmc0=10.0.0.1", "--node", "bmc1=10.0.0.1"];
        assert_eq!(error(&same), PlanError::Address("10.0.0.1".to_owned()));
        let lame = ["--node", "bmc0=10.0.0.1,10.0.1.1", "--node", "bmc1=10.0.0.2"];
        assert!(matches!(error(&lame), PlanError::Links { .. }));
    }
}
