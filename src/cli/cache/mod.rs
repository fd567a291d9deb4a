//! `kiln cache …`: binary caches that machines share.

mod info;
mod keygen;
pub mod open;
mod progress;
mod pull;
pub mod push;

use super::Exit;
use super::session::Globals;

/// Share objects and what is known about builds through binary caches
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a key that signs what is pushed
    #[command(after_help = "Examples:\n  kiln cache keygen team-1\n  kiln cache keygen team-1 --out ~/.config/kiln/keys")]
    Keygen(keygen::Args),
    /// Send targets or objects, with all they refer to, to a cache
    #[command(after_help = "Examples:\n  kiln cache push --to file:///srv/cache --key team-1.secret runtime\n  \
                      kiln cache push --to file:///srv/cache --key team-1.secret --follow")]
    Push(push::Args),
    /// Fetch targets or objects, with all they refer to, from a cache
    #[command(after_help = "Examples:\n  kiln cache pull --from file:///srv/cache /kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep\n  \
                      kiln cache pull --from file:///srv/cache --trusted-key team-1:… runtime")]
    Pull(pull::Args),
    /// Say what a cache says about itself
    #[command(after_help = "Example:\n  kiln cache info file:///srv/cache")]
    Info(info::Args),
}

/// Runs the command.
///
/// # Errors
/// If it cannot be done.
pub fn run(globals: &Globals, command: &Command) -> Exit {
    match command {
        Command::Keygen(args) => keygen::run(globals, args),
        Command::Push(args) => push::run(globals, args),
        Command::Pull(args) => pull::run(globals, args),
        Command::Info(args) => info::run(globals, args),
    }
}
