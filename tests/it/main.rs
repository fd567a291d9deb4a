//! The integration tests: one binary.

mod build;
mod sandbox;
mod sealed;
mod support;
