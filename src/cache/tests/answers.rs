//! Questions for many entries, and the answers of servers that do not know them, or lie.

use std::collections::HashSet;

use super::{cache, name};
use crate::cache::entry::EntryName;
use crate::cache::{Backend, CacheError, Listed};
use crate::net::testing::{Reply, Request, Server};

const KILNS: &[u8] = b"StoreDir: /kiln/store\nKiln: 1\n";

/// A server that says that it is kiln's, and answers bulk questions like this.
fn kilns(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request, _| match (request.method.as_str(), request.target.as_str()) {
        ("GET", "/c/nix-cache-info") => Reply::ok(KILNS),
        ("HEAD", target) if target.ends_with("0.narinfo") => Reply::raw("200 OK", &[("Content-Length", "7")], b""),
        ("HEAD", _) => Reply::status("404 Not Found"),
        _ => answer(request),
    })
}

fn names(count: usize) -> Vec<EntryName> {
    (0..count).map(|number| name(&format!("{number}.narinfo"))).collect()
}

fn bulk(answer: &'static [u8]) -> (Result<HashSet<EntryName>, CacheError>, Vec<Request>) {
    let server = kilns(move |_| Reply::ok(answer));
    let found = cache(&server).present(&names(11));
    (found, server.requests())
}

#[test]
fn kilns_own_server_is_asked_once_for_many() {
    let (found, requests) = bulk(br#"["1.narinfo", "3.narinfo"]"#);
    let found = found.unwrap();
    assert!(found.len() == 9 && !found.contains(&name("1.narinfo")) && found.contains(&name("10.narinfo")));
    let seen: Vec<&str> = requests.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(seen, ["/c/nix-cache-info", "/c/kiln/missing"]);
    let asked: Vec<String> = serde_json::from_slice(&requests[1].body).unwrap();
    assert_eq!((asked.len(), requests[1].header("authorization")), (11, Some("Bearer token-1")));
}

#[test]
fn answers_about_other_names_are_lies() {
    for answer in [&b"[\"77.narinfo\"]"[..], b"[\"../x\"]", b"[\"1.narinfo\", \"1.narinfo\"]", b"{}", b"", b"[1]", b"[\"1.narinfo\""] {
        let error = bulk(answer).0.unwrap_err().to_string();
        assert!(error.contains("its answer cannot be true: it "), "{}: {error}", String::from_utf8_lossy(answer));
    }
    let server = kilns(|_| Reply::ok(&b" ".repeat(200_000)));
    assert!(cache(&server).present(&names(11)).unwrap_err().to_string().contains("it is longer than"));
}

#[test]
fn other_servers_are_asked_for_each() {
    let found: HashSet<EntryName> = [name("0.narinfo"), name("10.narinfo")].into();
    let plain = Server::start(|request, _| match request.target.as_str() {
        "/c/nix-cache-info" => Reply::ok(b"StoreDir: /kiln/store\n"),
        "/c/0.narinfo" | "/c/10.narinfo" => Reply::raw("200 OK", &[("Content-Length", "7")], b""),
        _ => Reply::status("404 Not Found"),
    });
    assert_eq!(cache(&plain).present(&names(11)).unwrap(), found);
    assert_eq!(plain.requests().len(), 12);
    // Something between kiln and its server lets only files through.
    let hidden = kilns(|_| Reply::status("405 Method Not Allowed"));
    assert_eq!(cache(&hidden).present(&names(11)).unwrap(), found);
}

#[test]
fn a_server_that_knows_no_head_is_asked_for_the_file() {
    let server = Server::start(|request, _| match request.method.as_str() {
        "HEAD" => Reply::status("501 Not Implemented"),
        _ if request.target == "/c/1.narinfo" => Reply::ok(b"1234567"),
        _ => Reply::status("404 Not Found"),
    });
    let cache = cache(&server);
    assert_eq!(cache.size(&name("1.narinfo")).unwrap(), Some(7));
    assert_eq!(cache.size(&name("2.narinfo")).unwrap(), None);
}

#[test]
fn one_trouble_ends_all_questions() {
    let server = Server::start(|_, _| Reply::status("500 Internal Server Error"));
    let error = cache(&server).present(&names(2)).unwrap_err().to_string();
    assert!(error.contains("could not look for") && error.ends_with("it is in trouble (status 500) (tried 3 times)"), "{error}");
}

fn listed(answer: impl Fn() -> Reply + Send + Sync + 'static) -> Result<Vec<Listed>, CacheError> {
    let server = kilns(move |_| answer());
    let mut all = Vec::new();
    cache(&server).list("nar/", &mut |listed| {
        all.push(listed);
        Ok(())
    })?;
    assert_eq!(server.requests()[1].target, "/c/kiln/list?prefix=nar/");
    Ok(all)
}

const LINES: &[u8] = b"{\"name\":\"nar/x\",\"size\":3,\"modified\":7}\n{\"name\":\"nar/y\",\"size\":4,\"modified\":8,\"read\":9}\n";

#[test]
fn kilns_own_server_is_listed() {
    let all = listed(|| Reply::ok(LINES)).unwrap();
    assert_eq!(
        all.iter().map(|listed| (listed.name.as_str(), listed.size, listed.read.is_some())).collect::<Vec<_>>(),
        [("nar/x", 3, false), ("nar/y", 4, true)]
    );
}

#[test]
fn lists_that_lie_or_break_off_are_errors() {
    let lines: [(&[u8], &str); 5] = [
        (b"{\"name\":\"../x\",\"size\":3,\"modified\":7}\n", "it lists what is no entry"),
        (b"{\"name\":\"x\",\"size\":3,\"modified\":7}\n", "it lists x under `nar/`"),
        (b"{\"name\":\"nar/x\",\"size\":-3,\"modified\":7}\n", "it lists what is no entry"),
        (b"<html>\n", "it lists what is no entry"),
        (b"{\"name\":\"nar/x\"", "its list broke off"),
    ];
    for (answer, problem) in lines {
        let error = listed(move || Reply::ok(answer)).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    let error = listed(|| Reply::ok(LINES).without_last(30)).unwrap_err().to_string();
    assert!(error.contains("list"), "{error}");
    let error = listed(|| Reply::ok(&b"x".repeat(100_000))).unwrap_err().to_string();
    assert!(error.contains("its list broke off"), "{error}");
}

#[test]
fn another_server_cannot_be_listed() {
    let server = Server::start(|_, _| Reply::ok(b"StoreDir: /kiln/store\n"));
    let error = cache(&server).list("", &mut |_| Ok(())).unwrap_err().to_string();
    assert!(error.ends_with("refuses to list all entries: over HTTP only kiln's own server can be listed"), "{error}");
}
