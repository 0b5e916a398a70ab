//! The JSON Schema of a list, written from the table of keys.

use serde_json::{Map, Value, json};

use crate::duration;
use crate::keys::{DOCUMENT, Object, Relation, Shape};
use crate::path;
use crate::service;

/// The JSON Schema (draft 2020-12) of a list, for editors and for the builds of firmware images.
///
/// It refuses what the loader refuses, but for what a schema cannot say: that no two entries overlap, that listed
/// paths lie in their directory and are replicated, that a key stands once, and how long a time may be.
#[must_use]
pub fn json_schema() -> Value {
    let mut definitions = Map::new();
    let mut schema = object(&DOCUMENT, &mut definitions);
    schema.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    schema.insert("title".to_owned(), json!("Data sync list of bmc-ha"));
    schema.insert("$defs".to_owned(), Value::Object(definitions));
    Value::Object(schema)
}

/// The schema of an object. The objects that it holds go to `definitions`.
fn object(object: &Object, definitions: &mut Map<String, Value>) -> Map<String, Value> {
    let mut properties = Map::new();
    for key in object.keys {
        let mut schema = shape(&key.shape, definitions);
        schema.insert("description".to_owned(), json!(key.says));
        properties.insert(key.name.to_owned(), Value::Object(schema));
    }
    let required: Vec<&str> = object
        .keys
        .iter()
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
    let relations: Vec<Value> = object
        .relations
        .iter()
        .map(|one| relation(one, definitions))
        .collect();
    let mut schema = Map::new();
    schema.insert("description".to_owned(), json!(object.says));
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema.insert("required".to_owned(), json!(required));
    schema.insert("additionalProperties".to_owned(), json!(false));
    schema.insert("allOf".to_owned(), json!(relations));
    schema
}

fn shape(wanted: &Shape, definitions: &mut Map<String, Value>) -> Map<String, Value> {
    let schema = match wanted {
        Shape::Text => json!({"type": "string"}),
        Shape::FilePath => path_schema(path::FILE_PATTERN),
        Shape::DirectoryPath => path_schema(path::DIRECTORY_PATTERN),
        Shape::AnyPath => path_schema(path::ANY_PATTERN),
        Shape::Choice(words) => json!({"enum": words}),
        Shape::Whole(range) => json!({"type": "integer", "minimum": range.start(), "maximum": range.end()}),
        Shape::Duration => json!({
            "type": "string",
            "format": "duration",
            "pattern": duration::PATTERN,
            "allOf": [{"pattern": duration::SOME_PATTERN}],
        }),
        Shape::UnitName => name_schema(service::UNIT_PATTERN),
        Shape::BusName => name_schema(service::BUS_PATTERN),
        Shape::List(item) => {
            let items = Value::Object(shape(item, definitions));
            json!({"type": "array", "items": items, "minItems": 1, "uniqueItems": true})
        }
        Shape::Object(inner) => {
            let definition = Value::Object(object(inner, definitions));
            definitions.insert(inner.name.to_owned(), definition);
            json!({"$ref": format!("#/$defs/{}", inner.name)})
        }
    };
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

fn path_schema(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern, "maxLength": path::MAX_PATH_BYTES})
}

fn name_schema(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern, "maxLength": service::MAX_NAME_BYTES})
}

fn relation(relation: &Relation, definitions: &mut Map<String, Value>) -> Value {
    match relation {
        Relation::AnyOf(keys) => {
            let each: Vec<Value> = keys.iter().map(|key| json!({"required": [key]})).collect();
            json!({"anyOf": each})
        }
        Relation::Together(one, other) => json!({"dependentRequired": {*one: [other], *other: [one]}}),
        Relation::Apart { keys, .. } => json!({"not": {"required": keys}}),
        Relation::OnlyWhere {
            key,
            other,
            values,
            needed,
            ..
        } => json!({
            "if": {"properties": {*other: {"enum": values}}, "required": [other]},
            "then": if needed.is_some() { json!({"required": [key]}) } else { json!(true) },
            "else": {"not": {"required": [key]}},
        }),
        Relation::ItemsWhere {
            key,
            other,
            value,
            shape: items,
        } => json!({
            "if": {"properties": {*other: {"const": value}}, "required": [other]},
            "then": {"properties": {*key: {"items": shape(items, definitions)}}},
        }),
    }
}
