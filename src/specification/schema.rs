//! Checks a value against the embedded JSON Schema and says in people's words what it found.
//!
//! The schema chooses the branch of a union by its `type` (if/then), so that one wrong member is one fault. Hints come
//! from the schema's own descriptions: what it says to a reader, it says to the author of a fault.

use std::sync::LazyLock;

use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use crate::specification::fault::{FAULTS_MAX, FaultList, nearest, quoted};
use crate::specification::position;

/// The JSON Schema (2020-12) of a specification.
pub const SCHEMA: &str = include_str!("../../schemas/specification.schema.json");

static SCHEMA_VALUE: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(SCHEMA).unwrap_or_default());

static VALIDATOR: LazyLock<Result<Validator, String>> =
    LazyLock::new(|| jsonschema::draft202012::new(&SCHEMA_VALUE).map_err(|error| error.to_string()));

/// Reports everything in `value` that the schema does not allow.
pub(crate) fn check(value: &Value, list: &mut FaultList) {
    let validator = match &*VALIDATOR {
        Ok(validator) => validator,
        // The schema is part of the program and tested; refusing all is right if it were broken.
        Err(error) => return list.push("", format!("the embedded schema is broken: {error}"), None),
    };
    if validator.is_valid(value) {
        return;
    }
    for error in validator.iter_errors(value).take(FAULTS_MAX + 1) {
        report(&error, list);
    }
}

fn report(error: &ValidationError<'_>, list: &mut FaultList) {
    let pointer = error.instance_path().as_str();
    let node = schema_node(error.schema_path().as_str());
    let instance: &Value = error.instance();
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => report_unknown(pointer, unexpected, node, list),
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            list.push(pointer, format!("member {} is missing", quoted(name)), member_hint(node, name));
        }
        Kind::Enum { .. } | Kind::Constant { .. } => {
            list.push(pointer, format!("{} is not allowed here", shown(instance)), choice_hint(instance, node));
        }
        Kind::Type { .. } => {
            let message = format!("expected {}, found {}", expected_type(node), found_type(instance));
            list.push(pointer, message, type_hint(instance, node));
        }
        Kind::Pattern { .. } | Kind::MaxLength { .. } => {
            list.push(pointer, format!("{} is not allowed here", shown(instance)), description(node));
        }
        Kind::MaxItems { limit } => {
            let count = instance.as_array().map_or(0, Vec::len);
            list.push(pointer, format!("{count} elements are too many"), Some(format!("at most {limit} are allowed")));
        }
        Kind::MinItems { limit } => {
            list.push(pointer, "too few elements", Some(format!("at least {limit} is needed")));
        }
        _ => list.push(pointer, quoted(&error.to_string()), description(node)),
    }
}

fn report_unknown(pointer: &str, unexpected: &[String], node: &Value, list: &mut FaultList) {
    for name in unexpected {
        if list.is_full() {
            break;
        }
        let known = || node["properties"].as_object().into_iter().flat_map(|members| members.keys());
        let hint = match nearest(name, known().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`"),
            None => format!("known here are {}", known().map(String::as_str).collect::<Vec<_>>().join(", ")),
        };
        let mut member = pointer.to_owned();
        position::push_token(&mut member, name);
        list.push(&member, format!("unknown member {}", quoted(name)), Some(hint));
    }
}

/// The schema object that holds the keyword at `path`.
fn schema_node(path: &str) -> &'static Value {
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    SCHEMA_VALUE.pointer(parent).unwrap_or(&Value::Null)
}

fn description(node: &Value) -> Option<String> {
    node["description"].as_str().map(|text| text.trim_start_matches("dpm: ").to_owned())
}

/// What the schema says of a member, in its own place or where it refers to.
fn member_hint(node: &Value, name: &str) -> Option<String> {
    let member = &node["properties"][name];
    let referred = member["$ref"].as_str().map(|to| SCHEMA_VALUE.pointer(to.trim_start_matches('#')));
    let text = description(member).or_else(|| referred.flatten().and_then(description))?;
    Some(format!("add `{name}`: {text}"))
}

/// The values to choose from: those that the schema shows as examples where it also knows older names.
fn choice_hint(instance: &Value, node: &Value) -> Option<String> {
    let constant = std::slice::from_ref(&node["const"]);
    let choices = node["examples"].as_array().or(node["enum"].as_array()).map_or(constant, Vec::as_slice);
    let choices: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
    let near = instance.as_str().and_then(|word| nearest(word, choices.iter().copied()));
    let all = choices.join(", ");
    Some(match near {
        Some(near) => format!("did you mean `{near}`; allowed are {all}"),
        None => format!("allowed are {all}"),
    })
}

fn type_hint(instance: &Value, node: &Value) -> Option<String> {
    let is_keyword_value = std::ptr::eq(node, &SCHEMA_VALUE["$defs"]["namedKeyword"]["properties"]["value"]);
    if is_keyword_value && instance.is_null() {
        return Some("FITS has no null: leave the keyword out, or give \"\"".to_owned());
    }
    description(node)
}

/// The types that the schema asks for; null is left out, as it only means absent.
fn expected_type(node: &Value) -> String {
    let types = &node["type"];
    let types = types.as_array().map_or(std::slice::from_ref(types), Vec::as_slice);
    let names: Vec<&str> = types.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect();
    names.join(" or ")
}

fn found_type(instance: &Value) -> &'static str {
    match instance {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "real",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn shown(instance: &Value) -> String {
    match instance {
        Value::String(text) => quoted(text),
        Value::Array(_) | Value::Object(_) => format!("an {}", found_type(instance)),
        other => quoted(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::specification::document::TEXT_BYTES_MAX;
    use crate::specification::fault::FaultList;
    use crate::specification::schema::{SCHEMA, SCHEMA_VALUE, VALIDATOR, check};
    use crate::specification::validate::{KEYWORDS_MAX, SOURCES_MAX};

    #[test]
    fn the_schema_is_one() {
        assert!(SCHEMA.len() < TEXT_BYTES_MAX);
        assert!(jsonschema::draft202012::meta::is_valid(&SCHEMA_VALUE));
        assert!(VALIDATOR.is_ok());
        assert_eq!(SCHEMA_VALUE["properties"]["sources"]["maxItems"], json!(SOURCES_MAX));
        assert_eq!(SCHEMA_VALUE["$defs"]["fitsKeywords"]["properties"]["keywords"]["maxItems"], json!(KEYWORDS_MAX));
    }

    /// Every object that lists members refuses others.
    #[test]
    fn every_object_is_closed() {
        fn visit(node: &Value, path: &str) {
            match node {
                Value::Object(members) => {
                    let is_union = members.contains_key("allOf") || path.ends_with("/if");
                    if members.get("properties").is_some_and(Value::is_object) && !is_union {
                        assert_eq!(members.get("additionalProperties"), Some(&json!(false)), "{path}");
                    }
                    members.iter().for_each(|(name, member)| visit(member, &format!("{path}/{name}")));
                }
                Value::Array(items) => items.iter().for_each(|item| visit(item, path)),
                _ => {}
            }
        }
        visit(&SCHEMA_VALUE, "");
    }

    /// Hints are made of descriptions, so nothing that can be wrong goes without.
    #[test]
    fn every_named_type_is_described() {
        for (name, node) in SCHEMA_VALUE["$defs"].as_object().expect("definitions") {
            assert!(node["description"].is_string(), "{name}");
        }
    }

    #[test]
    fn a_hostile_number_of_faults_is_bounded() {
        let members: serde_json::Map<String, Value> = (0..100_000).map(|i| (format!("k{i}"), json!(0))).collect();
        let mut list = FaultList::default();
        check(&Value::Object(members), &mut list);
        assert!(list.is_full());
        let mut list = FaultList::default();
        check(&json!({"id": "a", "target": {"fileId": "a"}, "sources": vec![json!({"type": 1}); 9000]}), &mut list);
        assert_eq!(list.into_error("{}").faults.len(), 1001);
    }
}
