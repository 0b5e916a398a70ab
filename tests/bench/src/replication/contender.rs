//! Who replicates.

use std::fmt;

use anyhow::Result;
use lab::{Lab, Node};

use super::tunnel::{self, Tunnel};
use crate::{OWN_NAME, programs};

/// A folder of settings that the lab's bridge replicates.
const BMC_HA_FOLDER: &str = "/var/lib/phosphor-settings-manager/settings/bench";
/// A folder that it does not.
const PEER_FOLDER: &str = "/var/lib/bmc-ha-bench/settings";

/// The command line of phosphor-data-sync.
const RSYNC: [&str; 12] = [
    "rsync",
    "--compress",
    "--recursive",
    "--perms",
    "--group",
    "--owner",
    "--times",
    "--atimes",
    "--update",
    "--relative",
    "--delete",
    "--delete-missing-args",
];

/// Who replicates a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contender {
    /// The bridge.
    BmcHa,
    /// What phosphor-data-sync does: one rsync for each event.
    Rsync,
    /// The same, with every file made durable before it gets its name.
    RsyncDurable,
    /// lsyncd without its delay.
    Lsyncd,
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BmcHa => "bmc-ha, durable",
            Self::Rsync => "rsync per event",
            Self::RsyncDurable => "rsync --fsync per event, durable",
            Self::Lsyncd => "lsyncd, delay 0",
        })
    }
}

impl Contender {
    /// The folder that it replicates.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::BmcHa => BMC_HA_FOLDER,
            Self::Rsync | Self::RsyncDurable | Self::Lsyncd => PEER_FOLDER,
        }
    }

    /// Its command line for one path, on a BMC.
    pub(super) fn rsync(self) -> Vec<String> {
        let mut argv: Vec<String> = RSYNC.map(str::to_owned).to_vec();
        if self == Self::RsyncDurable {
            argv.push("--fsync".to_owned());
        }
        argv
    }

    /// Starts to replicate its folder, which is empty on both BMCs; stops when what this returns is dropped.
    pub(super) fn start<'lab>(self, tunnel: &Tunnel<'lab>, active: Node) -> Result<Running<'lab>> {
        let lab = tunnel.lab();
        let running = Running {
            lab,
            active,
            contender: self,
        };
        clear(lab, active, self)?;
        lab.run(active, &["mkdir", "-p", self.folder()])?;
        match self {
            Self::BmcHa => {}
            Self::Rsync | Self::RsyncDurable => {
                lab.run(active.sibling(), &["mkdir", "-p", self.folder()])?;
                let program = programs::path(OWN_NAME);
                let mut argv = vec![program, "inside".to_owned(), "sync-each".to_owned()];
                argv.extend(["--folder".to_owned(), self.folder().to_owned()]);
                argv.extend(["--target".to_owned(), tunnel::TARGET.to_owned(), "--".to_owned()]);
                argv.extend(self.rsync());
                tunnel::start_unit(lab, active, UNIT, &argv)?;
            }
            Self::Lsyncd => {
                lab.run(active.sibling(), &["mkdir", "-p", self.folder()])?;
                std::fs::write(lab.inside(active, LSYNCD_CONFIG)?, lsyncd_config())?;
                let argv = ["lsyncd", "-nodaemon", LSYNCD_CONFIG].map(str::to_owned);
                tunnel::start_unit(lab, active, UNIT, &argv)?;
            }
        }
        // Its first change shows that it is there.
        let first = format!("{}/first", self.folder());
        lab.wait_for("the first change", lab::deadline::SETTLE, || {
            lab.write_setting(active, &first, "first")?;
            Ok(lab
                .read_setting(active.sibling(), &first)
                .map_err(|error| error.to_string()))
        })?;
        Ok(running)
    }
}

/// The unit of whoever starts rsync.
const UNIT: &str = "bench-peer";
/// Configuration of lsyncd.
const LSYNCD_CONFIG: &str = "/run/bench-lsyncd.lua";

fn lsyncd_config() -> String {
    format!(
        "settings {{ nodaemon = true, insist = true }}
sync {{ default.rsync, delay = 0, source = '{PEER_FOLDER}/', target = '{}{PEER_FOLDER}/',
  rsync = {{ compress = true, perms = true, group = true, owner = true, times = true, update = true,
    _extra = {{ '--atimes' }} }} }}
",
        tunnel::TARGET.trim_end_matches('/')
    )
}

/// A contender at work.
pub(super) struct Running<'lab> {
    lab: &'lab Lab,
    active: Node,
    contender: Contender,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.contender != Contender::BmcHa {
            // Not there when it could not be started, which was told then.
            let _ = self.lab.run(self.active, &["systemctl", "stop", UNIT]);
        }
        // What is left is left in a lab that is thrown away.
        let _ = clear(self.lab, self.active, self.contender);
    }
}

/// Empties the contender's folder on both BMCs.
pub(super) fn clear(lab: &Lab, active: Node, contender: Contender) -> Result<()> {
    put_away(lab, active.sibling(), contender.folder())?;
    put_away(lab, active, contender.folder())?;
    match contender {
        Contender::BmcHa => super::cost::flush(lab, active),
        _ => Ok(()),
    }
}

/// Takes a folder out of everyone's sight. It is moved, not removed: for a minute after files were removed, ext4
/// without a journal makes new ones slowly, and whoever is measured next would pay for that.
pub(super) fn put_away(lab: &Lab, node: Node, folder: &str) -> Result<()> {
    let script = format!("[ ! -e {folder} ] || mv {folder} \"$(mktemp --directory /var/lib/bench-XXXXXX)\"");
    Ok(lab.run(node, &["sh", "-c", &script]).map(drop)?)
}
