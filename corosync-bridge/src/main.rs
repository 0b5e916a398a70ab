//! Replicates BMC settings as Corosync CPG messages.
//!
//! | module | what it is |
//! |---|---|
//! | [`options`] | the command line |
//! | [`daemon`] | the loop: tells the replication core what happens, carries out what it wants |
//! | [`link`] | the connection to Corosync: joined, or waiting for it to come back |
//! | [`watcher`] | sees changes to the replicated paths |
//! | [`control_server`] | serves the control socket |
//! | [`status`] | puts a status together |
//! | [`role_marker`] | remembers the role across a restart |
//! | [`notifier`] | tells services that their settings have changed |
//! | [`wall_clock`] | the machine's wall clock |
//! | [`narrate`], [`log`] | what is logged, and how |
//! | [`readiness`] | tells systemd that the service is up |
//! | [`instance`] | keeps a second bridge from running |

mod control_server;
mod daemon;
mod instance;
mod link;
mod log;
mod narrate;
mod notifier;
mod options;
mod readiness;
mod role_marker;
mod status;
mod wall_clock;
mod watcher;

use std::convert::Infallible;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;

use anyhow::anyhow;
use bmc_replication::chunks::Seed;
use bmc_replication::{Core, DiskTree, PlacedTree, Placement, StateFile};
use bmc_sync_config::{ConfigError, SyncConfig};
use clap::Parser;
use rustix::process::Uid;

use control_server::ControlServer;
use daemon::Daemon;
use instance::Instance;
use notifier::Notifier;
use options::Options;
use role_marker::RoleMarker;
use wall_clock::SystemClock;

/// Exit status for a bad configuration (`EX_CONFIG` of `sysexits.h`): the service is not restarted for it.
const EXIT_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let options = Options::parse();
    let config = match load(&options) {
        Ok(config) => config,
        Err(error) => return refuse(&error),
    };
    if options.check_config {
        let directory = options.config_dir.display();
        println!("{directory}: good, {} entries", config.entries().len());
        return ExitCode::SUCCESS;
    }
    match serve(&options, config) {
        Ok(never) => match never {},
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    // Each message of the project names its cause already.
    log::error(error);
    ExitCode::FAILURE
}

/// Explains a bad configuration, as `bmc-ha sync check` does.
fn refuse(error: &ConfigError) -> ExitCode {
    match error {
        ConfigError::Refused(refused) => {
            let plain = |_, text: &str| text.to_owned();
            let explained = refused.problems.iter().map(|problem| problem.explain(plain));
            explained.collect::<String>().lines().for_each(log::error);
        }
        other => log::error(other),
    }
    ExitCode::from(EXIT_CONFIG)
}

/// Runs the bridge.
fn serve(options: &Options, config: SyncConfig) -> anyhow::Result<Infallible> {
    let config = Rc::new(config);
    let _instance = Instance::claim(&options.run_dir)?;
    let marker = RoleMarker::in_dir(&options.run_dir);
    let resume_as_active = marker.says_active()?;
    let placement = Placement::new(config.clone());
    let disk = DiskTree::new(Path::new("/"), placement.clone())
        .map_err(|error| anyhow!("open the root directory: {error}"))?;
    let mut core = Core::new(
        bmc_replication::Options {
            resume_as_active,
            seed: secret_seed(),
        },
        config.clone(),
        PlacedTree::new(disk, placement),
        StateFile::new(&options.state_dir),
    );
    if !options.no_time {
        core.share_time(Box::new(SystemClock));
    }
    let server = ControlServer::bind(&options.socket, Uid::ROOT)?;
    let bus = std::env::var("DBUS_SYSTEM_BUS_ADDRESS").ok();
    let notifier = Notifier::start(&config, bus)
        .map_err(|error| anyhow!("start the thread that tells services: {error}"))?;
    Daemon::new(core, &config, &options.group, server, notifier, marker).run()
}

/// A number that nobody foretells, from the same source as the keys of a `HashMap`.
fn secret_seed() -> Seed {
    Seed(RandomState::new().build_hasher().finish())
}

/// Loads the lists. The bridge's own files are not settings.
fn load(options: &Options) -> Result<SyncConfig, ConfigError> {
    let own = [options.state_dir.as_path(), options.run_dir.as_path()];
    SyncConfig::load(std::slice::from_ref(&options.config_dir), &own)
}
