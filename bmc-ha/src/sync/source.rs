//! Where the source of the settings is. What changes the replication is asked of the Active's bridge alone.

use bmc_bridge_control::{Client, ClientError, Role, Status};

use super::status::active;
use crate::bridge;
use crate::status::reason::{Reason, ReasonId};

/// Where it is.
pub(super) enum Source {
    /// On this BMC.
    Here {
        /// A connection to its bridge.
        client: Client,
        /// Name of this BMC.
        local: String,
    },
    /// On another one, or nowhere.
    Elsewhere(Reason),
}

/// Asks the bridge of this BMC.
pub(super) fn find_source() -> Result<Source, ClientError> {
    let mut client = bridge::connect_here()?;
    let status = client.status(bridge::STATUS_DEADLINE)?;
    Ok(match status.role {
        Role::Active => Source::Here {
            client,
            local: status.name,
        },
        Role::Passive => Source::Elsewhere(elsewhere(&status)),
    })
}

fn elsewhere(status: &Status) -> Reason {
    let local = status.name.as_str();
    let (id, message) = match active(status) {
        Some(active) => (
            ReasonId::NotTheActive,
            format!("{local} is the Passive; run this on the Active, {}", active.name),
        ),
        None => (
            ReasonId::NobodyActive,
            format!("{local} is the Passive, and its bridge knows of no Active"),
        ),
    };
    Reason::of(local, id, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::fixtures;

    #[test]
    fn the_passive_names_the_active() {
        let mut status = fixtures::bridge();
        status.role = Role::Passive;
        assert_eq!(elsewhere(&status).id, ReasonId::NobodyActive);
        status.members[0].role = Role::Active;
        let reason = elsewhere(&status);
        assert_eq!(reason.id, ReasonId::NotTheActive);
        assert_eq!(
            reason.message,
            "bmc0 is the Passive; run this on the Active, bmc1"
        );
    }
}
