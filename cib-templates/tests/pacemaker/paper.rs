//! A cluster on paper: the template, two nodes, and what Pacemaker's scheduler makes of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cib_templates::cluster::{empty, merge_into};
use cib_templates::fill::fill;
use cib_templates::library::load;
use cib_templates::tool::Tool;
use cib_templates::values::{Origin, Values};
use cib_templates::xml::Element;

/// Values for everything that has no default, and for what `more` says.
pub(super) fn values(more: &[(&str, &str)]) -> Values {
    let mut values = Values::new();
    let needed = [
        ("node0", "bmc0"),
        ("node1", "bmc1"),
        ("mux_select_file", "/run/chassis/mux/select"),
        ("mux_grant_file", "/run/chassis/mux/grant"),
        ("fan_tach_files", "/run/chassis/fans/fan*_input"),
        ("fan_duty_files", "/run/chassis/fans/pwm*"),
        ("power_good_file", "/run/chassis/power/good"),
        ("fence_reset_file", "/run/chassis/sibling/reset"),
        ("fence_held_file", "/run/chassis/sibling/held"),
        ("fence_lock_file", "/run/chassis/sibling/fence_lock"),
        ("address", "192.0.2.10"),
    ];
    for (name, value) in needed.iter().chain(more) {
        values.set(name, value, Origin::CommandLine);
    }
    values
}

/// A CIB of the installed Pacemaker's newest schema with the template in it, in a cluster with quorum.
pub(super) fn cib(more: &[(&str, &str)]) -> Element {
    let template = load("redundant-bmc").unwrap().unwrap();
    let filled = fill(&template, &values(more)).unwrap();
    let mut cib = merge_into(empty().unwrap(), &filled).unwrap().wanted;
    cib.set_attribute("have-quorum", "1");
    cib
}

/// Two nodes as the scheduler sees them.
pub(super) struct Paper {
    folder: tempfile::TempDir,
    cib: Element,
}

const NODES: [(&str, &str); 2] = [("1", "bmc0"), ("2", "bmc1")];

impl Paper {
    /// Both online and nothing running. Scores of `settings` and `mux` per node; none: not promotable.
    pub(super) fn new(more: &[(&str, &str)], scores: [[Option<i32>; 2]; 2]) -> Self {
        let mut cib = cib(more);
        let configuration = cib.child_or_new("configuration");
        for (id, name) in NODES {
            let node = element("node", &[("id", id), ("uname", name)]);
            configuration.child_or_new("nodes").children.push(node);
        }
        for (id, name) in NODES {
            let mut state = element(
                "node_state",
                &[
                    ("id", id),
                    ("uname", name),
                    ("in_ccm", "true"),
                    ("crmd", "online"),
                    ("join", "member"),
                    ("expected", "member"),
                ],
            );
            state
                .children
                .push(element("transient_attributes", &[("id", id)]));
            let mut lrm = element("lrm", &[("id", id)]);
            lrm.children.push(element("lrm_resources", &[]));
            state.children.push(lrm);
            cib.child_or_new("status").children.push(state);
        }
        let mut paper = Self {
            folder: tempfile::tempdir().unwrap(),
            cib,
        };
        for ((_, node), [settings, mux]) in NODES.iter().zip(scores) {
            for (name, score) in [("master-settings", settings), ("master-mux", mux)] {
                if let Some(score) = score {
                    paper = paper.with_attribute(node, name, Some(&score.to_string()));
                }
            }
        }
        paper
    }

    /// Both in good shape: bmc0 an old hand, bmc1 in sync once bmc0 is Active.
    pub(super) fn healthy(more: &[(&str, &str)]) -> Self {
        Self::new(more, [[Some(805), Some(10)], [Some(800), Some(10)]])
    }

    /// Sets or removes a transient node attribute.
    pub(super) fn with_attribute(mut self, node: &str, name: &str, value: Option<&str>) -> Self {
        let status = self.cib.child_or_new("status");
        let state = status
            .children
            .iter_mut()
            .find(|state| state.attribute("uname") == Some(node))
            .unwrap();
        let id = state.attribute("id").unwrap().to_owned();
        let transient = state.child_or_new("transient_attributes");
        transient.set_attribute("id", &id);
        let set = transient.child_or_new("instance_attributes");
        set.set_attribute("id", &format!("status-{id}"));
        set.children.retain(|pair| pair.attribute("name") != Some(name));
        if let Some(value) = value {
            let pair = [
                ("id", format!("status-{id}-{name}")),
                ("name", name.to_owned()),
                ("value", value.to_owned()),
            ];
            let mut nvpair = Element::new("nvpair");
            for (key, value) in pair {
                nvpair.set_attribute(key, &value);
            }
            set.children.push(nvpair);
        }
        self
    }

    /// Lets the scheduler act until it is content. `events` are crm_simulate's options: what happened before
    /// it looks (`--node-fail`, `--op-inject`) or fails while it acts (`--op-fail`).
    pub(super) fn run(mut self, events: &[&str]) -> Outcome {
        let (during, before): (Vec<&str>, Vec<&str>) =
            events.iter().partition(|event| event.starts_with("--op-fail"));
        let (input, happened, output) = (
            self.path("in.xml"),
            self.path("happened.xml"),
            self.path("out.xml"),
        );
        fs::write(&input, self.cib.to_document().unwrap()).unwrap();
        // Two steps, because crm_simulate 3.0.0 breaks off its XML after what happened before.
        let start = if before.is_empty() {
            input
        } else {
            simulate(&before, &input, "--save-input", &happened);
            happened
        };
        let options: Vec<&str> = during.into_iter().chain(["--simulate"]).collect();
        let said = simulate(&options, &start, "--save-output", &output);
        self.cib = Element::parse(&fs::read_to_string(&output).unwrap()).unwrap();
        Outcome::new(self, &said)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// What the scheduler did and where everything then was.
pub(super) struct Outcome {
    /// The world afterwards, to go on with.
    pub(super) paper: Paper,
    /// `RESOURCE ROLE NODE` of what runs, sorted.
    pub(super) running: Vec<String>,
    /// Actions in order, as `TASK RESOURCE NODE` and `fence NODE`.
    pub(super) actions: Vec<String>,
}

impl Outcome {
    fn new(paper: Paper, said: &Element) -> Self {
        let mut running = BTreeMap::new();
        let revised = said
            .descendants()
            .into_iter()
            .find(|element| element.name == "revised_cluster_status")
            .unwrap();
        for resource in revised.descendants() {
            if let ("resource", Some(node)) = (resource.name.as_str(), resource.child("node")) {
                let of = |element: &Element, name| element.attribute(name).unwrap_or_default().to_owned();
                let name = of(resource, "id");
                running.insert((name, of(node, "name")), of(resource, "role"));
            }
        }
        let mut actions = Vec::new();
        for element in &said.child("transition").unwrap().children {
            let of = |name| element.attribute(name).unwrap_or_default();
            // Instances of a clone are numbered; which is which says nothing.
            let resource = of("resource").split(':').next().unwrap_or_default();
            match element.name.as_str() {
                "rsc_action" if of("op") != "monitor" => {
                    actions.push(format!("{} {resource} {}", of("op"), of("node")));
                }
                "fencing_action" => actions.push(format!("fence {}", of("target"))),
                _ => {}
            }
        }
        Self {
            paper,
            running: running
                .into_iter()
                .map(|((resource, node), role)| format!("{resource} {role} {node}"))
                .collect(),
            actions,
        }
    }

    /// The node on which a clone is Promoted.
    pub(super) fn promoted(&self, resource: &str) -> Option<&str> {
        let prefix = format!("{resource} Promoted ");
        self.running.iter().find_map(|line| line.strip_prefix(&prefix))
    }

    /// The node on which something runs.
    pub(super) fn started(&self, resource: &str) -> Option<&str> {
        let prefix = format!("{resource} Started ");
        self.running.iter().find_map(|line| line.strip_prefix(&prefix))
    }

    /// Asserts that one node has both Promoted roles and every service, and the other none.
    #[track_caller]
    pub(super) fn assert_active(&self, node: &str) {
        assert_eq!(self.promoted("settings"), Some(node), "{:#?}", self.running);
        assert_eq!(self.promoted("mux"), Some(node), "{:#?}", self.running);
        for service in ["fan", "power", "target", "address"] {
            assert_eq!(
                self.started(service),
                Some(node),
                "{service}: {:#?}",
                self.running
            );
        }
    }

    /// Asserts that nothing is Promoted and no service runs.
    #[track_caller]
    pub(super) fn assert_nobody_active(&self) {
        for clone in ["settings", "mux"] {
            assert_eq!(self.promoted(clone), None, "{:#?}", self.running);
        }
        for service in ["fan", "power", "target", "address"] {
            assert_eq!(self.started(service), None, "{:#?}", self.running);
        }
    }

    /// Asserts that these actions happened in this order, others between them or not.
    #[track_caller]
    pub(super) fn assert_order(&self, expected: &[&str]) {
        let mut actions = self.actions.iter();
        for wanted in expected {
            assert!(
                actions.any(|action| action == wanted),
                "{wanted} is missing or too early in {:#?}",
                self.actions
            );
        }
    }
}

fn simulate(options: &[&str], input: &Path, to: &str, output: &Path) -> Element {
    let said = Tool::new("crm_simulate")
        .arg("--output-as=xml")
        .args(options.iter().copied())
        .arg(format!("--xml-file={}", input.display()))
        .arg(format!("{to}={}", output.display()))
        .run()
        .unwrap();
    Element::parse(&said).unwrap()
}

fn element(name: &str, attributes: &[(&str, &str)]) -> Element {
    let mut element = Element::new(name);
    for (key, value) in attributes {
        element.set_attribute(key, value);
    }
    element
}
