//! Sleeping until something happens.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::Daemon;
use crate::control_server::ClientId;
use crate::log;

/// What a descriptor belongs to.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// The CPG group.
    Group,
    /// The quorum service.
    Quorum,
    /// The watched directories; read at every turn of the loop, so being woken is all it takes.
    Watcher,
    /// The control socket.
    Listener,
    /// A client of the control socket.
    Client(ClientId),
}

/// Descriptors that have something.
#[derive(Debug, Default)]
pub(super) struct Ready(Vec<(Source, PollFlags)>);

impl Daemon {
    /// Sleeps until a descriptor has something or a deadline has come.
    pub(super) fn wait(&self) -> io::Result<Ready> {
        let mut sources = vec![Source::Listener];
        let mut fds = vec![PollFd::from_borrowed_fd(self.server.listener(), PollFlags::IN)];
        let group = self.link.fds().into_iter().flatten();
        for (source, fd) in [Source::Group, Source::Quorum].into_iter().zip(group) {
            sources.push(source);
            fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
        }
        if let Some(fd) = self.watcher.fd() {
            sources.push(Source::Watcher);
            fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
        }
        for (id, fd, interest) in self.server.clients() {
            sources.push(Source::Client(id));
            fds.push(PollFd::from_borrowed_fd(fd, interest));
        }
        match poll(&mut fds, self.timeout().as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Ready::default()),
            Err(errno) => return Err(errno.into()),
        }
        let states = sources.into_iter().zip(fds.iter().map(PollFd::revents));
        Ok(Ready(states.filter(|(_, flags)| !flags.is_empty()).collect()))
    }

    /// Takes in what the descriptors have.
    pub(super) fn receive(&mut self, ready: &Ready) {
        for (source, flags) in &ready.0 {
            match source {
                Source::Group => {
                    let closed = flags.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
                    self.receive_from_group(closed);
                }
                Source::Quorum => self.receive_quorum(),
                Source::Watcher => {}
                Source::Listener => {
                    if let Err(error) = self.server.accept(Instant::now()) {
                        log::warning(format_args!("accept a client of the control socket: {error}"));
                    }
                }
                Source::Client(id) => self.server.serve(*id, *flags, Instant::now()),
            }
        }
    }

    /// How long to sleep at most; `None` is for ever.
    fn timeout(&self) -> Option<Timespec> {
        if self.core.has_work(self.core_now()) || self.core.is_behind() || self.server.has_request() {
            return Some(Timespec::default());
        }
        let deadlines = [
            self.core.deadline().map(|deadline| self.started + deadline),
            self.link.deadline(),
            self.watcher.deadline(),
            self.server.deadline(),
            self.requests.progress_due(),
            self.joining.deadline(),
            self.unsent.as_ref().map(|(_, retry_at)| *retry_at),
        ];
        let next = deadlines.into_iter().flatten().min()?;
        Some(timespec(next.saturating_duration_since(Instant::now())))
    }
}

fn timespec(duration: Duration) -> Timespec {
    // A time that does not fit is longer than any machine runs.
    Timespec::try_from(duration).unwrap_or(Timespec {
        tv_sec: i64::MAX,
        tv_nsec: 0,
    })
}
