//! One BMC as processes: boots it, watches its PID 1, kills it, and reports only what is so.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use crate::chassis::Effect;
use crate::config::BmcConfig;
use crate::hub::{Hub, Machines};
use crate::messages::Slot;
use crate::processes::{descendants, init_beneath};

/// What boots a BMC has to have made its PID 1 by then; only a broken command takes this long.
const INIT_DEADLINE: Duration = Duration::from_secs(30);
/// How often /proc is looked at for a new PID 1: nothing announces one.
const INIT_LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// Exit status with which `systemd-nspawn --keep-unit` asks to be started again.
const EXIT_REBOOT: i32 = 133;

/// An order, as the one byte that stands for it in the pipe to a machine's thread.
const ORDER_BOOT: u8 = b'b';
const ORDER_KILL: u8 = b'k';

/// The ends by which the chassis gives its orders.
struct Orders([OwnedFd; 2]);

impl Machines for Orders {
    fn order(&self, effect: Effect) {
        let (slot, byte) = match effect {
            Effect::Boot(slot) => (slot, ORDER_BOOT),
            Effect::Kill(slot) => (slot, ORDER_KILL),
        };
        if let Err(errno) = rustix::io::write(&self.0[usize::from(slot)], &[byte]) {
            eprintln!("chassis-sim: order {effect:?}: {errno}");
        }
    }
}

/// Starts a thread for each BMC and connects them to the chassis.
pub fn start(hub: &Arc<Hub>, configs: &[BmcConfig; 2]) -> io::Result<()> {
    let (orders0, sender0) = pipe_with(PipeFlags::CLOEXEC)?;
    let (orders1, sender1) = pipe_with(PipeFlags::CLOEXEC)?;
    for (slot, (config, orders)) in (0..).zip(configs.iter().zip([orders0, orders1])) {
        let machine = Machine {
            hub: Arc::clone(hub),
            slot,
            config: config.clone(),
            orders,
        };
        thread::Builder::new()
            .name(config.name.clone())
            .spawn(move || machine.run())?;
    }
    hub.connect(Box::new(Orders([sender0, sender1])));
    Ok(())
}

struct Machine {
    hub: Arc<Hub>,
    slot: Slot,
    config: BmcConfig,
    orders: OwnedFd,
}

/// What a running machine waits for.
enum Wake {
    /// The chassis wants it killed.
    Kill,
    /// The process watched has ended.
    Ended,
    /// The time is over.
    Timeout,
}

/// What a BMC's operating system runs in.
struct Booted {
    child: Child,
    pid: Pid,
    handle: OwnedFd,
}

impl Machine {
    fn run(&self) {
        loop {
            match self.next_order() {
                Ok(ORDER_BOOT) => self.live(),
                // It had ended by itself before the order came.
                Ok(_) => {}
                Err(errno) => {
                    eprintln!("chassis-sim: orders for {}: {errno}", self.config.name);
                    return;
                }
            }
        }
    }

    fn next_order(&self) -> Result<u8, Errno> {
        let mut byte = [0];
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.orders, &mut byte))? {
            0 => Err(Errno::PIPE),
            _ => Ok(byte[0]),
        }
    }

    /// One life of the BMC's operating system, from its boot until nothing of it is left.
    fn live(&self) {
        let wants_reboot = match self.spawn() {
            Ok(mut booted) => match self.watch(&mut booted) {
                Ok(wants_reboot) => wants_reboot,
                Err(error) => {
                    // Whether something still runs is not known, and a guess would be taken for a proof.
                    eprintln!(
                        "chassis-sim: watch {}: {error}; it is never reported as gone",
                        self.config.name
                    );
                    return;
                }
            },
            Err(error) => {
                eprintln!("chassis-sim: boot {}: {error}", self.config.name);
                false
            }
        };
        self.hub.act(|chassis| chassis.os_gone(self.slot, wants_reboot));
    }

    /// Returns when nothing is left; answers whether the system asked for a reboot.
    fn watch(&self, booted: &mut Booted) -> io::Result<bool> {
        loop {
            let Some((init, init_handle)) = self.await_init(booted)? else {
                return self.finish(booted, None);
            };
            self.hub
                .act(|chassis| chassis.os_started(self.slot, init.as_raw_nonzero().get()));
            match self.wait(init_handle.as_fd(), None)? {
                Wake::Kill => return self.finish(booted, Some(&init_handle)),
                Wake::Ended | Wake::Timeout => self.hub.act(|chassis| chassis.os_ended(self.slot)),
            }
        }
    }

    /// In a session of its own, and killed when this process dies: a chassis that crashed leaves no BMC behind.
    fn spawn(&self) -> io::Result<Booted> {
        let console = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.config.console)?;
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "setsid", "--"])
            .args(&self.config.boot)
            .stdin(Stdio::null())
            .stdout(console.try_clone()?)
            .stderr(console)
            .spawn()?;
        let pid = Pid::from_child(&child);
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => Ok(Booted { child, pid, handle }),
            Err(errno) => {
                child.kill()?;
                child.wait()?;
                Err(errno.into())
            }
        }
    }

    /// Waits for a PID 1; none when it was killed, ended before there was one, or took too long.
    fn await_init(&self, booted: &Booted) -> io::Result<Option<(Pid, OwnedFd)>> {
        let deadline = Instant::now() + INIT_DEADLINE;
        while Instant::now() < deadline {
            if let Some(init) = init_beneath(booted.pid) {
                return Ok(Some(init));
            }
            match self.wait(booted.handle.as_fd(), Some(INIT_LOOK_INTERVAL))? {
                Wake::Kill | Wake::Ended => return Ok(None),
                Wake::Timeout => {}
            }
        }
        eprintln!(
            "chassis-sim: boot {}: no PID 1 of its own after {INIT_DEADLINE:?}",
            self.config.name
        );
        Ok(None)
    }

    fn wait(&self, process: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<Wake> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut fds = [
            PollFd::new(&self.orders, PollFlags::IN),
            PollFd::from_borrowed_fd(process, PollFlags::IN),
        ];
        rustix::io::retry_on_intr(|| poll(&mut fds, timeout.as_ref()))?;
        let [orders, ended] = fds.map(|fd| !fd.revents().is_empty());
        if orders {
            self.next_order()?;
            return Ok(Wake::Kill);
        }
        Ok(if ended { Wake::Ended } else { Wake::Timeout })
    }

    /// Makes sure that nothing is left, and answers whether the system asked for a reboot.
    fn finish(&self, booted: &mut Booted, init: Option<&OwnedFd>) -> io::Result<bool> {
        if let Some(status) = booted.child.try_wait()? {
            return Ok(status.code() == Some(EXIT_REBOOT));
        }
        // Stopped first: what boots it could otherwise start it again between two looks.
        pidfd_send_signal(&booted.handle, Signal::STOP)?;
        if let Some(init) = init {
            // By its handle, and with it goes all beneath: what follows finds nothing in most cases.
            kill_and_wait(init)?;
        }
        while kill_descendants(booted.pid)? {}
        // Before setsid(1) has run there is no group of its own yet, and only the first of these kills reaches it.
        pidfd_send_signal(&booted.handle, Signal::KILL)?;
        match kill_process_group(booted.pid, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => return Err(errno.into()),
        }
        booted.child.wait()?;
        Ok(false)
    }
}

/// Kills what is found beneath a process, and answers whether there was anything.
fn kill_descendants(root: Pid) -> Result<bool, Errno> {
    let found: Vec<(Pid, OwnedFd)> = descendants(root)
        .into_iter()
        .filter_map(|pid| Some((pid, pidfd_open(pid, PidfdFlags::empty()).ok()?)))
        .collect();
    // A number may have passed to a stranger before its handle was opened, but not since.
    let still_there = descendants(root);
    for (_, handle) in found.iter().filter(|(pid, _)| still_there.contains(pid)) {
        kill_and_wait(handle)?;
    }
    Ok(!still_there.is_empty())
}

/// Kills a process and waits until it has ended. If it is a PID 1, the kernel ends its whole namespace first
/// (pid_namespaces(7)).
fn kill_and_wait(handle: &OwnedFd) -> Result<(), Errno> {
    match pidfd_send_signal(handle, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(errno) => return Err(errno),
    }
    let mut fds = [PollFd::new(handle, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut fds, None)).map(drop)
}
