//! `kiln cache info`: what a cache says about itself.

use serde::Serialize;

use crate::cache::{CacheInfo, read_info};
use crate::cli::failure::Failure;
use crate::cli::session::Globals;
use crate::cli::ui::{harmless, table};
use crate::cli::{Exit, exit};

use super::open;

/// Arguments of `info`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The cache
    url: String,
}

#[derive(Serialize)]
struct Shown {
    cache: String,
    #[serde(flatten)]
    info: CacheInfo,
}

/// Runs the command.
///
/// # Errors
/// If it is no cache for kiln.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    let backend = open::backend(globals, &args.url)?;
    let info = read_info(&*backend)?.ok_or_else(|| {
        Failure::new(format!("{} is no cache: it has no `nix-cache-info`", backend.location())).hint("`kiln cache push --to` makes one")
    })?;
    let shown = Shown { cache: backend.location(), info };
    globals.ui().print(&shown, |shown| {
        table(&[
            vec!["cache".to_owned(), shown.cache.clone()],
            vec!["store".to_owned(), harmless(&shown.info.store_dir)],
            vec!["priority".to_owned(), shown.info.priority.to_string()],
            vec!["mass query".to_owned(), if shown.info.want_mass_query { "welcome" } else { "unwelcome" }.to_owned()],
        ])
    })?;
    Ok(exit::OK)
}
