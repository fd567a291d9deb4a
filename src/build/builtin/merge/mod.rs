//! `merge/1`: layers laid into one tree that holds no symbolic link, with a manifest.
//!
//! First the whole result is planned from the layers' directories ([`plan`]), so that a conflict or a bad link costs no copying; then files are
//! copied and hashed in parallel. The manifest says for each file its mode, SHA-256, size and layer. It names layers by label: a store path or
//! derivation in it would be a reference, and would end early cutoff.

mod layers;
mod manifest;
mod plan;

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;

use self::layers::Layers;
use self::plan::{Plan, Planned, PlannedFile};
use super::{BuiltinError, BuiltinJob};
use crate::archive::ArchiveError;
use crate::fsio::{IoResultExt, PathError};
use crate::model::{Hasher, Sha256};

/// Name and version.
pub(super) const KIND: &str = "merge/1";

/// The manifest's place in the result.
const MANIFEST: &str = "manifest.json";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {}

pub(super) fn run(job: &BuiltinJob<'_>) -> Result<(), BuiltinError> {
    let Arguments {} = job.parse_arguments()?;
    let layers = Layers::open(job.inputs)?;
    let plan = Plan::of(&layers)?;
    create(job.out, &plan)?;
    let hashes = copy_all(&layers, &plan, job.out)?;
    manifest::write(&job.out.join(MANIFEST), &layers, &plan, &hashes)?;
    Ok(())
}

/// The result's directories, empty.
fn create(out: &Path, plan: &Plan) -> Result<(), BuiltinError> {
    fs::create_dir(out).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => ArchiveError::DestinationExists(out.to_owned()).into(),
        _ => BuiltinError::from(PathError::new("create the directory", out, error)),
    })?;
    for (path, planned) in plan.entries() {
        if matches!(planned, Planned::Directory { .. }) {
            let path = out.join(path);
            fs::create_dir(&path).at("create the directory", &path)?;
        }
    }
    Ok(())
}

/// Copies every planned file; their hashes, in the plan's order.
fn copy_all(layers: &Layers<'_>, plan: &Plan, out: &Path) -> Result<Vec<Sha256>, BuiltinError> {
    /// More threads only wait for the disk.
    const MAX_THREADS: usize = 8;
    /// Files that a thread takes at once.
    const BATCH: usize = 16;
    let files: Vec<_> = plan.files().collect();
    let next = AtomicUsize::new(0);
    let done = Mutex::new(vec![None; files.len()]);
    let work = || -> Result<(), BuiltinError> {
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let start = next.fetch_add(BATCH, Ordering::Relaxed);
            let Some(batch) = files.get(start..files.len().min(start.saturating_add(BATCH))).filter(|batch| !batch.is_empty()) else {
                return Ok(());
            };
            let copied = batch.iter().map(|(path, file)| copy(layers, file, &out.join(path), &mut buffer));
            // After an error the other threads need not go on.
            let hashes: Vec<_> = copied.collect::<Result<_, _>>().inspect_err(|_| next.store(files.len(), Ordering::Relaxed))?;
            let mut done = done.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            done[start..start + hashes.len()].copy_from_slice(&hashes.into_iter().map(Some).collect::<Vec<_>>());
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(MAX_THREADS)).min(files.len() / BATCH);
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mine = work();
        helpers.into_iter().fold(mine, |result, helper| result.and(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))))
    })?;
    let done = done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    Ok(done.into_iter().flatten().collect())
}

fn copy(layers: &Layers<'_>, file: &PlannedFile, to: &Path, buffer: &mut [u8]) -> Result<Sha256, BuiltinError> {
    let from = layers.physical(file.layer, &file.source);
    let mut source = File::open(&from).at("open", &from)?;
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).at("create", to)?;
    let mut hasher = Hasher::default();
    let mut size = 0;
    loop {
        match source.read(buffer) {
            Ok(0) => break,
            Ok(read) => {
                hasher.update(&buffer[..read]);
                copy.write_all(&buffer[..read]).at("write", to)?;
                size += read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(PathError::new("read", &from, error).into()),
        }
    }
    if size != file.size {
        return Err(ArchiveError::Changed(from).into());
    }
    finish(&copy, file.executable).at("set the mode of", to)?;
    Ok(hasher.finish())
}

/// Mode and time as in a store.
fn finish(file: &File, executable: bool) -> std::io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(if executable { 0o555 } else { 0o444 }))?;
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1))
}

#[cfg(test)]
mod tests;
