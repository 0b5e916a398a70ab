//! What the chassis runs when a BMC gets power: this process takes its place in the control groups, plugs in the
//! links, and becomes systemd-nspawn. Everything it makes dies with the container.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process;

use crate::error::{LabError, Result};
use crate::layout::Layout;
use crate::network::Network;
use crate::node::Node;
use crate::tool;

/// The command line that boots a BMC. `unshare` gives it a network namespace that no name keeps alive: after a
/// power cut the kernel takes the links away, and a dead BMC's addresses stop answering as they should.
pub(crate) fn command_line(program: &Path, layout: &Layout, node: Node) -> Vec<String> {
    let program = program.display().to_string();
    [
        "unshare",
        "--net",
        "--",
        &program,
        "boot",
        "--name",
        layout.name(),
        node.name(),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Becomes the container of `node`.
///
/// # Errors
/// When a control group, a link or the container cannot be made; never returns otherwise.
pub fn boot(layout: &Layout, network: &Network, node: Node) -> Result<()> {
    join_cgroup(&layout.cgroup(node))?;
    network.plug(node, process::id())?;
    let mut nspawn = tool::command(
        "systemd-nspawn",
        ["--quiet", "--register=no", "--keep-unit", "--settings=no"],
    );
    nspawn
        .arg("--directory")
        .arg(layout.root(node))
        .arg(format!("--machine={node}"))
        .arg(format!("--hostname={node}"))
        .arg(format!(
            "--bind={}:/run/chassis",
            layout.chassis_view(node).display()
        ))
        .arg(format!("--network-namespace-path=/proc/{}/ns/net", process::id()))
        .args([
            "--capability=all",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
        ])
        .args(["--console=pipe", "--boot", "systemd.unified_cgroup_hierarchy=1"])
        .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
    // exec only returns when it failed.
    let source = nspawn.exec();
    Err(LabError::Start {
        command: tool::describe(&nspawn),
        source,
    })
}

/// Two systemds in one control group would take each other's services for their own.
fn join_cgroup(name: &str) -> Result<()> {
    let group = cgroup_root()?.join(name);
    fs::create_dir_all(&group).map_err(LabError::io("create", &group))?;
    // After a reboot of the BMC the process that spawned us is in the parent, and so are we.
    let procs = group.join("cgroup.procs");
    fs::write(&procs, process::id().to_string()).map_err(LabError::io("join", &procs))
}

/// Where the unified hierarchy is mounted: on its own, or beside the first version's.
pub(crate) fn cgroup_root() -> Result<PathBuf> {
    let path = "/proc/self/mounts";
    let mounts = fs::read_to_string(path).map_err(LabError::io("read", path))?;
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .find(|(_, kind)| *kind == "cgroup2")
        .map(|(path, _)| PathBuf::from(path))
        .ok_or_else(|| LabError::State("this machine has no unified control group hierarchy mounted".into()))
}
