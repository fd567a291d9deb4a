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

/// All names that a recipe file starts with.
pub(super) fn globals() -> &'static Globals {
    static GLOBALS: LazyLock<Globals> =
        LazyLock::new(|| GlobalsBuilder::extended_by(EXTENSIONS).with(primitives::register).build());
    &GLOBALS
}
