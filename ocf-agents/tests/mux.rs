//! The mux agent, called as Pacemaker calls it.

#[cfg(test)]
mod support;

use support::World;

#[test]
fn a_whole_life() {
    let world = World::new();
    world.probe("mux").expect(7);
    world.run("mux", "start").expect(0);
    world.run("mux", "monitor").expect(0);
    world.run("mux", "promote").expect(0);
    assert_eq!(world.read("grant"), "1");
    world.run("mux", "monitor").expect(8);
    world.run("mux", "demote").expect(0);
    assert_eq!(world.read("grant"), "0");
    world.run("mux", "monitor").expect(0);
    world.run("mux", "stop").expect(0);
    world.run("mux", "monitor").expect(7);
}

#[test]
fn everything_can_be_asked_twice() {
    let world = World::new();
    for (action, state) in [("start", 0), ("promote", 8), ("demote", 0), ("stop", 7)] {
        world.run("mux", action).expect(0);
        world.run("mux", action).expect(0);
        world.run("mux", "monitor").expect(state);
    }
}

#[test]
fn the_promoted_monitor_notices_that_the_mux_was_lost() {
    let world = World::new();
    world.run("mux", "start").expect(0);
    world.run("mux", "promote").expect(0);
    world.write("select", "0");
    let outcome = world.run("mux", "monitor").expect(9);
    assert!(
        outcome.reason().contains("does not hold the mux any more"),
        "{}",
        outcome.reason()
    );
    world.run("mux", "demote").expect(0);
    world.run("mux", "monitor").expect(0);
}

#[test]
fn a_promoted_mux_that_cannot_be_read_has_failed_and_is_not_promotable() {
    let world = World::new();
    world.run("mux", "start").expect(0);
    world.run("mux", "promote").expect(0);
    world.remove("grant");
    world.run("mux", "monitor").expect(9);
    assert_eq!(world.scores().last().unwrap(), "--promotion=mux --delete");
}

#[test]
fn an_unpromoted_monitor_proves_that_the_mux_can_be_read() {
    let world = World::new();
    world.run("mux", "start").expect(0);
    world.stick_mux("perhaps");
    let outcome = world.run("mux", "monitor").expect(1);
    assert!(
        outcome.reason().ends_with("expected 0 or 1, got \"perhaps\""),
        "{}",
        outcome.reason()
    );
}

#[test]
fn an_unpromoted_bmc_that_finds_itself_holding_the_mux_says_so() {
    let world = World::new();
    world.run("mux", "start").expect(0);
    world.write("select", "1");
    world.run("mux", "monitor").expect(8);
}

#[test]
fn a_start_gives_back_a_mux_that_was_held_before() {
    let world = World::new();
    world.write("select", "1");
    world.probe("mux").expect(8);
    world.run("mux", "start").expect(0);
    assert_eq!(world.read("grant"), "0");
}

#[test]
fn a_probe_without_hardware_says_not_running() {
    let world = World::new();
    world.remove("grant");
    world.probe("mux").expect(7);
    world.run("mux", "stop").expect(0);
    let missing = [
        ("OCF_RESKEY_mux_backend", "command"),
        ("OCF_RESKEY_mux_command", "/nonexistent/mux"),
    ];
    world.run_with("mux", "monitor", &missing).expect(7);
}

#[test]
fn a_stop_that_cannot_prove_the_release_fails() {
    let world = World::new();
    world.run("mux", "start").expect(0);
    world.run("mux", "promote").expect(0);
    world.remove("grant");
    world.run("mux", "stop").expect(1);
}

#[test]
fn a_promotion_that_is_not_granted_fails_and_withdraws_its_claim() {
    let world = World::new();
    world.run("mux", "start").expect(0);
    world.stick_mux("0");
    let outcome = world
        .run_with("mux", "promote", &[("OCF_RESKEY_claim_timeout", "100ms")])
        .expect(1);
    assert!(
        outcome.reason().contains("the sibling still holds it"),
        "{}",
        outcome.reason()
    );
    assert_eq!(world.read("select"), "0");
    world.run("mux", "monitor").expect(0);
}

#[test]
fn a_claim_gives_up_before_pacemaker_does() {
    let world = World::new();
    world.run("mux", "start").expect(0);
    world.stick_mux("0");
    let begun = std::time::Instant::now();
    world
        .run_with("mux", "promote", &[("OCF_RESKEY_CRM_meta_timeout", "1000")])
        .expect(1);
    assert!(
        begun.elapsed().as_millis() < 1000,
        "took {} ms",
        begun.elapsed().as_millis()
    );
}

#[test]
fn what_was_never_started_cannot_be_promoted() {
    let world = World::new();
    world.run("mux", "promote").expect(7);
    assert_eq!(world.read("select"), "0");
}

#[test]
fn the_score_is_set_at_start_and_by_probes_and_not_by_monitors() {
    let world = World::new();
    world.run("mux", "start").expect(0);
    world.run("mux", "monitor").expect(0);
    world.run("mux", "promote").expect(0);
    world.run("mux", "monitor").expect(8);
    assert_eq!(world.scores(), ["--promotion=mux --update=10"]);
    world.probe("mux").expect(8);
    assert_eq!(world.scores().len(), 2);
    world.run("mux", "stop").expect(0);
    assert_eq!(world.scores().last().unwrap(), "--promotion=mux --delete");
}

#[test]
fn without_a_cluster_the_agent_still_works() {
    let mut world = World::new();
    world.set("HA_SBIN_DIR", "/nonexistent");
    let outcome = world.run("mux", "start").expect(0);
    assert!(
        outcome
            .stderr
            .contains("WARNING: set promotion score 10: run /nonexistent/crm_attribute"),
        "{}",
        outcome.stderr
    );
    world.run("mux", "monitor").expect(0);
}

#[test]
fn a_program_can_be_the_mux() {
    let mut world = World::new();
    let state = world.path("state").display().to_string();
    let verbs = format!("claim) echo held >{state};; release) echo free >{state};; state) cat {state};;");
    support::script::install(&world.path("program"), &format!("case $1 in {verbs} esac"));
    world.write("state", "free");
    world.set("OCF_RESKEY_mux_backend", "command");
    world.set(
        "OCF_RESKEY_mux_command",
        &world.path("program").display().to_string(),
    );
    world.run("mux", "start").expect(0);
    world.run("mux", "promote").expect(0);
    world.run("mux", "monitor").expect(8);
    world.run("mux", "stop").expect(0);
    assert_eq!(world.read("state"), "free");
}
