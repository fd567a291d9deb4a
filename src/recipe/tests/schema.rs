//! `docs/derivation.schema.json` says what derivations really look like.

use serde_json::{Value, json};

use super::*;
use crate::model::{Label, StoreName};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../docs/derivation.schema.json")).unwrap()
}

/// What is wrong with `value`, by the keywords that the schema uses; any other keyword is an error of the schema.
fn check(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().unwrap() {
        check_keyword(root, schema, keyword, rule, value).map_err(|error| format!("{keyword}: {error}"))?;
    }
    Ok(())
}

fn check_keyword(root: &Value, schema: &Value, keyword: &str, rule: &Value, value: &Value) -> Result<(), String> {
    let require = |fits: bool| if fits { Ok(()) } else { Err(format!("{value} does not fit {rule}")) };
    let members = value.as_object().into_iter().flatten();
    match keyword {
        "$schema" | "$id" | "$defs" | "title" | "description" => Ok(()),
        "$ref" => check(root, root.pointer(rule.as_str().unwrap().strip_prefix('#').unwrap()).unwrap(), value),
        "const" => require(value == rule),
        "enum" => require(rule.as_array().unwrap().contains(value)),
        "type" => require(match rule.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "null" => value.is_null(),
            other => panic!("type {other}"),
        }),
        "required" => require(rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some())),
        "properties" => rule.as_object().unwrap().iter().try_for_each(|(name, rule)| match value.get(name) {
            Some(member) => check(root, rule, member).map_err(|error| format!("{name}: {error}")),
            None => Ok(()),
        }),
        "additionalProperties" => {
            let mut others = members.filter(|(name, _)| schema.pointer(&format!("/properties/{name}")).is_none());
            match rule {
                Value::Bool(false) => others.next().map_or(Ok(()), |(name, _)| Err(format!("`{name}` is not known"))),
                rule => others.try_for_each(|(_, member)| check(root, rule, member)),
            }
        }
        "propertyNames" => members.map(|(name, _)| json!(name)).try_for_each(|name| check(root, rule, &name)),
        "items" => value.as_array().into_iter().flatten().try_for_each(|item| check(root, rule, item)),
        "minItems" => require(value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap())),
        "uniqueItems" => require(value.as_array().is_none_or(|items| (0..items.len()).all(|end| !items[..end].contains(&items[end])))),
        "minimum" => require(value.as_u64().is_none_or(|number| number >= rule.as_u64().unwrap())),
        "oneOf" => require(rule.as_array().unwrap().iter().filter(|rule| check(root, rule, value).is_ok()).count() == 1),
        "pattern" => require(value.as_str().is_none_or(|text| matches(root, rule.as_str().unwrap(), text))),
        other => panic!("the schema uses `{other}`, which this test does not know"),
    }
}

/// The schema's patterns stand for kiln's own parsers.
fn matches(root: &Value, pattern: &str, text: &str) -> bool {
    let of = |name: &str| root["$defs"][name]["pattern"].as_str().unwrap() == pattern;
    match () {
        () if of("storeName") => text.parse::<StoreName>().is_ok(),
        () if of("storePath") => text.parse::<StorePath>().is_ok(),
        () if of("label") => text.parse::<Label>().is_ok(),
        () if of("sha256") => text.parse::<Sha256>().is_ok_and(|hash| hash.hex() == text),
        () => text.split('-').count() == 2 && text.chars().all(|c| c == '-' || c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit()),
    }
}

fn documents() -> Vec<Value> {
    let lowered = lowered(&super::golden::project().evaluate().unwrap(), &["runtime"]);
    lowered.graph.nodes().iter().map(|node| serde_json::from_str(&node.derivation.canonical().unwrap()).unwrap()).collect()
}

#[test]
fn derivations_of_each_kind_fit_the_schema() {
    let schema = schema();
    let documents = documents();
    assert_eq!(documents.len(), 6);
    for document in documents {
        check(&schema, &schema, &document).unwrap_or_else(|error| panic!("{error}\n{document}"));
    }
}

#[test]
fn a_resolved_derivation_fits_the_schema() {
    let (schema, lowered) = (schema(), lowered(&super::golden::project().evaluate().unwrap(), &["runtime"]));
    let path: StorePath = "/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep".parse().unwrap();
    for node in lowered.graph.nodes() {
        let resolved = node.derivation.map_inputs(|_| Ok::<_, Infallible>(path.clone())).unwrap();
        let document = serde_json::from_str(&resolved.canonical().unwrap()).unwrap();
        check(&schema, &schema, &document).unwrap_or_else(|error| panic!("{error}\n{document}"));
    }
}

#[test]
fn what_kiln_does_not_read_does_not_fit() {
    let schema = schema();
    let script = documents().into_iter().find(|document| document["builder"].get("script").is_some()).unwrap();
    let changes: &[(&str, Value)] = &[
        ("/version", json!(2)),
        ("/name", json!("a b")),
        ("/system", json!("Linux")),
        ("/inputs/src", json!({"object": "/nix/store/x"})),
        ("/inputs/src", json!({"object": "/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep", "more": 1})),
        ("/outputs/out", json!({"links": true})),
        ("/outputs/out/references", json!(["Self"])),
        ("/outputs", json!({})),
        ("/builder", json!({})),
        ("/builder/script/interpreter", json!([])),
        ("/builder/script/env", json!({"A": 1})),
        ("/builder/script/epoch", json!(0)),
        ("/builder/script", json!({"script": "x"})),
        ("/builder", json!({"fetch": {"sha256": "00"}})),
        ("/builder", json!({"builtin": {"kind": "merge/0", "arguments": {}}})),
    ];
    for (pointer, value) in changes {
        let mut document = script.clone();
        *document.pointer_mut(pointer).unwrap() = value.clone();
        assert!(check(&schema, &schema, &document).is_err(), "{pointer} = {value}");
    }
    let mut document = script;
    document.as_object_mut().unwrap().insert("extra".to_owned(), json!(1));
    assert!(check(&schema, &schema, &document).is_err());
}
