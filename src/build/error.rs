//! What can go wrong in a build.

use std::path::PathBuf;

use crate::cache::CacheError;
use crate::fsio::PathError;
use crate::model::{CanonicalError, DerivationHash, SourceSpan, StoreNameError, StorePath};
use crate::sandbox::SandboxError;
use crate::store::StoreError;

use super::builtin::BuiltinError;
use super::fetch::FetchError;
use super::plan::PlanError;

/// Why a build as a whole could not go on. Steps that fail are no errors of this kind: they are in [`super::Report`].
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No plan could be made.
    #[error(transparent)]
    Plan(#[from] PlanError<StoreError>),
    /// A thread could not be started, or died.
    #[error("cannot run the build's threads: {0}")]
    Threads(String),
}

/// A step that failed, with what is needed to find out why.
#[derive(Debug)]
pub struct StepFailure {
    /// The derivation's or source's name.
    pub name: String,
    /// The derivation; none for a source.
    pub derivation: Option<DerivationHash>,
    /// Where the recipe made it.
    pub span: Option<SourceSpan>,
    /// Why it failed.
    pub error: StepError,
    /// The last lines that the builder printed.
    pub tail: Vec<String>,
    /// Whether its sandbox was kept and can be entered.
    pub kept: bool,
    /// Whether the disk was full, so that nothing was kept.
    pub disk_full: bool,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The builder ended with a code other than 0.
    #[error("the builder ended with exit code {0}")]
    ExitCode(i32),
    /// A signal ended the builder.
    #[error("the builder was ended by signal {0}{more}", more = if *.0 == 9 { " (SIGKILL: out of memory?)" } else { "" })]
    Signal(i32),
    /// It took longer than it may.
    #[error("the builder took longer than {0} s")]
    TimedOut(u64),
    /// It printed nothing for longer than it may.
    #[error("the builder printed nothing for {0} s")]
    Silent(u64),
    /// The user stopped the build.
    #[error("stopped")]
    Stopped,
    /// The worker panicked.
    #[error("kiln itself failed, which is a fault of kiln: {0}")]
    Panicked(String),
    /// The derivation is for another system.
    #[error("it is for {wanted}, and this machine is {here}")]
    OtherSystem {
        /// The derivation's system.
        wanted: String,
        /// This machine's.
        here: String,
    },
    /// The builder ended well but did not make all outputs.
    #[error("the builder made no output `{output}` (nothing is at `${output}`)")]
    MissingOutput {
        /// The missing one.
        output: String,
    },
    /// Something beside the outputs lies in the store directory.
    #[error("the builder left `{entry}` in the store directory, which is none of its outputs")]
    StrayEntry {
        /// Its name.
        entry: String,
    },
    /// An output refers to something that its policy forbids.
    #[error("output `{output}` refers to {reference}{}, which its recipe does not allow", place(.file))]
    ForbiddenReference {
        /// The output.
        output: String,
        /// What it refers to.
        reference: StorePath,
        /// A file that does, relative to the output.
        file: Option<PathBuf>,
    },
    /// An output holds a symbolic link and may not.
    #[error("output `{output}` holds the symbolic link `{}`, and its recipe allows none", link.display())]
    ForbiddenLink {
        /// The output.
        output: String,
        /// The link, relative to the output.
        link: PathBuf,
    },
    /// An output needs its root to run, and does not say so.
    #[error("`{}` in output `{output}` is run by `{interpreter}` of the root, but the output has no file `.kiln-root`", file.display())]
    UnmarkedRoot {
        /// The output.
        output: String,
        /// The file, relative to the output.
        file: PathBuf,
        /// What would run it.
        interpreter: String,
    },
    /// An input was made for another root.
    #[error("input `{input}` needs the root {needs}, but this derivation's root is {has}")]
    OtherRoot {
        /// The input's label.
        input: String,
        /// The root that the input was made for.
        needs: String,
        /// The derivation's root.
        has: StorePath,
    },
    /// A root or input cannot be what the derivation uses it for.
    #[error("the root {0} is not a directory")]
    RootIsNoDirectory(StorePath),
    /// The recipe names a fetched file but not where it comes from.
    #[error("the derivation says nothing about where to fetch it")]
    NowhereToFetch,
    /// An output's name is too long.
    #[error(transparent)]
    Name(#[from] StoreNameError),
    /// The derivation has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// A fetch failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A builtin builder failed.
    #[error(transparent)]
    Builtin(#[from] BuiltinError),
    /// The sandbox could not be entered.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The store refused an output.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What came from a cache could not be kept.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A source of the project could not be read.
    #[error(transparent)]
    Source(#[from] super::source::SourceError),
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] PathError),
}

fn place(file: &Option<PathBuf>) -> String {
    // An output that is a file itself needs no place.
    let file = file.as_ref().filter(|file| !file.as_os_str().is_empty());
    file.map(|file| format!(" (in `{}`)", file.display())).unwrap_or_default()
}
