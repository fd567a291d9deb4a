//! What a command did, and what a test says it should have done.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitStatus;

use serde_json::Value;

/// A finished command. Each expectation gives it back, so that they chain; one that is not met shows the whole outcome.
pub(crate) struct Outcome {
    /// The command line, for messages.
    pub(crate) line: String,
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, status, out, err } = self;
        write!(f, "$ {line}\n{status}\n--- stdout\n{out}--- stderr\n{err}---")
    }
}

impl Outcome {
    /// It ended well.
    pub(crate) fn success(self) -> Self {
        self.code(0)
    }

    /// It ended with this exit code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "expected exit code {code}\n{self}");
        self
    }

    /// Standard output is exactly this.
    #[track_caller]
    pub(crate) fn stdout(self, text: &str) -> Self {
        assert_eq!(self.out, text, "expected another standard output\n{self}");
        self
    }

    /// Standard output contains this.
    #[track_caller]
    pub(crate) fn stdout_has(self, text: &str) -> Self {
        assert!(self.out.contains(text), "expected `{text}` on standard output\n{self}");
        self
    }

    /// Standard error is exactly this.
    #[track_caller]
    pub(crate) fn stderr(self, text: &str) -> Self {
        assert_eq!(self.err, text, "expected another standard error\n{self}");
        self
    }

    /// Standard error contains this.
    #[track_caller]
    pub(crate) fn stderr_has(self, text: &str) -> Self {
        assert!(self.err.contains(text), "expected `{text}` on standard error\n{self}");
        self
    }

    /// Standard error does not contain this.
    #[track_caller]
    pub(crate) fn stderr_lacks(self, text: &str) -> Self {
        assert!(!self.err.contains(text), "did not expect `{text}` on standard error\n{self}");
        self
    }

    /// Some line of standard error starts with `hint: ` and contains this.
    #[track_caller]
    pub(crate) fn hint(self, text: &str) -> Self {
        let hinted = self.err.lines().any(|line| line.starts_with("hint: ") && line.contains(text));
        assert!(hinted, "expected a hint with `{text}`\n{self}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("standard output is no JSON: {error}\n{self}"))
    }

    /// The first line of standard output, as a path: where `kiln build` put its first target.
    #[track_caller]
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(self.out.lines().next().unwrap_or_else(|| panic!("standard output is empty\n{self}")))
    }

    /// The store path's last component, of the first line of standard output.
    #[track_caller]
    pub(crate) fn object(&self) -> String {
        self.path().file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// Exactly these derivations were built, in any order, by what progress on standard error says.
    #[track_caller]
    pub(crate) fn built(self, names: &[&str]) -> Self {
        let mut built: Vec<&str> = self.err.lines().filter_map(|line| line.strip_prefix("built ")?.split_whitespace().next()).collect();
        let mut names = names.to_vec();
        built.sort_unstable();
        names.sort_unstable();
        assert_eq!(built, names, "expected other builds\n{self}");
        self
    }
}
