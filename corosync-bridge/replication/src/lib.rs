//! The replication core: events in, effects out.
//!
//! One [`Core`] per BMC. It does no I/O of its own, reads no clock and throws no dice: membership, messages,
//! hints and requests come in through [`Core::handle`]; messages to multicast, answers and notices are
//! taken out; the disk is behind [`Tree`] and [`StateStore`]. The same code runs on Corosync's CPG and in
//! the simulation under `tests/`.
//!
//! # How a daemon drives it
//! ```text
//! loop {
//!     poll(fds, if core.has_work(now) || core.is_behind() { 0 } else { core.deadline() - now })
//!     for each thing that happened { core.handle(event, now) }
//!     core.work(now)                                  // one bounded slice
//!     while CPG has room { core.next_message() }      // a message taken out must be sent, or Disconnected told
//!     for notice in core.take_notices() { log it; on RoleChanged write the role marker }
//!     for answer in core.take_answers() { reply to the request with that id }
//! }
//! ```
//! - Before [`Event::Request`] is told, every change notification that the kernel already holds must have
//!   been told as [`Event::Changed`]: flush covers what was told before it.
//! - [`Event::CaughtUp`] is told when [`Core::is_behind`], after every notification that the kernel holds: what was moved
//!   away is looked for at the paths of which that tells, before it counts as gone.
//! - [`Event::Tick`] is told when [`Core::deadline`] has come.
//! - Notices are taken before answers, so that a role is on record before a request for it is answered.
//! - A Passive uses hints where its own changes travel ([`Coverage::offered_roots`]), and need not watch anything
//!   else. A new Active scans by itself, so watches must stand before the promotion is answered, or a
//!   [`Event::RescanAll`] must follow them.
//!
//! # What is carried
//! Content, owner, mode, mtime to the nanosecond, extended attributes with access control lists, symbolic links as
//! links, hard links between what is replicated alike, empty directories, removals, changes of kind; names are bytes.
//! Not carried: devices, sockets, pipes, and the labels of security modules. A directory or a large file that is renamed is
//! renamed there too.
//!
//! # Parts
//! | module | what it is |
//! |---|---|
//! | [`wire`] | the messages and their bytes; no I/O |
//! | [`core`](mod@crate::core) | the state machine |
//! | [`tree`] | what the core asks of a disk |
//! | [`disk_tree`] | the real disk, confined beneath one root |
//! | [`placement`] | where a node keeps what it receives |
//! | [`state`] | epoch, owner and position, and the file that keeps them |
//! | [`record_log`] | records on disk that survive power cuts |
//! | [`agreed`] | what the members last agreed on, for paths that change on both sides |
//! | [`chunks`] | where a content is cut, for deltas |
//! | [`clock`] | what the core asks of a wall clock |
//! | [`conflicts`] | where the version that lost is kept |
//! | [`coverage`] | which paths are replicated |

pub mod agreed;
pub mod chunks;
pub mod clock;
pub mod conflicts;
pub mod core;
pub mod coverage;
mod delta;
pub mod digest;
mod digest_log;
pub mod disk_tree;
pub mod entry;
mod index;
mod inodes;
pub mod path;
pub mod placement;
pub mod record_log;
mod scan;
pub mod state;
mod state_file;
pub mod tree;
mod undurable;
pub mod wire;

pub use crate::core::{
    Answer, Core, Event, MemberReport, Notice, Options, Refusal, Report, Request, RoleCause,
};
pub use bmc_bridge_control::{Position, Problem, Role, Switch, Sync, Transfer};
pub use clock::{ClockError, WallClock};
pub use coverage::{Coverage, Direction, Priority, Rule, Timing};
pub use disk_tree::DiskTree;
pub use path::EntryPath;
pub use placement::{PlacedTree, Placement};
pub use state::{State, StateStore};
pub use state_file::StateFile;
pub use tree::Tree;

/// A Corosync node id. Corosync gives no node the id 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl std::fmt::Display for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node {}", self.0)
    }
}
