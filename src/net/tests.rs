//! The client against servers on loopback. What fetching makes of it is tested with `build::fetch`.

use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use super::testing::{Reply, Request, Server, Then};
use super::*;

fn client(env: &[(&str, &str)]) -> Client {
    Client::new(Settings {
        connect: Duration::from_secs(5),
        stall: Duration::from_millis(500),
        ca_bundle: None,
        further_ca_bundles: Vec::new(),
        untrusted_ca_bundle: None,
        machine: Machine::at(Path::new("/nonexistent"), env),
    })
}

fn address(url: &str) -> Address {
    Address::parse(url).unwrap()
}

fn at(server: &Server, path: &str) -> Address {
    address(&server.url(path))
}

fn put<'a>(reader: &'a mut dyn Read, length: u64) -> Option<Body<'a>> {
    Some(Body::Reader { reader, length })
}

/// A server that sends everybody to `target`.
fn leading_to(status: &'static str, target: String) -> Server {
    Server::start(move |_, _| Reply::new(status, &[("Location", &target)], b""))
}

/// Bytes that come only once the server has the request's head: whoever collects them first waits in vain.
struct Hesitant<'a> {
    server: &'a Server,
    given: usize,
}

impl Read for Hesitant<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.server.await_heads(1);
        for byte in &mut *buffer {
            *byte = (self.given % 251) as u8;
            self.given += 1;
        }
        Ok(buffer.len())
    }
}

fn refused(result: Result<Response, Trouble>) -> String {
    match result {
        Err(Trouble::Refused(reason) | Trouble::Status { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_response_can_be_read_by_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Response>();
    is_send::<Trouble>();
}

#[test]
fn what_is_put_is_streamed_with_its_length() {
    let server = Server::start(|_, _| Reply::status("201 Created"));
    let length = 3_000_000;
    let mut reader = Hesitant { server: &server, given: 0 };
    let response = client(&[]).send(Method::Put, &at(&server, "/nar/x"), &[("content-type", "x/y")], put(&mut reader, length)).unwrap();
    assert_eq!(response.status, 201);
    let request = &server.requests()[0];
    assert_eq!((request.method.as_str(), request.target.as_str()), ("PUT", "/nar/x"));
    assert_eq!((request.header("content-length"), request.header("transfer-encoding")), (Some("3000000"), None));
    assert_eq!(request.header("content-type"), Some("x/y"));
    assert!(request.body.iter().enumerate().all(|(at, byte)| *byte == (at % 251) as u8));
}

#[test]
fn a_put_through_a_plain_proxy_names_the_whole_address() {
    let proxy = Server::start(|_, _| Reply::status("200 OK"));
    let client = client(&[("http_proxy", &proxy.url("").replace("://", "://me:secret@"))]);
    // What is put looks like a request itself.
    let mut body: &[u8] = b"PUT /http://elsewhere.example/";
    let length = body.len() as u64;
    client.send(Method::Put, &address("http://host.example/x?y=1"), &[], put(&mut body, length)).unwrap();
    client.send(Method::Delete, &address("http://host.example/x"), &[], None).unwrap();
    client.send(Method::Head, &address("http://host.example/x"), &[], None).unwrap();
    let requests = proxy.requests();
    let lines: Vec<_> = requests.iter().map(|request| (request.method.as_str(), request.target.as_str())).collect();
    assert_eq!(lines, [("PUT", "http://host.example/x?y=1"), ("DELETE", "http://host.example/x"), ("HEAD", "http://host.example/x")]);
    assert_eq!(requests[0].body, b"PUT /http://elsewhere.example/");
    assert!(requests.iter().all(|request| request.header("host") == Some("host.example")));
    assert!(requests.iter().all(|request| request.header("proxy-authorization") == Some("Basic bWU6c2VjcmV0")));
}

#[test]
fn an_authorization_goes_to_its_own_server_only() {
    let token = [("Authorization", "Bearer secret"), ("x-other", "1")];
    let authorization = |request: &Request| request.header("authorization").map(str::to_owned);
    let own = Server::start(|request, _| match request.target.as_str() {
        "/file" => Reply::new("302 Found", &[("Location", "/moved")], b""),
        _ => Reply::ok(b"x"),
    });
    client(&[]).get(&at(&own, "/file"), &token).unwrap();
    assert_eq!(own.requests().iter().map(authorization).collect::<Vec<_>>(), [Some("Bearer secret".into()), Some("Bearer secret".into())]);

    let back = own.url("/moved");
    let other = leading_to("302 Found", back);
    let first = leading_to("307 Temporary Redirect", other.url("/file"));
    client(&[]).get(&at(&first, "/file"), &token).unwrap();
    assert_eq!(authorization(&first.requests()[0]).as_deref(), Some("Bearer secret"));
    assert_eq!(authorization(&other.requests()[0]), None);
    assert_eq!(authorization(&own.requests()[2]), None);
    assert_eq!(other.requests()[0].header("x-other"), Some("1"));
}

#[test]
fn an_authorization_that_left_does_not_come_back() {
    let other_url = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let target = std::sync::Arc::clone(&other_url);
    let first = Server::start(move |request, _| match request.target.as_str() {
        "/back" => Reply::ok(b"x"),
        _ => Reply::new("302 Found", &[("Location", &target.lock().unwrap())], b""),
    });
    let other = leading_to("302 Found", first.url("/back"));
    *other_url.lock().unwrap() = other.url("/file");
    client(&[]).get(&at(&first, "/file"), &[("authorization", "Bearer secret")]).unwrap();
    assert_eq!(first.requests()[1].header("authorization"), None);
}

#[test]
fn an_authorization_takes_the_place_of_the_addresss_own() {
    let server = Server::start(|_, _| Reply::ok(b"x"));
    let with_credentials = address(&server.url("/x").replace("://", "://me:secret@"));
    client(&[]).get(&with_credentials, &[("authorization", "Bearer t")]).unwrap();
    client(&[]).send(Method::Put, &with_credentials, &[], None).unwrap();
    let requests = server.requests();
    let sent = |n: usize| requests[n].headers.iter().filter(|(name, _)| name == "authorization").map(|(_, value)| value.as_str());
    assert_eq!(sent(0).collect::<Vec<_>>(), ["Bearer t"]);
    assert_eq!(sent(1).collect::<Vec<_>>(), ["Basic bWU6c2VjcmV0"]);
}

#[test]
fn a_redirect_loop_ends() {
    let server = leading_to("308 Permanent Redirect", "/file".to_owned());
    assert_eq!(refused(client(&[]).get(&at(&server, "/file"), &[])), "it redirects more than 10 times");
    assert_eq!(server.requests().len(), 11);
    let sent = client(&[]).send(Method::Put, &at(&server, "/file"), &[], Some(Body::Bytes(b"x")));
    assert_eq!(refused(sent), "it redirects more than 10 times");
    assert_eq!(server.requests().len(), 22);
}

#[test]
fn what_is_sent_follows_to_the_same_server_only() {
    let server = Server::start(|request, _| match request.target.as_str() {
        "/old" => Reply::new("307 Temporary Redirect", &[("Location", "/new")], b""),
        "/seen" => Reply::new("303 See Other", &[("Location", "/new")], b""),
        _ => Reply::status("204 No Content"),
    });
    let token = [("authorization", "Bearer secret")];
    let response = client(&[]).send(Method::Put, &at(&server, "/old"), &token, Some(Body::Bytes(b"abc"))).unwrap();
    assert_eq!((response.status, response.from), (204, at(&server, "/new")));
    let requests = server.requests();
    assert_eq!((requests[1].body.as_slice(), requests[1].header("authorization")), (b"abc".as_slice(), Some("Bearer secret")));

    let mut once: &[u8] = b"abc";
    let message = refused(client(&[]).send(Method::Put, &at(&server, "/old"), &[], put(&mut once, 3)));
    assert!(message.contains("/new, and what was sent cannot be sent again"), "{message}");
    let message = refused(client(&[]).send(Method::Post, &at(&server, "/seen"), &[], None));
    assert!(message.contains("/new, where no POST is sent"), "{message}");
    let elsewhere = leading_to("307 Temporary Redirect", server.url("/new"));
    let before = server.requests().len();
    refused(client(&[]).send(Method::Put, &at(&elsewhere, "/x"), &[], Some(Body::Bytes(b"abc"))));
    assert_eq!(server.requests().len(), before);
}

#[test]
fn a_put_that_comes_at_a_bad_time_is_told_when_to_come_back() {
    let server = Server::start(|_, _| Reply::new("503 Service Unavailable", &[("Retry-After", "7")], b"busy"));
    let result = client(&[]).send(Method::Put, &at(&server, "/x"), &[], Some(Body::Bytes(b"abc")));
    let Err(Trouble::Passing { reason, after }) = result else { panic!("{result:?}") };
    assert_eq!((reason.as_str(), after), ("it is in trouble (status 503)", Some(Duration::from_secs(7))));
}

#[test]
fn head_tells_the_length_and_brings_nothing() {
    let server = Server::start(|request, _| match request.target.as_str() {
        "/there" => Reply::raw("200 OK", &[("Content-Length", "1234"), ("ETag", "\"v\"")], b""),
        _ => Reply::status("404 Not Found"),
    });
    let mut response = client(&[]).send(Method::Head, &at(&server, "/there"), &[], None).unwrap();
    assert_eq!((response.status, response.length, response.header("etag")), (200, Some(1234), Some("\"v\"")));
    assert_eq!(response.body.read(&mut [0]).unwrap(), 0);
    assert_eq!((server.requests()[0].method.as_str(), server.requests()[0].header("content-length")), ("HEAD", None));
    assert!(matches!(client(&[]).send(Method::Head, &at(&server, "/gone"), &[], None), Err(Trouble::Gone(_))));
}

#[test]
fn nothing_is_put_with_a_length_of_zero() {
    let server = Server::start(|_, _| Reply::status("200 OK"));
    let mut empty = io::empty();
    for body in [None, Some(Body::Bytes(b"")), put(&mut empty, 0)] {
        client(&[]).send(Method::Put, &at(&server, "/x"), &[], body).unwrap();
    }
    for request in server.requests() {
        assert_eq!((request.header("content-length"), request.header("transfer-encoding")), (Some("0"), None));
    }
}

#[test]
fn what_has_not_changed_is_said_only_to_who_asked() {
    let server = Server::start(|_, _| Reply::raw("304 Not Modified", &[("ETag", "\"v\"")], b""));
    let mut response = client(&[]).get(&at(&server, "/x"), &[("If-None-Match", "\"v\"")]).unwrap();
    assert_eq!((response.status, response.body.read(&mut [0]).unwrap()), (304, 0));
    assert_eq!(refused(client(&[]).get(&at(&server, "/x"), &[])), "it answers with status 304");
}

#[test]
fn a_body_that_cannot_be_read_is_not_blamed_on_the_server() {
    let server = Server::start(|_, _| Reply::status("200 OK"));
    let mut short: &[u8] = b"abc";
    let result = client(&[]).send(Method::Put, &at(&server, "/x"), &[], put(&mut short, 1_000_000));
    let Err(Trouble::Setup(error @ NetError::Body(_))) = result else { panic!("{result:?}") };
    assert_eq!(error.to_string(), "cannot read what is to be sent: it ends 999997 bytes before its length");
}

#[test]
fn a_peer_that_takes_nothing_ends_the_put() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = address(&format!("http://{}/x", listener.local_addr().unwrap()));
    let (started, mut endless) = (Instant::now(), io::repeat(7));
    let result = client(&[]).send(Method::Put, &target, &[], put(&mut endless, 1 << 30));
    assert!(matches!(&result, Err(Trouble::Passing { reason, .. }) if reason == "it does not answer"), "{result:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_server_that_takes_everything_and_says_nothing_ends_the_put() {
    let server = Server::start(|_, _| Reply { bytes: Vec::new(), then: Then::Stall(Duration::from_secs(20)) });
    let result = client(&[]).send(Method::Put, &at(&server, "/x"), &[], Some(Body::Bytes(b"abc")));
    assert!(matches!(&result, Err(Trouble::Passing { reason, .. }) if reason == "it does not answer"), "{result:?}");
    let reset = Server::start(|_, _| Reply { bytes: Vec::new(), then: Then::Reset });
    let result = client(&[]).send(Method::Put, &at(&reset, "/x"), &[], Some(Body::Bytes(b"abc")));
    assert!(matches!(&result, Err(Trouble::Passing { reason, .. }) if reason == "it broke the connection"), "{result:?}");
}

#[test]
fn files_of_the_machine_are_no_servers() {
    let result = client(&[]).get(&address("file:///etc/hostname"), &[]);
    assert!(matches!(result, Err(Trouble::Setup(NetError::BadAddress { .. }))), "{result:?}");
}
