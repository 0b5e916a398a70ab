//! What Pacemaker says about the cluster, read from `crm_mon --output-as=xml`. No I/O here.

use std::collections::BTreeMap;
use std::fmt;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::error::{LabError, Result};
use crate::node::Node;

/// A BMC as a cluster node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Corosync and Pacemaker run on it and it takes part.
    pub online: bool,
    /// It came up and is not a full member yet.
    pub pending: bool,
    /// Its state is unknown: it has to be fenced.
    pub unclean: bool,
}

/// One instance of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Name of the resource, without an instance number.
    pub id: String,
    /// `Started`, `Stopped`, `Promoted`, `Unpromoted`, or a role on its way.
    pub role: String,
    /// Where it runs.
    pub node: Option<Node>,
    /// Its last action failed.
    pub failed: bool,
    /// An action is under way.
    pub pending: bool,
    /// Whether it is a fence device.
    pub fencing: bool,
    /// Whether it is an instance of a clone.
    pub cloned: bool,
}

/// The cluster at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// The nodes that the cluster knows.
    pub members: BTreeMap<Node, Member>,
    /// All resource instances.
    pub instances: Vec<Instance>,
    /// Actions in the failure history, as `agent action on node: reason`.
    pub failures: Vec<String>,
}

impl ClusterView {
    /// Reads what `crm_mon --output-as=xml` printed.
    ///
    /// # Errors
    /// [`LabError::Malformed`] when it is not XML; unknown elements are ignored.
    pub fn parse(xml: &str) -> Result<Self> {
        let malformed = |detail: String| LabError::Malformed {
            of: "crm_mon".into(),
            detail,
        };
        let mut reader = Reader::from_str(xml);
        let mut view = Self::default();
        let mut position = Position::default();
        loop {
            match reader
                .read_event()
                .map_err(|error| malformed(error.to_string()))?
            {
                Event::Start(element) => view.enter(&element, false, &mut position)?,
                Event::Empty(element) => view.enter(&element, true, &mut position)?,
                Event::End(element) => position.leave(element.name().as_ref()),
                Event::Eof => return Ok(view),
                _ => {}
            }
        }
    }

    /// The BMC on which every promotable clone is promoted, if there is one and only one.
    #[must_use]
    pub fn active(&self) -> Option<Node> {
        let mut promoted = self
            .instances
            .iter()
            .filter(|instance| instance.role == "Promoted");
        let node = promoted.next()?.node?;
        promoted
            .all(|instance| instance.node == Some(node))
            .then_some(node)
    }

    /// Whether an instance of `id` runs on `node` in `role`.
    #[must_use]
    pub fn runs(&self, id: &str, node: Node, role: &str) -> bool {
        self.instances.iter().any(|instance| {
            instance.id == id && instance.node == Some(node) && instance.role == role && !instance.failed
        })
    }

    /// Where a resource that is not a clone runs.
    #[must_use]
    pub fn place_of(&self, id: &str) -> Option<Node> {
        self.instances
            .iter()
            .find(|instance| instance.id == id)
            .and_then(|instance| instance.node)
    }

    /// Whether `node` is a full member of the cluster.
    #[must_use]
    pub fn online(&self, node: Node) -> bool {
        self.members
            .get(&node)
            .is_some_and(|member| member.online && !member.pending && !member.unclean)
    }

    /// What keeps `node` from being an Active with all its services, in words; none when nothing does.
    #[must_use]
    pub fn not_active_because(&self, node: Node) -> Option<String> {
        if self.active() != Some(node) {
            return Some(format!("{node} is not promoted: {self}"));
        }
        let services = self
            .instances
            .iter()
            .filter(|instance| !instance.cloned && !instance.fencing);
        let mut any = false;
        for service in services {
            any = true;
            if service.node != Some(node) || service.role != "Started" || service.failed || service.pending {
                return Some(format!("{} is {}: {self}", service.id, service.role));
            }
        }
        (!any).then(|| "the cluster has no services".into())
    }

    /// What keeps the cluster from being at rest, in words; none when nothing does.
    #[must_use]
    pub fn unrest(&self) -> Option<String> {
        for node in Node::BOTH {
            if !self.online(node) {
                return Some(format!("{node} is not online: {self}"));
            }
        }
        let restless = self
            .instances
            .iter()
            .find(|instance| instance.pending || instance.failed || instance.node.is_none());
        if let Some(instance) = restless {
            return Some(format!("{} is {}: {self}", instance.id, instance.role));
        }
        match self.active() {
            Some(active) => self.not_active_because(active),
            None => Some(format!("nobody is promoted: {self}")),
        }
    }

    fn enter(&mut self, element: &BytesStart<'_>, empty: bool, position: &mut Position) -> Result<()> {
        let attributes = Attributes::of(element)?;
        match element.name().as_ref() {
            b"nodes" if !empty => position.in_nodes = true,
            b"resources" if !empty => position.in_resources = true,
            b"clone" if !empty => position.in_clone = true,
            b"node" if position.in_nodes => self.add_member(&attributes),
            // The failure history at the document's end names nodes too.
            b"node" if position.in_resources => {
                if let (Some(instance), Ok(node)) =
                    (self.instances.last_mut(), attributes.text("name").parse())
                {
                    instance.node = Some(node);
                }
            }
            b"resource" => self.instances.push(Instance {
                id: without_instance(attributes.text("id")).to_owned(),
                role: canonical(attributes.text("role")).to_owned(),
                node: None,
                failed: attributes.flag("failed"),
                pending: attributes.0.contains_key("pending"),
                fencing: attributes.text("resource_agent").starts_with("stonith:"),
                cloned: position.in_clone,
            }),
            b"failure" => self.failures.push(format!(
                "{} on {}: {} {}",
                attributes.text("op_key"),
                attributes.text("node"),
                attributes.text("exitstatus"),
                attributes.text("exitreason")
            )),
            _ => {}
        }
        Ok(())
    }

    fn add_member(&mut self, attributes: &Attributes) {
        if let Ok(node) = attributes.text("name").parse() {
            self.members.insert(
                node,
                Member {
                    online: attributes.flag("online"),
                    pending: attributes.flag("pending"),
                    unclean: attributes.flag("unclean"),
                },
            );
        }
    }
}

impl fmt::Display for ClusterView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (node, member) in &self.members {
            let state = match member {
                Member { unclean: true, .. } => "unclean",
                Member { pending: true, .. } => "pending",
                Member { online: true, .. } => "online",
                Member { .. } => "offline",
            };
            write!(f, "{node} {state}; ")?;
        }
        for instance in &self.instances {
            write!(f, "{} {}", instance.id, instance.role)?;
            if let Some(node) = instance.node {
                write!(f, " on {node}")?;
            }
            if instance.failed {
                f.write_str(" FAILED")?;
            }
            f.write_str(", ")?;
        }
        for failure in &self.failures {
            write!(f, "[{failure}] ")?;
        }
        Ok(())
    }
}

/// Where in the document the reader is.
#[derive(Debug, Default)]
struct Position {
    in_nodes: bool,
    in_resources: bool,
    in_clone: bool,
}

impl Position {
    fn leave(&mut self, name: &[u8]) {
        match name {
            b"nodes" => self.in_nodes = false,
            b"resources" => self.in_resources = false,
            b"clone" => self.in_clone = false,
            _ => {}
        }
    }
}

/// The attributes of one element.
struct Attributes(BTreeMap<String, String>);

impl Attributes {
    fn of(element: &BytesStart<'_>) -> Result<Self> {
        let malformed = |detail: String| LabError::Malformed {
            of: "crm_mon".into(),
            detail,
        };
        let mut attributes = BTreeMap::new();
        for attribute in element.attributes() {
            let attribute = attribute.map_err(|error| malformed(error.to_string()))?;
            let value = attribute
                .unescape_value()
                .map_err(|error| malformed(error.to_string()))?;
            let key = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
            attributes.insert(key, value.into_owned());
        }
        Ok(Self(attributes))
    }

    fn text(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    fn flag(&self, key: &str) -> bool {
        self.text(key) == "true"
    }
}

/// `mux:1` is an instance of `mux`.
fn without_instance(id: &str) -> &str {
    id.split(':').next().unwrap_or(id)
}

/// Pacemaker before 3.0 may print the roles' former names.
fn canonical(role: &str) -> &str {
    match role {
        "Master" => "Promoted",
        "Slave" => "Unpromoted",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_REST: &str = r#"<pacemaker-result api-version="2.25" request="crm_mon --output-as=xml">
      <nodes>
        <node name="bmc0" id="1" online="true" standby="false" pending="false" unclean="false" type="member"/>
        <node name="bmc1" id="2" online="true" standby="false" pending="false" unclean="false" type="member"/>
      </nodes>
      <resources>
        <clone id="mux-clone" multi_state="true">
          <resource id="mux" resource_agent="ocf:openbmc:mux" role="Promoted" active="true" failed="false">
            <node name="bmc0" id="1" cached="true"/>
          </resource>
          <resource id="mux" resource_agent="ocf:openbmc:mux" role="Unpromoted" active="true" failed="false">
            <node name="bmc1" id="2" cached="true"/>
          </resource>
        </clone>
        <resource id="fan" resource_agent="ocf:openbmc:fan" role="Started" active="true" failed="false">
          <node name="bmc0" id="1" cached="true"/>
        </resource>
        <resource id="fence-bmc0" resource_agent="stonith:fence_bmc" role="Started" active="true" failed="false">
          <node name="bmc1" id="2" cached="true"/>
        </resource>
      </resources>
      <node_history><node name="bmc0"/></node_history>
    </pacemaker-result>"#;

    #[test]
    fn a_cluster_at_rest_has_one_active_with_all_services() {
        let view = ClusterView::parse(AT_REST).unwrap();
        assert_eq!(view.active(), Some(Node::Bmc0));
        assert_eq!(view.not_active_because(Node::Bmc0), None);
        assert_eq!(view.unrest(), None);
        assert!(view.runs("mux", Node::Bmc1, "Unpromoted"));
        assert_eq!(view.place_of("fan"), Some(Node::Bmc0));
        assert_eq!(view.place_of("fence-bmc0"), Some(Node::Bmc1));
    }

    #[test]
    fn two_promoted_bmcs_are_not_an_active() {
        let view = ClusterView::parse(&AT_REST.replace("Unpromoted", "Promoted")).unwrap();
        assert_eq!(view.active(), None);
    }

    #[test]
    fn a_service_that_does_not_run_is_unrest() {
        let stopped = AT_REST.replacen(r#"role="Started""#, r#"role="Stopped""#, 1);
        let view = ClusterView::parse(&stopped).unwrap();
        assert!(view.unrest().unwrap().starts_with("fan is Stopped"));
    }

    #[test]
    fn a_node_that_must_be_fenced_is_unrest() {
        let unclean = AT_REST.replacen(r#"unclean="false""#, r#"unclean="true""#, 1);
        let view = ClusterView::parse(&unclean).unwrap();
        assert!(view.unrest().unwrap().starts_with("bmc0 is not online"));
    }
}
