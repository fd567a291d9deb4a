//! What a server is told at its start.

use std::path::PathBuf;
use std::time::Duration;

use super::access_log::AccessLog;
use super::tokens::Tokens;
use crate::cache::signing::PublicKey;

/// What a server is told at its start.
#[derive(Debug)]
pub struct Options {
    /// The cache.
    pub dir: PathBuf,
    /// Who may do what; without tokens reading is open and writing is closed.
    pub tokens: Option<Tokens>,
    /// Whether reading needs no token although there are some.
    pub public: bool,
    /// Whose statements are taken in; anybody's if there are none.
    pub trusted: Vec<PublicKey>,
    /// Where requests are written down.
    pub log: Option<AccessLog>,
    /// How much of everything.
    pub limits: Limits,
}

/// How much of everything is taken.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Bytes of a packed NAR.
    pub upload: u64,
    /// How long a connection may be silent between requests.
    pub idle: Duration,
    /// How long the head of a request may take once it has begun.
    pub head: Duration,
    /// How long a client may take no bytes of a response, or send none of a body.
    pub stall: Duration,
    /// How often the directory is searched for what others wrote or removed.
    pub rescan: Duration,
}

impl Limits {
    /// Bytes of a request's head.
    pub(super) const HEAD: usize = 16 << 10;
    /// Headers of a request.
    pub(super) const HEADERS: usize = 64;
    /// Bytes of a document: everything but packed NARs and logs.
    pub(super) const DOCUMENT: u64 = 16 << 20;
    /// Bytes of a packed log, or of the collector's notes.
    pub(super) const LOG: u64 = 256 << 20;
    /// A body must come with this many bytes a second on average, after a first delay.
    pub(super) const SLOWEST: u64 = 1 << 10;
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connections: 512, upload: 16 << 30, idle: seconds(75), head: seconds(10), stall: seconds(30), rescan: seconds(30) }
    }
}
