//! A private bus, with a stand-in for systemd and the services that it starts.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use nix::sys::socket::UnixAddr;
use rustbus::connection::Timeout;
use rustbus::message_builder::MarshalledMessage;
use rustbus::wire::ObjectPath;
use rustbus::{MessageBuilder, RpcConn, standard_messages};

use super::tool;

const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// What a test calls on the stand-in, and nobody on systemd: its signals come from one connection only.
const SET_STATE: &str = "SetState";

/// A unit that the stand-in knows.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    /// `ActiveState`.
    pub(crate) state: String,
    /// Owned while the unit is active.
    pub(crate) bus_name: Option<String>,
    /// How a start ends.
    pub(crate) start: Job,
    /// How a stop ends.
    pub(crate) stop: Job,
}

/// How a job ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    Done,
    Failed,
    /// Never by itself.
    Hangs,
}

impl Unit {
    pub(crate) fn stopped() -> Self {
        Self {
            state: "inactive".to_owned(),
            bus_name: None,
            start: Job::Done,
            stop: Job::Done,
        }
    }

    pub(crate) fn owning(name: &str) -> Self {
        Self {
            bus_name: Some(name.to_owned()),
            ..Self::stopped()
        }
    }
}

/// A stopped unit for each agent that has one, under OpenBMC's names.
pub(crate) fn units_of_a_bmc() -> [(&'static str, Unit); 4] {
    [
        ("corosync-bridge.service", Unit::stopped()),
        (
            "phosphor-fan-control@0.service",
            Unit::owning("xyz.openbmc_project.Control.Thermal"),
        ),
        (
            "xyz.openbmc_project.State.Chassis@0.service",
            Unit::owning("xyz.openbmc_project.State.Chassis0"),
        ),
        ("obmc-bmc-active.target", Unit::stopped()),
    ]
}

#[derive(Debug, Default)]
struct Shared {
    units: BTreeMap<String, Unit>,
    calls: Vec<String>,
    power_state: String,
    jobs: u32,
}

/// The bus and systemd. Both end with it.
pub(crate) struct Systemd {
    daemon: Child,
    socket: PathBuf,
    shared: Arc<Mutex<Shared>>,
    server: Option<JoinHandle<()>>,
}

impl Systemd {
    /// Starts both, on the socket `bus` in the folder.
    pub(crate) fn start(folder: &Path, units: &[(&str, Unit)]) -> Self {
        let socket = folder.join("bus");
        let configuration = folder.join("bus.conf");
        let text = format!(
            "<busconfig><type>system</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/><allow send_type=\"method_call\"/>\
             <allow send_type=\"signal\"/><allow send_requested_reply=\"true\" send_type=\"method_return\"/>\
             <allow send_requested_reply=\"true\" send_type=\"error\"/><allow receive_type=\"method_call\"/>\
             <allow receive_type=\"method_return\"/><allow receive_type=\"error\"/><allow receive_type=\"signal\"/>\
             </policy></busconfig>",
            socket.display()
        );
        std::fs::write(&configuration, text).unwrap();
        let mut daemon = tool("dbus-daemon")
            .arg(format!("--config-file={}", configuration.display()))
            .args(["--nofork", "--nopidfile", "--print-address"])
            .stdout(Stdio::piped())
            // It complains about limits that only matter to a whole machine.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap())
            .read_line(&mut address)
            .unwrap();
        let shared = Arc::new(Mutex::new(Shared {
            units: units
                .iter()
                .map(|(name, unit)| ((*name).to_owned(), unit.clone()))
                .collect(),
            power_state: "xyz.openbmc_project.State.Chassis.PowerState.On".to_owned(),
            ..Shared::default()
        }));
        let connection = connect(&socket);
        let server = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || serve(connection, &shared)
        });
        Self {
            daemon,
            socket,
            shared,
            server: Some(server),
        }
    }

    /// Puts a unit into a state and tells so, without its bus name following.
    pub(crate) fn set_state(&self, unit: &str, state: &str) {
        let address = UnixAddr::new(&self.socket).unwrap();
        let mut connection = RpcConn::connect_to_path(address, Timeout::Infinite).unwrap();
        let mut call = MessageBuilder::new()
            .call(SET_STATE)
            .at("org.freedesktop.systemd1")
            .on("/org/freedesktop/systemd1")
            .build();
        call.body.push_param2(unit, state).unwrap();
        let serial = send(&mut connection, &mut call);
        connection.wait_response(serial, Timeout::Infinite).unwrap();
    }

    pub(crate) fn state(&self, unit: &str) -> String {
        self.shared.lock().unwrap().units[unit].state.clone()
    }

    /// `CurrentPowerState`, by its last word.
    pub(crate) fn set_power_state(&self, state: &str) {
        let state = format!("xyz.openbmc_project.State.Chassis.PowerState.{state}");
        self.shared.lock().unwrap().power_state = state;
    }

    /// Methods that were called on the manager, with the unit.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.shared.lock().unwrap().calls.clone()
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        // The server ends when the bus does.
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
        self.server.take().unwrap().join().unwrap();
    }
}

fn connect(socket: &Path) -> RpcConn {
    let address = UnixAddr::new(socket).unwrap();
    let mut connection = RpcConn::connect_to_path(address, Timeout::Infinite).unwrap();
    own(&mut connection, "org.freedesktop.systemd1", true);
    connection
}

fn own(connection: &mut RpcConn, name: &str, owned: bool) {
    let mut call = if owned {
        standard_messages::request_name(name, standard_messages::DBUS_NAME_FLAG_REPLACE_EXISTING)
    } else {
        standard_messages::release_name(name)
    };
    let serial = send(connection, &mut call);
    connection.wait_response(serial, Timeout::Infinite).unwrap();
}

fn send(connection: &mut RpcConn, message: &mut MarshalledMessage) -> u32 {
    connection
        .send_message(message)
        .unwrap()
        .write_all()
        .map_err(|(_, error)| error)
        .unwrap()
}

fn serve(mut connection: RpcConn, shared: &Mutex<Shared>) {
    while let Ok(call) = connection.wait_call(Timeout::Infinite) {
        answer(&mut connection, shared, &call);
    }
}

fn answer(connection: &mut RpcConn, shared: &Mutex<Shared>, call: &MarshalledMessage) {
    let method = call.dynheader.member.as_deref().unwrap();
    if method == "Get" {
        let (interface, property) = call.body.parser().get2::<&str, &str>().unwrap();
        let mut reply = call.dynheader.make_response();
        let value = property_of(
            shared,
            call.dynheader.object.as_deref().unwrap(),
            interface,
            property,
        );
        reply.body.push_variant(value.as_str()).unwrap();
        send(connection, &mut reply);
        return;
    }
    if method == SET_STATE {
        let (unit, state) = call.body.parser().get2::<String, String>().unwrap();
        shared.lock().unwrap().units.get_mut(&unit).unwrap().state = state;
        let path = format!("/org/freedesktop/systemd1/unit/{}", escape(&unit));
        let mut signal = MessageBuilder::new()
            .signal("org.freedesktop.DBus.Properties", "PropertiesChanged", path)
            .build();
        send(connection, &mut signal);
        send(connection, &mut call.dynheader.make_response());
        return;
    }
    let unit = call.body.parser().get::<String>().unwrap_or_default();
    shared
        .lock()
        .unwrap()
        .calls
        .push(format!("{method} {unit}").trim_end().to_owned());
    let known = shared.lock().unwrap().units.get(&unit).cloned();
    match (method, known) {
        ("Subscribe", _) | ("ResetFailedUnit", Some(_)) => {
            send(connection, &mut call.dynheader.make_response());
        }
        ("StartUnit", Some(unit_now)) => run_job(connection, shared, call, &unit, unit_now.start, "active"),
        ("StopUnit", Some(unit_now)) => run_job(connection, shared, call, &unit, unit_now.stop, "inactive"),
        ("KillUnit", Some(_)) => {
            send(connection, &mut call.dynheader.make_response());
            enter(connection, shared, &unit, "failed");
            let job = shared.lock().unwrap().jobs;
            job_removed(connection, job, &unit, "done");
        }
        _ => refuse(
            connection,
            call,
            "org.freedesktop.systemd1.NoSuchUnit",
            &format!("Unit {unit} not found."),
        ),
    }
}

/// Answers with an error. Written by hand: rustbus leaves the name of an error out, and the bus then hangs up.
fn refuse(connection: &mut RpcConn, call: &MarshalledMessage, name: &str, text: &str) {
    fn number(bytes: &mut Vec<u8>, value: usize) {
        bytes.extend_from_slice(&u32::try_from(value).unwrap().to_le_bytes());
    }
    fn string(bytes: &mut Vec<u8>, value: &str) {
        number(bytes, value.len());
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
    }
    fn field(fields: &mut Vec<u8>, code: u8, signature: u8) {
        fields.resize(fields.len().next_multiple_of(8), 0);
        fields.extend_from_slice(&[code, 1, signature, 0]);
    }
    let mut body = Vec::new();
    string(&mut body, text);
    let mut fields = Vec::new();
    field(&mut fields, 4, b's');
    string(&mut fields, name);
    field(&mut fields, 5, b'u');
    number(
        &mut fields,
        usize::try_from(call.dynheader.serial.unwrap()).unwrap(),
    );
    field(&mut fields, 6, b's');
    string(&mut fields, call.dynheader.sender.as_deref().unwrap());
    field(&mut fields, 8, b'g');
    fields.extend_from_slice(&[1, b's', 0]);
    let mut message = vec![b'l', 3, 0, 1];
    number(&mut message, body.len());
    number(&mut message, usize::try_from(connection.alloc_serial()).unwrap());
    number(&mut message, fields.len());
    message.extend_from_slice(&fields);
    message.resize(message.len().next_multiple_of(8), 0);
    message.extend_from_slice(&body);
    let written = nix::unistd::write(connection.conn().send.as_raw_fd(), &message).unwrap();
    assert_eq!(written, message.len());
}

/// Queues a job and ends it before its caller has the answer, as systemd may.
fn run_job(
    connection: &mut RpcConn,
    shared: &Mutex<Shared>,
    call: &MarshalledMessage,
    unit: &str,
    end: Job,
    state: &str,
) {
    let job = {
        let mut shared = shared.lock().unwrap();
        shared.jobs += 1;
        shared.jobs
    };
    match end {
        Job::Done => {
            enter(connection, shared, unit, state);
            job_removed(connection, job, unit, "done");
        }
        Job::Failed => {
            enter(connection, shared, unit, "failed");
            job_removed(connection, job, unit, "failed");
        }
        Job::Hangs => {}
    }
    let mut reply = call.dynheader.make_response();
    reply.body.push_param(job_path(job)).unwrap();
    send(connection, &mut reply);
}

fn enter(connection: &mut RpcConn, shared: &Mutex<Shared>, unit: &str, state: &str) {
    let name = {
        let mut shared = shared.lock().unwrap();
        let unit = shared.units.get_mut(unit).unwrap();
        unit.state = state.to_owned();
        unit.bus_name.clone()
    };
    if let Some(name) = name {
        own(connection, &name, state == "active");
    }
}

fn job_removed(connection: &mut RpcConn, job: u32, unit: &str, result: &str) {
    let mut signal = MessageBuilder::new()
        .signal(MANAGER, "JobRemoved", "/org/freedesktop/systemd1")
        .build();
    signal.body.push_param4(job, job_path(job), unit, result).unwrap();
    send(connection, &mut signal);
}

fn job_path(job: u32) -> ObjectPath<String> {
    ObjectPath::new(format!("/org/freedesktop/systemd1/job/{job}")).unwrap()
}

fn property_of(shared: &Mutex<Shared>, object: &str, interface: &str, property: &str) -> String {
    let shared = shared.lock().unwrap();
    if interface == "xyz.openbmc_project.State.Chassis" {
        return shared.power_state.clone();
    }
    let escaped = object.rsplit('/').next().unwrap();
    let unit = shared
        .units
        .iter()
        .find(|(name, _)| escape(name) == escaped)
        .map(|(_, unit)| unit);
    match (property, unit) {
        ("ActiveState", unit) => unit.map_or("inactive".to_owned(), |unit| unit.state.clone()),
        ("LoadState", Some(_)) => "loaded".to_owned(),
        ("LoadState", None) => "not-found".to_owned(),
        other => panic!("nobody should ask for {other:?}"),
    }
}

fn escape(name: &str) -> String {
    let escape = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_string()
        } else {
            format!("_{:02x}", u32::from(c))
        }
    };
    name.chars().map(escape).collect()
}
