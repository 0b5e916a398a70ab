//! Both services on a bus of their own and hardware made of plain files. systemd's busctl is the caller, so that the
//! messages are read by another implementation than the one that writes them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper of tests fails its test"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use tempfile::TempDir;

/// Long enough for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

const FAN_NAME: &str = "xyz.openbmc_project.Control.Thermal";
const FAN0: &str = "/xyz/openbmc_project/sensors/fan_tach/fan0";
const POWER_NAME: &str = "xyz.openbmc_project.State.Chassis0";
const POWER_PATH: &str = "/xyz/openbmc_project/state/chassis0";
const POWER: &str = "xyz.openbmc_project.State.Chassis";

/// A child that is killed when the test is over.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself, as some tests want.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A chassis made of plain files and a bus on which everything is watched.
struct World {
    folder: TempDir,
    address: String,
    messages: Receiver<String>,
    _daemon: Killed,
    _monitor: Killed,
}

impl World {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (daemon, address) = start_bus(&folder);
        let (monitor, messages) = start_monitor(&address);
        let world = Self {
            folder,
            address,
            messages,
            _daemon: daemon,
            _monitor: monitor,
        };
        for directory in ["fans", "sensors", "power"] {
            fs::create_dir_all(world.file(directory)).unwrap();
        }
        for fan in 1..=4 {
            world.set(&format!("fans/pwm{fan}"), "0");
            world.set(&format!("fans/fan{fan}_input"), &format!("{}", 3600 + fan));
        }
        world.set("sensors/temp1_input", "65000");
        world.set("power/good", "1");
        world.set("power/request", "untouched");
        world
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("chassis").join(name)
    }

    fn set(&self, name: &str, value: &str) {
        fs::write(self.file(name), format!("{value}\n")).unwrap();
    }

    fn get(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap().trim_end().to_owned()
    }

    fn start(&self, program: &str) -> Killed {
        let child = Command::new(program)
            .arg("--hardware")
            .arg(self.file(""))
            .arg("--bus")
            .arg(self.folder.path().join("bus"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Killed(child)
    }

    fn fan_control(&self) -> Killed {
        self.start(env!("CARGO_BIN_EXE_lab-fan-control"))
    }

    fn power_control(&self) -> Killed {
        self.start(env!("CARGO_BIN_EXE_lab-power-control"))
    }

    /// Waits until the bus carried a message that contains all these words.
    fn wait_for_message(&self, words: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self
                .messages
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("no message with {words:?}"));
            if words.iter().all(|word| line.contains(word)) {
                return;
            }
        }
    }

    fn wait_for_name(&self, name: &str) {
        self.wait_for_message(&["NameOwnerChanged", name]);
    }

    fn busctl(&self, arguments: &[&str]) -> Output {
        Command::new("busctl")
            .arg(format!("--address={}", self.address))
            .args(arguments)
            .output()
            .unwrap()
    }

    /// What busctl prints, or its complaint.
    fn ask(&self, arguments: &[&str]) -> String {
        let output = self.busctl(arguments);
        let text = if output.status.success() {
            output.stdout
        } else {
            output.stderr
        };
        String::from_utf8(text).unwrap().trim().to_owned()
    }
}

fn start_bus(folder: &TempDir) -> (Killed, String) {
    let config = folder.path().join("bus.conf");
    let socket = folder.path().join("bus");
    let text = format!(
        "<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
         <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
         <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>",
        socket.display()
    );
    fs::write(&config, text).unwrap();
    let mut daemon = Command::new("dbus-daemon")
        .arg(format!("--config-file={}", config.display()))
        .args(["--nofork", "--print-address"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(daemon.stdout.take().unwrap())
        .read_line(&mut address)
        .unwrap();
    let address = address.trim().split(',').next().unwrap().to_owned();
    (Killed(daemon), address)
}

fn start_monitor(address: &str) -> (Killed, Receiver<String>) {
    let mut monitor = Command::new("busctl")
        .args([&format!("--address={address}"), "--json=short", "monitor"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(monitor.stderr.take().unwrap())
        .read_line(&mut ready)
        .unwrap();
    let lines = BufReader::new(monitor.stdout.take().unwrap()).lines();
    let (send, messages) = channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| send.send(line)));
    (Killed(monitor), messages)
}

/// Waits until a child has ended; answers whether it succeeded, and its complaint.
fn wait_for_end(child: &mut Killed) -> (bool, String) {
    let mut complaint = String::new();
    child
        .0
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut complaint)
        .unwrap();
    (child.0.wait().unwrap().success(), complaint)
}

/// Counts how often a file is written, until it was this often.
fn wait_for_writes(world: &World, name: &str, wanted: usize) {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&watch, world.file(name), inotify::WatchFlags::CLOSE_WRITE).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut seen = 0;
    while seen < wanted {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).unwrap();
        let ready = poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&left)).unwrap();
        assert_eq!(ready, 1, "{name} was written {seen} times, not {wanted}");
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&watch, &mut buffer);
        events.next().unwrap();
        seen += 1;
        while !events.is_buffer_empty() {
            events.next().unwrap();
            seen += 1;
        }
    }
}

#[test]
fn fan_control_drives_every_fan_before_it_owns_its_name() {
    let world = World::new();
    let _service = world.fan_control();
    world.wait_for_name(FAN_NAME);
    for fan in 1..=4 {
        assert_eq!(world.get(&format!("fans/pwm{fan}")), "165");
    }
}

#[test]
fn fan_control_refreshes_the_duty_and_follows_the_temperature() {
    let world = World::new();
    let _service = world.fan_control();
    world.wait_for_name(FAN_NAME);
    wait_for_writes(&world, "fans/pwm4", 3);
    world.set("sensors/temp1_input", "90000");
    world.wait_for_message(&["PropertiesChanged", FAN0, "Target", "255"]);
    assert_eq!(world.get("fans/pwm1"), "255");
}

#[test]
fn fan_control_shows_what_openbmc_shows() {
    let world = World::new();
    let _service = world.fan_control();
    world.wait_for_message(&["PropertiesChanged", "fan3", "Target"]);
    let get = |path: &str, interface: &str, name: &str| {
        world.ask(&["get-property", FAN_NAME, path, interface, name])
    };
    let mode = "/xyz/openbmc_project/control/thermal/0";
    assert_eq!(
        get(mode, "xyz.openbmc_project.Control.ThermalMode", "Current"),
        "s \"Default\""
    );
    assert_eq!(
        get(mode, "xyz.openbmc_project.Control.ThermalMode", "Supported"),
        "as 1 \"Default\""
    );
    assert_eq!(
        get(mode, "xyz.openbmc_project.Control.ThermalMode", "Custom"),
        "b false"
    );
    assert_eq!(get(FAN0, "xyz.openbmc_project.Sensor.Value", "Value"), "d 3601");
    assert_eq!(
        get(FAN0, "xyz.openbmc_project.Sensor.Value", "Unit"),
        "s \"xyz.openbmc_project.Sensor.Value.Unit.RPMS\""
    );
    assert_eq!(get(FAN0, "xyz.openbmc_project.Control.FanPwm", "Target"), "t 165");
    let tree = world.ask(&["tree", "--list", FAN_NAME]);
    assert!(tree.contains(FAN0) && tree.contains(mode), "{tree}");
    let shown = world.ask(&["introspect", FAN_NAME, FAN0]);
    assert!(shown.contains("xyz.openbmc_project.Control.FanPwm"), "{shown}");
}

#[test]
fn fan_control_ends_with_a_message_when_the_hardware_fails() {
    let world = World::new();
    let mut service = world.fan_control();
    world.wait_for_name(FAN_NAME);
    // Reading the first byte of a process's memory fails with EIO, as hardware behind a lost mux does.
    let broken = world.file("sensors/broken");
    symlink("/proc/self/mem", &broken).unwrap();
    fs::rename(broken, world.file("sensors/temp1_input")).unwrap();
    let (succeeded, complaint) = wait_for_end(&mut service);
    assert!(!succeeded);
    assert!(
        complaint.contains("temp1_input") && complaint.contains("hold the mux"),
        "{complaint}"
    );
}

#[test]
fn a_missing_fan_is_an_error_and_no_file_is_made_for_it() {
    let world = World::new();
    fs::remove_file(world.file("fans/pwm2")).unwrap();
    let (succeeded, complaint) = wait_for_end(&mut world.fan_control());
    assert!(!succeeded);
    assert!(complaint.contains("pwm2"), "{complaint}");
    assert!(!world.file("fans/pwm2").exists());
}

#[test]
fn a_second_instance_does_not_wait_for_the_name() {
    let world = World::new();
    let _first = world.fan_control();
    world.wait_for_name(FAN_NAME);
    let (succeeded, complaint) = wait_for_end(&mut world.fan_control());
    assert!(!succeeded);
    assert!(complaint.contains("somebody else owns it"), "{complaint}");
}

#[test]
fn a_service_ends_when_its_bus_does() {
    let mut world = World::new();
    let mut service = world.fan_control();
    world.wait_for_name(FAN_NAME);
    world._daemon.0.kill().unwrap();
    let (succeeded, complaint) = wait_for_end(&mut service);
    assert!(!succeeded);
    assert!(
        complaint.contains("the connection ended") || complaint.contains("announce"),
        "{complaint}"
    );
}

#[test]
fn power_control_follows_power_good_and_switches_nothing_by_itself() {
    let world = World::new();
    let _service = world.power_control();
    world.wait_for_name(POWER_NAME);
    let current = || world.ask(&["get-property", POWER_NAME, POWER_PATH, POWER, "CurrentPowerState"]);
    assert_eq!(current(), format!("s \"{POWER}.PowerState.On\""));
    world.set("power/good", "0");
    world.wait_for_message(&["PropertiesChanged", POWER_PATH, "PowerState.Off"]);
    assert_eq!(current(), format!("s \"{POWER}.PowerState.Off\""));
    assert_eq!(world.get("power/request"), "untouched");
}

#[test]
fn power_control_requests_the_transition_it_is_asked_for() {
    let world = World::new();
    let _service = world.power_control();
    world.wait_for_name(POWER_NAME);
    let set = |value: &str| {
        world.ask(&[
            "set-property",
            POWER_NAME,
            POWER_PATH,
            POWER,
            "RequestedPowerTransition",
            "s",
            value,
        ])
    };
    assert_eq!(set(&format!("{POWER}.Transition.Off")), "");
    assert_eq!(world.get("power/request"), "off");
    assert_eq!(set(&format!("{POWER}.Transition.On")), "");
    assert_eq!(world.get("power/request"), "on");
    assert!(set(&format!("{POWER}.Transition.Sideways")).contains("expected"));
    assert_eq!(world.get("power/request"), "on");
    let requested = world.ask(&[
        "get-property",
        POWER_NAME,
        POWER_PATH,
        POWER,
        "RequestedPowerTransition",
    ]);
    assert_eq!(requested, format!("s \"{POWER}.Transition.On\""));
}

#[test]
fn calls_that_make_no_sense_fail_with_a_reason() {
    let world = World::new();
    let _service = world.power_control();
    world.wait_for_name(POWER_NAME);
    for (arguments, reason) in [
        (
            vec!["get-property", POWER_NAME, POWER_PATH, POWER, "Colour"],
            "Colour",
        ),
        (
            vec!["get-property", POWER_NAME, "/nowhere", POWER, "CurrentPowerState"],
            "/nowhere",
        ),
        (
            vec![
                "set-property",
                POWER_NAME,
                POWER_PATH,
                POWER,
                "CurrentPowerState",
                "s",
                "x",
            ],
            "cannot be set",
        ),
        (vec!["call", POWER_NAME, POWER_PATH, POWER, "Dance"], "Dance"),
    ] {
        let output = world.busctl(&arguments);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && complaint.contains(reason),
            "{arguments:?}: {complaint}"
        );
    }
}
