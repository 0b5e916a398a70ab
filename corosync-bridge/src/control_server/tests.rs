//! The server with real sockets, stepped by hand: a client on the other end of a local socket is seen as soon as
//! its call has returned.

use std::io::{BufRead, BufReader};

use bmc_bridge_control::{Command, MAX_LINE_BYTES};
use tempfile::TempDir;

use super::*;

const STATUS: &[u8] = b"{\"version\":1,\"command\":\"status\",\"deadline_ms\":100}\n";

struct World {
    server: ControlServer,
    directory: TempDir,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self::owned_by(rustix::process::getuid())
    }

    fn owned_by(owner: Uid) -> Self {
        let directory = TempDir::new().unwrap();
        let server = ControlServer::bind(&directory.path().join("bridge.sock"), owner).unwrap();
        Self {
            server,
            directory,
            now: Instant::now(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("bridge.sock")
    }

    fn connect(&mut self) -> BufReader<UnixStream> {
        let stream = UnixStream::connect(self.path()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        self.server.accept(self.now).unwrap();
        BufReader::new(stream)
    }

    /// Lets every client that wants to read or write do so once.
    fn step(&mut self) {
        let clients: Vec<_> = self
            .server
            .clients()
            .map(|(id, _, interest)| (id, interest))
            .collect();
        for (id, interest) in clients {
            self.server.serve(id, interest, self.now);
        }
    }

    fn ask(&mut self, client: &mut BufReader<UnixStream>, bytes: &[u8]) -> Option<(ClientId, Request)> {
        client.get_mut().write_all(bytes).unwrap();
        self.step();
        self.server.next_request()
    }
}

fn line(client: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    client.read_line(&mut line).unwrap();
    line
}

#[test]
fn the_socket_is_closed_to_others_and_replaces_one_that_was_left_over() {
    let world = World::new();
    let mode = fs::metadata(world.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    ControlServer::bind(&world.path(), world.server.owner).unwrap();
    assert_eq!(fs::read_dir(world.directory.path()).unwrap().count(), 1);
}

#[test]
fn requests_of_one_client_are_taken_and_answered_in_order() {
    let mut world = World::new();
    let mut client = world.connect();
    let (id, request) = world.ask(&mut client, &STATUS.repeat(2)).unwrap();
    assert_eq!(request.command, Command::Status);
    assert!(
        world.server.next_request().is_none(),
        "the second came before the first was answered"
    );
    assert!(!world.server.has_request());
    world.server.reply(id, &Reply::Done);
    assert_eq!(line(&mut client), "{\"result\":\"done\"}\n");
    assert!(
        world.server.has_request(),
        "what was sent together waits for more to be sent"
    );
    assert_eq!(world.server.next_request().unwrap().0, id);
}

#[test]
fn several_clients_are_served_side_by_side() {
    let mut world = World::new();
    let (mut first, mut second) = (world.connect(), world.connect());
    let (first_id, _) = world.ask(&mut first, STATUS).unwrap();
    let (second_id, _) = world.ask(&mut second, STATUS).unwrap();
    assert_ne!(first_id, second_id);
    world.server.reply(second_id, &Reply::Done);
    assert_eq!(line(&mut second), "{\"result\":\"done\"}\n");
}

#[test]
fn another_user_is_refused_and_told_so() {
    let other = Uid::from_raw(rustix::process::getuid().as_raw() + 1);
    let mut world = World::owned_by(other);
    let mut client = world.connect();
    assert!(line(&mut client).contains("may not ask the bridge"));
    assert_eq!(line(&mut client), "", "the connection was not closed");
    assert_eq!(world.server.clients().count(), 0);
}

#[test]
fn a_bad_line_is_answered_and_the_connection_goes_on() {
    let mut world = World::new();
    let mut client = world.connect();
    assert!(world.ask(&mut client, b"{}\n").is_none());
    assert!(line(&mut client).starts_with("{\"result\":\"error\""));
    assert!(world.ask(&mut client, STATUS).is_some());
}

#[test]
fn an_endless_line_is_answered_and_the_connection_closed() {
    let mut world = World::new();
    let mut client = world.connect();
    let chunk = vec![b'x'; READ_BYTES];
    for _ in 0..MAX_LINE_BYTES / READ_BYTES {
        assert!(world.ask(&mut client, &chunk).is_none());
    }
    assert!(line(&mut client).contains("longer than"));
    assert_eq!(world.server.clients().count(), 0);
}

#[test]
fn one_client_too_many_is_told_so() {
    let mut world = World::new();
    let _clients: Vec<_> = (0..MAX_CLIENTS).map(|_| world.connect()).collect();
    let mut extra = world.connect();
    assert!(line(&mut extra).contains("16 clients already"));
    assert_eq!(world.server.clients().count(), MAX_CLIENTS);
}

#[test]
fn a_silent_client_is_closed_and_a_waiting_one_is_not() {
    let mut world = World::new();
    let mut waiting = world.connect();
    let (id, _) = world.ask(&mut waiting, STATUS).unwrap();
    let mut silent = world.connect();
    assert_eq!(world.server.deadline(), Some(world.now + IDLE));
    world.now += IDLE;
    world.server.close_idle(world.now);
    assert_eq!(line(&mut silent), "");
    assert_eq!(world.server.deadline(), None);
    world.server.reply(id, &Reply::Done);
    assert_eq!(line(&mut waiting), "{\"result\":\"done\"}\n");
}

#[test]
fn a_client_that_hangs_up_is_forgotten_even_while_it_waits() {
    let mut world = World::new();
    let mut client = world.connect();
    let (id, _) = world.ask(&mut client, STATUS).unwrap();
    drop(client);
    world.server.serve(id, PollFlags::HUP, world.now);
    assert_eq!(world.server.clients().count(), 0);
    world.server.reply(id, &Reply::Done);
}

#[test]
fn a_reply_larger_than_the_socket_buffer_arrives_whole() {
    let mut world = World::new();
    let mut client = world.connect();
    let (id, _) = world.ask(&mut client, STATUS).unwrap();
    let message = "x".repeat(4 * 1024 * 1024);
    world.server.reply(
        id,
        &Reply::Error {
            message: message.clone(),
        },
    );
    let reader = std::thread::spawn(move || line(&mut client));
    while world
        .server
        .clients()
        .any(|(_, _, interest)| interest.contains(PollFlags::OUT))
    {
        world.step();
    }
    assert_eq!(
        reader.join().unwrap().len(),
        message.len() + "{\"result\":\"error\",\"message\":\"\"}\n".len()
    );
}
