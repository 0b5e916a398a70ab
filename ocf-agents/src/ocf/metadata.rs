//! What an agent says about itself: metadata for resource managers, usage for people.

use std::io;
use std::time::Duration;

use quick_xml::Writer;
use quick_xml::events::{BytesText, Event};

use super::{Action, Declared, Environment, ParameterError, Role, xml};

/// Version of the OCF Resource Agent API that the agents follow.
pub const API_VERSION: &str = "1.1";

/// An agent's description: the one place where its parameters and actions are listed.
pub struct Description {
    /// Name of the agent.
    pub name: &'static str,
    /// One line for lists.
    pub short: &'static str,
    /// Help.
    pub long: &'static str,
    /// Every parameter.
    pub parameters: &'static [&'static dyn Declared],
    /// Every action on offer.
    pub offers: &'static [Offer],
}

/// An action on offer, with what is advised for it.
#[derive(Debug)]
pub struct Offer {
    /// The action.
    pub action: Action,
    /// Least timeout that makes sense.
    pub timeout: Duration,
    /// How often, for a recurring action.
    pub interval: Option<Duration>,
    /// In which role only.
    pub role: Option<Role>,
}

impl Offer {
    /// An action without interval or role.
    #[must_use]
    pub const fn once(action: Action, timeout: Duration) -> Self {
        Self {
            action,
            timeout,
            interval: None,
            role: None,
        }
    }

    /// A recurring `monitor`.
    #[must_use]
    pub const fn monitor(timeout: Duration, interval: Duration, role: Option<Role>) -> Self {
        Self {
            action: Action::Monitor,
            timeout,
            interval: Some(interval),
            role,
        }
    }
}

impl Description {
    /// Whether the action is on offer.
    #[must_use]
    pub fn offers(&self, action: Action) -> bool {
        matches!(action, Action::MetaData | Action::Usage)
            || self.offers.iter().any(|offer| offer.action == action)
    }

    /// Checks each parameter by itself.
    ///
    /// # Errors
    /// The first [`ParameterError`].
    pub fn check_parameters(&self, environment: &Environment) -> Result<(), ParameterError> {
        self.parameters
            .iter()
            .try_for_each(|parameter| parameter.check(environment))
    }

    /// The metadata document. Validates against `ra-api-1.dtd` and `metadata.rng` of resource-agents.
    ///
    /// # Errors
    /// As [`xml::document`].
    pub fn metadata(&self) -> io::Result<String> {
        let mut writer = xml::document()?;
        // ocf-tester validates against the document type that the document names, in resource-agents' folder.
        let document_type = BytesText::from_escaped("resource-agent SYSTEM \"ra-api-1.dtd\"");
        writer.write_event(Event::DocType(document_type))?;
        writer
            .create_element("resource-agent")
            .with_attributes([("name", self.name), ("version", env!("CARGO_PKG_VERSION"))])
            .write_inner_content(|writer| {
                writer
                    .create_element("version")
                    .write_text_content(BytesText::new(API_VERSION))?;
                xml::text(writer, "longdesc", self.long)?;
                xml::text(writer, "shortdesc", self.short)?;
                writer
                    .create_element("parameters")
                    .write_inner_content(|writer| {
                        self.parameters
                            .iter()
                            .try_for_each(|parameter| write_parameter(writer, *parameter))
                    })?;
                writer.create_element("actions").write_inner_content(|writer| {
                    self.offers
                        .iter()
                        .try_for_each(|offer| write_offer(writer, offer))
                })?;
                Ok(())
            })?;
        Ok(xml::finish(writer))
    }

    /// Help for a person at a terminal.
    #[must_use]
    pub fn usage(&self) -> String {
        let mut actions: Vec<&str> = Vec::new();
        for offer in self.offers {
            if !actions.contains(&offer.action.name()) {
                actions.push(offer.action.name());
            }
        }
        let mut text = format!(
            "{}: {}\n\nusage: {} ACTION\n\nACTION is one of: {}\n\nParameters come from the environment:\n",
            self.name,
            self.short,
            self.name,
            actions.join(" ")
        );
        for parameter in self.parameters {
            let value = match (parameter.default(), parameter.required()) {
                (Some(default), _) => format!(" [{default}]"),
                (None, true) => " (required)".to_owned(),
                (None, false) => String::new(),
            };
            text.push_str(&format!(
                "  OCF_RESKEY_{}{value}\n      {}\n",
                parameter.name(),
                parameter.short()
            ));
        }
        text
    }
}

fn write_parameter(writer: &mut Writer<Vec<u8>>, parameter: &dyn Declared) -> io::Result<()> {
    let required = if parameter.required() { "1" } else { "0" };
    writer
        .create_element("parameter")
        .with_attributes([
            ("name", parameter.name()),
            ("required", required),
            ("unique", "0"),
        ])
        .write_inner_content(|writer| {
            xml::text(writer, "longdesc", parameter.long())?;
            xml::text(writer, "shortdesc", parameter.short())?;
            let content = writer
                .create_element("content")
                .with_attribute(("type", parameter.content_type()));
            match parameter.default() {
                Some(default) => content.with_attribute(("default", default)).write_empty()?,
                None => content.write_empty()?,
            };
            Ok(())
        })?;
    Ok(())
}

fn write_offer(writer: &mut Writer<Vec<u8>>, offer: &Offer) -> io::Result<()> {
    let seconds = |time: Duration| format!("{}s", time.as_secs());
    let mut element = writer
        .create_element("action")
        .with_attribute(("name", offer.action.name()))
        .with_attribute(("timeout", seconds(offer.timeout).as_str()));
    if let Some(interval) = offer.interval {
        element = element
            .with_attribute(("interval", seconds(interval).as_str()))
            .with_attribute(("depth", "0"));
    }
    if let Some(role) = offer.role {
        element = element.with_attribute(("role", role.name()));
    }
    element.write_empty()?;
    Ok(())
}
