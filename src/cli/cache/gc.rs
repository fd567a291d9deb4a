//! `kiln cache gc`: removes from a cache what a budget leaves no room for.

use std::time::Duration;

use crate::cache::keep::{Budget, CollectOptions, CollectReport, collect};
use crate::cli::errors::elsewhere;
use crate::cli::failure::Failure;
use crate::cli::session::Globals;
use crate::cli::ui::bytes;
use crate::cli::{Exit, exit, signals};

use super::open;

/// Arguments of `gc`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The cache
    url: String,
    /// Remove what was not used for so long, such as `30d` or `12h`
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,
    /// Remove what was least recently used until the rest has this size, such as `50G`
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// Of the objects that nothing refers to, keep the N used last, with all they refer to; as the only limit, remove all others
    #[arg(long, value_name = "N")]
    keep_last: Option<usize>,
    /// Keep what was written or used so recently, and NARs for so long after their objects
    #[arg(long, value_name = "AGE", value_parser = age, default_value = "1h")]
    grace: Duration,
    /// Remove traces, records, logs and derivations, too, whose outputs are gone
    #[arg(long)]
    traces: bool,
    /// Remove descriptions that cannot be read
    #[arg(long)]
    drop_unreadable: bool,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
///
/// # Errors
/// If the cache cannot be read or written.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    let backend = open::backend(globals, &args.url)?;
    // The first signal ends the collection between two removals, so that the next one need not wait.
    let flag = signals::stop_that_finishes().flag();
    let options = CollectOptions {
        budget: Budget { older_than: args.older_than, max_size: args.max_size, keep_last: args.keep_last },
        grace: args.grace,
        statements: args.traces,
        unreadable: args.drop_unreadable,
        dry_run: args.dry_run,
        stop: &flag,
    };
    let report = collect(&*backend, &options).map_err(|error| elsewhere(error.into(), backend.location()))?;
    globals.ui().print(&report, |report| render(report, globals.verbose || args.dry_run))?;
    if report.unfinished {
        return Err(
            Failure::new("this collection took so long that what it knew of the cache got too old").hint("run it again: it goes on")
        );
    }
    Ok(exit::OK)
}

fn render(report: &CollectReport, list: bool) -> String {
    let verb = if report.dry_run { "would remove" } else { "removed" };
    let mut text = String::new();
    if list {
        text.extend(report.removed.iter().map(|path| format!("{path}\n")));
    }
    text.push_str(&format!("{verb} {} objects; {} kept, {}", report.removed.len(), report.kept, bytes(report.kept_bytes)));
    if report.held > 0 {
        text.push_str(&format!(" ({} pinned, recent or in use by a push)", report.held));
    }
    text.push_str(&format!("\n{verb} {} NARs that nothing names, {}", report.nars, bytes(report.nar_bytes)));
    if report.condemned > 0 {
        text.push_str(&format!("; {}, {}, go with a later collection", report.condemned, bytes(report.condemned_bytes)));
    }
    text.push('\n');
    if report.statements > 0 {
        text.push_str(&format!("{verb} {} traces, records, logs and derivations\n", report.statements));
    }
    if report.doubtful > 0 {
        let which = "traces, records or derivations that cannot be read, and with them all derivations";
        text.push_str(&format!("kept {} {which} (`--drop-unreadable` removes them)\n", report.doubtful));
    }
    if report.partial > 0 {
        text.push_str(&format!("removed {} files that killed pushes left\n", report.partial));
    }
    if report.unreadable > 0 {
        text.push_str(&format!("{verb} {} descriptions that cannot be read\n", report.unreadable));
    }
    text
}

/// `90s`, `30m`, `12h`, `30d`, `8w`.
fn age(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 7 * 86_400)];
    let (number, seconds) = units.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds))).unwrap_or(("", 0));
    let number: Option<u64> = number.parse().ok();
    let seconds = number.and_then(|number| number.checked_mul(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "expected a number and `s`, `m`, `h`, `d` or `w`, such as `30d`".to_owned())
}

/// `500M`, `50G`, `1T`, with `iB` or without; powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let bare = text.strip_suffix("iB").or_else(|| text.strip_suffix('B')).unwrap_or(text);
    let units = [("K", 10), ("M", 20), ("G", 30), ("T", 40)];
    let (number, shift) = units.iter().find_map(|(unit, shift)| Some((bare.strip_suffix(unit)?, *shift))).unwrap_or((bare, 0));
    let number: Option<u64> = number.trim().parse().ok();
    let bytes = number.and_then(|number| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| "expected a number of bytes, or a number and `K`, `M`, `G` or `T`, such as `50G`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_have_units() {
        assert_eq!((age("90s"), age("30d")), (Ok(Duration::from_secs(90)), Ok(Duration::from_secs(30 * 86_400))));
        assert_eq!((size("12"), size("50G"), size("3MiB")), (Ok(12), Ok(50 << 30), Ok(3 << 20)));
        for bad in ["", "30", "d", "-1d", "1.5h", "30 days", "99999999999999999999w"] {
            assert!(age(bad).is_err(), "{bad}");
        }
        for bad in ["", "G", "-1", "5X", "99999999999T"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
