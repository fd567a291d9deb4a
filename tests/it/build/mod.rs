//! `kiln build`: what is built, what is not, and what it comes out as.

mod collection;
mod incremental;
mod interruption;
mod outputs;
mod overriding;
mod policies;
mod rebuild;
mod repairing;
mod reports;
mod scheduling;
mod sharing;
mod signals;
mod sources;
