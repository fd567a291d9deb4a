//! The language of recipe files: which Starlark, and which names are there from the start.

use std::sync::LazyLock;

use starlark::environment::{Globals, GlobalsBuilder, LibraryExtension};
use starlark::syntax::{Dialect, DialectTypes};

use super::primitives;

/// What is left out of the extensions gives different answers at different times, or looks into the interpreter.
const EXTENSIONS: &[LibraryExtension] = &[
    LibraryExtension::StructType,
    LibraryExtension::RecordType,
    LibraryExtension::EnumType,
    LibraryExtension::SetType,
    LibraryExtension::Map,
    LibraryExtension::Filter,
    LibraryExtension::Partial,
    LibraryExtension::Print,
    LibraryExtension::Pprint,
    LibraryExtension::Pstr,
    LibraryExtension::Prepr,
    LibraryExtension::Json,
    LibraryExtension::Typing,
];

/// Starlark with types, f-strings, keyword-only parameters, and statements at the top level.
pub(super) fn dialect() -> Dialect {
    Dialect {
        enable_keyword_only_arguments: true,
        enable_types: DialectTypes::Enable,
        enable_load_reexport: false,
        enable_top_level_stmt: true,
        enable_f_strings: true,
        ..Dialect::Standard
    }
}

/// Makes the names that recipe files start with, which takes 3 ms once per process. [`super::evaluate()`] does it when it needs to; called
/// on a thread at the start of the program, it costs nothing but a core.
pub fn prepare() {
    globals();
}

/// All names that a recipe file starts with.
pub(super) fn globals() -> &'static Globals {
    static GLOBALS: LazyLock<Globals> = LazyLock::new(|| GlobalsBuilder::extended_by(EXTENSIONS).with(primitives::register).build());
    &GLOBALS
}
