//! What an entry is, by its name: how it is typed, kept, and what an upload of it must prove.

use crate::cache::backend::Existing;
use crate::cache::entry::EntryName;
use crate::cache::signing::KeyName;
use crate::model::{Compression, DerivationHash, Sha256, StoreDigest};

use super::options::Limits;

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// What the cache is.
    CacheInfo,
    /// An object's description.
    NarInfo(StoreDigest),
    /// A list of the files in an object, as Nix makes it.
    Listing,
    /// A packed NAR and the hash of the packed bytes.
    Nar(Sha256, Compression),
    /// A key's statements about a resolved derivation.
    Traces(DerivationHash, KeyName),
    /// How its build went.
    Record(DerivationHash, KeyName),
    /// What its builder printed, packed.
    Log(DerivationHash, KeyName),
    /// A derivation.
    Derivation(DerivationHash),
    /// What the collector keeps.
    Pin,
    /// What a running push relies on.
    Lease,
    /// The collector's own notes.
    Collector,
    /// Something else that lies in the directory.
    Other,
}

/// A hexadecimal hash as names have it: one way to write each.
fn hexadecimal(text: &str) -> Option<DerivationHash> {
    let hash: Sha256 = text.parse().ok()?;
    (hash.hex() == text).then_some(DerivationHash(hash))
}

fn statement(rest: &str, suffix: &str) -> Option<(DerivationHash, KeyName)> {
    let (resolved, key) = rest.split_once('/')?;
    Some((hexadecimal(resolved)?, key.strip_suffix(suffix)?.parse().ok()?))
}

fn nar(rest: &str) -> Option<Content> {
    let (hash, suffix) = rest.split_once(".nar")?;
    let all = [Compression::None, Compression::Zstd, Compression::Xz, Compression::Bzip2, Compression::Gzip];
    let compression = all.into_iter().find(|known| known.suffix() == suffix)?;
    let hash = hash.parse::<Sha256>().ok().filter(|parsed| parsed.base32() == hash)?;
    Some(Content::Nar(hash, compression))
}

impl Content {
    /// What the entry of this name is.
    pub(super) fn of(name: &EntryName) -> Self {
        let text = name.as_str();
        Self::known(name, text).unwrap_or(Self::Other)
    }

    fn known(name: &EntryName, text: &str) -> Option<Self> {
        if let Some(digest) = name.described() {
            return Some(Self::NarInfo(digest));
        }
        let Some((folder, rest)) = text.split_once('/') else {
            let listing = text.strip_suffix(".ls").and_then(|digest| StoreDigest::parse(digest.as_bytes()));
            return if text == "nix-cache-info" { Some(Self::CacheInfo) } else { listing.map(|_| Self::Listing) };
        };
        match (folder, rest.split_once('/')) {
            ("nar", _) => nar(rest),
            ("kiln", Some(("traces", rest))) => statement(rest, "").map(|(resolved, key)| Self::Traces(resolved, key)),
            ("kiln", Some(("records", rest))) => statement(rest, "").map(|(resolved, key)| Self::Record(resolved, key)),
            ("kiln", Some(("logs", rest))) => statement(rest, ".zst").map(|(resolved, key)| Self::Log(resolved, key)),
            ("kiln", Some(("derivations", rest))) => hexadecimal(rest.strip_suffix(".json")?).map(Self::Derivation),
            ("kiln", Some(("pins", rest))) => (!rest.contains('/')).then_some(Self::Pin),
            ("kiln", Some(("leases", rest))) => (!rest.contains('/')).then_some(Self::Lease),
            ("kiln", Some(("collector", "mark" | "condemned"))) => Some(Self::Collector),
            _ => None,
        }
    }

    /// Its media type.
    pub(super) fn media_type(&self) -> &'static str {
        match self {
            Self::CacheInfo => "text/x-nix-cache-info",
            Self::NarInfo(_) => "text/x-nix-narinfo",
            Self::Nar(..) => "application/x-nix-nar",
            Self::Listing | Self::Record(..) | Self::Derivation(_) => "application/json",
            Self::Traces(..) => "application/jsonl",
            Self::Log(..) => "application/zstd",
            Self::Pin | Self::Lease | Self::Collector => "text/plain; charset=utf-8",
            Self::Other => "application/octet-stream",
        }
    }

    /// What others may keep of it.
    pub(super) fn cache_control(&self) -> Option<&'static str> {
        match self {
            Self::Nar(..) | Self::Derivation(_) => Some("max-age=31536000, immutable"),
            Self::Traces(..) | Self::Record(..) | Self::Log(..) | Self::Pin | Self::Lease | Self::Collector => Some("no-cache"),
            _ => None,
        }
    }

    /// The hash in its name, if the name follows from the bytes.
    pub(super) fn hash(&self) -> Option<&Sha256> {
        match self {
            Self::Nar(hash, _) | Self::Derivation(DerivationHash(hash)) => Some(hash),
            _ => None,
        }
    }

    /// What becomes of it when it comes again.
    pub(super) fn existing(&self) -> Existing {
        match self {
            Self::NarInfo(_) | Self::Nar(..) | Self::Derivation(_) | Self::Listing => Existing::Keep,
            _ => Existing::Replace,
        }
    }

    /// How long it may be; none if it cannot be written at all.
    pub(super) fn limit(&self, limits: &Limits) -> Option<u64> {
        match self {
            Self::CacheInfo | Self::Other => None,
            Self::Nar(..) => Some(limits.upload),
            Self::Log(..) | Self::Collector => Some(Limits::LOG),
            _ => Some(Limits::DOCUMENT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(name: &str) -> Content {
        Content::of(&name.parse().unwrap())
    }

    #[test]
    fn each_kind_is_told_by_its_name() {
        let (hash, digest) = (Sha256::of("x"), "8k90pkn2fan0wl15k96v2md0n20vgdrp");
        let (resolved, key): (_, KeyName) = (DerivationHash(hash), "team-1".parse().unwrap());
        assert_eq!(content(&format!("{digest}.narinfo")), Content::NarInfo(StoreDigest::parse(digest.as_bytes()).unwrap()));
        assert_eq!(content(&format!("{digest}.ls")), Content::Listing);
        assert_eq!(content(&format!("nar/{}.nar.zst", hash.base32())), Content::Nar(hash, Compression::Zstd));
        assert_eq!(content(&format!("nar/{}.nar", hash.base32())), Content::Nar(hash, Compression::None));
        assert_eq!(content(&format!("kiln/traces/{hash}/team-1")), Content::Traces(resolved, key.clone()));
        assert_eq!(content(&format!("kiln/records/{hash}/team-1")), Content::Record(resolved, key.clone()));
        assert_eq!(content(&format!("kiln/logs/{hash}/team-1.zst")), Content::Log(resolved, key));
        assert_eq!(content(&format!("kiln/derivations/{hash}.json")), Content::Derivation(resolved));
        assert_eq!(content("kiln/pins/release-1"), Content::Pin);
        assert_eq!(content("kiln/leases/0123-0"), Content::Lease);
        assert_eq!(content("kiln/collector/mark"), Content::Collector);
        assert_eq!(content("nix-cache-info"), Content::CacheInfo);
    }

    #[test]
    fn names_that_only_look_like_it_are_something_else() {
        let hash = Sha256::of("x");
        let upper = hash.hex().to_uppercase();
        let names = [
            "x.narinfo".to_owned(),
            "nar/x.nar.zst".to_owned(),
            format!("nar/{hash}.nar.zst"),
            format!("nar/{}.nar.lz4", hash.base32()),
            format!("nar/a/{}.nar", hash.base32()),
            format!("kiln/traces/{upper}/team-1"),
            format!("kiln/traces/{hash}/a/b"),
            format!("kiln/logs/{hash}/team-1"),
            "kiln/pins/a/b".to_owned(),
            "kiln/leases/a/b".to_owned(),
            "kiln/collector/other".to_owned(),
            "index.html".to_owned(),
        ];
        for name in names {
            assert_eq!(content(&name), Content::Other, "{name}");
        }
    }
}
