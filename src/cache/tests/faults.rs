//! What comes of an entry whose server misbehaves, as a table; `--nocapture` prints it. The rule of all of it: the right bytes, or an error.

#![allow(clippy::print_stdout)] // The table is for people.

use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{access, cache, cache_at, name};
use crate::cache::entry::EntryName;
use crate::cache::{Backend, CacheError, ResumingReader, read_small};
use crate::net::testing::{Reply, Request, Server, Then};
use crate::net::testing_tls;

/// What the entry holds: no two parts of it are alike.
fn entry() -> Vec<u8> {
    (0u8..200).collect()
}

/// How a good server answers: the entry, from the byte on that is asked for.
fn good(request: &Request) -> Reply {
    let (all, from) = (entry(), request.start().unwrap_or(0));
    match from {
        0 => Reply::ok(&all),
        from => {
            Reply::new("206 Partial Content", &[("Content-Range", &format!("bytes {from}-{}/{}", all.len() - 1, all.len()))], &all[from..])
        }
    }
}

/// What a reader gets in the end.
fn outcome(read: Result<Option<Vec<u8>>, CacheError>) -> String {
    match read {
        Ok(None) => "absent".to_owned(),
        Ok(Some(bytes)) if bytes == entry() => "whole".to_owned(),
        Ok(Some(bytes)) => format!("WRONG BYTES ({})", bytes.len()),
        Err(error) => error.to_string(),
    }
}

/// Reads the entry, of which it is known how long it is.
fn pull(backend: &dyn Backend) -> String {
    let mut bytes = Vec::new();
    let read = ResumingReader::open(backend, &name("nar/x"), Some(entry().len() as u64)).and_then(|reader| match reader {
        None => Ok(None),
        Some(mut reader) => match reader.read_to_end(&mut bytes) {
            Ok(_) => Ok(Some(bytes)),
            Err(error) => Err(CacheError::of_reading(error).unwrap()),
        },
    });
    outcome(read)
}

/// Reads the entry as one whose length only its server knows.
fn look(backend: &dyn Backend) -> String {
    outcome(read_small(backend, &name("nar/x"), 1_000))
}

type Script = Box<dyn Fn(&Request, usize) -> Reply + Send + Sync>;

/// The first answers are `bad`, the others good.
fn first(count: usize, bad: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Script {
    Box::new(move |request, number| if number < count { bad(request) } else { good(request) })
}

fn always(bad: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Script {
    first(usize::MAX, bad)
}

fn whole_without_length() -> Reply {
    Reply::raw("200 OK", &[], &entry())
}

fn part(range: &'static str) -> Script {
    Box::new(move |_, number| match number {
        0 => Reply::ok(&entry()).without_last(100),
        _ => Reply::new("206 Partial Content", &[("Content-Range", range)], &entry()[100..]),
    })
}

/// The fault, the server that has it, what comes of it, and how many requests that takes at most.
fn table() -> Vec<(&'static str, Script, &'static str, usize)> {
    let busy = |status: &'static str, after: &'static str| move |_: &Request| Reply::new(status, &[("Retry-After", after)], b"busy");
    let tenfold = || entry().repeat(10);
    vec![
        ("nothing is wrong", always(good), "whole", 1),
        ("cut off once", first(1, |_| Reply::ok(&entry()).without_last(100)), "whole", 2),
        (
            "cut off once, and ranges are unknown",
            Box::new(|_, n| Reply::ok(&entry()).without_last(if n == 0 { 100 } else { 0 })),
            "whole",
            2,
        ),
        ("cut off every time at the same place", always(|_| Reply::ok(&entry()).without_last(100)), "(tried 3 times)", 6),
        ("cut off every time, without a length", always(|_| whole_without_length().without_last(100)), "(tried 3 times)", 6),
        ("no length, nothing else wrong", always(|_| whole_without_length()), "whole", 1),
        ("cut off once, without a length", first(1, |_| whole_without_length().without_last(100)), "whole", 2),
        ("nothing comes after the head", first(1, |_| Reply::ok(&entry()).without_last(200)), "whole", 2),
        ("an empty answer", first(1, |_| Reply { bytes: Vec::new(), then: Then::Close }), "whole", 2),
        ("the connection is reset midway", first(1, |_| Reply::ok(&entry()).without_last(50).then(Then::Reset)), "whole", 2),
        ("silence midway", first(1, |_| Reply::ok(&entry()).without_last(50).then(Then::Stall(Duration::from_secs(2)))), "whole", 2),
        ("silence before the answer", first(1, |_| Reply { bytes: Vec::new(), then: Then::Stall(Duration::from_secs(2)) }), "whole", 2),
        ("a byte now and then, for ever", always(|_| Reply::raw("200 OK", &[("Content-Length", "200")], b"").then(Then::Drip)), "ERROR", 9),
        (
            "a length that is too large",
            always(|_| Reply::raw("200 OK", &[("Content-Length", "300")], &entry())),
            "it has 300 bytes, not 200",
            1,
        ),
        (
            "a length that is too small",
            always(|_| Reply::raw("200 OK", &[("Content-Length", "100")], &entry())),
            "it has 100 bytes, not 200",
            1,
        ),
        ("a length that is no number", always(|_| Reply::raw("200 OK", &[("Content-Length", "many")], &entry())), "ERROR", 6),
        ("two lengths", always(|_| Reply::raw("200 OK", &[("Content-Length", "200"), ("Content-Length", "100")], &entry())), "ERROR", 6),
        ("more bytes than there should be", always(move |_| Reply::raw("200 OK", &[], &tenfold())), "it goes on after its 200 bytes", 1),
        ("bytes without end", always(|_| whole_without_length().then(Then::Drip)), "it goes on after its 200 bytes", 1),
        (
            "encoded bytes",
            always(|_| Reply::new("200 OK", &[("Content-Encoding", "gzip")], &entry())),
            "it encodes what it sends (`gzip`)",
            1,
        ),
        (
            "a part that nobody asked for",
            always(|_| Reply::new("206 Partial Content", &[("Content-Range", "bytes 0-199/200")], &entry())),
            "a part that nobody asked for",
            1,
        ),
        ("another part", part("bytes 99-198/200"), "`bytes 99-198/200`, but was asked for what starts at 100", 2),
        ("a part of something longer", part("bytes 100-199/300"), "it has 300 bytes, not 200", 2),
        ("a part with another length", part("bytes 100-150/200"), "`bytes 100-150/200`, but was asked", 2),
        ("a part that says nothing", part("rubbish"), "it sends `rubbish`, but was asked for what starts at 100", 2),
        (
            "gone meanwhile",
            Box::new(|_, n| if n == 0 { Reply::ok(&entry()).without_last(9) } else { Reply::status("404 Not Found") }),
            "it is gone meanwhile",
            2,
        ),
        (
            "a part that is called the whole",
            Box::new(|request, number| {
                let reply = if number == 0 { Reply::ok(&entry()).without_last(100) } else { good(request) };
                match reply.bytes.strip_prefix(b"HTTP/1.1 206 Partial Content") {
                    Some(rest) => Reply { bytes: [b"HTTP/1.1 200 OK", rest].concat(), then: Then::Close },
                    None => reply,
                }
            }),
            "whole",
            2,
        ),
        ("404", always(|_| Reply::new("404 Not Found", &[], b"<html>")), "absent", 1),
        ("410", always(|_| Reply::status("410 Gone")), "absent", 1),
        ("401", always(|_| Reply::status("401 Unauthorized")), "it wants other credentials (status 401)", 1),
        ("403", always(|_| Reply::status("403 Forbidden")), "it forbids access (status 403)", 1),
        ("204", always(|_| Reply::status("204 No Content")), "it answers with status 204", 1),
        ("429, come back at once", first(1, busy("429 Too Many Requests", "0")), "whole", 2),
        ("429, come back in an hour", first(2, busy("429 Too Many Requests", "3600")), "whole", 3),
        ("503, come back at a time that is past", first(2, busy("503 Service Unavailable", "Wed, 21 Oct 2015 07:28:00 GMT")), "whole", 3),
        ("503, come back at no time", first(2, busy("503 Service Unavailable", "later")), "whole", 3),
        ("503 for ever", always(busy("503 Service Unavailable", "0")), "it is in trouble (status 503) (tried 3 times)", 3),
        ("500 for ever", always(|_| Reply::status("500 Internal Server Error")), "it is in trouble (status 500) (tried 3 times)", 3),
        ("502 once", first(1, |_| Reply::status("502 Bad Gateway")), "whole", 2),
        (
            "500 when the transfer is taken up",
            Box::new(|r, n| match n {
                0 => Reply::ok(&entry()).without_last(9),
                1 => Reply::status("500 x"),
                _ => good(r),
            }),
            "whole",
            3,
        ),
        (
            "a redirect to itself",
            always(|_| Reply::new("302 Found", &[("Location", "/c/nar/x")], b"")),
            "it redirects more than 10 times",
            11,
        ),
        ("a redirect to nowhere", always(|_| Reply::status("302 Found")), "it redirects to nowhere", 1),
        (
            "a redirect to a file",
            always(|_| Reply::new("302 Found", &[("Location", "file:///etc/passwd")], b"")),
            "file:///etc/passwd, which is not encrypted",
            1,
        ),
        ("rubbish for a status line", always(|_| Reply { bytes: b"HELLO\r\n\r\n".to_vec(), then: Then::Close }), "its answer is broken", 3),
        ("rubbish once", first(1, |_| Reply { bytes: vec![0xff; 300], then: Then::Close }), "whole", 2),
        ("a status line without end", always(|_| Reply { bytes: vec![b'H'; 1 << 20], then: Then::Close }), "ERROR", 3),
        (
            "headers without end",
            always(|_| Reply { bytes: [b"HTTP/1.1 200 OK\r\n".to_vec(), b"X: y\r\n".repeat(20_000)].concat(), then: Then::Close }),
            "ERROR",
            3,
        ),
    ]
}

#[test]
#[expect(clippy::print_stdout, reason = "the table is for people")]
fn a_server_that_fails_or_lies_gives_the_right_bytes_or_an_error() {
    let mut wrong = Vec::new();
    println!("{:42} {:>8}  {:52}  length unknown", "the server's fault", "requests", "length known");
    for (fault, script, expected, most) in table() {
        let (script, started) = (Arc::new(script), Instant::now());
        let start = || {
            let script = Arc::clone(&script);
            Server::start(move |request, number| script(request, number))
        };
        let (server, other) = (start(), start());
        let (pulled, looked) = (pull(&cache(&server)), look(&cache(&other)));
        let requests = server.requests().len();
        let brief = |text: &str| text.rsplit_once("nar/x: ").map_or(text, |(_, reason)| reason).to_owned();
        println!("{fault:42} {requests:>8}  {:52}  {}", brief(&pulled), brief(&looked));
        let is_error = pulled.contains("127.0.0.1");
        let as_expected = if expected == "ERROR" { is_error } else { pulled.contains(expected) };
        // A server that says a smaller length is believed if nobody knows better.
        let detectable = fault != "a length that is too small";
        if !as_expected || requests > most || looked.contains("WRONG") && detectable || started.elapsed() > Duration::from_secs(8) {
            wrong.push(format!("{fault}: {pulled} | {looked}, {requests} requests, {:?}", started.elapsed()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_connection_may_break_at_every_byte_of_the_answer() {
    let answer = Reply::ok(&entry()).bytes;
    let head = answer.len() - entry().len();
    for kept in 0..answer.len() {
        let cut = move |_: &Request| Reply { bytes: Reply::ok(&entry()).bytes[..kept].to_vec(), then: Then::Close };
        let with_ranges = Server::start(first(1, cut));
        let without = Server::start(move |request: &Request, number| if number == 0 { cut(request) } else { Reply::ok(&entry()) });
        let never = Server::start(always(cut));
        assert_eq!(pull(&cache(&with_ranges)), "whole", "cut after {kept} bytes");
        assert_eq!(pull(&cache(&without)), "whole", "cut after {kept} bytes, no ranges");
        assert_eq!(look(&cache(&with_ranges)), "whole", "cut after {kept} bytes, length unknown");
        let error = pull(&cache(&never));
        assert!(error.contains("(tried 3 times)"), "cut after {kept} bytes, always: {error}");
        let asked = with_ranges.requests()[1].start();
        assert_eq!(asked, (kept > head).then(|| kept - head), "cut after {kept} bytes: taken up elsewhere");
    }
}

#[test]
fn a_server_that_breaks_again_and_again_is_borne_as_long_as_it_gets_on() {
    let long: Vec<u8> = (0..1u32 << 20).map(|at| (at % 251) as u8).collect();
    let length = long.len() as u64;
    let served = long.clone();
    let server = Server::start(move |request, _| {
        let from = request.start().unwrap_or(0);
        let end = (from + (100 << 10)).min(served.len());
        let range = format!("bytes {from}-{}/{}", served.len() - 1, served.len());
        let rest = (served.len() - from).to_string();
        let head = [("Content-Length", rest.as_str()), ("Content-Range", range.as_str())];
        Reply::raw(if from > 0 { "206 Partial Content" } else { "200 OK" }, &head, &served[from..end])
    });
    let (cache, mut read) = (cache(&server), Vec::new());
    let reader = ResumingReader::open(&cache, &name("nar/x"), Some(length)).unwrap();
    reader.unwrap().read_to_end(&mut read).unwrap();
    assert!(read == long);
    assert_eq!(server.requests().len(), 11);
}

#[test]
fn a_wait_is_as_long_as_the_server_asks_up_to_the_longest() {
    let server = Server::start(first(1, |_| Reply::new("503 Service Unavailable", &[("Retry-After", "1")], b"")));
    let mut access = access();
    access.patience.longest_pause = Duration::from_secs(5);
    let started = Instant::now();
    assert_eq!(pull(&cache_at(&server.url("/c"), &access)), "whole");
    assert!(started.elapsed() >= Duration::from_secs(1) && started.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_token_is_shown_to_its_server_only() {
    let other = Server::start(|request, _| good(request));
    let elsewhere = other.url("/nar/x");
    let first = Server::start(move |_, _| Reply::new("302 Found", &[("Location", &elsewhere)], b""));
    let with_password = cache_at(&first.url("/c").replace("://", "://me:secret@"), &access());
    for cache in [cache(&first), with_password] {
        assert_eq!(pull(&cache), "whole");
        assert!(!cache.location().contains("secret"));
    }
    let shown: Vec<_> = first.requests().iter().map(|request| request.header("authorization").map(str::to_owned)).collect();
    assert_eq!(shown, [Some("Bearer token-1".to_owned()), Some("Basic bWU6c2VjcmV0".to_owned())]);
    assert!(other.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn an_encrypted_cache_does_not_lead_to_an_unencrypted_one() {
    let dir = tempfile::tempdir().unwrap();
    testing_tls::make_certificate(dir.path());
    let plain = Server::start(|request, _| good(request));
    let location = plain.url("/nar/x");
    let reply = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let (url, _) = testing_tls::serve(dir.path(), reply);
    let mut access = access();
    access.settings.ca_bundle = Some(dir.path().join("cert.pem"));
    let outcome = pull(&cache_at(&url, &access));
    assert!(outcome.contains("which is not encrypted"), "{outcome}");
    assert!(plain.requests().is_empty());
}

#[test]
fn what_is_forbidden_to_everybody_is_not_there() {
    let server = Server::start(|_, _| Reply::status("403 Forbidden"));
    assert_eq!(pull(&cache_at(&server.url("/c"), &access())), "absent");
}

#[test]
fn a_stop_ends_a_read_between_two_tries() {
    let server = Server::start(always(|_| Reply::new("503 Service Unavailable", &[("Retry-After", "3600")], b"")));
    let mut access = access();
    access.patience.longest_pause = Duration::from_secs(60);
    let stop = Arc::clone(&access.patience.stop);
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            server.await_heads(1);
            stop.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        assert_eq!(pull(&cache_at(&server.url("/c"), &access)), "stopped");
    });
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_query_of_a_packed_nar_is_asked_for_as_one() {
    let server = Server::start(|request, _| match request.target.as_str() {
        "/c/nar/0a.nar.zst?hash=8k90pkn2fan0wl15k96v2md0n20vgdrp" => good(request),
        _ => Reply::status("404 Not Found"),
    });
    let entry = EntryName::packed("nar/0a.nar.zst?hash=8k90pkn2fan0wl15k96v2md0n20vgdrp").unwrap();
    assert_eq!(outcome(read_small(&cache(&server), &entry, 1_000)), "whole");
}
