//! (being built)

pub mod builtin;
