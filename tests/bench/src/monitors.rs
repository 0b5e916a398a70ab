//! One monitor of each agent, next to Pacemaker's own `Stateful` and to a program that does nothing.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lab::{Lab, Node};

use crate::inside::{Case, Cost};
use crate::stats::{Summary, milliseconds, ratio};
use crate::{HELLO_WORLD, OWN_NAME, programs, table};

/// Where resource agents are installed (OCF RA API: `$OCF_ROOT/resource.d/PROVIDER`).
const RESOURCE_AGENTS: &str = "/usr/lib/ocf/resource.d";
/// `OCF_RUNNING_PROMOTED`, what a monitor of a promoted instance exits with.
const RUNNING_PROMOTED: i32 = 8;
/// What `cibadmin` exits with when the XPath finds nothing (`CRM_EX_NOSUCH`).
const NO_SUCH_OBJECT: i32 = 105;
/// What every row is compared with.
const REFERENCE: &str = "hello world (Rust)";

/// Measures on the Active, where a monitor has all its work to do.
pub(crate) fn run(lab: &Lab, active: Node, count: u32) -> Result<()> {
    let stateful = start_stateful(lab, active)?;
    let mut cases = vec![hello_world(), read_of_the_mux(), stateful];
    for (agent, expect) in [
        ("mux", RUNNING_PROMOTED),
        ("settings", RUNNING_PROMOTED),
        ("fan", 0),
        ("power", 0),
        ("target", 0),
    ] {
        cases.push(agent_case(lab, active, agent, expect)?);
    }
    let costs = measure(lab, active, &cases, count)?;
    print(&costs, count)
}

fn hello_world() -> Case {
    Case {
        name: REFERENCE.into(),
        argv: vec![programs::path(HELLO_WORLD)],
        env: Vec::new(),
        expect: 0,
    }
}

/// What the emulated hardware itself takes: its files are answered by a process and not by the kernel.
fn read_of_the_mux() -> Case {
    Case {
        name: "cat of the emulated mux".into(),
        argv: vec!["/bin/cat".into(), "/run/chassis/mux/grant".into()],
        env: Vec::new(),
        expect: 0,
    }
}

/// `Stateful` started by hand as an unpromoted clone instance, so that its monitor has something to find.
fn start_stateful(lab: &Lab, node: Node) -> Result<Case> {
    let mut env = ocf_environment("bench-stateful", "pacemaker", "Stateful");
    env.push(("OCF_RESKEY_state".into(), "/run/bench-stateful.state".into()));
    let agent = format!("{RESOURCE_AGENTS}/pacemaker/Stateful");
    let mut argv: Vec<String> = vec!["env".into()];
    argv.extend(env.iter().map(|(key, value)| format!("{key}={value}")));
    argv.extend([agent.clone(), "start".into()]);
    lab.run(node, &argv)?;
    Ok(Case {
        name: "ocf:pacemaker:Stateful".into(),
        argv: vec![agent, "monitor".into()],
        env,
        expect: 0,
    })
}

/// An agent with the parameters that it has in the cluster.
fn agent_case(lab: &Lab, node: Node, agent: &str, expect: i32) -> Result<Case> {
    let mut env = ocf_environment(agent, "openbmc", agent);
    env.push(("OCF_RESKEY_CRM_meta_interval".into(), "10000".into()));
    env.push(("OCF_RESKEY_CRM_meta_timeout".into(), "20000".into()));
    for (name, value) in parameters(lab, node, agent)? {
        env.push((format!("OCF_RESKEY_{name}"), value));
    }
    Ok(Case {
        name: format!("ocf:openbmc:{agent}"),
        argv: vec![format!("{RESOURCE_AGENTS}/openbmc/{agent}"), "monitor".into()],
        env,
        expect,
    })
}

fn ocf_environment(instance: &str, provider: &str, agent: &str) -> Vec<(String, String)> {
    [
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        ("OCF_ROOT", "/usr/lib/ocf"),
        ("OCF_RA_VERSION_MAJOR", "1"),
        ("OCF_RA_VERSION_MINOR", "1"),
        ("OCF_RESOURCE_INSTANCE", instance),
        ("OCF_RESOURCE_PROVIDER", provider),
        ("OCF_RESOURCE_TYPE", agent),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec()
}

/// Instance attributes of a resource: one `nvpair` per line of what `cibadmin` finds.
fn parameters(lab: &Lab, node: Node, resource: &str) -> Result<Vec<(String, String)>> {
    let xpath = format!("//primitive[@id='{resource}']/instance_attributes/nvpair");
    let output = lab.exec(node, &["cibadmin", "--query", "--xpath", &xpath])?;
    // An agent whose parameters all have their defaults has no attributes in the CIB.
    ensure!(
        output.success() || output.status.code() == Some(NO_SUCH_OBJECT),
        "query the parameters of {resource}: {}",
        output.stderr
    );
    let attribute = |line: &str, key: &str| -> Option<String> {
        let (_, rest) = line.split_once(&format!(" {key}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    let pairs = output.stdout.lines().filter(|line| line.contains("<nvpair"));
    Ok(pairs
        .filter_map(|line| Some((attribute(line, "name")?, attribute(line, "value")?)))
        .collect())
}

fn measure(lab: &Lab, node: Node, cases: &[Case], count: u32) -> Result<Vec<Cost>> {
    let (program, count) = (programs::path(OWN_NAME), count.to_string());
    let argv = [program.as_str(), "inside", "cases", "--count", &count];
    let mut child = lab
        .command(node, &argv)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("start measuring inside the BMC")?;
    let mut stdin = child.stdin.take().context("no pipe to the BMC")?;
    stdin.write_all(&serde_json::to_vec(cases)?)?;
    drop(stdin);
    let output = child.wait_with_output().context("measure inside the BMC")?;
    if !output.status.success() {
        bail!("measuring inside {node} failed: {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("understand what was measured inside the BMC")
}

fn print(costs: &[Cost], count: u32) -> Result<()> {
    let wall = |cost: &Cost| -> Result<Duration> {
        let times = cost.wall_us.iter().copied().map(Duration::from_micros).collect();
        Ok(Summary::of(times).context("nothing was measured")?.median)
    };
    let reference = costs
        .iter()
        .find(|cost| cost.name == REFERENCE)
        .context("no reference")?;
    let reference = wall(reference)?;
    let mut rows = vec![table::row([
        "monitor",
        "wall",
        "to hello world",
        "CPU",
        "processes",
    ])];
    for cost in costs {
        let time = wall(cost)?;
        rows.push(table::row([
            &cost.name,
            &milliseconds(time),
            &ratio(time, reference),
            &milliseconds(Duration::from_micros(cost.cpu_us)),
            &cost.processes.to_string(),
        ]));
    }
    table::print(&format!("One monitor, median of {count}"), &rows);
    Ok(())
}
