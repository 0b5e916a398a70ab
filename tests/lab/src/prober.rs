//! Asks the floating address, from the rest of the world, whether it answers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::{LabError, Result};
use crate::journal::Moment;
use crate::network::Network;

/// A port on which nothing listens (tcpmux): a BMC that has the address refuses at once, which is an answer, and
/// one that does not stays silent.
const CLOSED_PORT: u16 = 1;
/// How long one question waits. Many times the round trip inside one machine.
const PATIENCE: Duration = Duration::from_millis(20);
/// Between two questions: the resolution of what is measured.
const PAUSE: Duration = Duration::from_millis(2);

/// When an address began to answer, or stopped to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reachability {
    /// When it was noticed.
    pub at: Moment,
    /// Whether the address answers from then on.
    pub answers: bool,
}

/// Probes an address until dropped.
#[derive(Debug)]
pub struct Prober {
    changes: Receiver<Reachability>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
    address: Ipv4Addr,
}

impl Prober {
    /// Starts to probe `address` from beside the switches.
    pub(crate) fn start(network: &Network, address: Ipv4Addr) -> Result<Self> {
        let (report, changes) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let target = SocketAddr::new(IpAddr::V4(address), CLOSED_PORT);
        let thread = network.inside(move || {
            let mut before = None;
            while !stopped.load(Ordering::Relaxed) {
                let answers = answers(target);
                if before != Some(answers) {
                    let at = Moment::now();
                    // The receiver is gone only when the prober is being dropped.
                    let _ = report.send(Reachability { at, answers });
                    before = Some(answers);
                }
                thread::sleep(PAUSE);
            }
        })?;
        Ok(Self {
            changes,
            stop,
            thread: Some(thread),
            address,
        })
    }

    /// Waits until the address `answers` or not, counting from `since`; returns when that began.
    ///
    /// # Errors
    /// [`LabError::Deadline`] when it does not come.
    pub fn wait_for(&self, answers: bool, since: Moment, within: Duration) -> Result<Moment> {
        let start = Instant::now();
        let mut seen = String::from("no change");
        while let Ok(change) = self.changes.recv_timeout(within.saturating_sub(start.elapsed())) {
            if change.answers == answers && change.at >= since {
                return Ok(change.at);
            }
            seen = format!("{change:?}");
        }
        Err(LabError::Deadline {
            what: format!("{} {}answering", self.address, if answers { "" } else { "not " }),
            within,
            seen,
        })
    }

    /// All changes noticed so far that were not waited for.
    pub fn changes(&self) -> impl Iterator<Item = Reachability> + '_ {
        self.changes.try_iter()
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It measures only; what it died of would have shown as an address that never answered.
            let _ = thread.join();
        }
    }
}

fn answers(target: SocketAddr) -> bool {
    match TcpStream::connect_timeout(&target, PATIENCE) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::ConnectionRefused,
    }
}
