//! The bridge where there is no Corosync: what it refuses, and that it can be asked all the same.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod pair;

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use bmc_bridge_control::{Client, Connection};
use pair::{PATIENCE, Process};
use tempfile::TempDir;

const BRIDGE: &str = env!("CARGO_BIN_EXE_corosync-bridge");

/// A directory with what a bridge needs.
fn world(list: &str) -> TempDir {
    let directory = TempDir::new().unwrap();
    for name in ["lists", "state", "run"] {
        fs::create_dir(directory.path().join(name)).unwrap();
    }
    fs::write(directory.path().join("lists/list.json"), list).unwrap();
    directory
}

fn good_list(directory: &str) -> String {
    format!(
        r#"{{"Directories":[{{"Path":"{directory}/","Description":"test","SyncDirection":"Active2Passive","SyncType":"Immediate"}}]}}"#
    )
}

/// A bridge in a network of its own, where no Corosync can be.
fn bridge(world: &TempDir) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", BRIDGE]);
    for name in ["config", "state", "run"] {
        let directory = if name == "config" { "lists" } else { name };
        command
            .arg(format!("--{name}-dir"))
            .arg(world.path().join(directory));
    }
    command.arg("--socket").arg(socket(world));
    command
}

fn socket(world: &TempDir) -> std::path::PathBuf {
    world.path().join("run/bridge.sock")
}

fn message(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_bad_list_is_refused_by_the_check_and_by_the_bridge_with_the_same_message() {
    let world = world(&good_list("/mnt/x").replace("Immediate", "Instant"));
    for arguments in [&["--check-config"][..], &[]] {
        let output = bridge(&world).args(arguments).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(78),
            "the service would be restarted for nothing"
        );
        let message = message(&output);
        for expected in [
            r#"error[bad-value]: "Instant" is not accepted"#,
            "lists/list.json:1:100 (Directories[0].SyncType)",
            "help: it has to be one of Immediate, Periodic, AtJoin",
        ] {
            assert!(message.contains(expected), "{message}");
        }
    }
}

#[test]
fn a_good_list_passes_the_check_and_nothing_is_left_behind() {
    let world = world(&good_list("/mnt/x"));
    let output = bridge(&world).arg("--check-config").output().unwrap();
    assert!(output.status.success(), "{}", message(&output));
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .ends_with("good, 1 entries\n")
    );
    assert_eq!(fs::read_dir(world.path().join("run")).unwrap().count(), 0);
}

#[test]
fn a_list_that_covers_the_bridges_own_state_is_refused() {
    let world = world("");
    let list = good_list(world.path().to_str().unwrap());
    fs::write(world.path().join("lists/list.json"), list).unwrap();
    let output = bridge(&world).arg("--check-config").output().unwrap();
    assert!(!output.status.success());
    assert!(
        message(&output).contains("keeps its own state"),
        "{}",
        message(&output)
    );
}

#[test]
fn the_bridge_answers_while_corosync_is_away_and_refuses_what_needs_it() {
    let world = world(&good_list("/mnt/x"));
    let process = Process::start("bridge", &mut bridge(&world));
    process.expect("join the group bmc-ha: cmap_initialize: CS_ERR_");
    let mut client = Client::connect(&socket(&world)).unwrap();
    let status = client.status(PATIENCE).unwrap();
    assert_eq!(
        (status.connection, status.quorate),
        (Connection::Disconnected, false)
    );
    assert!(status.problems[0].message.starts_with("join the group bmc-ha"));
    let refusal = client
        .run(bmc_bridge_control::Command::Promote, PATIENCE)
        .unwrap_err();
    assert_eq!(refusal.to_string(), "promote: this bridge is not in the group");
}

#[test]
fn waiting_for_the_group_ends_at_the_deadline_with_the_reason_why_it_is_not_joined() {
    let world = world(&good_list("/mnt/x"));
    let process = Process::start("bridge", &mut bridge(&world));
    process.expect("join the group bmc-ha: cmap_initialize: CS_ERR_");
    let refusal = Client::connect(&socket(&world))
        .unwrap()
        .run(
            bmc_bridge_control::Command::WaitJoined,
            Duration::from_millis(100),
        )
        .unwrap_err()
        .to_string();
    assert!(
        refusal
            .starts_with("wait to join the group bmc-ha: not in it after 100 ms: cmap_initialize: CS_ERR_"),
        "{refusal}"
    );
}

#[test]
fn a_second_bridge_with_the_same_state_is_refused() {
    let world = world(&good_list("/mnt/x"));
    let process = Process::start("bridge", &mut bridge(&world));
    process.expect("join the group");
    let output = bridge(&world).output().unwrap();
    assert!(
        message(&output).contains("is another bridge running?"),
        "{}",
        message(&output)
    );
}

#[test]
fn a_user_who_is_not_root_cannot_ask() {
    let world = world(&good_list("/mnt/x"));
    // The way to the socket is open, so that only the socket itself is in the way.
    open_to_all(world.path());
    let process = Process::start("bridge", &mut bridge(&world));
    process.expect("join the group");
    let path = socket(&world);
    assert!(UnixStream::connect(&path).is_ok());
    let refused = std::thread::spawn(move || {
        // Only this thread changes its user.
        let nobody = rustix::process::Uid::from_raw(65534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        UnixStream::connect(&path).unwrap_err()
    });
    assert_eq!(
        refused.join().unwrap().kind(),
        std::io::ErrorKind::PermissionDenied
    );
}

fn open_to_all(directory: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for path in [directory, &directory.join("run")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}
