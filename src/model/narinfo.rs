//! `.narinfo`: what a binary cache says about one object. Source of the format: Nix, `libstore/nar-info.cc`; field order as Nix writes it.
//!
//! In: text from anybody. Out: a [`NarInfo`] whose parts are well-formed, and the text that Nix's own tools read. Whether any of it is true is
//! not decided here: the object must prove itself.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::{ContentAddress, PathInfo, STORE_DIR, Sha256, StorePath};

/// How a NAR is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// As it is.
    None,
    /// Zstandard: what kiln writes.
    Zstd,
    /// xz: what Nix writes unless told otherwise.
    Xz,
    /// bzip2: what a `.narinfo` means that says nothing.
    Bzip2,
    /// gzip.
    Gzip,
}

impl Compression {
    const ALL: [Self; 5] = [Self::None, Self::Zstd, Self::Xz, Self::Bzip2, Self::Gzip];

    /// The word for it in a `.narinfo`.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Gzip => "gzip",
        }
    }

    /// The end of a packed NAR's file name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Zstd => ".zst",
            Self::Xz => ".xz",
            Self::Bzip2 => ".bz2",
            Self::Gzip => ".gz",
        }
    }
}

/// One object in a binary cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NarInfo {
    /// The object.
    pub path: StorePath,
    /// Where its packed NAR is: a name relative to the cache, without `..`, perhaps with a query.
    pub url: String,
    /// How that is packed.
    pub compression: Compression,
    /// SHA-256 of the packed NAR, if it is said.
    pub file_hash: Option<Sha256>,
    /// Bytes of the packed NAR, if it is said.
    pub file_size: Option<u64>,
    /// SHA-256 of the NAR.
    pub nar_hash: Sha256,
    /// Bytes of the NAR.
    pub nar_size: u64,
    /// All objects it refers to, itself included if it does.
    pub references: BTreeSet<StorePath>,
    /// The base name of the derivation that made it, as Nix knows it.
    pub deriver: Option<String>,
    /// Signatures, as `key-name:base64`.
    pub signatures: Vec<String>,
    /// How the path follows from the content; without it an object cannot prove itself.
    pub ca: Option<ContentAddress>,
}

/// A text that is no `.narinfo`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NarInfoError {
    /// A line without `: `.
    #[error("line {0} is not of the form `Key: value`")]
    Line(usize),
    /// A field that must be there is not.
    #[error("the field `{0}` is missing")]
    Missing(&'static str),
    /// A field that may be there once is there again.
    #[error("the field `{0}` is there twice")]
    Twice(&'static str),
    /// A value that cannot be.
    #[error("the field `{field}` has an impossible value: {problem}")]
    Value {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl NarInfo {
    /// The text that a signature covers: `1;path;sha256:<base 32>;size;references`.
    pub fn fingerprint(&self) -> String {
        let references: Vec<String> = self.references.iter().map(ToString::to_string).collect();
        format!("1;{};sha256:{};{};{}", self.path, self.nar_hash.base32(), self.nar_size, references.join(","))
    }

    /// The object's description, as a store keeps it; none if it cannot prove itself.
    pub fn path_info(&self) -> Option<PathInfo> {
        Some(PathInfo {
            path: self.path.clone(),
            nar_hash: self.nar_hash,
            nar_size: self.nar_size,
            references: self.references.clone(),
            ca: self.ca?,
            registered: 0,
        })
    }
}

impl fmt::Display for NarInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "StorePath: {}\nURL: {}\nCompression: {}", self.path, self.url, self.compression.word())?;
        if let Some(hash) = &self.file_hash {
            writeln!(f, "FileHash: sha256:{}", hash.base32())?;
        }
        if let Some(size) = self.file_size {
            writeln!(f, "FileSize: {size}")?;
        }
        let references: Vec<String> = self.references.iter().map(StorePath::base_name).collect();
        writeln!(f, "NarHash: sha256:{}\nNarSize: {}", self.nar_hash.base32(), self.nar_size)?;
        writeln!(f, "References: {}", references.join(" "))?;
        if let Some(deriver) = &self.deriver {
            writeln!(f, "Deriver: {deriver}")?;
        }
        for signature in &self.signatures {
            writeln!(f, "Sig: {signature}")?;
        }
        if let Some(ca) = &self.ca {
            writeln!(f, "CA: {ca}")?;
        }
        Ok(())
    }
}

/// The fields as they come, each text once.
#[derive(Default)]
struct Fields<'a> {
    path: Option<&'a str>,
    url: Option<&'a str>,
    compression: Option<&'a str>,
    file_hash: Option<&'a str>,
    file_size: Option<&'a str>,
    nar_hash: Option<&'a str>,
    nar_size: Option<&'a str>,
    references: Option<&'a str>,
    deriver: Option<&'a str>,
    ca: Option<&'a str>,
    signatures: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Result<Self, NarInfoError> {
        let mut fields = Self::default();
        for (index, line) in text.lines().enumerate() {
            let (key, value) = line.split_once(':').ok_or(NarInfoError::Line(index + 1))?;
            let value = value.trim();
            let (name, place) = match key {
                "StorePath" => ("StorePath", &mut fields.path),
                "URL" => ("URL", &mut fields.url),
                "Compression" => ("Compression", &mut fields.compression),
                "FileHash" => ("FileHash", &mut fields.file_hash),
                "FileSize" => ("FileSize", &mut fields.file_size),
                "NarHash" => ("NarHash", &mut fields.nar_hash),
                "NarSize" => ("NarSize", &mut fields.nar_size),
                "References" => ("References", &mut fields.references),
                "Deriver" => ("Deriver", &mut fields.deriver),
                "CA" => ("CA", &mut fields.ca),
                "Sig" => {
                    fields.signatures.push(value);
                    continue;
                }
                // Newer servers may say more.
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(NarInfoError::Twice(name));
            }
        }
        Ok(fields)
    }
}

fn value<T: FromStr>(field: &'static str, text: &str) -> Result<T, NarInfoError>
where
    T::Err: fmt::Display,
{
    text.parse().map_err(|error: T::Err| NarInfoError::Value { field, problem: error.to_string() })
}

fn optional<T: FromStr>(field: &'static str, text: Option<&str>) -> Result<Option<T>, NarInfoError>
where
    T::Err: fmt::Display,
{
    text.filter(|text| !text.is_empty()).map(|text| value(field, text)).transpose()
}

fn required<'a>(field: &'static str, text: Option<&'a str>) -> Result<&'a str, NarInfoError> {
    text.filter(|text| !text.is_empty()).ok_or(NarInfoError::Missing(field))
}

/// A place within the cache: no way out of it, to another server, or to another kind of request.
fn relative(url: &str) -> Result<String, NarInfoError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+=/".contains(&byte);
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.');
    let is_query = |query: &str| !query.is_empty() && query.bytes().all(|byte| byte != b'/' && (plain(byte) || byte == b'&'));
    // What a cache makes at the moment it is asked for, it may name with a query.
    let place = url.strip_prefix("./").unwrap_or(url);
    let (path, query) = place.split_once('?').map_or((place, None), |(path, query)| (path, Some(query)));
    if url.len() <= 1024 && path.bytes().all(plain) && path.split('/').all(is_part) && query.is_none_or(is_query) {
        return Ok(place.to_owned());
    }
    Err(NarInfoError::Value { field: "URL", problem: format!("`{}` is no name within the cache", url.escape_debug()) })
}

impl FromStr for NarInfo {
    type Err = NarInfoError;

    fn from_str(text: &str) -> Result<Self, NarInfoError> {
        let fields = Fields::read(text)?;
        let reference = |name: &str| {
            StorePath::from_base_name(name)
                .map_err(|error| NarInfoError::Value { field: "References", problem: format!("{error} (in {STORE_DIR})") })
        };
        let compression = match fields.compression.filter(|word| !word.is_empty()) {
            None => Compression::Bzip2,
            Some(word) => Compression::ALL.into_iter().find(|known| known.word() == word).ok_or_else(|| NarInfoError::Value {
                field: "Compression",
                problem: format!("`{}` is not known here", word.escape_debug()),
            })?,
        };
        Ok(Self {
            path: value("StorePath", required("StorePath", fields.path)?)?,
            url: relative(required("URL", fields.url)?)?,
            compression,
            file_hash: optional("FileHash", fields.file_hash)?,
            file_size: optional("FileSize", fields.file_size)?,
            nar_hash: value("NarHash", required("NarHash", fields.nar_hash)?)?,
            nar_size: value("NarSize", required("NarSize", fields.nar_size)?)?,
            references: fields.references.unwrap_or("").split_ascii_whitespace().map(reference).collect::<Result<_, _>>()?,
            deriver: fields.deriver.filter(|text| !text.is_empty() && *text != "unknown-deriver").map(str::to_owned),
            signatures: fields.signatures.into_iter().map(str::to_owned).collect(),
            ca: optional("CA", fields.ca)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Vector 2 of the golden ones, as Nix describes it.
    const SELF_REF: &str = "StorePath: /kiln/store/c9dciprxvlj43yb0kffvqp92i8cqghhf-self-ref
URL: nar/0yscb0qvl353dmsb9zkkdw86q0xizfz570ixjra4cnh32bimvss6.nar.zst
Compression: zstd
FileHash: sha256:0yscb0qvl353dmsb9zkkdw86q0xizfz570ixjra4cnh32bimvss6
FileSize: 300
NarHash: sha256:0yscb0qvl353dmsb9zkkdw86q0xizfz570ixjra4cnh32bimvss6
NarSize: 880
References: 8k90pkn2fan0wl15k96v2md0n20vgdrp-dep c9dciprxvlj43yb0kffvqp92i8cqghhf-self-ref
Sig: a-1:AAAA
CA: fixed:r:sha256:1mpzglkqxjxjnw9liga9wmica7y7v8m933727pga2ghja3961bj3
";

    fn changed(from: &str, to: &str) -> Result<NarInfo, NarInfoError> {
        assert!(SELF_REF.contains(from), "{from}");
        SELF_REF.replace(from, to).parse()
    }

    #[test]
    fn it_prints_what_it_reads() {
        let info: NarInfo = SELF_REF.parse().unwrap();
        assert_eq!(info.to_string(), SELF_REF);
        assert!(info.path_info().unwrap().path_is_consistent());
        assert_eq!(
            info.fingerprint(),
            "1;/kiln/store/c9dciprxvlj43yb0kffvqp92i8cqghhf-self-ref;sha256:0yscb0qvl353dmsb9zkkdw86q0xizfz570ixjra4cnh32bimvss6;880;\
             /kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep,/kiln/store/c9dciprxvlj43yb0kffvqp92i8cqghhf-self-ref"
        );
    }

    #[test]
    fn an_object_without_references_has_an_empty_field() {
        let info = changed(" 8k90pkn2fan0wl15k96v2md0n20vgdrp-dep c9dciprxvlj43yb0kffvqp92i8cqghhf-self-ref", " ").unwrap();
        assert!(info.references.is_empty() && info.to_string().contains("\nReferences: \n"));
    }

    #[test]
    fn a_place_may_have_a_query_and_begin_where_the_cache_does() {
        let good = "nar/0yscb0qvl353dmsb9zkkdw86q0xizfz570ixjra4cnh32bimvss6.nar.zst";
        let harmonias = "nar/0yscb0qvl353dmsb9zkkdw86q0xizfz570ixjra4cnh32bimvss6.nar.zst?hash=8k90pkn2fan0wl15k96v2md0n20vgdrp";
        assert_eq!(changed(good, harmonias).unwrap().url, harmonias);
        assert_eq!(changed(good, "./nar/x.nar").unwrap().url, "nar/x.nar");
        for bad in ["nar/x?", "nar/x?a?b", "nar/x?a#b", "nar/x?a b", "nar/x?a=%41", "nar/x?a=\u{e9}", "?a=b", "././nar/x", "nar/x?../y?z"] {
            assert!(changed(good, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_that_lead_out_of_the_cache_are_refused() {
        let good = "nar/0yscb0qvl353dmsb9zkkdw86q0xizfz570ixjra4cnh32bimvss6.nar.zst";
        for bad in ["../x", "nar/../../x", "/etc/passwd", "http://other/x", "//other/x", "nar//x", "nar/%2e%2e/x", "nar/./x", "a b"] {
            let error = changed(good, bad).unwrap_err();
            assert!(matches!(error, NarInfoError::Value { field: "URL", .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn what_is_missing_twice_or_impossible_is_named() {
        assert_eq!(changed("NarSize: 880\n", ""), Err(NarInfoError::Missing("NarSize")));
        assert_eq!(changed("NarSize: 880\n", "NarSize: 880\nNarSize: 881\n"), Err(NarInfoError::Twice("NarSize")));
        assert!(matches!(changed("880", "-1"), Err(NarInfoError::Value { field: "NarSize", .. })));
        assert!(matches!(changed(": zstd", ": lz4"), Err(NarInfoError::Value { field: "Compression", .. })));
        assert!(matches!(changed("/kiln/store/", "/nix/store/"), Err(NarInfoError::Value { field: "StorePath", .. })));
        assert!(matches!(changed("8k90pkn2fan0wl15k96v2md0n20vgdrp-dep", "../dep"), Err(NarInfoError::Value { field: "References", .. })));
        assert_eq!("garbage".parse::<NarInfo>(), Err(NarInfoError::Line(1)));
    }

    #[test]
    fn an_object_without_a_content_address_cannot_prove_itself() {
        let ca = "CA: fixed:r:sha256:1mpzglkqxjxjnw9liga9wmica7y7v8m933727pga2ghja3961bj3\n";
        assert!(changed(ca, "").unwrap().path_info().is_none());
    }

    proptest! {
        #[test]
        fn whatever_is_read_prints_as_what_reads_the_same(edits in prop::collection::vec((0..SELF_REF.len(), any::<u8>()), 0..6)) {
            let mut bytes = SELF_REF.as_bytes().to_vec();
            edits.into_iter().for_each(|(at, byte)| bytes[at] = byte);
            if let Some(info) = String::from_utf8(bytes).ok().and_then(|text| text.parse::<NarInfo>().ok()) {
                prop_assert_eq!(info.to_string().parse::<NarInfo>(), Ok(info));
            }
        }
    }
}
