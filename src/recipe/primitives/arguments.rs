//! What primitives are given, checked: Starlark values in, kiln's types out.

use std::collections::BTreeMap;

use starlark::values::dict::DictRef;
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::none::NoneOr;
use starlark::values::{UnpackValue, Value};

use crate::model::{Label, Sha256, StoreName};
use crate::recipe::artifact::Artifact;
use crate::recipe::recipes::ArtifactRef;
use crate::recipe::refusal::Refusal;

/// A list of values, where `None` means that the list is not given.
pub(super) type OptionalList<'v> = NoneOr<UnpackListOrTuple<Value<'v>>>;

/// What `value` is, for messages: its type and the beginning of its text.
pub(super) fn found(value: Value<'_>) -> String {
    const MOST: usize = 40;
    let text = value.to_repr();
    let short: String = text.chars().take(MOST).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    match value.get_type() {
        "NoneType" => "None".to_owned(),
        "artifact" => format!("the {}", text.trim_matches(|c| c == '<' || c == '>')),
        kind => format!("{short}{dots} ({kind})"),
    }
}

fn wrong(parameter: impl Into<String>, wanted: &'static str, value: Value<'_>) -> Refusal {
    Refusal::WrongType { parameter: parameter.into(), wanted, found: found(value) }
}

/// A text without NUL characters.
pub(super) fn text(parameter: &str, value: Value<'_>) -> Result<String, Refusal> {
    let text = value.unpack_str().ok_or_else(|| wrong(parameter, "a string", value))?;
    if text.contains('\0') { Err(Refusal::Nul { parameter: parameter.to_owned() }) } else { Ok(text.to_owned()) }
}

/// An artifact.
pub(super) fn artifact<'v>(parameter: &str, value: Value<'v>) -> Result<&'v Artifact, Refusal> {
    Artifact::from_value(value).ok_or_else(|| wrong(parameter, "an artifact", value))
}

/// The members of a dict whose keys are strings.
fn members<'v>(parameter: &str, value: Value<'v>) -> Result<Vec<(String, Value<'v>)>, Refusal> {
    let dict = DictRef::from_value(value).ok_or_else(|| wrong(parameter, "a dict", value))?;
    let member = |(key, value): (Value<'v>, Value<'v>)| Ok((text(&format!("a key of {parameter}"), key)?, value));
    dict.iter().map(member).collect()
}

/// A dict from label to artifact.
pub(super) fn labelled(parameter: &'static str, value: Option<Value<'_>>) -> Result<BTreeMap<Label, ArtifactRef>, Refusal> {
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    let member = |(key, value): (String, Value<'_>)| {
        let label: Label = key.parse().map_err(|source| Refusal::Label { parameter, source })?;
        let reference = artifact(&format!("{parameter}[\"{key}\"]"), value)?.reference();
        Ok((label, reference))
    };
    members(parameter, value)?.into_iter().map(member).collect()
}

/// A dict from string to string.
pub(super) fn texts(parameter: &str, value: Option<Value<'_>>) -> Result<BTreeMap<String, String>, Refusal> {
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    let member = |(key, value): (String, Value<'_>)| {
        let value = text(&format!("{parameter}[\"{key}\"]"), value)?;
        Ok((key, value))
    };
    members(parameter, value)?.into_iter().map(member).collect()
}

/// A list of strings.
pub(super) fn list(parameter: &str, values: &[Value<'_>]) -> Result<Vec<String>, Refusal> {
    values.iter().enumerate().map(|(index, value)| text(&format!("{parameter}[{index}]"), *value)).collect()
}

/// One line of description.
pub(super) fn description(text: &str) -> Result<String, Refusal> {
    if text.contains(['\n', '\r', '\0']) { Err(Refusal::Description) } else { Ok(text.trim().to_owned()) }
}

/// A store name.
pub(super) fn store_name(text: &str) -> Result<StoreName, Refusal> {
    Ok(text.parse()?)
}

/// The store name given, or else one made from a file's name.
pub(super) fn name_or(name: NoneOr<&str>, file: &str) -> Result<StoreName, Refusal> {
    match name {
        NoneOr::Other(name) => store_name(name),
        NoneOr::None => Ok(StoreName::from_file_name(file)?),
    }
}

/// A SHA-256 digest.
pub(super) fn sha256(text: &str) -> Result<Sha256, Refusal> {
    Ok(text.parse()?)
}

/// A number of seconds.
pub(super) fn seconds(parameter: &'static str, value: NoneOr<i64>) -> Result<Option<u64>, Refusal> {
    match value {
        NoneOr::None => Ok(None),
        NoneOr::Other(number) if number > 0 => Ok(Some(number.unsigned_abs())),
        NoneOr::Other(found) => Err(Refusal::Number { parameter, wanted: "a positive number of seconds", found }),
    }
}

/// The strings of a value that is one string or a list of them.
pub(super) fn one_or_more(parameter: &str, value: Value<'_>) -> Result<Vec<String>, Refusal> {
    if value.unpack_str().is_some() {
        return Ok(vec![text(parameter, value)?]);
    }
    let values = UnpackListOrTuple::<Value<'_>>::unpack_value(value).ok().flatten();
    list(parameter, &values.ok_or_else(|| wrong(parameter, "a string or a list of strings", value))?.items)
}
