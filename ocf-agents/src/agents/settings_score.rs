//! The promotion score of the settings: how fresh is this copy.

use bmc_bridge_control::{Connection, Role, Status, Sync};

use crate::ocf::Score;

/// The Active itself: above every other, so that nothing moves without need.
const ACTIVE: u32 = 1000;
/// No Active is known and nobody here has a newer copy: the one to promote.
const NEWEST: u32 = 800;
/// Holds all that the Active has announced.
const IN_SYNC: u32 = 500;
/// No Active is known and a sibling has a newer copy: to be promoted only if the sibling cannot be.
const OLDER: u32 = 100;
/// An Active is known, and this copy has everything of priority 1, but not all of the rest.
const ESSENTIAL_IN_SYNC: u32 = 50;
/// An Active is known, and this copy is not complete.
const NOT_IN_SYNC: u32 = 10;
/// Decides between equals: the lower node id, so that both BMCs agree on one. Less than any step of the table.
const LOWER_NODE_ID: u32 = 5;

/// The score that a bridge's status stands for, by the table in `docs/architecture.md`.
#[must_use]
pub fn promotion_score(status: &Status) -> Score {
    if status.connection != Connection::Joined {
        return Score::None;
    }
    if status.role == Role::Active {
        return Score::Promotable(ACTIVE);
    }
    let active_known = status.members.iter().any(|member| member.role == Role::Active);
    // What is essential counts before how new the whole is: a copy that has it was with the last Active.
    let own_copy = (status.essential, status.position);
    let newer_copy = status
        .members
        .iter()
        .any(|member| (member.essential, member.position) > own_copy);
    let freshness = match (active_known, status.sync) {
        (true, Sync::InSync) => IN_SYNC,
        (true, _) if status.essential => ESSENTIAL_IN_SYNC,
        (true, _) => NOT_IN_SYNC,
        (false, _) if newer_copy => OLDER,
        (false, _) => NEWEST,
    };
    let lowest = status
        .members
        .iter()
        .all(|member| member.node_id > status.node_id);
    Score::Promotable(freshness + if lowest { LOWER_NODE_ID } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bmc_bridge_control::{Member, Position, Switch};

    fn at(epoch: u64, sequence: u64) -> Position {
        Position { epoch, sequence }
    }

    /// Node 2, Passive, joined, at (3, 9), with node 1 as `sibling` made it.
    fn status(sync: Sync, sibling: Option<(Role, Position)>) -> Status {
        let member = |(role, position)| Member {
            node_id: 1,
            name: "bmc0".into(),
            role,
            position,
            sync: Sync::InSync,
            essential: false,
            acknowledged: None,
            lag_ms: None,
        };
        Status {
            version: 1,
            node_id: 2,
            name: "bmc1".into(),
            connection: Connection::Joined,
            quorate: true,
            role: Role::Passive,
            position: at(3, 9),
            sync,
            essential: false,
            switch: Switch::On,
            members: sibling.map(member).into_iter().collect(),
            entries: 0,
            transfer: None,
            problems: Vec::new(),
            conflicts: 0,
        }
    }

    #[test]
    fn a_bridge_outside_the_group_is_not_promotable() {
        let mut status = status(Sync::InSync, None);
        status.connection = Connection::Disconnected;
        assert_eq!(promotion_score(&status), Score::None);
    }

    #[test]
    fn the_active_stays_where_it_is() {
        let mut status = status(Sync::Source, Some((Role::Passive, at(3, 9))));
        status.role = Role::Active;
        assert_eq!(promotion_score(&status), Score::Promotable(1000));
    }

    #[test]
    fn beside_an_active_what_counts_is_whether_the_copy_is_complete() {
        let active = Some((Role::Active, at(3, 9)));
        assert_eq!(
            promotion_score(&status(Sync::InSync, active)),
            Score::Promotable(500)
        );
        for sync in [Sync::Syncing, Sync::Failed, Sync::NoSource] {
            assert_eq!(
                promotion_score(&status(sync, active)),
                Score::Promotable(10),
                "{sync:?}"
            );
        }
    }

    #[test]
    fn without_an_active_the_newer_copy_is_promoted() {
        let beside = |position| promotion_score(&status(Sync::NoSource, Some((Role::Passive, position))));
        assert_eq!(beside(at(3, 8)), Score::Promotable(800));
        assert_eq!(beside(at(4, 0)), Score::Promotable(100));
    }

    #[test]
    fn a_copy_with_everything_of_priority_1_comes_between_one_in_sync_and_one_without() {
        let mut status = status(Sync::Failed, Some((Role::Active, at(3, 9))));
        status.essential = true;
        assert_eq!(promotion_score(&status), Score::Promotable(50));
    }

    #[test]
    fn without_an_active_what_is_essential_counts_before_how_new_the_whole_is() {
        let mut status = status(Sync::NoSource, Some((Role::Passive, at(3, 8))));
        status.members[0].essential = true;
        assert_eq!(promotion_score(&status), Score::Promotable(100));
        status.members[0].position = at(4, 0);
        status.essential = true;
        status.members[0].essential = false;
        assert_eq!(promotion_score(&status), Score::Promotable(800));
    }

    #[test]
    fn between_equals_the_lower_node_id_is_promoted() {
        let equal = Some((Role::Passive, at(3, 9)));
        assert_eq!(
            promotion_score(&status(Sync::NoSource, equal)),
            Score::Promotable(800)
        );
        let mut lower = status(Sync::NoSource, equal);
        lower.node_id = 0;
        assert_eq!(promotion_score(&lower), Score::Promotable(805));
    }

    #[test]
    fn a_bmc_alone_can_be_promoted() {
        assert_eq!(
            promotion_score(&status(Sync::NoSource, None)),
            Score::Promotable(805)
        );
    }
}
