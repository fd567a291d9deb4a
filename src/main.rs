//! The command line's entry: parse, run, exit code.

fn main() {
    // Before anything else: this process is about to become the first of a sandbox.
    if std::env::args_os().nth(1).is_some_and(|word| word == kiln::sandbox::SUBCOMMAND) {
        kiln::sandbox::enter()
    }
}
