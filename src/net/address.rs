//! Addresses: taken apart, joined, and shown without credentials.
//!
//! Only what kiln needs of RFC 3986; a fragment is dropped, a user's name and password are kept apart and never shown.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::NetError;

/// How an address is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// A file of this machine: only ever a configured mirror.
    File,
}

/// An absolute address.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    scheme: Scheme,
    credentials: Option<String>,
    /// Host and port as written; empty for files.
    authority: String,
    /// Path and query, starting with `/`.
    path: String,
}

impl Address {
    /// Reads an absolute address.
    ///
    /// # Errors
    /// If it has no scheme that kiln speaks, or no host.
    pub fn parse(text: &str) -> Result<Self, NetError> {
        let text = text.trim();
        let bad = |reason| NetError::BadAddress { url: redacted(text), reason };
        let (scheme, rest) = text.split_once(':').ok_or_else(|| bad("it has no scheme; expected http:, https: or, for a mirror, file:"))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "file" | "copy" => Scheme::File,
            _ => return Err(bad("kiln fetches by http:, https: and, from a mirror, file:")),
        };
        let rest = rest.split('#').next().unwrap_or("");
        if scheme == Scheme::File {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            let path = path.strip_prefix("localhost").unwrap_or(path);
            let path = if path.starts_with('/') { path } else { return Err(bad("a file: address needs an absolute path")) };
            return Ok(Self { scheme, credentials: None, authority: String::new(), path: path.to_owned() });
        }
        let rest = rest.strip_prefix("//").ok_or_else(|| bad("two slashes must follow the scheme"))?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (credentials, authority) = match authority.rsplit_once('@') {
            Some((credentials, authority)) => (Some(credentials.to_owned()), authority),
            None => (None, authority),
        };
        if authority.is_empty() || authority.starts_with(':') || !authority.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad("it has no usable host"));
        }
        let path = if path.starts_with('/') { escape_path(path) } else { format!("/{}", escape_path(path)) };
        Ok(Self { scheme, credentials, authority: authority.to_ascii_lowercase(), path })
    }

    /// What `reference` means on a page that was read from here. Credentials stay with their own server.
    ///
    /// # Errors
    /// If the result is no address that kiln can fetch from.
    pub fn join(&self, reference: &str) -> Result<Self, NetError> {
        let reference = reference.trim();
        let before_path = reference.split(['/', '?', '#']).next().unwrap_or("");
        let mut joined = if before_path.contains(':') {
            Self::parse(reference)?
        } else if let Some(rest) = reference.strip_prefix("//") {
            Self::parse(&format!("{}://{rest}", self.scheme_name()))?
        } else {
            let reference = reference.split('#').next().unwrap_or("");
            let base = self.path.split('?').next().unwrap_or("/");
            let path = match reference {
                "" => self.path.clone(),
                _ if reference.starts_with('/') => reference.to_owned(),
                _ if reference.starts_with('?') => format!("{base}{reference}"),
                _ => format!("{}{reference}", &base[..=base.rfind('/').unwrap_or(0)]),
            };
            Self { path: escape_path(&without_dots(&path)), ..self.clone() }
        };
        if joined.credentials.is_none() && joined.same_server(self) {
            joined.credentials.clone_from(&self.credentials);
        }
        Ok(joined)
    }

    /// The address of `path` (not yet escaped) below this one.
    pub fn below(&self, path: &str) -> Self {
        let path = if self.scheme == Scheme::File { path.to_owned() } else { escape(path) };
        Self { path: format!("{}/{path}", self.path.trim_end_matches('/')), ..self.clone() }
    }

    /// The same with this query (already escaped where it must be).
    pub fn with_query(self, query: &str) -> Self {
        Self { path: format!("{}?{}", self.path, escape_path(query)), ..self }
    }

    /// Whether both are served by the same server in the same way.
    pub fn same_server(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.authority == other.authority
    }

    /// Whether going from `self` to `next` gives up encryption.
    pub(super) fn would_lose_encryption(&self, next: &Self) -> bool {
        self.scheme == Scheme::Https && next.scheme != Scheme::Https
    }

    /// How it is reached.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host, without its port.
    pub fn host(&self) -> &str {
        let without_port = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
        if self.authority.ends_with(']') { &self.authority } else { without_port }
    }

    /// The file that a `file:` address names.
    pub fn file_path(&self) -> PathBuf {
        PathBuf::from(unescape(&self.path))
    }

    /// Path and query, as they are sent.
    pub fn path_and_query(&self) -> &str {
        &self.path
    }

    /// Host and port, as the `Host` header says them.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The whole address, secrets included: for whoever makes the connection, never for people.
    pub(super) fn with_credentials(&self) -> String {
        let credentials = self.credentials.as_ref().map(|credentials| format!("{credentials}@")).unwrap_or_default();
        format!("{}://{credentials}{}{}", self.scheme_name(), self.authority, self.path)
    }

    /// The value of the `Authorization` header.
    pub fn authorization(&self) -> Option<String> {
        let credentials = self.credentials.as_deref()?;
        Some(format!("Basic {}", BASE64.encode(unescape(credentials))))
    }

    fn scheme_name(&self) -> &'static str {
        match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::File => "file",
        }
    }
}

/// Without credentials: it can be shown, and sent to the server.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme_name(), self.authority, self.path)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// `text` as it may be shown: whatever stands before an `@` is left out.
pub fn redacted(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(start), Some(at)) if start < at => format!("{}{}", &text[..start + 3], &text[at + 1..]),
        (None, Some(at)) => text[at + 1..].to_owned(),
        _ => text.to_owned(),
    }
}

/// Escapes everything but unreserved characters and `/`. (`+` too: some object stores take it for a space.)
pub fn escape(text: &str) -> String {
    escape_unless(text, |byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte))
}

/// Escapes only what may not stand in a path or query at all.
fn escape_path(text: &str) -> String {
    escape_unless(text, |byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte))
}

fn escape_unless(text: &str, plain: impl Fn(u8) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) {
            escaped.push(byte as char);
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// Undoes percent escapes; what is no escape stays as it is.
pub fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |offset: usize| bytes.get(at + offset).and_then(|byte| (*byte as char).to_digit(16));
        match (bytes[at], digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                plain.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn without_dots(path: &str) -> String {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut kept: Vec<&str> = Vec::new();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        match *part {
            "." | ".." => {
                if *part == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            part => kept.push(part),
        }
    }
    let path = format!("/{}", kept.join("/"));
    query.map_or(path.clone(), |query| format!("{path}?{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(base: &str, reference: &str) -> String {
        Address::parse(base).unwrap().join(reference).unwrap().to_string()
    }

    #[test]
    fn references_are_joined_as_browsers_do() {
        let base = "https://host.example/simple/six/?a=1";
        assert_eq!(joined(base, "six-1.tar.gz#sha256=00"), "https://host.example/simple/six/six-1.tar.gz");
        assert_eq!(joined(base, "../../packages/a b.whl"), "https://host.example/packages/a%20b.whl");
        assert_eq!(joined(base, "/x/./y/../z?q=1"), "https://host.example/x/z?q=1");
        assert_eq!(joined(base, "//other.example/x"), "https://other.example/x");
        assert_eq!(joined(base, "http://other.example"), "http://other.example/");
        assert_eq!(joined(base, "../../../../../x"), "https://host.example/x");
        assert_eq!(joined(base, ""), "https://host.example/simple/six/?a=1");
    }

    #[test]
    fn credentials_are_sent_but_never_shown() {
        let address = Address::parse("https://me:p%40ss@host.example/simple").unwrap();
        assert_eq!(address.to_string(), "https://host.example/simple");
        assert_eq!(address.authorization().unwrap(), "Basic bWU6cEBzcw==");
        assert!(!format!("{address:?}").contains("p%40ss"));
        assert_eq!(redacted("ftp://me:secret@host/x"), "ftp://host/x");
        let error = Address::parse("gopher://me:secret@host/x").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn credentials_stay_with_their_server() {
        let address = Address::parse("https://me:x@host.example/simple/").unwrap();
        assert!(address.join("file.whl").unwrap().authorization().is_some());
        assert!(address.join("https://host.example/file.whl").unwrap().authorization().is_some());
        assert!(address.join("https://other.example/file.whl").unwrap().authorization().is_none());
        assert!(address.join("http://host.example/file.whl").unwrap().authorization().is_none());
    }

    #[test]
    fn pool_paths_are_escaped() {
        let mirror = Address::parse("http://host.example/debian/").unwrap();
        assert_eq!(mirror.below("pool/g++_1~2.deb").to_string(), "http://host.example/debian/pool/g%2B%2B_1~2.deb");
        let local = Address::parse("file:/srv/debian").unwrap();
        assert_eq!(local.below("pool/g++_1~2.deb").file_path(), PathBuf::from("/srv/debian/pool/g++_1~2.deb"));
    }

    #[test]
    fn addresses_without_scheme_or_host_are_refused() {
        for bad in ["", "host.example/x", "http:/x", "http://", "https://:80/", "ssh://host/x", "file:x", "http://a b/"] {
            assert!(matches!(Address::parse(bad), Err(NetError::BadAddress { .. })), "{bad}");
        }
    }

    #[test]
    fn hosts_are_found_in_any_authority() {
        let host = |text: &str| Address::parse(text).unwrap().host().to_owned();
        assert_eq!(host("http://Host.example:81/x"), "host.example");
        assert_eq!(host("http://[::1]:81/x"), "[::1]");
        assert_eq!(host("http://[::1]/x"), "[::1]");
    }
}
