//! Putting entries to servers that fail.

use super::{cache, name};
use crate::cache::{Backend, Existing};
use crate::net::testing::{Reply, Request, Server, Then};

/// What becomes of an entry that is put to a server like this, and what it saw.
fn put(existing: Existing, script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> (Result<(), String>, Vec<Request>) {
    let server = Server::start(script);
    let written = cache(&server).write(&name("nar/x"), &b"what is sent".to_vec(), existing);
    (written.map_err(|error| error.to_string()), server.requests())
}

#[test]
fn what_is_put_is_sent_again_from_the_start() {
    for failure in ["503 Service Unavailable", "429 Too Many Requests", "500 Internal Server Error"] {
        let (written, requests) = put(Existing::Replace, move |_, number| Reply::status(if number == 0 { failure } else { "201 Created" }));
        assert_eq!(written, Ok(()));
        assert!(requests.len() == 2 && requests.iter().all(|request| request.body == b"what is sent"));
        assert!(requests.iter().all(|request| request.header("authorization") == Some("Bearer token-1")));
        assert!(requests.iter().all(|request| request.header("if-none-match").is_none()));
    }
    let (written, requests) = put(Existing::Replace, |_, number| match number {
        0 => Reply { bytes: Vec::new(), then: Then::Reset },
        _ => Reply::status("204 No Content"),
    });
    assert_eq!((written, requests.len()), (Ok(()), 2));
}

#[test]
fn what_is_there_already_is_kept() {
    let (written, requests) = put(Existing::Keep, |_, _| Reply::status("412 Precondition Failed"));
    assert_eq!((written, requests.len()), (Ok(()), 1));
    assert_eq!(requests[0].header("if-none-match"), Some("*"));
    // Another writer is at it: by the next try it is done.
    let (written, requests) =
        put(Existing::Keep, |_, number| Reply::status(if number == 0 { "409 Conflict" } else { "412 Precondition Failed" }));
    assert_eq!((written, requests.len()), (Ok(()), 2));
    let (written, _) = put(Existing::Replace, |_, _| Reply::status("412 Precondition Failed"));
    assert!(written.unwrap_err().ends_with("refuses to take nar/x: it answers with status 412"));
}

#[test]
fn a_server_that_knows_no_conditions_is_written_to_without() {
    let (written, requests) = put(Existing::Keep, |request, _| match request.header("if-none-match") {
        Some(_) => Reply::status("501 Not Implemented"),
        None => Reply::status("200 OK"),
    });
    assert_eq!((written, requests.len()), (Ok(()), 2));
}

#[test]
fn a_large_entry_is_not_sent_if_it_is_there() {
    let server = Server::start(|request, _| match request.method.as_str() {
        "HEAD" => Reply::raw("200 OK", &[("Content-Length", "2000000")], b""),
        _ => Reply::status("500 Internal Server Error"),
    });
    cache(&server).write(&name("nar/x"), &vec![0u8; 2_000_000], Existing::Keep).unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn nothing_is_put_elsewhere() {
    let other = Server::start(|_, _| Reply::status("201 Created"));
    let elsewhere = other.url("/nar/x");
    let (written, _) = put(Existing::Replace, move |_, _| Reply::new("307 Temporary Redirect", &[("Location", &elsewhere)], b""));
    assert!(written.unwrap_err().contains("where no PUT is sent"));
    assert!(other.requests().is_empty());
}

#[test]
fn a_server_to_read_from_only_says_so() {
    let (written, requests) = put(Existing::Keep, |_, _| Reply::status("405 Method Not Allowed"));
    assert!(written.unwrap_err().ends_with("refuses to take nar/x: it answers with status 405"));
    assert_eq!(requests.len(), 1);
}

#[test]
fn what_is_gone_is_removed() {
    let server = Server::start(|_, number| Reply::status(["204 No Content", "404 Not Found", "403 Forbidden"][number]));
    let (cache, name) = (cache(&server), name("nar/x"));
    assert!(cache.remove(&name).is_ok() && cache.remove(&name).is_ok());
    assert!(cache.remove(&name).unwrap_err().to_string().contains("refuses to remove nar/x: it forbids access"));
}
