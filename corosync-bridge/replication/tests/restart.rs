//! What a join costs after both bridges were restarted, on a real disk: only what differs is read. A program of its own,
//! for it counts what the process reads.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

use bmc_replication::{Notice, Request, Sync};

use support::{A, B, Node, Pair};

/// Bytes in each file.
const FILE_BYTES: usize = 4096;

/// How long the disk may take to make a look at a file conclusive.
const PATIENCE: Duration = Duration::from_secs(120);

/// Bytes that this process has read since it began, of files and directories.
fn bytes_read() -> u64 {
    let counters = fs::read_to_string("/proc/self/io").unwrap();
    let read = counters.lines().find_map(|line| line.strip_prefix("rchar: "));
    read.unwrap().parse().unwrap()
}

/// A node with this many files, the same as any other such node.
fn node_with_files(count: usize) -> Node {
    let node = Node::new(false);
    for number in 0..count {
        let directory = node.at(&format!("/s/d{:03}", number / 500));
        fs::create_dir_all(&directory).unwrap();
        let mut file = File::create(directory.join(format!("file{number:06}"))).unwrap();
        file.write_all(&[b'.'; FILE_BYTES]).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000))
            .unwrap();
    }
    for directory in fs::read_dir(node.at("/s")).unwrap() {
        let directory = File::open(directory.unwrap().path()).unwrap();
        directory
            .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000))
            .unwrap();
    }
    node
}

/// Lets both bridges keep what they know.
fn keep(pair: &mut Pair, count: usize) {
    let begin = Instant::now();
    let kept = |node: &Node| {
        let log = node.state.path().join("replication.digests");
        fs::metadata(log).map_or(0, |log| log.len()) > count as u64 * 100
    };
    while !pair.nodes.values().all(kept) {
        assert!(begin.elapsed() < PATIENCE, "the digests are not kept");
        pair.pass(Duration::from_secs(3));
    }
}

fn a_join_after_restarts_reads_what_differs(count: usize) {
    let mut pair = Pair::of(node_with_files(count), node_with_files(count));
    pair.ask(A, Request::Promote).unwrap();
    keep(&mut pair, count);

    for number in (0..count).step_by(count / 10) {
        let changed = pair.nodes[&A].at(&format!("/s/d{:03}/file{number:06}", number / 500));
        fs::write(changed, [b'!'; FILE_BYTES]).unwrap();
    }
    pair.membership(&[]);
    for (resume_as_active, id) in [(true, A), (false, B)] {
        pair.nodes.get_mut(&id).unwrap().restart(resume_as_active);
    }
    *pair.sent.borrow_mut() = 0;
    let before = bytes_read();
    pair.membership(&[A, B]);
    let read = bytes_read() - before;

    assert_eq!(pair.nodes[&B].report().sync, Sync::InSync);
    let finished = pair.nodes.get_mut(&A).unwrap().core.take_notices();
    let ten = |notice: &Notice| matches!(notice, Notice::CompareFinished { node: B, entries: 10, bytes } if *bytes == 10 * FILE_BYTES as u64);
    assert!(finished.iter().any(ten), "{finished:?}");
    let sent = *pair.sent.borrow();
    println!("{count} files, ten changed: {read} bytes read, {sent} bytes sent");
    assert!(read < 100 * FILE_BYTES as u64, "{read} bytes were read");
    assert!(sent < 20 * FILE_BYTES + count * 10, "{sent} bytes were sent");
}

#[test]
fn a_join_after_restarts_reads_what_differs_and_not_the_rest() {
    a_join_after_restarts_reads_what_differs(1000);
}

#[test]
#[ignore = "some minutes; the same at the size that is promised"]
fn of_100_000_files_ten_changed_ones_are_read() {
    a_join_after_restarts_reads_what_differs(100_000);
}
