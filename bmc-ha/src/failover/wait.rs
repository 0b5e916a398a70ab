//! Waiting until the cluster is what the scheduler said it would be.

use std::time::{Duration, Instant};

use crate::cluster::events::Events;
use crate::cluster::view::{Instance, Role, View};
use crate::cluster::{ClusterError, query_view};

/// How long the new Active's promotion score may take to become the highest after everything runs. The
/// settings agent sets it when it is promoted, or with its next check; the template's default is 7 s.
const SCORE_TIMEOUT: Duration = Duration::from_secs(15);

/// Why waiting ended without success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WaitError {
    /// The cluster cannot be asked any more.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Something did not come.
    #[error("wait for {target} to be the Active: not after {} s: {missing}", waited.as_secs())]
    Deadline {
        /// The BMC.
        target: String,
        /// How long it was waited for.
        waited: Duration,
        /// What did not come.
        missing: String,
    },
}

/// What must run on a BMC: resources and their roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Goal {
    target: String,
    expected: Vec<(String, Role)>,
}

impl Goal {
    /// Everything that the scheduler expects to run on `target` in the end.
    pub(crate) fn from_outcome(target: &str, outcome: &View) -> Self {
        let expected = outcome
            .instances
            .iter()
            .filter(|instance| instance.runs_on(target) && !instance.is_fence_device())
            .map(|instance| (instance.id.clone(), instance.role))
            .collect();
        Self {
            target: target.to_owned(),
            expected,
        }
    }

    /// Only the role itself, when the scheduler could not be asked.
    pub(crate) fn promoted(target: &str, resources: &[&str]) -> Self {
        Self {
            target: target.to_owned(),
            expected: resources
                .iter()
                .map(|id| ((*id).to_owned(), Role::Promoted))
                .collect(),
        }
    }

    /// What is not there yet, in words; nothing when everything is.
    pub(crate) fn missing(&self, view: &View) -> Option<String> {
        let missing: Vec<String> = self
            .expected
            .iter()
            .filter_map(|(id, role)| {
                let instance = view.instance_on(id, &self.target);
                match instance {
                    Some(found) if found.failed => Some(format!("{id} failed{}", why(id, view))),
                    Some(found) if found.role == *role && is_settled(found) => None,
                    Some(found) => Some(format!("{id} is {:?}, not {role:?}{}", found.role, why(id, view))),
                    None => Some(format!("{id} does not run on {}{}", self.target, why(id, view))),
                }
            })
            .collect();
        (!missing.is_empty()).then(|| missing.join("; "))
    }

    /// Waits for it, looking whenever the cluster finished something.
    pub(crate) fn wait(&self, events: &mut Events, begin: Instant, limit: Duration) -> Result<(), WaitError> {
        let deadline = begin + limit;
        loop {
            let Some(missing) = self.missing(&query_view()?) else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                return Err(WaitError::Deadline {
                    target: self.target.clone(),
                    waited: limit,
                    missing,
                });
            }
            events.wait(deadline)?;
        }
    }

    /// Waits until the target's own score for `resource` is the highest, and says whether it came to that.
    /// From then on the target keeps the role without being asked for it.
    pub(crate) fn wait_for_score(&self, events: &mut Events, resource: &str) -> Result<bool, ClusterError> {
        let deadline = Instant::now() + SCORE_TIMEOUT;
        loop {
            if self.keeps_role(&query_view()?, resource) {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            events.wait(deadline)?;
        }
    }

    fn keeps_role(&self, view: &View, resource: &str) -> bool {
        let own = view
            .node(&self.target)
            .and_then(|node| node.promotion_score(resource));
        let others = view.nodes.iter().filter(|node| node.name != self.target);
        let highest = others.filter_map(|node| node.promotion_score(resource)).max();
        own.is_some() && own > highest
    }
}

/// Whether nothing is under way that could still change its role. A check that runs for the first time in the
/// new role does not.
fn is_settled(instance: &Instance) -> bool {
    instance
        .pending
        .as_deref()
        .is_none_or(|action| action == "Monitoring")
}

/// Pacemaker's words on the last failure of a resource.
fn why(id: &str, view: &View) -> String {
    let failure = view
        .failures
        .iter()
        .rev()
        .find(|failure| failure.operation.starts_with(&format!("{id}_")));
    failure.map_or(String::new(), |failure| {
        format!(" ({}: {} {})", failure.operation, failure.result, failure.reason)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::simulation::simulate_request;
    use crate::cluster::view::Failure;
    use crate::status::fixtures;

    #[test]
    fn the_goal_is_what_the_scheduler_expects_on_the_new_active() {
        let simulation = simulate_request(&fixtures::cib(), "bmc1").unwrap();
        let goal = Goal::from_outcome("bmc1", &simulation.outcome);
        assert_eq!(goal.missing(&simulation.outcome), None);
        let missing = goal.missing(&fixtures::view()).unwrap();
        assert!(
            missing.contains("settings is Unpromoted, not Promoted"),
            "{missing}"
        );
        assert!(missing.contains("fan does not run on bmc1"), "{missing}");
        assert!(!missing.contains("fence"), "{missing}");
    }

    #[test]
    fn a_service_that_cannot_start_is_named_with_its_reason() {
        let goal = Goal {
            target: "bmc1".to_owned(),
            expected: vec![("fan".to_owned(), Role::Started)],
        };
        let mut view = fixtures::view();
        view.failures.push(Failure {
            operation: "fan_start_0".to_owned(),
            node: "bmc1".to_owned(),
            result: "error".to_owned(),
            reason: "fan2 stands still".to_owned(),
        });
        let missing = goal.missing(&view).unwrap();
        assert!(
            missing.contains("fan_start_0: error fan2 stands still"),
            "{missing}"
        );
    }

    #[test]
    fn the_role_is_kept_once_the_own_score_is_the_highest() {
        let goal = |target| Goal::promoted(target, &["mux"]);
        let view = fixtures::view();
        assert!(goal("bmc0").keeps_role(&view, "settings"));
        assert!(!goal("bmc1").keeps_role(&view, "settings"));
    }
}
