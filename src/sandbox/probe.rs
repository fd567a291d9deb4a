//! What this kernel allows: the checks of `kiln doctor`.

/// One check of this machine.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// What was tried.
    pub name: String,
    /// Whether it works.
    pub ok: bool,
    /// Whether builds fail without it.
    pub required: bool,
    /// What was found.
    pub detail: String,
    /// How to enable it, if it does not work.
    pub fix: Option<String>,
}

/// Tries every layer and extra, each by itself.
pub fn probe() -> Vec<Check> {
    todo!()
}
