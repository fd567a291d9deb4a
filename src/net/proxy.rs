//! Proxies: which one the environment names for an address, and how a request for an unencrypted address is put to it.
//!
//! Encrypted requests go through a tunnel (`CONNECT`), which the client library makes. For unencrypted ones it would do the same, but
//! many proxies allow tunnels to encrypted servers only; they expect a request whose target is the whole address
//! (`GET http://host/path`, RFC 9112 §3.2.2). The library's addresses cannot say that, so such a request is made to the proxy with the
//! address as its path, `GET /http://host/path`, and [`WholeTargets`] takes the slash out as it leaves.

use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport};
use ureq::{Agent, config::Config, http::request::Builder};

use super::{Address, Machine, NetError, Scheme, redacted};

/// How the target of such a request starts before the slash is taken out.
const MARKED: &[u8] = b"/http://";

/// No method's name is longer.
const LONGEST_METHOD: usize = 16;

/// The proxy that the environment names for this address.
///
/// # Errors
/// If it is no HTTP proxy: going around it silently would be worse.
pub(super) fn proxy_for(address: &Address, machine: &Machine) -> Result<Option<Address>, NetError> {
    let either = |name: &str| machine.var(name).or_else(|| machine.var(&name.to_ascii_uppercase()));
    let own = if address.scheme() == Scheme::Https { "https_proxy" } else { "http_proxy" };
    let Some(proxy) = either(own).or_else(|| either("all_proxy")) else { return Ok(None) };
    let host = address.host();
    if either("no_proxy").is_some_and(|list| list.split(',').map(str::trim).any(|entry| exempts(entry, host))) {
        return Ok(None);
    }
    let proxy = if proxy.contains("://") { proxy.to_owned() } else { format!("http://{proxy}") };
    match Address::parse(&proxy) {
        Ok(proxy) if proxy.scheme() == Scheme::Http => Ok(Some(proxy)),
        _ => Err(not_a_proxy(&proxy)),
    }
}

/// The error for a proxy that cannot be used.
pub(super) fn not_a_proxy(url: &str) -> NetError {
    NetError::BadAddress { url: redacted(url), reason: "it is set as proxy, but is no address of an HTTP proxy" }
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

/// An agent for requests made by [`pass_on`].
pub(super) fn agent(config: Config) -> Agent {
    Agent::with_parts(config, DefaultConnector::default().chain(WholeTargets), DefaultResolver::default())
}

/// Makes `request` one for `address`, to be passed on by `proxy`.
pub(super) fn pass_on(request: Builder, proxy: &Address, address: &Address) -> Builder {
    let request = request.uri(format!("http://{}/{address}", proxy.authority())).header("host", address.authority());
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
        Ok(chained.map(WholeTarget::new))
    }
}

/// A connection to a proxy.
#[derive(Debug)]
struct WholeTarget {
    connection: Box<dyn Transport>,
    /// Whether what is sent next starts a request: something was received since. A body may well look like one. (Nobody here asks for
    /// `100-continue`, which would be received between head and body.)
    between_requests: bool,
}

impl WholeTarget {
    fn new(connection: Box<dyn Transport>) -> Self {
        Self { connection, between_requests: true }
    }
}

impl Transport for WholeTarget {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.connection.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let starts = std::mem::take(&mut self.between_requests);
        let output = &mut self.connection.buffers().output()[..amount];
        match marked_slash(output).filter(|_| starts) {
            Some(slash) => {
                output.copy_within(slash + 1.., slash);
                self.connection.transmit_output(amount - 1, timeout)
            }
            None => self.connection.transmit_output(amount, timeout),
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.between_requests = true;
        self.connection.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.connection.is_open()
    }
}

/// Where the slash stands that must go, if a request that starts so is to be passed on.
fn marked_slash(request: &[u8]) -> Option<usize> {
    let target = request.iter().take(LONGEST_METHOD).position(|byte| *byte == b' ')? + 1;
    request[target..].starts_with(MARKED).then_some(target)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use ureq::unversioned::transport::LazyBuffers;

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

    /// A connection that keeps what is sent.
    #[derive(Debug)]
    struct Kept {
        buffers: LazyBuffers,
        sent: Arc<Mutex<Vec<String>>>,
    }

    impl Transport for Kept {
        fn buffers(&mut self) -> &mut dyn Buffers {
            &mut self.buffers
        }

        fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
            let text = String::from_utf8_lossy(&self.buffers.output()[..amount]).into_owned();
            self.sent.lock().unwrap().push(text);
            Ok(())
        }

        fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
            Ok(true)
        }

        fn is_open(&mut self) -> bool {
            true
        }
    }

    #[test]
    fn only_the_start_of_a_request_is_rewritten() {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let mut connection = WholeTarget::new(Box::new(Kept { buffers: LazyBuffers::new(64, 64), sent: Arc::clone(&sent) }));
        let mut transmit = |text: &str, answered: bool| {
            connection.buffers().output()[..text.len()].copy_from_slice(text.as_bytes());
            connection.transmit_output(text.len(), NextTimeout::default()).unwrap();
            if answered {
                connection.await_input(NextTimeout::default()).unwrap();
            }
        };
        transmit("PUT /http://host/x HTTP/1.1\r\n", false);
        transmit("PUT /http://body/", false);
        transmit("", true);
        transmit("DELETE /http://host/y HTTP/1.1\r\n", true);
        transmit("GET /x HTTP/1.1\r\n", true);
        let expected =
            ["PUT http://host/x HTTP/1.1\r\n", "PUT /http://body/", "", "DELETE http://host/y HTTP/1.1\r\n", "GET /x HTTP/1.1\r\n"];
        assert_eq!(*sent.lock().unwrap(), expected);
    }
}
