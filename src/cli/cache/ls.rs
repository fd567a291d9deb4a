//! `kiln cache ls`: what is in a cache.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use globset::{Glob, GlobMatcher};
use serde::Serialize;

use crate::cache::keep::{Catalogue, Object, signed_outputs};
use crate::cli::failure::Failure;
use crate::cli::session::Globals;
use crate::cli::ui::{DIM, bytes, paint, seconds, table};
use crate::cli::{Exit, exit};
use crate::model::{StoreDigest, StorePath};

use super::open;

/// Arguments of `ls`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The cache
    url: String,
    /// Objects whose name is like this, with `*` and `?`, or contains it; or the beginning of a digest
    pattern: Option<String>,
    /// Say, too, how much each object needs with all it refers to
    #[arg(long)]
    closure: bool,
}

#[derive(Serialize)]
struct Listing {
    objects: Vec<Row>,
    packed_size: u64,
    nar_size: u64,
    unreadable: usize,
}

#[derive(Serialize)]
struct Row {
    path: StorePath,
    nar_size: u64,
    packed_size: u64,
    references: Vec<String>,
    /// Seconds since 1970.
    last_use: u64,
    /// Whose traces say that a build made it. Their signatures are not checked here.
    signers: BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closure: Option<Closure>,
}

#[derive(Clone, Copy, Serialize)]
struct Closure {
    objects: usize,
    packed_size: u64,
    nar_size: u64,
}

/// Runs the command.
///
/// # Errors
/// If the cache cannot be read.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    let pattern = args.pattern.as_deref().map(Pattern::new).transpose()?;
    let backend = open::backend(&args.url)?;
    let catalogue = Catalogue::read(&*backend, &|_, _| ())?;
    let mut signers: HashMap<StoreDigest, BTreeSet<String>> = HashMap::new();
    for signed in signed_outputs(&*backend, &catalogue)? {
        for output in signed.outputs {
            signers.entry(*output.digest()).or_default().insert(signed.signer.to_string());
        }
    }
    let shown = catalogue.objects.values().filter(|object| pattern.as_ref().is_none_or(|pattern| pattern.fits(&object.path)));
    let mut objects: Vec<Row> = shown.map(|object| row(&catalogue, object, &signers, args.closure)).collect();
    objects.sort_by(|a, b| (a.path.name(), &a.path).cmp(&(b.path.name(), &b.path)));
    let listing = Listing {
        packed_size: objects.iter().map(|row| row.packed_size).sum(),
        nar_size: objects.iter().map(|row| row.nar_size).sum(),
        unreadable: catalogue.unreadable.len(),
        objects,
    };
    globals.ui().print(&listing, render)?;
    Ok(exit::OK)
}

fn row(catalogue: &Catalogue, object: &Object, signers: &HashMap<StoreDigest, BTreeSet<String>>, closure: bool) -> Row {
    let closure = closure.then(|| {
        let closure = catalogue.closure([object.path.digest()]);
        let objects = closure.iter().filter_map(|digest| catalogue.objects.get(digest));
        Closure {
            objects: closure.len(),
            packed_size: objects.clone().map(|object| catalogue.packed_size(object)).sum(),
            nar_size: objects.map(|object| object.nar_size).sum(),
        }
    });
    Row {
        path: object.path.clone(),
        nar_size: object.nar_size,
        packed_size: catalogue.packed_size(object),
        references: object.references.iter().map(ToString::to_string).collect(),
        last_use: catalogue.last_use(object).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
        signers: signers.get(object.path.digest()).cloned().unwrap_or_default(),
        closure,
    }
}

fn render(listing: &Listing) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let rows = listing.objects.iter().map(|row| {
        let mut cells = vec![row.path.to_string(), format!("{:>10}", bytes(row.packed_size)), format!("{:>10}", bytes(row.nar_size))];
        if let Some(closure) = row.closure {
            cells.push(format!("with {} objects {:>10}", closure.objects, bytes(closure.packed_size)));
        }
        cells.push(paint(DIM, format!("used {} ago", days(now.saturating_sub(Duration::from_secs(row.last_use))))));
        cells.push(row.signers.iter().cloned().collect::<Vec<_>>().join(" "));
        cells
    });
    let mut text = table(&rows.collect::<Vec<_>>());
    text.push_str(&format!(
        "{} objects, {} packed, {} unpacked\n",
        listing.objects.len(),
        bytes(listing.packed_size),
        bytes(listing.nar_size)
    ));
    if listing.unreadable > 0 {
        text.push_str(&format!("{} descriptions cannot be read; `kiln cache verify` names them\n", listing.unreadable));
    }
    text
}

fn days(age: Duration) -> String {
    match age.as_secs() / 86_400 {
        0 => seconds(Duration::from_secs(age.as_secs().max(60))),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

/// What to list.
enum Pattern {
    Like(GlobMatcher),
    Part(String),
}

impl Pattern {
    fn new(text: &str) -> Result<Self, Failure> {
        if !text.contains(['*', '?', '[']) {
            return Ok(Self::Part(text.to_owned()));
        }
        let glob = Glob::new(text).map_err(|error| Failure::request(format!("`{text}` is no pattern: {error}")))?;
        Ok(Self::Like(glob.compile_matcher()))
    }

    fn fits(&self, path: &StorePath) -> bool {
        match self {
            Self::Like(glob) => glob.is_match(path.name().as_str()),
            Self::Part(text) => {
                path.name().as_str().contains(text.as_str())
                    || path.digest().as_str().starts_with(text.as_str())
                    || path.to_string() == *text
            }
        }
    }
}
