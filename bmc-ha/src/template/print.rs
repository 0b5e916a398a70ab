//! Templates and their parameters, for people and for programs. No I/O here.

use cib_templates::Template;
use cib_templates::parameter::Parameter;
use serde_json::{Value, json};

use crate::terminal::{Paint, Tone};

/// Templates, one to a line.
pub(super) fn list(templates: &[Template], paint: Paint) -> String {
    templates
        .iter()
        .map(|template| {
            format!(
                "{}  {}\n",
                paint.paint(Tone::Strong, &template.name),
                template.shortdesc
            )
        })
        .collect()
}

/// A template's description and parameters.
pub(super) fn parameters(template: &Template, paint: Paint) -> String {
    let mut lines = vec![
        format!(
            "{}: {}",
            paint.paint(Tone::Strong, &template.name),
            template.shortdesc
        ),
        String::new(),
        template.longdesc.clone(),
        String::new(),
        paint.paint(Tone::Strong, "Parameters"),
    ];
    for parameter in &template.parameters {
        let name = paint.paint(Tone::Strong, &parameter.name);
        lines.push(format!("  {name}: {} ({})", parameter.kind, need(parameter)));
        lines.push(format!("      {}", parameter.shortdesc));
        if !parameter.longdesc.is_empty() {
            lines.push(format!("      {}", parameter.longdesc));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn need(parameter: &Parameter) -> String {
    match (&parameter.default, parameter.required) {
        (Some(default), _) => format!("default {default}"),
        (None, true) => "required".to_owned(),
        (None, false) => "optional".to_owned(),
    }
}

/// The same as JSON.
pub(super) fn document(template: &Template) -> Value {
    let parameters = template.parameters.iter().map(|parameter| {
        json!({
            "name": parameter.name,
            "type": parameter.kind.to_string(),
            "default": parameter.default,
            "required": parameter.required,
            "shortdesc": parameter.shortdesc,
            "longdesc": parameter.longdesc,
        })
    });
    json!({
        "name": template.name,
        "shortdesc": template.shortdesc,
        "longdesc": template.longdesc,
        "parameters": parameters.collect::<Vec<_>>(),
    })
}
