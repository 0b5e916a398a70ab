use super::*;
use crate::cluster::view::{Ban, FailCount, FenceEvent};
use crate::status::fixtures::at_rest;

fn problem_ids(observed: &Observed) -> Vec<ReasonId> {
    report(observed)
        .problems
        .iter()
        .map(|problem| problem.id)
        .collect()
}

fn view_of(observed: &mut Observed) -> &mut View {
    observed.view.as_mut().unwrap()
}

fn bridge_of(observed: &mut Observed) -> &mut Status {
    observed.bridge.as_mut().unwrap()
}

#[test]
fn a_pair_at_rest_is_healthy_and_its_passive_can_take_over() {
    let report = report(&at_rest("bmc0"));
    assert_eq!(report.problems, []);
    assert!(report.healthy);
    assert_eq!(report.active.as_deref(), Some("bmc0"));
    assert_eq!(report.bmcs[0].role, BmcRole::Active);
    assert_eq!(report.bmcs[0].services, ["fan", "power", "target", "address"]);
    assert_eq!(report.bmcs[1].role, BmcRole::Passive);
    assert!(report.bmcs[1].can_be_active && !report.bmcs[1].waits_for_request);
    assert_eq!(report.bmcs[1].lag_ms, Some(0));
}

#[test]
fn a_copy_that_is_behind_cannot_take_over() {
    let mut observed = at_rest("bmc0");
    bridge_of(&mut observed).members[0].sync = bmc_bridge_control::Sync::Failed;
    let report = report(&observed);
    assert!(!report.bmcs[1].can_be_active && !report.healthy);
    assert_eq!(report.bmcs[1].reasons[0].id, ReasonId::NotInSync);
    assert_eq!(report.bmcs[1].reasons[0].openbmc, Some("DataSyncFailed"));
}

#[test]
fn a_copy_that_is_behind_tells_whether_what_has_priority_1_is_in_sync() {
    let mut observed = at_rest("bmc0");
    let bridge = bridge_of(&mut observed);
    bridge.essential = true;
    bridge.members[0].sync = bmc_bridge_control::Sync::Failed;
    let said = |observed: &Observed| report(observed).bmcs[1].reasons[0].message.clone();
    assert!(said(&observed).ends_with("; not everything of priority 1 is in sync"));
    bridge_of(&mut observed).members[0].essential = true;
    assert!(said(&observed).ends_with("; everything of priority 1 is in sync"));
}

#[test]
fn a_lost_bmc_has_that_one_reason() {
    let mut observed = at_rest("bmc0");
    view_of(&mut observed).nodes[1].online = false;
    let report = report(&observed);
    let ids: Vec<_> = report.bmcs[1].reasons.iter().map(|reason| reason.id).collect();
    assert_eq!(ids, [ReasonId::NotOnline]);
    assert_eq!(report.bmcs[1].state, BmcState::Offline);
}

#[test]
fn nobody_active_and_two_actives_are_problems() {
    let mut observed = at_rest("bmc0");
    for instance in &mut view_of(&mut observed).instances {
        if instance.role == Role::Promoted {
            instance.role = Role::Unpromoted;
        }
    }
    observed.mux = Ok(false);
    assert_eq!(problem_ids(&observed), [ReasonId::NobodyActive]);
    for instance in &mut view_of(&mut observed).instances {
        if instance.role == Role::Unpromoted {
            instance.role = Role::Promoted;
        }
    }
    observed.mux = Ok(true);
    assert!(problem_ids(&observed).contains(&ReasonId::TwoActives));
}

#[test]
fn hardware_that_contradicts_the_cluster_is_a_problem() {
    let mut observed = at_rest("bmc0");
    observed.mux = Ok(false);
    assert_eq!(problem_ids(&observed), [ReasonId::MuxDisagrees]);
    let mut observed = at_rest("bmc1");
    observed.mux = Err("read /run/chassis/mux/grant: gone".to_owned());
    assert_eq!(problem_ids(&observed), [ReasonId::MuxUnreadable]);
}

#[test]
fn without_pacemaker_the_bridge_and_the_hardware_are_still_shown() {
    let mut observed = at_rest("bmc0");
    observed.view = Err("crm_mon: not connected".to_owned());
    let report = report(&observed);
    assert!(!report.cluster.reachable && !report.healthy);
    assert_eq!(report.problems[0].id, ReasonId::ClusterUnreachable);
    assert_eq!(report.mux.held_here, Some(true));
    assert_eq!(report.bmcs[0].sync, Some(bmc_bridge_control::Sync::Source));
}

#[test]
fn fencing_that_would_not_work_is_a_problem() {
    let mut observed = at_rest("bmc0");
    view_of(&mut observed).fencing_enabled = false;
    assert_eq!(problem_ids(&observed), [ReasonId::FencingDisabled]);

    let mut observed = at_rest("bmc0");
    let view = view_of(&mut observed);
    view.instances.retain(|instance| instance.id != "fence-bmc1");
    assert_eq!(problem_ids(&observed), [ReasonId::FencingDeviceDown]);

    let mut observed = at_rest("bmc0");
    view_of(&mut observed).fence_events.push(FenceEvent {
        target: "bmc1".to_owned(),
        action: "reboot".to_owned(),
        status: "failed".to_owned(),
        delegate: None,
        completed: None,
        reason: Some("no proof".to_owned()),
    });
    assert_eq!(problem_ids(&observed), [ReasonId::FencingFailed]);
}

#[test]
fn a_service_that_failed_and_too_many_failures_are_named() {
    let mut observed = at_rest("bmc0");
    let view = view_of(&mut observed);
    let fan = view
        .instances
        .iter_mut()
        .find(|instance| instance.id == "fan")
        .unwrap();
    fan.failed = true;
    view.fail_counts.push(FailCount {
        resource: "mux".to_owned(),
        node: "bmc1".to_owned(),
        failures: Some(2),
        threshold: Some(2),
    });
    assert_eq!(
        problem_ids(&observed),
        [ReasonId::ServiceNotRunning, ReasonId::TooManyFailures]
    );
}

#[test]
fn a_bridge_that_does_not_answer_leaves_synchronisation_unknown() {
    let mut observed = at_rest("bmc0");
    observed.bridge = Err("connect to the bridge: gone".to_owned());
    let report = report(&observed);
    assert_eq!(report.problems[0].id, ReasonId::BridgeUnreachable);
    assert_eq!(report.problems.len(), 1, "said once: {:?}", report.problems);
    assert!(!report.bmcs[1].can_be_active);
}

#[test]
fn with_the_policy_external_the_passive_waits_to_be_asked() {
    let mut observed = at_rest("bmc0");
    observed.configuration.as_mut().unwrap().policy = Policy::External;
    let report = report(&observed);
    assert!(report.bmcs[1].can_be_active && report.bmcs[1].waits_for_request);
}

#[test]
fn a_ban_that_is_not_the_templates_own_is_named() {
    let mut observed = at_rest("bmc0");
    for id in ["location-settings-mux-rule", "cli-ban-mux-clone-on-bmc1"] {
        view_of(&mut observed).bans.push(Ban {
            id: id.to_owned(),
            resource: "mux-clone".to_owned(),
            node: "bmc1".to_owned(),
        });
    }
    let report = report(&observed);
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    assert!(report.problems[0].message.contains("cli-ban-mux-clone-on-bmc1"));
}

#[test]
fn replication_that_is_switched_off_is_a_problem_that_names_what_ends_it() {
    let mut observed = at_rest("bmc0");
    bridge_of(&mut observed).switch = Switch::Disabled;
    let report = report(&observed);
    assert_eq!(report.problems[0].id, ReasonId::ReplicationSwitchedOff);
    assert!(
        report.problems[0].message.contains("bmc-ha sync enable"),
        "{:?}",
        report.problems
    );
}
