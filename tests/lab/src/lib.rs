//! Two real BMC containers on one emulated chassis, and the words that scenarios are written in.
//!
//! A [`Lab`] boots two containers with systemd, D-Bus, corosync, pacemaker and pcs, on two network links, with
//! bmc-ha installed as on a real BMC. Their hardware is [`chassis_sim`]'s: it switches their power, and what it
//! saw is the truth that scenarios are judged by.
//!
//! ```no_run
//! use lab::{Lab, Node::{Bmc0, Bmc1}, Options, Provision, deadline};
//!
//! # fn main() -> lab::Result<()> {
//! let lab = Lab::up(&Options::named("doc")?)?;
//! lab.provision(&Provision::default())?;
//! lab.settle()?;
//! let mark = lab.chassis()?.mark("the Active loses its power")?;
//! let active = lab.active()?;
//! lab.cut_power(active)?;
//! lab.wait_active(active.sibling(), deadline::FAILOVER)?;
//! lab.chassis()?.assert_invariants(mark)?;
//! # Ok(()) }
//! ```
//!
//! Everything that a lab makes is recorded under `/run/bmc-ha-lab/NAME` before it is made; dropping the [`Lab`]
//! takes it all down, and so does the next start when a run crashed.

mod boot;
mod bridge;
mod chassis;
mod cluster;
mod copies;
mod error;
mod interrupt;
mod invariants;
mod journal;
mod layout;
mod lifecycle;
mod network;
mod node;
mod options;
mod prober;
mod provision;
mod record;
mod root;
mod stock;
mod timeline;
mod tool;
mod vocabulary;
mod wait;

use std::path::PathBuf;
use std::process::Command;

pub use boot::boot;
pub use bridge::{Bridge, ask as ask_bridge};
pub use chassis::{Chassis, Mark};
pub use cluster::{ClusterView, Instance, Member};
pub use copies::REPLICATED;
pub use error::{LabError, Result};
pub use interrupt::clear_when_interrupted;
pub use journal::{Following, JournalEntry, Moment};
pub use layout::Layout;
pub use network::{Link, Network, Subnet};
pub use node::Node;
pub use options::Options;
pub use prober::{Prober, Reachability};
pub use provision::{Policy, Provision};
pub use timeline::{Stage, Timeline};
pub use tool::Output;
pub use vocabulary::deadline;

use options::Started;
use record::ProcessId;

/// What a command in a BMC finds in its environment.
const ENVIRONMENT: [&str; 5] = [
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LANG=C.UTF-8",
    "TERM=dumb",
    "NO_COLOR=1",
];

/// A running lab. Its words for scenarios are in the other `impl` blocks; this one is about having it.
#[derive(Debug)]
pub struct Lab {
    layout: Layout,
    network: Network,
    bin_dir: PathBuf,
    /// Whether dropping it takes the lab down.
    owned: bool,
}

impl Lab {
    /// Makes a lab and boots both BMCs; returns when both run all that they start at boot. What a crashed run of
    /// the same name left behind is cleared first.
    ///
    /// # Errors
    /// When a lab of this name is up, something cannot be made, or a BMC does not boot in time.
    pub fn up(options: &Options) -> Result<Self> {
        let lab = Self::up_powered_off(options)?;
        lab.boot_all()?;
        Ok(lab)
    }

    /// As [`Self::up`], but both BMCs stay off.
    ///
    /// # Errors
    /// As [`Self::up`].
    pub fn up_powered_off(options: &Options) -> Result<Self> {
        let layout = Layout::new(&options.name);
        let owner = i32::try_from(std::process::id()).ok().and_then(ProcessId::of);
        if let Err(error) = lifecycle::make(&layout, options, owner) {
            // Only what this process made: a lab that somebody else uses is the one reason to refuse early.
            if Started::load(&layout.options()).is_ok_and(|started| started.owner == owner) {
                lifecycle::unmake(&layout)?;
            }
            return Err(error);
        }
        Ok(Self {
            network: Network::new(&layout, options.subnets),
            layout,
            bin_dir: options.bin_dir.clone(),
            owned: true,
        })
    }

    /// The lab called `name`, started by another process. Dropping it leaves the lab up.
    ///
    /// # Errors
    /// When there is none.
    pub fn attach(name: &str) -> Result<Self> {
        let layout = Layout::new(name);
        let started = Started::load(&layout.options())
            .map_err(|_| LabError::State(format!("no lab called {name} is up (see lab list)")))?;
        Ok(Self {
            network: Network::new(&layout, started.options.subnets),
            layout,
            bin_dir: started.options.bin_dir,
            owned: false,
        })
    }

    /// Leaves the lab up when this is dropped, and after this process.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub fn keep(&mut self) -> Result<()> {
        let path = self.layout.options();
        let mut started = Started::load(&path)?;
        started.owner = None;
        started.save(&path)?;
        self.owned = false;
        Ok(())
    }

    /// Leaves the lab as a crash of this process would: running, with nobody to take it down but the next start.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub fn abandon(mut self) -> Result<()> {
        let path = self.layout.options();
        let mut started = Started::load(&path)?;
        // No process started at tick 0 but the kernel itself: this owner never runs.
        started.owner = Some(ProcessId { pid: 1, started: 0 });
        started.save(&path)?;
        self.owned = false;
        Ok(())
    }

    /// Takes the lab down and leaves nothing.
    ///
    /// # Errors
    /// When something cannot be undone; it stays on record, and another try goes on from there.
    pub fn down(mut self) -> Result<()> {
        self.owned = false;
        lifecycle::unmake(&self.layout)
    }

    /// Where the lab keeps its things.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The links between the BMCs.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The program `lab` of this lab.
    pub(crate) fn program(&self) -> PathBuf {
        self.bin_dir.join("lab")
    }

    /// The chassis.
    ///
    /// # Errors
    /// When it is not there.
    pub fn chassis(&self) -> Result<Chassis> {
        Chassis::connect(&self.layout)
    }

    /// Process id of a BMC's PID 1, as seen from outside.
    ///
    /// # Errors
    /// [`LabError::Down`] when its operating system does not run.
    pub fn pid(&self, node: Node) -> Result<i32> {
        let state = self.chassis()?.state()?;
        state
            .bmcs
            .get(usize::from(node.slot()))
            .and_then(|bmc| bmc.pid)
            .ok_or(LabError::Down(node))
    }

    /// Runs a command in a BMC to its end.
    ///
    /// # Errors
    /// When the BMC does not run. What the command exits with is in the output.
    pub fn exec<S: AsRef<str>>(&self, node: Node, argv: &[S]) -> Result<Output> {
        tool::output(&mut self.command(node, argv)?)
    }

    /// Runs a command in a BMC that has to succeed; returns what it printed.
    ///
    /// # Errors
    /// When it fails; the message has all that it printed.
    pub fn run<S: AsRef<str>>(&self, node: Node, argv: &[S]) -> Result<String> {
        tool::run(&mut self.command(node, argv)?)
    }

    /// A command that runs in a BMC, with the caller's terminal unless it is told otherwise.
    ///
    /// # Errors
    /// When the BMC does not run.
    pub fn command<S: AsRef<str>>(&self, node: Node, argv: &[S]) -> Result<Command> {
        let pid = self.pid(node)?.to_string();
        let mut command = tool::command("nsenter", ["--target", &pid, "--all", "--", "env", "-i"]);
        command.args(ENVIRONMENT).args(argv.iter().map(AsRef::as_ref));
        Ok(command)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.owned {
            if let Err(error) = lifecycle::unmake(&self.layout) {
                eprintln!("lab: taking {} down: {error}", self.layout.name());
            }
        }
    }
}
