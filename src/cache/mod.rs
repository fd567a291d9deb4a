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
mod directory;
pub mod entry;
mod error;
mod fetch;
mod follow;
mod info;
mod pack;
mod parallel;
mod publish;
mod pull;
mod push;
mod reader;
mod set;
pub mod signing;
pub mod statement;
mod testimony;

pub use backend::{Backend, Existing, Listed, Reading, Source};
pub use directory::Directory;
pub use error::CacheError;
pub use follow::follow;
pub use info::{CacheInfo, DEFAULT_PRIORITY};
pub use pull::{OnPull, PullEvent, Pulled, Puller};
pub use push::{OnPush, PushEvent, PushOptions, Pushed, Pusher};
pub use reader::{Cache, read_info};
pub use set::{CacheSet, Trouble};
pub use testimony::Claim;
