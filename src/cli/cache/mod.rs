//! `kiln cache …`: binary caches that machines share.

pub mod ask;
mod gc;
mod info;
mod keygen;
mod ls;
pub mod open;
mod pin;
mod progress;
mod pull;
pub mod push;
#[cfg(feature = "server")]
mod serve;
#[cfg(feature = "server")]
mod token;
mod verify;

use super::Exit;
use super::session::Globals;

/// Share objects and what is known about builds through binary caches
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List what is in a cache
    #[command(after_help = "Examples:\n  kiln cache ls file:///srv/cache 'runtime-*'\n  kiln cache ls --closure --json file:///srv/cache")]
    Ls(ls::Args),
    /// Check that a cache holds what it says
    #[command(after_help = "Examples:\n  kiln cache verify file:///srv/cache\n  \
                            kiln cache verify --read --trusted-key team-1:… file:///srv/cache")]
    Verify(verify::Args),
    /// Keep objects of a cache, with all they refer to, under a name
    #[command(after_help = "Example:\n  kiln cache pin file:///srv/cache release-1 /kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep")]
    Pin(pin::PinArgs),
    /// Let go of a pin
    #[command(after_help = "Example:\n  kiln cache unpin file:///srv/cache release-1")]
    Unpin(pin::UnpinArgs),
    /// List the pins of a cache
    #[command(after_help = "Example:\n  kiln cache pins file:///srv/cache")]
    Pins(pin::PinsArgs),
    /// Remove what was not used for long, or what there is no room for
    #[command(after_help = "Examples:\n  kiln cache gc --older-than 30d --dry-run file:///srv/cache\n  \
                            kiln cache gc --older-than 90d --max-size 50G file:///srv/cache")]
    Gc(gc::Args),
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
    #[cfg(feature = "server")]
    Serve(serve::Args),
    #[cfg(feature = "server")]
    Token(token::Args),
}

/// Runs the command.
///
/// # Errors
/// If it cannot be done.
pub fn run(globals: &Globals, command: &Command) -> Exit {
    match command {
        #[cfg(feature = "server")]
        Command::Serve(args) => serve::run(globals, args),
        #[cfg(feature = "server")]
        Command::Token(args) => token::run(globals, args),
        Command::Ls(args) => ls::run(globals, args),
        Command::Verify(args) => verify::run(globals, args),
        Command::Pin(args) => pin::pin(globals, args),
        Command::Unpin(args) => pin::unpin(globals, args),
        Command::Pins(args) => pin::pins(globals, args),
        Command::Gc(args) => gc::run(globals, args),
        Command::Keygen(args) => keygen::run(globals, args),
        Command::Push(args) => push::run(globals, args),
        Command::Pull(args) => pull::run(globals, args),
        Command::Info(args) => info::run(globals, args),
    }
}
