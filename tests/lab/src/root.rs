//! The root file system of a BMC: an overlay over the host's, with only what a BMC runs.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::copies::REPLICATED;
use crate::error::{LabError, Result};
use crate::layout::Layout;
use crate::network::{Link, Network};
use crate::node::Node;
use crate::tool;

/// Programs that a lab needs beside the lab itself, by their names in the build folder.
const PROGRAMS: [&str; 6] = [
    "bmc-ha",
    "chassis-sim",
    "corosync-bridge",
    "lab-fan-control",
    "lab-power-control",
    "ocf-agents",
];

/// The ones of [`PROGRAMS`] that stand in for OpenBMC's services; `scripts/install` does not know them.
const STAND_INS: [&str; 2] = ["lab-fan-control", "lab-power-control"];

/// What systemd itself would start and a container must not: the first three wait two minutes for a network that
/// the lab already made, the others serve a console, a login or hardware that is not there.
const MASKED: [&str; 10] = [
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-networkd-wait-online.service",
    "systemd-firstboot.service",
    "systemd-hwdb-update.service",
    "systemd-logind.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-udevd.service",
    "getty.target",
];

/// What a BMC starts at boot before it is provisioned.
const ENABLED: [&str; 1] = ["pcsd.service"];

/// What the host's cluster packages left behind, which a BMC as delivered does not have.
const HOST_CLUSTER: [&str; 4] = [
    "etc/corosync",
    "var/lib/corosync",
    "var/lib/pacemaker/cib",
    "var/lib/pcsd",
];

/// What the lab replicates, in phosphor-data-sync's format.
const DATA_SYNC: &str = include_str!("../data-sync.d/openbmc.json");

/// A journal that survives a power cut and keeps everything: the timeline of a failover is read from it.
const JOURNALD: &str =
    "[Journal]\nStorage=persistent\nSyncIntervalSec=1s\nRateLimitIntervalSec=0\nSystemMaxUse=200M\n";

/// Checks that everything the lab runs was built.
pub(crate) fn check_programs(bin_dir: &Path) -> Result<()> {
    let missing: Vec<&str> = PROGRAMS
        .into_iter()
        .filter(|program| !bin_dir.join(program).is_file())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(LabError::State(format!(
        "{} has no {}: build them with `cargo build --workspace --bins`, or name another folder with --bin-dir",
        bin_dir.display(),
        missing.join(", ")
    )))
}

/// Makes the cluster administrator's password of this lab, readable by root only.
pub(crate) fn make_password(layout: &Layout) -> Result<String> {
    let mut bytes = [0_u8; 16];
    random(&mut bytes)?;
    let password = hex(&bytes);
    let path = layout.password();
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .map_err(LabError::io("create", &path))?;
    file.write_all(password.as_bytes())
        .map_err(LabError::io("write", &path))?;
    Ok(password)
}

/// Mounts the overlay of a BMC. Its folders must exist.
pub(crate) fn mount(layout: &Layout, node: Node) -> Result<()> {
    let disk = layout.bmc_disk(node);
    let root = layout.root(node);
    for folder in [disk.join("upper"), disk.join("work"), root.clone()] {
        fs::create_dir_all(&folder).map_err(LabError::io("create", &folder))?;
    }
    let options = format!(
        "lowerdir=/,upperdir={},workdir={}",
        disk.join("upper").display(),
        disk.join("work").display()
    );
    let mut command = tool::command("mount", ["-t", "overlay", "overlay", "-o", &options]);
    tool::run(command.arg(&root)).map(drop)
}

/// Turns a mounted overlay into a BMC as delivered: installed, not provisioned.
pub(crate) fn furnish(
    layout: &Layout,
    node: Node,
    network: &Network,
    bin_dir: &Path,
    password: &str,
) -> Result<()> {
    let root = layout.root(node);
    name(&root, node, network)?;
    trim(&root)?;
    write(&root.join("etc/systemd/journald.conf.d/lab.conf"), JOURNALD)?;
    for folder in ["var/log/journal", "var/log/pcsd", "var/log/crmsh"] {
        create(&root.join(folder))?;
    }
    // The settings too: both BMCs start equal.
    for folder in HOST_CLUSTER.into_iter().chain(REPLICATED) {
        empty(&root.join(folder.trim_start_matches('/')))?;
    }
    write(&root.join("etc/bmc-ha/data-sync.d/openbmc.json"), DATA_SYNC)?;
    install(&root, bin_dir)?;
    let mut chpasswd = tool::command("chroot", [root.as_os_str(), "chpasswd".as_ref()]);
    tool::run_with_input(&mut chpasswd, &format!("hacluster:{password}\n")).map(drop)
}

fn name(root: &Path, node: Node, network: &Network) -> Result<()> {
    write(&root.join("etc/hostname"), &format!("{node}\n"))?;
    let mut hosts = String::from("127.0.0.1 localhost\n");
    for node in Node::BOTH {
        hosts.push_str(&format!("{} {node}\n", network.address(node, Link::First)));
    }
    write(&root.join("etc/hosts"), &hosts)?;
    // Without one systemd takes this for the first boot ever, and enables what the host has installed.
    let mut id = [0_u8; 16];
    random(&mut id)?;
    write(&root.join("etc/machine-id"), &format!("{}\n", hex(&id)))
}

/// Leaves only what a BMC runs.
fn trim(root: &Path) -> Result<()> {
    remove(&root.join("usr/sbin/policy-rc.d"))?;
    let units = root.join("etc/systemd/system");
    create(&units)?;
    for entry in fs::read_dir(&units).map_err(LabError::io("list", &units))? {
        let path = entry.map_err(LabError::io("list", &units))?.path();
        if path.extension().is_some_and(|extension| extension == "wants") {
            empty(&path)?;
        }
    }
    for unit in MASKED {
        link(Path::new("/dev/null"), &units.join(unit))?;
    }
    let system = Path::new("/lib/systemd/system");
    link(&system.join("multi-user.target"), &units.join("default.target"))?;
    let wants = units.join("multi-user.target.wants");
    create(&wants)?;
    for unit in ENABLED {
        link(&system.join(unit), &wants.join(unit))?;
    }
    Ok(())
}

/// Installs bmc-ha as on a real BMC, then the stand-ins for OpenBMC's services.
fn install(root: &Path, bin_dir: &Path) -> Result<()> {
    let project = project();
    let mut script = tool::command("bash", [project.join("scripts/install")]);
    script.arg("--destdir").arg(root).arg("--profile").arg(bin_dir);
    tool::run(&mut script)?;
    for program in STAND_INS {
        copy(
            &bin_dir.join(program),
            &root.join("usr/libexec/bmc-ha-lab").join(program),
        )?;
    }
    let services = project.join("tests/bmc-services");
    copy_all(&services.join("systemd"), &root.join("lib/systemd/system"))?;
    copy_all(&services.join("dbus"), &root.join("etc/dbus-1/system.d"))
}

/// The project's folder on the machine that the lab was built on, which is the one that it runs on.
fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).map_err(LabError::io("list", from))? {
        let entry = entry.map_err(LabError::io("list", from))?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        create(folder)?;
    }
    fs::copy(from, to).map_err(LabError::io("copy", from)).map(drop)
}

fn create(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(LabError::io("create", path))
}

/// Makes `path` an empty folder, keeping its mode and owner where it exists.
fn empty(path: &Path) -> Result<()> {
    create(path)?;
    for entry in fs::read_dir(path).map_err(LabError::io("list", path))? {
        let entry = entry.map_err(LabError::io("list", path))?;
        let inner = entry.path();
        if entry
            .file_type()
            .map_err(LabError::io("look at", &inner))?
            .is_dir()
        {
            fs::remove_dir_all(&inner).map_err(LabError::io("remove", &inner))?;
        } else {
            remove(&inner)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LabError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn link(target: &Path, path: &Path) -> Result<()> {
    remove(path)?;
    symlink(target, path).map_err(LabError::io("link", path))
}

/// Replaces a file; what the host has there may be a link, which must not be followed.
fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        create(folder)?;
    }
    remove(path)?;
    fs::write(path, text).map_err(LabError::io("write", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
        .map_err(LabError::io("set the mode of", path))
}

fn random(bytes: &mut [u8]) -> Result<()> {
    let path = "/dev/urandom";
    fs::File::open(path)
        .and_then(|mut file| file.read_exact(bytes))
        .map_err(LabError::io("read", path))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
