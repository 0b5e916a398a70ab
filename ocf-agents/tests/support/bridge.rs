//! A stand-in for the bridge: answers on its control socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bmc_bridge_control::{Command, Connection, Position, Reply, Request, Role, Status, Switch, Sync};

/// The bridge. It ends with its value.
pub(crate) struct Bridge {
    socket: PathBuf,
    shared: Arc<World>,
    server: Option<JoinHandle<()>>,
}

struct World {
    state: Mutex<Shared>,
    changed: Condvar,
}

struct Shared {
    status: Status,
    refusal: Option<String>,
    commands: Vec<Command>,
    ended: bool,
}

impl Bridge {
    /// A Passive in the group, alone.
    pub(crate) fn start(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let status = Status {
            version: bmc_bridge_control::messages::VERSION,
            node_id: 1,
            name: "bmc0".to_owned(),
            connection: Connection::Joined,
            quorate: true,
            role: Role::Passive,
            position: Position {
                epoch: 3,
                sequence: 9,
            },
            sync: Sync::NoSource,
            essential: false,
            switch: Switch::On,
            members: Vec::new(),
            entries: 12,
            transfer: None,
            problems: Vec::new(),
            conflicts: 0,
        };
        let shared = Arc::new(World {
            state: Mutex::new(Shared {
                status,
                refusal: None,
                commands: Vec::new(),
                ended: false,
            }),
            changed: Condvar::new(),
        });
        let server = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for connection in listener.incoming() {
                    if shared.state.lock().unwrap().ended {
                        return;
                    }
                    serve(&connection.unwrap(), &shared);
                }
            }
        });
        Self {
            socket: socket.to_owned(),
            shared,
            server: Some(server),
        }
    }

    /// Changes what it says of itself.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.shared.state.lock().unwrap().status);
        self.shared.changed.notify_all();
    }

    /// Refuses every command but `Status`.
    pub(crate) fn refuse(&self, message: &str) {
        self.shared.state.lock().unwrap().refusal = Some(message.to_owned());
    }

    /// Commands that it got, but `Status`.
    pub(crate) fn commands(&self) -> Vec<Command> {
        self.shared.state.lock().unwrap().commands.clone()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap().ended = true;
        self.shared.changed.notify_all();
        drop(UnixStream::connect(&self.socket));
        self.server.take().unwrap().join().unwrap();
        std::fs::remove_file(&self.socket).unwrap();
    }
}

fn serve(connection: &UnixStream, shared: &World) {
    let mut writer = connection;
    for line in BufReader::new(connection).lines() {
        let request: Request = serde_json::from_str(&line.unwrap()).unwrap();
        let reply = match request.command {
            Command::WaitJoined => wait_joined(shared, Duration::from_millis(request.deadline_ms)),
            command => answer(&mut shared.state.lock().unwrap(), command),
        };
        writer
            .write_all(format!("{}\n", serde_json::to_string(&reply).unwrap()).as_bytes())
            .unwrap();
    }
}

fn wait_joined(shared: &World, patience: Duration) -> Reply {
    let away = |state: &mut Shared| !state.ended && state.status.connection == Connection::Disconnected;
    let state = shared.state.lock().unwrap();
    let (state, _) = shared.changed.wait_timeout_while(state, patience, away).unwrap();
    match state.status.connection {
        Connection::Joined => Reply::Done,
        Connection::Disconnected => Reply::Error {
            message: "wait to join: no group".to_owned(),
        },
    }
}

fn answer(shared: &mut Shared, command: Command) -> Reply {
    if command == Command::Status {
        return Reply::Status(Box::new(shared.status.clone()));
    }
    shared.commands.push(command);
    if let Some(message) = shared.refusal.clone() {
        return Reply::Error { message };
    }
    match command {
        Command::Promote => {
            shared.status.role = Role::Active;
            shared.status.position.epoch += 1;
        }
        Command::Demote => shared.status.role = Role::Passive,
        _ => {}
    }
    Reply::Done
}
