//! The JSON Schema says what the loader says, and the documentation knows every key.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]
#![expect(clippy::panic, reason = "helpers of tests fail the test")]

mod support;

use bmc_sync_config::json_schema;
use regex::Regex;
use serde_json::Value;
use support::{bad_by_themselves, bad_together, good};

/// Whether `schema` accepts `value`: the part of draft 2020-12 that the schema uses. Any other keyword fails the
/// test, so that nothing is taken for checked that is not.
fn accepts(root: &Value, schema: &Value, value: &Value) -> bool {
    let Value::Object(keywords) = schema else {
        return schema == &Value::Bool(true);
    };
    let all = |schemas: &Value| {
        schemas
            .as_array()
            .unwrap()
            .iter()
            .all(|one| accepts(root, one, value))
    };
    let has = |key: &Value| value.get(key.as_str().unwrap()).is_some();
    let has_all = |keys: &Value| keys.as_array().unwrap().iter().all(has);
    let length = |text: &str| u64::try_from(text.chars().count()).unwrap();
    keywords.iter().all(|(keyword, wanted)| match keyword.as_str() {
        "$schema" | "$defs" | "title" | "description" | "format" => true,
        "then" | "else" => keywords.contains_key("if"),
        "$ref" => accepts(
            root,
            root.pointer(wanted.as_str().unwrap().strip_prefix('#').unwrap())
                .unwrap(),
            value,
        ),
        "type" => match wanted.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            other => panic!("type {other}"),
        },
        "enum" => wanted.as_array().unwrap().contains(value),
        "const" => wanted == value,
        "minimum" => value
            .as_i64()
            .is_none_or(|number| number >= wanted.as_i64().unwrap()),
        "maximum" => value
            .as_i64()
            .is_none_or(|number| number <= wanted.as_i64().unwrap()),
        "maxLength" => value
            .as_str()
            .is_none_or(|text| length(text) <= wanted.as_u64().unwrap()),
        "pattern" => {
            let pattern = Regex::new(wanted.as_str().unwrap()).unwrap();
            value.as_str().is_none_or(|text| pattern.is_match(text))
        }
        "required" => !value.is_object() || has_all(wanted),
        "properties" => wanted
            .as_object()
            .unwrap()
            .iter()
            .all(|(key, schema)| value.get(key).is_none_or(|member| accepts(root, schema, member))),
        "additionalProperties" => {
            let known = keywords["properties"].as_object().unwrap();
            assert_eq!(wanted, &Value::Bool(false));
            value
                .as_object()
                .is_none_or(|members| members.keys().all(|key| known.contains_key(key)))
        }
        "dependentRequired" => {
            let dependent = wanted.as_object().unwrap();
            dependent
                .iter()
                .all(|(key, others)| value.get(key).is_none() || has_all(others))
        }
        "items" => value
            .as_array()
            .is_none_or(|items| items.iter().all(|item| accepts(root, wanted, item))),
        "minItems" => value
            .as_array()
            .is_none_or(|items| items.len() as u64 >= wanted.as_u64().unwrap()),
        "uniqueItems" => value.as_array().is_none_or(|items| {
            let repeats = |index: usize| items[..index].contains(&items[index]);
            !(0..items.len()).any(repeats)
        }),
        "allOf" => all(wanted),
        "anyOf" => wanted
            .as_array()
            .unwrap()
            .iter()
            .any(|one| accepts(root, one, value)),
        "not" => !accepts(root, wanted, value),
        "if" => {
            let branch = if accepts(root, wanted, value) {
                "then"
            } else {
                "else"
            };
            keywords
                .get(branch)
                .is_none_or(|schema| accepts(root, schema, value))
        }
        other => panic!("keyword {other}"),
    })
}

fn accepted(schema: &Value, text: &str) -> bool {
    accepts(schema, schema, &serde_json::from_str(text).unwrap())
}

#[test]
fn the_schema_accepts_what_the_loader_accepts() {
    let schema = json_schema();
    for text in good() {
        assert!(accepted(&schema, &text), "{text}");
    }
    for list in ["common", "open-power", "newer"] {
        let path = format!("{}/tests/published/{list}.json", env!("CARGO_MANIFEST_DIR"));
        assert!(
            accepted(&schema, &std::fs::read_to_string(path).unwrap()),
            "{list}"
        );
    }
}

#[test]
fn the_schema_refuses_what_the_loader_refuses_unless_values_have_to_be_compared() {
    let schema = json_schema();
    for (text, _, told) in bad_by_themselves() {
        assert!(!accepted(&schema, &text), "{told}: {text}");
    }
    for (text, _, told) in bad_together() {
        assert!(
            accepted(&schema, &text),
            "no longer true of the schema's description: {told}"
        );
    }
}

/// Every key that stands anywhere in the schema.
fn keys(schema: &Value, found: &mut Vec<String>) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        found.extend(properties.keys().cloned());
    }
    for definition in schema
        .get("$defs")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|defs| defs.values())
    {
        keys(definition, found);
    }
}

#[test]
fn the_documentation_explains_every_key() {
    let documentation = include_str!("../../../docs/configuration.md");
    let mut names = Vec::new();
    keys(&json_schema(), &mut names);
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert!(
            documentation.contains(&format!("`{name}`")),
            "{name} is not explained"
        );
    }
}
