//! The templates that come with the program.

use crate::template::{Template, TemplateError};

/// Name and text of each, the usual one first.
const TEMPLATES: [(&str, &str); 1] = [("redundant-bmc", include_str!("../templates/redundant-bmc.xml"))];

/// Names of the templates.
pub fn names() -> impl Iterator<Item = &'static str> {
    TEMPLATES.iter().map(|(name, _)| *name)
}

/// The text of a template, as an administrator would read it.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    TEMPLATES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}

/// Reads a template; nothing when there is none of this name.
///
/// # Errors
/// [`TemplateError`] when the template itself is wrong.
pub fn load(name: &str) -> Result<Option<Template>, TemplateError> {
    text(name).map(|text| Template::parse(name, text)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_right_and_bears_its_name() {
        for name in names() {
            let template = load(name).unwrap().unwrap();
            assert_eq!(template.name, name);
            assert!(!template.shortdesc.is_empty() && !template.longdesc.is_empty());
            for parameter in &template.parameters {
                assert!(
                    !parameter.shortdesc.is_empty(),
                    "{} has no shortdesc",
                    parameter.name
                );
            }
        }
    }
}
