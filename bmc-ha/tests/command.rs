//! The command as scripts see it: exit status, standard output, standard error. Pacemaker's tools work on a
//! file here (`CIB_file`), so that no cluster is needed.

#![allow(clippy::unwrap_used, clippy::panic)]
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A configuration of Pacemaker in a file of its own.
struct Cib {
    folder: tempfile::TempDir,
}

impl Cib {
    /// With nothing in it.
    fn empty() -> Self {
        let answer = Command::new("cibadmin").arg("--empty").output().unwrap();
        Self::of(&answer.stdout)
    }

    /// Of a pair whose Active is bmc0.
    fn at_rest() -> Self {
        Self::of(include_bytes!("samples/at-rest.cib.xml"))
    }

    fn of(content: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cib.xml"), content).unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("cib.xml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    /// Writes a file of parameters for a board, with one of them changed.
    fn board(&self, name: &str, value: &str) -> PathBuf {
        let mut board: Value = serde_json::from_str(BOARD).unwrap();
        if !name.is_empty() {
            board[name] = value.into();
        }
        let path = self.folder.path().join("board.json");
        fs::write(&path, board.to_string()).unwrap();
        path
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_bmc-ha"))
            .args(arguments)
            .env("CIB_file", self.path())
            .env_remove("BMC_HA_PASSWORD")
            .output()
            .unwrap();
        Ended(output)
    }

    fn apply(&self, board: &Path) -> Ended {
        self.run(&[
            "template",
            "apply",
            "redundant-bmc",
            "--params",
            board.to_str().unwrap(),
        ])
    }
}

/// How a command ended.
struct Ended(Output);

impl Ended {
    fn status(&self) -> i32 {
        self.0.status.code().unwrap()
    }

    fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.0.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout()))
    }
}

const BOARD: &str = r#"{
    "node0": "bmc0", "node1": "bmc1",
    "mux_select_file": "/run/chassis/mux/select", "mux_grant_file": "/run/chassis/mux/grant",
    "fan_tach_files": "/run/chassis/fans/fan*_input", "fan_duty_files": "/run/chassis/fans/pwm*",
    "power_good_file": "/run/chassis/power/good",
    "fence_reset_file": "/run/chassis/sibling/reset", "fence_held_file": "/run/chassis/sibling/held",
    "fence_lock_file": "/run/chassis/sibling/fence_lock", "address": "10.77.0.10"
}"#;

#[test]
fn applying_twice_changes_nothing() {
    let cib = Cib::empty();
    let board = cib.board("", "");
    let first = cib.apply(&board);
    assert_eq!(first.status(), 0, "{}", first.stderr());
    let once = cib.text();
    let second = cib.apply(&board);
    assert!(second.stdout().contains("nothing changed"), "{}", second.stdout());
    assert_eq!(cib.text(), once);
}

#[test]
fn one_value_is_changed_and_the_others_are_kept() {
    let cib = Cib::at_rest();
    cib.apply(&cib.board("fan_tach_minimum", "750"));
    let ended = cib.run(&[
        "template",
        "apply",
        "redundant-bmc",
        "--keep",
        "--set",
        "fence_timeout=33s",
    ]);
    assert_eq!(ended.status(), 0, "{}", ended.stderr());
    assert!(cib.text().contains(r#"value="750""#) && cib.text().contains(r#"value="33s""#));
}

#[test]
fn the_policy_external_leaves_the_active_where_it_is() {
    let cib = Cib::at_rest();
    let ended = cib.run(&[
        "template",
        "apply",
        "redundant-bmc",
        "--keep",
        "--set",
        "policy=external",
    ]);
    assert_eq!(ended.status(), 0, "{}{}", ended.stdout(), ended.stderr());
    let text = cib.run(&["failover", "bmc1", "--dry-run"]).stdout();
    assert!(text.contains("promote mux on bmc1"), "{text}");
    let simulation = Command::new("crm_simulate")
        .args(["--simulate", "--xml-file"])
        .arg(cib.path())
        .output()
        .unwrap();
    let simulation = String::from_utf8_lossy(&simulation.stdout).into_owned();
    assert!(!simulation.contains("demote"), "{simulation}");
}

#[test]
fn a_configuration_that_takes_the_role_from_the_active_is_refused_without_force() {
    let cib = Cib::at_rest();
    // As if an administrator had prepared the next change by hand: the Active may not have the mux.
    let ban = r#"<rsc_location id="ban" rsc="mux-clone" node="bmc0" score="-INFINITY"/>"#;
    fs::write(
        cib.path(),
        cib.text()
            .replace("</constraints>", &format!("{ban}</constraints>")),
    )
    .unwrap();
    let before = cib.text();
    let change = [
        "template",
        "apply",
        "redundant-bmc",
        "--keep",
        "--set",
        "fan_tach_minimum=750",
    ];
    let refused = cib.run(&change);
    assert_eq!(refused.status(), 3, "{}{}", refused.stdout(), refused.stderr());
    assert!(
        refused.stdout().contains("WouldDemote: bmc0"),
        "{}",
        refused.stdout()
    );
    assert_eq!(cib.text(), before);
    assert_eq!(cib.run(&[&change[..], &["--force"]].concat()).status(), 0);
}

#[test]
fn a_bad_value_is_named_with_its_file_and_touches_nothing() {
    let cib = Cib::empty();
    let before = cib.text();
    let ended = cib.apply(&cib.board("policy", "maybe"));
    assert_eq!(ended.status(), 2);
    let message = ended.stderr();
    for word in ["board.json", "policy=maybe", "automatic, external"] {
        assert!(message.contains(word), "no {word} in {message}");
    }
    assert_eq!(cib.text(), before);
}

#[test]
fn verifying_and_rendering_change_nothing() {
    let cib = Cib::empty();
    let (before, board) = (cib.text(), cib.board("", ""));
    let board = board.to_str().unwrap();
    let verified = cib.run(&[
        "--output",
        "json",
        "template",
        "verify",
        "redundant-bmc",
        "--params",
        board,
    ]);
    assert_eq!(verified.json()["valid"], true, "{}", verified.stderr());
    let rendered = cib.run(&["template", "render", "redundant-bmc", "--params", board]);
    assert!(rendered.stdout().contains(r#"<clone id="mux-clone">"#));
    assert_eq!(cib.text(), before);
}

#[test]
fn every_template_is_listed_and_shown_with_its_parameters() {
    let cib = Cib::empty();
    assert!(cib.run(&["template", "list"]).stdout().contains("redundant-bmc"));
    let shown = cib
        .run(&["--output", "json", "template", "show", "redundant-bmc"])
        .json();
    let policy = &shown["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "policy")
        .unwrap();
    assert_eq!(policy["default"], "automatic");
    assert_eq!(cib.run(&["template", "show", "no-such"]).status(), 2);
}

#[test]
fn status_names_the_active_and_what_is_wrong() {
    let ended = Cib::at_rest().run(&["--output", "json", "status"]);
    // There is no bridge and no mux on the machine that runs this test.
    assert_eq!(ended.status(), 4, "{}", ended.stderr());
    let report = ended.json();
    assert_eq!(report["active"], "bmc0");
    assert_eq!(report["bmcs"][0]["role"], "active");
    let ids: Vec<&str> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    assert!(
        ids.contains(&"BridgeUnreachable") && ids.contains(&"MuxUnreadable"),
        "{ids:?}"
    );
}

#[test]
fn text_is_not_coloured_when_nobody_looks() {
    let text = Cib::at_rest().run(&["status"]).stdout();
    assert!(text.starts_with("bmc0 is Active"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn an_unsafe_switchover_is_refused_and_changes_nothing() {
    let cib = Cib::at_rest();
    let before = cib.text();
    let ended = cib.run(&["--output", "json", "failover"]);
    assert_eq!(ended.status(), 3, "{}", ended.stderr());
    let answer = ended.json();
    assert_eq!(
        (&answer["result"], &answer["to"]),
        (&"refused".into(), &"bmc1".into())
    );
    assert!(answer["reasons"].to_string().contains("SyncUnknown"), "{answer}");
    assert_eq!(cib.text(), before);
}

#[test]
fn a_dry_run_shows_what_pacemaker_would_do_and_changes_nothing() {
    let cib = Cib::at_rest();
    let before = cib.text();
    let text = cib.run(&["failover", "bmc1", "--dry-run"]).stdout();
    for step in ["demote mux on bmc0", "promote mux on bmc1", "start fan on bmc1"] {
        assert!(text.contains(step), "no {step} in {text}");
    }
    assert_eq!(cib.text(), before);
}

#[test]
fn a_switchover_to_the_active_or_to_nobody_is_refused() {
    let cib = Cib::at_rest();
    let active = cib.run(&["failover", "bmc0"]);
    assert_eq!(active.status(), 3);
    assert!(active.stdout().contains("AlreadyActive"), "{}", active.stdout());
    let unknown = cib.run(&["failover", "bmc7"]);
    assert_eq!(unknown.status(), 2);
    assert!(
        unknown.stderr().contains("its nodes are bmc0, bmc1"),
        "{}",
        unknown.stderr()
    );
}

#[test]
fn provisioning_checks_everything_before_it_touches_anything() {
    let cib = Cib::empty();
    let board = cib.board("policy", "maybe");
    let one = cib.run(&["provision", "--node", "bmc0=10.0.0.1"]);
    assert_eq!(one.status(), 2);
    assert!(one.stderr().contains("a pair is two BMCs"), "{}", one.stderr());
    let pair = [
        "provision",
        "--node",
        "bmc0=10.0.0.1",
        "--node",
        "bmc1=10.0.0.2",
        "--params",
    ];
    let bad = cib.run(&[&pair[..], &[board.to_str().unwrap()]].concat());
    assert_eq!(bad.status(), 2);
    assert!(bad.stderr().contains("policy=maybe"), "{}", bad.stderr());
}

#[test]
fn a_bad_list_is_explained_and_a_good_one_passes() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = write(
        "good.json",
        r#"{"Files":[{"Path":"/f","Description":"d","SyncDirection":"Active2Passive","SyncType":"AtJoin"}]}"#,
    );
    let bad = write(
        "bad",
        r#"{"Files":[{"Path":"/g/","Description":"d","SyncDirection":"Active2Passive","SyncTyp":"AtJoin"}]}"#,
    );
    let cib = Cib::empty();
    let check = cib.run(&["sync", "check", &good]);
    assert_eq!(
        (check.status(), check.stdout().as_str()),
        (0, "good, 1 entries\n")
    );

    let check = cib.run(&["sync", "check", folder.path().to_str().unwrap(), &bad]);
    assert_eq!(check.status(), 2, "{}", check.stderr());
    let explained = check.stdout();
    for expected in [
        &format!("--> {bad}:1:19 (Files[0].Path)"),
        "the path of a file cannot end in /",
        "did you mean \"SyncType\"?",
        "2 mistakes",
    ] {
        assert!(explained.contains(expected), "{expected}: {explained}");
    }
    let listed = cib.run(&["--output", "json", "sync", "check", &bad]);
    assert_eq!(
        (listed.status(), &listed.json()["problems"][1]["mistake"]),
        (2, &"unknown-key".into())
    );

    let missing = cib.run(&["sync", "check", "/nowhere.json"]);
    assert_eq!(missing.status(), 1);
    assert!(missing.stderr().contains("/nowhere.json"), "{}", missing.stderr());
}

#[test]
fn the_schema_is_one_of_json_schema() {
    let schema = Cib::empty().run(&["sync", "schema"]).json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn a_completion_script_knows_the_subcommands() {
    let script = Cib::empty().run(&["completion", "bash"]).stdout();
    assert!(script.contains("failover") && script.contains("provision"));
}

#[test]
fn a_question_about_the_settings_names_the_bridge_that_does_not_answer() {
    let cib = Cib::at_rest();
    let ended = cib.run(&["sync", "status"]);
    assert_eq!(ended.status(), 1);
    assert!(
        ended
            .stderr()
            .contains("connect to the bridge at /run/bmc-ha/bridge.sock"),
        "{}",
        ended.stderr()
    );
}
