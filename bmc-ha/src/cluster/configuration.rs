//! What the CIB says about how the pair is run. No I/O here.

use std::collections::BTreeMap;

use cib_templates::xml::Element;

/// Provider of this project's resource agents.
const PROVIDER: &str = "openbmc";

/// The rule that the template writes when somebody outside decides about roles.
const EXTERNAL_CONSTRAINT: &str = "location-settings-external";

/// How the names of the template's own location rules for settings begin. What they ask for (a request, a
/// readable mux) is seen by itself; other constraints are an administrator's, or left over.
pub(crate) const OWN_RULES: &str = "location-settings-";

/// Who decides that a Passive takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Policy {
    /// Pacemaker.
    Automatic,
    /// A manager, the host or a person.
    External,
}

/// A primitive resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Primitive {
    /// Its name.
    pub(crate) id: String,
    /// Its instance attributes.
    pub(crate) parameters: BTreeMap<String, String>,
}

/// A fence device and whom it resets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FenceDevice {
    /// Its name.
    pub(crate) id: String,
    /// The nodes that it resets; any when empty.
    pub(crate) targets: Vec<String>,
}

/// The parts of a configuration that this command reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Configuration {
    /// The resource that replicates settings.
    pub(crate) settings: Option<Primitive>,
    /// The resource that holds the mux.
    pub(crate) mux: Option<Primitive>,
    /// The fence devices.
    pub(crate) fence_devices: Vec<FenceDevice>,
    /// Who decides.
    pub(crate) policy: Policy,
    /// The clone around each cloned primitive.
    pub(crate) clones: BTreeMap<String, String>,
    /// How many resources there are, whosever they are.
    pub(crate) resources: usize,
}

impl Configuration {
    /// A configuration with nothing in it.
    pub(crate) fn none() -> Self {
        Self::from_cib(&Element::new("cib"))
    }

    /// Reads a CIB.
    pub(crate) fn from_cib(cib: &Element) -> Self {
        let elements = cib
            .child("configuration")
            .map(Element::descendants)
            .unwrap_or_default();
        let primitives = || {
            elements
                .iter()
                .copied()
                .filter(|element| element.name == "primitive")
        };
        let ours = |kind: &str| {
            primitives().find(|element| {
                element.attribute("provider") == Some(PROVIDER) && element.attribute("type") == Some(kind)
            })
        };
        let external = elements
            .iter()
            .any(|element| element.attribute("id") == Some(EXTERNAL_CONSTRAINT));
        Self {
            settings: ours("settings").map(primitive),
            mux: ours("mux").map(primitive),
            fence_devices: primitives()
                .filter(|element| element.attribute("class") == Some("stonith"))
                .map(fence_device)
                .collect(),
            policy: if external {
                Policy::External
            } else {
                Policy::Automatic
            },
            clones: elements
                .iter()
                .filter(|element| element.name == "clone")
                .filter_map(|clone| {
                    let inner = clone.child("primitive")?.attribute("id")?;
                    Some((inner.to_owned(), clone.attribute("id")?.to_owned()))
                })
                .collect(),
            resources: primitives().count(),
        }
    }

    /// Fence devices that can reset a node.
    pub(crate) fn devices_for<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a FenceDevice> {
        self.fence_devices
            .iter()
            .filter(move |device| device.targets.is_empty() || device.targets.iter().any(|name| name == node))
    }

    /// The name under which constraints know a resource: its clone's where there is one.
    pub(crate) fn constrained_name<'a>(&'a self, resource: &'a str) -> &'a str {
        self.clones.get(resource).map_or(resource, String::as_str)
    }
}

fn primitive(element: &Element) -> Primitive {
    let parameters = element
        .children_named("instance_attributes")
        .flat_map(|set| set.children_named("nvpair"))
        .filter_map(|pair| {
            let (name, value) = (pair.attribute("name")?, pair.attribute("value")?);
            Some((name.to_owned(), value.to_owned()))
        });
    Primitive {
        id: element.attribute("id").unwrap_or_default().to_owned(),
        parameters: parameters.collect(),
    }
}

fn fence_device(element: &Element) -> FenceDevice {
    let primitive = primitive(element);
    // Pacemaker takes a list with commas, semicolons or blanks between the names.
    let targets = primitive.parameters.get("pcmk_host_list").map(|list| {
        list.split([',', ';', ' '])
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    });
    FenceDevice {
        id: primitive.id,
        targets: targets.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Element {
        Element::parse(include_str!("../../tests/samples/at-rest.cib.xml")).unwrap()
    }

    #[test]
    fn the_templates_resources_are_found_by_their_agents() {
        let configuration = Configuration::from_cib(&sample());
        assert_eq!(configuration.settings.as_ref().unwrap().id, "settings");
        let mux = configuration.mux.as_ref().unwrap();
        assert_eq!(mux.parameters["mux_grant_file"], "/run/chassis/mux/grant");
        assert_eq!(configuration.constrained_name("mux"), "mux-clone");
        assert_eq!(configuration.constrained_name("fan"), "fan");
        assert_eq!(configuration.policy, Policy::Automatic);
    }

    #[test]
    fn each_bmc_has_its_own_fence_device() {
        let configuration = Configuration::from_cib(&sample());
        let devices: Vec<_> = configuration
            .devices_for("bmc1")
            .map(|device| device.id.as_str())
            .collect();
        assert_eq!(devices, ["fence-bmc1"]);
    }

    #[test]
    fn an_empty_cib_has_none_of_it() {
        let cib = Element::parse("<cib><configuration/></cib>").unwrap();
        let configuration = Configuration::from_cib(&cib);
        assert_eq!((configuration.settings, configuration.resources), (None, 0));
    }
}
