//! One HTTP request: redirects, proxies, certificate authorities, and what a failure means for what to do next.
//!
//! Redirects are followed here rather than by the client library: credentials must not follow to another server, an encrypted
//! address must not lead to an unencrypted one, and each hop has its own proxy. Bodies are never decoded: they are hashed as they are.

use std::io::{self, Read};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use super::address::{Address, Scheme};
use super::{FetchError, FetchOptions, Mirrors, proxy};
use crate::fsio::PathError;

/// No address may lead to another more often than this.
const MOST_REDIRECTS: usize = 10;

/// Why a server did not serve, sorted by what is to be done about it.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It does not have the file: ask another.
    Gone(String),
    /// It may well serve it in a moment.
    Passing {
        /// Why.
        reason: String,
        /// When to come back, if it said so.
        after: Option<Duration>,
    },
    /// It will not serve it, however often it is asked.
    Refused(String),
    /// No server can help: the disk is full, or the fetch was stopped.
    Fatal(FetchError),
}

impl Trouble {
    /// A failure that may pass, without a time.
    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self::Passing { reason: reason.into(), after: None }
    }
}

/// A response whose head has come.
pub(super) struct Response {
    /// Where it came from in the end.
    pub(super) from: Address,
    /// 200 or 206.
    pub(super) status: u16,
    headers: ureq::http::HeaderMap,
    /// The body's length, if it was said.
    pub(super) length: Option<u64>,
    /// The body.
    pub(super) body: Box<dyn Read>,
}

impl Response {
    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Makes requests. Connections are kept and shared; nothing is set up before the first one.
#[derive(Debug, Default)]
pub(super) struct Client {
    plain: OnceLock<Agent>,
    encrypted: OnceLock<Agent>,
    /// Unencrypted, by way of a proxy.
    passed_on: OnceLock<Agent>,
    /// Encrypted, through a proxy.
    tunnelled: OnceLock<Agent>,
}

impl Client {
    /// Asks for `address` with these further headers.
    pub(super) fn get(
        &self,
        address: &Address,
        headers: &[(&str, &str)],
        options: &FetchOptions,
        mirrors: &Mirrors,
    ) -> Result<Response, Trouble> {
        let mut address = address.clone();
        for _ in 0..=MOST_REDIRECTS {
            let proxy = proxy::proxy_for(&address, mirrors.machine()).map_err(Trouble::Fatal)?;
            let agent = self.agent(&address, proxy.as_ref(), options, mirrors)?;
            let mut request = match &proxy {
                Some(proxy) if address.scheme == Scheme::Http => proxy::request(agent, proxy, &address),
                _ => agent.get(address.to_string()),
            };
            if let Some(authorization) = address.authorization() {
                request = request.header("authorization", authorization);
            }
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let response = request.call().map_err(|error| classify(&error))?;
            let (head, body) = response.into_parts();
            let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
            match head.status.as_u16() {
                status @ (200 | 206) => {
                    let length = body.content_length();
                    return Ok(Response { from: address, status, headers: head.headers, length, body: Box::new(body.into_reader()) });
                }
                301 | 302 | 303 | 307 | 308 => {
                    let target = text("location").ok_or_else(|| Trouble::Refused("it redirects to nowhere".to_owned()))?;
                    let next = address.join(target).map_err(|error| Trouble::Refused(format!("it redirects badly: {error}")))?;
                    if next.scheme == Scheme::File || address.would_lose_encryption(&next) {
                        return Err(Trouble::Refused(format!("it redirects to {next}, which is not encrypted")));
                    }
                    address = next;
                }
                status => return Err(refusal(status, text("retry-after"))),
            }
        }
        Err(Trouble::Refused(format!("it redirects more than {MOST_REDIRECTS} times")))
    }

    /// The agent for this address: with or without TLS and tunnel.
    fn agent(&self, address: &Address, proxy: Option<&Address>, options: &FetchOptions, mirrors: &Mirrors) -> Result<&Agent, Trouble> {
        let encrypted = address.scheme == Scheme::Https;
        let cell = match (encrypted, proxy.is_some()) {
            (false, false) => &self.plain,
            (false, true) => &self.passed_on,
            (true, false) => &self.encrypted,
            (true, true) => &self.tunnelled,
        };
        if let Some(agent) = cell.get() {
            return Ok(agent);
        }
        let tunnel = proxy.filter(|_| encrypted).map(|proxy| {
            let url = proxy.with_credentials();
            ureq::Proxy::new(&url).map_err(|_| Trouble::Fatal(proxy::not_a_proxy(&url)))
        });
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("kiln/", env!("CARGO_PKG_VERSION")))
            .proxy(tunnel.transpose()?)
            .timeout_resolve(Some(options.connect))
            .timeout_connect(Some(options.connect))
            .timeout_recv_response(Some(options.stall))
            .timeout_per_read(Some(options.stall));
        if encrypted {
            config = config.tls_config(tls_config(options, mirrors).map_err(Trouble::Fatal)?);
        }
        let config = config.build();
        Ok(cell.get_or_init(|| if encrypted || proxy.is_none() { config.new_agent() } else { proxy::agent(config) }))
    }
}

/// TLS with the machine's certificate authorities, and those that the user adds.
fn tls_config(options: &FetchOptions, mirrors: &Mirrors) -> Result<TlsConfig, FetchError> {
    let native = rustls_native_certs::load_native_certs();
    let mut authorities: Vec<Certificate<'static>> = native.certs.iter().map(|cert| Certificate::from_der(cert).to_owned()).collect();
    if let Some(bundle) = &options.ca_bundle {
        authorities.extend(read_bundle(bundle).map_err(|error| PathError::new("read the certificate authorities in", bundle, error))?);
    }
    if let Some(bundle) = mirrors.pip_cert() {
        authorities.extend(read_bundle(&bundle).unwrap_or_default());
    }
    if authorities.is_empty() {
        let reasons: Vec<String> = native.errors.iter().map(ToString::to_string).collect();
        return Err(FetchError::Tls(format!("this machine has no certificate authorities {}", reasons.join("; ")).trim_end().to_owned()));
    }
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&authorities))
        .build())
}

fn read_bundle(path: &std::path::Path) -> io::Result<Vec<Certificate<'static>>> {
    let pem = std::fs::read(path)?;
    let items = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(items.collect())
}

/// What a status that brings no file means.
fn refusal(status: u16, retry_after: Option<&str>) -> Trouble {
    let reason = match status {
        401 | 407 => format!("it wants other credentials (status {status})"),
        403 => "it forbids access (status 403)".to_owned(),
        404 | 410 => format!("it does not have the file (status {status})"),
        429 => "it is asked too often (status 429)".to_owned(),
        500..=599 => format!("it is in trouble (status {status})"),
        _ => format!("it answers with status {status}"),
    };
    match status {
        404 | 410 => Trouble::Gone(reason),
        408 | 425 | 429 | 500 | 502..=504 | 507..=509 | 520..=599 => {
            Trouble::Passing { reason, after: retry_after.and_then(|text| pause_of(text, SystemTime::now())) }
        }
        _ => Trouble::Refused(reason),
    }
}

/// What a failed request means.
fn classify(error: &ureq::Error) -> Trouble {
    match error {
        ureq::Error::Io(error) => classify_io(error),
        ureq::Error::Timeout(_) => Trouble::passing("it does not answer"),
        ureq::Error::HostNotFound => Trouble::passing("its name is not known"),
        ureq::Error::ConnectionFailed => Trouble::passing("no connection can be made"),
        ureq::Error::Rustls(error) => Trouble::Refused(format!("the encrypted connection fails: {error}")),
        ureq::Error::Tls(reason) => Trouble::Refused(format!("the encrypted connection fails: {reason}")),
        ureq::Error::ConnectProxyFailed(reason) => Trouble::passing(format!("the proxy refuses: {reason}")),
        ureq::Error::Protocol(_) | ureq::Error::BodyStalled => Trouble::passing(format!("its answer is broken: {error}")),
        other => Trouble::Refused(other.to_string()),
    }
}

/// What an error of the connection means.
pub(super) fn classify_io(error: &io::Error) -> Trouble {
    let inner = error.get_ref();
    if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return Trouble::Refused(format!("the encrypted connection fails: {error}"));
    }
    if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
        return classify(error);
    }
    Trouble::passing(match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "it broke the connection".to_owned(),
        io::ErrorKind::UnexpectedEof => "it ended before the file did".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "it does not answer".to_owned(),
        _ => error.to_string(),
    })
}

/// `Retry-After`: seconds, or a date (`Wed, 21 Oct 2015 07:28:00 GMT`).
fn pause_of(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = words[..] else { return None };
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = names.iter().position(|name| *name == month)? as u64 + 1;
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok().filter(|year| (1970..10_000).contains(year))?);
    let clock: Vec<u64> = time.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [hours, minutes, seconds] = clock[..] else { return None };
    if day > 31 || hours > 24 || minutes > 60 || seconds > 60 {
        return None;
    }
    let at = Duration::from_secs(days_since_1970(year, month, day) * 86_400 + hours * 3_600 + minutes * 60 + seconds);
    Some((SystemTime::UNIX_EPOCH + at).duration_since(now).unwrap_or_default())
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, counting years from March so that leap days come last.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    (365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day).saturating_sub(719_469)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_470);
        assert_eq!(pause_of("120", now), Some(Duration::from_secs(120)));
        assert_eq!(pause_of("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(pause_of("Wed, 21 Oct 2014 07:28:00 GMT", now), Some(Duration::ZERO));
        for bad in ["", "soon", "-1", "Wed, 21 Foo 2015 07:28:00 GMT", "Wed, 99 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28 GMT"] {
            assert_eq!(pause_of(bad, now), None, "{bad}");
        }
    }

    #[test]
    fn days_are_counted_over_leap_years() {
        let days = |year, month, day| days_since_1970(year, month, day);
        assert_eq!([days(1970, 1, 1), days(2000, 2, 29), days(2000, 3, 1), days(2026, 11, 22)], [0, 11_016, 11_017, 20_779]);
    }

    #[test]
    fn statuses_say_what_to_do_next() {
        assert!(matches!(refusal(404, None), Trouble::Gone(_)));
        assert!(matches!(refusal(403, None), Trouble::Refused(_)));
        assert!(matches!(refusal(503, Some("7")), Trouble::Passing { after: Some(pause), .. } if pause == Duration::from_secs(7)));
        assert!(matches!(refusal(429, None), Trouble::Passing { after: None, .. }));
    }
}
