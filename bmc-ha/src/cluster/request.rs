//! Asking for the Active role: a transient node attribute that a rule in the CIB reads.

use cib_templates::tool::Tool;

use super::ClusterError;
use super::configuration::Policy;

/// `1` on the node that is asked to be the Active; the rule is in the template.
pub(crate) const REQUEST_ATTRIBUTE: &str = "bmc-active-request";

/// Asks `node` to be the Active, and takes the request from `others`. In this order: with the policy
/// external, nobody asked means nobody promoted.
pub(crate) fn ask_for<'a>(node: &str, others: impl Iterator<Item = &'a str>) -> Result<(), ClusterError> {
    set(node, "1")?;
    for other in others {
        withdraw(other)?;
    }
    Ok(())
}

/// Ends a request that was granted, so that it does not pull the role back after a later failover. With the
/// policy external the attribute stays defined, or the Active would be demoted.
pub(crate) fn settle(node: &str, policy: Policy) -> Result<(), ClusterError> {
    match policy {
        Policy::Automatic => withdraw(node),
        Policy::External => set(node, "0"),
    }
}

/// Takes a request from a node.
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
