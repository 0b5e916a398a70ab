//! What travels over the control socket. No I/O here.

use serde::{Deserialize, Serialize};

/// The version of these messages. Raised when a field changes its meaning or goes away; adding an optional
/// field or a command leaves it alone. A bridge refuses a request of another version and names both.
pub const VERSION: u32 = 1;

/// One line from a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// [`VERSION`] of the client.
    pub version: u32,
    /// What to do.
    pub command: Command,
    /// How long the bridge may work on it before it answers with an error, in milliseconds.
    pub deadline_ms: u64,
    /// Whether [`Reply::Progress`] is wanted before the answer, for [`Command::Flush`] and [`Command::FullSync`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub progress: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What can be asked of the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Report roles, positions and synchronisation. Never blocks on the sibling.
    Status,
    /// Become the source of the settings in a new epoch. Answered once the epoch is agreed and on disk.
    /// Promoting the Active again changes nothing.
    Promote,
    /// Flush, then stop being the source. Demoting a Passive changes nothing.
    Demote,
    /// Answer once every change made before this request is durable on each member that is in the cluster.
    /// Without a sibling there is nothing to wait for.
    Flush,
    /// Compare everything with the sibling again and send what differs. Only on the Active.
    FullSync,
    /// Answer once this bridge is in the group.
    WaitJoined,
    /// Send nothing more until resumed, until the Active's bridge restarts or until the role moves. Only on the Active;
    /// answered, as the three that follow, once every member has taken it over.
    Pause,
    /// End a pause, and send what changed meanwhile.
    Resume,
    /// Send nothing more until enabled, across restarts and role changes.
    Disable,
    /// End that, and send what changed meanwhile.
    Enable,
}

/// One line from the bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Reply {
    /// The answer to [`Command::Status`].
    Status(Box<Status>),
    /// How far the command is. Where it was asked for, the first comes once the command was accepted, the last
    /// right before [`Reply::Done`], of the same moment. A client that hangs up in between ends nothing.
    Progress(Progress),
    /// The command was carried out.
    Done,
    /// The command was refused or failed; nothing is half-done.
    Error {
        /// What was attempted, on what, and why it failed.
        message: String,
    },
}

/// Which side of the replication a node is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The source of the settings (Pacemaker: Promoted).
    Active,
    /// Receives the settings (Pacemaker: Unpromoted).
    Passive,
}

/// How new a copy of the settings is. Ordered: a later epoch wins over any sequence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Counts promotions; agreed through CPG and kept on disk.
    pub epoch: u64,
    /// Counts changes within the epoch.
    pub sequence: u64,
}

/// Whether a copy holds what the Active holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sync {
    /// This node is the Active: its copy is the settings.
    Source,
    /// Every change that the Active announced is durable here.
    InSync,
    /// Manifests are being compared or differences are under way.
    Syncing,
    /// No Active has been seen since this bridge started; the copy is as old as its position.
    NoSource,
    /// The last synchronisation failed; [`Status::problems`] says why. The bridge tries again by itself.
    Failed,
}

/// Whether changes travel at all. Set on the Active; every member takes it over from there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// They do.
    #[default]
    On,
    /// Not until it is resumed, the Active's bridge restarts, or the role moves.
    Paused,
    /// Not until it is enabled: kept on disk by every member.
    Disabled,
}

impl std::fmt::Display for Switch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        })
    }
}

/// Whether this bridge is a member of the CPG group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connection {
    /// Joined.
    Joined,
    /// Corosync is not there; the bridge joins when it is back.
    Disconnected,
}

/// A member of the replication group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Corosync node id.
    pub node_id: u32,
    /// Name in Corosync's nodelist, or the id in decimal where it has none.
    pub name: String,
    /// Its role, by its own word.
    pub role: Role,
    /// Its position, by its own word.
    pub position: Position,
    /// Its synchronisation, by its own word.
    pub sync: Sync,
    /// Everything of priority 1 is in sync there, though the rest may not be. Never where nothing has priority 1.
    #[serde(default)]
    pub essential: bool,
    /// Last sequence of the current epoch that it acknowledged as durable. Known on the Active only.
    pub acknowledged: Option<u64>,
    /// Age of the oldest change that it has not acknowledged, in milliseconds; 0 when there is none. Known
    /// on the Active only.
    pub lag_ms: Option<u64>,
}

/// Something that keeps settings from being replicated, for a person to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What was attempted on what, and why it failed.
    pub message: String,
    /// How often it has happened since the bridge started.
    pub count: u64,
}

/// Progress of a transfer under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Entries still to be sent or applied.
    pub entries_left: u64,
    /// Bytes of content still to be sent or applied.
    pub bytes_left: u64,
}

/// How far a command is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is still to be sent.
    pub transfer: Transfer,
    /// The members that were there; one with [`Member::acknowledged`] follows the Active.
    pub members: Vec<Member>,
}

/// The answer to [`Command::Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`VERSION`] of the bridge.
    pub version: u32,
    /// Corosync node id of this node; 0 while never connected.
    pub node_id: u32,
    /// Name of this node in Corosync's nodelist.
    pub name: String,
    /// Whether this bridge is in the group.
    pub connection: Connection,
    /// Whether this node's partition has quorum.
    pub quorate: bool,
    /// Role of this node.
    pub role: Role,
    /// How new this node's copy is.
    pub position: Position,
    /// Synchronisation of this node's copy.
    pub sync: Sync,
    /// Everything of priority 1 is in sync here, though the rest may not be. Never where nothing has priority 1.
    #[serde(default)]
    pub essential: bool,
    /// Whether changes travel at all.
    #[serde(default)]
    pub switch: Switch,
    /// The other members of the group, by node id.
    pub members: Vec<Member>,
    /// Entries (files, links, directories) under replication here.
    pub entries: u64,
    /// A transfer under way, if any.
    pub transfer: Option<Transfer>,
    /// What keeps settings from being replicated; empty when all is well.
    pub problems: Vec<Problem>,
    /// Versions of this node that lost against the Active's and are kept aside; not told where there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub conflicts: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_version_1_keeps_its_bytes() {
        let request = Request {
            version: 1,
            command: Command::FullSync,
            deadline_ms: 5000,
            progress: false,
        };
        let line = serde_json::to_string(&request).unwrap();
        assert_eq!(line, r#"{"version":1,"command":"full-sync","deadline_ms":5000}"#);
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
        let followed = Request {
            command: Command::WaitJoined,
            progress: true,
            ..request
        };
        let line = serde_json::to_string(&followed).unwrap();
        assert_eq!(
            line,
            r#"{"version":1,"command":"wait-joined","deadline_ms":5000,"progress":true}"#
        );
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), followed);
    }

    #[test]
    fn replies_of_version_1_keep_their_bytes() {
        assert_eq!(
            serde_json::to_string(&Reply::Done).unwrap(),
            r#"{"result":"done"}"#
        );
        let error = Reply::Error {
            message: "flush: no answer".into(),
        };
        assert_eq!(
            serde_json::to_string(&error).unwrap(),
            r#"{"result":"error","message":"flush: no answer"}"#
        );
        let progress = Reply::Progress(Progress {
            transfer: Transfer {
                entries_left: 2,
                bytes_left: 70,
            },
            members: vec![],
        });
        assert_eq!(
            serde_json::to_string(&progress).unwrap(),
            r#"{"result":"progress","transfer":{"entries_left":2,"bytes_left":70},"members":[]}"#
        );
    }

    #[test]
    fn a_status_of_version_1_keeps_its_bytes() {
        let status = Status {
            version: 1,
            node_id: 1,
            name: "bmc0".into(),
            connection: Connection::Joined,
            quorate: true,
            role: Role::Active,
            position: Position {
                epoch: 3,
                sequence: 9,
            },
            sync: Sync::Source,
            essential: true,
            switch: Switch::On,
            members: vec![Member {
                node_id: 2,
                name: "bmc1".into(),
                role: Role::Passive,
                position: Position {
                    epoch: 3,
                    sequence: 9,
                },
                sync: Sync::InSync,
                essential: true,
                acknowledged: Some(9),
                lag_ms: Some(0),
            }],
            entries: 12,
            transfer: None,
            problems: vec![],
            conflicts: 0,
        };
        let line = serde_json::to_string(&Reply::Status(Box::new(status.clone()))).unwrap();
        assert_eq!(
            line,
            concat!(
                r#"{"result":"status","version":1,"node_id":1,"name":"bmc0","connection":"joined","#,
                r#""quorate":true,"role":"active","position":{"epoch":3,"sequence":9},"sync":"source","essential":true,"#,
                r#""switch":"on","#,
                r#""members":[{"node_id":2,"name":"bmc1","role":"passive","#,
                r#""position":{"epoch":3,"sequence":9},"sync":"in-sync","essential":true,"acknowledged":9,"lag_ms":0}],"#,
                r#""entries":12,"transfer":null,"problems":[]}"#
            )
        );
        assert_eq!(
            serde_json::from_str::<Reply>(&line).unwrap(),
            Reply::Status(Box::new(status))
        );
    }

    #[test]
    fn a_later_epoch_is_newer_than_any_sequence() {
        assert!(
            Position {
                epoch: 2,
                sequence: 0
            } > Position {
                epoch: 1,
                sequence: u64::MAX
            }
        );
    }
}
