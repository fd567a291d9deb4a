//! What is answered, without sockets.

use std::fs;

use super::request::{Headers, Method, Request, Upload};
use super::response::{Body, Response};
use super::{Limits, Options, Server};

fn server(dir: &std::path::Path) -> Server {
    let options = Options { dir: dir.to_owned(), tokens: None, public: false, trusted: Vec::new(), log: None, limits: Limits::default() };
    Server::new(options).unwrap()
}

fn answer(server: &Server, method: Method, target: &str, mut body: &[u8]) -> Response {
    let request = Request::new(method, target, Headers::default());
    server.answer(&request, Upload { length: Some(body.len() as u64), bytes: &mut body })
}

#[test]
fn an_entry_is_a_part_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x"), "hello").unwrap();
    let server = server(dir.path());
    let headers = Headers { range: Some("bytes=1-2"), ..Headers::default() };
    let response = server.answer(&Request::new(Method::Get, "/x", headers), Upload { length: Some(0), bytes: &mut std::io::empty() });
    assert_eq!(response.status, 206);
    assert!(matches!(response.body, Body::File { from: 1, length: 2, .. }));
}

#[test]
fn without_tokens_a_cache_is_for_reading_only() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path());
    assert_eq!(answer(&server, Method::Get, "/nix-cache-info", b"").status, 200);
    assert_eq!(answer(&server, Method::Put, "/kiln/pins/x", b"").status, 403);
    assert_eq!(answer(&server, Method::Delete, "/kiln/pins/x", b"").status, 403);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
