//! The one shape of every error at the command line's edge: what happened, facts below it, what to try.
//!
//! Errors of the library become a [`Failure`] here, and only here do hints join them.

use std::fmt::Display;

use anstream::adapter::strip_str;

use super::exit;
use super::ui::{self, RED, YELLOW, paint};

/// An error as the user sees it.
#[derive(Debug)]
pub struct Failure {
    /// What could not be done, and why.
    pub message: String,
    /// Facts, a line each.
    pub details: Vec<String>,
    /// What to try next, a line each.
    pub hints: Vec<String>,
    /// The exit code; see [`exit`].
    pub code: u8,
}

impl Failure {
    /// A failure with the ordinary exit code.
    pub fn new(message: impl Display) -> Self {
        Self { message: message.to_string(), details: Vec::new(), hints: Vec::new(), code: exit::FAILED }
    }

    /// A wrong request.
    pub fn request(message: impl Display) -> Self {
        Self::new(message).code(exit::BAD_REQUEST)
    }

    /// Adds a fact.
    #[must_use]
    pub fn detail(mut self, detail: impl Display) -> Self {
        self.details.push(detail.to_string());
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }

    /// Sets the exit code.
    #[must_use]
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Writes it to standard error; as one JSON object if facts are asked for as JSON.
    pub fn show(&self, json: bool) {
        if json {
            let plain = |lines: &[String]| lines.iter().map(|line| strip_str(line).to_string()).collect::<Vec<_>>();
            let (details, hints) = (plain(&self.details), plain(&self.hints));
            let object = serde_json::json!({"error": self.message, "details": details, "hints": hints, "exit": self.code});
            ui::say(object);
            return;
        }
        ui::say(format!("{} {}", paint(RED, "error:"), self.message));
        for detail in &self.details {
            ui::say(format!("  {detail}"));
        }
        for hint in &self.hints {
            ui::say(format!("{} {hint}", paint(YELLOW, "hint:")));
        }
    }
}
