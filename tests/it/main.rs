//! The integration tests: one binary.
#![allow(clippy::unwrap_used)]

mod build;
mod escapes;
mod sandbox;
mod sealed;
mod support;
mod terminal;
