//! Nodes, resources and failures, as `crm_mon --output-as=xml` shows them. No I/O here.
//!
//! Read leniently: Pacemaker adds attributes between releases (2.1.5 and 3.0 differ in several), and an
//! element that is not there reads as nothing rather than as an error.

use std::collections::BTreeMap;

use cib_templates::xml::Element;

/// A cluster node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its name.
    pub(crate) name: String,
    /// It is a member and its Pacemaker runs.
    pub(crate) online: bool,
    /// It came up and has not joined yet.
    pub(crate) pending: bool,
    /// Its state is unknown: it has to be fenced.
    pub(crate) unclean: bool,
    /// An administrator (or a failure) keeps resources off it.
    pub(crate) standby: bool,
    /// Nothing on it is managed.
    pub(crate) maintenance: bool,
    /// It is being shut down.
    pub(crate) shutdown: bool,
    /// Its transient and permanent attributes, promotion scores among them.
    pub(crate) attributes: BTreeMap<String, String>,
}

/// What an instance of a resource is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It does not run.
    Stopped,
    /// It runs.
    Started,
    /// It runs as the copy.
    Unpromoted,
    /// It runs as the original.
    Promoted,
    /// Something else, such as on its way.
    Other,
}

/// One instance of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    /// Name of the resource, without an instance number.
    pub(crate) id: String,
    /// Its agent, such as `ocf:openbmc:mux`.
    pub(crate) agent: String,
    /// What it is doing.
    pub(crate) role: Role,
    /// Where; more than one node only when something went very wrong.
    pub(crate) nodes: Vec<String>,
    /// Its last action failed and is not forgotten.
    pub(crate) failed: bool,
    /// Pacemaker must not touch it until a person has looked.
    pub(crate) blocked: bool,
    /// Pacemaker manages it.
    pub(crate) managed: bool,
    /// The action under way, if any.
    pub(crate) pending: Option<String>,
}

/// An action that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What failed, such as `fan_start_0`.
    pub(crate) operation: String,
    /// Where.
    pub(crate) node: String,
    /// How it ended, in Pacemaker's words.
    pub(crate) result: String,
    /// Why, in the agent's words; may be empty.
    pub(crate) reason: String,
}

/// A reset of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FenceEvent {
    /// Who was, or is to be, reset.
    pub(crate) target: String,
    /// `reboot`, `off` or `on`.
    pub(crate) action: String,
    /// `success`, `failed` or `pending`.
    pub(crate) status: String,
    /// Who did it.
    pub(crate) delegate: Option<String>,
    /// When it ended, as Pacemaker prints it.
    pub(crate) completed: Option<String>,
    /// Why it failed.
    pub(crate) reason: Option<String>,
}

/// How often a resource failed on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailCount {
    /// The resource, without an instance number.
    pub(crate) resource: String,
    /// Where.
    pub(crate) node: String,
    /// Failures, `None` when they count as infinitely many.
    pub(crate) failures: Option<u32>,
    /// From how many on it may not run there.
    pub(crate) threshold: Option<u32>,
}

/// A location constraint that keeps a resource off a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ban {
    /// Name of the constraint.
    pub(crate) id: String,
    /// What is kept off; a clone is named by itself.
    pub(crate) resource: String,
    /// Which node.
    pub(crate) node: String,
}

/// The cluster at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// The node that decides.
    pub(crate) dc: Option<String>,
    /// Whether its partition has quorum.
    pub(crate) quorate: bool,
    /// Whether fencing is on.
    pub(crate) fencing_enabled: bool,
    /// Whether nothing at all is managed.
    pub(crate) maintenance: bool,
    /// The nodes.
    pub(crate) nodes: Vec<Node>,
    /// The instances of all resources.
    pub(crate) instances: Vec<Instance>,
    /// Failed actions.
    pub(crate) failures: Vec<Failure>,
    /// Resets, the last first.
    pub(crate) fence_events: Vec<FenceEvent>,
    /// Failures by resource and node.
    pub(crate) fail_counts: Vec<FailCount>,
    /// What is kept off where.
    pub(crate) bans: Vec<Ban>,
}

/// A score from which on Pacemaker counts as infinite.
const INFINITY: u32 = 1_000_000;

impl View {
    /// Reads the answer of `crm_mon`.
    pub(crate) fn from_monitor(answer: &Element) -> Self {
        let mut view = Self::from_status(answer);
        if let Some(summary) = answer.child("summary") {
            view.read_summary(summary);
        }
        for listed in children(answer, "node_attributes") {
            view.read_attributes(listed);
        }
        view.failures = children(answer, "failures").map(failure).collect();
        view.fence_events = children(answer, "fence_history").map(fence_event).collect();
        view.bans = children(answer, "bans").map(ban).collect();
        for node in children(answer, "node_history") {
            let name = text(node, "name");
            view.fail_counts
                .extend(node.children.iter().map(|history| fail_count(history, &name)));
        }
        view
    }

    /// Reads an element with `<nodes>` and `<resources>`, such as `crm_simulate`'s.
    pub(crate) fn from_status(status: &Element) -> Self {
        let resources = status
            .child("resources")
            .map(Element::descendants)
            .unwrap_or_default();
        Self {
            nodes: children(status, "nodes").map(node).collect(),
            instances: resources
                .into_iter()
                .filter(|element| element.name == "resource")
                .map(instance)
                .collect(),
            ..Self::default()
        }
    }

    /// The node of this name.
    pub(crate) fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The instance of a resource on a node.
    pub(crate) fn instance_on(&self, id: &str, node: &str) -> Option<&Instance> {
        self.instances_of(id).find(|instance| instance.runs_on(node))
    }

    /// All instances of a resource.
    pub(crate) fn instances_of<'a, 'b>(
        &'a self,
        id: &'b str,
    ) -> impl Iterator<Item = &'a Instance> + use<'a, 'b> {
        self.instances.iter().filter(move |instance| instance.id == id)
    }

    /// Where a promotable resource is promoted; more than one node only when something went very wrong.
    pub(crate) fn promoted_on<'a, 'b>(&'a self, id: &'b str) -> impl Iterator<Item = &'a str> + use<'a, 'b> {
        self.instances_of(id)
            .filter(|instance| instance.role == Role::Promoted)
            .flat_map(|instance| instance.nodes.iter().map(String::as_str))
    }

    fn read_summary(&mut self, summary: &Element) {
        if let Some(dc) = summary.child("current_dc") {
            self.dc = dc.attribute("name").map(str::to_owned);
            self.quorate = flag(dc, "with_quorum");
        }
        if let Some(options) = summary.child("cluster_options") {
            self.fencing_enabled = flag(options, "stonith-enabled");
            self.maintenance = flag(options, "maintenance-mode");
        }
    }

    fn read_attributes(&mut self, listed: &Element) {
        let name = text(listed, "name");
        if let Some(node) = self.nodes.iter_mut().find(|node| node.name == name) {
            let pairs = listed.children.iter();
            node.attributes
                .extend(pairs.map(|pair| (text(pair, "name"), text(pair, "value"))));
        }
    }
}

impl Node {
    /// Whether it is a full member that may run resources.
    pub(crate) fn takes_part(&self) -> bool {
        self.online && !self.pending && !self.unclean && !self.standby && !self.shutdown
    }

    /// Its score for being promoted, by the word of the resource's agent.
    pub(crate) fn promotion_score(&self, resource: &str) -> Option<i64> {
        let value = self.attributes.get(&promotion_attribute(resource))?;
        match value.as_str() {
            "INFINITY" | "+INFINITY" => Some(INFINITY.into()),
            "-INFINITY" => Some(-i64::from(INFINITY)),
            number => number.parse().ok(),
        }
    }
}

/// The node attribute in which `crm_attribute --promotion` keeps a resource's score.
pub(crate) fn promotion_attribute(resource: &str) -> String {
    format!("master-{resource}")
}

impl Role {
    /// Reads a role; Pacemaker before 2.1 has other words for two of them.
    fn from_word(word: &str) -> Self {
        match word {
            "Stopped" => Self::Stopped,
            "Started" => Self::Started,
            "Unpromoted" | "Slave" => Self::Unpromoted,
            "Promoted" | "Master" => Self::Promoted,
            _ => Self::Other,
        }
    }
}

impl Instance {
    /// Whether it is on a node.
    pub(crate) fn runs_on(&self, node: &str) -> bool {
        self.nodes.iter().any(|name| name == node)
    }

    /// Whether it resets nodes.
    pub(crate) fn is_fence_device(&self) -> bool {
        self.agent.starts_with("stonith:")
    }
}

impl FailCount {
    /// Whether it failed so often that it may not run there.
    pub(crate) fn is_exceeded(&self) -> bool {
        match (self.failures, self.threshold) {
            (None, _) => true,
            (Some(failures), Some(threshold)) => failures >= threshold,
            (Some(_), None) => false,
        }
    }
}

fn children<'a>(parent: &'a Element, list: &str) -> impl Iterator<Item = &'a Element> + use<'a> {
    parent
        .child(list)
        .map(|list| list.children.as_slice())
        .unwrap_or_default()
        .iter()
}

fn text(element: &Element, name: &str) -> String {
    element.attribute(name).unwrap_or_default().to_owned()
}

fn flag(element: &Element, name: &str) -> bool {
    element.attribute(name) == Some("true")
}

/// `mux:1` is an instance of `mux`.
fn without_instance(id: &str) -> String {
    id.split(':').next().unwrap_or(id).to_owned()
}

fn node(element: &Element) -> Node {
    Node {
        name: text(element, "name"),
        online: flag(element, "online"),
        pending: flag(element, "pending"),
        unclean: flag(element, "unclean"),
        standby: flag(element, "standby") || flag(element, "standby_onfail"),
        maintenance: flag(element, "maintenance"),
        shutdown: flag(element, "shutdown"),
        attributes: BTreeMap::new(),
    }
}

fn instance(element: &Element) -> Instance {
    Instance {
        id: without_instance(element.attribute("id").unwrap_or_default()),
        agent: text(element, "resource_agent"),
        role: Role::from_word(element.attribute("role").unwrap_or_default()),
        nodes: element
            .children_named("node")
            .map(|node| text(node, "name"))
            .collect(),
        failed: flag(element, "failed"),
        blocked: flag(element, "blocked"),
        managed: element.attribute("managed") != Some("false"),
        pending: element.attribute("pending").map(str::to_owned),
    }
}

fn failure(element: &Element) -> Failure {
    let operation = element.attribute("op_key").or_else(|| element.attribute("id"));
    Failure {
        operation: operation.unwrap_or_default().to_owned(),
        node: text(element, "node"),
        result: text(element, "exitstatus"),
        reason: text(element, "exitreason"),
    }
}

fn fence_event(element: &Element) -> FenceEvent {
    let optional = |name| {
        element
            .attribute(name)
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
    };
    FenceEvent {
        target: text(element, "target"),
        action: text(element, "action"),
        status: text(element, "status"),
        delegate: optional("delegate"),
        completed: optional("completed"),
        reason: optional("exit-reason"),
    }
}

fn ban(element: &Element) -> Ban {
    Ban {
        id: text(element, "id"),
        resource: text(element, "resource"),
        node: text(element, "node"),
    }
}

fn fail_count(history: &Element, node: &str) -> FailCount {
    let count = |name| match history.attribute(name) {
        Some("INFINITY") => None,
        number => number.and_then(|number| number.parse().ok()).or(Some(0)),
    };
    let finite = |number: u32| (number < INFINITY).then_some(number);
    FailCount {
        resource: without_instance(history.attribute("id").unwrap_or_default()),
        node: node.to_owned(),
        failures: count("fail-count").and_then(finite),
        threshold: count("migration-threshold")
            .filter(|number| *number > 0)
            .and_then(finite),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(document: &str) -> View {
        View::from_monitor(&Element::parse(document).unwrap())
    }

    fn at_rest() -> View {
        view(include_str!("../../tests/samples/at-rest.crm_mon.xml"))
    }

    #[test]
    fn a_cluster_at_rest_has_one_promoted_mux_and_two_members() {
        let view = at_rest();
        assert_eq!(view.promoted_on("mux").collect::<Vec<_>>(), ["bmc0"]);
        assert!(view.nodes.iter().all(Node::takes_part));
        assert!(view.fencing_enabled && !view.maintenance);
        assert_eq!(view.node("bmc0").unwrap().promotion_score("settings"), Some(1000));
        assert_eq!(view.instance_on("mux", "bmc1").unwrap().role, Role::Unpromoted);
        assert_eq!(view.instance_on("fan", "bmc0").unwrap().role, Role::Started);
        assert!(view.instance_on("fan", "bmc1").is_none());
        assert!(!view.fail_counts.iter().any(FailCount::is_exceeded));
    }

    #[test]
    fn after_a_takeover_the_lost_node_is_offline_and_its_reset_is_on_record() {
        let view = view(include_str!("../../tests/samples/sibling-lost.crm_mon.xml"));
        assert_eq!(view.dc.as_deref(), Some("bmc1"));
        assert!(view.quorate && !view.node("bmc0").unwrap().takes_part());
        assert_eq!(view.promoted_on("settings").collect::<Vec<_>>(), ["bmc1"]);
        assert_eq!(
            view.instances_of("fence-bmc1").next().unwrap().role,
            Role::Stopped
        );
        assert_eq!(view.fence_events[0].status, "success");
        assert_eq!(view.fence_events[0].delegate.as_deref(), Some("bmc1"));
    }

    #[test]
    fn failures_fence_events_and_a_lost_node_are_read() {
        let view = view(
            r#"<pacemaker-result>
              <summary><current_dc present="true" name="bmc1" with_quorum="true"/></summary>
              <nodes><node name="bmc0" online="false" unclean="true"/></nodes>
              <failures><failure op_key="fan_start_0" node="bmc1" exitstatus="error" exitreason="no tach"/></failures>
              <fence_history>
                <fence_event status="failed" action="reboot" target="bmc0" exit-reason="no proof" delegate=""/>
              </fence_history>
              <node_history><node name="bmc1">
                <resource_history id="fan" migration-threshold="1000000" fail-count="2"/>
                <resource_history id="mux:0" migration-threshold="2" fail-count="2"/>
                <resource_history id="power" migration-threshold="1000000" fail-count="1000000"/>
              </node></node_history>
            </pacemaker-result>"#,
        );
        assert_eq!(view.dc.as_deref(), Some("bmc1"));
        assert!(view.quorate && !view.nodes[0].takes_part());
        assert_eq!(view.failures[0].reason, "no tach");
        assert_eq!(view.fence_events[0].reason.as_deref(), Some("no proof"));
        assert_eq!(view.fence_events[0].delegate, None);
        let exceeded = view.fail_counts.iter().filter(|count| count.is_exceeded());
        let exceeded: Vec<_> = exceeded.map(|count| count.resource.as_str()).collect();
        assert_eq!(exceeded, ["mux", "power"]);
    }

    #[test]
    fn the_roles_former_names_are_understood() {
        assert_eq!(Role::from_word("Master"), Role::Promoted);
        assert_eq!(Role::from_word("Slave"), Role::Unpromoted);
    }
}
