//! The command line's entry: parse, run, exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything else, while the process is single-threaded: a sandbox's first process is this program again.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == kiln::sandbox::SUBCOMMAND) {
        kiln::sandbox::enter();
    }
    ExitCode::from(kiln::cli::main())
}
