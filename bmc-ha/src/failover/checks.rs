//! Whether a switchover is safe. No I/O here.

use crate::cluster::simulation::Simulation;
use crate::status::reason::{Reason, ReasonId};
use crate::status::report::{BmcReport, BmcRole, Report};

/// The controller's state when it has nothing to do.
const IDLE: &str = "S_IDLE";

/// Why no BMC could be chosen.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ChoiceError {
    /// The name is wrong.
    #[error("{name} is no node of this cluster; its nodes are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// The right ones.
        known: String,
    },
    /// There is more than one, or none.
    #[error("name the BMC that is to be the Active: {candidates} are not Active now")]
    Ambiguous {
        /// Whom to choose from.
        candidates: String,
    },
}

/// The BMC that is meant: the one that was named, the only one that is not the Active, or the only one of
/// those that could be.
pub(crate) fn choose<'a>(report: &'a Report, named: Option<&str>) -> Result<&'a BmcReport, ChoiceError> {
    let names = |bmcs: &[&BmcReport]| {
        bmcs.iter()
            .map(|bmc| bmc.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    if let Some(name) = named {
        return report
            .bmcs
            .iter()
            .find(|bmc| bmc.name == name)
            .ok_or_else(|| ChoiceError::Unknown {
                name: name.to_owned(),
                known: names(&report.bmcs.iter().collect::<Vec<_>>()),
            });
    }
    let others: Vec<&BmcReport> = report
        .bmcs
        .iter()
        .filter(|bmc| bmc.role != BmcRole::Active)
        .collect();
    let able: Vec<&BmcReport> = others.iter().copied().filter(|bmc| bmc.can_be_active).collect();
    match (others.as_slice(), able.as_slice()) {
        ([one], _) | (_, [one]) => Ok(one),
        _ => Err(ChoiceError::Ambiguous {
            candidates: names(&others),
        }),
    }
}

/// Why a switchover to a BMC would be unsafe or could not work; nothing when it is fine.
pub(crate) fn refusals(
    report: &Report,
    target: &BmcReport,
    fencing: Vec<Reason>,
    simulation: Option<&Simulation>,
    mux: Option<&str>,
) -> Vec<Reason> {
    let name = target.name.as_str();
    if target.role == BmcRole::Active {
        let message = format!("{name} is the Active already");
        return vec![Reason::of(name, ReasonId::AlreadyActive, message)];
    }
    let mut refusals = target.reasons.clone();
    if !report.cluster.quorate {
        let message = "this side of the cluster has no quorum";
        refusals.push(Reason::new(ReasonId::NoQuorum, message));
    }
    if report.cluster.maintenance {
        let message = "the cluster is in maintenance mode: nothing is managed";
        refusals.push(Reason::new(ReasonId::MaintenanceMode, message));
    }
    if let Some(state) = report
        .cluster
        .controller
        .as_deref()
        .filter(|state| *state != IDLE)
    {
        let message =
            format!("the controller is in the middle of something ({state}); try again when it is done");
        refusals.push(Reason::new(ReasonId::TransitionInProgress, message));
    }
    refusals.extend(fencing);
    // The scheduler's answer is only news when nothing else explains it.
    if refusals.is_empty() {
        refusals.extend(scheduler(name, simulation, mux));
    }
    refusals
}

fn scheduler(name: &str, simulation: Option<&Simulation>, mux: Option<&str>) -> Option<Reason> {
    let (simulation, mux) = (simulation?, mux?);
    if simulation.outcome.promoted_on(mux).any(|node| node == name) {
        return None;
    }
    let instead = simulation.outcome.promoted_on(mux).next();
    let message = match instead {
        Some(other) => format!(
            "Pacemaker would leave the role on {other}: a constraint, or a score, keeps it off {name}"
        ),
        None => format!("Pacemaker would promote nobody if {name} were asked"),
    };
    Some(Reason::of(name, ReasonId::PacemakerWouldNot, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::simulation::simulate_request;
    use crate::status::{fixtures, judge};

    fn ids(refusals: &[Reason]) -> Vec<ReasonId> {
        refusals.iter().map(|reason| reason.id).collect()
    }

    fn refused(edit: impl FnOnce(&mut Report), named: Option<&str>) -> Vec<ReasonId> {
        let mut report = judge(&fixtures::at_rest("bmc0"));
        edit(&mut report);
        let target = choose(&report, named).unwrap();
        let simulation = simulate_request(&fixtures::cib(), &target.name).unwrap();
        ids(&refusals(
            &report,
            target,
            Vec::new(),
            Some(&simulation),
            Some("mux"),
        ))
    }

    #[test]
    fn the_passive_is_chosen_when_nobody_is_named_and_nothing_is_refused_at_rest() {
        let report = judge(&fixtures::at_rest("bmc0"));
        assert_eq!(choose(&report, None).unwrap().name, "bmc1");
        assert_eq!(refused(|_| {}, None), []);
    }

    #[test]
    fn the_active_is_refused() {
        assert_eq!(refused(|_| {}, Some("bmc0")), [ReasonId::AlreadyActive]);
    }

    #[test]
    fn a_controller_that_is_busy_or_a_cluster_in_maintenance_is_refused() {
        let busy = refused(
            |report| report.cluster.controller = Some("S_TRANSITION_ENGINE".to_owned()),
            None,
        );
        assert_eq!(busy, [ReasonId::TransitionInProgress]);
        let maintenance = refused(|report| report.cluster.maintenance = true, None);
        assert_eq!(maintenance, [ReasonId::MaintenanceMode]);
    }

    #[test]
    fn an_unknown_name_and_two_candidates_are_named() {
        let mut report = judge(&fixtures::at_rest("bmc0"));
        let error = choose(&report, Some("bmc7")).unwrap_err().to_string();
        assert!(error.contains("bmc7") && error.contains("bmc0, bmc1"), "{error}");
        report.bmcs[0].role = BmcRole::None;
        let error = choose(&report, None).unwrap_err().to_string();
        assert!(error.contains("bmc0, bmc1"), "{error}");
        report.bmcs[0].can_be_active = false;
        assert_eq!(choose(&report, None).unwrap().name, "bmc1");
    }

    #[test]
    fn a_constraint_that_only_the_scheduler_sees_is_refused() {
        let report = judge(&fixtures::at_rest("bmc0"));
        let target = choose(&report, None).unwrap();
        // Asked for bmc0, the scheduler leaves everything on bmc0.
        let simulation = simulate_request(&fixtures::cib(), "bmc0").unwrap();
        let found = refusals(&report, target, Vec::new(), Some(&simulation), Some("mux"));
        assert_eq!(ids(&found), [ReasonId::PacemakerWouldNot]);
    }
}
