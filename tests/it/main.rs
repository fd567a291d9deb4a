//! The integration tests: one binary.

mod flagship;
mod sandbox;
mod sealed;
