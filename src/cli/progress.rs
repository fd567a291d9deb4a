//! Live progress: on a terminal a line for each running step, otherwise a line when a step begins and one when it ends.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};

use crate::build::event::{Event, Outcome, Reporter, StepId, Work};
use crate::build::substitute::Disagreement;

use crate::store::Found;

use super::ui::{self, DIM, GREEN, RED, Ui, YELLOW, harmless, paint};

struct Running {
    name: String,
    work: Work,
    bar: Option<ProgressBar>,
}

/// Shows events to a person.
pub struct Progress {
    ui: Ui,
    bars: Option<MultiProgress>,
    running: Mutex<HashMap<StepId, Running>>,
    /// Below the running steps: how much waits behind them.
    rest: Option<ProgressBar>,
}

impl Progress {
    /// Progress as fits the user's choice and the terminal.
    pub fn new(ui: Ui) -> Self {
        let bars = ui.is_live().then(MultiProgress::new);
        let rest = bars.as_ref().map(|bars| bars.add(ProgressBar::new_spinner().with_style(plain_style())));
        Self { ui, bars, running: Mutex::default(), rest }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<StepId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, text: String) {
        match &self.bars {
            Some(bars) => bars.suspend(|| ui::say(text)),
            None => ui::say(text),
        }
    }

    fn started(&self, id: StepId, name: &str, work: Work, waiting: usize) {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.insert_from_back(1, ProgressBar::new_spinner().with_style(style()));
            bar.set_prefix(format!("{} {}", work.verb(), harmless(name)));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        // Many small files are one piece of news: only what takes processor time is announced in plain text.
        if bar.is_none() && !self.ui.quiet && matches!(work, Work::Build | Work::Builtin) {
            ui::say(format!("{} {}", work.verb(), harmless(name)));
        }
        let mut running = self.running();
        running.insert(id, Running { name: name.to_owned(), work, bar });
        if let Some(rest) = &self.rest {
            let behind = waiting.saturating_sub(running.len());
            rest.set_message(if behind > 0 { format!("  {behind} more wait") } else { String::new() });
        }
    }

    fn blocked(&self, id: StepId) {
        if self.ui.quiet {
            return;
        }
        let name = self.running().get(&id).map(|running| running.name.clone()).unwrap_or_default();
        self.tell(format!("{} {}: another kiln is at it", paint(YELLOW, "waiting for"), harmless(&name)));
    }

    fn ended(&self, id: StepId) -> Option<Running> {
        let running = self.running().remove(&id)?;
        if let Some(bar) = &running.bar {
            bar.finish_and_clear();
        }
        Some(running)
    }

    fn finished(&self, id: StepId, outcome: Outcome, duration: Duration) {
        let Some(running) = self.ended(id) else { return };
        if self.ui.quiet || running.work == Work::AddSource || outcome == Outcome::Elsewhere {
            return;
        }
        let verb = match (running.work, outcome) {
            (_, Outcome::Found) => "found",
            (Work::Fetch, _) => "fetched",
            (Work::Pull, _) => "pulled",
            (Work::Builtin, _) => "made",
            _ => "built",
        };
        self.tell(format!("{} {}  {}", paint(GREEN, verb), harmless(&running.name), paint(DIM, ui::seconds(duration))));
    }
}

fn disagreed(disagreement: &Disagreement) -> String {
    let warning = paint(YELLOW, "warning:");
    let mut text = format!("{warning} {}: trusted keys vouch for different results of the same derivation", harmless(&disagreement.name));
    for said in &disagreement.claims {
        let paths: Vec<String> = said.outputs.values().map(ToString::to_string).collect();
        text.push_str(&format!("\n  {}  by {}", paths.join(" "), said.signers.join(", ")));
    }
    text
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {prefix}  {elapsed} {wide_msg:.dim}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn plain_style() -> ProgressStyle {
    ProgressStyle::with_template("{wide_msg:.dim}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(rest) = &self.rest {
            rest.finish_and_clear();
        }
    }
}

impl Reporter for Progress {
    fn report(&self, event: &Event<'_>) {
        match event {
            Event::Started { id, name, work, waiting, .. } => self.started(*id, name, *work, *waiting),
            Event::Blocked { id } => self.blocked(*id),
            Event::Received { id, bytes, total } => {
                if let Some(bar) = self.running().get(id).and_then(|running| running.bar.as_ref()) {
                    let total = total.map(|total| format!(" of {}", HumanBytes(total))).unwrap_or_default();
                    bar.set_message(format!("{}{total}", HumanBytes(*bytes)));
                }
            }
            Event::Line { id, text } => {
                let running = self.running();
                let Some(running) = running.get(id) else { return };
                if self.ui.verbose {
                    ui::say(format!("{} {}", paint(DIM, format!("{}>", harmless(&running.name))), harmless(text)));
                } else if let Some(bar) = &running.bar {
                    bar.set_message(harmless(text));
                }
            }
            Event::Finished { id, outcome, duration } => self.finished(*id, *outcome, *duration),
            Event::Failed { id, failure } => {
                self.ended(*id);
                // The error itself comes at the end, quiet or not.
                if !self.ui.quiet {
                    self.tell(format!("{} {}", paint(RED, "failed"), harmless(&failure.name)));
                }
            }
            Event::Differs { name, before, now, .. } => {
                let text = format!("{} {}: two builds of the same derivation differ", paint(YELLOW, "warning:"), harmless(name));
                self.tell(format!("{text}\n  before  {before}\n  now     {now}"));
            }
            Event::Mended { path, found } => {
                let was = if *found == Found::Missing { "was valid but not on the disk" } else { "was damaged" };
                self.tell(format!("{} {path} {was}; it has the right bytes again", paint(YELLOW, "warning:")));
            }
            Event::Disagreement { disagreement } => self.tell(disagreed(disagreement)),
            Event::Trouble { error } => {
                if !self.ui.quiet {
                    self.tell(format!("{} {}; going on without it", paint(YELLOW, "note:"), harmless(&error.to_string())));
                }
            }
        }
    }
}
