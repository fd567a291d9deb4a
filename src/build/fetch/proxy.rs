//! Proxies: which one the environment names for an address, and how a request for an unencrypted address is put to it.
//!
//! Encrypted requests go through a tunnel (`CONNECT`), which the client library makes. For unencrypted ones it would do the same, but
//! many proxies allow tunnels to encrypted servers only; they expect a request whose target is the whole address
//! (`GET http://host/path`, RFC 9112 §3.2.2). The library's addresses cannot say that, so such a request is made to the proxy with the
//! address as its path, `GET /http://host/path`, and [`WholeTargets`] takes the slash out as it leaves.

use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport};
use ureq::{Agent, RequestBuilder, config::Config, typestate::WithoutBody};

use super::address::{Address, Scheme, redacted};
use super::{FetchError, Machine};

/// How such a request starts before the slash is taken out.
const MARKED: &[u8] = b"GET /http://";

/// The proxy that the environment names for this address.
///
/// # Errors
/// If it is no HTTP proxy: going around it silently would be worse.
pub(super) fn proxy_for(address: &Address, machine: &Machine) -> Result<Option<Address>, FetchError> {
    let either = |name: &str| machine.var(name).or_else(|| machine.var(&name.to_ascii_uppercase()));
    let own = if address.scheme == Scheme::Https { "https_proxy" } else { "http_proxy" };
    let Some(proxy) = either(own).or_else(|| either("all_proxy")) else { return Ok(None) };
    let host = address.host();
    if either("no_proxy").is_some_and(|list| list.split(',').map(str::trim).any(|entry| exempts(entry, host))) {
        return Ok(None);
    }
    let proxy = if proxy.contains("://") { proxy.to_owned() } else { format!("http://{proxy}") };
    match Address::parse(&proxy) {
        Ok(proxy) if proxy.scheme == Scheme::Http => Ok(Some(proxy)),
        _ => Err(not_a_proxy(&proxy)),
    }
}

/// The error for a proxy that cannot be used.
pub(super) fn not_a_proxy(url: &str) -> FetchError {
    FetchError::BadAddress { url: redacted(url), reason: "it is set as proxy, but is no address of an HTTP proxy" }
}

/// Whether an entry of `no_proxy` covers `host`: `*`, the host itself, or a domain that it lies in.
fn exempts(entry: &str, host: &str) -> bool {
    if entry == "*" {
        return true;
    }
    let entry = entry.trim_start_matches('*').trim_start_matches('.').to_ascii_lowercase();
    let name = if entry.ends_with(']') { entry.as_str() } else { entry.rsplit_once(':').map_or(entry.as_str(), |(name, _)| name) };
    !name.is_empty() && (host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')))
}

/// An agent for requests made by [`request`].
pub(super) fn agent(config: Config) -> Agent {
    Agent::with_parts(config, DefaultConnector::default().chain(WholeTargets), DefaultResolver::default())
}

/// A request for `address`, to be passed on by `proxy`.
pub(super) fn request(agent: &Agent, proxy: &Address, address: &Address) -> RequestBuilder<WithoutBody> {
    let request = agent.get(format!("http://{}/{address}", proxy.authority())).header("host", address.authority());
    match proxy.authorization() {
        Some(authorization) => request.header("proxy-authorization", authorization),
        None => request,
    }
}

/// Wraps each connection in [`WholeTarget`].
#[derive(Debug)]
struct WholeTargets;

impl Connector<Box<dyn Transport>> for WholeTargets {
    type Out = WholeTarget;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<Box<dyn Transport>>) -> Result<Option<WholeTarget>, ureq::Error> {
        Ok(chained.map(WholeTarget))
    }
}

/// A connection to a proxy.
#[derive(Debug)]
struct WholeTarget(Box<dyn Transport>);

impl Transport for WholeTarget {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let output = self.0.buffers().output();
        if !output.starts_with(MARKED) {
            return self.0.transmit_output(amount, timeout);
        }
        output.copy_within(b"GET /".len()..amount, b"GET ".len());
        self.0.transmit_output(amount - 1, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.0.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_chosen_by_scheme_and_exceptions() {
        let chosen = |env: &[(&str, &str)], url: &str| {
            let machine = Machine::at(std::path::Path::new("/"), env);
            proxy_for(&Address::parse(url).unwrap(), &machine).unwrap().map(|proxy| proxy.authority().to_owned())
        };
        let env = [("https_proxy", "http://tls:1"), ("HTTP_PROXY", "plain:1"), ("no_proxy", "corp.example, .own,127.0.0.1")];
        assert_eq!(chosen(&env, "https://host.example/").unwrap(), "tls:1");
        assert_eq!(chosen(&env, "http://host.example/").unwrap(), "plain:1");
        for direct in ["http://corp.example/", "https://a.corp.example:81/", "http://x.own/", "http://127.0.0.1:9/"] {
            assert_eq!(chosen(&env, direct), None, "{direct}");
        }
        assert!(chosen(&env, "http://notcorp.example/").is_some());
        assert_eq!(chosen(&[("all_proxy", "http://p:1"), ("no_proxy", "*")], "http://host/"), None);
        assert_eq!(chosen(&[("ALL_PROXY", "http://p:1"), ("no_proxy", "")], "http://host/").unwrap(), "p:1");
        assert_eq!(chosen(&[], "http://host/"), None);
        let socks = Machine::at(std::path::Path::new("/"), &[("all_proxy", "socks5://me:secret@p:1")]);
        let error = proxy_for(&Address::parse("http://host/").unwrap(), &socks).unwrap_err();
        assert!(error.to_string().contains("socks5://p:1") && !error.to_string().contains("secret"), "{error}");
    }
}
