//! Serves the control socket: several clients, one request at a time for each, root only.
//!
//! Nothing here blocks. A client that sends too much, reads too slowly or says nothing costs a bounded amount
//! of memory for a bounded time.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bmc_bridge_control::codec::{RequestBuffer, RequestError, encode_reply};
use bmc_bridge_control::{Reply, Request};
use rustix::event::PollFlags;
use rustix::net::sockopt::socket_peercred;
use rustix::process::Uid;

/// Clients served at once. An agent, an admin's status and a monitor are three; more than this is somebody's
/// mistake, and must not cost memory.
const MAX_CLIENTS: usize = 16;

/// A client that neither waits for an answer nor asks anything is closed after this.
const IDLE: Duration = Duration::from_secs(30);

/// Bytes read from a client at once. A request has about 60.
const READ_BYTES: usize = 1024;

/// Why the socket could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{action} control socket {}: {source}", path.display())]
pub(crate) struct ServeError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// A client of this server's lifetime; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientId(u64);

/// The socket and its clients.
#[derive(Debug)]
pub(crate) struct ControlServer {
    listener: UnixListener,
    /// Who may ask.
    owner: Uid,
    clients: BTreeMap<ClientId, Client>,
    next_id: u64,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    requests: RequestBuffer,
    /// What is still to be written of the last reply.
    output: Vec<u8>,
    /// A request was taken and not answered yet.
    waits: bool,
    /// No more is read: the connection ends when the output is out.
    closing: bool,
    active_at: Instant,
}

impl ControlServer {
    /// Listens at `path`, in place of whatever is there; `owner` and nobody else may ask.
    pub(crate) fn bind(path: &Path, owner: Uid) -> Result<Self, ServeError> {
        let error = |action| {
            move |source| ServeError {
                action,
                path: path.to_owned(),
                source,
            }
        };
        // A socket under another name is closed to others before it can be found under its own.
        let next = path.with_extension("next");
        match fs::remove_file(&next) {
            Err(source) if source.kind() != ErrorKind::NotFound => return Err(error("clear")(source)),
            _ => {}
        }
        let listener = UnixListener::bind(&next).map_err(error("bind"))?;
        listener.set_nonblocking(true).map_err(error("set up"))?;
        fs::set_permissions(&next, Permissions::from_mode(0o600)).map_err(error("protect"))?;
        fs::rename(&next, path).map_err(error("place"))?;
        Ok(Self {
            listener,
            owner,
            clients: BTreeMap::new(),
            next_id: 0,
        })
    }

    /// The descriptor on which clients arrive.
    pub(crate) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// The clients' descriptors, and what to wait for on each.
    pub(crate) fn clients(&self) -> impl Iterator<Item = (ClientId, BorrowedFd<'_>, PollFlags)> {
        self.clients
            .iter()
            .map(|(id, client)| (*id, client.stream.as_fd(), client.interest()))
    }

    /// When [`ControlServer::close_idle`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.clients
            .values()
            .filter(|client| !client.waits)
            .map(|client| client.active_at + IDLE)
            .min()
    }

    /// Takes in the clients that have arrived.
    pub(crate) fn accept(&mut self, now: Instant) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.admit(stream, now)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads from and writes to a client that is ready for it.
    pub(crate) fn serve(&mut self, id: ClientId, ready: PollFlags, now: Instant) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.active_at = now;
        let served = if ready.contains(PollFlags::IN) && client.wants_input() {
            client.read()
        } else {
            Ok(())
        };
        let gone = ready.intersects(PollFlags::HUP | PollFlags::ERR) && !client.wants_input();
        if served.is_err() || gone {
            self.clients.remove(&id);
        } else {
            self.flush(id);
        }
    }

    /// Whether [`ControlServer::next_request`] has something to say without anything being read before.
    pub(crate) fn has_request(&self) -> bool {
        self.clients
            .values()
            .any(|client| client.wants_input() && client.requests.has_line())
    }

    /// Takes the next request of any client that may ask one now.
    pub(crate) fn next_request(&mut self) -> Option<(ClientId, Request)> {
        let ids: Vec<ClientId> = self.clients.keys().copied().collect();
        for id in ids {
            while let Some(client) = self.clients.get_mut(&id).filter(|client| client.wants_input()) {
                match client.requests.next_request() {
                    None => break,
                    Some(Ok(request)) => {
                        client.waits = true;
                        return Some((id, request));
                    }
                    Some(Err(error)) => {
                        client.closing |= error == RequestError::TooLong;
                        let message = error.to_string();
                        self.reply(id, &Reply::Error { message });
                    }
                }
            }
        }
        None
    }

    /// Answers a client, if it is still there.
    pub(crate) fn reply(&mut self, id: ClientId, reply: &Reply) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.waits = false;
        }
        self.tell(id, reply);
    }

    /// Tells a client something before it is answered.
    pub(crate) fn tell(&mut self, id: ClientId, reply: &Reply) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        match encode_reply(reply) {
            Ok(line) => client.output.extend(line),
            Err(_) => client.closing = true,
        }
        self.flush(id);
    }

    /// Whether a client is there and has read what it was told.
    pub(crate) fn is_listening(&self, id: ClientId) -> bool {
        self.clients
            .get(&id)
            .is_some_and(|client| client.output.is_empty())
    }

    /// Whether a client is still there.
    pub(crate) fn has_client(&self, id: ClientId) -> bool {
        self.clients.contains_key(&id)
    }

    /// Closes clients that have been silent for long.
    pub(crate) fn close_idle(&mut self, now: Instant) {
        self.clients
            .retain(|_, client| client.waits || now < client.active_at + IDLE);
    }

    fn admit(&mut self, stream: UnixStream, now: Instant) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        let refusal = self.refusal(&stream)?;
        let mut client = Client {
            stream,
            requests: RequestBuffer::default(),
            output: Vec::new(),
            waits: false,
            closing: false,
            active_at: now,
        };
        if let Some(message) = refusal {
            // One small line fits into an empty socket buffer; nothing is kept for somebody who may not ask.
            client.output = encode_reply(&Reply::Error { message })?;
            let _ = client.write();
            return Ok(());
        }
        self.clients.insert(ClientId(self.next_id), client);
        self.next_id += 1;
        Ok(())
    }

    /// Why a client may not ask, by the credentials that the kernel vouches for (`unix(7)`, SO_PEERCRED).
    fn refusal(&self, stream: &UnixStream) -> io::Result<Option<String>> {
        let peer = match socket_peercred(stream) {
            Ok(credentials) => credentials.uid,
            // The kernel shows such a process as pid 0, which rustix cannot hold and reports as error number 0.
            Err(error) if error.raw_os_error() == 0 => {
                return Ok(Some(
                    "connect: this client runs outside the PID namespace of the bridge; run it inside".into(),
                ));
            }
            Err(error) => return Err(error.into()),
        };
        if peer != self.owner {
            return Ok(Some(format!(
                "connect: user id {} may not ask the bridge, only user id {}",
                peer.as_raw(),
                self.owner.as_raw()
            )));
        }
        let full = self.clients.len() >= MAX_CLIENTS;
        Ok(full.then(|| format!("connect: the bridge serves {MAX_CLIENTS} clients already")))
    }

    fn flush(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let failed = client.write().is_err();
        if failed || (client.closing && client.output.is_empty() && !client.waits) {
            self.clients.remove(&id);
        }
    }
}

impl Client {
    /// Whether the next request may be taken.
    fn wants_input(&self) -> bool {
        !self.waits && !self.closing && self.output.is_empty()
    }

    fn interest(&self) -> PollFlags {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, self.wants_input());
        flags.set(PollFlags::OUT, !self.output.is_empty());
        flags
    }

    fn read(&mut self) -> io::Result<()> {
        let mut bytes = [0; READ_BYTES];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                self.requests.push(bytes.get(..length).unwrap_or_default());
                Ok(())
            }
            Err(error) if would_wait(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(length) => drop(self.output.drain(..length)),
                Err(error) if would_wait(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn would_wait(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests;
