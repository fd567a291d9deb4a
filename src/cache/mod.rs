//! Binary caches: objects, traces, records and derivations that machines share.
//!
//! ```text
//! store ──push──▶ a cache (a directory) ──pull──▶ another store
//!                                           │
//!                                         traces: believed if a trusted key signed them
//! ```
//!
//! The format is Nix's binary cache ([`entry`] lists the names), so that Nix's tools read our objects; traces, records, logs and derivations lie
//! beside them under `kiln/`. An object proves itself: its path is computed from its bytes, whoever sent them. A trace proves nothing and is
//! believed only if a key signed it that the user trusts.
//!
//! In: a [`Store`](crate::store::Store), addresses, keys. Out: entries in a cache, or registered objects and traces in the store.
//! Not here: when to ask a cache (`build`), and how objects are staged and registered (`store`).

mod backend;
mod claims;
pub mod config;
mod directory;
pub mod entry;
mod error;
mod fetch;
mod follow;
mod http;
mod info;
pub mod keep;
mod location;
mod pack;
mod parallel;
mod patient;
mod publish;
mod pull;
mod push;
mod reader;
mod resume;
mod s3;
mod s3_settings;
#[cfg(feature = "server")]
pub mod server;
mod set;
pub mod signing;
pub mod statement;
mod testimony;
mod unpack;
mod web;
pub mod wire;

#[cfg(test)]
mod tests;

pub use backend::{Backend, Existing, Listed, Reading, Source};
pub use directory::Directory;
pub use error::CacheError;
pub use follow::follow;
pub use http::Http;
pub use info::{CacheInfo, DEFAULT_PRIORITY};
pub use location::{Access, Location, NotASecret, S3Place, open};
pub use patient::Patience;
pub use pull::{OnPull, PullEvent, Pulled, Puller};
pub use push::{OnPush, PushEvent, PushOptions, Pushed, Pusher};
pub use reader::{Cache, read_info};
pub use resume::{ResumingReader, read_small};
pub use s3::S3;
pub use set::{CacheSet, Trouble};
pub use testimony::Claim;
