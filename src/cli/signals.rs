//! Ctrl-C and SIGTERM, the same for every command: the first one asks the command to stop, and ends kiln with exit code 130 if it has not
//! stopped a moment later; a second one ends it at once.
//!
//! Nothing has to be undone for that: sandboxes end with kiln, locks are the kernel's, the store is written in transactions, and what a dead
//! process leaves in scratch directories is collected. So a command that blocks (for a lock, on a slow disk, while it hashes) need not look.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::build::Stop;

use super::exit;
use super::failure::Failure;

/// How long a command that looks for a stop may take to clean up.
const GRACE: Duration = Duration::from_millis(600);

/// How often a second signal is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// How long an error may take to be printed: whoever reads it may have stopped reading.
const PRINTING: Duration = Duration::from_millis(100);

static STOP: LazyLock<Stop> = LazyLock::new(Stop::default);
/// Whether the command looks for a stop.
static LOOKS: AtomicBool = AtomicBool::new(false);
/// Whether it finishes something then, however long that takes.
static FINISHES: AtomicBool = AtomicBool::new(false);

/// The stop that a signal requests, for a command that looks for it.
pub fn stop() -> Stop {
    LOOKS.store(true, Ordering::SeqCst);
    STOP.clone()
}

/// The same, for a command that then brings something to its end: only a second signal ends it sooner.
pub fn stop_that_finishes() -> Stop {
    FINISHES.store(true, Ordering::SeqCst);
    stop()
}

/// What a stopped command says.
pub fn stopped() -> Failure {
    Failure::new("stopped; what was finished is kept").code(exit::INTERRUPTED)
}

/// Watches for signals from now on; `json` says how an error is printed.
///
/// # Errors
/// If they cannot be caught.
pub fn watch(json: bool) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("cannot catch signals: {error}"));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let serve = move || {
        if signals.forever().next().is_none() {
            return;
        }
        STOP.request();
        let first = Instant::now();
        let may_go_on = || LOOKS.load(Ordering::SeqCst) && (FINISHES.load(Ordering::SeqCst) || first.elapsed() < GRACE);
        while may_go_on() && signals.pending().next().is_none() {
            std::thread::sleep(LOOK);
        }
        end(json);
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(serve).map_err(failed)?;
    Ok(())
}

fn end(json: bool) -> ! {
    let (printed, is_printed) = channel();
    let print = move || {
        stopped().show(json);
        let _ = printed.send(());
    };
    if std::thread::Builder::new().spawn(print).is_ok() {
        let _ = is_printed.recv_timeout(PRINTING);
    }
    signal_hook::low_level::exit(exit::INTERRUPTED.into())
}
