//! HTTP as kiln needs it: one blocking client that heeds the machine's proxies and certificate authorities.
//!
//! In: an [`Address`], headers, perhaps a [`Body`]. Out: a [`Response`] whose body is a stream, or [`Trouble`], which says what is to be
//! done about it: ask somebody else, come back later, give up. Bodies are streamed both ways, never held.
//!
//! What a caller can rely on:
//!
//! - Credentials, in the address or in an `authorization` header, go to their own server and never along with a redirect to another one.
//!   Nothing that is shown ([`Address`]'s `Display`, messages, errors) has them.
//! - An encrypted address never leads to an unencrypted one, and no certificate is taken on trust.
//! - A peer that neither sends nor takes anything for [`Settings::stall`] ends the request.
//! - Bodies are handed over as they came: no encoding is asked for or undone.
//!
//! Not here: trying again, resuming, choosing among servers, checking what came. That is the business of `build::fetch` and of whoever else
//! makes requests, because only they know what a failure costs. No server's name is written here.

mod address;
mod client;
mod error;
mod machine;
mod proxy;
mod send;
mod trouble;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
pub(crate) mod testing_tls;
#[cfg(test)]
mod tests;

pub use address::{Address, Scheme, escape, redacted, unescape};
pub use client::{Client, Response, Settings};
pub use error::NetError;
pub use machine::Machine;
pub use send::{Body, Method};
pub use trouble::{Trouble, classify_io};
