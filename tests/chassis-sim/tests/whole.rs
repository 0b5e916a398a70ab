//! The whole program with plain processes as BMCs: views, machines, control socket, log.
//!
//! Needs root, FUSE and PID namespaces, as the lab does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of tests fails its test"
)]

use std::fs;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use chassis_sim::client::{Client, Subscription};
use chassis_sim::config::{BmcConfig, Config};
use chassis_sim::messages::{Event, Record, Request, Slot};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Long enough for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// A PID 1 with two children, none of which ends by itself.
const SLEEPERS: &str = "sleep infinity & sleep infinity & wait";

/// A command that runs this script as PID 1 of a namespace.
fn contained(script: &str) -> Vec<String> {
    ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", script]
        .map(String::from)
        .to_vec()
}

/// For what nothing announces.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::yield_now();
    }
}

struct World {
    folder: TempDir,
    process: Child,
}

impl World {
    fn start(script: &str) -> Self {
        Self::start_in(TempDir::new().unwrap(), &contained(script))
    }

    fn start_in(folder: TempDir, boot: &[String]) -> Self {
        let path = folder.path().to_owned();
        let bmc = |name: &str| BmcConfig {
            name: name.into(),
            mount: path.join(name),
            console: path.join(format!("{name}.console")),
            boot: boot.to_vec(),
        };
        let config = Config {
            log: path.join("log"),
            socket: path.join("socket"),
            host_power: true,
            bmcs: [bmc("bmc0"), bmc("bmc1")],
        };
        let file = path.join("config");
        fs::write(&file, serde_json::to_string(&config).unwrap()).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_chassis-sim"))
            .args(["--config".as_ref(), file.as_os_str()])
            .spawn()
            .unwrap();
        let world = Self { folder, process };
        eventually("a control socket", || Client::connect(&world.socket()).is_ok());
        world
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn client(&self) -> Client {
        Client::connect(&self.socket()).unwrap()
    }

    fn file(&self, bmc: Slot, name: &str) -> PathBuf {
        self.folder.path().join(format!("bmc{bmc}")).join(name)
    }

    fn read(&self, bmc: Slot, name: &str) -> io::Result<String> {
        fs::read_to_string(self.file(bmc, name)).map(|text| text.trim_end().to_owned())
    }

    /// As a shell's `echo value > file`: opened with `O_TRUNC`.
    fn write(&self, bmc: Slot, name: &str, value: &str) -> Result<(), Errno> {
        let result =
            fs::File::create(self.file(bmc, name)).and_then(|mut file| file.write_all(value.as_bytes()));
        result.map_err(|error| Errno::from_io_error(&error).expect("an errno"))
    }

    fn wait_for(&self, what: &str, from: u64, fits: impl Fn(&Event) -> bool) -> Record {
        let mut log = Subscription::open(&self.socket(), from).unwrap();
        log.wait_for(what, Instant::now() + PATIENCE, |record| fits(&record.event))
            .unwrap()
    }

    /// Switches a BMC on and waits for its PID 1.
    fn power_on(&self, bmc: Slot) -> Pid {
        let from = self.client().state().unwrap().next_record;
        self.client().perform(&Request::Power { bmc, on: true }).unwrap();
        self.wait_for(
            "the boot",
            from,
            |event| matches!(event, Event::BmcBooting { bmc: booted, .. } if *booted == bmc),
        );
        Pid::from_raw(self.client().state().unwrap().bmcs[usize::from(bmc)].pid.unwrap()).unwrap()
    }

    /// BMCs whose systems end with the exit status that one writes to the file returned.
    fn obedient() -> (Self, PathBuf) {
        let folder = TempDir::new().unwrap();
        let orders = folder.path().join("orders");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &orders,
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let script = format!("read status < {}; exit $status", orders.display());
        (Self::start_in(folder, &contained(&script)), orders)
    }

    fn with_both_running(script: &str) -> Self {
        let world = Self::start(script);
        world.power_on(0);
        world.power_on(1);
        world
    }

    fn end(&mut self) -> i32 {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        self.process.wait().unwrap().code().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.process.try_wait().unwrap().is_none() {
            self.end();
        }
        for bmc in [0, 1] {
            // Still there only when the chassis crashed.
            let _absent = unmount(self.file(bmc, ""), UnmountFlags::DETACH);
        }
    }
}

fn is_mounted(path: &Path) -> bool {
    fs::read_to_string("/proc/self/mounts")
        .unwrap()
        .contains(path.to_str().unwrap())
}

/// Command lines of the processes on this machine that name something.
fn processes_that_name(name: &str) -> Vec<String> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path().join("cmdline")).ok())
        .filter(|line| line.contains(name) && !line.contains("--config"))
        .collect()
}

fn lives(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))
        .is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits until poll(2) reports a change of the file. At its timeout poll looks once more, and that is too late.
fn wait_for_change(file: &fs::File) {
    let start = Instant::now();
    let mut fds = [PollFd::new(file, PollFlags::PRI)];
    let timeout = Timespec::try_from(PATIENCE).unwrap();
    let ready = poll(&mut fds, Some(&timeout)).unwrap();
    assert!(ready == 1 && start.elapsed() < PATIENCE, "no change was reported");
    assert!(fds[0].revents().contains(PollFlags::PRI | PollFlags::ERR));
}

fn reread(file: &mut fs::File) -> String {
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn writes_answer_with_the_errors_of_hardware() {
    let world = World::with_both_running(SLEEPERS);
    assert_eq!(world.write(0, "fans/pwm1", "100\n"), Err(Errno::IO));
    assert_eq!(world.write(0, "sibling/reset", "1\n"), Err(Errno::PERM));
    assert_eq!(world.write(0, "mux/grant", "1\n"), Err(Errno::ACCESS));
    assert_eq!(world.write(0, "mux/select", "maybe\n"), Err(Errno::INVAL));
    assert_eq!(world.write(0, "sibling/fence_lock", "1\n"), Ok(()));
    assert_eq!(world.write(1, "sibling/fence_lock", "1\n"), Err(Errno::BUSY));
    assert_eq!(
        world.read(0, "fans/pwm1").unwrap_err().raw_os_error(),
        Some(Errno::IO.raw_os_error())
    );
    assert_eq!(
        world.read(0, "host/reset").unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    assert_eq!(world.read(1, "position").unwrap(), "1");
    assert_eq!(world.read(1, "power/good").unwrap(), "1");
}

#[test]
fn the_holder_drives_the_fans_and_mtime_tells_when() {
    let world = World::with_both_running(SLEEPERS);
    world.write(0, "mux/select", "1\n").unwrap();
    let before = fs::metadata(world.file(0, "fans/pwm2")).unwrap();
    world.write(0, "fans/pwm2", "90").unwrap();
    let after = fs::metadata(world.file(0, "fans/pwm2")).unwrap();
    assert_eq!(world.read(0, "fans/pwm2").unwrap(), "90");
    assert!((after.mtime(), after.mtime_nsec()) > (before.mtime(), before.mtime_nsec()));
    let other_view = fs::metadata(world.file(1, "fans/pwm2")).unwrap();
    assert_eq!(
        (after.mtime(), after.mtime_nsec()),
        (other_view.mtime(), other_view.mtime_nsec()),
        "one chassis"
    );
    assert!(
        world
            .read(0, "sensors/temp1_input")
            .unwrap()
            .parse::<i64>()
            .unwrap()
            > 20_000
    );
}

#[test]
fn directories_list_their_files() {
    let world = World::start(SLEEPERS);
    let list = |path: PathBuf| {
        let mut names: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        list(world.file(0, "")),
        ["fans", "host", "mux", "position", "power", "sensors", "sibling"]
    );
    assert_eq!(list(world.file(0, "sibling")), ["fence_lock", "held", "reset"]);
}

#[test]
fn a_grant_wakes_the_one_that_polls_for_it() {
    let world = World::with_both_running(SLEEPERS);
    world.write(0, "mux/select", "1").unwrap();
    world.write(1, "mux/select", "1").unwrap();
    let mut grant = fs::File::open(world.file(1, "mux/grant")).unwrap();
    assert_eq!(reread(&mut grant), "0\n");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait_for_change(&grant));
        world.write(0, "mux/select", "0").unwrap();
        waiting.join().unwrap();
    });
    assert_eq!(reread(&mut grant), "1\n");
}

#[test]
fn fencing_kills_everything_on_the_sibling_proves_it_and_frees_the_mux() {
    let world = World::with_both_running(SLEEPERS);
    let victim = Pid::from_raw(world.client().state().unwrap().bmcs[1].pid.unwrap()).unwrap();
    world.write(1, "mux/select", "1").unwrap();
    world.write(0, "mux/select", "1").unwrap();
    let mut held = fs::File::open(world.file(0, "sibling/held")).unwrap();
    assert_eq!(reread(&mut held), "0\n");
    world.write(0, "sibling/fence_lock", "1").unwrap();
    world.write(0, "sibling/reset", "1").unwrap();
    wait_for_change(&held);
    assert_eq!(reread(&mut held), "1\n");
    assert!(!lives(victim));
    assert_eq!(world.read(0, "mux/grant").unwrap(), "1");
    let from = world.client().state().unwrap().next_record;
    world.write(0, "sibling/reset", "0").unwrap();
    world.wait_for("the boot", from, |event| {
        matches!(event, Event::BmcBooting { bmc: 1, .. })
    });
    assert_eq!(world.read(0, "sibling/held").unwrap(), "0");
}

#[test]
fn a_power_cut_ends_the_bmc_at_once_and_power_brings_it_back() {
    let world = World::start(SLEEPERS);
    let first = world.power_on(0);
    world
        .client()
        .perform(&Request::Power { bmc: 0, on: false })
        .unwrap();
    world.wait_for("the end", 0, |event| matches!(event, Event::BmcDown { bmc: 0 }));
    assert!(!lives(first));
    let second = world.power_on(0);
    assert_ne!(first, second);
    assert!(lives(second));
}

#[test]
fn power_that_flickers_faster_than_the_bmc_dies_leaves_one_running() {
    let world = World::start(SLEEPERS);
    let first = world.power_on(0);
    let mut client = world.client();
    for on in [false, true].repeat(50) {
        client.perform(&Request::Power { bmc: 0, on }).unwrap();
    }
    eventually("a BMC that runs", || {
        let pid = world.client().state().unwrap().bmcs[0].pid;
        pid.and_then(Pid::from_raw)
            .is_some_and(|pid| pid != first && lives(pid))
    });
    assert!(!lives(first));
}

#[test]
fn what_starts_itself_again_in_place_is_seen_to_and_cannot_escape_fencing() {
    let folder = TempDir::new().unwrap();
    let name = folder.path().to_str().unwrap().to_owned();
    // In a session of its own, so that only its parenthood ties it to what boots it.
    let again =
        format!("while :; do setsid -w unshare --pid --fork sh -c 'sleep infinity & wait' {name}; done");
    let boot = ["sh".into(), "-c".into(), again];
    let world = World::start_in(folder, &boot);
    world.power_on(0);
    let first = world.power_on(1);
    kill_process(first, Signal::KILL).unwrap();
    let down = world.wait_for("the end", 0, |event| matches!(event, Event::BmcDown { bmc: 1 }));
    world.wait_for("the boot in place", down.number, |event| {
        matches!(event, Event::BmcBooting { bmc: 1, .. })
    });
    world.write(0, "sibling/fence_lock", "1").unwrap();
    world.write(0, "sibling/reset", "1").unwrap();
    world.wait_for("the proof", down.number, |event| {
        matches!(event, Event::ResetHeld { bmc: 1 })
    });
    world.client().perform(&Request::Shutdown).unwrap();
    assert_eq!(processes_that_name(&name), Vec::<String>::new());
}

#[test]
fn a_system_that_asks_for_a_reboot_is_booted_again() {
    let (world, orders) = World::obedient();
    let first = world.power_on(0);
    fs::write(orders, "133\n").unwrap();
    let down = world.wait_for("the end", 0, |event| matches!(event, Event::BmcDown { bmc: 0 }));
    world.wait_for(
        "the second boot",
        down.number,
        |event| matches!(event, Event::BmcBooting { pid, .. } if *pid != first.as_raw_nonzero().get()),
    );
}

#[test]
fn a_system_that_shuts_down_stays_down_until_it_is_reset() {
    let (world, orders) = World::obedient();
    world.power_on(1);
    fs::write(orders, "0\n").unwrap();
    let down = world.wait_for("the end", 0, |event| matches!(event, Event::BmcDown { bmc: 1 }));
    world.power_on(0);
    let state = world.client().state().unwrap();
    assert!(state.bmcs[1].powered && state.bmcs[1].pid.is_none());
    world.write(0, "sibling/fence_lock", "1").unwrap();
    world.write(0, "sibling/reset", "1").unwrap();
    world.wait_for("the proof", down.number, |event| {
        matches!(event, Event::ResetHeld { bmc: 1 })
    });
    world.write(0, "sibling/reset", "0").unwrap();
    world.wait_for("the boot after reset", down.number, |event| {
        matches!(event, Event::BmcBooting { bmc: 1, .. })
    });
}

#[test]
fn sigterm_leaves_nothing_behind() {
    let mut world = World::start(SLEEPERS);
    let pids = [world.power_on(0), world.power_on(1)];
    assert_eq!(world.end(), 0);
    assert!(!pids.into_iter().any(lives));
    assert!(!is_mounted(world.folder.path()));
    assert!(!world.socket().exists());
}

#[test]
fn a_shutdown_request_is_answered_when_nothing_is_left() {
    let mut world = World::start(SLEEPERS);
    let pid = world.power_on(0);
    world.client().perform(&Request::Shutdown).unwrap();
    assert!(!lives(pid));
    assert!(!is_mounted(world.folder.path()));
    assert_eq!(world.process.wait().unwrap().code(), Some(0));
}

#[test]
fn a_crashed_chassis_takes_its_bmcs_along_and_the_next_one_starts_over() {
    let mut world = World::start(SLEEPERS);
    let pid = world.power_on(0);
    // Only once it runs the script, unshare has tied its life to its own.
    let program = format!("/proc/{}/comm", pid.as_raw_nonzero());
    eventually("the script", || {
        fs::read_to_string(&program).is_ok_and(|name| name == "sh\n")
    });
    let init = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    world.process.kill().unwrap();
    world.process.wait().unwrap();
    let mut fds = [PollFd::new(&init, PollFlags::IN)];
    assert_eq!(
        poll(&mut fds, Some(&Timespec::try_from(PATIENCE).unwrap())).unwrap(),
        1,
        "the BMC lives on"
    );
    assert!(is_mounted(world.folder.path()), "a crash leaves its mounts");
    let folder = std::mem::replace(&mut world.folder, TempDir::new().unwrap());
    let next = World::start_in(folder, &contained(SLEEPERS));
    next.power_on(0);
    assert_eq!(next.read(0, "mux/grant").unwrap(), "0");
}

#[test]
fn the_log_file_holds_what_subscribers_see_without_gaps() {
    let world = World::start(SLEEPERS);
    world
        .client()
        .perform(&Request::Mark { text: "here".into() })
        .unwrap();
    let mark = world.wait_for(
        "the mark",
        0,
        |event| matches!(event, Event::Mark { text } if text == "here"),
    );
    let records = chassis_sim::verdict::read_log(&world.folder.path().join("log")).unwrap();
    assert_eq!(records[usize::try_from(mark.number).unwrap()], mark);
    assert!(
        (0..)
            .zip(&records)
            .all(|(number, record)| record.number == number)
    );
}

#[test]
fn a_wait_for_what_does_not_come_ends_with_a_message_that_names_it() {
    let world = World::start(SLEEPERS);
    let mut log = Subscription::open(&world.socket(), 0).unwrap();
    let error = log
        .wait_for("a miracle", Instant::now() + Duration::from_millis(50), |_| false)
        .unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("a miracle") && message.contains("started"),
        "{message}"
    );
}

#[test]
fn requests_that_make_no_sense_are_refused_with_a_reason() {
    let world = World::start(SLEEPERS);
    for (request, reason) in [
        (Request::Power { bmc: 2, on: true }, "slots are 0 and 1"),
        (Request::Load { watts: 5000 }, "at most 400 W"),
        (Request::SeizeMux, "holds the mux"),
    ] {
        let message = world.client().perform(&request).unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    }
}
