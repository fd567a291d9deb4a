//! `kiln log`: what a builder printed.

use std::fs::File;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read, Write};
use std::path::PathBuf;

use serde::Serialize;

use crate::fsio::IoResultExt;
use crate::model::{BuildRecord, BuildStatus};
use crate::store::Store;

use super::cache::ask;
use super::cache::open::CacheArgs;
use super::failure::Failure;
use super::session::{self, Found, Globals, ParamArgs};
use super::{Exit, exit, ui};

/// Show the log of a target's latest build; caches are asked for one that was never built or pulled here
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kiln log libpython\n  kiln log host-python-3.11.2 | grep -i warning")]
pub struct Args {
    /// A target, or the name of a derivation that it needs
    target: String,
    #[command(flatten)]
    params: ParamArgs,
    #[command(flatten)]
    caches: CacheArgs,
}

#[derive(Serialize)]
struct Logged {
    record: BuildRecord,
    log: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// If nothing of that name was built here.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    let store = ask::store(globals, &args.caches)?;
    let record = latest_record(globals, &store, args)?;
    let log = record.log.as_ref().map(|log| store.dir().join(log));
    if globals.json {
        globals.ui().print(&Logged { record, log }, |_| String::new())?;
        return Ok(exit::OK);
    }
    match &log {
        Some(log) => copy(log)?,
        None => globals.ui().note(format!("the latest build of {} printed nothing", record.name)),
    }
    if let BuildStatus::Failed(why) = &record.status {
        globals.ui().note(format!("that build failed: {why}"));
    }
    Ok(exit::OK)
}

/// The latest build of a target, or of the derivation with that name.
fn latest_record(globals: &Globals, store: &Store, args: &Args) -> Result<BuildRecord, Failure> {
    let target = &args.target;
    // Also a name that no recipe has any more may have been built.
    let found = session::find(globals, &args.params, target).ok();
    let own_name = |found: &Found| Some(found.lowering.lowered.graph.get(&found.derivation)?.derivation.name.to_string());
    let name = found.as_ref().and_then(own_name).unwrap_or_else(|| target.clone());
    if let Some(found) = found.filter(|_| store.records_of_name(&name, 1).is_ok_and(|records| records.is_empty())) {
        ask::history(globals, store, &found, &args.caches)?;
    }
    let missing = || {
        Failure::request(format!("nothing called `{name}` was built in this store"))
            .hint(format!("`kiln build {target}` builds it; a name as in `kiln show` works too"))
    };
    store.records_of_name(&name, 1)?.into_iter().next().ok_or_else(missing)
}

fn copy(log: &std::path::Path) -> Result<(), Failure> {
    let file = File::open(log).at("open", log)?;
    let mut decoder = zstd::Decoder::new(file).at("read", log)?;
    let mut out = std::io::stdout().lock();
    let copied = if out.is_terminal() { copy_harmless(decoder, &mut out) } else { std::io::copy(&mut decoder, &mut out).map(drop) };
    match copied.and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot show `{}`: {error}", log.display())))
        }
        _ => Ok(()),
    }
}

/// Bytes of one line that are shown in one piece.
const PIECE: u64 = 64 << 10;

/// Whoever made the log, perhaps for a cache, does not drive the terminal.
fn copy_harmless(log: impl Read, out: &mut impl Write) -> std::io::Result<()> {
    let mut log = BufReader::new(log);
    let mut line = Vec::new();
    loop {
        line.clear();
        if log.by_ref().take(PIECE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line);
        let (text, end) = text.strip_suffix('\n').map_or((&*text, ""), |text| (text, "\n"));
        let columns: Vec<String> = text.split('\t').map(ui::harmless).collect();
        write!(out, "{}{end}", columns.join("\t"))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_does_not_drive_a_terminal() {
        let mut shown = Vec::new();
        let log = b"a\tb\x1b]0;T\x07\x1b[2J\nplain\nno end \xff";
        copy_harmless(&log[..], &mut shown).unwrap();
        let text = String::from_utf8(shown).unwrap();
        assert_eq!(text, "a\tb\\u{1b}]0;T\\u{7}\\u{1b}[2J\nplain\nno end \u{fffd}");
    }

    #[test]
    fn an_error_shows_no_more_of_a_line_than_can_be_read() {
        let long = "x".repeat(16384);
        let shown = ui::excerpt(&long);
        assert!(shown.len() < 500 && shown.ends_with(" … (16384 bytes)"), "{shown}");
        assert_eq!(ui::excerpt("a\u{1b}"), "a\\u{1b}");
    }
}
