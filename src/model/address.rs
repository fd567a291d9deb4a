//! Content addressing: which store path an object's bytes give it. Source: Nix, `libstore/store-api.cc`; golden vectors in the tests.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{HashError, Sha256, StoreName, StorePath};

/// How an object's path follows from its content; printed as Nix's `CA` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ContentAddress {
    /// The hash of the NAR, modulo the object's own digest.
    Recursive(Sha256),
    /// The hash of the file's bytes.
    Flat(Sha256),
}

impl ContentAddress {
    /// The path of an object called `name` with this address. `references` are the other objects it refers to.
    pub fn store_path(&self, name: &StoreName, references: &BTreeSet<StorePath>, refers_to_itself: bool) -> StorePath {
        match self {
            Self::Recursive(hash) => recursive_path(name, hash, references, refers_to_itself),
            Self::Flat(hash) => flat_path(name, hash),
        }
    }
}

impl fmt::Display for ContentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recursive(hash) => write!(f, "fixed:r:sha256:{}", hash.base32()),
            Self::Flat(hash) => write!(f, "fixed:sha256:{}", hash.base32()),
        }
    }
}

impl FromStr for ContentAddress {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        match text.strip_prefix("fixed:r:") {
            Some(hash) => Ok(Self::Recursive(hash.parse()?)),
            None => Ok(Self::Flat(text.strip_prefix("fixed:").unwrap_or("").parse()?)),
        }
    }
}

impl TryFrom<String> for ContentAddress {
    type Error = HashError;

    fn try_from(text: String) -> Result<Self, HashError> {
        text.parse()
    }
}

impl From<ContentAddress> for String {
    fn from(address: ContentAddress) -> Self {
        address.to_string()
    }
}

/// The path of a file tree. `hash` is that of its NAR modulo its own digest; `references` leaves the object itself out.
pub fn recursive_path(name: &StoreName, hash: &Sha256, references: &BTreeSet<StorePath>, refers_to_itself: bool) -> StorePath {
    let mut kind = String::from("source");
    for reference in references {
        kind.push(':');
        kind.push_str(&reference.to_string());
    }
    if refers_to_itself {
        kind.push_str(":self");
    }
    StorePath::from_fingerprint(&kind, hash, name)
}

/// The path of a single, non-executable file without references whose bytes have the given hash.
pub fn flat_path(name: &StoreName, hash: &Sha256) -> StorePath {
    let inner = Sha256::of(format!("fixed:out:sha256:{hash}:"));
    StorePath::from_fingerprint("output:out", &inner, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_referential_tree_gets_nixs_path() {
        let dep: StorePath = "/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep".parse().unwrap();
        let hash: Sha256 = "1mpzglkqxjxjnw9liga9wmica7y7v8m933727pga2ghja3961bj3".parse().unwrap();
        assert_eq!(hash.hex(), "43ae60d250123ea1de3de28c912adac71fc562e549bd4813b7b2cb8e277dffd6");
        let path = recursive_path(&"self-ref".parse().unwrap(), &hash, &BTreeSet::from([dep]), true);
        assert_eq!(path.to_string(), "/kiln/store/c9dciprxvlj43yb0kffvqp92i8cqghhf-self-ref");
    }

    #[test]
    fn a_flat_file_gets_nixs_path() {
        let path = flat_path(&"hello.txt".parse().unwrap(), &Sha256::of("hello\n"));
        assert_eq!(path.to_string(), "/kiln/store/9rbzc4ah4446bnbi4npmymci2fy6n8zs-hello.txt");
    }

    #[test]
    fn an_address_reads_what_it_prints() {
        for address in [ContentAddress::Recursive(Sha256::of("a")), ContentAddress::Flat(Sha256::of("b"))] {
            assert_eq!(address.to_string().parse(), Ok(address));
        }
        assert!("text:sha256:00".parse::<ContentAddress>().is_err());
    }
}
