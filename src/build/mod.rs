//! (being built)

pub mod config;
pub mod error;
pub mod event;
pub mod fetch;
pub mod lock;
pub mod log;
pub mod outputs;
pub mod plan;
