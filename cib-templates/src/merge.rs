//! A filled template goes into a cluster's configuration, and leaves alone what is not the template's.
//!
//! An element belongs to the template when its id is one of the template's. Those become what the template
//! says; those that the values leave out are removed; everything else stays where it is, also inside our
//! elements (a `target-role` that `pcs resource disable` wrote, say). Two exceptions, because Pacemaker would
//! otherwise read two answers to one question: an `nvpair` with the name of one of ours in the same set, and
//! an `op` with the name and role of one of ours on the same resource, are replaced by ours.

use std::collections::{BTreeMap, BTreeSet};

use crate::fill::Filled;
use crate::xml::Element;

/// Why a filled template does not fit into a configuration.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// An id of ours is in use for something else, or somewhere else.
    #[error(
        "merge the template into the CIB: id {id} is already a <{found}> in <{parent}>; rename or remove that first"
    )]
    IdTaken {
        /// The id.
        id: String,
        /// What has it.
        found: String,
        /// Where that stands.
        parent: String,
    },
}

/// Merges a filled template into a `<configuration>`.
///
/// # Errors
/// [`MergeError::IdTaken`].
pub fn merge(current: &Element, filled: &Filled) -> Result<Element, MergeError> {
    let mut merged = current.clone();
    remove_ids(&mut merged, &filled.absent_ids);
    let taken = places(&merged);
    let mut next = merged;
    merge_children(&mut next, &filled.configuration, &taken)?;
    Ok(next)
}

/// Whether two configurations say the same. The order of attributes says nothing.
#[must_use]
pub fn same(left: &Element, right: &Element) -> bool {
    let attributes =
        |element: &Element| -> BTreeSet<(String, String)> { element.attributes.iter().cloned().collect() };
    left.name == right.name
        && left.text == right.text
        && attributes(left) == attributes(right)
        && left.children.len() == right.children.len()
        && left
            .children
            .iter()
            .zip(&right.children)
            .all(|(left, right)| same(left, right))
}

fn remove_ids(element: &mut Element, ids: &BTreeSet<String>) {
    element
        .children
        .retain(|child| !child.attribute("id").is_some_and(|id| ids.contains(id)));
    for child in &mut element.children {
        remove_ids(child, ids);
    }
}

/// Where each id stands: the element's name, and its parent's name and id.
fn places(root: &Element) -> BTreeMap<String, (String, String)> {
    let mut places = BTreeMap::new();
    for parent in root.descendants() {
        for child in &parent.children {
            if let Some(id) = child.attribute("id") {
                places.insert(id.to_owned(), (child.name.clone(), describe(parent)));
            }
        }
    }
    places
}

fn describe(element: &Element) -> String {
    match element.attribute("id") {
        Some(id) => format!("{} id=\"{id}\"", element.name),
        None => element.name.clone(),
    }
}

fn merge_children(
    current: &mut Element,
    wanted: &Element,
    taken: &BTreeMap<String, (String, String)>,
) -> Result<(), MergeError> {
    for child in &wanted.children {
        remove_rivals(current, child);
        let found = current
            .children
            .iter()
            .position(|other| is_same_place(other, child));
        let index = match found {
            Some(index) => index,
            None => {
                refuse_taken(child, taken)?;
                current.children.push(Element::new(&child.name));
                current.children.len() - 1
            }
        };
        let target = &mut current.children[index];
        if child.attribute("id").is_some() {
            update_attributes(target, child);
        }
        merge_children(target, child, taken)?;
    }
    Ok(())
}

/// Keeps the order of the attributes that are there, so that an unchanged element stays byte for byte.
fn update_attributes(target: &mut Element, wanted: &Element) {
    target
        .attributes
        .retain(|(name, _)| wanted.attribute(name).is_some());
    for (name, value) in &wanted.attributes {
        target.set_attribute(name, value);
    }
}

fn is_same_place(left: &Element, right: &Element) -> bool {
    left.name == right.name && left.attribute("id") == right.attribute("id")
}

fn remove_rivals(current: &mut Element, wanted: &Element) {
    let keys: &[&str] = match wanted.name.as_str() {
        "nvpair" => &["name"],
        "op" => &["name", "role"],
        _ => return,
    };
    current.children.retain(|other| {
        let rival = other.name == wanted.name
            && other.attribute("id") != wanted.attribute("id")
            && keys
                .iter()
                .all(|key| other.attribute(key) == wanted.attribute(key));
        !rival
    });
}

fn refuse_taken(wanted: &Element, taken: &BTreeMap<String, (String, String)>) -> Result<(), MergeError> {
    let Some(id) = wanted.attribute("id") else {
        return Ok(());
    };
    match taken.get(id) {
        None => Ok(()),
        Some((found, parent)) => Err(MergeError::IdTaken {
            id: id.to_owned(),
            found: found.clone(),
            parent: parent.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Values;

    fn filled(configuration: &str, absent: &[&str]) -> Filled {
        Filled {
            configuration: Element::parse(configuration).unwrap(),
            absent_ids: absent.iter().map(|id| (*id).to_owned()).collect(),
            values: Values::new(),
        }
    }

    fn merged(current: &str, wanted: &str, absent: &[&str]) -> Element {
        merge(&Element::parse(current).unwrap(), &filled(wanted, absent)).unwrap()
    }

    const OURS: &str = r#"
        <configuration><resources>
          <primitive id="fan" class="ocf"><operations>
            <op id="fan-monitor" name="monitor" interval="5s"/>
          </operations></primitive>
        </resources></configuration>"#;

    #[test]
    fn merging_twice_changes_nothing() {
        let once = merged("<configuration><resources/></configuration>", OURS, &[]);
        let twice = merge(&once, &filled(OURS, &[])).unwrap();
        assert!(same(&once, &twice));
        assert_eq!(
            once.by_id("fan-monitor").unwrap().attribute("interval"),
            Some("5s")
        );
    }

    #[test]
    fn what_an_administrator_added_stays() {
        let current = r#"
            <configuration><resources>
              <primitive id="theirs" class="ocf"/>
              <primitive id="fan" class="ocf">
                <meta_attributes id="m"><nvpair id="m-r" name="target-role" value="Stopped"/></meta_attributes>
              </primitive>
            </resources></configuration>"#;
        let result = merged(current, OURS, &[]);
        assert!(result.by_id("theirs").is_some());
        assert!(result.by_id("m-r").is_some());
        assert!(result.by_id("fan-monitor").is_some());
    }

    #[test]
    fn what_the_values_leave_out_is_removed() {
        let current =
            r#"<configuration><constraints><rsc_location id="rule"/></constraints></configuration>"#;
        assert!(merged(current, OURS, &["rule"]).by_id("rule").is_none());
    }

    #[test]
    fn a_second_monitor_of_the_same_role_is_replaced() {
        let current = r#"
            <configuration><resources><primitive id="fan" class="ocf"><operations>
              <op id="other" name="monitor" interval="9s"/>
              <op id="deep" name="monitor" role="Stopped" interval="60s"/>
            </operations></primitive></resources></configuration>"#;
        let result = merged(current, OURS, &[]);
        assert!(result.by_id("other").is_none());
        assert!(result.by_id("deep").is_some());
    }

    #[test]
    fn a_resource_that_was_put_into_a_group_is_not_duplicated() {
        let current = Element::parse(
            r#"<configuration><resources><group id="g"><primitive id="fan"/></group></resources></configuration>"#,
        )
        .unwrap();
        let error = merge(&current, &filled(OURS, &[])).unwrap_err().to_string();
        assert!(
            error.contains(r#"id fan is already a <primitive> in <group id="g">"#),
            "{error}"
        );
    }

    #[test]
    fn the_order_of_attributes_says_nothing() {
        let left = Element::parse(r#"<a b="1" c="2"/>"#).unwrap();
        assert!(same(&left, &Element::parse(r#"<a c="2" b="1"/>"#).unwrap()));
        assert!(!same(&left, &Element::parse(r#"<a c="2" b="2"/>"#).unwrap()));
    }
}
