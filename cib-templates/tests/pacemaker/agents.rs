//! The parameters and actions that the template gives to our agents, held to what the agents declare.

use cib_templates::xml::Element;
use ocf_agents::agents::ALL;
use ocf_agents::ocf::Environment;

use crate::paper::cib;

/// Every parameter of the agents that may be left out, once.
const EVERYTHING: &[(&str, &str)] = &[
    ("mux_claim_timeout", "500ms"),
    ("settings_unit", "bridge.service"),
    ("settings_socket", "/run/bridge.sock"),
    ("fan_unit", "fan@0.service"),
    ("fan_bus_name", "org.example.Fan"),
    ("fan_tach_minimum", "500"),
    ("fan_duty_max_age", "3s"),
    ("fan_fail_safe_duty", "80"),
    ("power_unit", "power@0.service"),
    ("power_bus_name", "org.example.Power"),
    ("power_object_path", "/org/example/power0"),
    ("target_unit", "active.target"),
];

const BY_COMMAND: &[(&str, &str)] = &[("mux_backend", "command"), ("mux_command", "/usr/bin/mux")];

fn parameters(primitive: &Element) -> Vec<(String, String)> {
    let set = primitive.child("instance_attributes");
    let of = |pair: &Element, name| pair.attribute(name).unwrap().to_owned();
    set.iter()
        .flat_map(|set| &set.children)
        .map(|pair| (of(pair, "name"), of(pair, "value")))
        .collect()
}

fn names(metadata: &Element, list: &str, attribute: &str) -> Vec<String> {
    let list = metadata.child(list).unwrap();
    let names = list
        .children
        .iter()
        .filter_map(|child| child.attribute(attribute));
    names.map(str::to_owned).collect()
}

#[test]
fn every_agent_knows_and_accepts_the_parameters_that_it_is_given() {
    for more in [&[][..], EVERYTHING, BY_COMMAND] {
        let cib = cib(more);
        for agent in ALL {
            let name = agent.description.name;
            let metadata = Element::parse(&agent.description.metadata().unwrap()).unwrap();
            let known = names(&metadata, "parameters", "name");
            let given = parameters(cib.by_id(name).unwrap());
            for (parameter, _) in &given {
                assert!(known.contains(parameter), "{name} has no parameter {parameter}");
            }
            let variables = given
                .into_iter()
                .map(|(name, value)| (format!("OCF_RESKEY_{name}"), value));
            let environment: Environment = variables.collect();
            let checked = agent.description.check_parameters(&environment);
            assert!(checked.is_ok(), "{name}: {checked:?}");
        }
    }
}

#[test]
fn every_agent_offers_the_actions_that_it_is_asked_for() {
    let cib = cib(EVERYTHING);
    for agent in ALL {
        let name = agent.description.name;
        let metadata = Element::parse(&agent.description.metadata().unwrap()).unwrap();
        let offered = names(&metadata, "actions", "name");
        let operations = cib.by_id(name).unwrap().child("operations").unwrap();
        for operation in &operations.children {
            let action = operation.attribute("name").unwrap();
            assert!(
                offered.iter().any(|offer| offer == action),
                "{name} has no {action}"
            );
        }
    }
}
