//! `kiln store …`: looks into the store, and puts things there by hand.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::archive::{self, Limits};
use crate::fsio::{IoResultExt, create_folder_of};
use crate::model::{PathInfo, StoreName, StorePath};
use crate::store::{LinkState, OutLink, Pin, Problem, References, Store, StoreError, VerifyOptions, VerifyReport};

use super::build::BuildArgs;
use super::errors::{STANDARD_OUTPUT, elsewhere};
use super::failure::Failure;
use super::repair::{Repaired, repair};
use super::session::{Globals, ParamArgs};
use super::ui::{self, DIM, GREEN, RED, YELLOW, bytes, paint, table};
use super::{Exit, exit};

/// Look into the store, or put things there by hand
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Copy trees or files into the store
    #[command(
        after_help = "Examples:\n  kiln store add ./patches\n  kiln store add --flat Python-3.11.2.tgz --name python3.11_3.11.2.orig.tar.gz"
    )]
    Add(AddArgs),
    /// List all valid objects
    #[command(after_help = "Example:\n  kiln store ls --json | jq -r '.[].path'")]
    Ls,
    /// Describe an object
    #[command(after_help = "Example:\n  kiln store info 8k90pkn2")]
    Info(ObjectArgs),
    /// Check that objects are what their names say
    #[command(after_help = "Examples:\n  kiln store verify\n  kiln store verify --quick\n  kiln store verify --repair")]
    Verify(Box<VerifyArgs>),
    /// List what an object refers to
    #[command(after_help = "Example:\n  kiln store refs --referrers 8k90pkn2")]
    Refs(RefsArgs),
    /// List everything an object needs, references first
    #[command(after_help = "Example:\n  kiln store closure 8k90pkn2")]
    Closure(ObjectArgs),
    /// Write a tree or an object as a NAR to standard output
    #[command(after_help = "Example:\n  kiln store dump ./tree > tree.nar")]
    Dump(DumpArgs),
    /// Lay out a NAR from standard input
    #[command(after_help = "Example:\n  kiln store restore ./tree < tree.nar")]
    Restore(RestoreArgs),
    /// Keep an object under a name
    #[command(after_help = "Example:\n  kiln store pin release-1 8k90pkn2")]
    Pin(PinArgs),
    /// Let go of a pin
    #[command(after_help = "Example:\n  kiln store unpin release-1")]
    Unpin(UnpinArgs),
    /// List what keeps objects: out-links and pins
    #[command(after_help = "Example:\n  kiln store roots")]
    Roots,
}

/// Arguments of `add`.
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// Trees or files
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The store name [default: the file's name]
    #[arg(long)]
    name: Option<String>,
    /// Add files under the address that fetched files have
    #[arg(long, conflicts_with_all = ["scan", "reference"])]
    flat: bool,
    /// Look for references to valid objects
    #[arg(long, conflicts_with = "reference")]
    scan: bool,
    /// Declare a reference; may be repeated
    #[arg(long, value_name = "OBJECT")]
    reference: Vec<String>,
    /// Only print the store path
    #[arg(long, conflicts_with = "flat")]
    dry_run: bool,
}

/// An object.
#[derive(Debug, clap::Args)]
pub struct ObjectArgs {
    /// A store path, or the beginning of its digest
    object: String,
}

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// Objects [default: all]
    objects: Vec<String>,
    /// Check names and references only, do not read contents
    #[arg(long)]
    quick: bool,
    /// Put the right bytes in the place of damaged or missing ones: from a cache, from the project, by fetching or building. What cannot be
    /// had is no longer valid
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    params: ParamArgs,
    #[command(flatten)]
    how: BuildArgs,
}

/// What a check found, and what was done about it.
#[derive(Serialize)]
struct Verified {
    #[serde(flatten)]
    report: VerifyReport,
    #[serde(flatten)]
    repaired: Option<Repaired>,
}

/// Arguments of `refs`.
#[derive(Debug, clap::Args)]
pub struct RefsArgs {
    /// A store path, or the beginning of its digest
    object: String,
    /// List what refers to it instead
    #[arg(long)]
    referrers: bool,
}

/// Arguments of `dump`.
#[derive(Debug, clap::Args)]
pub struct DumpArgs {
    /// A path on this machine, or an object
    tree: String,
}

/// Arguments of `restore`.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// Where to; must not exist
    dest: PathBuf,
}

/// Arguments of `pin`.
#[derive(Debug, clap::Args)]
pub struct PinArgs {
    /// The name
    name: String,
    /// A store path, or the beginning of its digest
    object: String,
}

/// Arguments of `unpin`.
#[derive(Debug, clap::Args)]
pub struct UnpinArgs {
    /// The name
    name: String,
}

/// Runs the command.
///
/// # Errors
/// If the store cannot be read or written, or an object is unknown.
pub fn run(globals: &Globals, command: &Command) -> Exit {
    match command {
        Command::Add(args) => add(globals, args),
        Command::Ls => list(globals),
        Command::Info(args) => info(globals, args),
        Command::Verify(args) => verify(globals, args),
        Command::Refs(args) => refs(globals, args),
        Command::Closure(args) => closure(globals, args),
        Command::Dump(args) => dump(globals, args),
        Command::Restore(args) => restore(args),
        Command::Pin(args) => pin(globals, args),
        Command::Unpin(args) => unpin(globals, args),
        Command::Roots => roots(globals),
    }
}

fn add(globals: &Globals, args: &AddArgs) -> Exit {
    if args.name.is_some() && args.paths.len() > 1 {
        return Err(Failure::request("`--name` goes with one path only"));
    }
    let store = globals.open_store()?;
    let references = if args.scan {
        References::Scan
    } else {
        References::Declared(args.reference.iter().map(|text| store.resolve(text)).collect::<Result<_, _>>()?)
    };
    let infos = args.paths.iter().map(|path| add_one(&store, args, path, &references)).collect::<Result<Vec<_>, _>>()?;
    globals.ui().print(&infos, |infos| infos.iter().map(|info| format!("{}\n", info.path)).collect())?;
    Ok(exit::OK)
}

fn add_one(store: &Store, args: &AddArgs, path: &Path, references: &References) -> Result<PathInfo, Failure> {
    let file_name = || path.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let name = args.name.clone().or_else(file_name).ok_or_else(|| Failure::request(format!("`{}` does not exist", path.display())))?;
    let name = StoreName::from_file_name(&name).map_err(Failure::request)?;
    if args.flat {
        let mut file = BufReader::new(File::open(path).at("open", path)?);
        return Ok(store.add_flat(&name, &mut file, None)?);
    }
    let info = if args.dry_run { store.hash_tree(&name, path, references) } else { store.add_tree(&name, path, references) };
    Ok(info?)
}

fn list(globals: &Globals) -> Exit {
    let store = globals.open_existing_store()?;
    // Printed as they come: a store may hold a million objects.
    let mut first = true;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let json = globals.json;
    let shown = store.for_each(|info| {
        let line = if json {
            let comma = if std::mem::take(&mut first) { "[\n" } else { ",\n" };
            format!("{comma}{}", serde_json::to_string(&info).unwrap_or_default())
        } else {
            format!("{}  {:>12}\n", info.path, bytes(info.nar_size))
        };
        out.write_all(line.as_bytes()).map_err(ListError::Output)
    });
    let end = if !json {
        ""
    } else if first {
        "[]\n"
    } else {
        "\n]\n"
    };
    match shown.and_then(|()| out.write_all(end.as_bytes()).and_then(|()| out.flush()).map_err(ListError::Output)) {
        Ok(()) => Ok(exit::OK),
        Err(ListError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(exit::OK),
        Err(ListError::Output(error)) => Err(Failure::new(format!("cannot write to standard output: {error}"))),
        Err(ListError::Store(error)) => Err(error.into()),
    }
}

enum ListError {
    Output(std::io::Error),
    Store(StoreError),
}

impl From<StoreError> for ListError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[derive(Serialize)]
struct ObjectInfo {
    #[serde(flatten)]
    info: PathInfo,
    physical: PathBuf,
    closure_size: u64,
    closure_objects: usize,
}

fn info(globals: &Globals, args: &ObjectArgs) -> Exit {
    let store = globals.open_existing_store()?;
    let path = store.resolve(&args.object)?;
    let info = known(&store, &path)?;
    let closure = store.closure([&path])?;
    let closure_size = store.infos(&closure)?.iter().map(|info| info.nar_size).sum();
    let object = ObjectInfo { physical: store.physical(&path), info, closure_size, closure_objects: closure.len() };
    globals.ui().print(&object, |object| {
        let mut rows = vec![
            vec!["path".to_owned(), object.info.path.to_string()],
            vec!["at".to_owned(), object.physical.display().to_string()],
            vec!["nar hash".to_owned(), format!("sha256:{}", object.info.nar_hash.base32())],
            vec!["nar size".to_owned(), bytes(object.info.nar_size)],
            vec!["ca".to_owned(), object.info.ca.to_string()],
            vec!["closure".to_owned(), format!("{} objects, {}", object.closure_objects, bytes(object.closure_size))],
        ];
        rows.extend(object.info.references.iter().map(|reference| vec!["refers to".to_owned(), reference.to_string()]));
        table(&rows)
    })?;
    Ok(exit::OK)
}

fn known(store: &Store, path: &StorePath) -> Result<PathInfo, Failure> {
    store.info(path)?.ok_or_else(|| Failure::request(format!("{path} is not in this store")))
}

fn verify(globals: &Globals, args: &VerifyArgs) -> Exit {
    let store = globals.open_existing_store()?;
    let chosen = args.objects.iter().map(|text| store.resolve(text)).collect::<Result<Vec<_>, _>>()?;
    let paths = if chosen.is_empty() { None } else { Some(chosen) };
    let report = store.verify(&VerifyOptions { contents: !args.quick, paths })?;
    let wanted = args.repair && !report.problems.is_empty();
    let repaired = wanted.then(|| repair(globals, &store, &args.params, &args.how, &report)).transpose()?;
    let verified = Verified { report, repaired };
    globals.ui().print(&verified, |verified| render_verify(&verified.report) + &render_repaired(verified.repaired.as_ref()))?;
    if !args.repair && !verified.report.problems.is_empty() {
        globals.ui().note("hint: `kiln store verify --repair` gets the right bytes from a cache, or makes them again");
    }
    let sound = match &verified.repaired {
        Some(repaired) => repaired.forgotten.is_empty(),
        None => verified.report.problems.is_empty(),
    };
    Ok(if sound { exit::OK } else { exit::DAMAGED })
}

fn render_repaired(repaired: Option<&Repaired>) -> String {
    let Some(repaired) = repaired else { return String::new() };
    let mut text = String::new();
    for path in &repaired.mended {
        text.push_str(&format!("{} {path}\n", paint(GREEN, "mended:")));
    }
    for path in &repaired.forgotten {
        text.push_str(&format!("{} {path}\n", paint(RED, "no longer valid:")));
    }
    text.push_str(&format!("{} mended, {} no longer valid\n", repaired.mended.len(), repaired.forgotten.len()));
    text
}

fn render_verify(report: &VerifyReport) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        let line = match problem {
            Problem::Missing { path } => format!("{path} is valid but not on the disk"),
            Problem::Changed { path, registered, found } => {
                format!("{path} has changed: sha256:{} was registered, sha256:{} is there", registered.base32(), found.base32())
            }
            Problem::WrongPath { path } => format!("{path} does not follow from its content address"),
            Problem::Unreadable { path, why } => format!("{path} cannot be read: {}", ui::harmless(why)),
        };
        text.push_str(&format!("{} {line}\n", paint(RED, "damaged:")));
    }
    let verdict =
        if report.problems.is_empty() { paint(GREEN, "all sound") } else { paint(RED, format!("{} damaged", report.problems.len())) };
    text.push_str(&format!("{} objects, {} read: {verdict}\n", report.objects, bytes(report.bytes)));
    text
}

fn print_paths(globals: &Globals, paths: &[StorePath]) -> Exit {
    globals.ui().print(&paths, |paths| paths.iter().map(|path| format!("{path}\n")).collect())?;
    Ok(exit::OK)
}

fn refs(globals: &Globals, args: &RefsArgs) -> Exit {
    let store = globals.open_existing_store()?;
    let path = store.resolve(&args.object)?;
    let paths = if args.referrers { store.referrers(&path)? } else { known(&store, &path)?.references };
    print_paths(globals, &paths.into_iter().collect::<Vec<_>>())
}

fn closure(globals: &Globals, args: &ObjectArgs) -> Exit {
    let store = globals.open_existing_store()?;
    let path = store.resolve(&args.object)?;
    print_paths(globals, &store.closure([&path])?)
}

fn dump(globals: &Globals, args: &DumpArgs) -> Exit {
    let here = Path::new(&args.tree);
    let tree = if here.symlink_metadata().is_ok() {
        here.to_owned()
    } else {
        let store = globals.open_existing_store()?;
        store.physical(&store.resolve(&args.tree)?)
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    archive::dump(&tree, &mut out).map_err(StoreError::from)?;
    out.flush().at("write", STANDARD_OUTPUT)?;
    Ok(exit::OK)
}

fn restore(args: &RestoreArgs) -> Exit {
    create_folder_of(&args.dest)?;
    archive::restore(&mut std::io::stdin().lock(), &args.dest, &Limits::default())
        .map_err(|error| elsewhere(StoreError::from(error).into(), format_args!("`{}`", args.dest.display())))?;
    Ok(exit::OK)
}

fn pin(globals: &Globals, args: &PinArgs) -> Exit {
    let store = globals.open_existing_store()?;
    store.pin(&args.name, &store.resolve(&args.object)?)?;
    Ok(exit::OK)
}

fn unpin(globals: &Globals, args: &UnpinArgs) -> Exit {
    let store = globals.open_existing_store()?;
    if store.unpin(&args.name)? {
        Ok(exit::OK)
    } else {
        Err(Failure::request(format!("there is no pin `{}`", args.name)).hint("`kiln store roots` lists all pins"))
    }
}

#[derive(Serialize)]
struct Roots {
    out_links: Vec<OutLink>,
    pins: Vec<Pin>,
}

fn roots(globals: &Globals) -> Exit {
    let store = globals.open_existing_store()?;
    let roots = Roots { out_links: store.out_links()?, pins: store.pins()? };
    globals.ui().print(&roots, |roots| {
        let pins = roots.pins.iter().map(|pin| vec!["pin".to_owned(), ui::harmless(&pin.name), pin.path.to_string()]);
        let links = roots.out_links.iter().map(|link| {
            let state = match link.state {
                LinkState::Alive => "link".to_owned(),
                LinkState::Moved { .. } => paint(YELLOW, "moved"),
                LinkState::Unknown { .. } => paint(YELLOW, "unknown"),
                LinkState::Gone => paint(DIM, "gone"),
            };
            vec![state, ui::harmless(&link.link.to_string_lossy()), link.path.to_string()]
        });
        table(&pins.chain(links).collect::<Vec<_>>())
    })?;
    Ok(exit::OK)
}
