//! Everything about an entry but its content, on two real disks: each test ends with a comparison to the last attribute.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use support::{A, B, Pair};

#[test]
fn a_directory_keeps_its_mtime_whatever_comes_and_goes_in_it() {
    let mut pair = Pair::new();
    pair.change(A, "/s/d", |path| fs::create_dir(path).unwrap());
    pair.assert_alike();
    for round in 0..3 {
        pair.write(A, "/s/d/kept", round.to_string());
        pair.write(A, &format!("/s/d/new{round}"), "1");
        pair.change(A, "/s/d/link", |path| {
            let _ = fs::remove_file(path);
            symlink("nowhere", path).unwrap();
        });
        pair.change(A, &format!("/s/d/e{round}"), |path| fs::create_dir(path).unwrap());
        pair.assert_alike();
    }
    pair.change(A, "/s/d/new1", |path| fs::remove_file(path).unwrap());
    pair.change(A, "/s/d/e1", |path| fs::remove_dir(path).unwrap());
    pair.assert_alike();
    pair.write(A, "/s/d/large", vec![7; 1 << 20]);
    pair.assert_alike();
}

#[test]
fn a_new_content_alone_leaves_the_mtime_of_its_directory() {
    let mut pair = Pair::new();
    pair.write(A, "/s/file", "1");
    pair.assert_alike();
    pair.write(A, "/s/file", "2");
    pair.assert_alike();
}

#[test]
fn a_file_that_came_and_went_unseen_leaves_its_trace_in_the_mtime_of_the_directory() {
    let mut pair = Pair::new();
    pair.change(A, "/s/passing", |path| {
        fs::write(path, "1").unwrap();
        fs::remove_file(path).unwrap();
    });
    pair.assert_alike();
}

#[test]
fn what_an_editor_replaces_by_a_rename_leaves_both_directories_alike() {
    let mut pair = Pair::new();
    pair.write(A, "/s/setting", "before");
    pair.assert_alike();
    let next = pair.nodes[&A].at("/s/setting.next");
    pair.write(A, "/s/setting.next", "after");
    pair.change(A, "/s/setting", |path| fs::rename(&next, path).unwrap());
    pair.change(A, "/s/setting.next", |_| {});
    pair.assert_alike();
    assert_eq!(pair.read(B, "/s/setting").unwrap(), b"after");
}

#[test]
fn a_touch_alone_carries_the_new_mtime_of_a_file_and_of_a_directory() {
    let mut pair = Pair::new();
    pair.write(A, "/s/file", "1");
    pair.change(A, "/s/d", |path| fs::create_dir(path).unwrap());
    pair.settle();
    let inode = fs::metadata(pair.nodes[&B].at("/s/file")).unwrap().ino();
    for (at, nanoseconds) in [("/s/file", 1), ("/s/d", 2)] {
        pair.change(A, at, |path| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds);
            File::open(path).unwrap().set_modified(time).unwrap();
        });
    }
    pair.assert_alike();
    let copy = fs::metadata(pair.nodes[&B].at("/s/file")).unwrap();
    assert_eq!((copy.mtime(), copy.mtime_nsec(), copy.ino()), (0, 1, inode));
}

#[test]
fn what_is_new_beneath_a_sticky_or_set_group_id_directory_is_as_on_the_active() {
    let mut pair = Pair::new();
    for (at, mode) in [("/s/sticky", 0o1777), ("/s/group", 0o2775)] {
        pair.change(A, at, |path| {
            fs::create_dir(path).unwrap();
            std::os::unix::fs::chown(path, Some(12), Some(34)).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        });
        pair.change(A, &format!("{at}/inside"), |path| fs::create_dir(path).unwrap());
        pair.write(A, &format!("{at}/file"), "1");
    }
    pair.assert_alike();
    let group = fs::metadata(pair.nodes[&B].at("/s/group/file")).unwrap();
    assert_eq!(group.gid(), 34);
}
