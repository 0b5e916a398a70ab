//! A lab from nothing to two running BMCs, and back to nothing.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::Duration;

use crate::boot;
use crate::chassis::Chassis;
use crate::error::{LabError, Result};
use crate::layout::Layout;
use crate::network::Network;
use crate::node::Node;
use crate::options::{Options, Started};
use crate::record::{Made, ProcessId, Record};
use crate::root;
use crate::tool;
use crate::wait::{self, Look};

/// How long the chassis may take until its socket answers: it mounts two file systems, no more.
const CHASSIS_DEADLINE: Duration = Duration::from_secs(20);

/// Makes everything up to a running chassis with both BMCs off.
pub(crate) fn make(layout: &Layout, options: &Options, owner: Option<ProcessId>) -> Result<()> {
    options.check()?;
    root::check_programs(&options.bin_dir)?;
    clear_crashed(layout)?;

    fs::create_dir_all(layout.run()).map_err(LabError::io("create", layout.run()))?;
    let mut record = Record::create(layout.record())?;
    record.add(Made::Folder(layout.run()))?;
    let started = Started {
        options: options.clone(),
        owner,
    };
    started.save(&layout.options())?;

    let network = Network::new(layout, options.subnets);
    record.add(Made::Namespace(layout.namespace()))?;
    network.create()?;

    let password = root::make_password(layout)?;
    record.add(Made::Folder(layout.disk()))?;
    let cgroups = boot::cgroup_root()?;
    for node in Node::BOTH {
        record.add(Made::Mount(layout.root(node)))?;
        root::mount(layout, node)?;
        root::furnish(layout, node, &network, &options.bin_dir, &password)?;
        let view = layout.chassis_view(node);
        fs::create_dir_all(&view).map_err(LabError::io("create", &view))?;
        record.add(Made::Mount(view))?;
        record.add(Made::Cgroup(cgroups.join(layout.cgroup(node))))?;
    }
    start_chassis(layout, options, &mut record)
}

/// Takes everything down, from its record.
pub(crate) fn unmake(layout: &Layout) -> Result<()> {
    let Some(record) = Record::load(layout.record())? else {
        return Ok(());
    };
    if let Ok(chassis) = Chassis::connect(layout) {
        // Best effort: the record kills what does not end by itself.
        let _ = chassis.shut_down();
    }
    record.undo()
}

/// Takes down what a crashed run of the same name left; refuses to touch a lab that is in use.
fn clear_crashed(layout: &Layout) -> Result<()> {
    let Some(record) = Record::load(layout.record())? else {
        return Ok(());
    };
    let in_use = record.running().next().is_some()
        && Started::load(&layout.options()).is_ok_and(|started| started.owner.is_none_or(ProcessId::runs));
    if in_use {
        let name = layout.name();
        return Err(LabError::State(format!(
            "the lab {name} is up; take it down first (lab down --name {name}), or use another name"
        )));
    }
    record.undo()
}

fn start_chassis(layout: &Layout, options: &Options, record: &mut Record) -> Result<()> {
    let lab = options.bin_dir.join("lab");
    let bmcs: Vec<_> = Node::BOTH
        .into_iter()
        .map(|node| {
            serde_json::json!({
                "name": node.name(),
                "mount": layout.chassis_view(node),
                "console": layout.console(node),
                "boot": boot::command_line(&lab, layout, node),
            })
        })
        .collect();
    let config = serde_json::json!({
        "log": layout.chassis_log(),
        "socket": layout.chassis_socket(),
        "host_power": true,
        "bmcs": bmcs,
    });
    let path = layout.chassis_config();
    fs::write(&path, config.to_string()).map_err(LabError::io("write", &path))?;

    let stderr = layout.chassis_stderr();
    let stderr = File::create(&stderr).map_err(LabError::io("create", &stderr))?;
    let mut command = tool::command(
        &options.bin_dir.join("chassis-sim").to_string_lossy(),
        ["--config"],
    );
    command
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        // A Ctrl-C at the terminal is for whoever started the lab, not for the hardware.
        .process_group(0);
    let mut child = command.spawn().map_err(|source| LabError::Start {
        command: tool::describe(&command),
        source,
    })?;
    let pid = i32::try_from(child.id()).map_err(|error| LabError::State(format!("a process id: {error}")))?;
    if let Some(process) = ProcessId::of(pid) {
        record.add(Made::Process(process))?;
    }
    wait::until("the chassis's control socket", CHASSIS_DEADLINE, || {
        if let Ok(Some(status)) = child.try_wait() {
            let said = fs::read_to_string(layout.chassis_stderr()).unwrap_or_default();
            return Ok(Look::NotYet(format!("chassis-sim ended with {status}: {said}")));
        }
        Chassis::connect(layout)
            .and_then(|chassis| chassis.state())
            .map(|_| Look::Found(()))
    })
}
