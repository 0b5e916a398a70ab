//! The words that scenarios are written in: what happens to a BMC, and what has to come of it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bmc_bridge_control::messages::{Role, Status, Sync};

use crate::bridge::{self, Bridge};
use crate::cluster::ClusterView;
use crate::error::{LabError, Result};
use crate::journal::{self, Following, JournalEntry, Moment};
use crate::node::Node;
use crate::prober::Prober;
use crate::wait::{self, Look};
use crate::{Lab, lifecycle};

/// How long things may take. Generous, because a loaded machine is no failure; a scenario that wants to say
/// that something is fast measures it.
pub mod deadline {
    use std::time::Duration;

    /// Until a BMC with power has started all that it starts at boot.
    pub const BOOT: Duration = Duration::from_secs(120);
    /// Until a BMC has taken over with all services.
    pub const FAILOVER: Duration = Duration::from_secs(90);
    /// Until both BMCs are back, in sync and at rest.
    pub const SETTLE: Duration = Duration::from_secs(180);
    /// Until a changed setting is on the other BMC.
    pub const SETTING: Duration = Duration::from_secs(30);
    /// Until the bridge answers a question that it does not have to ask others for.
    pub const BRIDGE: Duration = Duration::from_secs(5);
}

/// Power.
impl Lab {
    /// Gives both BMCs power at the same time and waits until both have booted.
    ///
    /// # Errors
    /// When one does not boot in time.
    pub fn boot_all(&self) -> Result<()> {
        let chassis = self.chassis()?;
        for node in Node::BOTH {
            chassis.power(node, true)?;
        }
        Node::BOTH.into_iter().try_for_each(|node| self.wait_booted(node))
    }

    /// Cuts a BMC's power: everything in it ends at once, without a chance to say so.
    ///
    /// # Errors
    /// When the chassis is not there.
    pub fn cut_power(&self, node: Node) -> Result<()> {
        self.chassis()?.power(node, false)
    }

    /// Gives a BMC power; it boots by itself.
    ///
    /// # Errors
    /// When the chassis is not there.
    pub fn power_on(&self, node: Node) -> Result<()> {
        self.chassis()?.power(node, true)
    }

    /// Waits until a BMC has started all that it starts at boot.
    ///
    /// # Errors
    /// [`LabError::Deadline`] when it does not.
    pub fn wait_booted(&self, node: Node) -> Result<()> {
        wait::until(&format!("the end of {node}'s boot"), deadline::BOOT, || {
            // systemd answers when it is done; before D-Bus is up it cannot, and the question fails at once.
            let state = self.exec(node, &["systemctl", "is-system-running", "--wait"])?;
            Ok(match state.stdout.trim() {
                "running" | "degraded" => Look::Found(()),
                other => Look::NotYet(format!("{other} {}", state.stderr.trim())),
            })
        })
    }

    /// Looks until `look` finds something; until then it says what it sees instead. A look that fails counts as
    /// not yet.
    ///
    /// # Errors
    /// [`LabError::Deadline`] with what was seen last.
    pub fn wait_for<T>(
        &self,
        what: &str,
        within: Duration,
        mut look: impl FnMut() -> Result<std::result::Result<T, String>>,
    ) -> Result<T> {
        wait::until(what, within, || {
            Ok(match look()? {
                Ok(found) => Look::Found(found),
                Err(seen) => Look::NotYet(seen),
            })
        })
    }

    /// Takes the lab down whatever state it is in; for a scenario that wants a fresh one.
    ///
    /// # Errors
    /// When something cannot be undone.
    pub fn clear(name: &str) -> Result<()> {
        lifecycle::unmake(&crate::Layout::new(name))
    }
}

/// The cluster.
impl Lab {
    /// The cluster as `node` sees it.
    ///
    /// # Errors
    /// When the BMC does not run, or Pacemaker does not on it.
    pub fn cluster_seen_by(&self, node: Node) -> Result<ClusterView> {
        ClusterView::parse(&self.run(node, &["crm_mon", "-1", "--output-as=xml", "--inactive"])?)
    }

    /// The cluster as the first BMC that answers sees it.
    ///
    /// # Errors
    /// When neither answers.
    pub fn cluster(&self) -> Result<ClusterView> {
        self.cluster_seen_by(Node::Bmc0)
            .or_else(|_| self.cluster_seen_by(Node::Bmc1))
    }

    /// The Active, by the word of the cluster and of the hardware.
    ///
    /// # Errors
    /// [`LabError::State`] when there is none, or the two do not agree.
    pub fn active(&self) -> Result<Node> {
        let view = self.cluster()?;
        let holder = self.chassis()?.mux_holder()?;
        match view.active() {
            Some(node) if holder == Some(node) => Ok(node),
            promoted => Err(LabError::State(format!(
                "nobody is the Active: promoted is {promoted:?}, the mux is held by {holder:?}; {view}"
            ))),
        }
    }

    /// Waits until `node` is the Active: promoted, holding the mux, with all services started on it.
    ///
    /// # Errors
    /// [`LabError::Deadline`] with what was there instead.
    pub fn wait_active(&self, node: Node, within: Duration) -> Result<()> {
        wait::until(
            &format!("{node} as the Active with all its services"),
            within,
            || {
                let holder = self.chassis()?.mux_holder()?;
                if holder != Some(node) {
                    return Ok(Look::NotYet(format!("the mux is held by {holder:?}")));
                }
                Ok(match self.cluster_seen_by(node)?.not_active_because(node) {
                    None => Look::Found(()),
                    Some(reason) => Look::NotYet(reason),
                })
            },
        )
    }

    /// Waits until the sibling of `active` is a full member with an Unpromoted, synchronised copy.
    ///
    /// # Errors
    /// [`LabError::Deadline`] with what was there instead.
    pub fn wait_passive_in_sync(&self, active: Node, within: Duration) -> Result<()> {
        let what = format!("{} as a Passive in sync", active.sibling());
        wait::until(&what, within, || self.passive_in_sync(active))
    }

    fn passive_in_sync(&self, active: Node) -> Result<Look<()>> {
        let passive = active.sibling();
        let view = self.cluster_seen_by(active)?;
        if !view.online(passive) || !view.runs("settings", passive, "Unpromoted") {
            return Ok(Look::NotYet(view.to_string()));
        }
        let (source, copy) = (self.bridge_status(active)?, self.bridge_status(passive)?);
        let caught_up = source.role == Role::Active
            && copy.sync == Sync::InSync
            && copy.position == source.position
            && source
                .members
                .iter()
                .all(|member| member.lag_ms.unwrap_or_default() == 0);
        Ok(if caught_up {
            Look::Found(())
        } else {
            Look::NotYet(format!("source {source:?}, copy {copy:?}"))
        })
    }

    /// Heals both links, gives both BMCs power, and waits until both have booted.
    ///
    /// # Errors
    /// [`LabError::Deadline`] when one does not boot.
    pub fn restore(&self) -> Result<()> {
        self.network().heal()?;
        let state = self.chassis()?.state()?;
        for node in Node::BOTH {
            let powered = state
                .bmcs
                .get(usize::from(node.slot()))
                .is_some_and(|bmc| bmc.powered);
            if !powered {
                self.power_on(node)?;
            }
        }
        Node::BOTH.into_iter().try_for_each(|node| self.wait_booted(node))
    }

    /// Puts right whatever a scenario did (power, partitions, failure history, left-over wishes), and waits until
    /// both BMCs are online, one is the Active with all services, and the other is in sync. Used between
    /// scenarios. Returns the Active.
    ///
    /// # Errors
    /// [`LabError::Deadline`] with what was there instead.
    pub fn settle(&self) -> Result<Node> {
        self.restore()?;
        let mut forgiven = false;
        wait::until("a cluster at rest", deadline::SETTLE, || {
            let view = self.cluster()?;
            if let Some(reason) = view.unrest() {
                // Failures that the scenario caused keep a resource where it is; forgive them once they are all in.
                if !forgiven
                    && !view.failures.is_empty()
                    && Node::BOTH.into_iter().all(|node| view.online(node))
                {
                    self.run(Node::Bmc0, &["crm_resource", "--cleanup"])?;
                    forgiven = true;
                }
                return Ok(Look::NotYet(reason));
            }
            // Who is the Active may yet change: a death that nobody has noticed looks like rest.
            let active = self.active()?;
            Ok(match self.passive_in_sync(active)? {
                Look::Found(()) => Look::Found(active),
                Look::NotYet(reason) => Look::NotYet(reason),
            })
        })
    }
}

/// Settings.
impl Lab {
    /// Writes a setting in a BMC, as a service of OpenBMC would.
    ///
    /// # Errors
    /// When the BMC does not run or the file cannot be written.
    pub fn write_setting(&self, node: Node, path: &str, content: &str) -> Result<()> {
        let path = self.inside(node, path)?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(LabError::io("create", folder))?;
        }
        fs::write(&path, content).map_err(LabError::io("write", &path))
    }

    /// Reads a setting in a BMC.
    ///
    /// # Errors
    /// When the BMC does not run or has no such file.
    pub fn read_setting(&self, node: Node, path: &str) -> Result<String> {
        let path = self.inside(node, path)?;
        fs::read_to_string(&path).map_err(LabError::io("read", &path))
    }

    /// Waits until a setting has a value in a BMC.
    ///
    /// # Errors
    /// [`LabError::Deadline`] with what was there instead.
    pub fn wait_setting(&self, node: Node, path: &str, content: &str) -> Result<()> {
        wait::until(&format!("{path} on {node}"), deadline::SETTING, || {
            let seen = self.read_setting(node, path)?;
            Ok(if seen == content {
                Look::Found(())
            } else {
                Look::NotYet(format!("{seen:?}"))
            })
        })
    }

    /// What the bridge of a BMC says about itself.
    ///
    /// # Errors
    /// When the bridge does not answer.
    pub fn bridge_status(&self, node: Node) -> Result<Status> {
        self.bridge(node)?.status(deadline::BRIDGE)
    }

    /// The bridge of a BMC.
    ///
    /// # Errors
    /// When the BMC does not run.
    pub fn bridge(&self, node: Node) -> Result<Bridge> {
        let socket = self.inside(node, bridge::SOCKET)?;
        Ok(Bridge::new(node, self.pid(node)?, socket, self.program()))
    }

    /// A path in a BMC as the host sees it.
    ///
    /// # Errors
    /// When the BMC does not run.
    pub fn inside(&self, node: Node, path: &str) -> Result<PathBuf> {
        let root = PathBuf::from(format!("/proc/{}/root", self.pid(node)?));
        Ok(root.join(path.trim_start_matches('/')))
    }
}

/// Faults and witnesses.
impl Lab {
    /// Kills the main process of a unit in a BMC with SIGKILL.
    ///
    /// # Errors
    /// When the unit does not run there.
    pub fn kill9(&self, node: Node, unit: &str) -> Result<()> {
        self.run(
            node,
            &["systemctl", "kill", "--kill-who=main", "--signal=KILL", unit],
        )
        .map(drop)
    }

    /// Everything a BMC wrote into its journal since `since`, oldest first, power cuts included.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn journal(&self, node: Node, since: Moment) -> Result<Vec<JournalEntry>> {
        journal::read(self.layout(), node, since)
    }

    /// A BMC's journal as it grows.
    ///
    /// # Errors
    /// When journalctl cannot be started.
    pub fn follow(&self, node: Node) -> Result<Following> {
        Following::start(self.layout(), node)
    }

    /// Begins to ask the floating address whether it answers.
    ///
    /// # Errors
    /// When the lab's network is not there.
    pub fn probe_address(&self) -> Result<Prober> {
        Prober::start(self.network(), self.network().floating())
    }

    /// What was going on, for a person who has to find out why something failed: cluster, bridges, the last of
    /// both journals and of the chassis log.
    #[must_use]
    pub fn diagnosis(&self) -> String {
        let mut text = String::new();
        let mut section = |title: String, body: Result<String>| {
            text.push_str(&format!("\n== {title}\n"));
            text.push_str(&body.unwrap_or_else(|error| format!("({error})")));
            text.push('\n');
        };
        section(
            "chassis".into(),
            self.chassis().and_then(|chassis| chassis.tail(40)),
        );
        for node in Node::BOTH {
            let view = self.run(node, &["crm_mon", "-1", "-rnf"]);
            section(format!("cluster as {node} sees it"), view);
            let bridge = self.bridge_status(node).map(|status| format!("{status:#?}"));
            section(format!("bridge of {node}"), bridge);
            section(
                format!("journal of {node}"),
                journal::tail(self.layout(), node, 120),
            );
        }
        text
    }
}
