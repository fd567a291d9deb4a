//! The names of what lies in a cache. A name is made here or checked here, so nothing that a server says can lead out of the cache.
//!
//! ```text
//! nix-cache-info                       what this cache is
//! <digest>.narinfo                     one object: hashes, references, where its NAR is
//! nar/<file hash>.nar.zst              packed NARs, named by their own hash
//! kiln/traces/<resolved>/<key>         what this key's builds of a resolved derivation gave: a signed statement a line
//! kiln/records/<resolved>/<key>        how that build went, signed
//! kiln/logs/<resolved>/<key>.zst       what its builder printed
//! kiln/derivations/<hash>.json         derivations, in canonical form
//! kiln/pins/<name>                     what the cache's collector keeps: a store path a line
//! kiln/leases/<id>-<part>              what a running push relies on: an entry's name a line
//! kiln/collector/mark                  what the collector is removing at the moment
//! kiln/collector/condemned             NARs that no object names, and since when
//! ```
//!
//! Traces lie under their signer's name, so that a reader asks for those it trusts and needs no listing, and two signers never write one entry.

use std::fmt;
use std::str::FromStr;

use super::signing::KeyName;
use crate::model::{Compression, DerivationHash, Sha256, StoreDigest};

/// Bytes of a name at most.
const LONGEST: usize = 512;

/// The name of an entry: parts of `[A-Za-z0-9._+=~-]` that do not start with a dot, with slashes between them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryName(Box<str>);

/// A text that names nothing in any cache.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no name in a cache", .0.escape_debug())]
pub struct EntryNameError(String);

impl EntryName {
    fn of(text: String) -> Self {
        Self(text.into())
    }

    /// `nix-cache-info`.
    pub fn cache_info() -> Self {
        Self::of("nix-cache-info".to_owned())
    }

    /// The description of an object.
    pub fn narinfo(digest: &StoreDigest) -> Self {
        Self::of(format!("{digest}.narinfo"))
    }

    /// A packed NAR with this hash.
    pub fn nar(file_hash: &Sha256, compression: Compression) -> Self {
        Self::of(format!("nar/{}.nar{}", file_hash.base32(), compression.suffix()))
    }

    /// Where a description says that a packed NAR is: unlike all other names, it may have a query.
    ///
    /// # Errors
    /// If that is no place in a cache.
    pub fn packed(url: &str) -> Result<Self, EntryNameError> {
        let Some((path, query)) = url.split_once('?') else { return url.parse() };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+=&".contains(&byte);
        if url.len() > LONGEST || query.is_empty() || !query.bytes().all(plain) || path.parse::<Self>().is_err() {
            return Err(EntryNameError(url.to_owned()));
        }
        Ok(Self(url.into()))
    }

    /// What a key says about a resolved derivation.
    pub fn traces(resolved: &DerivationHash, key: &KeyName) -> Self {
        Self::of(format!("kiln/traces/{resolved}/{key}"))
    }

    /// How that key's build went.
    pub fn record(resolved: &DerivationHash, key: &KeyName) -> Self {
        Self::of(format!("kiln/records/{resolved}/{key}"))
    }

    /// That build's log.
    pub fn log(resolved: &DerivationHash, key: &KeyName) -> Self {
        Self::of(format!("kiln/logs/{resolved}/{key}.zst"))
    }

    /// A derivation in canonical form.
    pub fn derivation(hash: &DerivationHash) -> Self {
        Self::of(format!("kiln/derivations/{hash}.json"))
    }

    /// A pin. `name` must fit into a name.
    ///
    /// # Errors
    /// If it does not.
    pub fn pin(name: &str) -> Result<Self, EntryNameError> {
        if name.contains('/') { Err(EntryNameError(name.to_owned())) } else { format!("kiln/pins/{name}").parse() }
    }

    /// A part of what a running push relies on.
    pub fn lease(id: &str, part: usize) -> Self {
        Self::of(format!("kiln/leases/{id}-{part}"))
    }

    /// What the collector is removing.
    pub fn collector_mark() -> Self {
        Self::of("kiln/collector/mark".to_owned())
    }

    /// NARs that the collector will remove.
    pub fn condemned() -> Self {
        Self::of("kiln/collector/condemned".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The object that this is the description of, if it is one.
    pub fn described(&self) -> Option<StoreDigest> {
        StoreDigest::parse(self.0.strip_suffix(".narinfo")?.as_bytes())
    }
}

impl FromStr for EntryName {
    type Err = EntryNameError;

    fn from_str(text: &str) -> Result<Self, EntryNameError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+=".contains(&byte);
        let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.len() <= 255 && part.bytes().all(plain);
        if text.len() <= LONGEST && text.split('/').all(is_part) { Ok(Self(text.into())) } else { Err(EntryNameError(text.to_owned())) }
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for bad in ["", "/", "/x", "x/", "x//y", "..", "../x", "nar/../x", ".hidden", "a b", "a\0", "a?b", "a%2e", &"x".repeat(600)] {
            assert!(bad.parse::<EntryName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_where_a_packed_nar_is_may_have_a_query() {
        assert_eq!(EntryName::packed("nar/x.nar?hash=0a").unwrap().as_str(), "nar/x.nar?hash=0a");
        for bad in ["nar/x?", "nar/../x?a", "?a", "x?a/b", "x?a?b", "x?a#b", "x?a%20"] {
            assert!(EntryName::packed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_made_here_are_names() {
        let digest = StoreDigest::parse(b"8k90pkn2fan0wl15k96v2md0n20vgdrp").unwrap();
        let (hash, key) = (Sha256::of("x"), "team-1".parse().unwrap());
        let resolved = DerivationHash(hash);
        let made = [
            EntryName::cache_info(),
            EntryName::narinfo(&digest),
            EntryName::nar(&hash, Compression::Zstd),
            EntryName::traces(&resolved, &key),
            EntryName::record(&resolved, &key),
            EntryName::log(&resolved, &key),
            EntryName::derivation(&resolved),
            EntryName::lease("0f", 3),
            EntryName::collector_mark(),
            EntryName::condemned(),
        ];
        for name in made {
            assert_eq!(name.as_str().parse::<EntryName>().as_ref(), Ok(&name));
        }
        assert_eq!(EntryName::narinfo(&digest).described(), Some(digest));
    }
}
