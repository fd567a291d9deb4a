//! The command line: one file per command, one place each for colour and text (`ui`), progress, errors ([`failure`]), exit codes ([`exit`])
//! and environment variables ([`mod@env`]).

mod build;
mod cache;
mod doctor;
pub mod env;
mod errors;
mod eval;
pub mod exit;
pub mod failure;
mod gc;
mod info;
mod init;
mod lock;
mod log;
mod progress;
mod project;
mod repair;
mod run;
mod session;
mod shell;
mod show;
mod signals;
mod store;
mod ui;

use clap::{Parser, Subcommand};

use failure::Failure;
use session::Globals;

/// What a command gives: an exit code, or what went wrong.
pub type Exit = Result<u8, Failure>;

/// A hermetic, content-addressed builder
#[derive(Debug, Parser)]
#[command(name = "kiln", version, about, max_term_width = 110, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:\n  kiln eval                      what can be built here\n  kiln build runtime             build it\n  \
     kiln run hello                 run a function on it\n  kiln log libpython             how a build went";

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Eval(eval::Args),
    Show(show::Args),
    Build(build::Args),
    Run(run::Args),
    Shell(shell::Args),
    Log(log::Args),
    Info(info::Args),
    #[command(subcommand)]
    Store(store::Command),
    Gc(gc::Args),
    #[command(subcommand)]
    Cache(cache::Command),
    #[command(subcommand)]
    Lock(lock::Command),
    Doctor(doctor::Args),
}

/// Parses the command line, does what it says, and gives the exit code.
pub fn main() -> u8 {
    ui::choose_color();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap knows which goes where.
            let _ = error.print();
            return if error.use_stderr() { exit::BAD_REQUEST } else { exit::OK };
        }
    };
    let json = cli.globals.json;
    dispatch(&cli).unwrap_or_else(|failure| {
        failure.show(json);
        failure.code
    })
}

fn dispatch(cli: &Cli) -> Exit {
    let globals = &cli.globals;
    // A server ends its connections first.
    if !matches!(cli.command, Command::Cache(cache::Command::Serve(_))) {
        signals::watch(globals.json)?;
        let ui = globals.ui();
        crate::fsio::announce_waiting(move |path| {
            ui.note(format!("waiting for another process, which holds the lock `{}`", path.display()))
        });
    }
    match &cli.command {
        Command::Init(args) => init::run(globals, args),
        Command::Eval(args) => eval::run(globals, args),
        Command::Show(args) => show::run(globals, args),
        Command::Build(args) => build::run(globals, args),
        Command::Run(args) => run::run(globals, args),
        Command::Shell(args) => shell::run(globals, args),
        Command::Log(args) => log::run(globals, args),
        Command::Info(args) => info::run(globals, args),
        Command::Store(command) => store::run(globals, command),
        Command::Gc(args) => gc::run(globals, args),
        Command::Cache(command) => cache::run(globals, command),
        Command::Lock(command) => lock::run(globals, command),
        Command::Doctor(args) => doctor::run(globals, args),
    }
}
