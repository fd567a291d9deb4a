//! Requests: redirects, proxies, certificate authorities.
//!
//! Redirects are followed here rather than by the client library: credentials must not follow to another server, an encrypted
//! address must not lead to an unencrypted one, and each hop has its own proxy. Bodies are never decoded: they are hashed as they are.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::{Agent, SendBody, http};

use super::send::Exactly;
use super::trouble::{classify, refusal};
use super::{Address, Body, Machine, Method, NetError, Scheme, Trouble, proxy};
use crate::fsio::PathError;

/// No address may lead to another more often than this.
const MOST_REDIRECTS: usize = 10;

/// Connections to one server that are kept for the next requests: as many as ask it at once.
const KEPT: usize = 16;

/// An explanation that does not come in so many pieces costs a connection.
const MOST_READS: usize = 4;

/// Bytes that are kept of it.
const LONGEST_EXPLANATION: usize = 200;

/// Headers that are secrets of the server they are meant for.
const SECRETS: [&str; 2] = ["authorization", "cookie"];

/// Headers that make a request one that 304 may answer.
const CONDITIONS: [&str; 2] = ["if-none-match", "if-modified-since"];

/// How connections are made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long making a connection may take.
    pub connect: Duration,
    /// How long a server may send nothing, or take nothing of what is sent to it.
    pub stall: Duration,
    /// Further certificate authorities, beside the machine's own: a PEM file, which must be readable.
    pub ca_bundle: Option<PathBuf>,
    /// PEM files of still further ones, which may be absent.
    pub further_ca_bundles: Vec<PathBuf>,
    /// A PEM file of authorities that vouch only for servers to which no credentials are sent; it must be readable, too.
    pub untrusted_ca_bundle: Option<PathBuf>,
    /// Whose proxies are used.
    pub machine: Machine,
}

/// A response whose head has come.
pub struct Response {
    /// Where it came from in the end.
    pub from: Address,
    /// 200, 206 or 304 of [`Client::get`], 200 to 299 of [`Client::send`].
    pub status: u16,
    headers: http::HeaderMap,
    /// The body's length, if it was said; to a `HEAD`, what it would be.
    pub length: Option<u64>,
    /// The body.
    pub body: Box<dyn Read + Send>,
}

impl Response {
    fn new(from: Address, response: http::Response<ureq::Body>) -> Self {
        let (head, body) = response.into_parts();
        // The library takes an empty body for none, and says no length.
        let is_empty = head.headers.get("content-length").is_some_and(|length| length == "0");
        let length = body.content_length().or(is_empty.then_some(0));
        Self { from, status: head.status.as_u16(), headers: head.headers, length, body: Box::new(body.into_reader()) }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({} from {})", self.status, self.from)
    }
}

/// Makes requests. Shared by threads; connections are kept, and nothing is set up before the first one.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    plain: OnceLock<Agent>,
    encrypted: Encrypted,
    /// Unencrypted, by way of a proxy.
    passed_on: OnceLock<Agent>,
    /// Encrypted, through a proxy.
    tunnelled: Encrypted,
}

/// Agents by whether credentials are sent: they never share a connection, because they do not trust the same authorities.
#[derive(Debug, Default)]
struct Encrypted {
    open: OnceLock<Agent>,
    secret: OnceLock<Agent>,
}

impl Encrypted {
    fn of(&self, secret: bool) -> &OnceLock<Agent> {
        if secret { &self.secret } else { &self.open }
    }
}

impl Client {
    /// A client with these settings. Making one costs nothing.
    pub fn new(settings: Settings) -> Self {
        let [plain, passed_on] = Default::default();
        Self { settings, plain, encrypted: Encrypted::default(), passed_on, tunnelled: Encrypted::default() }
    }

    /// Asks for `address` with these further headers, and follows redirects. An `authorization` among the headers goes no further than
    /// the first redirect to another server, and takes the place of credentials in the address.
    ///
    /// # Errors
    /// Unless the answer is the file (200), a part of it (206), or, to a conditional request, that it is the same as before (304).
    pub fn get(&self, address: &Address, headers: &[(&str, &str)]) -> Result<Response, Trouble> {
        let conditional = headers.iter().any(|(name, _)| is_one_of(name, &CONDITIONS));
        let (mut address, mut headers) = (address.clone(), headers.to_vec());
        for _ in 0..=MOST_REDIRECTS {
            let response = self.ask(http::Method::GET, &address, &headers, None)?;
            match response.status().as_u16() {
                200 | 206 => return Ok(Response::new(address, response)),
                304 if conditional => return Ok(Response::new(address, response)),
                301 | 302 | 303 | 307 | 308 => {
                    let next = target(&address, &response)?;
                    if !next.same_server(&address) {
                        headers.retain(|(name, _)| !is_one_of(name, &SECRETS));
                    }
                    address = next;
                }
                _ => return Err(refused(response)),
            }
        }
        Err(too_many_redirects())
    }

    /// Makes a request of another kind, with these further headers and perhaps a body.
    ///
    /// Redirects are refused, but for those by which a server gives the same file another address of its own (307, 308), if the body can
    /// be sent again. An answer is read only once the body is sent: a server that refuses it halfway and closes the connection looks like
    /// one that broke it.
    ///
    /// # Errors
    /// Unless the answer's status is 200 to 299.
    pub fn send(&self, method: Method, address: &Address, headers: &[(&str, &str)], body: Option<Body<'_>>) -> Result<Response, Trouble> {
        let mut body = body.or(method.expects_body().then_some(Body::Bytes(b"")));
        let mut address = address.clone();
        for _ in 0..=MOST_REDIRECTS {
            let response = self.ask(method.of_library(), &address, headers, body.as_mut())?;
            match response.status().as_u16() {
                200..=299 => {
                    let mut response = Response::new(address, response);
                    if method == Method::Head {
                        response.length = response.header("content-length").and_then(|length| length.trim().parse().ok());
                    }
                    return Ok(response);
                }
                status @ (301 | 302 | 303 | 307 | 308) => {
                    let next = target(&address, &response)?;
                    if status < 307 || !next.same_server(&address) {
                        return Err(Trouble::Refused(format!("it redirects to {next}, where no {method} is sent")));
                    }
                    if matches!(body, Some(Body::Reader { .. })) {
                        return Err(Trouble::Refused(format!("it redirects to {next}, and what was sent cannot be sent again")));
                    }
                    address = next;
                }
                _ => return Err(refused(response)),
            }
        }
        Err(too_many_redirects())
    }

    /// One request, and its answer's head.
    fn ask(
        &self,
        method: http::Method,
        address: &Address,
        headers: &[(&str, &str)],
        body: Option<&mut Body<'_>>,
    ) -> Result<http::Response<ureq::Body>, Trouble> {
        if address.scheme() == Scheme::File {
            let reason = "it names a file of this machine, not a server";
            return Err(Trouble::Setup(NetError::BadAddress { url: address.to_string(), reason }));
        }
        let proxy = proxy::proxy_for(address, &self.settings.machine)?;
        let secret = address.authorization().is_some() || headers.iter().any(|(name, _)| is_one_of(name, &SECRETS));
        let agent = self.agent(address, proxy.as_ref(), secret)?;
        let request = http::Request::builder().method(method);
        let mut request = match &proxy {
            Some(proxy) if address.scheme() == Scheme::Http => proxy::pass_on(request, proxy, address),
            _ => request.uri(address.to_string()),
        };
        if !headers.iter().any(|(name, _)| is_one_of(name, &["authorization"]))
            && let Some(authorization) = address.authorization()
        {
            request = request.header("authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let unusable = |error: http::Error| Trouble::Refused(error.to_string());
        let answer = match body {
            None => agent.run(request.body(SendBody::none()).map_err(unusable)?),
            Some(Body::Bytes(bytes)) => agent.run(request.body(*bytes).map_err(unusable)?),
            Some(Body::Reader { reader, length }) => {
                let mut reader = Exactly::new(*reader, *length);
                let request = request.header("content-length", *length).body(SendBody::from_reader(&mut reader));
                let answer = agent.run(request.map_err(unusable)?);
                if let Some(failure) = reader.into_failure() {
                    return Err(Trouble::Setup(NetError::Body(failure)));
                }
                answer
            }
        };
        answer.map_err(|error| classify(&error))
    }

    /// The agent for this address: with or without TLS and tunnel. `secret`: it is sent credentials.
    fn agent(&self, address: &Address, proxy: Option<&Address>, secret: bool) -> Result<&Agent, NetError> {
        let encrypted = address.scheme() == Scheme::Https;
        let cell = match (encrypted, proxy.is_some()) {
            (false, false) => &self.plain,
            (false, true) => &self.passed_on,
            (true, false) => self.encrypted.of(secret),
            (true, true) => self.tunnelled.of(secret),
        };
        if let Some(agent) = cell.get() {
            return Ok(agent);
        }
        let tunnel = proxy.filter(|_| encrypted).map(|proxy| {
            let url = proxy.with_credentials();
            ureq::Proxy::new(&url).map_err(|_| proxy::not_a_proxy(&url))
        });
        let Settings { connect, stall, .. } = self.settings;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections_per_host(KEPT)
            .max_idle_connections(2 * KEPT)
            .user_agent(concat!("kiln/", env!("CARGO_PKG_VERSION")))
            .proxy(tunnel.transpose()?)
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .timeout_recv_response(Some(stall))
            .timeout_per_read(Some(stall))
            .timeout_per_write(Some(stall));
        if encrypted {
            config = config.tls_config(tls_config(&self.settings, secret)?);
        }
        let config = config.build();
        Ok(cell.get_or_init(|| if encrypted || proxy.is_none() { config.new_agent() } else { proxy::agent(config) }))
    }
}

/// Where a redirect leads.
fn target(address: &Address, response: &http::Response<ureq::Body>) -> Result<Address, Trouble> {
    let location = text(response, "location").ok_or_else(|| Trouble::Refused("it redirects to nowhere".to_owned()))?;
    let next = address.join(location).map_err(|error| Trouble::Refused(format!("it redirects badly: {error}")))?;
    if next.scheme() == Scheme::File || address.would_lose_encryption(&next) {
        return Err(Trouble::Refused(format!("it redirects to {next}, which is not encrypted")));
    }
    Ok(next)
}

/// What an answer means that brings no file. A short explanation that comes with it is read to its end, so that the connection can be used again:
/// most answers of some caches are that they do not have something.
fn refused(response: http::Response<ureq::Body>) -> Trouble {
    let trouble = refusal(response.status().as_u16(), text(&response, "retry-after"));
    let is_text = text(&response, "content-type").is_some_and(|kind| kind.starts_with("text/plain"));
    let (mut body, mut buffer, mut explanation) = (response.into_body().into_reader(), [0; 4 << 10], Vec::new());
    for _ in 0..MOST_READS {
        let Ok(count @ 1..) = body.read(&mut buffer) else { break };
        explanation.extend_from_slice(&buffer[..count.min(LONGEST_EXPLANATION.saturating_sub(explanation.len()))]);
    }
    if is_text { trouble.explained(&explanation) } else { trouble }
}

fn too_many_redirects() -> Trouble {
    Trouble::Refused(format!("it redirects more than {MOST_REDIRECTS} times"))
}

fn text<'a>(response: &'a http::Response<ureq::Body>, header: &str) -> Option<&'a str> {
    response.headers().get(header)?.to_str().ok()
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// TLS with the machine's certificate authorities, and those that the settings add.
fn tls_config(settings: &Settings, secret: bool) -> Result<TlsConfig, NetError> {
    let native = rustls_native_certs::load_native_certs();
    let mut authorities: Vec<Certificate<'static>> = native.certs.iter().map(|cert| Certificate::from_der(cert).to_owned()).collect();
    let untrusted = settings.untrusted_ca_bundle.as_ref().filter(|_| !secret);
    for bundle in settings.ca_bundle.iter().chain(untrusted) {
        authorities.extend(read_bundle(bundle).map_err(|error| PathError::new("read the certificate authorities in", bundle, error))?);
    }
    for bundle in &settings.further_ca_bundles {
        authorities.extend(read_bundle(bundle).unwrap_or_default());
    }
    if authorities.is_empty() {
        let reasons: Vec<String> = native.errors.iter().map(ToString::to_string).collect();
        return Err(NetError::Tls(format!("this machine has no certificate authorities {}", reasons.join("; ")).trim_end().to_owned()));
    }
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&authorities))
        .build())
}

fn read_bundle(path: &Path) -> io::Result<Vec<Certificate<'static>>> {
    let pem = std::fs::read(path)?;
    let items = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(items.collect())
}
