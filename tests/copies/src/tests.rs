use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::Copy;

/// What `change` makes different in a small tree.
fn after(change: impl FnOnce(&Path)) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path();
    fs::create_dir(top.join("d")).unwrap();
    fs::write(top.join("d/f"), "content").unwrap();
    fs::write(top.join("d/g"), "content").unwrap();
    symlink("there", top.join("l")).unwrap();
    fs::write(top.join("private"), "own").unwrap();
    let before = Copy::read(top, &["private"]).unwrap();
    change(top);
    Copy::read(top, &["private"]).unwrap().differences(&before)
}

/// Makes a change that leaves the mtime of the directory `d` as it is.
fn keeping_mtime(top: &Path, change: impl FnOnce(&Path)) {
    let directory = File::open(top.join("d")).unwrap();
    let mtime = directory.metadata().unwrap().modified().unwrap();
    change(&top.join("d"));
    directory.set_modified(mtime).unwrap();
}

#[test]
fn what_did_not_change_does_not_differ_and_what_is_excepted_is_not_looked_at() {
    assert_eq!(after(|_| {}), [""; 0]);
    assert_eq!(
        after(|top| fs::write(top.join("private"), "new").unwrap()),
        [""; 0]
    );
}

#[test]
fn a_missing_tree_is_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Copy::read(&folder.path().join("missing"), &[]).unwrap();
    let there = Copy::read(folder.path(), &[]).unwrap();
    assert_eq!(there.differences(&missing), [": only in the first"]);
}

#[test]
fn every_property_counts() {
    let old = SystemTime::UNIX_EPOCH + Duration::from_nanos(7);
    let modify = |path: &Path| File::open(path).unwrap().set_modified(old).unwrap();
    type Change<'a> = Box<dyn FnOnce(&Path) + 'a>;
    let cases: Vec<(&str, Change<'_>)> = vec![
        (
            "mode",
            Box::new(|top| {
                fs::set_permissions(top.join("d/f"), fs::Permissions::from_mode(0o601)).unwrap();
            }),
        ),
        ("modified", Box::new(|top| modify(&top.join("d/f")))),
        ("modified", Box::new(|top| modify(&top.join("d")))),
        (
            "attributes",
            Box::new(|top| {
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::setxattr(top.join("d/f"), "user.a", b"1", flags).unwrap();
            }),
        ),
        (
            "another content",
            Box::new(|top| fs::write(top.join("d/f"), "other").unwrap()),
        ),
        (
            "only in the first",
            Box::new(|top| fs::write(top.join("d/new"), "").unwrap()),
        ),
        (
            "only in the second",
            Box::new(|top| fs::remove_file(top.join("d/f")).unwrap()),
        ),
        (
            "Link(",
            Box::new(|top| {
                fs::remove_file(top.join("l")).unwrap();
                symlink("elsewhere", top.join("l")).unwrap();
            }),
        ),
    ];
    for (what, change) in cases {
        let differences = after(change);
        assert!(
            differences.iter().any(|difference| difference.contains(what)),
            "{what}: {differences:?}"
        );
    }
}

#[test]
fn two_names_of_one_file_are_not_two_files() {
    let differences = after(|top| {
        keeping_mtime(top, |d| {
            let mtime = fs::metadata(d.join("f")).unwrap().modified().unwrap();
            fs::remove_file(d.join("g")).unwrap();
            fs::hard_link(d.join("f"), d.join("g")).unwrap();
            File::open(d.join("f")).unwrap().set_modified(mtime).unwrap();
        });
    });
    assert!(differences[0].contains("hard link of"), "{differences:?}");
}

#[test]
fn a_hole_is_not_a_run_of_zeros() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["holes", "zeros"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    File::create(folder.path().join("holes/f"))
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    let mut zeros = File::create(folder.path().join("zeros/f")).unwrap();
    zeros.write_all(&vec![0; 1 << 20]).unwrap();
    zeros.sync_all().unwrap();
    let [holes, zeros] = ["holes", "zeros"].map(|name| Copy::read(&folder.path().join(name), &[]).unwrap());
    let differences = holes.differences(&zeros);
    assert!(
        differences
            .iter()
            .any(|difference| difference.contains("holes [(0, 1048576)]")),
        "{differences:?}"
    );
}
