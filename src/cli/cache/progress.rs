//! Live progress of a transfer: one line on a terminal, nothing elsewhere.

use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::cache::{CacheError, PullEvent, PushEvent};
use crate::cli::ui::{self, Ui, YELLOW, harmless, paint};

/// Shows how a push or pull goes.
pub struct Transfer {
    ui: Ui,
    verb: &'static str,
    bar: Option<ProgressBar>,
    bytes: std::sync::atomic::AtomicU64,
}

impl Transfer {
    /// Progress as fits the user's choice and the terminal; `verb` is "pulling", say.
    pub fn new(ui: Ui, verb: &'static str) -> Self {
        let style = || ProgressStyle::with_template("{spinner} {prefix}  {pos}/{len}  {elapsed} {wide_msg:.dim}");
        let bar = ui.is_live().then(|| ProgressBar::new(0).with_style(style().unwrap_or_else(|_| ProgressStyle::default_spinner())));
        if let Some(bar) = &bar {
            bar.set_prefix(verb);
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { ui, verb, bar, bytes: std::sync::atomic::AtomicU64::new(0) }
    }

    /// Takes note of what a pull does.
    pub fn pull(&self, event: &PullEvent<'_>) {
        match event {
            PullEvent::Planned { objects, .. } => self.planned(*objects),
            PullEvent::Started(path) => self.name(path.name().as_str()),
            PullEvent::Received(bytes) => self.count(*bytes),
            PullEvent::Fetched(_) => self.done(),
            PullEvent::Trouble(error) => self.trouble(error),
        }
    }

    /// Takes note of what a push does.
    pub fn push(&self, event: &PushEvent<'_>) {
        match event {
            PushEvent::Planned { objects, .. } => self.planned(*objects),
            PushEvent::Started(path) => self.name(path.name().as_str()),
            PushEvent::Sent(bytes) => self.count(*bytes),
            PushEvent::Pushed(_) => self.done(),
            PushEvent::Trouble(error) => self.trouble(error),
        }
    }

    fn planned(&self, objects: usize) {
        self.bar.iter().for_each(|bar| bar.inc_length(objects as u64));
    }

    fn name(&self, name: &str) {
        self.bar.iter().for_each(|bar| bar.set_prefix(format!("{} {}", self.verb, harmless(name))));
    }

    fn count(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        self.bar.iter().for_each(|bar| bar.set_message(HumanBytes(before + bytes).to_string()));
    }

    fn done(&self) {
        self.bar.iter().for_each(|bar| bar.inc(1));
    }

    fn trouble(&self, error: &CacheError) {
        if self.ui.quiet {
            return;
        }
        let text = format!("{} {}", paint(YELLOW, "note:"), harmless(&error.to_string()));
        match &self.bar {
            Some(bar) => bar.suspend(|| ui::say(text)),
            None => ui::say(text),
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
