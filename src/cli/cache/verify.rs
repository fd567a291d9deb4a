//! `kiln cache verify`: whether a cache holds what it says.

use crate::cache::keep::{VerifyOptions, VerifyReport, verify};
use crate::cache::signing::PublicKey;
use crate::cli::session::Globals;
use crate::cli::ui::{DIM, GREEN, RED, bytes, harmless, paint};
use crate::cli::{Exit, exit};

use super::open;

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The cache
    url: String,
    /// Read every NAR and log, too, and compare the bytes with the names
    #[arg(long)]
    read: bool,
    /// Check what this key signed; may be repeated
    #[arg(long = "trusted-key", value_name = "NAME:KEY")]
    keys: Vec<PublicKey>,
}

/// Runs the command.
///
/// # Errors
/// If the cache cannot be read.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    let options = VerifyOptions { read: args.read, keys: args.keys.clone() };
    let report = verify(&*open::backend(globals, &args.url)?, &options)?;
    globals.ui().print(&report, render)?;
    Ok(if report.findings.is_empty() { exit::OK } else { exit::DAMAGED })
}

fn render(report: &VerifyReport) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        text.push_str(&format!("{} {}: {}\n", paint(RED, "damaged:"), harmless(&finding.entry), harmless(&finding.problem)));
    }
    for orphan in &report.orphans {
        text.push_str(&format!("{} {}\n", paint(DIM, "no object names"), harmless(orphan)));
    }
    let verdict = match report.findings.len() {
        0 => paint(GREEN, "all sound"),
        1 => paint(RED, "1 finding"),
        many => paint(RED, format!("{many} findings")),
    };
    text.push_str(&format!("{} objects, {} traces, records, logs, derivations and pins", report.objects, report.statements));
    if report.vouched > 0 {
        text.push_str(&format!(", {} statements by trusted keys", report.vouched));
    }
    if report.bytes_read > 0 {
        text.push_str(&format!(", {} read", bytes(report.bytes_read)));
    }
    if !report.orphans.is_empty() {
        text.push_str(&format!(", {} NARs that no object names ({})", report.orphans.len(), bytes(report.orphan_bytes)));
    }
    text.push_str(&format!(": {verdict}\n"));
    text
}
