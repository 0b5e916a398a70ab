//! `bmc-ha provision`: two BMCs become a cluster, through pcs; then the template is applied.

mod password;
mod pcs;
mod plan;

use std::time::{Duration, Instant};

use anyhow::Context;
use cib_templates::fill::fill;
use cib_templates::values::Origin;
use serde::Serialize;

use crate::cli::{Format, ProvisionArgs};
use crate::cluster::events::Events;
use crate::cluster::view::Node;
use crate::cluster::{View, query_view};
use crate::exit::{Exit, UsageError};
use crate::status::{Observed, reason::Reason, reason::ReasonId};
use crate::template::{self, Pushed};
use crate::terminal::{Progress, print, print_json, print_refusal};
use pcs::Corosync;
use plan::Plan;

/// The answer.
#[derive(Debug, Clone, Serialize)]
struct Answer {
    /// Whether anything was changed.
    changed: bool,
    /// Whether the cluster was made.
    cluster_made: bool,
    /// Whether the cluster was started.
    cluster_started: bool,
    /// Whether the configuration was changed.
    template_applied: bool,
}

/// Provisions and prints.
pub(crate) fn run(arguments: &ProvisionArgs, format: Format) -> anyhow::Result<Exit> {
    let plan = Plan::new(arguments).map_err(UsageError::new)?;
    // Wrong values are known before anything is touched.
    let template = template::named(&arguments.template)?;
    let mut values = template::given(&arguments.values)?;
    for (parameter, node) in ["node0", "node1"].into_iter().zip(plan.nodes) {
        values.set_if_absent(parameter, &node.name, Origin::Given);
    }
    let filled = fill(&template, &values).map_err(UsageError::new)?;

    let progress = Progress::new();
    let cluster_made = match make(&plan, arguments, &progress)? {
        Made::Yes => true,
        Made::AlreadyThere => false,
        Made::Refused(reasons) => {
            print_refusal(format, "to make the cluster", &reasons)?;
            return Ok(Exit::Refused);
        }
    };
    let cluster_started = start(&plan, arguments.wait, &progress)?;
    progress.step(format!("applying the template {}", template.name));
    let pushed =
        template::push(&filled, arguments.force).with_context(|| format!("apply {}", template.name))?;
    if let Pushed::Refused(reasons) = &pushed {
        print_refusal(format, &format!("to apply {}", template.name), reasons)?;
        return Ok(Exit::Refused);
    }
    let template_applied = pushed == Pushed::Changed;
    let answer = Answer {
        changed: cluster_made || cluster_started || template_applied,
        cluster_made,
        cluster_started,
        template_applied,
    };
    show(&answer, plan.cluster_name, format)?;
    Ok(Exit::Done)
}

fn show(answer: &Answer, cluster: &str, format: Format) -> anyhow::Result<()> {
    let text = if answer.changed {
        format!("{cluster} is provisioned; look at it with: bmc-ha status\n")
    } else {
        format!("{cluster} was provisioned already; nothing changed\n")
    };
    match format {
        Format::Json => print_json(answer)?,
        Format::Text => print(&text)?,
    }
    Ok(())
}

/// What became of making the cluster.
enum Made {
    /// It was made, and started.
    Yes,
    /// It is there, as asked for.
    AlreadyThere,
    /// Something is in the way that might be of value.
    Refused(Vec<Reason>),
}

fn make(plan: &Plan, arguments: &ProvisionArgs, progress: &Progress) -> anyhow::Result<Made> {
    progress.step("looking for a cluster that is there already");
    let present = pcs::local_corosync()?;
    if let Some(present) = &present {
        let differences = plan.differences(present);
        if differences.is_empty() {
            return Ok(Made::AlreadyThere);
        }
        let reasons = in_the_way_here(present, &differences);
        if !reasons.is_empty() && !arguments.force {
            return Ok(Made::Refused(reasons));
        }
    }
    let password = password::read(arguments.password_file.as_deref()).map_err(UsageError::new)?;
    progress.step("authenticating to pcsd on both BMCs");
    pcs::authenticate(&plan.hosts(), &password)?;
    let elsewhere = in_the_way_elsewhere(plan);
    if let (Some(reason), false) = (elsewhere, arguments.force) {
        return Ok(Made::Refused(vec![reason]));
    }
    progress.step(format!(
        "making the cluster {} and starting it",
        plan.cluster_name
    ));
    // What is overwritten is nobody's, as was found out above, or it was forced.
    pcs::run("make the cluster", &plan.setup(true))?;
    Ok(Made::Yes)
}

/// What on this BMC would be lost.
fn in_the_way_here(present: &Corosync, differences: &[String]) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if !present.is_package_default() {
        let message = format!(
            "this BMC is in the cluster {:?}, and {}; change that with pcs, or destroy it with --force",
            present.cluster_name,
            differences.join(", ")
        );
        reasons.push(Reason::new(ReasonId::ClusterInTheWay, message));
    }
    let resources = Observed::configuration().map_or(0, |configuration| configuration.resources);
    if resources > 0 {
        let message = format!("the cluster on this BMC has {resources} resources; destroy it with --force");
        reasons.push(Reason::new(ReasonId::ClusterInTheWay, message));
    }
    reasons
}

/// Whether one of the BMCs is in a cluster with others. One without any configuration is in nobody's way.
fn in_the_way_elsewhere(plan: &Plan) -> Option<Reason> {
    plan.nodes.iter().find_map(|node| {
        let present = pcs::remote_corosync(&node.name).ok()?;
        let mine = present.is_package_default() || plan.differences(&present).is_empty();
        let message = format!(
            "{} is in the cluster {:?}; take it out with pcs, or destroy it with --force",
            node.name, present.cluster_name
        );
        (!mine).then(|| Reason::of(&node.name, ReasonId::ClusterInTheWay, message))
    })
}

/// Starts the cluster where it does not run, and waits for both BMCs and a controller. Says whether it had
/// to start it.
fn start(plan: &Plan, wait: Duration, progress: &Progress) -> anyhow::Result<bool> {
    let missing = |view: &View| missing(plan, view);
    if query_view().is_ok_and(|view| missing(&view).is_none()) {
        return Ok(false);
    }
    progress.step("waiting for both BMCs to be online");
    pcs::run("start the cluster on both BMCs", &plan.start())?;
    let mut events = Events::watch()?;
    let deadline = Instant::now() + wait;
    loop {
        let what = match query_view() {
            Ok(view) => missing(&view),
            Err(error) => Some(error.to_string()),
        };
        let Some(what) = what else {
            return Ok(true);
        };
        if Instant::now() >= deadline {
            anyhow::bail!("wait for the cluster: not after {} s: {what}", wait.as_secs());
        }
        events.wait(deadline)?;
    }
}

fn missing(plan: &Plan, view: &View) -> Option<String> {
    let absent = plan
        .nodes
        .iter()
        .find(|node| !view.node(&node.name).is_some_and(Node::takes_part));
    match absent {
        Some(node) => Some(format!("{} is not online", node.name)),
        None if !view.quorate => Some("there is no quorum".to_owned()),
        None if view.dc.is_none() => Some("no controller is elected".to_owned()),
        None => None,
    }
}
