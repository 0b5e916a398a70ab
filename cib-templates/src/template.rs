//! A template: a header for people, typed parameters, and the parts of the CIB that it owns.
//!
//! ```xml
//! <template name="redundant-bmc">
//!   <shortdesc>…</shortdesc>
//!   <parameters>
//!     <parameter name="policy" type="enum" values="automatic external" default="automatic" shortdesc="…"/>
//!   </parameters>
//!   <requires>
//!     <require any="fence_lock_file fence_delay" shortdesc="…"/>
//!   </requires>
//!   <configuration>
//!     …CIB elements; {{policy}} in an attribute's value is replaced by the parameter's value…
//!     <rule when="policy=external" …/>
//!   </configuration>
//! </template>
//! ```
//!
//! `when="name"` keeps an element only if the parameter has a value (and is not `false`);
//! `when="name=value"` only if it has this one. Every element whose name and place do not make it unique
//! has an id, because ids say which elements the template owns.

use std::collections::BTreeSet;

use crate::parameter::{DeclarationError, Parameter, words};
use crate::xml::{Element, XmlError};

/// Why a template cannot be used. Templates are part of the program, so this is a mistake of ours.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// Not XML.
    #[error("read template {name}: {source}")]
    Xml {
        /// The template.
        name: String,
        /// What is wrong with it.
        source: XmlError,
    },
    /// A parameter is declared wrongly.
    #[error("read template {name}: {source}")]
    Declaration {
        /// The template.
        name: String,
        /// What is wrong with it.
        source: DeclarationError,
    },
    /// Its parts do not fit together.
    #[error("read template {name}: {detail}")]
    Structure {
        /// The template.
        name: String,
        /// What does not fit.
        detail: String,
    },
}

/// When an element or a requirement counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The parameter that decides.
    pub parameter: String,
    /// The value that it must have; any but `false` when there is none.
    pub value: Option<String>,
}

/// What values must be together, beyond what each type says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// At least one of these parameters has a value.
    Any(Vec<String>),
    /// Each of these parameters has a value.
    All(Vec<String>),
    /// These parameters have different values.
    Different(Vec<String>),
}

/// A requirement, when it counts and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Require {
    /// When it counts; always if there is none.
    pub when: Option<Condition>,
    /// What must hold.
    pub requirement: Requirement,
    /// Why, for the message.
    pub shortdesc: String,
}

/// A template, read and checked.
#[derive(Debug, Clone)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// One line for a person.
    pub shortdesc: String,
    /// What it sets up.
    pub longdesc: String,
    /// Its parameters, in the order of the file.
    pub parameters: Vec<Parameter>,
    /// What values must be together.
    pub requires: Vec<Require>,
    /// The `<configuration>` with its placeholders.
    pub configuration: Element,
}

impl Template {
    /// Reads a template. `name` is for messages.
    ///
    /// # Errors
    /// [`TemplateError`]: not XML, a wrong declaration, or parts that do not fit together.
    pub fn parse(name: &str, document: &str) -> Result<Self, TemplateError> {
        let root = Element::parse(document).map_err(|source| TemplateError::Xml {
            name: name.to_owned(),
            source,
        })?;
        let structure = |detail: String| TemplateError::Structure {
            name: name.to_owned(),
            detail,
        };
        let configuration = root
            .child("configuration")
            .ok_or_else(|| structure("it has no <configuration>".to_owned()))?;
        let declared = root.child("parameters").map(|list| list.children.as_slice());
        let requires = root.child("requires").map(|list| list.children.as_slice());
        let template = Self {
            name: root.attribute("name").unwrap_or(name).to_owned(),
            shortdesc: words(root.child("shortdesc")),
            longdesc: words(root.child("longdesc")),
            parameters: declared
                .unwrap_or_default()
                .iter()
                .map(Parameter::from_element)
                .collect::<Result<_, _>>()
                .map_err(|source| TemplateError::Declaration {
                    name: name.to_owned(),
                    source,
                })?,
            requires: requires
                .unwrap_or_default()
                .iter()
                .map(require_of)
                .collect::<Result<_, _>>()
                .map_err(structure)?,
            configuration: configuration.clone(),
        };
        template.check().map_err(structure)?;
        Ok(template)
    }

    /// The declaration of a parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// Checks that every name used is declared, declared once, and that what may be absent is guarded.
    fn check(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for parameter in &self.parameters {
            if !names.insert(parameter.name.as_str()) {
                return Err(format!("parameter {} is declared twice", parameter.name));
            }
            if parameter.required && parameter.default.is_some() {
                return Err(format!(
                    "parameter {} is required and has a default",
                    parameter.name
                ));
            }
        }
        for require in &self.requires {
            for name in require.parameters() {
                self.declared(name)?;
            }
        }
        self.check_element(&self.configuration, &mut Vec::new())
    }

    fn check_element<'a>(&'a self, element: &'a Element, guards: &mut Vec<Condition>) -> Result<(), String> {
        let condition = condition_of(element)?;
        if let Some(condition) = &condition {
            self.declared(&condition.parameter)?;
            guards.push(condition.clone());
        }
        for (attribute, value) in &element.attributes {
            for name in placeholders(value)? {
                let parameter = self.declared(name)?;
                let always = parameter.required || parameter.default.is_some();
                let by_requirement = self
                    .requires
                    .iter()
                    .any(|require| require.guarantees(name, guards));
                if !always && !by_requirement && !guards.iter().any(|guard| guard.parameter == name) {
                    return Err(format!(
                        "<{}> uses {name}, which may have no value, in {attribute} without when=\"{name}\"",
                        element.name
                    ));
                }
            }
        }
        for child in &element.children {
            self.check_element(child, guards)?;
        }
        if condition.is_some() {
            guards.pop();
        }
        Ok(())
    }

    fn declared(&self, name: &str) -> Result<&Parameter, String> {
        self.parameter(name)
            .ok_or_else(|| format!("parameter {name} is used but not declared"))
    }
}

impl Require {
    fn parameters(&self) -> impl Iterator<Item = &str> {
        let (Requirement::Any(names) | Requirement::All(names) | Requirement::Different(names)) =
            &self.requirement;
        let condition = self.when.iter().map(|condition| condition.parameter.as_str());
        names.iter().map(String::as_str).chain(condition)
    }

    /// Whether `name` has a value wherever all of `guards` hold.
    fn guarantees(&self, name: &str, guards: &[Condition]) -> bool {
        let Requirement::All(names) = &self.requirement else {
            return false;
        };
        let applies = match &self.when {
            None => true,
            Some(condition) => guards.contains(condition),
        };
        applies && names.iter().any(|listed| listed == name)
    }
}

/// The `when` of an element.
///
/// # Errors
/// When it is empty.
pub(crate) fn condition_of(element: &Element) -> Result<Option<Condition>, String> {
    let Some(when) = element.attribute("when") else {
        return Ok(None);
    };
    let (parameter, value) = match when.split_once('=') {
        None => (when, None),
        Some((parameter, value)) => (parameter, Some(value.to_owned())),
    };
    if parameter.is_empty() {
        return Err(format!(
            "<{}> has when=\"{when}\" without a parameter",
            element.name
        ));
    }
    Ok(Some(Condition {
        parameter: parameter.to_owned(),
        value,
    }))
}

fn require_of(element: &Element) -> Result<Require, String> {
    let names = |attribute| {
        let list: Option<&str> = element.attribute(attribute);
        list.map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    };
    let requirement = names("any")
        .map(Requirement::Any)
        .or_else(|| names("all").map(Requirement::All))
        .or_else(|| names("different").map(Requirement::Different))
        .ok_or("a <require> has neither any, all nor different")?;
    Ok(Require {
        when: condition_of(element)?,
        requirement,
        shortdesc: element.attribute("shortdesc").unwrap_or_default().to_owned(),
    })
}

/// A piece of an attribute's value in a template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// As it stands.
    Text(&'a str),
    /// The value of this parameter.
    Placeholder(&'a str),
}

/// Splits an attribute's value at its placeholders.
///
/// # Errors
/// When a placeholder is not closed.
pub(crate) fn pieces(value: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = value;
    while let Some((text, after)) = rest.split_once("{{") {
        let (name, next) = after
            .split_once("}}")
            .ok_or_else(|| format!("\"{value}\" has a placeholder that is not closed"))?;
        pieces.push(Piece::Text(text));
        pieces.push(Piece::Placeholder(name));
        rest = next;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

fn placeholders(value: &str) -> Result<Vec<&str>, String> {
    let names = pieces(value)?.into_iter().filter_map(|piece| match piece {
        Piece::Placeholder(name) => Some(name),
        Piece::Text(_) => None,
    });
    Ok(names.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(parameters: &str, configuration: &str) -> Result<Template, TemplateError> {
        Template::parse(
            "t",
            &format!(
                "<template name='t'><parameters>{parameters}</parameters>\
                 <configuration>{configuration}</configuration></template>"
            ),
        )
    }

    #[test]
    fn a_placeholder_without_a_declaration_is_refused() {
        let error = parse("", "<a b='x{{nobody}}'/>").unwrap_err().to_string();
        assert_eq!(
            error,
            "read template t: parameter nobody is used but not declared"
        );
    }

    #[test]
    fn what_may_have_no_value_must_be_guarded() {
        let optional = "<parameter name='nic' type='string'/>";
        let error = parse(optional, "<a b='{{nic}}'/>").unwrap_err().to_string();
        assert!(error.contains("without when=\"nic\""), "{error}");
        assert!(parse(optional, "<a when='nic'><b c='{{nic}}'/></a>").is_ok());
    }

    #[test]
    fn a_parameter_declared_twice_is_refused() {
        let twice = "<parameter name='n' type='string'/><parameter name='n' type='node'/>";
        let error = parse(twice, "").unwrap_err().to_string();
        assert!(error.contains("declared twice"), "{error}");
    }

    #[test]
    fn a_placeholder_that_is_not_closed_is_refused() {
        let error = parse("", "<a b='{{n'/>").unwrap_err().to_string();
        assert!(error.contains("not closed"), "{error}");
    }

    #[test]
    fn a_file_without_a_configuration_is_refused() {
        let error = Template::parse("t", "<template/>").unwrap_err().to_string();
        assert!(error.contains("<configuration>"), "{error}");
    }
}
