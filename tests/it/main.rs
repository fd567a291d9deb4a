//! The integration tests: one binary.
#![allow(clippy::unwrap_used)]

mod escapes;
mod nix_parity;
mod sandbox;
mod sealed;
mod terminal;
