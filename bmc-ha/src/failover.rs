//! `bmc-ha failover`: a safe switchover, or a refusal with reasons.

mod checks;
mod wait;

use std::time::Instant;

use anyhow::Context;
use serde::Serialize;

use crate::bridge;
use crate::cli::{FailoverArgs, Format};
use crate::cluster::configuration::Configuration;
use crate::cluster::events::Events;
use crate::cluster::simulation::{Simulation, simulate_request};
use crate::cluster::{query_view, request};
use crate::exit::{Exit, UsageError};
use crate::status::reason::{Reason, ReasonId};
use crate::status::report::Report;
use crate::status::{Observed, fencing_reasons, judge};
use crate::terminal::{Paint, Progress, Tone, print, print_json};
use wait::Goal;

/// How a switchover ended, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Result {
    /// The target is the Active.
    Switched,
    /// Nothing was done.
    Refused,
    /// Nothing was to be done.
    DryRun,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Answer {
    result: Result,
    from: Option<String>,
    to: String,
    forced: bool,
    /// Why it was, would be, or would have been refused.
    reasons: Vec<Reason>,
    /// What Pacemaker would do, in order.
    steps: Vec<String>,
    /// From the request to everything running, in milliseconds.
    duration_ms: Option<u128>,
}

/// A switchover that is about to be asked for.
struct Plan {
    answer: Answer,
    simulation: Option<Simulation>,
    /// Other BMCs that were asked before.
    asked: Vec<String>,
}

/// Looks, refuses or switches, and prints.
pub(crate) fn run(arguments: &FailoverArgs, format: Format) -> anyhow::Result<Exit> {
    let observed = Observed::now();
    let report = judge(&observed);
    if let Some(error) = &report.cluster.error {
        anyhow::bail!("switch over: {error}");
    }
    let configuration = observed
        .configuration
        .as_ref()
        .context("switch over: the CIB cannot be read")?;
    let mut plan = plan(&observed, &report, configuration, arguments).map_err(UsageError::new)?;
    if arguments.dry_run {
        plan.answer.result = Result::DryRun;
    } else if !plan.answer.reasons.is_empty() && !arguments.force {
        plan.answer.result = Result::Refused;
    } else {
        switch(&mut plan, configuration, arguments)?;
    }
    show(&plan.answer, format)?;
    let refused = !plan.answer.reasons.is_empty() && !arguments.force;
    Ok(if refused { Exit::Refused } else { Exit::Done })
}

fn plan(
    observed: &Observed,
    report: &Report,
    configuration: &Configuration,
    arguments: &FailoverArgs,
) -> std::result::Result<Plan, checks::ChoiceError> {
    let target = checks::choose(report, arguments.node.as_deref())?;
    let simulation = observed
        .cib
        .as_ref()
        .and_then(|cib| simulate_request(cib, &target.name).ok());
    let fencing = observed
        .view
        .as_ref()
        .map_or_else(|_| Vec::new(), |view| fencing_reasons(view, configuration));
    let mux = configuration.mux.as_ref().map(|mux| mux.id.as_str());
    let nodes = observed.view.iter().flat_map(|view| &view.nodes);
    let asked = nodes
        .filter(|node| node.name != target.name && node.attributes.contains_key(request::REQUEST_ATTRIBUTE));
    let mut reasons = checks::refusals(report, target, fencing, simulation.as_ref(), mux);
    if reasons.is_empty() {
        reasons.extend(unacknowledged(report, configuration, &target.name));
    }
    Ok(Plan {
        answer: Answer {
            result: Result::Switched,
            from: report.active.clone(),
            to: target.name.clone(),
            forced: arguments.force,
            reasons,
            steps: simulation
                .as_ref()
                .map(|simulation| simulation.steps.clone())
                .unwrap_or_default(),
            duration_ms: None,
        },
        simulation,
        asked: asked.map(|node| node.name.clone()).collect(),
    })
}

/// A copy that was in sync a moment ago may hang since: whether it still acknowledges is only seen by asking, and
/// only from the Active.
fn unacknowledged(report: &Report, configuration: &Configuration, target: &str) -> Option<Reason> {
    if report.active.as_deref() != Some(report.local.as_str()) {
        return None;
    }
    let error = bridge::flush(configuration.settings.as_ref()).err()?;
    let message = format!("{target} does not acknowledge the settings: {error}");
    Some(Reason::of(target, ReasonId::NotInSync, message))
}

fn switch(plan: &mut Plan, configuration: &Configuration, arguments: &FailoverArgs) -> anyhow::Result<()> {
    let target = plan.answer.to.as_str();
    let progress = Progress::new();
    let roles: Vec<&str> = [&configuration.settings, &configuration.mux]
        .into_iter()
        .flatten()
        .map(|primitive| primitive.id.as_str())
        .collect();
    let goal = match &plan.simulation {
        // Forced against the scheduler's word, its outcome is not what is waited for.
        Some(simulation) if plan.answer.reasons.is_empty() => Goal::from_outcome(target, &simulation.outcome),
        _ => Goal::promoted(target, &roles),
    };
    let mut events = Events::watch()?;
    progress.step(format!("asking {target} to be the Active"));
    let begin = Instant::now();
    request::ask_for(target, &plan.asked)?;
    if let Err(error) = goal.wait(&mut events, begin, arguments.wait) {
        if Goal::promoted(target, &roles).missing(&query_view()?).is_none() {
            settle(plan, &goal, &mut events, configuration)?;
        } else {
            // Else the role would move later, when nobody expects it any more.
            request::withdraw(target)?;
        }
        return Err(error.into());
    }
    plan.answer.duration_ms = Some(begin.elapsed().as_millis());
    progress.step(format!("{target} is the Active"));
    settle(plan, &goal, &mut events, configuration)
}

/// Ends the request once the new Active keeps its role without it.
fn settle(
    plan: &Plan,
    goal: &Goal,
    events: &mut Events,
    configuration: &Configuration,
) -> anyhow::Result<()> {
    let target = plan.answer.to.as_str();
    let Some(settings) = &configuration.settings else {
        return Ok(());
    };
    if goal.wait_for_score(events, &settings.id)? {
        request::settle(target)?;
    } else {
        eprintln!(
            "bmc-ha: {target} has not announced a promotion score above its sibling's; {} stays set on it",
            request::REQUEST_ATTRIBUTE
        );
    }
    // With the policy external, a BMC that stays marked would take over without being asked.
    plan.asked
        .iter()
        .try_for_each(|other| Ok(request::withdraw(other)?))
}

fn show(answer: &Answer, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => print_json(answer)?,
        Format::Text => print(&render(answer, Paint::for_stdout()))?,
    }
    Ok(())
}

fn render(answer: &Answer, paint: Paint) -> String {
    let to = &answer.to;
    let from = answer.from.as_deref().unwrap_or("nobody");
    let mut lines = Vec::new();
    match answer.result {
        Result::Switched => {
            let duration = answer.duration_ms.unwrap_or_default();
            let line = format!("{to} is the Active, was {from}: {duration} ms");
            lines.push(paint.paint(Tone::Good, line));
        }
        Result::Refused => lines.push(paint.paint(Tone::Bad, format!("refused to make {to} the Active:"))),
        Result::DryRun => {
            lines.push(paint.paint(Tone::Strong, format!("to make {to} the Active, Pacemaker would")));
            lines.extend(answer.steps.iter().map(|step| format!("  {step}")));
            if answer.steps.is_empty() {
                lines.push("  do nothing".to_owned());
            }
            if !answer.reasons.is_empty() {
                lines.push(paint.paint(Tone::Bad, "and it would be refused:"));
            }
        }
    }
    let reasons = answer.reasons.iter();
    lines.extend(reasons.map(|reason| format!("  {:?}: {}", reason.id, reason.message)));
    if answer.result == Result::Refused && answer.from.as_ref() != Some(to) {
        lines.push("--force switches all the same".to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}
