//! `kiln cache`: binary caches.

#[cfg(feature = "server")]
mod serve;
#[cfg(feature = "server")]
mod token;

use super::Exit;
use super::session::Globals;

/// Share what was built, through a binary cache
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    #[cfg(feature = "server")]
    Serve(serve::Args),
    #[cfg(feature = "server")]
    Token(token::Args),
}

/// Runs the command.
///
/// # Errors
/// If what was asked for cannot be done.
pub fn run(globals: &Globals, command: &Command) -> Exit {
    match command {
        #[cfg(feature = "server")]
        Command::Serve(args) => serve::run(globals, args),
        #[cfg(feature = "server")]
        Command::Token(args) => token::run(globals, args),
    }
}
