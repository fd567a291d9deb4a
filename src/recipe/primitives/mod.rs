//! The functions that kiln adds to Starlark.

mod arguments;
mod derivation;
mod fetch;
mod files;
mod trees;

use starlark::environment::GlobalsBuilder;

/// The builtin builder behind `unpack`, with its version.
pub(super) const UNPACK: &str = "unpack/1";

/// Adds all of them.
pub(super) fn register(builder: &mut GlobalsBuilder) {
    derivation::register(builder);
    fetch::register(builder);
    files::register(builder);
    trees::register(builder);
}
