//! The settings' replication, by the word of this BMC's bridge.

use std::path::Path;
use std::time::Duration;

use bmc_bridge_control::{Client, ClientError, Command, DEFAULT_SOCKET, Status};

use crate::cluster::configuration::Primitive;
use crate::status::Observed;

/// A status never waits for the sibling; a bridge that takes longer than this hangs.
pub(crate) const STATUS_DEADLINE: Duration = Duration::from_secs(2);

/// How long the sibling may take to acknowledge what is under way before a switchover: what is left over when it
/// was in sync a moment ago takes milliseconds. One that takes longer would keep the demotion waiting as well, with
/// no Active meanwhile.
const FLUSH_DEADLINE: Duration = Duration::from_secs(5);

/// Asks the bridge on the socket that the cluster's configuration names, or on the usual one.
pub(crate) fn status(settings: Option<&Primitive>) -> Result<Status, ClientError> {
    connect(settings)?.status(STATUS_DEADLINE)
}

/// Waits until every change made so far is durable on the sibling. Only the Active's bridge can say.
pub(crate) fn flush(settings: Option<&Primitive>) -> Result<(), ClientError> {
    connect(settings)?.run(Command::Flush, FLUSH_DEADLINE)
}

/// A connection to the bridge of this BMC.
pub(crate) fn connect_here() -> Result<Client, ClientError> {
    let configuration = Observed::configuration();
    connect(configuration.as_ref().and_then(|all| all.settings.as_ref()))
}

fn connect(settings: Option<&Primitive>) -> Result<Client, ClientError> {
    let configured = settings.and_then(|settings| settings.parameters.get("socket"));
    let path = configured.map_or(DEFAULT_SOCKET, String::as_str);
    Client::connect(Path::new(path))
}
