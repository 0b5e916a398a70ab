//! The connection to Corosync: joined, or waiting for it to come back.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use bmc_corosync::{CallError, Cpg, CpgEvent, Quorum, SendOutcome, cmap};

/// First pause before Corosync is tried again. It is restarted in about a second, and its absence keeps this
/// BMC from being promoted, so the bridge is back soon after it.
const RETRY_FIRST: Duration = Duration::from_millis(50);

/// Longest pause. A try is one refused connection; longer would make a Corosync that was away for long be
/// joined later.
const RETRY_LONGEST: Duration = Duration::from_secs(1);

/// Bytes of this node's messages that may be on their way to itself through the group. A few milliseconds of
/// a BMC's network: enough to keep it busy, and little enough that a small change does not queue for long
/// behind a large one, nor the membership behind either.
const WINDOW_BYTES: usize = 256 * 1024;

/// The connection.
#[derive(Debug)]
pub(crate) struct Link {
    group: String,
    state: State,
    /// Names of the nodes when Corosync was last reached.
    names: BTreeMap<u32, String>,
}

#[derive(Debug)]
enum State {
    Up(Up),
    Down(Down),
}

#[derive(Debug)]
struct Up {
    cpg: Cpg,
    quorum: Quorum,
    /// Bytes sent and not yet delivered back.
    in_flight: usize,
}

#[derive(Debug)]
struct Down {
    retry_at: Instant,
    pause: Duration,
    /// Why the last try failed, and how many have.
    failure: Option<(CallError, u64)>,
}

impl Down {
    fn until(retry_at: Instant) -> Self {
        Self {
            retry_at,
            pause: RETRY_FIRST,
            failure: None,
        }
    }

    /// Notes a failed try. Returns whether it failed differently from the one before.
    fn fail(&mut self, error: CallError, now: Instant) -> bool {
        let (is_news, tries) = match &self.failure {
            Some((last, tries)) => (*last != error, *tries),
            None => (true, 0),
        };
        self.failure = Some((error, tries + 1));
        self.retry_at = now + self.pause;
        self.pause = (self.pause * 2).min(RETRY_LONGEST);
        is_news
    }
}

impl Link {
    /// A link to `group` that is not connected; the first try is due at once.
    pub(crate) fn new(group: &str, now: Instant) -> Self {
        Self {
            group: group.to_owned(),
            state: State::Down(Down::until(now)),
            names: BTreeMap::new(),
        }
    }

    /// The group's name.
    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    /// Descriptors to wait on: of the group and of the quorum.
    pub(crate) fn fds(&self) -> Option<[BorrowedFd<'_>; 2]> {
        match &self.state {
            State::Up(up) => Some([up.cpg.as_fd(), up.quorum.as_fd()]),
            State::Down(_) => None,
        }
    }

    /// When [`Link::try_join`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Up(_) => None,
            State::Down(down) => Some(down.retry_at),
        }
    }

    /// This node's id, while connected.
    pub(crate) fn node_id(&self) -> Option<u32> {
        match &self.state {
            State::Up(up) => Some(up.cpg.node_id()),
            State::Down(_) => None,
        }
    }

    /// Whether this node's partition has quorum; never while Corosync is away.
    pub(crate) fn is_quorate(&self) -> bool {
        matches!(&self.state, State::Up(up) if up.quorum.is_quorate())
    }

    /// Why Corosync cannot be reached, and how often it was tried.
    pub(crate) fn failure(&self) -> Option<&(CallError, u64)> {
        match &self.state {
            State::Up(_) => None,
            State::Down(down) => down.failure.as_ref(),
        }
    }

    /// The node's name in the nodelist, or its id in decimal.
    pub(crate) fn name(&self, node_id: u32) -> String {
        self.names
            .get(&node_id)
            .cloned()
            .unwrap_or_else(|| node_id.to_string())
    }

    /// Joins the group if a try is due. The error is told when it is another one than at the last try.
    pub(crate) fn try_join(&mut self, now: Instant) -> Result<(), CallError> {
        let State::Down(down) = &mut self.state else {
            return Ok(());
        };
        if now < down.retry_at {
            return Ok(());
        }
        match connect(&self.group) {
            Ok((up, names)) => {
                self.state = State::Up(up);
                self.names = names;
                Ok(())
            }
            Err(error) => {
                let is_news = down.fail(error.clone(), now);
                if is_news { Err(error) } else { Ok(()) }
            }
        }
    }

    /// Gives the connection up; it is tried again after a pause.
    pub(crate) fn lose(&mut self, now: Instant) {
        self.state = State::Down(Down::until(now + RETRY_FIRST));
    }

    /// What happened next in the group, if anything has.
    pub(crate) fn next_event(&mut self) -> Result<Option<CpgEvent>, CallError> {
        let State::Up(up) = &mut self.state else {
            return Ok(None);
        };
        let event = up.cpg.next_event()?;
        if let Some(CpgEvent::Message { from, bytes }) = &event {
            if *from == up.cpg.node_id() {
                up.in_flight = up.in_flight.saturating_sub(bytes.len());
            }
        }
        Ok(event)
    }

    /// Takes the changes of the quorum.
    pub(crate) fn update_quorum(&mut self) -> Result<(), CallError> {
        match &mut self.state {
            State::Up(up) => up.quorum.dispatch(),
            State::Down(_) => Ok(()),
        }
    }

    /// Learns the names of nodes that were added to the nodelist at run time.
    pub(crate) fn learn_names(&mut self, node_ids: &BTreeSet<u32>) -> Result<(), CallError> {
        if node_ids.iter().any(|node_id| !self.names.contains_key(node_id)) {
            self.names = cmap::node_names()?;
        }
        Ok(())
    }

    /// Whether more may be sent before something that was sent has come back.
    pub(crate) fn has_room(&self) -> bool {
        matches!(&self.state, State::Up(up) if up.in_flight < WINDOW_BYTES)
    }

    /// Sends a message to the group.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<SendOutcome, CallError> {
        let State::Up(up) = &mut self.state else {
            return Ok(SendOutcome::NoRoom);
        };
        let outcome = up.cpg.send(bytes)?;
        if outcome == SendOutcome::Taken {
            up.in_flight += bytes.len();
        }
        Ok(outcome)
    }
}

fn connect(group: &str) -> Result<(Up, BTreeMap<u32, String>), CallError> {
    let names = cmap::node_names()?;
    let quorum = Quorum::track()?;
    let cpg = Cpg::join(group)?;
    let up = Up {
        cpg,
        quorum,
        in_flight: 0,
    };
    Ok((up, names))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bmc_corosync::CsError;

    #[test]
    fn without_corosync_tries_get_rarer_and_only_news_is_told() {
        let error = |code| CallError {
            call: "cpg_join",
            code,
        };
        let now = Instant::now();
        let mut down = Down::until(now);
        assert!(down.fail(error(CsError::Library), now));
        let mut pauses = vec![down.retry_at.duration_since(now).as_millis()];
        for _ in 0..6 {
            assert!(
                !down.fail(error(CsError::Library), now),
                "the same failure was news"
            );
            pauses.push(down.retry_at.duration_since(now).as_millis());
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000]);
        assert!(down.fail(error(CsError::TryAgain), now));
        assert_eq!(down.failure, Some((error(CsError::TryAgain), 8)));
    }

    #[test]
    fn a_link_that_is_down_has_no_room_and_no_quorum() {
        let mut link = Link::new("bmc-ha", Instant::now());
        assert!(!link.has_room() && !link.is_quorate() && link.fds().is_none());
        assert_eq!(link.send(b"x"), Ok(SendOutcome::NoRoom));
        assert_eq!(link.next_event(), Ok(None));
        assert_eq!(link.name(7), "7");
    }
}
