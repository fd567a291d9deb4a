//! `kiln info`: what is known about a target, and where each file of a merged one comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::build::plan::Planner;
use crate::build::{BuildError, StoreKnowledge};
use crate::fsio::IoResultExt;
use crate::model::{BuildRecord, BuildStatus, DerivationHash, Input, PathInfo, SandboxLevel, Sha256, StorePath};
use crate::store::Store;

use super::cache::ask;
use super::cache::open::CacheArgs;
use super::failure::Failure;
use super::session::{self, Found, Globals, ParamArgs};
use super::ui::{BOLD, bytes, harmless, paint, seconds, table};
use super::{Exit, exit};

/// Tell what is known about a target; caches are asked about one that was never built or pulled here
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kiln info libpython\n  kiln info runtime --manifest")]
pub struct Args {
    /// A target, or the name of a derivation that it needs
    target: String,
    /// For a merged target: which derivation each file comes from
    #[arg(long)]
    manifest: bool,
    #[command(flatten)]
    params: ParamArgs,
    #[command(flatten)]
    caches: CacheArgs,
}

#[derive(Serialize)]
struct Info {
    target: String,
    derivation: DerivationHash,
    path: StorePath,
    physical: PathBuf,
    object: Option<PathInfo>,
    closure_size: Option<u64>,
    record: Option<BuildRecord>,
    /// Keys that vouch for it, if another machine built it.
    signers: BTreeSet<String>,
}

/// Runs the command.
///
/// # Errors
/// If the target was never built here.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    let found = session::find(globals, &args.params, &args.target)?;
    let store = ask::store(globals, &args.caches)?;
    let known = known_path(&found, &store, &args.target).and_then(|path| record(&store, &found, &path));
    if !matches!(known, Ok(Some(_))) {
        ask::history(globals, &store, &found, &args.caches)?;
    }
    let path = known_path(&found, &store, &args.target)?;
    let record = record(&store, &found, &path)?;
    if args.manifest {
        return manifest(globals, &found, &store, &path, record.as_ref());
    }
    let object = store.info(&path)?;
    let closure_size = match object {
        Some(_) => Some(store.infos(&store.closure([&path])?)?.iter().map(|info| info.nar_size).sum()),
        None => None,
    };
    let derivation = found.derivation;
    let (target, physical, signers) = (args.target.clone(), store.physical(&path), signers(&store, &path)?);
    let info = Info { target, derivation, physical, path, object, closure_size, record, signers };
    globals.ui().print(&info, render)?;
    Ok(exit::OK)
}

/// Where a target is known to have come out.
///
/// # Errors
/// If it was not built here.
pub fn known_path(found: &Found, store: &Store, target: &str) -> Result<StorePath, Failure> {
    let knowledge = StoreKnowledge::new(store, &found.lowering.sources, SandboxLevel::Relaxed);
    let goal = Input::Output { derivation: found.derivation, output: found.output.clone() };
    let planner = Planner::new(&found.lowering.lowered.graph, &[goal], &[], knowledge).map_err(BuildError::from)?;
    let path = planner.known_output(&found.derivation, &found.output).cloned();
    path.ok_or_else(|| {
        Failure::request(format!("`{target}` was not built here as its recipe is now")).hint(format!("`kiln build {target}` builds it"))
    })
}

/// Who says that a build gives `path`, beside this store.
fn signers(store: &Store, path: &StorePath) -> Result<BTreeSet<String>, Failure> {
    let mut signers = BTreeSet::new();
    for stored in store.producers(path)? {
        signers.extend(store.signatures_of(&stored.trace)?.into_iter().map(|(signer, _)| signer));
    }
    Ok(signers)
}

/// The record of the build that made `path`; that of this very derivation, if there is one.
fn record(store: &Store, found: &Found, path: &StorePath) -> Result<Option<BuildRecord>, Failure> {
    let mut records = store.records_of_output(path)?;
    let own = records.iter().position(|record| record.derivation == found.derivation).unwrap_or(0);
    Ok(if records.is_empty() { None } else { Some(records.swap_remove(own)) })
}

fn render(info: &Info) -> String {
    let mut rows = vec![
        vec!["derivation".to_owned(), info.derivation.to_string()],
        vec!["path".to_owned(), info.path.to_string()],
        vec!["at".to_owned(), info.physical.display().to_string()],
    ];
    match &info.object {
        None => rows.push(vec!["object".to_owned(), "known, but not in this store any more".to_owned()]),
        Some(object) => {
            rows.push(vec!["nar hash".to_owned(), format!("sha256:{}", object.nar_hash.base32())]);
            rows.push(vec![
                "size".to_owned(),
                format!("{}; with all it refers to {}", bytes(object.nar_size), bytes(info.closure_size.unwrap_or(0))),
            ]);
            rows.extend(object.references.iter().map(|reference| vec!["refers to".to_owned(), reference.to_string()]));
        }
    }
    if let Some(record) = &info.record {
        let time = seconds(std::time::Duration::from_millis(record.duration_ms));
        let memory = record.peak_kib.map(|kib| format!(", peak memory {}", bytes(kib * 1024))).unwrap_or_default();
        rows.push(vec!["built".to_owned(), format!("in {time}{memory}, sandbox {}", record.level)]);
        rows.extend(info.signers.iter().map(|signer| vec!["vouched for by".to_owned(), harmless(signer)]));
        if let BuildStatus::Failed(why) = &record.status {
            rows.push(vec!["failed".to_owned(), why.clone()]);
        }
        rows.extend(record.inputs.iter().map(|(label, path)| vec![format!("input {label}"), path.to_string()]));
    }
    format!("{}\n{}", paint(BOLD, &info.target), table(&rows))
}

/// The manifest inside a merged object.
#[derive(Deserialize)]
struct Manifest {
    files: BTreeMap<String, ManifestFile>,
}

#[derive(Deserialize)]
struct ManifestFile {
    mode: String,
    sha256: Sha256,
    layer: String,
}

#[derive(Serialize)]
struct FileOrigin {
    path: String,
    mode: String,
    sha256: Sha256,
    layer: String,
    object: Option<StorePath>,
    derivation: DerivationHash,
    name: String,
}

fn manifest(globals: &Globals, found: &Found, store: &Store, path: &StorePath, record: Option<&BuildRecord>) -> Exit {
    let place = store.physical(path).join("manifest.json");
    let file = File::open(&place).at("open", &place).map_err(|error| Failure::from(error).hint("only merged targets have a manifest"))?;
    let manifest: Manifest = serde_json::from_reader(BufReader::new(file))
        .map_err(|error| Failure::new(format!("`{}` is not the manifest of a merged target: {error}", place.display())))?;
    let graph = &found.lowering.lowered.graph;
    let node = session::node(graph, &found.derivation)?;
    let origin = |(path, file): (String, ManifestFile)| {
        let input = node.derivation.inputs.iter().find(|(label, _)| label.as_str() == file.layer).map(|(_, input)| input);
        let Some(Input::Output { derivation, .. }) = input else {
            return Err(Failure::new(format!(
                "`{path}` comes from the layer `{}`, which is no derivation of {}",
                file.layer, node.derivation.name
            )));
        };
        let name = session::node(graph, derivation)?.derivation.name.to_string();
        let object = record.and_then(|record| record.inputs.get(&file.layer)).cloned();
        Ok(FileOrigin { path, mode: file.mode, sha256: file.sha256, layer: file.layer, object, derivation: *derivation, name })
    };
    let files = manifest.files.into_iter().map(origin).collect::<Result<Vec<_>, _>>()?;
    globals.ui().print(&files, |files| {
        let row =
            |file: &FileOrigin| vec![file.mode.clone(), file.name.clone(), file.derivation.to_string()[..12].to_owned(), file.path.clone()];
        table(&files.iter().map(row).collect::<Vec<_>>())
    })?;
    Ok(exit::OK)
}
