//! The lines that the bridge logs about the group: what a person reads first after a failover, and what the
//! timeline of one is put together from. They begin with fixed words.

use std::fmt::{self, Display};

use bmc_replication::{NodeId, Notice, Position, Role, RoleCause, Sync};

use crate::link::Link;
use crate::log;
use bmc_corosync::Reason;

/// Names of nodes.
pub(crate) trait Names {
    /// A name for people, whatever is known of the node.
    fn name_of(&self, node_id: u32) -> String;
}

impl Names for Link {
    fn name_of(&self, node_id: u32) -> String {
        self.name(node_id)
    }
}

/// What a node had when it was asked to be promoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CopyBefore {
    /// Whether it held what the Active held.
    pub(crate) sync: Sync,
    /// How new it was.
    pub(crate) position: Position,
}

impl Display for CopyBefore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.sync {
            Sync::Source | Sync::InSync => "its copy was in sync",
            Sync::Syncing | Sync::Failed => "its copy was not in sync",
            Sync::NoSource => "no Active was known, its copy was",
        };
        let Position { epoch, sequence } = self.position;
        write!(f, "{state} at epoch {epoch} sequence {sequence}")
    }
}

/// This node is in the group.
pub(crate) fn joined(group: &str, me: u32, names: &impl Names) {
    log::notice(format_args!(
        "joined the group {group} as {} (node {me})",
        names.name_of(me)
    ));
}

/// This node is not in the group any more.
pub(crate) fn disconnected(cause: &dyn Display) {
    log::warning(format_args!(
        "lost corosync: {cause}; joining again when it is back"
    ));
}

/// This node's partition has quorum from now on, or has lost it.
pub(crate) fn quorum(has_quorum: bool) {
    if has_quorum {
        log::notice("has quorum");
    } else {
        log::warning("lost quorum; a restarted Active does not go on as one without it");
    }
}

/// Another node came.
pub(crate) fn sibling_joined(node: u32, names: &impl Names) {
    log::notice(format_args!("sibling {} joined the group", names.name_of(node)));
}

/// Another node went.
pub(crate) fn sibling_left(node: u32, reason: Reason, names: &impl Names) {
    let why = match reason {
        Reason::Left => "it left",
        Reason::NodeDown => "its node is down or cut off",
        Reason::ProcessDown => "its bridge ended",
        Reason::Other => "reason unknown",
    };
    log::notice(format_args!(
        "sibling {} left the group: {why}",
        names.name_of(node)
    ));
}

/// Something that the replication core did. `copy`: what this node had when it was asked to be promoted.
pub(crate) fn core(notice: &Notice, copy: Option<&CopyBefore>, names: &impl Names) {
    let text = sentence(notice, copy, names);
    match notice {
        Notice::RoleChanged { .. } | Notice::ClockSet { .. } => log::notice(text),
        Notice::Problem(_) | Notice::KeptAside { .. } => log::warning(text),
        _ => log::info(text),
    }
}

fn sentence(notice: &Notice, copy: Option<&CopyBefore>, names: &impl Names) -> String {
    let name = |node: &NodeId| names.name_of(node.0);
    match notice {
        Notice::RoleChanged {
            cause: RoleCause::Deposed { epoch, owner },
            ..
        } => format!("deposed by {} in epoch {epoch}", name(owner)),
        Notice::RoleChanged {
            role: Role::Active,
            epoch,
            cause: RoleCause::Resumed,
        } => format!("resumed epoch {epoch}"),
        Notice::RoleChanged {
            role: Role::Active,
            epoch,
            ..
        } => match copy {
            Some(copy) => format!("promoted epoch {epoch}: {copy}"),
            None => format!("promoted epoch {epoch}"),
        },
        Notice::RoleChanged {
            role: Role::Passive,
            epoch,
            ..
        } => format!("demoted epoch {epoch}"),
        Notice::CompareStarted { node } => format!("sync started with {}", name(node)),
        Notice::CompareFinished { node, entries, bytes } => format!(
            "sync finished with {}: {entries} entries, {bytes} bytes sent",
            name(node)
        ),
        Notice::InSync { position } => {
            format!(
                "in sync at epoch {} sequence {}",
                position.epoch, position.sequence
            )
        }
        Notice::ClockSet { node, before, after } => format!(
            "clock set by {}: showed {:.3}, shows {:.3} (seconds since 1970)",
            name(node),
            before.as_secs_f64(),
            after.as_secs_f64()
        ),
        Notice::KeptAside { .. } => notice.to_string(),
        Notice::Problem(message) => message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Names for Fixed {
        fn name_of(&self, node_id: u32) -> String {
            format!("bmc{}", node_id - 1)
        }
    }

    #[test]
    fn role_changes_begin_with_fixed_words_and_name_the_epoch() {
        let changed = |role, cause| Notice::RoleChanged {
            role,
            epoch: 4,
            cause,
        };
        let deposed = RoleCause::Deposed {
            epoch: 5,
            owner: NodeId(2),
        };
        let lines = [
            (changed(Role::Active, RoleCause::Requested), "promoted epoch 4"),
            (changed(Role::Active, RoleCause::Resumed), "resumed epoch 4"),
            (changed(Role::Passive, RoleCause::Requested), "demoted epoch 4"),
            (changed(Role::Passive, deposed), "deposed by bmc1 in epoch 5"),
        ];
        for (notice, line) in lines {
            assert_eq!(sentence(&notice, None, &Fixed), line);
        }
    }

    #[test]
    fn a_promotion_says_what_the_copy_was() {
        let notice = Notice::RoleChanged {
            role: Role::Active,
            epoch: 4,
            cause: RoleCause::Requested,
        };
        let said = |sync| {
            let position = Position {
                epoch: 3,
                sequence: 9,
            };
            sentence(&notice, Some(&CopyBefore { sync, position }), &Fixed)
        };
        assert_eq!(
            said(Sync::InSync),
            "promoted epoch 4: its copy was in sync at epoch 3 sequence 9"
        );
        assert!(said(Sync::Failed).contains("not in sync"));
        assert!(said(Sync::Syncing).contains("not in sync"));
        assert!(said(Sync::NoSource).contains("no Active was known"));
    }

    #[test]
    fn a_finished_sync_names_the_node_and_counts() {
        let notice = Notice::CompareFinished {
            node: NodeId(1),
            entries: 3,
            bytes: 70,
        };
        assert_eq!(
            sentence(&notice, None, &Fixed),
            "sync finished with bmc0: 3 entries, 70 bytes sent"
        );
    }
}
