//! kiln: a hermetic, content-addressed derivation builder.

pub mod archive;
pub mod build;
pub mod cli;
pub mod fsio;
pub mod model;
pub mod recipe;
pub mod sandbox;
pub mod store;
