//! Light nodes with a real Corosync on each: network, mount and host name namespaces, nothing more.
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
use std::rc::Rc;
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
    /// What its cable goes to, as long as it has one.
    switch: Option<Rc<Node>>,
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
            switch: None,
        }
    }

    fn plug_into(&mut self, switch: &Rc<Self>, number: usize) {
        let [here, there] = [&*self, switch].map(|node| node.holder.id().to_string());
        let port = self.name.as_str();
        let cable = [
            "link", "add", "eth0", "netns", &here, "type", "veth", "peer", "name", port, "netns", &there,
        ];
        let status = Command::new("ip").args(cable).status().unwrap();
        assert!(status.success(), "{} could not be connected", self.name);
        switch.run("ip", &["link", "set", port, "master", "switch", "up"]);
        let address = format!("{}/24", address(number));
        self.run("ip", &["address", "add", &address, "dev", "eth0"]);
        self.run("ip", &["link", "set", "eth0", "up"]);
        self.switch = Some(Rc::clone(switch));
    }

    /// A path on this node, as it is seen from outside.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.holder.id()))
    }

    /// A command that runs on this node.
    pub(crate) fn command(&self, program: &Path) -> Command {
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
        // All nodes of a test share the machine's clock.
        command.arg("--no-time");
        self.bridge = Some(Process::start(&format!("bridge on {}", self.name), &mut command));
        self.expect("joined the group bmc-ha as ");
    }

    /// Kills the bridge as a crash would.
    pub(crate) fn kill_bridge(&mut self) {
        self.bridge.take().unwrap().kill();
    }

    /// Ends everything at once and forgets what does not survive a reboot, as when this node is fenced.
    pub(crate) fn cut_power(&mut self) {
        self.kill_bridge();
        self.kill_corosync();
        fs::remove_dir_all(self.path("/run/bmc-ha")).unwrap();
        fs::create_dir(self.path("/run/bmc-ha")).unwrap();
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

/// Two nodes, bmc0 and bmc1, with Corosync and a bridge on each.
pub(crate) fn pair() -> [Node; 2] {
    nodes()
}

/// Nodes on one switch, bmc0 and so on, with Corosync and a bridge on each.
pub(crate) fn nodes<const N: usize>() -> [Node; N] {
    let switch = Rc::new(Node::new("switch"));
    switch.run("ip", &["link", "add", "switch", "type", "bridge"]);
    switch.run("ip", &["link", "set", "switch", "up"]);
    let mut nodes: [Node; N] = std::array::from_fn(|number| Node::new(&format!("bmc{number}")));
    for (number, node) in nodes.iter_mut().enumerate() {
        node.plug_into(&switch, number);
        fs::write(node.path("/etc/corosync/corosync.conf"), corosync_conf(N)).unwrap();
        fs::write(node.path("/etc/corosync/authkey"), AUTH_KEY).unwrap();
        fs::write(node.path("/mnt/lists/settings.json"), LIST).unwrap();
        node.start_corosync();
    }
    for node in &mut nodes {
        node.start_bridge();
    }
    // In whatever order Corosync brings them together.
    for _ in 1..N {
        nodes[0].expect("sibling bmc");
    }
    nodes
}

fn address(number: usize) -> String {
    format!("10.213.0.{}", number + 1)
}

const LIST: &str = r#"{"Directories": [{
    "Path": "/mnt/settings/",
    "Description": "What the test writes",
    "SyncDirection": "Active2Passive",
    "SyncType": "Immediate"
}]}"#;

fn corosync_conf(nodes: usize) -> String {
    let list: String = (0..nodes)
        .map(|number| {
            let (id, address) = (number + 1, address(number));
            format!("node {{\n name: bmc{number}\n nodeid: {id}\n ring0_addr: {address}\n }}\n")
        })
        .collect();
    let two_node = u8::from(nodes == 2);
    format!(
        "
totem {{
    version: 2
    cluster_name: bridge-test
    transport: knet
    crypto_cipher: aes256
    crypto_hash: sha256
}}
nodelist {{
    {list}
}}
quorum {{
    provider: corosync_votequorum
    two_node: {two_node}
    wait_for_all: 0
}}
logging {{
    to_stderr: yes
    to_logfile: no
    to_syslog: no
}}
"
    )
}
