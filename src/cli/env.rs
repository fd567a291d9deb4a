//! Every environment variable that kiln itself reads.

use std::ffi::OsString;
use std::path::PathBuf;

/// The physical store, unless `--store` says otherwise.
pub const STORE: &str = "KILN_STORE";
/// The project's directory, unless `--project` says otherwise.
pub const PROJECT: &str = "KILN_PROJECT";
/// If set and not empty, nothing is coloured (<https://no-color.org>).
pub const NO_COLOR: &str = "NO_COLOR";

fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// `$KILN_STORE`.
pub fn store() -> Option<PathBuf> {
    set(STORE).map(PathBuf::from)
}

/// `$KILN_PROJECT`.
pub fn project() -> Option<PathBuf> {
    set(PROJECT).map(PathBuf::from)
}

/// Whether colour is refused.
pub fn no_color() -> bool {
    set(NO_COLOR).is_some()
}

/// The user's data directory, by the XDG base directory specification.
pub fn data_dir() -> Option<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    set("XDG_DATA_HOME").map(PathBuf::from).and_then(absolute).or_else(|| Some(PathBuf::from(set("HOME")?).join(".local/share")))
}
