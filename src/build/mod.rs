//! Building: from a derivation graph and a wish to objects in the store.
//!
//! ```text
//! graph + goals ──plan──▶ steps ──schedule──▶ worker threads ──workshop──▶ staged objects ──registrar──▶ the store
//!                  ▲                              │
//!                  └──── outputs, failures ◀──────┘            events ──▶ whoever started the build
//! ```
//!
//! The algorithm, in words. [`plan`] asks for each wanted derivation: are its output paths known? They are if its inputs' paths are known and a
//! build trace for the derivation *resolved* with them exists. If so, nothing of it is needed unless somebody reads its objects. If
//! not, caches are asked for a trace that trusted keys signed; if there is none, it is built, and only then are its inputs' objects wanted. An object
//! that is wanted and not here is pulled from a cache that has it ([`substitute`]). [`schedule`] runs what is ready; each result goes back to the planner,
//! which may find that everything behind it is known after all (early cutoff). A result can be read by the next step as soon as it is
//! *staged*; it becomes *valid* when the registrar has made it durable.
//!
//! Nothing here prints; progress is [`event`]s. Nothing here evaluates recipes.

pub mod builtin;
pub mod compare;
pub mod config;
mod download;
pub mod error;
pub mod event;
pub mod fetch;
mod keep;
mod knowledge;
pub mod lock;
pub mod log;
pub mod outputs;
pub mod plan;
mod record;
mod registrar;
pub mod repair;
pub mod schedule;
mod script;
pub mod source;
pub mod stop;
pub mod substitute;
mod supervise;
pub mod workshop;

pub use error::{BuildError, StepError, StepFailure};
pub use knowledge::StoreKnowledge;
pub use schedule::{Report, build};
pub use stop::Stop;
pub use substitute::Substituter;
pub use workshop::{Options, Workshop};

/// The system that this program builds for, such as `x86_64-linux`.
pub fn system() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}
