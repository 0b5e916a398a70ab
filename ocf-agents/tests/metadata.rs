//! What the agents say about themselves, held to the schemas that resource-agents and fence-agents install.

#[cfg(test)]
mod support;

use std::fs;
use std::path::Path;

use support::{AGENTS, Outcome, World, tool};

const RESOURCE_AGENTS: &str = "/usr/share/resource-agents";
const FENCE_SCHEMA: &str = "/usr/share/cluster/relaxng/metadata.rng";

/// Runs xmllint in resource-agents' folder, where the document type is found.
fn xmllint(arguments: &[&str], document: &Path) {
    let mut command = tool("xmllint");
    let outcome = Outcome::of(
        command
            .arg("--noout")
            .args(arguments)
            .arg(document)
            .current_dir(RESOURCE_AGENTS),
    );
    outcome.expect(0);
}

#[test]
fn metadata_of_every_agent_is_valid_by_document_type_and_by_schema() {
    let world = World::new();
    for agent in AGENTS {
        let document = world.path(agent);
        fs::write(&document, world.run(agent, "meta-data").expect(0).stdout).unwrap();
        xmllint(&["--dtdvalid", "ra-api-1.dtd"], &document);
        xmllint(&["--relaxng", "metadata.rng"], &document);
    }
}

#[test]
fn metadata_of_the_fence_agent_is_valid_by_schema() {
    let world = World::new();
    let document = world.path("fence");
    fs::write(
        &document,
        world.run("fence_bmc", "--action=metadata").expect(0).stdout,
    )
    .unwrap();
    xmllint(&["--relaxng", FENCE_SCHEMA], &document);
}

#[test]
fn metadata_needs_no_environment_at_all() {
    for agent in AGENTS {
        let mut command = std::process::Command::new(support::PROGRAM);
        let outcome = Outcome::of(command.args([agent, "meta-data"]).env_clear());
        assert!(
            outcome.expect(0).stdout.contains("<version>1.1</version>"),
            "{agent}"
        );
    }
}

#[test]
fn promotable_agents_name_both_roles_in_the_words_of_version_1_1() {
    let world = World::new();
    for (agent, promotable) in [
        ("mux", true),
        ("settings", true),
        ("fan", false),
        ("power", false),
        ("target", false),
    ] {
        let document = world.run(agent, "meta-data").stdout;
        for word in [
            "role=\"Promoted\"",
            "role=\"Unpromoted\"",
            "name=\"promote\"",
            "name=\"demote\"",
        ] {
            assert_eq!(document.contains(word), promotable, "{agent}: {word}");
        }
    }
}

#[test]
fn an_action_that_is_not_offered_is_unimplemented() {
    let world = World::new();
    for (agent, action) in [
        ("mux", "migrate_to"),
        ("mux", "notify"),
        ("fan", "promote"),
        ("target", "demote"),
        ("power", ""),
    ] {
        world.run(agent, action).expect(3);
    }
}

#[test]
fn usage_lists_actions_and_parameters() {
    let world = World::new();
    for action in ["usage", "help"] {
        let usage = world.run("mux", action).expect(0).stdout;
        assert!(
            usage.contains("promote demote") && usage.contains("OCF_RESKEY_claim_timeout [5s]"),
            "{usage}"
        );
    }
    let mut command = std::process::Command::new(support::PROGRAM);
    Outcome::of(command.arg("mux")).expect(2);
}
