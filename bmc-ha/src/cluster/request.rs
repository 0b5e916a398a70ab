//! Asking for the Active role: a transient node attribute that a rule in the CIB reads.

use cib_templates::tool::Tool;

use super::ClusterError;
use super::configuration::Policy;

/// `1` on the node that is asked to be the Active; the rule is in the template.
pub(crate) const REQUEST_ATTRIBUTE: &str = "bmc-active-request";

/// Asks `node` to be the Active. `asked` are other nodes that were asked before: they are asked no longer, but
/// with the policy external they stay marked, so that the Active keeps the role until `node` takes it.
pub(crate) fn ask_for(node: &str, asked: &[String], policy: Policy) -> Result<(), ClusterError> {
    set(node, "1")?;
    for other in asked {
        settle(other, policy)?;
    }
    Ok(())
}

/// Ends the request to a node that is the Active, so that it does not pull the role back after a later
/// failover. With the policy external the attribute stays defined, or the Active would be demoted.
pub(crate) fn settle(node: &str, policy: Policy) -> Result<(), ClusterError> {
    match policy {
        Policy::Automatic => withdraw(node),
        Policy::External => set(node, "0"),
    }
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
