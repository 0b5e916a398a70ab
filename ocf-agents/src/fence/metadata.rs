//! What the fence agent says about itself, in the form that the fence-agents library prints.

use std::io;

use quick_xml::Writer;
use quick_xml::events::BytesText;

use crate::ocf::xml;

use super::NAME;
use super::action::FenceAction;
use super::options::{self, Alias, FenceOption};

const SHORT: &str = "Fence agent for the sibling of a BMC, by a hardware reset line";

const LONG: &str = "fence_bmc holds the sibling BMC in reset through a hardware line and waits for the proof that nothing \
                    runs on it any more.\n\n\
                    Where the hardware has a chassis-wide fencing lock, it is taken first, so that two BMCs that lost \
                    sight of each other cannot both shoot. Every BMC can reset its sibling only: use one stonith \
                    resource per BMC, kept off the BMC that it resets.";

/// The metadata document.
pub(super) fn document() -> io::Result<String> {
    let mut writer = xml::document()?;
    writer
        .create_element("resource-agent")
        .with_attributes([("name", NAME), ("shortdesc", SHORT)])
        .write_inner_content(|writer| {
            writer
                .create_element("longdesc")
                .write_text_content(BytesText::new(LONG))?;
            writer
                .create_element("vendor-url")
                .write_text_content(BytesText::new("https://www.openbmc.org"))?;
            writer
                .create_element("parameters")
                .write_inner_content(|writer| {
                    options::ALL
                        .iter()
                        .try_for_each(|option| write_option(writer, option))
                })?;
            writer.create_element("actions").write_inner_content(|writer| {
                FenceAction::ALL
                    .into_iter()
                    .try_for_each(|action| write_action(writer, action))
            })?;
            Ok(())
        })?;
    Ok(xml::finish(writer))
}

/// Help for a person at a terminal.
pub(super) fn usage() -> String {
    let mut text = format!(
        "{NAME}: {SHORT}\n\nusage: {NAME} [OPTION]...\n\nWithout options on the command line, name=value lines are read \
         from standard input.\n\n"
    );
    for option in options::ALL
        .iter()
        .filter(|option| option.alias != Alias::Deprecated)
    {
        let default = option
            .parameter
            .default()
            .map_or(String::new(), |default| format!(" [{default}]"));
        text.push_str(&format!(
            "  {:<34}{}{default}\n",
            forms(option),
            option.parameter.short()
        ));
    }
    text
}

/// An option as typed: `-n, --plug=[name]`.
fn forms(option: &FenceOption) -> String {
    let short = option
        .short
        .map_or(String::new(), |letter| format!("-{letter}, "));
    let value = option.value.map_or(String::new(), |value| format!("=[{value}]"));
    format!("{short}--{}{value}", option.long())
}

fn write_option(writer: &mut Writer<Vec<u8>>, option: &FenceOption) -> io::Result<()> {
    let parameter = option.parameter;
    // Which action is asked for is never a matter of configuration, and still the library calls it required.
    let required = if parameter.required() || parameter.name() == "action" {
        "1"
    } else {
        "0"
    };
    let mut element = writer.create_element("parameter").with_attributes([
        ("name", parameter.name()),
        ("unique", "0"),
        ("required", required),
    ]);
    element = match option.alias {
        Alias::None => element,
        Alias::Deprecated => element.with_attribute(("deprecated", "1")),
        Alias::Obsoletes(old) => element.with_attribute(("obsoletes", old)),
    };
    element.write_inner_content(|writer| {
        writer
            .create_element("getopt")
            .with_attribute(("mixed", forms(option).as_str()))
            .write_empty()?;
        let content = writer
            .create_element("content")
            .with_attribute(("type", option.content));
        match parameter.default() {
            Some(default) => content.with_attribute(("default", default)).write_empty()?,
            None => content.write_empty()?,
        };
        xml::text(writer, "shortdesc", parameter.short())
    })?;
    Ok(())
}

fn write_action(writer: &mut Writer<Vec<u8>>, action: FenceAction) -> io::Result<()> {
    let element = writer
        .create_element("action")
        .with_attribute(("name", action.name()));
    // A BMC that was fenced is let go by a person or by reboot, never because it joined.
    match action {
        FenceAction::On => element.with_attribute(("automatic", "0")).write_empty()?,
        _ => element.write_empty()?,
    };
    Ok(())
}
