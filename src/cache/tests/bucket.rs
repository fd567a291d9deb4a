//! Buckets whose server misbehaves, and questions for more entries than a page of a listing has.

use std::collections::HashSet;
use std::path::Path;

use super::{name, patience};
use crate::cache::entry::EntryName;
use crate::cache::{Access, Backend, Existing, Location, S3};
use crate::net::Machine;
use crate::net::testing::{Reply, Request, Server};

/// A part of a bucket on a server, for somebody whose credentials are for a while only.
fn bucket(server: &Server) -> S3 {
    let env = [("AWS_ACCESS_KEY_ID", "KEY"), ("AWS_SECRET_ACCESS_KEY", "hidden"), ("AWS_SESSION_TOKEN", "session-token")];
    let mut access = Access::new(Machine::at(Path::new("/nonexistent"), &env));
    access.patience = patience();
    let Location::S3(place) = Location::parse(&format!("s3://bucket/p?endpoint={}", server.url(""))).unwrap() else { panic!("no bucket") };
    S3::new(&place, &access).unwrap()
}

/// One page of a listing: these keys, and where it goes on.
fn page(keys: &[&str], next: Option<&str>) -> Reply {
    let object =
        |key: &&str| format!("<Contents><Key>{key}</Key><LastModified>2026-11-22T10:20:30.000Z</LastModified><Size>7</Size></Contents>");
    let more = next.map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>")).unwrap_or_default();
    let objects: String = keys.iter().map(object).collect();
    let text = format!(
        "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>{}</IsTruncated>{more}{objects}</ListBucketResult>",
        next.is_some()
    );
    Reply::ok(text.as_bytes())
}

fn parameter(request: &Request, name: &str) -> Option<String> {
    let (_, query) = request.target.split_once('?')?;
    query.split('&').find_map(|part| Some(crate::net::unescape(part.strip_prefix(name)?.strip_prefix('=')?)))
}

fn is_list(request: &Request) -> bool {
    parameter(request, "list-type").is_some()
}

fn listed(script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Result<Vec<String>, String> {
    let server = Server::start(script);
    let mut names = Vec::new();
    let listed = bucket(&server).list("nar/", &mut |listed| {
        names.push(listed.name.to_string());
        Ok(())
    });
    listed.map(|()| names).map_err(|error| error.to_string())
}

#[test]
fn all_pages_are_followed_and_strangers_and_doubles_left_out() {
    let names = listed(|request, _| {
        assert_eq!(parameter(request, "prefix").as_deref(), Some("p/nar/"));
        match parameter(request, "continuation-token").as_deref() {
            None => page(&["p/nar/%2e%2e", "p/nar/.x", "p/nar/a", "p/nar/a"], Some("t+1/=")),
            Some("t+1/=") => page(&["p/nar/a", "p/nar/b", "other/nar/c", "p/narrow"], None),
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(names.unwrap(), ["nar/a", "nar/b"]);
}

#[test]
fn lists_that_do_not_end_or_are_none_are_errors() {
    let endless = listed(|_, _| page(&["p/nar/a"], Some("again"))).unwrap_err();
    assert!(endless.contains("its list does not end"), "{endless}");
    for answer in ["<html>", "", "<ListBucketResult>"] {
        let error = listed(move |_, _| Reply::ok(answer.as_bytes())).unwrap_err();
        assert!(error.contains("its list cannot be read"), "{error}");
    }
    let error = listed(|_, _| Reply::status("404 Not Found")).unwrap_err();
    assert!(error.contains("it has no such bucket"), "{error}");
    let error = listed(|_, _| page(&["p/nar/a"], None).without_last(20)).unwrap_err();
    assert!(error.contains("(tried 3 times)"), "{error}");
}

/// What is found of some names, and how many pages and how many single questions that took.
fn present(count: usize, pages: impl Fn(usize) -> Reply + Send + Sync + 'static) -> (HashSet<EntryName>, usize, usize) {
    let server = Server::start(move |request, _| match parameter(request, "continuation-token") {
        _ if !is_list(request) && request.target.starts_with("/bucket/p/00.narinfo?") => {
            Reply::raw("200 OK", &[("Content-Length", "7")], b"")
        }
        _ if !is_list(request) => Reply::status("404 Not Found"),
        token => pages(token.map_or(0, |token| token.parse().unwrap())),
    });
    let names: Vec<EntryName> = (0..count).map(|number| name(&format!("{number:02}.narinfo"))).collect();
    let found = bucket(&server).present(&names).unwrap();
    let requests = server.requests();
    let lists = requests.iter().filter(|request| is_list(request)).count();
    (found, lists, requests.len() - lists)
}

#[test]
fn many_names_are_looked_for_in_a_list_unless_that_is_longer() {
    let first: HashSet<EntryName> = [name("00.narinfo")].into();
    let of_list: HashSet<EntryName> = [name("00.narinfo"), name("03.narinfo")].into();
    assert_eq!(present(20, |_| panic!("few names need no list")), (first.clone(), 0, 20));
    assert_eq!(present(80, |_| page(&["p/00.narinfo", "p/03.narinfo", "p/xx"], None)), (of_list.clone(), 1, 0));
    // Five pages are as much as asking sixteen at a time takes; what is not on them is asked for singly.
    assert_eq!(present(80, |number| page(&["p/03.narinfo"], Some(&(number + 1).to_string()))), (of_list, 5, 79));
    assert_eq!(present(80, |_| Reply::status("403 Forbidden")), (first, 1, 80));
}

#[test]
fn no_message_has_a_signature_or_a_token() {
    let server = Server::start(|request, _| match request.method.as_str() {
        "PUT" => Reply::new("307 Temporary Redirect", &[("Location", &format!("http://other.example{}", request.target))], b""),
        _ => Reply::status("403 Forbidden"),
    });
    let bucket = bucket(&server);
    let written = bucket.write(&name("x"), &b"x".to_vec(), Existing::Keep).unwrap_err().to_string();
    let read = bucket.read(&name("x"), 0).err().unwrap().to_string();
    let requests = server.requests();
    assert!(requests.iter().all(|request| parameter(request, "X-Amz-Security-Token").as_deref() == Some("session-token")));
    assert!(written.contains("it redirects to http://other.example/bucket/p/x, where no PUT is sent"), "{written}");
    assert!(read.ends_with("it forbids access (status 403)"), "{read}");
    for shown in [written, read, format!("{bucket:?}"), bucket.location()] {
        assert!(!shown.contains("X-Amz") && !shown.contains("session-token") && !shown.contains("hidden"), "{shown}");
    }
}

/// What becomes of a large entry, with all requests.
fn large(existing: Existing, end: impl Fn(usize) -> Reply + Send + Sync + 'static) -> (Result<(), String>, Vec<String>) {
    let ends = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |request, _| match (request.method.as_str(), request.target.contains("uploadId=")) {
        ("POST", false) => Reply::ok(b"<X><UploadId>u-1</UploadId></X>"),
        ("PUT", _) => Reply::new("200 OK", &[("ETag", "\"tag\"")], b""),
        ("POST", true) => end(ends.fetch_add(1, std::sync::atomic::Ordering::SeqCst)),
        ("HEAD", _) => Reply::status("404 Not Found"),
        _ => Reply::status("204 No Content"),
    });
    let written = bucket(&server).write(&name("x"), &vec![7u8; (32 << 20) + 1], existing).map_err(|error| error.to_string());
    (written, server.requests().into_iter().map(|request| request.method).collect())
}

#[test]
fn parts_that_come_to_nothing_are_taken_back() {
    let whole = ["POST", "PUT", "PUT", "PUT", "POST"];
    assert_eq!(large(Existing::Replace, |_| Reply::ok(b"<R/>")), (Ok(()), whole.map(str::to_owned).to_vec()));
    let (failed, requests) = large(Existing::Replace, |_| Reply::ok(b"<Error><Code>InternalError</Code></Error>"));
    assert!(failed.unwrap_err().ends_with("it did not put the parts together (InternalError)"));
    assert_eq!(requests.last().map(String::as_str), Some("DELETE"));
    // Somebody else was faster.
    let (kept, requests) = large(Existing::Keep, |_| Reply::status("412 Precondition Failed"));
    assert_eq!((kept, requests.last().map(String::as_str)), (Ok(()), Some("DELETE")));
    let (kept, _) = large(Existing::Keep, |number| if number == 0 { Reply::status("501 x") } else { Reply::ok(b"<R/>") });
    assert_eq!(kept, Ok(()));
    // The upload is gone, and so is the entry.
    let (gone, _) = large(Existing::Replace, |_| Reply::status("404 Not Found"));
    assert!(gone.unwrap_err().contains("does not have the file"));
}
