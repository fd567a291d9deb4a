//! Derivations: what to build, as a value whose canonical JSON is hashed.
//!
//! [`Derivation`] is one type for both of its stages: over [`Input`] it names other derivations, over [`StorePath`] it is
//! *resolved*, that is, it names what those came out as. The hash of the first names the step in a graph, the hash of the second
//! is the key of build traces.
//!
//! The hash covers what can change the result and nothing else: time limits, core counts, mirrors and source spans live in
//! [`super::Hints`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{CanonicalError, Sha256, StoreName, StorePath, canonical_json, flat_path};

/// The sandbox epoch: raised when the default environment, `/dev` or the syscall filter changes what a builder may see.
pub const EPOCH: u32 = 1;

/// Version of the derivation document, its field `version`.
const VERSION: u32 = 1;

/// The name by which a script knows an input or output: `[a-z_][a-z0-9_]*`, at most 64 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(Box<str>);

/// An output's name; `out` is the default one.
pub type OutputName = Label;

/// A text that cannot be a label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be a label: expected a lower-case letter or `_`, then letters, digits and `_`, at most 64")]
pub struct LabelError(String);

impl Label {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the default output, `out`.
    pub fn out() -> Self {
        Self("out".into())
    }
}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let starts = text.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
        let fits = text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if starts && fits { Ok(Self(text.into())) } else { Err(LabelError(text.to_owned())) }
    }
}

impl TryFrom<String> for Label {
    type Error = LabelError;

    fn try_from(text: String) -> Result<Self, LabelError> {
        text.parse()
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0.into()
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The hash of a derivation's canonical JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DerivationHash(pub Sha256);

impl fmt::Display for DerivationHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a derivation names as an input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// An output of another derivation.
    Output {
        /// Which derivation.
        derivation: DerivationHash,
        /// Which of its outputs.
        output: OutputName,
    },
    /// An object that is in the store already, such as a source tree.
    Object(StorePath),
}

/// One step of building. `I` is [`Input`], or [`StorePath`] once resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derivation<I = Input> {
    /// The document's version.
    version: u32,
    /// The name that the outputs' store paths carry.
    pub name: StoreName,
    /// The machine and system that the builder runs on, such as `x86_64-linux`.
    pub system: String,
    /// What is visible to the builder under `$label`.
    pub inputs: BTreeMap<Label, I>,
    /// What the builder must make, and what that may hold.
    pub outputs: BTreeMap<OutputName, OutputPolicy>,
    /// What is run.
    pub builder: Builder<I>,
}

/// A derivation whose inputs are store paths: the key under which results are remembered.
pub type ResolvedDerivation = Derivation<StorePath>;

/// Who makes the outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Builder<I = Input> {
    /// A script, in the sandbox.
    Script(ScriptBuilder<I>),
    /// One of kiln's own builders.
    Builtin(BuiltinBuilder),
    /// kiln's fetchers; the result is declared.
    Fetch(Fetch),
}

/// A script and the sandbox it runs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptBuilder<I = Input> {
    /// The object whose tree is laid out as `/`.
    pub root: I,
    /// Program and first arguments; the script's path follows.
    pub interpreter: Vec<String>,
    /// The script's text.
    pub script: String,
    /// Environment variables beside the fixed ones.
    pub env: BTreeMap<String, String>,
    /// [`EPOCH`] at the time of evaluation.
    pub epoch: u32,
}

/// A builder that is part of kiln, such as `merge/1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuiltinBuilder {
    /// Name and version; the version is raised when equal input would give other bytes.
    pub kind: String,
    /// What it is told. Store paths never stand here: they are inputs.
    pub arguments: serde_json::Value,
}

/// A fetched file: its content is declared, so where it comes from is no part of this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// The file's SHA-256.
    pub sha256: Sha256,
}

/// What an output may hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputPolicy {
    /// What it may refer to; `None` allows whatever the builder could see.
    pub references: Option<BTreeSet<AllowedReference>>,
    /// Whether symbolic links may be in it.
    pub links: bool,
}

impl Default for OutputPolicy {
    fn default() -> Self {
        Self { references: None, links: true }
    }
}

/// Something that an output is allowed to refer to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum AllowedReference {
    /// Itself and the other outputs; written `self`.
    Itself,
    /// The root; written `root`.
    Root,
    /// An input and its closure; written as its label.
    Input(String),
}

impl From<String> for AllowedReference {
    fn from(text: String) -> Self {
        match text.as_str() {
            "self" => Self::Itself,
            "root" => Self::Root,
            _ => Self::Input(text),
        }
    }
}

impl From<AllowedReference> for String {
    fn from(allowed: AllowedReference) -> Self {
        match allowed {
            AllowedReference::Itself => "self".to_owned(),
            AllowedReference::Root => "root".to_owned(),
            AllowedReference::Input(label) => label,
        }
    }
}

/// The name in the store path of `output`: `out` has the derivation's name, any other `<name>-<output>`.
///
/// # Errors
/// If the two together are too long for a store name.
pub fn output_store_name(name: &StoreName, output: &OutputName) -> Result<StoreName, super::StoreNameError> {
    if *output == OutputName::out() { Ok(name.clone()) } else { format!("{name}-{output}").parse() }
}

impl<I: Clone + Serialize> Derivation<I> {
    /// Puts a derivation together.
    pub fn new(
        name: StoreName,
        system: String,
        inputs: BTreeMap<Label, I>,
        outputs: BTreeMap<OutputName, OutputPolicy>,
        builder: Builder<I>,
    ) -> Self {
        Self { version: VERSION, name, system, inputs, outputs, builder }
    }

    /// The canonical JSON that is hashed and stored.
    ///
    /// # Errors
    /// If a builtin's arguments hold a number that is no integer.
    pub fn canonical(&self) -> Result<String, CanonicalError> {
        canonical_json(self)
    }

    /// The SHA-256 of [`Self::canonical`].
    ///
    /// # Errors
    /// As [`Self::canonical`].
    pub fn hash(&self) -> Result<DerivationHash, CanonicalError> {
        Ok(DerivationHash(Sha256::of(self.canonical()?)))
    }

    /// The store path that is known before anything is fetched or built: that of a fetched file.
    pub fn known_path(&self) -> Option<StorePath> {
        match &self.builder {
            Builder::Fetch(fetch) => Some(flat_path(&self.name, &fetch.sha256)),
            _ => None,
        }
    }

    /// All inputs, the root included.
    pub fn all_inputs(&self) -> impl Iterator<Item = &I> {
        let root = match &self.builder {
            Builder::Script(script) => Some(&script.root),
            _ => None,
        };
        self.inputs.values().chain(root)
    }

    /// The same derivation with each input replaced by what `replace` says.
    ///
    /// # Errors
    /// The first error of `replace`.
    pub fn map_inputs<J, E>(&self, mut replace: impl FnMut(&I) -> Result<J, E>) -> Result<Derivation<J>, E> {
        let inputs = self.inputs.iter().map(|(label, input)| Ok((label.clone(), replace(input)?))).collect::<Result<_, E>>()?;
        let builder = match &self.builder {
            Builder::Script(script) => Builder::Script(ScriptBuilder {
                root: replace(&script.root)?,
                interpreter: script.interpreter.clone(),
                script: script.script.clone(),
                env: script.env.clone(),
                epoch: script.epoch,
            }),
            Builder::Builtin(builtin) => Builder::Builtin(builtin.clone()),
            Builder::Fetch(fetch) => Builder::Fetch(fetch.clone()),
        };
        Ok(Derivation {
            version: self.version,
            name: self.name.clone(),
            system: self.system.clone(),
            inputs,
            outputs: self.outputs.clone(),
            builder,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Derivation {
        let root = Input::Object("/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep".parse().unwrap());
        let script = ScriptBuilder {
            root: root.clone(),
            interpreter: vec!["/bin/sh".into(), "-eu".into()],
            script: "echo hello > $out\n".into(),
            env: BTreeMap::from([("GREETING".into(), "hello".into())]),
            epoch: 1,
        };
        let policy = OutputPolicy { references: Some(BTreeSet::from([AllowedReference::Itself, AllowedReference::Root])), links: false };
        Derivation::new(
            "hello".parse().unwrap(),
            "x86_64-linux".into(),
            BTreeMap::from([("dep".parse().unwrap(), root)]),
            BTreeMap::from([(OutputName::out(), policy)]),
            Builder::Script(script),
        )
    }

    #[test]
    fn the_canonical_form_is_pinned() {
        let derivation = example();
        assert_eq!(
            derivation.canonical().unwrap(),
            concat!(
                r#"{"builder":{"script":{"env":{"GREETING":"hello"},"epoch":1,"interpreter":["/bin/sh","-eu"],"#,
                r#""root":{"object":"/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep"},"script":"echo hello > $out\n"}},"#,
                r#""inputs":{"dep":{"object":"/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep"}},"name":"hello","#,
                r#""outputs":{"out":{"links":false,"references":["self","root"]}},"system":"x86_64-linux","version":1}"#
            )
        );
        assert_eq!(derivation.hash().unwrap().to_string(), Sha256::of(derivation.canonical().unwrap()).hex());
    }

    #[test]
    fn a_derivation_reads_what_it_writes() {
        let derivation = example();
        let read: Derivation = serde_json::from_str(&derivation.canonical().unwrap()).unwrap();
        assert_eq!(read, derivation);
    }

    #[test]
    fn resolving_keeps_everything_but_the_inputs() {
        let resolved: ResolvedDerivation = example()
            .map_inputs(|input| match input {
                Input::Object(path) => Ok::<_, std::convert::Infallible>(path.clone()),
                Input::Output { .. } => unreachable!(),
            })
            .unwrap();
        assert_eq!(resolved.all_inputs().count(), 2);
        assert_eq!(resolved.outputs, example().outputs);
    }

    #[test]
    fn labels_are_shell_names() {
        for bad in ["", "A", "1a", "a-b", "a b", &"a".repeat(65)] {
            assert!(bad.parse::<Label>().is_err(), "{bad}");
        }
        assert!("host_python3".parse::<Label>().is_ok());
    }
}
