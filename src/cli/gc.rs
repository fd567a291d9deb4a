//! `kiln gc`: removes what nothing holds.

use crate::store::{GcOptions, GcReport, Store};

use super::errors::elsewhere;
use super::session::Globals;
use super::ui::{self, YELLOW, bytes, paint};
use super::{Exit, exit};

/// Remove what no out-link, pin or running build holds
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kiln gc --dry-run\n  kiln store pin release-1 OBJECT && kiln gc")]
pub struct Args {
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
///
/// # Errors
/// If the store cannot be read or written.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    let dir = globals.store_dir()?;
    let collected = Store::gc_at(&dir, GcOptions { dry_run: args.dry_run });
    // On a full disk the usual advice would be this very command.
    let report = collected.map_err(|error| elsewhere(error.into(), format_args!("`{}`", dir.display())))?;
    globals.ui().print(&report, render)?;
    if !globals.json {
        for doubt in &report.doubts {
            let path = ui::harmless(&doubt.path.to_string_lossy());
            globals.ui().note(format!("{} kept, in doubt: `{path}` {}", paint(YELLOW, "warning:"), ui::harmless(&doubt.why)));
        }
    }
    Ok(exit::OK)
}

fn render(report: &GcReport) -> String {
    let verb = if report.dry_run { "would remove" } else { "removed" };
    let mut text = format!("{verb} {} objects, {}; {} kept\n", report.objects, bytes(report.bytes), report.kept);
    if report.leftovers + report.scratch > 0 {
        text.push_str(&format!("{verb} {} leftovers and {} scratch directories\n", report.leftovers, report.scratch));
    }
    text
}
