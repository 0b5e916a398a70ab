//! `bmc-ha sync conflicts` over a directory as a bridge leaves it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bmc_replication::agreed::Version;
use bmc_replication::conflicts::{ConflictDirectory, ConflictStore, Loser};
use bmc_replication::digest::Digest;
use bmc_replication::entry::{Attributes, FileTime, Kind, Xattr};
use bmc_replication::{EntryPath, NodeId};
use serde_json::Value;

/// An extended attribute that any kind of entry can have.
const COMMENT: &str = "trusted.comment";

/// A state directory with conflicts, and a directory in which their paths are.
struct Kept {
    state: tempfile::TempDir,
    settings: tempfile::TempDir,
}

impl Kept {
    fn new() -> Self {
        Self {
            state: tempfile::tempdir().unwrap(),
            settings: tempfile::tempdir().unwrap(),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.settings.path().canonicalize().unwrap().join(name)
    }

    /// Keeps a version of `name`; a link is the one kind whose content the caller has at hand.
    fn keep(&self, name: &str, kind: Option<Kind>, target: Option<&[u8]>) {
        let path = EntryPath::from_path(&self.at(name)).unwrap();
        let attributes = Attributes {
            mode: 0o640,
            uid: 0,
            gid: 0,
            mtime: FileTime {
                seconds: 1_000_000_000,
                nanoseconds: 5,
            },
            xattrs: vec![Xattr {
                name: COMMENT.into(),
                value: b"kept with it".to_vec(),
            }],
        };
        let loser = Loser {
            path: &path,
            version: kind.map(|kind| Version {
                kind,
                content: Digest::of(target.unwrap_or_default()),
                attributes: attributes.digest(),
            }),
            attributes: kind.map(|_| &attributes),
            target,
            node: NodeId(2),
            why: "the Active has another version",
        };
        let mut store = ConflictDirectory::new(self.state.path());
        store.keep_aside(&loser, None).unwrap();
    }

    /// A file's content as the bridge leaves it.
    fn keep_file(&self, name: &str, content: &[u8]) {
        self.keep(name, Some(Kind::File), None);
        let store = ConflictDirectory::new(self.state.path());
        let number = store.list().unwrap().last().unwrap().number;
        let file = format!("conflicts/{number:06}.content");
        fs::write(self.state.path().join(file), content).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_bmc-ha"))
            .args(["sync", "conflicts"])
            .args(arguments)
            .arg("--state-dir")
            .arg(self.state.path())
            .output()
            .unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--output", "json"]].concat();
        serde_json::from_str(&stdout(&self.run(&arguments))).unwrap()
    }
}

fn stdout(output: &Output) -> String {
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The comment on what is at `path` itself, be it a link.
fn comment(path: &Path) -> Option<Vec<u8>> {
    let mut value = vec![0; 64];
    let length = rustix::fs::lgetxattr(path, COMMENT, value.as_mut_slice()).ok()?;
    value.truncate(length);
    Some(value)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn what_was_kept_is_listed_and_shown_with_where_it_was_and_why() {
    let kept = Kept::new();
    assert_eq!(stdout(&kept.run(&["list"])), "no version is kept aside\n");
    assert_eq!(kept.json(&["list"]), serde_json::json!([]));
    kept.keep_file("shadow", b"a password");
    kept.keep("gone", None, None);
    let list = stdout(&kept.run(&["list"]));
    let path = kept.at("shadow").display().to_string();
    assert!(
        list.lines()
            .any(|line| line.contains(&path) && line.contains("file")),
        "{list}"
    );
    let list = kept.json(&["list"]);
    assert_eq!(
        (&list[0]["number"], &list[1]["kind"]),
        (&1.into(), &"removed".into())
    );
    let shown = stdout(&kept.run(&["show", "1"]));
    assert!(shown.contains("the Active has another version"), "{shown}");
    assert_eq!(stdout(&kept.run(&["show", "1", "--content"])), "a password");
    assert_eq!(
        kept.json(&["show", "2"])["path"],
        kept.at("gone").display().to_string()
    );
}

#[test]
fn a_number_that_is_not_kept_is_an_error_of_the_command_line() {
    let kept = Kept::new();
    for command in ["show", "restore", "drop"] {
        let ended = kept.run(&[command, "7"]);
        assert_eq!(ended.status.code(), Some(2), "{command}");
        let told = String::from_utf8(ended.stderr).unwrap();
        assert!(told.contains("no version 7 is kept"), "{told}");
    }
}

#[test]
fn a_restored_version_is_in_its_place_as_it_was_and_forgotten() {
    let kept = Kept::new();
    fs::write(kept.at("shadow"), "the Active's").unwrap();
    symlink("the/actives", kept.at("link")).unwrap();
    fs::write(kept.at("gone"), "came back").unwrap();
    kept.keep_file("shadow", b"a password");
    kept.keep("link", Some(Kind::Link), Some(b"over/there"));
    kept.keep("gone", None, None);
    kept.keep("d", Some(Kind::Directory), None);
    for number in ["1", "2", "3", "4"] {
        stdout(&kept.run(&["restore", number]));
    }
    assert_eq!(fs::read(kept.at("shadow")).unwrap(), b"a password");
    assert_eq!(mode(&kept.at("shadow")), 0o640);
    let metadata = fs::metadata(kept.at("shadow")).unwrap();
    assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_000_000_000, 5));
    assert_eq!(fs::read_link(kept.at("link")).unwrap(), Path::new("over/there"));
    assert!(!kept.at("gone").exists());
    assert!(kept.at("d").is_dir());
    for name in ["shadow", "link", "d"] {
        assert_eq!(comment(&kept.at(name)).unwrap(), b"kept with it", "{name}");
    }
    assert_eq!(kept.json(&["list"]), serde_json::json!([]));
    let left: Vec<_> = fs::read_dir(kept.settings.path()).unwrap().collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn a_restored_version_has_no_extended_attributes_but_its_own() {
    let kept = Kept::new();
    fs::create_dir(kept.at("d")).unwrap();
    rustix::fs::setxattr(kept.at("d"), "user.other", b"1", rustix::fs::XattrFlags::empty()).unwrap();
    kept.keep("d", Some(Kind::Directory), None);
    stdout(&kept.run(&["restore", "1"]));
    assert_eq!(
        rustix::fs::getxattr(kept.at("d"), "user.other", &mut [0_u8; 1][..]).unwrap_err(),
        rustix::io::Errno::NODATA
    );
}

#[test]
fn what_an_older_bridge_kept_is_restored_though_its_extended_attributes_are_not_known() {
    let kept = Kept::new();
    kept.keep_file("shadow", b"a password");
    let about = kept.state.path().join("conflicts/000001.about");
    let told = fs::read_to_string(&about).unwrap();
    assert!(told.contains("xattrs 1\n"), "{told}");
    fs::write(&about, told.replace("xattrs 1\n", "")).unwrap();
    stdout(&kept.run(&["restore", "1"]));
    assert_eq!(fs::read(kept.at("shadow")).unwrap(), b"a password");
    assert_eq!(comment(&kept.at("shadow")), None);
}

#[test]
fn nothing_is_restored_through_a_symbolic_link() {
    let kept = Kept::new();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), kept.at("d")).unwrap();
    kept.keep_file("d/shadow", b"a password");
    let ended = kept.run(&["restore", "1"]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(!elsewhere.path().join("shadow").exists());
    assert_eq!(kept.json(&["list"]).as_array().unwrap().len(), 1);
}

#[test]
fn one_or_all_are_dropped() {
    let kept = Kept::new();
    for name in ["a", "b", "c"] {
        kept.keep(name, None, None);
    }
    stdout(&kept.run(&["drop", "2"]));
    assert_eq!(kept.json(&["list"]).as_array().unwrap().len(), 2);
    assert_eq!(
        kept.json(&["drop", "--all"])["numbers"],
        serde_json::json!([1, 3])
    );
    assert_eq!(kept.json(&["list"]), serde_json::json!([]));
}
