//! Pushing a filled template, unless that would take the role from the Active.

use anyhow::Context;
use cib_templates::cluster::Applied;
use cib_templates::xml::Element;
use cib_templates::{Cib, Filled};

use crate::cluster::configuration::{Configuration, Policy};
use crate::cluster::request::{self, REQUEST_ATTRIBUTE};
use crate::cluster::simulation::simulate;
use crate::cluster::{View, query_view};
use crate::status::reason::{Reason, ReasonId};

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// The cluster has it now.
    Changed,
    /// The cluster had it.
    Unchanged,
    /// The Active would lose its role.
    Refused(Vec<Reason>),
}

/// Verifies and pushes in one step.
pub(crate) fn push(filled: &Filled, force: bool) -> anyhow::Result<Pushed> {
    let cib = Cib::live();
    if !force {
        let candidate = cib.prepare(filled)?;
        if candidate.changes() {
            let reasons = demotions(&candidate.wanted).context("see what the scheduler makes of it")?;
            if !reasons.is_empty() {
                return Ok(Pushed::Refused(reasons));
            }
        }
    }
    Ok(match cib.apply(filled)? {
        Applied::Changed => Pushed::Changed,
        Applied::Unchanged => Pushed::Unchanged,
    })
}

/// Who would lose the role of the Active by a new configuration.
///
/// With the policy external, a BMC that was never asked may not be the Active. The one that is keeps the role
/// by being marked as asked before the new policy reaches the cluster.
fn demotions(wanted: &Element) -> anyhow::Result<Vec<Reason>> {
    let configuration = Configuration::from_cib(wanted);
    let view = query_view()?;
    let mut wanted = wanted.clone();
    if configuration.policy == Policy::External {
        for active in unasked_actives(&view, &configuration) {
            request::settle(active)?;
            refresh_status(&mut wanted)?;
        }
    }
    let steps = simulate(&wanted)?.steps;
    let roles = [&configuration.settings, &configuration.mux];
    let lost = roles.into_iter().flatten().flat_map(|role| {
        let demoted = |node: &&str| steps.contains(&format!("demote {} on {node}", role.id));
        view.promoted_on(&role.id).filter(demoted).collect::<Vec<_>>()
    });
    let mut lost: Vec<&str> = lost.collect();
    lost.dedup();
    Ok(lost
        .into_iter()
        .map(|node| {
            let message = format!("{node} would lose the role of the Active by the new configuration");
            Reason::of(node, ReasonId::WouldDemote, message)
        })
        .collect())
}

fn unasked_actives<'a>(view: &'a View, configuration: &'a Configuration) -> Vec<&'a str> {
    let settings = configuration.settings.iter();
    settings
        .flat_map(|settings| view.promoted_on(&settings.id))
        .filter(|name| {
            view.node(name)
                .is_some_and(|node| !node.attributes.contains_key(REQUEST_ATTRIBUTE))
        })
        .collect()
}

/// Takes over the status section as it is now.
fn refresh_status(wanted: &mut Element) -> anyhow::Result<()> {
    let now = Cib::live().query()?;
    if let Some(status) = now.child("status") {
        *wanted.child_or_new("status") = status.clone();
    }
    Ok(())
}
