//! The integration tests: one binary.
#![allow(clippy::unwrap_used)]

mod escapes;
mod sandbox;
mod sealed;
mod terminal;
