//! Asking for the Active role: a transient node attribute that a rule in the CIB reads.

use cib_templates::tool::Tool;

use super::ClusterError;

/// `1` on the node that is asked to be the Active; the rule is in the template.
pub(crate) const REQUEST_ATTRIBUTE: &str = "bmc-active-request";

/// Asks `node` to be the Active. `asked` are other nodes that were asked before: they are preferred no longer,
/// but stay marked, so that with the policy external the Active keeps the role until `node` takes it.
pub(crate) fn ask_for(node: &str, asked: &[String]) -> Result<(), ClusterError> {
    set(node, "1")?;
    asked.iter().try_for_each(|other| settle(other))
}

/// Ends the request to a node that is the Active, so that it does not pull the role back after a later
/// failover. The attribute stays defined: with the policy external, who was never asked may not be the Active.
pub(crate) fn settle(node: &str) -> Result<(), ClusterError> {
    set(node, "0")
}

/// Takes the request from a node.
pub(crate) fn withdraw(node: &str) -> Result<(), ClusterError> {
    run(
        "withdraw the request for the Active role",
        &attribute(node).arg("--delete"),
    )
}

fn set(node: &str, value: &str) -> Result<(), ClusterError> {
    run(
        "ask for the Active role",
        &attribute(node).arg("--update").arg(value),
    )
}

fn attribute(node: &str) -> Tool {
    Tool::new("crm_attribute").args([
        "--lifetime",
        "reboot",
        "--name",
        REQUEST_ATTRIBUTE,
        "--node",
        node,
    ])
}

fn run(action: &'static str, tool: &Tool) -> Result<(), ClusterError> {
    tool.run()
        .map(drop)
        .map_err(|source| ClusterError::Tool { action, source })
}
