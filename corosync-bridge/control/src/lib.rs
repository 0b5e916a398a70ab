//! The bridge's control socket: what can be asked, what is answered, and a client.
//!
//! One JSON object per line each way, requests answered in order. The messages live in [`messages`], which
//! does no I/O; [`client`] speaks them over the socket; [`codec`] is the bridge's side, without I/O too. The
//! settings agent and `bmc-ha` use this crate, the bridge serves it.

pub mod client;
pub mod codec;
pub mod messages;

pub use client::{Client, ClientError, Followed};
pub use messages::{
    Command, Connection, Member, Position, Problem, Progress, Reply, Request, Role, Status, Switch, Sync,
    Transfer,
};

/// Where the bridge listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/bmc-ha/bridge.sock";

/// Where the bridge reads what is replicated, unless told otherwise.
pub const DEFAULT_CONFIG_DIR: &str = "/etc/bmc-ha/data-sync.d";

/// Where the bridge keeps what survives a reboot, unless told otherwise.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/bmc-ha";

/// Where the bridge keeps what must not survive a reboot, unless told otherwise.
pub const DEFAULT_RUN_DIR: &str = "/run/bmc-ha";

/// Longest line either side accepts, in bytes. A status of a few nodes is two kilobytes; a peer that sends
/// more than this without a newline is not speaking the protocol and is cut off before memory is spent.
pub const MAX_LINE_BYTES: usize = 256 * 1024;
