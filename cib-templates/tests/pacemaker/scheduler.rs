//! What Pacemaker's own scheduler does with the filled template. No cluster is needed: `crm_simulate`.

use crate::paper::{Outcome, Paper, cib};

/// bmc0 is Active, bmc1 Passive and in sync; scores as the settings agent then sets them.
fn running(more: &[(&str, &str)]) -> Paper {
    let outcome = Paper::healthy(more).run(&[]);
    outcome.assert_active("bmc0");
    outcome
        .paper
        .with_attribute("bmc0", "master-settings", Some("1000"))
        .with_attribute("bmc1", "master-settings", Some("500"))
}

fn ask_for(paper: Paper, node: &str) -> Paper {
    paper.with_attribute(node, "bmc-active-request", Some("1"))
}

/// Lets one thing go wrong once, then the scheduler react.
fn after_failure(paper: Paper, failure: &str) -> Outcome {
    paper.run(&[&format!("--op-inject={failure}")])
}

#[test]
fn of_two_healthy_bmcs_the_better_score_becomes_active_and_services_follow() {
    let outcome = Paper::healthy(&[]).run(&[]);
    outcome.assert_active("bmc0");
    let other = Paper::new(&[], [[Some(100), Some(10)], [Some(800), Some(10)]]).run(&[]);
    other.assert_active("bmc1");
}

#[test]
fn settings_are_promoted_before_the_mux_and_the_mux_before_any_service() {
    let outcome = Paper::healthy(&[]).run(&[]);
    for service in ["fan", "power", "target", "address"] {
        outcome.assert_order(&[
            "promote settings bmc0",
            "promote mux bmc0",
            &format!("start {service} bmc0"),
        ]);
    }
}

#[test]
fn a_content_cluster_is_left_alone() {
    let outcome = running(&[]).run(&[]);
    assert_eq!(outcome.actions, Vec::<String>::new());
    outcome.assert_active("bmc0");
}

#[test]
fn a_lost_active_is_reset_before_the_passive_takes_over() {
    let outcome = running(&[]).run(&["--node-fail=bmc0"]);
    outcome.assert_active("bmc1");
    outcome.assert_order(&[
        "fence bmc0",
        "promote settings bmc1",
        "promote mux bmc1",
        "start fan bmc1",
    ]);
}

#[test]
fn a_lost_passive_is_reset_and_the_active_notices_nothing() {
    let outcome = running(&[]).run(&["--node-fail=bmc1"]);
    outcome.assert_active("bmc0");
    assert!(
        outcome.actions.contains(&"fence bmc1".to_owned()),
        "{:#?}",
        outcome.actions
    );
    for service in ["fan", "power", "target", "address"] {
        let touched = outcome.actions.iter().any(|action| action.contains(service));
        assert!(!touched, "{:#?}", outcome.actions);
    }
}

#[test]
fn a_fence_device_runs_on_the_bmc_that_it_does_not_reset() {
    let outcome = Paper::healthy(&[]).run(&[]);
    assert_eq!(outcome.started("fence-bmc0"), Some("bmc1"));
    assert_eq!(outcome.started("fence-bmc1"), Some("bmc0"));
}

#[test]
fn a_request_moves_the_active_role_down_and_up_in_order() {
    let outcome = ask_for(running(&[]), "bmc1").run(&[]);
    outcome.assert_active("bmc1");
    assert!(!outcome.actions.iter().any(|action| action.starts_with("fence")));
    for service in ["fan", "power", "target", "address"] {
        outcome.assert_order(&[
            &format!("stop {service} bmc0"),
            "demote mux bmc0",
            "demote settings bmc0",
            "promote settings bmc1",
            "promote mux bmc1",
            &format!("start {service} bmc1"),
        ]);
    }
}

#[test]
fn a_request_that_is_withdrawn_leaves_the_role_where_it_is() {
    let outcome = ask_for(running(&[]), "bmc1").run(&[]);
    let paper = outcome
        .paper
        .with_attribute("bmc0", "master-settings", Some("500"))
        .with_attribute("bmc1", "master-settings", Some("1000"))
        .with_attribute("bmc1", "bmc-active-request", None);
    let outcome = paper.run(&[]);
    outcome.assert_active("bmc1");
    assert_eq!(outcome.actions, Vec::<String>::new());
}

#[test]
fn a_bmc_that_says_it_cannot_be_active_is_not_promoted_on_request() {
    let paper = running(&[]).with_attribute("bmc1", "master-settings", None);
    ask_for(paper, "bmc1").run(&[]).assert_active("bmc0");
}

#[test]
fn a_passive_that_is_not_in_sync_waits_while_there_is_a_better_one() {
    let paper = running(&[]).with_attribute("bmc1", "master-settings", Some("10"));
    paper.run(&[]).assert_active("bmc0");
}

#[test]
fn a_passive_that_is_not_in_sync_takes_over_when_it_is_all_there_is() {
    let paper = running(&[]).with_attribute("bmc1", "master-settings", Some("10"));
    paper.run(&["--node-fail=bmc0"]).assert_active("bmc1");
}

#[test]
fn a_bmc_that_cannot_read_its_mux_is_not_made_active() {
    let paper = Paper::new(&[], [[Some(805), None], [Some(800), Some(10)]]);
    paper.run(&[]).assert_active("bmc1");
}

#[test]
fn when_nobody_can_be_active_nobody_is() {
    let paper = Paper::new(&[], [[None, Some(10)], [None, Some(10)]]);
    paper.run(&[]).assert_nobody_active();
}

#[test]
fn with_policy_external_nobody_is_promoted_until_asked() {
    let paper = Paper::healthy(&[("policy", "external")]);
    let outcome = paper.run(&[]);
    outcome.assert_nobody_active();
    ask_for(outcome.paper, "bmc1").run(&[]).assert_active("bmc1");
}

#[test]
fn with_policy_external_a_lost_active_stays_lost_until_asked() {
    let paper = ask_for(Paper::healthy(&[("policy", "external")]), "bmc0");
    let outcome = paper.run(&[]);
    outcome.assert_active("bmc0");
    let outcome = outcome.paper.run(&["--node-fail=bmc0"]);
    outcome.assert_nobody_active();
    assert!(outcome.actions.contains(&"fence bmc0".to_owned()));
    ask_for(outcome.paper, "bmc1").run(&[]).assert_active("bmc1");
}

#[test]
fn with_policy_external_the_active_stays_once_its_request_is_settled() {
    let outcome = ask_for(Paper::healthy(&[("policy", "external")]), "bmc1").run(&[]);
    let paper = outcome
        .paper
        .with_attribute("bmc1", "bmc-active-request", Some("0"));
    let outcome = paper.run(&[]);
    outcome.assert_active("bmc1");
    assert_eq!(outcome.actions, Vec::<String>::new());
}

#[test]
fn a_service_that_fails_is_restarted_in_place_and_takes_no_other_down() {
    let outcome = after_failure(running(&[]), "fan_monitor_5000@bmc0=1");
    outcome.assert_active("bmc0");
    outcome.assert_order(&["stop fan bmc0", "start fan bmc0"]);
    let others = outcome.actions.iter().filter(|action| !action.contains("fan"));
    assert_eq!(others.count(), 0, "{:#?}", outcome.actions);
}

#[test]
fn a_service_that_fails_to_start_is_started_again_in_place() {
    let outcome = Paper::healthy(&[]).run(&["--op-fail=fan_start_0@bmc0=1"]);
    let outcome = outcome.paper.run(&[]);
    outcome.assert_active("bmc0");
    outcome.assert_order(&["stop fan bmc0", "start fan bmc0"]);
    // The controller would count one failed start as infinitely many; crm_simulate has no controller.
    let fatal = cib(&[])
        .by_id("cib-bootstrap-options-start-failure-is-fatal")
        .cloned();
    assert_eq!(fatal.unwrap().attribute("value"), Some("false"));
}

#[test]
fn a_service_that_keeps_failing_causes_no_failover_by_default() {
    let mut paper = running(&[]);
    for _ in 0..5 {
        let outcome = after_failure(paper, "fan_monitor_5000@bmc0=1");
        outcome.assert_active("bmc0");
        paper = outcome.paper;
    }
}

#[test]
fn a_service_whose_threshold_says_so_causes_a_failover() {
    let paper = running(&[("fan_migration_threshold", "1")]);
    after_failure(paper, "fan_monitor_5000@bmc0=1").assert_active("bmc1");
}

#[test]
fn a_mux_that_is_lost_is_claimed_again_and_then_left_to_the_sibling() {
    let outcome = after_failure(running(&[]), "mux_monitor_2000@bmc0=9");
    outcome.assert_active("bmc0");
    outcome.assert_order(&["stop fan bmc0", "promote mux bmc0", "start fan bmc0"]);
    after_failure(outcome.paper, "mux_monitor_2000@bmc0=9").assert_active("bmc1");
}

#[test]
fn a_bmc_that_cannot_let_go_is_reset() {
    let paper = ask_for(running(&[]), "bmc1");
    let outcome = paper.run(&["--op-fail=fan_stop_0@bmc0=1"]);
    let outcome = outcome.paper.run(&[]);
    outcome.assert_order(&["fence bmc0", "promote mux bmc1"]);
    outcome.assert_active("bmc1");
}

#[test]
fn a_bmc_that_starts_alone_resets_its_unseen_sibling_and_goes_on() {
    let outcome = Paper::healthy(&[]).run(&["--node-fail=bmc1"]);
    outcome.assert_order(&["fence bmc1", "promote settings bmc0"]);
    outcome.assert_active("bmc0");
}
