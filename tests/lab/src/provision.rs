//! Makes a cluster of both BMCs, the way an administrator does: `bmc-ha provision` in the first BMC.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{LabError, Result};
use crate::network::{Link, Subnet};
use crate::node::Node;
use crate::{Lab, tool};

/// How long a BMC that starts alone waits for its sibling in the lab. A container boots in three seconds, on a
/// slow machine in ten; the template's default is for hardware.
const DC_DEADTIME_SECONDS: u64 = 10;

/// Who decides that a Passive takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Pacemaker does.
    Automatic,
    /// A manager, the host or a person does.
    External,
}

impl Policy {
    fn word(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::External => "external",
        }
    }
}

/// What the cluster of a lab is like.
#[derive(Debug, Clone)]
pub struct Provision {
    /// Corosync's token timeout: how long a silence is before a BMC counts as lost.
    pub token: Duration,
    /// Who decides about a takeover.
    pub policy: Policy,
    /// More parameters of the template, or other values for those that the lab sets itself.
    pub parameters: BTreeMap<String, Value>,
}

impl Default for Provision {
    fn default() -> Self {
        Self {
            token: Duration::from_millis(1000),
            policy: Policy::Automatic,
            parameters: BTreeMap::new(),
        }
    }
}

impl Lab {
    /// Provisions both BMCs. Returns when `bmc-ha provision` says that it is done; see [`Lab::settle`] for when
    /// the cluster is at rest.
    ///
    /// # Errors
    /// When provisioning fails; the message has all that it printed.
    pub fn provision(&self, provision: &Provision) -> Result<String> {
        let mut command = self.provision_command(provision)?;
        tool::run(&mut command)
    }

    /// The command that [`Self::provision`] runs, for showing it at work. Its password and parameter files are in
    /// place when this returns.
    ///
    /// # Errors
    /// When the first BMC does not run.
    pub fn provision_command(&self, provision: &Provision) -> Result<std::process::Command> {
        let password = self.layout().password();
        let password = fs::read_to_string(&password).map_err(LabError::io("read", &password))?;
        self.put_private("/root/hacluster.password", &password)?;
        let parameters = self.template_parameters(provision);
        self.put_private("/root/redundant-bmc.json", &format!("{parameters:#}\n"))?;

        let token = provision.token.as_millis().to_string();
        let nodes = Node::BOTH.map(|node| {
            let [first, second] = Link::BOTH.map(|link| self.network().address(node, link));
            format!("{node}={first},{second}")
        });
        let argv = [
            "bmc-ha",
            "provision",
            "--node",
            &nodes[0],
            "--node",
            &nodes[1],
            "--password-file",
            "/root/hacluster.password",
            "--cluster-name",
            "bmc",
            "--token",
            &token,
            "--params",
            "/root/redundant-bmc.json",
        ];
        self.command(Node::Bmc0, &argv)
    }

    /// Parameters of the template `redundant-bmc` for this lab's hardware.
    fn template_parameters(&self, provision: &Provision) -> Value {
        let mut parameters = json!({
            "policy": provision.policy.word(),
            "mux_select_file": "/run/chassis/mux/select",
            "mux_grant_file": "/run/chassis/mux/grant",
            "fan_tach_files": "/run/chassis/fans/fan*_input",
            "fan_duty_files": "/run/chassis/fans/pwm*",
            "power_good_file": "/run/chassis/power/good",
            "fence_reset_file": "/run/chassis/sibling/reset",
            "fence_held_file": "/run/chassis/sibling/held",
            "fence_lock_file": "/run/chassis/sibling/fence_lock",
            "address": self.network().floating().to_string(),
            "address_prefix": Subnet::PREFIX,
            "dc_deadtime": format!("{DC_DEADTIME_SECONDS}s"),
        });
        for (name, value) in &provision.parameters {
            parameters[name] = value.clone();
        }
        parameters
    }

    /// Writes a file for root only into the first BMC.
    fn put_private(&self, path: &str, text: &str) -> Result<()> {
        let path = PathBuf::from(format!("/proc/{}/root{path}", self.pid(Node::Bmc0)?));
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(LabError::io("write", &path))
    }
}
