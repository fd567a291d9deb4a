//! `kiln cache serve`: a directory's entries over HTTP, to kiln, to Nix and to people.
//!
//! ```text
//! a connection ─▶ listen ─┬─ clear HTTP/1.1 ─▶ waiting (epoll, a thread a core) ⇄ connection (a thread while it sends much: sendfile)
//!                         └─ HTTP/2, TLS ────▶ streams: hyper on tokio, the only async code
//!                                                 │ both
//!                            Request + Upload ─▶ answer ─▶ Response: a status, headers, and bytes, a part of a file or a stream
//! ```
//!
//! What is answered is decided in `Server::answer`, which knows nothing of sockets. An entry's name is an [`EntryName`](super::entry::EntryName)
//! and files are opened beneath the cache's directory by the kernel (`openat2`), so no request leaves it.
//!
//! In: a cache's directory, tokens, limits, a listening socket. Out: responses, log lines, figures.
//! Not here: what a client makes of an answer; nothing that the server checks of an upload replaces the reader's own checks.

mod access_log;
mod answer;
mod builds;
mod chunked;
mod claims;
mod conditions;
mod connection;
mod content;
mod error;
mod files;
mod head;
mod incoming;
mod index;
mod list;
mod listen;
mod metrics;
mod options;
mod page;
mod request;
mod response;
mod route;
mod scan;
mod send;
mod streams;
#[cfg(test)]
mod tests;
mod tls;
mod tokens;
mod upload;
mod view;
mod waiting;

pub use access_log::AccessLog;
pub use answer::Server;
pub use error::ServerError;
pub use options::{Limits, Options};
pub use tls::Tls;
pub use tokens::{Scope, Token, TokenError, Tokens};
