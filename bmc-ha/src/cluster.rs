//! What Pacemaker knows and can be asked to do, through its own tools.

pub(crate) mod configuration;
pub(crate) mod events;
pub(crate) mod request;
pub(crate) mod simulation;
pub(crate) mod view;

pub(crate) use configuration::Configuration;
pub(crate) use view::View;

use cib_templates::tool::{Tool, ToolError};
use cib_templates::xml::{Element, XmlError};

/// Why the cluster could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    /// A tool failed.
    #[error("{action}: {source}")]
    Tool {
        /// What was attempted.
        action: &'static str,
        /// What the tool said.
        source: ToolError,
    },
    /// A tool's answer is not what its schema promises.
    #[error("{action}: the answer is not XML: {source}")]
    Xml {
        /// What was attempted.
        action: &'static str,
        /// What is wrong with it.
        source: XmlError,
    },
    /// A part of an answer is missing.
    #[error("{action}: the answer has no {part}")]
    Incomplete {
        /// What was attempted.
        action: &'static str,
        /// What is missing.
        part: &'static str,
    },
    /// XML could not be written, or a pipe not be read.
    #[error("{action}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// What it said.
        source: std::io::Error,
    },
}

/// Runs a tool whose answer is XML.
fn ask(action: &'static str, tool: &Tool) -> Result<Element, ClusterError> {
    let answer = tool
        .run()
        .map_err(|source| ClusterError::Tool { action, source })?;
    Element::parse(&answer).map_err(|source| ClusterError::Xml { action, source })
}

/// Reads the whole CIB.
pub(crate) fn query_cib() -> Result<Element, ClusterError> {
    ask("read the CIB", &Tool::new("cibadmin").arg("--query"))
}

/// Reads the state of nodes and resources.
pub(crate) fn query_view() -> Result<View, ClusterError> {
    let monitor = Tool::new("crm_mon").args(["--output-as=xml", "--inactive", "--fence-history=2"]);
    let answer = ask("read the cluster's state", &monitor)?;
    Ok(View::from_monitor(&answer))
}

/// Name of this node, as the cluster knows it; the host name when there is no cluster to ask.
pub(crate) fn local_name() -> String {
    let by_cluster = Tool::new("crm_node").arg("--name").run();
    let name = by_cluster.unwrap_or_default().trim().to_owned();
    if !name.is_empty() {
        return name;
    }
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What the controller is at, such as `S_IDLE`.
pub(crate) fn controller_state(dc: &str) -> Result<String, ClusterError> {
    let action = "ask the controller what it is at";
    let admin = Tool::new("crmadmin").args(["--output-as=xml", &format!("--status={dc}")]);
    let answer = ask(action, &admin)?;
    let state = answer.descendants().into_iter().find_map(|element| {
        (element.name == "crmd")
            .then(|| element.attribute("state"))
            .flatten()
    });
    state.map(str::to_owned).ok_or(ClusterError::Incomplete {
        action,
        part: "state of the controller",
    })
}
