//! pcs, as an administrator uses it, and what it says about Corosync's configuration.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use cib_templates::tool::{Tool, ToolError};
use serde::Deserialize;
use tempfile::NamedTempFile;

/// pcsd asks each node over HTTPS, one request after the other, and each may run into its own time-out of a
/// minute.
const REMOTE_DEADLINE: Duration = Duration::from_secs(180);

/// The user as which pcsd lets nodes manage each other.
const USER: &str = "hacluster";

/// Where Corosync's configuration is; without it there is no cluster on a node.
const COROSYNC_CONF: &str = "/etc/corosync/corosync.conf";

/// Why pcs was of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum PcsError {
    /// It failed.
    #[error("{action}: {source}")]
    Tool {
        /// What was attempted.
        action: String,
        /// What pcs said.
        source: ToolError,
    },
    /// Its answer is not understood.
    #[error("{action}: the answer of pcs is not understood: {source}")]
    Json {
        /// What was attempted.
        action: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A temporary file could not be written.
    #[error("{action}: {source}")]
    Io {
        /// What was attempted.
        action: String,
        /// Why not.
        source: io::Error,
    },
}

/// Corosync's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Corosync {
    /// Name of the cluster.
    pub(super) cluster_name: String,
    /// Its nodes.
    pub(super) nodes: Vec<CorosyncNode>,
    /// The section `totem`.
    #[serde(default)]
    pub(super) totem_options: BTreeMap<String, String>,
    /// The options of the transport, which Corosync keeps in `totem` too.
    #[serde(default)]
    pub(super) transport_options: BTreeMap<String, String>,
    /// The section `quorum`.
    #[serde(default)]
    pub(super) quorum_options: BTreeMap<String, String>,
}

/// A node in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct CorosyncNode {
    /// Its name.
    pub(super) name: String,
    /// One address for each link.
    pub(super) addrs: Vec<CorosyncAddress>,
}

/// An address of a node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct CorosyncAddress {
    /// The address.
    pub(super) addr: String,
    /// Number of the link.
    pub(super) link: String,
}

impl Corosync {
    /// Whether this is what a distribution's package starts on a machine that nobody configured: one node
    /// that talks to itself. Nothing is lost with it.
    pub(super) fn is_package_default(&self) -> bool {
        let loopback = |address: &CorosyncAddress| {
            let address = address.addr.parse::<std::net::IpAddr>();
            address.is_ok_and(|address| address.is_loopback())
        };
        match self.nodes.as_slice() {
            [] => true,
            [node] => node.addrs.iter().all(loopback),
            _ => false,
        }
    }
}

/// This node's configuration; nothing when it has none.
pub(super) fn local_corosync() -> Result<Option<Corosync>, PcsError> {
    if !Path::new(COROSYNC_CONF).exists() {
        return Ok(None);
    }
    read_corosync("read the Corosync configuration of this BMC", None).map(Some)
}

/// Another node's configuration, asked from its pcsd. Needs [`authenticate`] first.
pub(super) fn remote_corosync(node: &str) -> Result<Corosync, PcsError> {
    let action = format!("read the Corosync configuration of {node}");
    let text = pcs(&["cluster", "corosync", node])
        .run()
        .map_err(|source| PcsError::Tool {
            action: action.clone(),
            source,
        })?;
    let mut file = NamedTempFile::new().map_err(|source| PcsError::Io {
        action: action.clone(),
        source,
    })?;
    file.write_all(text.as_bytes()).map_err(|source| PcsError::Io {
        action: action.clone(),
        source,
    })?;
    read_corosync(&action, Some(file.path()))
}

fn read_corosync(action: &str, file: Option<&Path>) -> Result<Corosync, PcsError> {
    let mut tool = pcs(&["cluster", "config", "show", "--output-format", "json"]);
    if let Some(path) = file {
        tool = tool.arg("--corosync_conf").arg(path.display().to_string());
    }
    let answer = tool.run().map_err(|source| PcsError::Tool {
        action: action.to_owned(),
        source,
    })?;
    serde_json::from_str(&answer).map_err(|source| PcsError::Json {
        action: action.to_owned(),
        source,
    })
}

/// Makes this node trusted by each node's pcsd. The password goes in by standard input, where neither ps(1)
/// nor a log sees it: pcs asks for it when `-p` is not given, and takes a line from a pipe for an answer.
pub(super) fn authenticate(nodes: &[(&str, String)], password: &str) -> Result<(), PcsError> {
    let mut tool = pcs(&["host", "auth"]);
    for (name, address) in nodes {
        tool = tool.arg(*name).arg(format!("addr={address}"));
    }
    run(
        "authenticate to pcsd on both BMCs",
        &tool.args(["-u", USER]).input(format!("{password}\n")),
    )
}

/// A pcs command.
pub(super) fn pcs(arguments: &[&str]) -> Tool {
    Tool::new("pcs")
        .args(arguments.iter().copied())
        .deadline(REMOTE_DEADLINE)
}

/// Runs a pcs command whose answer says nothing.
pub(super) fn run(action: &str, tool: &Tool) -> Result<(), PcsError> {
    tool.run().map(drop).map_err(|source| PcsError::Tool {
        action: action.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corosync(nodes: &str) -> Corosync {
        serde_json::from_str(&format!(
            r#"{{"cluster_name": "c", "transport": "KNET", "nodes": {nodes}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn one_node_that_talks_to_itself_is_what_the_package_started() {
        let own = r#"[{"name": "node1", "nodeid": "1", "addrs": [{"addr": "127.0.0.1", "link": "0"}]}]"#;
        assert!(corosync(own).is_package_default());
        assert!(!corosync(&own.replace("127.0.0.1", "10.0.0.1")).is_package_default());
    }

    #[test]
    fn two_nodes_are_somebodys_cluster_whatever_their_addresses() {
        let node = r#"{"name": "a", "addrs": [{"addr": "127.0.0.1", "link": "0"}]}"#;
        assert!(!corosync(&format!("[{node}, {node}]")).is_package_default());
    }
}
