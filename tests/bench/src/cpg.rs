//! A bare CPG round trip: a message, and the sibling's answer to it.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use bmc_corosync::{Cpg, CpgEvent, SendOutcome};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::inside::{readable_before_end_of_input, say};

/// A group of the benchmark's own: nothing of the bridge's is in the way.
const GROUP: &str = "bmc-ha-bench";
/// First byte of an answer; a question begins with another.
const ANSWER: u8 = b'A';
/// First byte of a question.
const QUESTION: u8 = b'Q';
/// After so long without a message Corosync's token rests, until one wakes it: `seqno_unchanged_const` rotations, which
/// are some milliseconds.
const REST: Duration = Duration::from_millis(100);
/// How long an answer may take before the sibling counts as gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers each question with as many bytes, until standard input ends.
pub(crate) fn echo() -> Result<()> {
    let mut cpg = Cpg::join(GROUP)?;
    say("ready")?;
    while readable_before_end_of_input(cpg.as_fd())? {
        while let Some(event) = cpg.next_event()? {
            if let CpgEvent::Message { mut bytes, .. } = event {
                if bytes.first() == Some(&QUESTION) {
                    bytes[0] = ANSWER;
                    send(&mut cpg, &bytes)?;
                }
            }
        }
    }
    Ok(())
}

/// Asks `count` times, one after the other, and prints how long each answer took.
pub(crate) fn ping(count: u32, size: usize, at_rest: bool) -> Result<()> {
    let mut cpg = Cpg::join(GROUP)?;
    let mut question = vec![b'.'; size.max(1)];
    question[0] = QUESTION;
    for number in 0..=count {
        if at_rest {
            // Not waiting for anything: what is measured is what comes after a span without messages.
            std::thread::sleep(REST);
        }
        let start = lab::Moment::now();
        send(&mut cpg, &question)?;
        wait_for_answer(&mut cpg)?;
        // The first one also waited for the join.
        if number > 0 {
            println!("answer {}", lab::Moment::now().since(start).as_micros());
        }
    }
    Ok(())
}

fn send(cpg: &mut Cpg, bytes: &[u8]) -> Result<()> {
    // The group is idle but for one message, so there is room unless it is just being joined.
    while cpg.send(bytes)? == SendOutcome::NoRoom {
        std::thread::yield_now();
    }
    Ok(())
}

fn wait_for_answer(cpg: &mut Cpg) -> Result<()> {
    let patience = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
    loop {
        while let Some(event) = cpg.next_event()? {
            if matches!(&event, CpgEvent::Message { bytes, .. } if bytes.first() == Some(&ANSWER)) {
                return Ok(());
            }
        }
        let mut ready = [PollFd::from_borrowed_fd(cpg.as_fd(), PollFlags::IN)];
        ensure!(
            poll(&mut ready, Some(&patience))? > 0,
            "no answer from the sibling within {PATIENCE:?}"
        );
    }
}
