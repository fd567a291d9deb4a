//! (being built)

pub mod log;
pub mod plan;
