//! `kiln doctor`: what this machine allows, what is missing, and how to enable it.

use serde::Serialize;

use crate::sandbox::{Check, probe};

use super::session::Globals;
use super::ui::{DIM, GREEN, RED, YELLOW, paint};
use super::{Exit, exit};

/// Check what this machine allows, and say how to enable what is missing
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  kiln doctor")]
pub struct Args {}

#[derive(Serialize)]
struct Diagnosis {
    sealed: bool,
    checks: Vec<Check>,
}

/// Runs the command.
///
/// # Errors
/// If the findings cannot be printed.
pub fn run(globals: &Globals, _: &Args) -> Exit {
    let checks = probe();
    let diagnosis = Diagnosis { sealed: checks.iter().all(|check| check.ok || !check.required), checks };
    globals.ui().print(&diagnosis, render)?;
    Ok(if diagnosis.sealed { exit::OK } else { exit::CANNOT_SEAL })
}

fn render(diagnosis: &Diagnosis) -> String {
    let width = diagnosis.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for check in &diagnosis.checks {
        let (style, mark) = match (check.ok, check.required) {
            (true, _) => (GREEN, "ok     "),
            (false, true) => (RED, "missing"),
            (false, false) => (YELLOW, "absent "),
        };
        text.push_str(&format!("{}  {:width$}  {}\n", paint(style, mark), check.name, check.detail));
        if let (false, Some(fix)) = (check.ok, &check.fix) {
            text.push_str(&format!("         {:width$}  {}\n", "", paint(DIM, fix)));
        }
    }
    let verdict = if diagnosis.sealed { paint(GREEN, "builds can be sealed here") } else { paint(RED, "builds cannot be sealed here") };
    text.push_str(&format!("\n{verdict}\n"));
    text
}
