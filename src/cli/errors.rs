//! The library's errors as the user sees them: the same words, with advice and an exit code.

use std::io;
use std::path::Path;

use crate::archive::ArchiveError;
use crate::build::builtin::BuiltinError;
use crate::build::config::ConfigError;
use crate::build::fetch::FetchError;
use crate::build::lock::LockError;
use crate::build::plan::PlanError;
use crate::build::{BuildError, StepError, StepFailure};
use crate::cache::CacheError;
use crate::fsio::{PathError, is_disk_full};
use crate::sandbox::{Layer, SandboxError};
use crate::store::StoreError;

use super::exit;
use super::failure::Failure;
use super::ui::{self, DIM, paint};

const DISK_FULL: &str = "the disk is full: make room (`kiln gc` removes what nothing holds), then run the same command again";

/// What errors call standard output: its disk is not the store's.
pub const STANDARD_OUTPUT: &str = "standard output";

impl From<PathError> for Failure {
    fn from(error: PathError) -> Self {
        let failure = Self::new(&error);
        let elsewhere = error.path == Path::new(STANDARD_OUTPUT);
        if error.is_disk_full() && !elsewhere { failure.hint(DISK_FULL) } else { failure }
    }
}

/// The same failure of something that happens at `place`: a full disk there is no matter of the store's, and collecting that would not help.
pub fn elsewhere(mut failure: Failure, place: impl std::fmt::Display) -> Failure {
    let before = failure.hints.len();
    failure.hints.retain(|hint| hint != DISK_FULL);
    if failure.hints.len() < before {
        failure.hints.push(format!("make room on the disk of {place}: a few MiB of something else, then run the same command again"));
    }
    failure
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::request(&error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let failure = Self::new(&error);
        if let StoreError::Archive(ArchiveError::Write(_)) = &error {
            // Not the store's disk, but where the archive goes.
            return failure;
        }
        if error.is_disk_full() {
            return failure.hint(DISK_FULL);
        }
        match error {
            StoreError::NotAStore { .. } => failure
                .code(exit::BAD_REQUEST)
                .hint("`kiln build` and `kiln store add` make a store where there is none; `--store DIR` names another"),
            StoreError::NoMatch { .. } => failure.code(exit::BAD_REQUEST).hint("`kiln store ls` lists all objects"),
            StoreError::Ambiguous { .. } => failure.code(exit::BAD_REQUEST).hint("give more of the digest"),
            StoreError::OtherFormat { .. } => {
                failure.code(exit::BAD_REQUEST).hint("use the kiln that made it, or another store (`--store DIR`); nothing was changed")
            }
            _ => failure,
        }
    }
}

impl From<CacheError> for Failure {
    fn from(error: CacheError) -> Self {
        let failure = Self::new(&error);
        match error {
            CacheError::Store(error) => error.into(),
            CacheError::Io(error) => error.into(),
            CacheError::Stopped => failure.code(exit::INTERRUPTED),
            CacheError::BadAddress { .. } | CacheError::Name(_) | CacheError::Key(_) => failure.code(exit::BAD_REQUEST),
            CacheError::Unsealed { .. } => failure.hint("build it again without `--sandbox=relaxed`, then push it"),
            CacheError::Lie { .. } => failure.code(exit::DAMAGED),
            CacheError::Refused { cache, reason, .. } if reason.contains("(status 401)") || reason.contains("(status 403)") => {
                failure.hint(match cache.starts_with("s3:") {
                    true => "credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE) or from ~/.aws",
                    false => "a token comes from `token_file` of a `[[cache]]` in your own kiln.toml, or from $KILN_CACHE_TOKEN; `kiln cache token` makes one",
                })
            }
            CacheError::Collecting { .. } => failure.hint("if that process is dead, its mark is ignored an hour after it was written"),
            CacheError::Unreadable { .. } => {
                failure.code(exit::DAMAGED).hint("`kiln cache verify` names all of them; `kiln cache gc --drop-unreadable` removes them")
            }
            _ => failure,
        }
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        let failure = Self::new(&error);
        let hint = error.hint().map(str::to_owned);
        match error {
            // Its directories are on the store's disk.
            SandboxError::Layer { layer: Layer::Root, errno, .. }
                if io::Error::from_raw_os_error(errno).kind() == io::ErrorKind::StorageFull =>
            {
                failure.hint(DISK_FULL)
            }
            SandboxError::Layer { .. } => {
                let failure = hint.into_iter().fold(failure.code(exit::CANNOT_SEAL), Failure::hint);
                failure
                    .hint("`kiln doctor` shows what this machine allows; `--sandbox=relaxed` builds without the missing layer, on record")
            }
            SandboxError::Execute { program, errno } if errno == libc::ENOENT => {
                let brings = match program.as_str() {
                    "/bin/sh" => "Debian's is in the package `dash`: add it to the root's packages and to the lock",
                    "/bin/bash" => "Debian's is in the package `bash`: add it to the root's packages and to the lock",
                    _ => "add the package that has it to the root",
                };
                failure
                    .hint(format!("the root has no `{program}`, or not the loader that it names; {brings}"))
                    .hint("or name a program that the root has: `interpreter = [\"/bin/bash\", \"-eu\"]` in the recipe")
            }
            _ => failure,
        }
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        let failure = Self::new(&error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        let hint = error.hint();
        hint.into_iter().fold(Self::new(&error), Self::hint)
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Store(error) | BuildError::Plan(PlanError::Knowledge(error)) => error.into(),
            other => Self::new(other),
        }
    }
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        let failure = Self::new(&error);
        let failure = if is_disk_full(&error) { failure.hint(DISK_FULL) } else { failure };
        match error {
            StepError::Sandbox(error) => error.into(),
            StepError::Store(error) => error.into(),
            StepError::Fetch(error) => error.into(),
            StepError::Io(error) => error.into(),
            StepError::Cache(error) => error.into(),
            StepError::Stopped => failure.code(exit::INTERRUPTED),
            StepError::TimedOut(_) => failure.hint("`--timeout SECONDS` allows more"),
            StepError::Silent(_) => failure.hint("`--silence SECONDS` allows more"),
            StepError::UnmarkedRoot { .. } => {
                failure.hint("let the script write `$KILN_ROOT` to `$out/.kiln-root`, or remove the file's execute permission")
            }
            StepError::OtherRoot { .. } => failure.hint("give both derivations the same `root`"),
            StepError::ForbiddenReference { .. } => {
                failure.hint("strip the path from the file, or allow the reference with `references = [...]` in the recipe")
            }
            StepError::ForbiddenLink { .. } => failure.hint("copy the link's target instead, or set `links = True` in the recipe"),
            StepError::MissingOutput { .. } => failure.hint("the script must create every output that the recipe declares"),
            StepError::StrayEntry { .. } => {
                failure.hint("results go to `$out` and the other declared outputs, everything else to /build or /tmp")
            }
            StepError::Builtin(error) => match builtin_hint(&error) {
                Some(hint) => failure.hint(hint),
                None => failure,
            },
            _ => failure,
        }
    }
}

fn builtin_hint(error: &BuiltinError) -> Option<&'static str> {
    match error {
        BuiltinError::Conflict { .. } => Some("let only one of the layers have this file, or both the same"),
        BuiltinError::Archive(
            ArchiveError::UnknownFormat { .. }
            | ArchiveError::Malformed { .. }
            | ArchiveError::Refused { .. }
            | ArchiveError::TooLarge { .. }
            | ArchiveError::NotADirectory(_),
        ) => Some("the archive is byte for byte what the recipe declares: check where that hash comes from"),
        BuiltinError::Archive(ArchiveError::NotSupported { .. }) => {
            Some("let a script unpack it: a derivation can take the archive itself as an input, and a root with the tool for it")
        }
        _ => None,
    }
}

/// A failed step, whole: what, where, why, the log's end, and how to look closer. `target` is what the user would name it by.
pub fn step_failure(step: StepFailure, target: Option<&str>) -> Failure {
    let StepFailure { name, span, error, tail, kept, disk_full, .. } = step;
    let mut failure = Failure::from(error);
    failure.message = format!("cannot make {}: {}", ui::harmless(&name), failure.message);
    failure.details.extend(span.map(|span| format!("declared at {span}")));
    if !tail.is_empty() {
        failure.details.push(paint(DIM, "the log ends with"));
        failure.details.extend(tail.iter().map(|line| format!("{} {}", paint(DIM, "|"), ui::excerpt(line))));
    }
    if disk_full && !failure.hints.iter().any(|hint| hint == DISK_FULL) {
        failure.details.push("the disk was full by then, so what the build had made is not kept".to_owned());
        failure.hints.push(DISK_FULL.to_owned());
    }
    let named = target.unwrap_or(&name);
    if !tail.is_empty() {
        failure.hints.push(format!("`kiln log {named}` shows the whole log"));
    }
    if kept {
        failure.hints.push(format!("`kiln shell --failed {named}` opens the sandbox as it was left"));
    }
    failure
}
