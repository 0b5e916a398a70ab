//! `bmc-ha sync` as scripts see it, with a stand-in for the bridge on a socket that the CIB names.

#![allow(clippy::unwrap_used, clippy::panic)]
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output};
use std::thread;

use bmc_bridge_control::{
    Command, Connection, Member, Position, Progress, Reply, Request, Role, Status, Switch, Sync, Transfer,
};

/// A BMC with a stand-in bridge.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("bridge.sock");
        let settings = format!(
            r#"<primitive id="settings" class="ocf" provider="openbmc" type="settings">
               <instance_attributes id="settings-parameters">
                 <nvpair id="settings-socket" name="socket" value="{}"/>
               </instance_attributes></primitive>"#,
            socket.display()
        );
        let cib = Process::new("cibadmin").arg("--empty").output().unwrap();
        let cib = String::from_utf8(cib.stdout).unwrap();
        assert!(cib.contains("<resources/>"), "{cib}");
        let cib = cib.replace("<resources/>", &format!("<resources>{settings}</resources>"));
        fs::write(folder.path().join("cib.xml"), cib).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the command while a bridge answers it.
    fn run(&self, arguments: &[&str], answers: impl Fn(Command) -> Vec<Reply> + Send) -> Output {
        let listener = UnixListener::bind(self.path("bridge.sock")).unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                let (connection, _) = listener.accept().unwrap();
                let mut writer = &connection;
                for line in BufReader::new(&connection).lines().map_while(Result::ok) {
                    let request: Request = serde_json::from_str(&line).unwrap();
                    for reply in answers(request.command) {
                        let line = serde_json::to_string(&reply).unwrap();
                        // A command that has seen enough hangs up.
                        let _ = writeln!(writer, "{line}");
                    }
                }
            });
            let ended = run(&self.path("cib.xml"), arguments);
            // A command that never asked does not leave the bridge waiting for it.
            drop(UnixStream::connect(self.path("bridge.sock")));
            ended
        })
    }
}

fn run(cib: &Path, arguments: &[&str]) -> Output {
    Process::new(env!("CARGO_BIN_EXE_bmc-ha"))
        .args(arguments)
        .env("CIB_file", cib)
        .output()
        .unwrap()
}

fn sibling() -> Member {
    Member {
        node_id: 2,
        name: "bmc1".to_owned(),
        role: Role::Passive,
        position: Position {
            epoch: 3,
            sequence: 9,
        },
        sync: Sync::InSync,
        essential: false,
        acknowledged: Some(9),
        lag_ms: Some(0),
    }
}

fn status(role: Role, members: Vec<Member>) -> Reply {
    Reply::Status(Box::new(Status {
        version: bmc_bridge_control::messages::VERSION,
        node_id: 1,
        name: "bmc0".to_owned(),
        connection: Connection::Joined,
        quorate: true,
        role,
        position: Position {
            epoch: 3,
            sequence: 9,
        },
        sync: Sync::Source,
        essential: false,
        switch: Switch::Paused,
        members,
        entries: 12,
        transfer: None,
        problems: Vec::new(),
        conflicts: 0,
    }))
}

fn progress(entries_left: u64, members: Vec<Member>) -> Reply {
    Reply::Progress(Progress {
        transfer: Transfer {
            entries_left,
            bytes_left: entries_left * 100,
        },
        members,
    })
}

/// The Active's bridge, which has a sibling or none.
fn active(siblings: &[Member]) -> impl Fn(Command) -> Vec<Reply> + Send {
    let siblings = siblings.to_vec();
    move |command| match command {
        Command::Status => vec![status(Role::Active, siblings.clone())],
        Command::Flush | Command::FullSync => vec![
            progress(3, siblings.clone()),
            progress(3, siblings.clone()),
            progress(0, siblings.clone()),
            Reply::Done,
        ],
        _ => vec![Reply::Done],
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_flush_that_was_waited_for_says_on_whom_everything_is_saved() {
    let ended = World::new().run(
        &["sync", "flush", "--wait", "--require-sibling"],
        active(&[sibling()]),
    );
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    assert_eq!(stdout(&ended), "saved on bmc0 and bmc1\n");
}

#[test]
fn a_flush_without_a_sibling_says_so_and_fails_only_when_one_is_required() {
    let world = World::new();
    let ended = world.run(&["--output", "json", "sync", "flush", "--wait"], active(&[]));
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    let answer: serde_json::Value = serde_json::from_str(&stdout(&ended)).unwrap();
    assert_eq!(
        (&answer["result"], &answer["siblings"]),
        (&"done".into(), &serde_json::json!([]))
    );
    let ended = World::new().run(&["sync", "flush", "--wait", "--require-sibling"], active(&[]));
    assert_eq!(ended.status.code(), Some(4));
    assert!(
        stdout(&ended).contains("there is no sibling"),
        "{}",
        stdout(&ended)
    );
}

#[test]
fn a_sibling_that_does_not_follow_is_not_one_on_which_something_is_saved() {
    let mut joining = sibling();
    joining.acknowledged = None;
    let ended = World::new().run(
        &["sync", "flush", "--wait", "--require-sibling"],
        active(&[joining]),
    );
    assert_eq!(ended.status.code(), Some(4), "{}", stdout(&ended));
}

#[test]
fn a_flush_that_the_bridge_gives_up_fails_with_its_words() {
    let ended = World::new().run(&["sync", "flush", "--wait"], |command| match command {
        Command::Status => vec![status(Role::Active, vec![sibling()])],
        _ => vec![
            progress(3, vec![sibling()]),
            Reply::Error {
                message: "flush: gave up waiting for the acknowledgement of node 2".to_owned(),
            },
        ],
    });
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        stderr(&ended).contains("gave up waiting for the acknowledgement of node 2"),
        "{}",
        stderr(&ended)
    );
}

#[test]
fn without_wait_the_command_returns_when_the_bridge_has_taken_the_request() {
    let never_done = |command| match command {
        Command::Status => vec![status(Role::Active, vec![sibling()])],
        _ => vec![progress(3, vec![sibling()])],
    };
    let ended = World::new().run(&["sync", "full"], never_done);
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    assert!(stdout(&ended).contains("sync status"), "{}", stdout(&ended));
}

#[test]
fn how_far_a_full_sync_is_comes_in_lines_that_programs_read() {
    let ended = World::new().run(&["sync", "full", "--wait"], active(&[sibling()]));
    assert_eq!(
        stderr(&ended),
        "entries_left=3 bytes_left=300\nentries_left=0 bytes_left=0\n"
    );
    assert!(
        stdout(&ended).starts_with("bmc1 has everything: "),
        "{}",
        stdout(&ended)
    );
}

#[test]
fn what_only_the_active_can_do_is_refused_on_the_passive_and_the_active_is_named() {
    for command in ["flush", "full", "pause", "resume", "disable", "enable"] {
        let mut active = sibling();
        active.role = Role::Active;
        let ended = World::new().run(&["sync", command], move |_| {
            vec![status(Role::Passive, vec![active.clone()])]
        });
        assert_eq!(ended.status.code(), Some(3), "{command}");
        let text = stdout(&ended);
        assert!(
            text.contains("NotTheActive: bmc0 is the Passive; run this on the Active, bmc1"),
            "{text}"
        );
    }
}

#[test]
fn a_switch_is_thrown_and_what_ends_it_is_said() {
    let ended = World::new().run(&["sync", "pause"], active(&[sibling()]));
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    assert!(
        stdout(&ended).starts_with("replication is paused, until bmc-ha sync resume"),
        "{}",
        stdout(&ended)
    );
}
