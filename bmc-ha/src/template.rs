//! `bmc-ha template`: list, show, render, verify, apply.

mod print;
mod push;

pub(crate) use push::{Pushed, push};

use anyhow::Context;
use cib_templates::cluster::{empty, merge_into, verify};
use cib_templates::fill::{fill, read_back};
use cib_templates::values::Origin;
use cib_templates::xml::Element;
use cib_templates::{Cib, Filled, Template, Values, library};
use serde_json::json;

use crate::cli::{FillArgs, Format, TemplateCommand, ValueArgs};
use crate::exit::{Exit, UsageError};
use crate::terminal::{Paint, print as print_text, print_json, print_refusal};

/// Does what was asked and prints.
pub(crate) fn run(command: &TemplateCommand, format: Format) -> anyhow::Result<Exit> {
    match command {
        TemplateCommand::List => list(format)?,
        TemplateCommand::Show { name, source } => show(name, *source, format)?,
        TemplateCommand::Render(arguments) => render(arguments, format)?,
        TemplateCommand::Verify(arguments) => check(arguments, format)?,
        TemplateCommand::Apply { fill, force } => return apply(fill, *force, format),
    }
    Ok(Exit::Done)
}

/// A template by its name.
pub(crate) fn named(name: &str) -> anyhow::Result<Template> {
    library::load(name)?.ok_or_else(|| {
        let known: Vec<_> = library::names().collect();
        UsageError::new(format!(
            "there is no template {name}; there is: {}",
            known.join(", ")
        ))
        .into()
    })
}

/// Values from the command line: files first, then single values.
pub(crate) fn given(arguments: &ValueArgs) -> anyhow::Result<Values> {
    let mut values = Values::new();
    for file in &arguments.files {
        values.read_file(file).map_err(UsageError::new)?;
    }
    for argument in &arguments.values {
        values.set_argument(argument).map_err(UsageError::new)?;
    }
    Ok(values)
}

fn list(format: Format) -> anyhow::Result<()> {
    let templates = library::names().map(named).collect::<anyhow::Result<Vec<_>>>()?;
    match format {
        Format::Json => {
            let entry = |template: &Template| json!({"name": template.name, "shortdesc": template.shortdesc});
            print_json(&templates.iter().map(entry).collect::<Vec<_>>())?;
        }
        Format::Text => print_text(&print::list(&templates, Paint::for_stdout()))?,
    }
    Ok(())
}

fn show(name: &str, source: bool, format: Format) -> anyhow::Result<()> {
    let template = named(name)?;
    let text = library::text(name).unwrap_or_default();
    match (format, source) {
        (Format::Json, true) => print_json(&json!({"name": name, "source": text}))?,
        (Format::Text, true) => print_text(text)?,
        (Format::Json, false) => print_json(&print::document(&template))?,
        (Format::Text, false) => print_text(&print::parameters(&template, Paint::for_stdout()))?,
    }
    Ok(())
}

fn render(arguments: &FillArgs, format: Format) -> anyhow::Result<()> {
    let filled = filled(arguments)?;
    let document = filled.configuration.to_document()?;
    match format {
        Format::Json => {
            let values: serde_json::Map<_, _> = filled
                .values
                .iter()
                .map(|(name, value, _)| (name.to_owned(), json!(value)))
                .collect();
            print_json(&json!({"template": arguments.name, "values": values, "configuration": document}))?;
        }
        Format::Text => print_text(&document)?,
    }
    Ok(())
}

fn check(arguments: &FillArgs, format: Format) -> anyhow::Result<()> {
    let filled = filled(arguments)?;
    // Without a cluster there is still the schema, and the scheduler.
    let cib = Cib::live().query().or_else(|_| empty())?;
    let candidate = merge_into(cib, &filled)?;
    let warnings = verify(&candidate.wanted).with_context(|| format!("verify {}", arguments.name))?;
    match format {
        Format::Json => print_json(&json!({"valid": true, "warnings": warnings}))?,
        Format::Text => {
            let warnings = warnings.iter().map(|warning| format!("warning: {warning}\n"));
            print_text(&format!(
                "{} and its values are valid\n{}",
                arguments.name,
                warnings.collect::<String>()
            ))?;
        }
    }
    Ok(())
}

fn apply(arguments: &FillArgs, force: bool, format: Format) -> anyhow::Result<Exit> {
    let filled = filled(arguments)?;
    let pushed = push(&filled, force).with_context(|| format!("apply {}", arguments.name))?;
    if let Pushed::Refused(reasons) = &pushed {
        print_refusal(format, &format!("to apply {}", arguments.name), reasons)?;
        return Ok(Exit::Refused);
    }
    let changed = pushed == Pushed::Changed;
    match format {
        Format::Json => print_json(&json!({"changed": changed}))?,
        Format::Text if changed => print_text(&format!("{} is applied\n", arguments.name))?,
        Format::Text => print_text(&format!(
            "{} was applied already; nothing changed\n",
            arguments.name
        ))?,
    }
    Ok(Exit::Done)
}

fn filled(arguments: &FillArgs) -> anyhow::Result<Filled> {
    let template = named(&arguments.name)?;
    let mut values = given(&arguments.values)?;
    if arguments.keep {
        let cib = Cib::live().query()?;
        keep(&template, &cib, &mut values);
    }
    Ok(fill(&template, &values).map_err(UsageError::new)?)
}

/// Adds the values that a cluster has now to those that were given.
fn keep(template: &Template, cib: &Element, values: &mut Values) {
    let Some(configuration) = cib.child("configuration") else {
        return;
    };
    // Names of nodes are parts of ids, so that they have to be known before anything can be found.
    let nodes = configuration
        .child("nodes")
        .map(|nodes| nodes.children.as_slice());
    let names = nodes
        .unwrap_or_default()
        .iter()
        .filter_map(|node| node.attribute("uname"));
    for (parameter, name) in ["node0", "node1"].into_iter().zip(names) {
        values.set_if_absent(parameter, name, Origin::Cluster);
    }
    for (name, value, origin) in read_back(template, configuration, &values.clone()).iter() {
        values.set_if_absent(name, value, origin.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::fixtures;

    #[test]
    fn an_unknown_template_is_named_with_those_that_there_are() {
        let error = named("no-such").map(drop).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Usage);
        assert!(error.to_string().contains("redundant-bmc"), "{error}");
    }

    #[test]
    fn values_of_the_cluster_are_kept_and_given_ones_win() {
        let template = named("redundant-bmc").unwrap();
        let mut values = Values::new();
        values.set_argument("policy=external").unwrap();
        keep(&template, &fixtures::cib(), &mut values);
        let value = |name: &str| values.get(name).map(|(value, _)| value);
        assert_eq!(value("policy"), Some("external"));
        assert_eq!(value("node1"), Some("bmc1"));
        assert_eq!(value("mux_grant_file"), Some("/run/chassis/mux/grant"));
        fill(&template, &values).unwrap();
    }
}
