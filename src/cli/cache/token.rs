//! `kiln cache token`.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::cache::server::{Scope, Token, Tokens};
use crate::fsio::{IoResultExt as _, create_folder_of};

use super::super::failure::Failure;
use super::super::session::Globals;
use super::super::{Exit, exit};

/// Make a token for a server, and print it: it is shown only once
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kiln cache token ci --scope push --tokens /etc/kiln/tokens\n  \
                        kiln cache token laptop --scope read --tokens /etc/kiln/tokens")]
pub struct Args {
    /// Whose it is, for logs
    name: String,
    /// What it is for: `read`, `push` (which may read too) or `admin` (which may do everything)
    #[arg(long, value_name = "SCOPE", required = true, value_delimiter = ',')]
    scope: Vec<Scope>,
    /// The file of tokens to add it to; made if it is not there. It holds the token's hash only
    #[arg(long, value_name = "FILE", required = true)]
    tokens: PathBuf,
}

#[derive(Serialize)]
struct Made<'a> {
    name: &'a str,
    token: &'a str,
}

/// Runs the command.
///
/// # Errors
/// If the file cannot be read or written, or holds a token of that name.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    let file = &args.tokens;
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        read => read.at("read", file)?,
    };
    let known: Tokens = text.parse().map_err(|error| Failure::request(format!("cannot use {}: {error}", file.display())))?;
    if known.has(&args.name) {
        let failure = Failure::request(format!("there is a token `{}` in {} already", args.name, file.display()));
        return Err(failure.hint("remove its line to revoke it"));
    }
    let (token, secret) = Token::generate(&args.name, args.scope.clone()).map_err(Failure::request)?;
    let line = if text.is_empty() || text.ends_with('\n') { format!("{token}\n") } else { format!("\n{token}\n") };
    create_folder_of(file)?;
    let mut out = OpenOptions::new().create(true).append(true).mode(0o600).open(file).at("open", file)?;
    out.write_all(line.as_bytes()).and_then(|()| out.sync_all()).at("write", file)?;
    globals.ui().print(&Made { name: token.name(), token: &secret }, |made| format!("{}\n", made.token))?;
    Ok(exit::OK)
}
