//! Where a lab keeps its things.

use std::path::PathBuf;

use crate::node::Node;

/// Sockets, logs and the record of what was made: gone after a reboot of the machine, like the lab itself.
const RUN: &str = "/run/bmc-ha-lab";
/// The BMCs' disks. On a real disk: an overlay's upper layer in memory would make fsync free.
const DISK: &str = "/var/tmp/bmc-ha-lab";

/// The paths of one lab, by its name.
#[derive(Debug, Clone)]
pub struct Layout {
    name: String,
}

impl Layout {
    /// The paths of the lab called `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
        }
    }

    /// Names of all labs that left a trace on this machine.
    #[must_use]
    pub fn existing() -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(RUN) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| Self::new(name).record().exists())
            .collect();
        names.sort();
        names
    }

    /// Name of the lab.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Folder of everything that need not survive a reboot of the machine.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        PathBuf::from(RUN).join(&self.name)
    }

    /// Folder of the BMCs' disks.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        PathBuf::from(DISK).join(&self.name)
    }

    /// The record of what this lab made on the machine.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.run().join("record.json")
    }

    /// The options that the lab was started with.
    #[must_use]
    pub fn options(&self) -> PathBuf {
        self.run().join("options.json")
    }

    /// The chassis's configuration.
    #[must_use]
    pub fn chassis_config(&self) -> PathBuf {
        self.run().join("chassis.json")
    }

    /// The chassis's control socket.
    #[must_use]
    pub fn chassis_socket(&self) -> PathBuf {
        self.run().join("chassis.sock")
    }

    /// The chassis's event log.
    #[must_use]
    pub fn chassis_log(&self) -> PathBuf {
        self.run().join("chassis.log")
    }

    /// What the chassis itself complains about.
    #[must_use]
    pub fn chassis_stderr(&self) -> PathBuf {
        self.run().join("chassis.stderr")
    }

    /// Where a BMC's view of the chassis is mounted on the host.
    #[must_use]
    pub fn chassis_view(&self, node: Node) -> PathBuf {
        self.run().join(node.name())
    }

    /// What a BMC prints on its console.
    #[must_use]
    pub fn console(&self, node: Node) -> PathBuf {
        self.run().join(format!("{node}.console"))
    }

    /// The password of the cluster's administrator in this lab.
    #[must_use]
    pub fn password(&self) -> PathBuf {
        self.run().join("hacluster.password")
    }

    /// Folder of a BMC's disk.
    #[must_use]
    pub fn bmc_disk(&self, node: Node) -> PathBuf {
        self.disk().join(node.name())
    }

    /// Root file system of a BMC as mounted on the host.
    #[must_use]
    pub fn root(&self, node: Node) -> PathBuf {
        self.bmc_disk(node).join("root")
    }

    /// Network namespace that holds the links' switches.
    #[must_use]
    pub fn namespace(&self) -> String {
        format!("bmc-ha-{}", self.name)
    }

    /// Control group of a BMC, relative to the root of the unified hierarchy.
    #[must_use]
    pub fn cgroup(&self, node: Node) -> String {
        format!("bmc-ha-lab-{}-{node}", self.name)
    }
}
