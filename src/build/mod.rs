//! (being built)

pub mod config;
pub mod fetch;
pub mod lock;
