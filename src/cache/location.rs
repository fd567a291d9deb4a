//! Where a cache is, what lets kiln in, and the back end for it.
//!
//! In: an address as people write it. Out: a [`Location`], which can be shown (credentials are not), and with an [`Access`] a [`Backend`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::backend::Backend;
use super::directory::Directory;
use super::error::CacheError;
use super::http::Http;
use super::patient::Patience;
use super::s3::S3;
use crate::net::{Address, Machine, Settings, redacted, unescape};

/// Where a cache is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A directory of this machine: `file:///dir`, or its absolute path.
    Directory(PathBuf),
    /// A web server: `https://host/path`.
    Http(Address),
    /// A bucket: `s3://bucket/prefix`.
    S3(S3Place),
}

/// A bucket, or the part of it under a prefix. What is left out here is taken from the environment and from files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Place {
    /// The bucket's name.
    pub bucket: String,
    /// What all keys begin with, without slashes at its ends.
    pub prefix: String,
    /// `endpoint=`: the server's address, `https:` if it has no scheme.
    pub endpoint: Option<String>,
    /// `region=`
    pub region: Option<String>,
    /// `path-style=`: whether the bucket's name is in the path rather than in the host's name.
    pub path_style: Option<bool>,
    /// `profile=`: whose credentials, of those in the files.
    pub profile: Option<String>,
}

/// Parameters of an `s3:` address.
const S3_PARAMETERS: &str = "endpoint, region, path-style, profile and scheme";

impl Location {
    /// Reads an address.
    ///
    /// # Errors
    /// If it has no scheme that kiln knows, or a part that cannot be used.
    pub fn parse(text: &str) -> Result<Self, CacheError> {
        let text = text.trim();
        let bad = |reason: String| CacheError::BadAddress { url: redacted(text), reason };
        if text.starts_with('/') {
            return Ok(Self::Directory(PathBuf::from(text)));
        }
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| bad("expected file:///…, https://…, s3://… or an absolute path".to_owned()))?;
        match scheme.to_ascii_lowercase().as_str() {
            "file" => directory(rest).map(Self::Directory).map_err(bad),
            "s3" => S3Place::parse(rest).map(Self::S3).map_err(bad),
            "http" | "https" if rest.contains(['?', '#']) => Err(bad("it may not have a `?` or `#`".to_owned())),
            "http" | "https" => {
                // The reason alone: the address is there already.
                let reason = |error| match error {
                    crate::net::NetError::BadAddress { reason, .. } => reason.to_owned(),
                    other => other.to_string(),
                };
                Address::parse(text).map(Self::Http).map_err(|error| bad(reason(error)))
            }
            _ => Err(bad(format!("`{}:` is no way to a cache; there are file:, http:, https: and s3:", scheme.escape_debug()))),
        }
    }
}

fn directory(rest: &str) -> Result<PathBuf, String> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    match path {
        _ if !path.starts_with('/') => Err("a file: address needs an absolute path".to_owned()),
        _ if path.contains(['?', '#']) => Err("it may not have a `?` or `#`".to_owned()),
        _ => Ok(PathBuf::from(unescape(path))),
    }
}

impl S3Place {
    fn parse(rest: &str) -> Result<Self, String> {
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if place.contains('@') {
            return Err("credentials have no place in an s3: address; they are in the environment or in a profile".to_owned());
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if !(3..=255).contains(&bucket.len()) || !bucket.bytes().all(plain) || bucket.starts_with(['.', '-']) {
            return Err("it has no usable bucket's name".to_owned());
        }
        let prefix = prefix.trim_matches('/');
        if !prefix.is_empty() && prefix.parse::<super::entry::EntryName>().is_err() {
            return Err("its prefix has characters that kiln does not use in names".to_owned());
        }
        let mut found = Self { bucket: bucket.to_owned(), prefix: prefix.to_owned(), ..Self::default() };
        let mut scheme = None;
        for (name, value) in query.split('&').filter(|part| !part.is_empty()).map(|part| part.split_once('=').unwrap_or((part, ""))) {
            let value = unescape(value);
            match name {
                "endpoint" => found.endpoint = Some(value),
                "region" => found.region = Some(value),
                "profile" => found.profile = Some(value),
                "scheme" => scheme = Some(value),
                "path-style" => {
                    found.path_style = Some(value.parse().map_err(|_| "`path-style` is either `true` or `false`".to_owned())?);
                }
                _ => return Err(format!("`{}` is no parameter of an s3: address; there are {S3_PARAMETERS}", name.escape_debug())),
            }
        }
        if [&found.endpoint, &found.region, &found.profile].into_iter().any(|value| value.as_deref() == Some("")) {
            return Err("one of its parameters is empty".to_owned());
        }
        found.endpoint = found.endpoint.map(|endpoint| with_scheme(&endpoint, scheme.as_deref())).transpose()?;
        Ok(found)
    }
}

/// An endpoint as an address: a server, perhaps a path, nothing else.
pub(super) fn with_scheme(endpoint: &str, scheme: Option<&str>) -> Result<String, String> {
    let whole = if endpoint.contains("://") { endpoint.to_owned() } else { format!("{}://{endpoint}", scheme.unwrap_or("https")) };
    let usable = (whole.starts_with("http://") || whole.starts_with("https://")) && !whole.contains(['@', '?', '#']);
    match Address::parse(&whole) {
        Ok(_) if usable => Ok(whole.trim_end_matches('/').to_owned()),
        _ => Err(format!("its endpoint `{}` is no address of a server", redacted(endpoint).escape_debug())),
    }
}

impl FromStr for Location {
    type Err = CacheError;

    fn from_str(text: &str) -> Result<Self, CacheError> {
        Self::parse(text)
    }
}

/// Without credentials.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(dir) => write!(f, "file://{}", dir.display()),
            Self::Http(address) => f.write_str(address.to_string().trim_end_matches('/')),
            Self::S3(place) => place.fmt(f),
        }
    }
}

/// Bucket and prefix; the endpoint too if the address names one, because a bucket's name means nothing without its server then.
impl fmt::Display for S3Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "s3://{}{slash}{}", self.bucket, self.prefix)?;
        self.endpoint.as_ref().map_or(Ok(()), |endpoint| write!(f, "?endpoint={endpoint}"))
    }
}

/// What lets kiln into a cache, and how it goes there. Nothing that is shown has the secret in it.
#[derive(Clone)]
pub struct Access {
    /// The value of the `authorization` header.
    authorization: Option<String>,
    /// Whether the user named this cache, and not only a project that somebody else wrote.
    pub(super) by_user: bool,
    /// How connections are made.
    pub settings: Settings,
    /// How patient requests are.
    pub patience: Patience,
}

impl Access {
    /// For a cache that the user named, without a token.
    pub fn new(machine: Machine) -> Self {
        let (connect, stall) = (Duration::from_secs(20), Duration::from_secs(60));
        let settings = Settings { connect, stall, ca_bundle: None, further_ca_bundles: Vec::new(), untrusted_ca_bundle: None, machine };
        Self { authorization: None, by_user: true, settings, patience: Patience::default() }
    }

    /// For a cache that only a project names: what the user keeps for their own caches is not shown to a server that the project chose.
    #[must_use]
    pub fn of_project(self) -> Self {
        Self { by_user: false, ..self }
    }

    /// With a bearer token, or with `user:password`.
    ///
    /// # Errors
    /// If it cannot be sent in a header.
    pub fn with_secret(self, secret: &str) -> Result<Self, NotASecret> {
        let secret = secret.trim();
        if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(NotASecret);
        }
        // No bearer token has a colon.
        let value = if secret.contains(':') { format!("Basic {}", BASE64.encode(secret)) } else { format!("Bearer {secret}") };
        Ok(Self { authorization: Some(value), ..self })
    }

    /// The value of the `authorization` header.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    pub(super) fn machine(&self) -> &Machine {
        &self.settings.machine
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Access({})", if self.authorization.is_some() { "with a secret" } else { "without a secret" })
    }
}

/// A text that is neither a token nor `user:password`. It is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is neither a token nor `user:password`: those are printable ASCII without spaces")]
pub struct NotASecret;

/// The back end for a place. No connection is made yet.
///
/// # Errors
/// If the machine's configuration of S3 cannot be used.
pub fn open(location: &Location, access: &Access) -> Result<Arc<dyn Backend>, CacheError> {
    Ok(match location {
        Location::Directory(dir) => Arc::new(Directory::new(absolute(dir, access.machine()))),
        Location::Http(base) => Arc::new(Http::new(base.clone(), access)),
        Location::S3(place) => Arc::new(S3::new(place, access)?),
    })
}

fn absolute(dir: &Path, machine: &Machine) -> PathBuf {
    machine.path(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Location::parse(text).unwrap().to_string()
    }

    #[test]
    fn addresses_are_read_and_shown_without_credentials() {
        assert_eq!(shown("/srv/cache"), "file:///srv/cache");
        assert_eq!(shown("file:///srv/a%20b"), "file:///srv/a b");
        assert_eq!(shown("https://me:secret@Host.example/c/"), "https://host.example/c");
        assert_eq!(shown("s3://bucket/a/b/?region=eu-west-1"), "s3://bucket/a/b");
        let Location::S3(place) = Location::parse("s3://bucket?endpoint=127.0.0.1:9000&scheme=http&path-style=false&profile=x").unwrap()
        else {
            panic!("no bucket")
        };
        assert_eq!(place.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!((place.path_style, place.profile.as_deref()), (Some(false), Some("x")));
    }

    #[test]
    fn other_addresses_are_refused_and_their_secrets_stay_out_of_the_message() {
        let bad = [
            "",
            "cache",
            "./cache",
            "ftp://me:secret@host/x",
            "file://host/x",
            "file:///x?compression=zstd",
            "https://me:secret@host/x?y=1",
            "http://",
            "s3://",
            "s3://b",
            "s3://me:secret@bucket",
            "s3://bucket/../x",
            "s3://bucket?endpoint=https://me:secret@host",
            "s3://bucket?endpoint=gopher://host",
            "s3://bucket?path-style=yes",
            "s3://bucket?region=",
            "s3://bucket?secret-key=/x",
        ];
        for text in bad {
            let error = Location::parse(text).unwrap_err().to_string();
            assert!(error.contains("is no address of a cache: ") && !error.contains("me:secret"), "{text}: {error}");
        }
    }

    #[test]
    fn a_secret_is_sent_as_what_it_is_and_never_shown() {
        let access = Access::new(Machine::at(Path::new("/nonexistent"), &[]));
        let token = access.clone().with_secret(" abc123\n").unwrap();
        assert_eq!(token.authorization(), Some("Bearer abc123"));
        assert_eq!(access.clone().with_secret("me:pass").unwrap().authorization(), Some("Basic bWU6cGFzcw=="));
        assert!(!format!("{token:?}").contains("abc123"));
        assert_eq!(access.with_secret("a b\r\nx: y").unwrap_err(), NotASecret);
    }
}
