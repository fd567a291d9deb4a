//! Store paths: `/kiln/store/<digest>-<name>`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Sha256, base32};

/// The logical store directory. It is part of every hash and the same on all machines, wherever the physical store lies.
pub const STORE_DIR: &str = "/kiln/store";

/// Characters of a digest in a store path.
pub const DIGEST_LEN: usize = 32;

/// The last component of a store path, without the digest: 1 to 211 bytes of `[A-Za-z0-9+._?=-]`, not starting with a dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StoreName(Box<str>);

/// A text that cannot name a store object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot name a store object: allowed are 1 to 211 of `A-Z a-z 0-9 + - . _ ? =`, not starting with a dot")]
pub struct StoreNameError(String);

impl StoreName {
    /// Whether `byte` may stand in a name.
    fn allows(byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte)
    }

    /// The name for a file called `file_name`: bytes that a store name may not hold become `-`.
    ///
    /// # Errors
    /// If nothing usable is left.
    pub fn from_file_name(file_name: &str) -> Result<Self, StoreNameError> {
        let name: String = file_name.bytes().map(|byte| if Self::allows(byte) { byte as char } else { '-' }).collect();
        name.parse()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StoreName {
    type Err = StoreNameError;

    fn from_str(text: &str) -> Result<Self, StoreNameError> {
        let fits = (1..=211).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(Self::allows);
        if fits { Ok(Self(text.into())) } else { Err(StoreNameError(text.to_owned())) }
    }
}

impl TryFrom<String> for StoreName {
    type Error = StoreNameError;

    fn try_from(text: String) -> Result<Self, StoreNameError> {
        text.parse()
    }
}

impl From<StoreName> for String {
    fn from(name: StoreName) -> Self {
        name.0.into()
    }
}

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The digest of a store path: 20 bytes, written as 32 characters of Nix's base 32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreDigest([u8; DIGEST_LEN]);

impl StoreDigest {
    /// The digest that stands for a hash of 32 bytes, folded.
    pub(super) fn folded(hash: &Sha256) -> Self {
        let text = base32::encode(&hash.fold());
        let mut characters = [0u8; DIGEST_LEN];
        characters.copy_from_slice(text.as_bytes());
        Self(characters)
    }

    /// Reads 32 characters of base 32; `None` for anything else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        base32::decode::<20>(text)?;
        text.try_into().ok().map(Self)
    }

    /// The 32 characters, as they occur in the bytes of an object that refers to this one.
    pub fn as_bytes(&self) -> &[u8; DIGEST_LEN] {
        &self.0
    }

    /// The 32 characters as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for StoreDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for StoreDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreDigest({self})")
    }
}

/// Where a store object lives, logically. Ordered as its text is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StorePath {
    digest: StoreDigest,
    name: StoreName,
}

/// A text that is no store path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a store path: expected `{STORE_DIR}/<32 base-32 characters>-<name>`")]
pub struct StorePathError(String);

impl StorePath {
    /// Puts a store path together.
    pub fn new(digest: StoreDigest, name: StoreName) -> Self {
        Self { digest, name }
    }

    /// The path that Nix's scheme computes for a fingerprint's type and inner hash.
    pub(super) fn from_fingerprint(kind: &str, inner: &Sha256, name: &StoreName) -> Self {
        let fingerprint = format!("{kind}:sha256:{inner}:{STORE_DIR}:{name}");
        Self { digest: StoreDigest::folded(&Sha256::of(fingerprint)), name: name.clone() }
    }

    /// The path that an output has while it is built. It follows from its own name alone, so that a change of anything else
    /// does not show in bytes that depend on the path.
    pub fn scratch(name: &StoreName) -> Self {
        Self::from_fingerprint("scratch", &Sha256::of(name.as_str()), name)
    }

    /// Reads the last component, `<digest>-<name>`.
    ///
    /// # Errors
    /// If it has another shape.
    pub fn from_base_name(text: &str) -> Result<Self, StorePathError> {
        let error = || StorePathError(text.to_owned());
        let (digest, rest) = text.split_at_checked(DIGEST_LEN).ok_or_else(error)?;
        let digest = StoreDigest::parse(digest.as_bytes()).ok_or_else(error)?;
        let name = rest.strip_prefix('-').and_then(|name| name.parse().ok()).ok_or_else(error)?;
        Ok(Self { digest, name })
    }

    /// The digest.
    pub fn digest(&self) -> &StoreDigest {
        &self.digest
    }

    /// The name.
    pub fn name(&self) -> &StoreName {
        &self.name
    }

    /// `<digest>-<name>`: the file name in a store directory.
    pub fn base_name(&self) -> String {
        format!("{}-{}", self.digest, self.name)
    }
}

impl FromStr for StorePath {
    type Err = StorePathError;

    fn from_str(text: &str) -> Result<Self, StorePathError> {
        let base = text.strip_prefix(STORE_DIR).and_then(|rest| rest.strip_prefix('/')).ok_or_else(|| StorePathError(text.to_owned()))?;
        Self::from_base_name(base)
    }
}

impl TryFrom<String> for StorePath {
    type Error = StorePathError;

    fn try_from(text: String) -> Result<Self, StorePathError> {
        text.parse()
    }
}

impl From<StorePath> for String {
    fn from(path: StorePath) -> Self {
        path.to_string()
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{STORE_DIR}/{}-{}", self.digest, self.name)
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_path_reads_what_it_prints() {
        let text = "/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep";
        let path: StorePath = text.parse().unwrap();
        assert_eq!((path.name().as_str(), path.to_string().as_str()), ("dep", text));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "/kiln/store",
            "/kiln/store/",
            "/nix/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep",
            "/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdr-dep",
            "/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdre-dep",
            "/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp",
            "/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-",
            "/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-.dep",
            "/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-a/b",
            "/kiln/store/é8k90pkn2fan0wl15k96v2md0n20vgdr-dep",
        ] {
            assert!(text.parse::<StorePath>().is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_that_a_name_may_not_hold_become_dashes() {
        let name = StoreName::from_file_name("libc6_2.36-9+deb12u10~rc1%3a_amd64.deb").unwrap();
        assert_eq!(name.as_str(), "libc6_2.36-9+deb12u10-rc1-3a_amd64.deb");
        assert!(StoreName::from_file_name("").is_err());
        assert!(StoreName::from_file_name(&"a".repeat(212)).is_err());
    }
}
