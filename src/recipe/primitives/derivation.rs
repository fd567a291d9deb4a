//! `derivation(...)`.

// The parameters of the Starlark function are those of the Rust function.
#![allow(clippy::too_many_arguments)]

use std::collections::{BTreeMap, BTreeSet};

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::none::NoneOr;

use crate::model::{AllowedReference, Label, OutputName, OutputPolicy, output_store_name};
use crate::recipe::artifact::{Artifact, MARK};
use crate::recipe::recipes::{ArtifactRef, RecipeKind};
use crate::recipe::refusal::Refusal;
use crate::recipe::session::{Session, call_span};

use super::arguments::{OptionalList, artifact, description as one_line, found, labelled, list, seconds, store_name, text, texts};

#[starlark_module]
pub(super) fn register(builder: &mut GlobalsBuilder) {
    /// Runs a script in the sandbox; what it leaves in `$out` is the artifact.
    fn derivation<'v>(
        name: &str,
        script: Value<'v>,
        root: Value<'v>,
        inputs: Option<Value<'v>>,
        env: Option<Value<'v>>,
        #[starlark(default = NoneOr::None)] outputs: OptionalList<'v>,
        #[starlark(default = NoneOr::None)] references: OptionalList<'v>,
        #[starlark(default = true)] links: bool,
        interpreter: Option<UnpackListOrTuple<Value<'v>>>,
        #[starlark(default = NoneOr::None)] timeout: NoneOr<i64>,
        #[starlark(default = NoneOr::None)] silence: NoneOr<i64>,
        #[starlark(default = "")] description: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Artifact> {
        let store_name = store_name(name)?;
        let script = text("script", script)?;
        let interpreter = interpreter.map_or_else(|| Ok(vec!["/bin/sh".to_owned(), "-eu".to_owned()]), |given| program(&given.items))?;
        let inputs = labelled("inputs", inputs)?;
        let env = texts("env", env)?;
        let outputs = output_names(name, outputs)?;
        for output in &outputs {
            output_store_name(&store_name, output).map_err(Refusal::from)?;
        }
        check_variables(name, &inputs, &env, &outputs)?;
        check_texts(name, &script, &env, &interpreter)?;
        let policy = OutputPolicy { references: allowed_references(name, references, &inputs)?, links };
        let kind = RecipeKind::Script {
            root: artifact("root", root)?.reference(),
            inputs,
            env,
            interpreter,
            script,
            timeout: seconds("timeout", timeout)?,
            silence: seconds("silence", silence)?,
        };
        let outputs = outputs.into_iter().map(|output| (output, policy.clone())).collect();
        Ok(Session::of(eval)?.add_with(store_name, one_line(description)?, call_span(eval), outputs, kind)?)
    }
}

fn program(values: &[Value<'_>]) -> Result<Vec<String>, Refusal> {
    let program = list("interpreter", values)?;
    match program.first() {
        None => Err(Refusal::Empty { parameter: "interpreter" }),
        Some(path) if !path.starts_with('/') => Err(Refusal::Interpreter { found: found(values[0]) }),
        Some(_) => Ok(program),
    }
}

fn output_names(derivation: &str, outputs: OptionalList<'_>) -> Result<BTreeSet<OutputName>, Refusal> {
    let NoneOr::Other(values) = outputs else { return Ok(BTreeSet::from([OutputName::out()])) };
    let error = |problem| Refusal::Outputs { derivation: derivation.to_owned(), problem };
    let mut names = BTreeSet::new();
    for name in list("outputs", &values.items)? {
        let name: OutputName = name.parse().map_err(|source| Refusal::Label { parameter: "outputs", source })?;
        if !names.insert(name) {
            return Err(error("names an output twice"));
        }
    }
    if names.contains(&OutputName::out()) { Ok(names) } else { Err(error("must hold `out`")) }
}

/// The policy that a list of names means; `None` if no list is given.
pub(super) fn allowed_references(
    derivation: &str,
    references: OptionalList<'_>,
    inputs: &BTreeMap<Label, ArtifactRef>,
) -> Result<Option<BTreeSet<AllowedReference>>, Refusal> {
    let NoneOr::Other(values) = references else { return Ok(None) };
    let mut allowed = BTreeSet::new();
    for name in list("references", &values.items)? {
        let reference = AllowedReference::from(name.clone());
        let known = !matches!(reference, AllowedReference::Input(_)) || inputs.keys().any(|label| label.as_str() == name);
        if !known {
            let labels = inputs.keys().map(ToString::to_string).chain(["root".to_owned(), "self".to_owned()]).collect();
            return Err(Refusal::UnknownReference { derivation: derivation.to_owned(), name, labels });
        }
        allowed.insert(reference);
    }
    Ok(Some(allowed))
}

/// Labels, outputs and `env` all become variables of the script: each name must have one meaning.
fn check_variables(
    derivation: &str,
    inputs: &BTreeMap<Label, ArtifactRef>,
    env: &BTreeMap<String, String>,
    outputs: &BTreeSet<OutputName>,
) -> Result<(), Refusal> {
    let same =
        |name: &str, first, second| Err(Refusal::SameVariable { derivation: derivation.to_owned(), name: name.to_owned(), first, second });
    for label in inputs.keys() {
        if matches!(label.as_str(), "root" | "self") {
            return Err(Refusal::ReservedLabel { label: label.to_string() });
        }
        if outputs.contains(label) {
            return same(label.as_str(), "an input", "an output");
        }
    }
    for name in env.keys() {
        let starts = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        if !starts || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(Refusal::VariableName { name: name.clone() });
        }
        if name.starts_with("KILN_") {
            return Err(Refusal::ReservedVariable { name: name.clone() });
        }
        let Ok(label) = name.parse::<Label>() else { continue };
        if inputs.contains_key(&label) {
            return same(name, "an input", "a variable in `env`");
        }
        if outputs.contains(&label) {
            return same(name, "an output", "a variable in `env`");
        }
    }
    Ok(())
}

/// Refuses an artifact that was formatted into a text: it would be `<artifact …>`, not a path.
fn check_texts(derivation: &str, script: &str, env: &BTreeMap<String, String>, interpreter: &[String]) -> Result<(), Refusal> {
    let env = env.iter().map(|(name, value)| (format!("env[\"{name}\"]"), value.as_str()));
    let program = interpreter.iter().enumerate().map(|(index, part)| (format!("interpreter[{index}]"), part.as_str()));
    for (parameter, value) in env.chain(program).chain([("script".to_owned(), script)]) {
        if let Some(start) = value.find(MARK) {
            let text: String = value[start..].chars().take_while(|c| *c != '\n').take(60).collect();
            let text = text.split_inclusive('>').next().unwrap_or_default().to_owned();
            return Err(Refusal::ArtifactAsText { derivation: derivation.to_owned(), parameter, text });
        }
    }
    Ok(())
}
