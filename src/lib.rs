//! kiln: a hermetic, content-addressed derivation builder. This page is the map.
//!
//! # The way data flows
//!
//! ```text
//! derivations/*.star ──recipe::evaluate──▶ Evaluated ──recipe::lower──▶ DerivationGraph (hashed)
//!    ──build::plan (inputs → store paths)──▶ ResolvedDerivation ──▶ build trace? ── yes ─▶ store paths
//!         │ no
//!         └─ SandboxSpec (plain data) ──sandbox::spawn──▶ output trees at scratch paths
//!               ──store: canonicalise, one NAR pass, rewrite──▶ content-addressed objects ──▶ durable, then registered
//!               ──▶ trace + record
//! ```
//!
//! A value never travels backwards. Each stage is a module, each hand-over a plain data type.
//!
//! # Rooms, from the bottom
//!
//! | module | what it is | may use |
//! |---|---|---|
//! | [`model`] | values and their canonical forms: hashes, store paths, derivations, graph, traces, records; pure | nothing |
//! | [`fsio`] | errors that carry a path, atomic and durable writes, locks | nothing |
//! | [`net`] | HTTP: one client that heeds the machine's proxies and certificate authorities | `fsio` |
//! | [`archive`] | NAR, tar, zip, deb: streaming, with nobody's word taken for what is in them | `fsio` |
//! | [`sandbox`] | a spec in, a running sandbox out; the hidden subcommand that becomes its first process | `fsio` |
//! | [`store`] | the physical store: add, query, verify, collect, traces and records | `archive`, `fsio` |
//! | [`recipe`] | Starlark in, derivations out | `fsio` |
//! | [`cache`] | binary caches: back ends, signatures, push, pull | `store`, `archive`, `net`, `fsio` |
//! | [`build`] | plan, schedule, realise, fetch, lock, builtin builders, events | `sandbox`, `cache`, `store`, `archive`, `net`, `fsio` |
//! | [`cli`] | one file per command; the only place that prints | all |
//!
//! Everything may use [`model`]. `tests/it/layers.rs` holds the `use` lines to this table.
//!
//! # Where to start reading
//!
//! [`model`]'s `derivation.rs` says what is built; [`build`]'s page says in words how it is decided whether to; `build/workshop.rs` carries one
//! step out; [`sandbox`]'s and [`store`]'s pages say what they promise. A command's way through all of it starts at `cli/build.rs`.
//! The recipes of the flagship are in `derivations/`, and `docs/` explains everything from the outside.
//!
//! # What always holds
//!
//! - What is to be done is data, made without I/O, then carried out: a plan, a [`sandbox::SandboxSpec`]. A value that exists is valid.
//! - A builder sees its inputs with their closures and nothing else. A mandatory layer that cannot be had is an error, never a fallback.
//! - What the store calls valid has the bytes that its name says, on the disk, and so has everything it refers to, whenever a process is
//!   killed.
//! - Nothing enters from outside unverified: fetched bytes are hashed before anything reads them, archives are unpacked through directory
//!   handles that no link can bend.
//! - Memory is constant in the size of files, trees and archives.
//! - `unsafe` is written in `sandbox/sys` and nowhere else (what Starlark's derive macros expand to is theirs). The core
//!   is threads and blocking I/O; async stays inside `cache/server/streams.rs`.
//! - Nothing prints but [`cli`]; a build tells its progress as events, a library error carries facts, and hints join it at the edge.
//!
//! # What is deliberately absent
//!
//! - No daemon, no setuid helper, no installed state: a store is a directory, and any user may have one.
//! - No build user and no network for any script; only kiln's own fetchers reach out, and only for bytes whose hash is declared.
//! - No program of the machine in any build. Outside of builds kiln runs `git` (to list a project's files) and `apt` (to make a lock), nothing
//!   else.
//! - No registry's host name: which server stands for a registry is the machine's configuration.
//! - No configuration that changes what comes out. Parameters are declared in recipes and given on the command line.
//! - No weaker sandbox that is chosen silently, and no timestamp, user or path of the machine in a hash.

pub mod archive;
pub mod build;
pub mod cache;
pub mod cli;
pub mod fsio;
pub mod model;
pub mod net;
pub mod recipe;
pub mod sandbox;
pub mod store;
