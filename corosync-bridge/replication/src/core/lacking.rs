//! Changes that a Passive could not apply: what it does then, and what the Active does about it.
//!
//! An entry that cannot be applied holds nothing else up. The Passive takes in what follows, says what it lacks and
//! why, and is not in sync until it has been compared again, which costs what differs. Where it cannot tell what its
//! copy holds, because its disk did not take a sync or a change never came, it acknowledges nothing until then.
//!
//! The Active tries again after a pause, for ever: a disk that has room again heals by itself.

use std::time::Duration;

use super::follower::ApplyError;
use super::{Core, Topic};
use crate::coverage::{Priority, Retry};
use crate::state::StateStore;
use crate::tree::Tree;
use crate::wire::Message;
use crate::{EntryPath, NodeId, Sync};

/// First pause before another try where the configuration says nothing; each is twice the one before it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Longest pause where the configuration says nothing, and shortest once all tries are used up: a full disk or a
/// read-only file system is noticed to be well again within this.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Characters of a reason: a path and what the system said. More of a peer's words tell a person nothing more.
const REASON_CHARS: usize = 512;

/// How often a member was brought in sync in vain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tries {
    failed: u32,
}

impl Tries {
    /// Counts one more. Returns how long to wait for the next, and whether the tries that were asked for are used up.
    pub(super) fn fail(&mut self, retry: Option<Retry>) -> (Duration, bool) {
        self.failed = self.failed.saturating_add(1);
        match retry {
            Some(retry) if self.failed <= retry.attempts => (retry.interval, false),
            Some(retry) => (retry.interval.max(LONGEST_PAUSE), true),
            None => {
                let doublings = self.failed.min(5) - 1;
                let pause = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
                (pause, pause == LONGEST_PAUSE)
            }
        }
    }
}

/// What a member cannot apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lacking {
    /// By its own word.
    pub(super) reason: String,
    /// When it is compared again.
    pub(super) retry_at: Duration,
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// A change was not applied.
    pub(super) fn taint(&mut self, error: &ApplyError) {
        match error.entry() {
            Some(path) => self.lack(path, error),
            None => self.lose_track(error.to_string()),
        }
    }

    /// This entry is not as the Active has it. Everything else goes on.
    fn lack(&mut self, path: &EntryPath, error: &ApplyError) {
        let is_essential = self.priority(path) == Priority::Essential;
        if is_essential {
            self.miss_essential();
        }
        let reason = error.to_string();
        if let Some(following) = &mut self.follower.following {
            following.lacks_essential |= is_essential;
            let lacked = std::mem::replace(&mut following.lacks, true);
            if lacked && matches!(error, ApplyError::Content { .. }) {
                // Why it did not arrive whole was told when it happened.
                return;
            }
            if !lacked {
                let session = following.session;
                self.tell_lack(session, true, Some(path), &reason);
            }
        }
        self.fail(reason);
    }

    /// What this copy holds is not known any more, until it has been compared again.
    pub(super) fn lose_track(&mut self, reason: String) {
        self.miss_essential();
        self.follower.telling = None;
        if let Some(following) = &mut self.follower.following {
            if !std::mem::replace(&mut following.tainted, true) {
                let session = following.session;
                self.tell_lack(session, false, None, &reason);
            }
        }
        self.fail(reason);
    }

    fn tell_lack(&mut self, session: u64, follows: bool, path: Option<&EntryPath>, reason: &str) {
        let message = Message::Lacks {
            epoch: self.state.epoch,
            session,
            follows,
            path: path.cloned(),
            reason: &readable(reason),
        };
        self.outbox.push(message.encode());
    }

    fn fail(&mut self, message: String) {
        self.problem(Topic::Copy, message);
        if self.sync != Sync::Failed {
            self.sync = Sync::Failed;
            self.announce = true;
        }
    }

    /// A member says that it could not apply something.
    pub(super) fn lacks_delivered(
        &mut self,
        from: NodeId,
        session: u64,
        follows: bool,
        path: Option<&EntryPath>,
        reason: &str,
        now: Duration,
    ) {
        let retry = path.and_then(|path| self.coverage.retry(path));
        let Some(peer) = self.peers.get_mut(from).filter(|peer| peer.session == session) else {
            return;
        };
        if self.active.is_none() {
            return;
        }
        let reason = readable(reason);
        let (pause, exhausted) = peer.lack(reason.clone(), retry, now);
        if !follows {
            self.stop_sending_to(from);
        }
        let seconds = pause.as_secs_f64();
        let next = if exhausted {
            format!("critical: still so after every try; trying again every {seconds} s")
        } else {
            format!("trying again in {seconds} s")
        };
        self.problem(
            Topic::Peer(from),
            format!("replicate to {from}: {reason}; {next}"),
        );
    }
}

/// Another member's words, in one line and not too long: what was attempted on what begins it, and what the system said ends
/// it, so that of a long path the middle is left out.
fn readable(text: &str) -> String {
    let shown = |letter: char| if letter.is_control() { ' ' } else { letter };
    let letters: Vec<char> = text.chars().map(shown).collect();
    if letters.len() <= REASON_CHARS {
        return letters.into_iter().collect();
    }
    let (head, tail) = (REASON_CHARS / 2, REASON_CHARS - REASON_CHARS / 2 - 1);
    let ends = [&letters[..head], &['…'], &letters[letters.len() - tail..]];
    ends.concat().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(retry: Option<Retry>, count: usize) -> Vec<(u64, bool)> {
        let mut tries = Tries::default();
        let mut next = || tries.fail(retry);
        (0..count)
            .map(|_| next())
            .map(|(pause, exhausted)| (pause.as_secs(), exhausted))
            .collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest_where_nothing_is_configured() {
        assert_eq!(
            pauses(None, 6),
            [
                (1, false),
                (2, false),
                (4, false),
                (8, false),
                (15, true),
                (15, true)
            ]
        );
    }

    #[test]
    fn configured_tries_come_in_their_interval_and_then_go_on_for_ever() {
        let retry = Retry {
            attempts: 2,
            interval: Duration::from_secs(5),
        };
        assert_eq!(
            pauses(Some(retry), 4),
            [(5, false), (5, false), (15, true), (15, true)]
        );
    }

    #[test]
    fn what_a_member_says_is_one_line_of_bounded_length() {
        assert_eq!(readable("place /s/a:\n\x1b[31m full"), "place /s/a:  [31m full");
        let long = readable(&format!("make {}: File name too long", "x".repeat(10_000)));
        assert_eq!(long.chars().count(), REASON_CHARS);
        assert!(long.starts_with("make xxx") && long.ends_with("xxx: File name too long"));
    }
}
