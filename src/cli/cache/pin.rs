//! `kiln cache pin`, `unpin` and `pins`: what a cache's collector keeps.

use crate::cache::keep;
use crate::cli::failure::Failure;
use crate::cli::session::Globals;
use crate::cli::ui::table;
use crate::cli::{Exit, exit};
use crate::model::StorePath;

use super::open;

/// Arguments of `pin`.
#[derive(Debug, clap::Args)]
pub struct PinArgs {
    /// The cache
    url: String,
    /// The name; what it kept before is let go
    name: String,
    /// Store paths that are in the cache
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<StorePath>,
}

/// Arguments of `unpin`.
#[derive(Debug, clap::Args)]
pub struct UnpinArgs {
    /// The cache
    url: String,
    /// The name
    name: String,
}

/// Arguments of `pins`.
#[derive(Debug, clap::Args)]
pub struct PinsArgs {
    /// The cache
    url: String,
}

/// Runs `pin`.
///
/// # Errors
/// If something named is not there, or the cache cannot be written.
pub fn pin(globals: &Globals, args: &PinArgs) -> Exit {
    keep::set_pin(&*open::backend(globals, &args.url)?, &args.name, &args.paths)?;
    Ok(exit::OK)
}

/// Runs `unpin`.
///
/// # Errors
/// If there is no such pin, or the cache cannot be written.
pub fn unpin(globals: &Globals, args: &UnpinArgs) -> Exit {
    if keep::unset_pin(&*open::backend(globals, &args.url)?, &args.name)? {
        return Ok(exit::OK);
    }
    Err(Failure::request(format!("there is no pin `{}`", args.name)).hint("`kiln cache pins URL` lists all pins"))
}

/// Runs `pins`.
///
/// # Errors
/// If the cache cannot be read.
pub fn pins(globals: &Globals, args: &PinsArgs) -> Exit {
    let pins = keep::pins(&*open::backend(globals, &args.url)?)?;
    globals.ui().print(&pins, |pins| {
        let rows = pins.iter().flat_map(|pin| pin.paths.iter().map(|path| vec![pin.name.clone(), path.to_string()]));
        table(&rows.collect::<Vec<_>>())
    })?;
    Ok(exit::OK)
}
