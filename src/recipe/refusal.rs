//! What kiln's primitives refuse. Evaluation adds the place; see [`super::RecipeFailure`].

use crate::model::{HashError, LabelError, StoreNameError};

use super::SourceFilterError;
use super::suggest::{DidYouMean, nearest};

/// A reason to refuse a call.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("`{parameter}` must be {wanted}, not {found}")]
    WrongType { parameter: String, wanted: &'static str, found: String },
    #[error(transparent)]
    StoreName(#[from] StoreNameError),
    #[error("in `{parameter}`: {source}")]
    Label { parameter: &'static str, source: LabelError },
    #[error("`{label}` cannot be an input's label, it has a meaning in `references`")]
    ReservedLabel { label: String },
    #[error("`${name}` is both {first} and {second} of `{derivation}`")]
    SameVariable { derivation: String, name: String, first: &'static str, second: &'static str },
    #[error("`{name}` cannot be an environment variable: expected a letter or `_`, then letters, digits and `_`")]
    VariableName { name: String },
    #[error("kiln sets the environment variable `{name}` itself")]
    ReservedVariable { name: String },
    #[error("`{parameter}` holds a NUL character")]
    Nul { parameter: String },
    #[error("`{parameter}` of `{derivation}` holds the text of an artifact, `{text}`")]
    ArtifactAsText { derivation: String, parameter: String, text: String },
    #[error("`outputs` of `{derivation}` {problem}")]
    Outputs { derivation: String, problem: &'static str },
    #[error("`references` of `{derivation}` names `{name}`, which is no input{}", DidYouMean(&nearest(.name, .labels.iter().map(String::as_str))))]
    UnknownReference { derivation: String, name: String, labels: Vec<String> },
    #[error("`interpreter` must be an absolute path and its first arguments, not {found}")]
    Interpreter { found: String },
    #[error("`{parameter}` must not be empty")]
    Empty { parameter: &'static str },
    #[error("`description` must be one line")]
    Description,
    #[error("`{parameter}` must be {wanted}, not {found}")]
    Number { parameter: &'static str, wanted: &'static str, found: i64 },
    #[error("artifact `{artifact}` has no output `{output}`; it has {}", list(.outputs))]
    NoOutput { artifact: String, output: String, outputs: Vec<String> },
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error("`{url}` is not an http or https address")]
    Url { url: String },
    #[error("`{file}` is not the name of a file on a package index")]
    IndexFile { file: String },
    #[error("`{path}` is not a path in a Debian pool, such as `pool/main/d/dash/dash_0.5.12-2_amd64.deb`")]
    PoolPath { path: String },
    #[error("unpack() does not apply patches")]
    UnpackPatches,
    #[error(transparent)]
    Exclude(#[from] SourceFilterError),
    #[error("`{path}` is the project itself, so the source needs a `name`")]
    UnnamedSource { path: String },
    #[error("`{lock}` is not a Debian lock: {reason}")]
    DebianLock { lock: String, reason: String },
    #[error("`{lock}` does not lock the package `{package}`{}", DidYouMean(.near))]
    NotLocked { lock: String, package: String, near: Vec<String> },
    #[error("`{lock}` is not complete: `{package}` depends on `{dependency}`, which is not in it")]
    LockIncomplete { lock: String, package: String, dependency: String },
    #[error("`{path}` in `links` is not a plain relative path")]
    LinkPath { path: String },
    #[error("`{path}` {problem}")]
    Path { path: String, problem: PathProblem },
    #[error("`{path}` is not JSON: {reason}")]
    Json { path: String, reason: String },
    #[error("`{name}` cannot name a parameter: expected a letter, then letters, digits, `_`, `-` and `.`")]
    ParamName { name: String },
    #[error("the parameter `{name}` has the default \"{first}\" at {span} and \"{second}\" here")]
    ParamDefaults { name: String, first: String, second: String, span: String },
    #[error("`load()` goes round in a circle: {}", .cycle.join(" → "))]
    LoadCycle { cycle: Vec<String> },
    #[error("the values of the file cannot be kept: {reason}")]
    Freeze { reason: String },
    #[error("`derivations/default.star` does not define `targets`{}", DidYouMean(.near))]
    NoTargets { near: Vec<String> },
    #[error("`targets` must be a dict from name to artifact, not {found}")]
    TargetsType { found: String },
    #[error("`{name}` cannot name a target: expected letters, digits, `.`, `_`, `+` and `-`")]
    TargetName { name: String },
    #[error("`targets[\"{name}\"]` must be an artifact, not {found}")]
    TargetType { name: String, found: String },
    #[error("the recipe needs more than {most_mib} MiB of memory")]
    Memory { most_mib: usize },
    #[error("the recipes take more than {most} steps")]
    Steps { most: u64 },
    #[error("more than {most} {what}")]
    TooMany { most: usize, what: &'static str },
}

/// Why a path in a recipe is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum PathProblem {
    #[error("is not a path of the project")]
    Malformed,
    #[error("leaves the project")]
    Leaves,
    #[error("is a link that leads out of the project, to `{0}`")]
    LinkLeaves(String),
    #[error("is outside `derivations/`, `patches/` and `VERSION`, the only places that recipes read")]
    OutsideAreas,
    #[error("is a link to `{0}`, which is outside `derivations/`, `patches/` and `VERSION`, the only places that recipes read")]
    LinkOutsideAreas(String),
    #[error("is outside `derivations/`, the only place that recipe files are loaded from")]
    OutsideDerivations,
    #[error("is no recipe file: its name does not end in `.star`")]
    NoRecipeFile,
    #[error("does not exist{}", DidYouMean(.0))]
    Missing(Vec<String>),
    #[error("is a directory")]
    Directory,
    #[error("is neither a file, a directory nor a link")]
    Special,
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    #[error("is larger than {0} MiB")]
    TooLarge(u64),
    #[error("is not UTF-8 text")]
    NotText,
}

impl Refusal {
    /// What to try.
    pub(super) fn hint(&self) -> Option<String> {
        let text = match self {
            Self::ArtifactAsText { .. } => {
                "name the artifact in `inputs` and write `$label` in the script: where it lies is known only in the build"
            }
            Self::Label { parameter: "layers", .. } => "it is only a label in the manifest, such as `six` for `site-packages.six`",
            Self::UnpackPatches => {
                "apply them in the script: `patch -p1 < \"$patches/0001-….patch\"` with `inputs = {\"patches\": source(\"//patches/…\")}`"
            }
            Self::NotLocked { .. } | Self::LockIncomplete { .. } => "run `kiln lock debian` with the packages that are needed",
            Self::Path { path, problem: PathProblem::Missing(near) } if near.is_empty() && path.contains("locks/") => {
                "`kiln lock debian PACKAGE…` or `kiln lock pypi PROJECT==VERSION…` writes a lock"
            }
            Self::Path { problem: PathProblem::OutsideAreas | PathProblem::LinkOutsideAreas(_), .. } => {
                "move the file under `derivations/`, or hand it to a build with source()"
            }
            Self::Path { problem: PathProblem::Malformed, .. } => {
                "`//a/b` is relative to the project, anything else to the directory of the recipe file; absolute paths are not allowed"
            }
            Self::Memory { .. } => "look for a list or text that grows in a loop",
            Self::Steps { .. } => "look for a loop over a large range, or loops within loops",
            Self::LoadCycle { .. } => "move what both files need into a third one",
            Self::NoTargets { .. } => "add `targets = {\"name\": artifact}` at its end",
            Self::Outputs { .. } => "scripts write their main result to `$out`, further ones to `$<name>`",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The refusal as an error of evaluation.
pub(super) fn refuse(refusal: Refusal) -> starlark::Error {
    starlark::Error::new_other(refusal)
}

impl From<Refusal> for starlark::Error {
    fn from(refusal: Refusal) -> Self {
        refuse(refusal)
    }
}
