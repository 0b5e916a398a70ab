//! The running chassis: mounts the views, runs the machines, lets time pass and answers on the control socket.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fuser::{BackgroundSession, MountOption};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::config::Config;
use crate::hub::Hub;
use crate::machine;
use crate::messages::{Answer, Request, Slot};
use crate::thermal::STEP;
use crate::view::View;

/// A killed BMC is gone in milliseconds; one that is not by then hangs in the kernel.
const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// How long a subscriber's thread waits for a record before it looks again.
const FOLLOW_WAIT: Duration = Duration::from_secs(60);

/// Why the chassis does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A part of it could not be set up.
    #[error("{action} {}: {source}", path.display())]
    SetUp {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Signals or threads are not to be had.
    #[error("start the chassis: {0}")]
    Start(#[from] io::Error),
    /// A BMC does not die.
    #[error("stop the BMCs: still running {} s after they were killed", STOP_DEADLINE.as_secs())]
    StillRunning,
}

/// Adds what was tried, and with what, to an error.
trait During<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, ServerError>;
}

impl<T, E: Into<io::Error>> During<T> for Result<T, E> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, ServerError> {
        self.map_err(|source| ServerError::SetUp {
            action,
            path: path.to_owned(),
            source: source.into(),
        })
    }
}

/// Runs the chassis until SIGTERM, SIGINT, SIGHUP or [`Request::Shutdown`].
pub fn run(config: &Config) -> Result<(), ServerError> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let server = Arc::new(Server::start(config)?);
    let listening = Arc::clone(&server);
    let listener = listening.listen()?;
    thread::Builder::new()
        .name("control".into())
        .spawn(move || listening.serve(&listener))?;
    signals.forever().next();
    server.stop()
}

struct Server {
    hub: Arc<Hub>,
    config: Config,
    sessions: Mutex<Vec<BackgroundSession>>,
}

impl Server {
    fn start(config: &Config) -> Result<Self, ServerError> {
        clear_leftovers(config)?;
        let hub = Hub::new(&config.log, config.host_power).during("create event log", &config.log)?;
        let server = Self {
            hub: Arc::clone(&hub),
            config: config.clone(),
            sessions: Mutex::new(Vec::new()),
        };
        for (slot, bmc) in (0..).zip(&config.bmcs) {
            match mount(&hub, slot, &bmc.mount) {
                Ok(session) => server.sessions().push(session),
                Err(error) => {
                    server.unmount_all();
                    return Err(error);
                }
            }
        }
        machine::start(&hub, &config.bmcs)?;
        thread::Builder::new().name("time".into()).spawn(move || {
            loop {
                thread::sleep(STEP);
                hub.act(|_| ());
            }
        })?;
        Ok(server)
    }

    /// Cuts both BMCs' power, waits until nothing of them runs, and takes everything down. Doing it twice is fine.
    fn stop(&self) -> Result<(), ServerError> {
        self.hub
            .act(|chassis| [0, 1].map(|slot| chassis.switch_bmc_power(slot, false)));
        let all_off = self.hub.wait_all_off(Instant::now() + STOP_DEADLINE);
        self.unmount_all();
        match fs::remove_file(&self.config.socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).during("remove control socket", &self.config.socket);
            }
            _ => {}
        }
        if all_off {
            Ok(())
        } else {
            Err(ServerError::StillRunning)
        }
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, Vec<BackgroundSession>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lazily, so that a shell that stands in a view does not keep it mounted.
    fn unmount_all(&self) {
        let mut sessions = self.sessions();
        if !sessions.is_empty() {
            self.config
                .bmcs
                .iter()
                .for_each(|bmc| unmount_leftover(&bmc.mount));
        }
        sessions.clear();
    }

    fn listen(&self) -> Result<UnixListener, ServerError> {
        let path = &self.config.socket;
        // Made under another name and renamed when only root can use it, so that who sees it can rely on it.
        let unfinished = path.with_extension("new");
        let listener = UnixListener::bind(&unfinished).during("bind control socket", &unfinished)?;
        fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o600))
            .during("restrict control socket", &unfinished)?;
        fs::rename(&unfinished, path).during("publish control socket", path)?;
        Ok(listener)
    }

    fn serve(self: &Arc<Self>, listener: &UnixListener) {
        for connection in listener.incoming().flatten() {
            let server = Arc::clone(self);
            let started = thread::Builder::new()
                .name("client".into())
                .spawn(move || server.answer_all(&connection));
            if let Err(error) = started {
                eprintln!("chassis-sim: serve a client: {error}");
            }
        }
    }

    /// Serves one connection until its end; an error is the client's going away.
    fn answer_all(&self, connection: &UnixStream) {
        let mut lines = BufReader::new(connection).lines();
        while let Some(Ok(line)) = lines.next() {
            let request = match serde_json::from_str(&line) {
                Ok(Request::Subscribe { from }) => return self.stream(connection, from),
                Ok(request) => request,
                Err(error) => {
                    let message = format!("parse request {line}: {error}");
                    if send(connection, &Answer::Error { message }).is_err() {
                        return;
                    }
                    continue;
                }
            };
            if send(connection, &self.answer(&request)).is_err() {
                return;
            }
            if request == Request::Shutdown {
                end_this_process();
            }
        }
    }

    fn answer(&self, request: &Request) -> Answer {
        let result = match request {
            Request::Power { bmc, on } if *bmc <= 1 => {
                self.hub.act(|chassis| chassis.switch_bmc_power(*bmc, *on));
                Ok(())
            }
            Request::Power { bmc, .. } => Err(format!("switch power of BMC {bmc}: slots are 0 and 1")),
            Request::SeizeMux => self
                .hub
                .act(|chassis| chassis.seize_mux())
                .map_err(|cause| format!("seize the mux: {cause}")),
            Request::Load { watts } => self
                .hub
                .act(|chassis| chassis.set_load(*watts))
                .map_err(|cause| format!("set a load of {watts} W: {cause}")),
            Request::Mark { text } => {
                self.hub.act(|chassis| chassis.mark(text.clone()));
                Ok(())
            }
            Request::State => return Answer::State(self.hub.state()),
            Request::Subscribe { .. } => Err("subscribe: only as the last request of a connection".into()),
            Request::Shutdown => self.stop().map_err(|error| error.to_string()),
        };
        match result {
            Ok(()) => Answer::Done,
            Err(message) => Answer::Error { message },
        }
    }

    fn stream(&self, mut connection: &UnixStream, mut next: u64) {
        loop {
            for line in self.hub.records_from(next, Instant::now() + FOLLOW_WAIT) {
                if connection.write_all(line.as_bytes()).is_err() {
                    return;
                }
                next += 1;
            }
        }
    }
}

/// The main thread waits for signals: this is how a client's shutdown reaches it.
fn end_this_process() {
    if let Err(errno) = kill_process(getpid(), Signal::TERM) {
        eprintln!("chassis-sim: end: {errno}");
    }
}

fn send(mut connection: &UnixStream, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_string(answer)?;
    line.push('\n');
    connection.write_all(line.as_bytes())
}

/// What a run that crashed left behind.
fn clear_leftovers(config: &Config) -> Result<(), ServerError> {
    for bmc in &config.bmcs {
        unmount_leftover(&bmc.mount);
        fs::create_dir_all(&bmc.mount).during("create mount point", &bmc.mount)?;
    }
    match fs::remove_file(&config.socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).during("remove stale control socket", &config.socket)
        }
        _ => Ok(()),
    }
}

/// Unmounts whatever is mounted there, however often.
fn unmount_leftover(mountpoint: &Path) {
    while unmount(mountpoint, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_ok() {}
}

fn mount(hub: &Arc<Hub>, slot: Slot, mountpoint: &Path) -> Result<BackgroundSession, ServerError> {
    let options = [
        MountOption::FSName("chassis".into()),
        MountOption::AllowOther,
        MountOption::DefaultPermissions,
        MountOption::NoExec,
    ];
    fuser::spawn_mount2(View::new(Arc::clone(hub), slot), mountpoint, &options)
        .during("mount chassis view", mountpoint)
}
