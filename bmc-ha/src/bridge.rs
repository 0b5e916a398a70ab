//! The settings' replication, by the word of this BMC's bridge.

use std::path::Path;
use std::time::Duration;

use bmc_bridge_control::{Client, ClientError, DEFAULT_SOCKET, Status};

use crate::cluster::configuration::Primitive;

/// A status never waits for the sibling; a bridge that takes longer than this hangs.
const DEADLINE: Duration = Duration::from_secs(2);

/// Asks the bridge on the socket that the cluster's configuration names, or on the usual one.
pub(crate) fn status(settings: Option<&Primitive>) -> Result<Status, ClientError> {
    let configured = settings.and_then(|settings| settings.parameters.get("socket"));
    let path = configured.map_or(DEFAULT_SOCKET, String::as_str);
    Client::connect(Path::new(path))?.status(DEADLINE)
}
