//! A template and values make a configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::parameter::Kind;
use crate::template::{Condition, Piece, Require, Requirement, Template, condition_of, pieces};
use crate::values::{Origin, Values};
use crate::xml::Element;

/// Why a template cannot be filled with these values.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// A value for a parameter that does not exist.
    #[error("{origin}: the template {template} has no parameter {name}{hint}")]
    Unknown {
        /// Where it was given.
        origin: Origin,
        /// The template.
        template: String,
        /// The name.
        name: String,
        /// A similar name, in words; may be empty.
        hint: String,
    },
    /// A value that its type refuses.
    #[error("{origin}: {name}={value} {expected}")]
    Value {
        /// Where it was given.
        origin: Origin,
        /// The parameter.
        name: String,
        /// The value.
        value: String,
        /// What is wrong with it and what would be right.
        expected: String,
    },
    /// No value for a parameter that needs one.
    #[error("the template {template} needs a value for {name} ({shortdesc}): give --set {name}=…")]
    Missing {
        /// The template.
        template: String,
        /// The parameter.
        name: String,
        /// What it is.
        shortdesc: String,
    },
    /// Values that do not go together.
    #[error("the template {template} needs {rule}: {shortdesc}")]
    Requirement {
        /// The template.
        template: String,
        /// Which parameters and what of them.
        rule: String,
        /// Why.
        shortdesc: String,
    },
    /// The template itself is wrong.
    #[error("fill template {template}: {detail}")]
    Template {
        /// The template.
        template: String,
        /// What is wrong.
        detail: String,
    },
}

/// A filled template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// The `<configuration>` as Pacemaker reads it.
    pub configuration: Element,
    /// Ids that the template owns and that these values leave out: they are removed from the cluster.
    pub absent_ids: BTreeSet<String>,
    /// The value used for each parameter that has one.
    pub values: Values,
}

/// Fills a template. A parameter whose value is empty is left out, or gets its default: the way to take back
/// what the cluster has.
///
/// # Errors
/// [`FillError`]: the first value that is unknown, wrong, missing or does not go with the others.
pub fn fill(template: &Template, given: &Values) -> Result<Filled, FillError> {
    let values = resolve(template, given)?;
    check_prefixes(template, &values)?;
    let filler = Filler { template, values };
    for require in &template.requires {
        filler.check_require(require)?;
    }
    let mut absent_ids = BTreeSet::new();
    let configuration = filler
        .element(&template.configuration, &mut absent_ids)?
        .unwrap_or_else(|| Element::new("configuration"));
    // The same id may stand in two alternatives of which one is kept.
    for element in configuration.descendants() {
        if let Some(id) = element.attribute("id") {
            absent_ids.remove(id);
        }
    }
    Ok(Filled {
        configuration,
        absent_ids,
        values: filler.values,
    })
}

/// Checks the given values and adds the defaults.
fn resolve(template: &Template, given: &Values) -> Result<Values, FillError> {
    for (name, value, origin) in given.iter() {
        let Some(parameter) = template.parameter(name) else {
            return Err(FillError::Unknown {
                origin: origin.clone(),
                template: template.name.clone(),
                name: name.to_owned(),
                hint: hint(template, name),
            });
        };
        if value.is_empty() && !parameter.required {
            continue;
        }
        parameter.kind.check(value).map_err(|expected| FillError::Value {
            origin: origin.clone(),
            name: name.to_owned(),
            value: value.to_owned(),
            expected,
        })?;
    }
    let mut values = given.clone();
    values.remove_empty();
    for parameter in &template.parameters {
        if let Some(default) = &parameter.default {
            values.set_if_absent(&parameter.name, default, Origin::Default);
        } else if parameter.required && values.get(&parameter.name).is_none() {
            return Err(FillError::Missing {
                template: template.name.clone(),
                name: parameter.name.clone(),
                shortdesc: parameter.shortdesc.clone(),
            });
        }
    }
    Ok(values)
}

/// A prefix is as long as its address at most: 32 bits for IPv4, 128 for IPv6.
fn check_prefixes(template: &Template, values: &Values) -> Result<(), FillError> {
    for parameter in &template.parameters {
        let Kind::Prefix { of: Some(address) } = &parameter.kind else {
            continue;
        };
        let (Some((prefix, origin)), Some((address, _))) = (values.get(&parameter.name), values.get(address))
        else {
            continue;
        };
        let is_v4 = address.parse::<Ipv4Addr>().is_ok();
        if is_v4 && prefix.parse::<u8>().is_ok_and(|bits| bits > 32) {
            return Err(FillError::Value {
                origin: origin.clone(),
                name: parameter.name.clone(),
                value: prefix.to_owned(),
                expected: format!("is too long for the IPv4 address {address}: 0 to 32"),
            });
        }
    }
    Ok(())
}

/// Names a parameter that shares the most letters' pairs with a misspelt one.
fn hint(template: &Template, wrong: &str) -> String {
    let pairs = |name: &str| -> BTreeSet<(char, char)> { name.chars().zip(name.chars().skip(1)).collect() };
    let wanted = pairs(wrong);
    let best = template
        .parameters
        .iter()
        .map(|parameter| {
            (
                pairs(&parameter.name).intersection(&wanted).count(),
                &parameter.name,
            )
        })
        .max_by_key(|(shared, _)| *shared);
    match best {
        Some((shared, name)) if shared * 2 > wanted.len() => format!("; is {name} meant?"),
        _ => format!("; see: bmc-ha template show {}", template.name),
    }
}

struct Filler<'a> {
    template: &'a Template,
    values: Values,
}

impl Filler<'_> {
    fn holds(&self, condition: &Condition) -> bool {
        let value = self.values.get(&condition.parameter).map(|(value, _)| value);
        match (&condition.value, value) {
            (_, None) => false,
            (None, Some(value)) => value != "false",
            (Some(wanted), Some(value)) => wanted == value,
        }
    }

    fn check_require(&self, require: &Require) -> Result<(), FillError> {
        if require
            .when
            .as_ref()
            .is_some_and(|condition| !self.holds(condition))
        {
            return Ok(());
        }
        let has_value = |name: &String| self.values.get(name).is_some();
        let (holds, rule) = match &require.requirement {
            Requirement::Any(names) => (names.iter().any(has_value), names.join(" or ")),
            Requirement::All(names) => (names.iter().all(has_value), names.join(" and ")),
            Requirement::Different(names) => {
                let distinct: BTreeSet<_> = names
                    .iter()
                    .map(|name| self.values.get(name).map(|v| v.0))
                    .collect();
                (
                    distinct.len() == names.len(),
                    format!("different values for {}", names.join(" and ")),
                )
            }
        };
        if holds {
            return Ok(());
        }
        Err(FillError::Requirement {
            template: self.template.name.clone(),
            rule,
            shortdesc: require.shortdesc.clone(),
        })
    }

    /// The element with its values; nothing when its condition does not hold, in which case the ids that it
    /// and its children would have had go to `absent`.
    fn element(
        &self,
        element: &Element,
        absent: &mut BTreeSet<String>,
    ) -> Result<Option<Element>, FillError> {
        let condition = condition_of(element).map_err(|detail| self.wrong(detail))?;
        if condition.is_some_and(|condition| !self.holds(&condition)) {
            self.collect_ids(element, absent)?;
            return Ok(None);
        }
        let mut filled = Element::new(&element.name);
        for (name, value) in &element.attributes {
            if name == "when" {
                continue;
            }
            match self.value(value)? {
                Some(value) => filled.set_attribute(name, &value),
                None => return Err(self.wrong(format!("<{}> {name} has no value", element.name))),
            }
        }
        for child in &element.children {
            filled.children.extend(self.element(child, absent)?);
        }
        Ok(Some(filled))
    }

    fn collect_ids(&self, element: &Element, ids: &mut BTreeSet<String>) -> Result<(), FillError> {
        for element in element.descendants() {
            if let Some(id) = element.attribute("id") {
                ids.extend(self.value(id)?);
            }
        }
        Ok(())
    }

    /// A value with its placeholders replaced; nothing when one of them has no value.
    fn value(&self, value: &str) -> Result<Option<String>, FillError> {
        let mut filled = String::new();
        for piece in pieces(value).map_err(|detail| self.wrong(detail))? {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Placeholder(name) => match self.values.get(name) {
                    Some((value, _)) => filled.push_str(value),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(filled))
    }

    fn wrong(&self, detail: String) -> FillError {
        FillError::Template {
            template: self.template.name.clone(),
            detail,
        }
    }
}

/// Completes values with those that a cluster has now, so that a change of one parameter keeps the others: the
/// names of its two nodes as `node0` and `node1`, and what [`read_back`] finds. What was given stays.
#[must_use]
pub fn complete(template: &Template, cib: &Element, given: Values) -> Values {
    let mut values = given;
    let Some(configuration) = cib.child("configuration") else {
        return values;
    };
    let nodes = configuration.child("nodes").map(Element::descendants);
    let mut names: Vec<_> = nodes
        .unwrap_or_default()
        .into_iter()
        .filter_map(|node| node.attribute("uname"))
        .collect();
    names.sort_unstable();
    if let [first, second] = names.as_slice() {
        values.set_if_absent("node0", first, Origin::Cluster);
        values.set_if_absent("node1", second, Origin::Cluster);
    }
    for (name, value, origin) in read_back(template, configuration, &values).iter() {
        values.set_if_absent(name, value, origin.clone());
    }
    values
}

/// Reads back the values that a cluster has now, from what an earlier filling made of them.
///
/// A parameter is known when an element that the template owns is in the configuration with an attribute
/// that is this parameter's value and nothing else, or when an element that one of its values brings in is
/// there. `node0` and `node1` and others that are part of ids must be given in `known`.
#[must_use]
pub fn read_back(template: &Template, configuration: &Element, known: &Values) -> Values {
    let by_id: BTreeMap<&str, &Element> = configuration
        .descendants()
        .into_iter()
        .filter_map(|element| element.attribute("id").map(|id| (id, element)))
        .collect();
    let filler = Filler {
        template,
        values: known.clone(),
    };
    let mut found = Values::new();
    for element in template.configuration.descendants() {
        let id = element
            .attribute("id")
            .and_then(|id| filler.value(id).ok().flatten());
        let Some(present) = id.and_then(|id| by_id.get(id.as_str()).copied()) else {
            continue;
        };
        for (attribute, value) in &element.attributes {
            let (Ok(pieces), Some(value)) = (pieces(value), present.attribute(attribute)) else {
                continue;
            };
            if let [Piece::Text(""), Piece::Placeholder(name), Piece::Text("")] = pieces.as_slice() {
                found.set(name, value, Origin::Cluster);
            }
        }
        if let Ok(Some(Condition {
            parameter,
            value: Some(value),
        })) = condition_of(element)
        {
            found.set(&parameter, &value, Origin::Cluster);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = r#"
        <template name="t">
          <parameters>
            <parameter name="policy" type="enum" values="automatic external" default="automatic"/>
            <parameter name="nic" type="string"/>
            <parameter name="node" type="node" required="true" shortdesc="the node"/>
            <parameter name="a" type="integer" default="1"/>
            <parameter name="b" type="integer" default="2"/>
          </parameters>
          <requires><require different="a b" shortdesc="they are two"/></requires>
          <configuration>
            <one id="one-{{node}}" value="<{{a}}>"/>
            <two id="two" when="policy=external"><three id="three-{{node}}"/></two>
            <four id="four" when="nic" value="{{nic}}"/>
          </configuration>
        </template>"#;

    fn template() -> Template {
        Template::parse("t", &TEMPLATE.replace("<{{a}}>", "&lt;{{a}}>")).unwrap()
    }

    fn values(pairs: &[(&str, &str)]) -> Values {
        let mut values = Values::new();
        for (name, value) in pairs {
            values.set(name, value, Origin::CommandLine);
        }
        values
    }

    fn error(pairs: &[(&str, &str)]) -> String {
        fill(&template(), &values(pairs)).unwrap_err().to_string()
    }

    #[test]
    fn placeholders_become_values_and_the_writer_escapes_them() {
        let filled = fill(&template(), &values(&[("node", "n0"), ("nic", "a\"<&>b")])).unwrap();
        let document = filled.configuration.to_document().unwrap();
        assert!(
            document.contains(r#"<one id="one-n0" value="&lt;1&gt;"/>"#),
            "{document}"
        );
        let read = Element::parse(&document).unwrap();
        assert_eq!(read.by_id("four").unwrap().attribute("value"), Some("a\"<&>b"));
    }

    #[test]
    fn what_its_condition_leaves_out_is_named_as_absent() {
        let filled = fill(&template(), &values(&[("node", "n0")])).unwrap();
        assert!(filled.configuration.by_id("two").is_none());
        let absent: Vec<_> = filled.absent_ids.iter().map(String::as_str).collect();
        assert_eq!(absent, ["four", "three-n0", "two"]);
    }

    #[test]
    fn bad_values_are_named_with_their_origin_and_what_would_be_right() {
        assert_eq!(
            error(&[("node", "n0"), ("policy", "maybe")]),
            "--set: policy=maybe is not one of automatic, external"
        );
        assert_eq!(
            error(&[("polcy", "external")]),
            "--set: the template t has no parameter polcy; is policy meant?"
        );
        assert_eq!(
            error(&[]),
            "the template t needs a value for node (the node): give --set node=…"
        );
        assert_eq!(
            error(&[("node", "n0"), ("b", "1")]),
            "the template t needs different values for a and b: they are two"
        );
    }

    #[test]
    fn an_empty_value_takes_a_parameter_back() {
        let given = values(&[("node", "n0"), ("nic", ""), ("policy", "")]);
        let filled = fill(&template(), &given).unwrap();
        assert!(filled.configuration.by_id("four").is_none());
        assert_eq!(filled.values.get("policy"), Some(("automatic", &Origin::Default)));
        assert!(error(&[("node", "")]).contains("node= is empty"));
    }

    #[test]
    fn values_are_read_back_from_what_they_made() {
        let given = values(&[("node", "n0"), ("nic", "eth0"), ("policy", "external")]);
        let filled = fill(&template(), &given).unwrap();
        let found = read_back(&template(), &filled.configuration, &values(&[("node", "n0")]));
        assert_eq!(found.get("nic"), Some(("eth0", &Origin::Cluster)));
        assert_eq!(found.get("policy"), Some(("external", &Origin::Cluster)));
        let filled = fill(&template(), &values(&[("node", "n0")])).unwrap();
        let found = read_back(&template(), &filled.configuration, &values(&[("node", "n0")]));
        assert_eq!(found.get("nic"), None);
    }

    #[test]
    fn a_prefix_is_no_longer_than_its_address() {
        let template = Template::parse(
            "t",
            "<template name='t'><parameters><parameter name='ip' type='ip-address' required='true'/>\
             <parameter name='bits' type='prefix' of='ip' default='24'/></parameters><configuration/></template>",
        )
        .unwrap();
        let fill_with = |ip, bits| fill(&template, &values(&[("ip", ip), ("bits", bits)])).map(drop);
        assert!(fill_with("fd00::1", "64").is_ok());
        let error = fill_with("10.0.0.1", "64").unwrap_err().to_string();
        assert_eq!(
            error,
            "--set: bits=64 is too long for the IPv4 address 10.0.0.1: 0 to 32"
        );
    }
}
