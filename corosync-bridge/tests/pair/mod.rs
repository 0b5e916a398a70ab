//! Two light nodes with a real Corosync on each: network, mount and host name namespaces, nothing more.
//!
//! The nodes have no names outside: when their processes end, namespaces, addresses and file systems are gone.
//! Every process is started with a parent-death signal, so that nothing survives a test that was killed.

// Each test program uses its part of this.
#![allow(dead_code)]
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a fixture that cannot be set up fails the test"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use bmc_bridge_control::{Client, Status};

/// How long anything may take before the test gives up on it: far more than it ever takes, because the
/// machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Corosync's key. Any bytes will do: they protect a cable between two namespaces of one test.
const AUTH_KEY: [u8; 128] = [0x5a; 128];

/// Makes a node's private file systems, and then keeps its namespaces alive.
const NODE_SCRIPT: &str = "set -e
for directory in /dev/shm /run /etc/corosync /var/lib/corosync /var/log /mnt; do
    mount -t tmpfs tmpfs $directory
done
mkdir -p /mnt/settings /mnt/lists /mnt/state /run/bmc-ha
hostname $1
ip link set lo up
echo up
exec sleep infinity";

/// A process of a node, and the lines that it has written to standard error.
pub(crate) struct Process {
    name: String,
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts a program that ends at the latest with this thread.
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        let mut guarded = Command::new("setpriv");
        guarded
            .args(["--pdeathsig", "KILL"])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = guarded.spawn().unwrap();
        let lines = read_lines(child.stderr.take().unwrap());
        Self {
            name: name.to_owned(),
            child,
            lines,
        }
    }

    /// Waits for the next line that contains `text` and returns it.
    pub(crate) fn expect(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(RecvTimeoutError::Timeout) => {
                    panic!(
                        "{} did not log {text:?} within {PATIENCE:?}, only {seen:#?}",
                        self.name
                    )
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{} ended and had not logged {text:?}, only {seen:#?}", self.name)
                }
            }
        }
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn end(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn read_lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // A test that has what it wanted does not listen any more.
            let _ = sender.send(line);
        }
    });
    receiver
}

/// One node.
pub(crate) struct Node {
    name: String,
    holder: Child,
    corosync: Option<Process>,
    bridge: Option<Process>,
}

impl Node {
    fn new(name: &str) -> Self {
        let mut holder = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "unshare",
                "--mount",
                "--uts",
                "--ipc",
                "--net",
            ])
            .args(["sh", "-c", NODE_SCRIPT, "sh", name])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(
            line, "up\n",
            "node {name} could not be set up; this test needs root"
        );
        Self {
            name: name.to_owned(),
            holder,
            corosync: None,
            bridge: None,
        }
    }

    /// A path on this node, as it is seen from outside.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.holder.id()))
    }

    /// A command that runs on this node.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.holder.id().to_string()])
            .args(["--mount", "--uts", "--ipc", "--net"])
            .arg(program);
        command
    }

    fn run(&self, program: &str, args: &[&str]) {
        let status = self.command(Path::new(program)).args(args).status().unwrap();
        assert!(status.success(), "{program} {args:?} failed on {}", self.name);
    }

    /// Starts Corosync.
    pub(crate) fn start_corosync(&mut self) {
        let mut command = self.command(Path::new("corosync"));
        let name = format!("corosync on {}", self.name);
        self.corosync = Some(Process::start(&name, command.arg("-f")));
    }

    /// Kills Corosync as a crash would.
    pub(crate) fn kill_corosync(&mut self) {
        self.corosync.take().unwrap().kill();
    }

    /// Starts the bridge and waits until it has joined the group.
    pub(crate) fn start_bridge(&mut self) {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_corosync-bridge")));
        command.args(["--config-dir", "/mnt/lists", "--state-dir", "/mnt/state"]);
        self.bridge = Some(Process::start(&format!("bridge on {}", self.name), &mut command));
        self.expect("joined the group bmc-ha as ");
    }

    /// Kills the bridge as a crash would.
    pub(crate) fn kill_bridge(&mut self) {
        self.bridge.take().unwrap().kill();
    }

    /// The bridge's process id.
    pub(crate) fn bridge_id(&self) -> u32 {
        self.bridge.as_ref().unwrap().id()
    }

    /// Waits for the next line of the bridge's log that contains `text`.
    pub(crate) fn expect(&self, text: &str) -> String {
        self.bridge.as_ref().unwrap().expect(text)
    }

    /// A connection to the bridge.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.path("/run/bmc-ha/bridge.sock")).unwrap()
    }

    /// Asks the bridge for something that has no answer but success.
    pub(crate) fn ask(&self, command: bmc_bridge_control::Command) {
        self.client().run(command, PATIENCE).unwrap();
    }

    /// The bridge's status.
    pub(crate) fn status(&self) -> Status {
        self.client().status(PATIENCE).unwrap()
    }

    /// Writes a setting.
    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path("/mnt/settings").join(name), content).unwrap();
    }

    /// Reads a setting, if it is there.
    pub(crate) fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path("/mnt/settings").join(name)).ok()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.bridge.take();
        self.corosync.take();
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Two nodes with one cable, bmc0 and bmc1, with Corosync and a bridge on each.
pub(crate) fn pair() -> [Node; 2] {
    let mut nodes = [Node::new("bmc0"), Node::new("bmc1")];
    let [left, right] = nodes.each_ref().map(|node| node.holder.id().to_string());
    let cable = [
        "link", "add", "eth0", "netns", &left, "type", "veth", "peer", "name", "eth0", "netns", &right,
    ];
    let status = Command::new("ip").args(cable).status().unwrap();
    assert!(status.success(), "the nodes could not be connected");
    for (node, address) in nodes.iter_mut().zip(["10.213.0.1/24", "10.213.0.2/24"]) {
        node.run("ip", &["address", "add", address, "dev", "eth0"]);
        node.run("ip", &["link", "set", "eth0", "up"]);
        fs::write(node.path("/etc/corosync/corosync.conf"), COROSYNC_CONF).unwrap();
        fs::write(node.path("/etc/corosync/authkey"), AUTH_KEY).unwrap();
        fs::write(node.path("/mnt/lists/settings.json"), LIST).unwrap();
        node.start_corosync();
    }
    for node in &mut nodes {
        node.start_bridge();
    }
    nodes[0].expect("sibling bmc1 joined the group");
    nodes
}

const LIST: &str = r#"{"Directories": [{
    "Path": "/mnt/settings/",
    "Description": "What the test writes",
    "SyncDirection": "Active2Passive",
    "SyncType": "Immediate"
}]}"#;

const COROSYNC_CONF: &str = "
totem {
    version: 2
    cluster_name: bridge-test
    transport: knet
    crypto_cipher: aes256
    crypto_hash: sha256
}
nodelist {
    node {
        name: bmc0
        nodeid: 1
        ring0_addr: 10.213.0.1
    }
    node {
        name: bmc1
        nodeid: 2
        ring0_addr: 10.213.0.2
    }
}
quorum {
    provider: corosync_votequorum
    two_node: 1
    wait_for_all: 0
}
logging {
    to_stderr: yes
    to_logfile: no
    to_syslog: no
}
";
