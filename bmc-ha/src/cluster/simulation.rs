//! What Pacemaker would do if a role were asked for, by its own scheduler: `crm_simulate`.

use cib_templates::tool::Tool;
use cib_templates::xml::Element;

use super::request::REQUEST_ATTRIBUTE;
use super::{ClusterError, View, ask};

/// The scheduler's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Simulation {
    /// What it would do, in order, in words.
    pub(crate) steps: Vec<String>,
    /// The cluster afterwards.
    pub(crate) outcome: View,
}

/// Asks the scheduler what follows when `node` is asked to be the Active and nobody else is. The CIB is a
/// copy; nothing changes.
pub(crate) fn simulate_request(cib: &Element, node: &str) -> Result<Simulation, ClusterError> {
    let asked = with_request(cib, node).ok_or(ClusterError::Incomplete {
        action: "read the CIB",
        part: "state of this node",
    })?;
    simulate(&asked)
}

/// Asks the scheduler what it would do with a CIB.
pub(crate) fn simulate(cib: &Element) -> Result<Simulation, ClusterError> {
    let action = "ask the scheduler what would happen";
    let document = cib
        .to_document()
        .map_err(|source| ClusterError::Io { action, source })?;
    let scheduler = Tool::new("crm_simulate")
        .args(["--simulate", "--output-as=xml", "--xml-pipe"])
        .input(document);
    let answer = ask(action, &scheduler)?;
    let part = |part| ClusterError::Incomplete { action, part };
    let outcome = answer
        .child("revised_cluster_status")
        .ok_or_else(|| part("revised status"))?;
    let steps = answer.child("transition").map(|list| list.children.as_slice());
    Ok(Simulation {
        steps: steps.unwrap_or_default().iter().filter_map(step).collect(),
        outcome: View::from_status(outcome),
    })
}

/// One step in words; nothing for those that only order others, and for the checks afterwards.
fn step(element: &Element) -> Option<String> {
    match element.name.as_str() {
        "rsc_action" => {
            let operation = element.attribute("op")?;
            if matches!(operation, "monitor" | "cancel") {
                return None;
            }
            Some(format!(
                "{operation} {} on {}",
                element.attribute("resource")?,
                element.attribute("node")?
            ))
        }
        "fencing_action" => Some(format!(
            "{} {}",
            element.attribute("op")?,
            element.attribute("target")?
        )),
        _ => None,
    }
}

/// A copy of the CIB in which `node`, and nobody else, is asked to be the Active; nothing when the CIB knows
/// no state of the node.
fn with_request(cib: &Element, node: &str) -> Option<Element> {
    let mut asked = cib.clone();
    let status = asked.children.iter_mut().find(|child| child.name == "status")?;
    let mut found = false;
    for state in &mut status.children {
        let is_target = state.attribute("uname") == Some(node);
        let id = state.attribute("id").unwrap_or_default().to_owned();
        if is_target || state.child("transient_attributes").is_some() {
            set_request(state, &id, is_target);
        }
        found |= is_target;
    }
    found.then_some(asked)
}

fn set_request(state: &mut Element, node_id: &str, wanted: bool) {
    let attributes = state.child_or_new("transient_attributes");
    attributes.set_attribute("id", node_id);
    let set = attributes.child_or_new("instance_attributes");
    if set.attribute("id").is_none() {
        set.set_attribute("id", &format!("status-{node_id}"));
    }
    set.children
        .retain(|pair| pair.attribute("name") != Some(REQUEST_ATTRIBUTE));
    if wanted {
        let mut pair = Element::new("nvpair");
        pair.set_attribute("id", &format!("status-{node_id}-{REQUEST_ATTRIBUTE}"));
        pair.set_attribute("name", REQUEST_ATTRIBUTE);
        pair.set_attribute("value", "1");
        set.children.push(pair);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Element {
        Element::parse(include_str!("../../tests/samples/at-rest.cib.xml")).unwrap()
    }

    #[test]
    fn asking_the_passive_moves_every_service_to_it() {
        let simulation = simulate_request(&sample(), "bmc1").unwrap();
        assert_eq!(
            simulation.outcome.promoted_on("mux").collect::<Vec<_>>(),
            ["bmc1"]
        );
        let place = |step: &str| simulation.steps.iter().position(|other| other == step);
        let order = [
            "stop fan on bmc0",
            "demote mux on bmc0",
            "promote settings on bmc1",
            "promote mux on bmc1",
            "start fan on bmc1",
        ];
        let places: Vec<_> = order
            .iter()
            .map(|step| place(step).unwrap_or_else(|| panic!("no {step}: {simulation:?}")))
            .collect();
        assert!(places.is_sorted(), "{:?}", simulation.steps);
    }

    #[test]
    fn asking_the_active_changes_nothing() {
        let simulation = simulate_request(&sample(), "bmc0").unwrap();
        assert_eq!(simulation.steps, Vec::<String>::new());
    }

    #[test]
    fn only_one_bmc_is_asked_at_a_time() {
        let once = with_request(&sample(), "bmc1").unwrap();
        let twice = with_request(&once, "bmc0").unwrap();
        let asked = twice.descendants().into_iter().filter(|element| {
            element.attribute("name") == Some(REQUEST_ATTRIBUTE) && element.attribute("value") == Some("1")
        });
        assert_eq!(asked.count(), 1);
    }

    #[test]
    fn a_node_that_the_cluster_does_not_know_is_refused() {
        let error = simulate_request(&sample(), "bmc7").unwrap_err().to_string();
        assert!(error.contains("state of this node"), "{error}");
    }
}
