//! A disk that does not take what a Passive is sent, or what an Active is offered.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::env;
use std::ffi::CString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use bmc_replication::{Request, Switch, Sync};
use bmc_sync_config::SyncConfig;
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use rustix::process::{Resource, Rlimit, setrlimit};
use support::{A, B, Node, Pair};

/// Longer than any pause before another try.
const NEXT_TRY: Duration = Duration::from_secs(20);

/// A small file system of its own, until it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one; `None` without the right to.
    fn mount_at(path: &Path) -> Option<Self> {
        let size = CString::new("size=256k").unwrap();
        match mount("small", path, "tmpfs", MountFlags::empty(), size.as_c_str()) {
            Ok(()) => Some(Self(path.to_owned())),
            Err(errno) => {
                eprintln!("not tested: mount a file system: {errno}");
                None
            }
        }
    }

    fn remount(&self, flags: MountFlags, data: &str) {
        mount_remount(&self.0, flags, CString::new(data).unwrap().as_c_str()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).unwrap();
    }
}

/// A pair of which the Passive has `/s/d` on a file system of its own.
fn pair_with_a_small_disk() -> Option<(Pair, SmallDisk)> {
    let mut pair = Pair::new();
    pair.write(A, "/etc/one", "essential");
    pair.change(A, "/s/d", |path| fs::create_dir(path).unwrap());
    pair.settle();
    let disk = SmallDisk::mount_at(&pair.nodes[&B].at("/s/d"))?;
    Some((pair, disk))
}

/// What both say while an entry in `/s/d` fails with `error`, and that everything else goes on.
fn assert_only_the_entry_fails(pair: &mut Pair, error: &str) {
    let report = pair.nodes[&B].report();
    assert_eq!((report.sync, report.essential), (Sync::Failed, true));
    let own = &report.problems[0].message;
    assert!(own.contains("/s/d") && own.contains(error), "{own}");
    let told = &pair.nodes[&A].report().problems[0].message;
    assert!(
        told.starts_with("replicate to node 2: ") && told.contains(error) && told.contains("trying again in"),
        "{told}"
    );
    let refused = pair.ask(A, Request::Flush).unwrap_err();
    assert!(
        refused.starts_with("flush: not on node 2: ") && refused.contains(error),
        "{refused}"
    );
    pair.write(A, "/s/else", "goes on");
    pair.settle();
    assert_eq!(pair.read(B, "/s/else").unwrap(), b"goes on");
}

fn assert_it_heals(pair: &mut Pair) {
    pair.pass(NEXT_TRY);
    assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
    for node in [A, B] {
        assert_eq!(pair.nodes[&node].report().problems, []);
    }
    pair.ask(A, Request::Flush).unwrap();
}

#[test]
fn a_full_disk_holds_nothing_else_up_is_told_and_heals_by_itself() {
    let Some((mut pair, disk)) = pair_with_a_small_disk() else {
        return;
    };
    for number in 0..8 {
        pair.write(A, &format!("/s/d/{number}"), vec![7; 60_000]);
    }
    pair.settle();
    assert_only_the_entry_fails(&mut pair, "No space left on device");
    disk.remount(MountFlags::empty(), "size=4m");
    assert_it_heals(&mut pair);
    assert_eq!(pair.read(B, "/s/d/7").unwrap(), vec![7; 60_000]);
}

#[test]
fn a_large_file_for_which_there_is_no_room_holds_nothing_else_up() {
    let Some((mut pair, disk)) = pair_with_a_small_disk() else {
        return;
    };
    pair.write(A, "/s/d/large", vec![7; 1_000_000]);
    pair.settle();
    assert_only_the_entry_fails(&mut pair, "No space left on device");
    disk.remount(MountFlags::empty(), "size=4m");
    assert_it_heals(&mut pair);
    assert_eq!(pair.read(B, "/s/d/large").unwrap(), vec![7; 1_000_000]);
}

#[test]
fn a_read_only_file_system_holds_nothing_else_up_is_told_and_heals_by_itself() {
    let Some((mut pair, disk)) = pair_with_a_small_disk() else {
        return;
    };
    disk.remount(MountFlags::RDONLY, "");
    pair.write(A, "/s/d/x", "1");
    pair.settle();
    assert_only_the_entry_fails(&mut pair, "Read-only file system");
    disk.remount(MountFlags::empty(), "");
    assert_it_heals(&mut pair);
    assert_eq!(pair.read(B, "/s/d/x").unwrap(), b"1");
}

/// A directory that even root cannot change, until it is dropped.
struct Immutable(File);

impl Immutable {
    /// `None` where the file system knows no such thing, or without the right to.
    fn make(path: &Path) -> Option<Self> {
        let directory = Self(File::open(path).unwrap());
        match directory.set(|flags| flags | IFlags::IMMUTABLE) {
            Ok(()) => Some(directory),
            Err(errno) => {
                eprintln!("not tested: make {} immutable: {errno}", path.display());
                None
            }
        }
    }

    fn set(&self, change: impl Fn(IFlags) -> IFlags) -> rustix::io::Result<()> {
        let flags = ioctl_getflags(&self.0)?;
        ioctl_setflags(&self.0, change(flags))
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let _ = self.set(|flags| flags - IFlags::IMMUTABLE);
    }
}

#[test]
fn what_may_not_be_written_holds_nothing_else_up_is_told_and_heals_by_itself() {
    let mut pair = Pair::new();
    pair.write(A, "/etc/one", "essential");
    pair.change(A, "/s/d", |path| fs::create_dir(path).unwrap());
    pair.settle();
    let Some(directory) = Immutable::make(&pair.nodes[&B].at("/s/d")) else {
        return;
    };
    pair.write(A, "/s/d/x", "1");
    pair.settle();
    assert_only_the_entry_fails(&mut pair, "Operation not permitted");
    drop(directory);
    assert_it_heals(&mut pair);
    assert_eq!(pair.read(B, "/s/d/x").unwrap(), b"1");
}

/// Two nodes with this list, A the Active.
fn pair_with(list: &str) -> Pair {
    let lists = tempfile::tempdir().unwrap();
    fs::write(lists.path().join("list.json"), list).unwrap();
    let node = || Node::with(Rc::new(SyncConfig::load_dir(lists.path()).unwrap()));
    let mut pair = Pair::of(node(), node());
    pair.ask(A, Request::Promote).unwrap();
    pair
}

/// Two nodes between which `/b/` goes both ways, with a directory in it.
fn pair_that_offers() -> Pair {
    let list = r#"{ "Directories": [{ "Path": "/b/", "Description": "a directory",
                                      "SyncDirection": "Bidirectional", "SyncType": "Immediate" }] }"#;
    let mut pair = pair_with(list);
    pair.change(A, "/b/d", |path| fs::create_dir_all(path).unwrap());
    pair.settle();
    pair
}

#[test]
fn what_an_active_could_not_take_is_no_problem_once_something_else_is_there() {
    let mut pair = pair_that_offers();
    let Some(directory) = Immutable::make(&pair.nodes[&A].at("/b/d")) else {
        return;
    };
    pair.write(B, "/b/d/x", "of the Passive");
    pair.settle();
    let problems = pair.nodes[&A].report().problems;
    assert!(
        problems[0].message.starts_with("take /b/d/x from"),
        "{problems:?}"
    );
    drop(directory);
    pair.write(A, "/b/d/x", "of the Active");
    pair.settle();
    assert_eq!(pair.read(B, "/b/d/x").unwrap(), b"of the Active");
    assert_eq!(pair.nodes[&B].report().conflicts, 1);
    pair.pass(NEXT_TRY);
    assert_eq!(pair.nodes[&A].report().problems, []);
}

/// Two nodes that receive `/s/d` far down, where its paths are longer by 1,000 bytes.
fn pair_with_a_far_destination() -> Pair {
    let far = format!("/{}", "k".repeat(250)).repeat(4);
    let file = |path, priority| {
        format!(
            r#"{{ "Path": "{path}", "Description": "a file", "SyncDirection": "Active2Passive",
                 "SyncType": "Immediate", "Priority": {priority} }}"#
        )
    };
    let list = format!(
        r#"{{ "Files": [{}, {}],
              "Directories": [{{ "Path": "/s/d/", "DestinationPath": "{far}/", "Description": "a directory",
                                 "SyncDirection": "Active2Passive", "SyncType": "Immediate" }}] }}"#,
        file("/etc/one", 1),
        file("/s/else", 2),
    );
    let mut pair = pair_with(&list);
    pair.write(A, "/etc/one", "essential");
    pair.change(A, "/s/d", |path| fs::create_dir(path).unwrap());
    pair.settle();
    pair
}

#[test]
fn what_gets_too_long_a_path_on_the_passive_holds_nothing_else_up_is_told_and_heals() {
    let mut pair = pair_with_a_far_destination();
    pair.change(A, "/s/d/deep", |path| {
        let deepest = path.join(format!("{}/", "d".repeat(250)).repeat(13));
        fs::create_dir_all(&deepest).unwrap();
        fs::write(deepest.join("file"), "1").unwrap();
    });
    pair.write(A, "/s/d/flat", "2");
    pair.settle();
    let flat = format!("{}/flat", format!("/{}", "k".repeat(250)).repeat(4));
    assert_eq!(pair.read(B, &flat).unwrap(), b"2");
    assert_only_the_entry_fails(&mut pair, "File name too long");
    pair.change(A, "/s/d/deep", |path| fs::remove_dir_all(path).unwrap());
    assert_it_heals(&mut pair);
}

/// Names a large file to the test that runs where none can be written.
const LARGE_FILE: &str = "BMC_TEST_LARGE_FILE";

#[test]
fn a_file_that_is_too_large_for_the_passive_holds_nothing_else_up() {
    if let Some(large) = env::var_os(LARGE_FILE) {
        return where_no_large_file_can_be_written(Path::new(&large));
    }
    let directory = tempfile::tempdir().unwrap();
    let large = directory.path().join("large");
    fs::write(&large, vec![7; 1_000_000]).unwrap();
    // A limit holds for a whole process, and its signal would end it: this test once more, alone, in one of its own.
    let limited = r#"trap '' XFSZ; ulimit -S -f 512; exec "$0" --exact "$1""#;
    let child = Command::new("sh")
        .args(["-c", limited])
        .arg(env::current_exe().unwrap())
        .arg(std::thread::current().name().unwrap())
        .env(LARGE_FILE, &large)
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}",
        String::from_utf8_lossy(&child.stdout)
    );
}

fn where_no_large_file_can_be_written(large: &Path) {
    let mut pair = Pair::new();
    pair.write(A, "/etc/one", "essential");
    pair.change(A, "/s/d", |path| fs::create_dir(path).unwrap());
    pair.change(A, "/s/d/large", |path| fs::rename(large, path).unwrap());
    pair.settle();
    assert_only_the_entry_fails(&mut pair, "File too large");
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    setrlimit(Resource::Fsize, unlimited).unwrap();
    assert_it_heals(&mut pair);
    assert_eq!(pair.read(B, "/s/d/large").unwrap(), vec![7; 1_000_000]);
}

#[test]
fn what_is_essential_and_cannot_be_applied_is_missed_until_it_can() {
    let mut pair = Pair::new();
    // A directory with something in it that is not replicated cannot be replaced.
    let blocker = pair.nodes[&B].at("/etc/one/kept");
    fs::create_dir_all(blocker.parent().unwrap()).unwrap();
    fs::write(&blocker, "").unwrap();
    pair.write(A, "/etc/one", "essential");
    pair.write(A, "/s/else", "goes on");
    pair.settle();
    let report = pair.nodes[&B].report();
    assert_eq!((report.sync, report.essential), (Sync::Failed, false));
    assert_eq!(pair.read(B, "/s/else").unwrap(), b"goes on");
    fs::remove_file(&blocker).unwrap();
    assert_it_heals(&mut pair);
    assert!(pair.nodes[&B].report().essential);
}

#[test]
fn a_demotion_goes_on_trying_until_its_deadline() {
    let mut pair = Pair::new();
    let blocker = pair.nodes[&B].at("/etc/one/kept");
    fs::create_dir_all(blocker.parent().unwrap()).unwrap();
    fs::write(&blocker, "").unwrap();
    pair.write(A, "/etc/one", "essential");
    let refused = pair.ask(A, Request::Demote).unwrap_err();
    assert!(
        refused.starts_with("demote: gave up waiting for node 2: ") && refused.contains("/etc/one"),
        "{refused}"
    );
}

/// Where a Passive keeps its state is a directory: it cannot keep one, whoever it runs as.
fn block_state(pair: &Pair) -> PathBuf {
    let blocker = pair.nodes[&B].state.path().join("replication.state");
    fs::remove_file(&blocker).unwrap();
    fs::create_dir(&blocker).unwrap();
    blocker
}

#[test]
fn a_switch_that_a_passive_cannot_keep_is_kept_as_soon_as_it_can() {
    let mut pair = Pair::new();
    let blocker = block_state(&pair);
    let refused = pair.ask(A, Request::Disable).unwrap_err();
    assert!(refused.contains("node 2 to take it over"), "{refused}");
    let report = pair.nodes[&B].report();
    assert_eq!(report.switch, Switch::On);
    let told = &report.problems[0].message;
    assert!(told.contains(blocker.to_str().unwrap()), "{told}");
    fs::remove_dir(&blocker).unwrap();
    pair.pass(NEXT_TRY);
    let report = pair.nodes[&B].report();
    assert_eq!((report.switch, report.problems), (Switch::Disabled, vec![]));
    pair.nodes.get_mut(&B).unwrap().restart(false);
    assert_eq!(pair.nodes[&B].report().switch, Switch::Disabled);
}

#[test]
fn a_switch_that_a_passive_could_not_keep_is_not_kept_after_it_was_thrown_back() {
    let mut pair = Pair::new();
    let blocker = block_state(&pair);
    pair.ask(A, Request::Disable).unwrap_err();
    pair.ask(A, Request::Enable).unwrap();
    assert_eq!(pair.nodes[&B].report().problems, []);
    fs::remove_dir(&blocker).unwrap();
    pair.pass(NEXT_TRY);
    assert_eq!(pair.nodes[&B].report().switch, Switch::On);
}

#[test]
fn a_switch_that_a_passive_could_not_keep_is_forgotten_with_the_active_that_threw_it() {
    let mut pair = Pair::new();
    let blocker = block_state(&pair);
    pair.ask(A, Request::Disable).unwrap_err();
    pair.membership(&[B]);
    fs::remove_dir(&blocker).unwrap();
    pair.pass(NEXT_TRY);
    let report = pair.nodes[&B].report();
    assert_eq!((report.switch, report.problems), (Switch::On, vec![]));
}
