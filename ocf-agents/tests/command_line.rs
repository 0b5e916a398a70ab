//! The program called by its own name.

#[cfg(test)]
mod support;

use support::{AGENTS, World};

#[test]
fn the_first_argument_is_the_agent() {
    let world = World::new();
    let document = world.call("ocf-agents", &["mux", "meta-data"]).expect(0).stdout;
    assert_eq!(document, world.run("mux", "meta-data").stdout);
    world.call("ocf-agents", &["fence_bmc", "--version"]).expect(0);
}

#[test]
fn help_lists_every_agent() {
    let world = World::new();
    let help = world.call("ocf-agents", &["--help"]).expect(0).stdout;
    for agent in AGENTS {
        assert!(help.contains(&format!("\n  {agent}  ")), "{help}");
    }
    assert!(
        world
            .call("ocf-agents", &["--version"])
            .expect(0)
            .stdout
            .starts_with("ocf-agents ")
    );
}

#[test]
fn an_unknown_agent_is_a_usage_error() {
    let world = World::new();
    for arguments in [&["disk", "start"][..], &[]] {
        let outcome = world.call("ocf-agents", arguments).expect(2);
        assert!(
            outcome.stderr.starts_with("usage: ocf-agents AGENT ACTION"),
            "{}",
            outcome.stderr
        );
    }
}
