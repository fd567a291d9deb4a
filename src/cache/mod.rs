//! Binary caches: objects, traces, records and derivations that machines share.
//!
//! ```text
//! store ──push──▶ a cache (directory │ HTTP server │ S3 bucket) ──pull──▶ another store
//!                      ▲                       │
//!                    serve                  traces: believed if a trusted key signed them
//! ```
//!
//! The format is Nix's binary cache ([`entry`] lists the names), so that Nix's tools read our objects; traces, records, logs and derivations lie
//! beside them under `kiln/`. An object proves itself: its path is computed from its bytes, whoever sent them. A trace proves nothing and is
//! believed only if a key signed it that the user trusts.
//!
//! In: a [`Store`](crate::store::Store), addresses, keys. Out: entries in a cache, or registered objects and traces in the store.
//! Not here: when to ask a cache (`build`), and how objects are staged and registered (`store`).

mod backend;
mod directory;
pub mod entry;
mod error;
#[cfg(feature = "server")]
pub mod server;
pub mod signing;
pub mod statement;

pub use backend::{Backend, Existing, Listed, Reading, Source};
pub use directory::Directory;
pub use error::CacheError;
