//! The integration tests: one binary.
#![allow(clippy::unwrap_used)]

mod architecture;
mod beginning;
mod build;
mod cache;
mod cache_backends;
mod cache_keep;
mod cache_server;
mod errors;
mod escapes;
mod flagship;
mod layers;
mod nix_parity;
mod pages;
mod sandbox;
mod sealed;
mod support;
mod terminal;
