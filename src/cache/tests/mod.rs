//! Back ends against servers that fail and lie. What they do with honest ones is in `tests/it/cache_backends.rs`.

mod answers;
mod bucket;
mod faults;
mod writing;

use std::path::Path;
use std::time::Duration;

use super::entry::EntryName;
use super::{Access, Http, Patience};
use crate::net::testing::Server;
use crate::net::{Address, Machine};

/// The longest pause here, whatever a server asks for.
const LONGEST_PAUSE: Duration = Duration::from_millis(40);

/// How long a server may send nothing.
const STALL: Duration = Duration::from_millis(300);

fn patience() -> Patience {
    Patience { attempts: 3, first_pause: Duration::from_millis(1), longest_pause: LONGEST_PAUSE, ..Patience::default() }
}

fn access() -> Access {
    let mut access = Access::new(Machine::at(Path::new("/nonexistent"), &[]));
    access.patience = patience();
    access.settings.stall = STALL;
    access
}

fn cache_at(url: &str, access: &Access) -> Http {
    Http::new(Address::parse(url).unwrap(), access)
}

/// The cache that a server is, with a token shown to it.
fn cache(server: &Server) -> Http {
    cache_at(&server.url("/c"), &access().with_secret("token-1").unwrap())
}

fn name(text: &str) -> EntryName {
    text.parse().unwrap()
}
