//! The filled template against the installed Pacemaker's schema, and against tools that people use.

use std::fs;

use cib_templates::cluster::{Applied, Cib, CibError, verify};
use cib_templates::fill::{complete, fill};
use cib_templates::library::load;
use cib_templates::tool::Tool;
use cib_templates::values::{Origin, Values};
use cib_templates::xml::Element;

use crate::paper::{cib, values};

const EXTERNAL: &[(&str, &str)] = &[
    ("policy", "external"),
    ("fence_delay", "5s"),
    ("priority_fencing_delay", "5s"),
    ("address_nic", "eth0"),
    ("fan_tach_minimum", "500"),
    ("mux_claim_timeout", "500ms"),
];

/// A CIB in a file of its own.
fn on_disk(document: &str) -> (tempfile::TempDir, Cib) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cib.xml");
    fs::write(&path, document).unwrap();
    (folder, Cib::file(path))
}

fn empty_cib() -> (tempfile::TempDir, Cib) {
    on_disk(&Tool::new("cibadmin").arg("--empty").run().unwrap())
}

fn versions(cib: &Element) -> Vec<Option<&str>> {
    ["admin_epoch", "epoch", "num_updates"]
        .map(|name| cib.attribute(name))
        .to_vec()
}

#[test]
fn pacemaker_accepts_it_without_a_warning() {
    for more in [&[][..], EXTERNAL] {
        assert_eq!(verify(&cib(more)).unwrap(), Vec::<String>::new());
    }
}

#[test]
fn what_pacemaker_refuses_is_said_in_its_words() {
    let mut broken = cib(&[]);
    let resources = broken.child_or_new("configuration").child_or_new("resources");
    resources.children.push(Element::new("gadget"));
    let error = verify(&broken).unwrap_err();
    assert!(matches!(error, CibError::Invalid { .. }), "{error}");
    assert!(
        error.to_string().contains("Did not expect element gadget there"),
        "{error}"
    );
}

#[test]
fn applying_twice_changes_nothing_not_even_the_versions() {
    let (_folder, cib) = empty_cib();
    let filled = fill(&load("redundant-bmc").unwrap().unwrap(), &values(&[])).unwrap();
    assert_eq!(cib.apply(&filled).unwrap(), Applied::Changed);
    let first = cib.query().unwrap();
    assert_eq!(cib.apply(&filled).unwrap(), Applied::Unchanged);
    assert_eq!(versions(&first), versions(&cib.query().unwrap()));
}

#[test]
fn another_policy_is_one_push_and_leaves_what_others_added() {
    let (_folder, cib) = empty_cib();
    let template = load("redundant-bmc").unwrap().unwrap();
    cib.apply(&fill(&template, &values(EXTERNAL)).unwrap()).unwrap();
    let added = r#"<primitive id="theirs" class="ocf" provider="heartbeat" type="Dummy"/>"#;
    cib.tool("cibadmin")
        .args(["--create", "--scope=resources", "--xml-text", added])
        .run()
        .unwrap();
    let before = cib.query().unwrap();
    assert!(before.by_id("location-settings-external").is_some());
    cib.apply(&fill(&template, &values(&[])).unwrap()).unwrap();
    let after = cib.query().unwrap();
    assert!(after.by_id("location-settings-external").is_none());
    assert!(after.by_id("theirs").is_some());
}

#[test]
fn a_change_of_one_parameter_keeps_what_the_cluster_has_of_the_others() {
    let (_folder, cib) = empty_cib();
    let template = load("redundant-bmc").unwrap().unwrap();
    let given = values(EXTERNAL);
    cib.apply(&fill(&template, &given).unwrap()).unwrap();
    let nodes = r#"<nodes><node id="1" uname="bmc0"/><node id="2" uname="bmc1"/></nodes>"#;
    cib.tool("cibadmin")
        .args(["--replace", "--scope=nodes", "--xml-text", nodes])
        .run()
        .unwrap();

    let mut change = Values::new();
    change.set("fan_migration_threshold", "4", Origin::CommandLine);
    let completed = complete(&template, &cib.query().unwrap(), change);
    for (name, value, _) in given.iter() {
        assert_eq!(completed.get(name).map(|found| found.0), Some(value), "{name}");
    }
    let filled = fill(&template, &completed).unwrap();
    assert_eq!(cib.apply(&filled).unwrap(), Applied::Changed);
    let threshold = "fan-meta_attributes-migration-threshold";
    let after = cib.query().unwrap();
    assert_eq!(after.by_id(threshold).unwrap().attribute("value"), Some("4"));
}

#[test]
fn pcs_and_crmsh_read_it_as_their_own() {
    let (folder, cib) = empty_cib();
    cib.apply(&fill(&load("redundant-bmc").unwrap().unwrap(), &values(EXTERNAL)).unwrap())
        .unwrap();
    let path = folder.path().join("cib.xml").display().to_string();
    let pcs = Tool::new("pcs").args(["-f", &path, "config"]).run().unwrap();
    for words in [
        "Clone: settings-clone",
        "Resource: mux",
        "fence-bmc0",
        "bmc-active-request",
    ] {
        assert!(pcs.contains(words), "{words} is missing in {pcs}");
    }
    let crm = cib.tool("crm").args(["configure", "show"]).run().unwrap();
    for words in [
        "primitive mux ocf:openbmc:mux",
        "clone settings-clone settings",
        "stonith:fence_bmc",
    ] {
        assert!(crm.contains(words), "{words} is missing in {crm}");
    }
    // crmsh falls back to XML for what it cannot express.
    assert!(!crm.contains("xml <"), "{crm}");
}
