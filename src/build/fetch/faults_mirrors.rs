//! Choosing among mirrors, reading indexes and asking proxies, with servers on loopback that do it wrong.

use std::ops::ControlFlow;

use super::trial::{attempt, debian, pypi, quick};
use super::*;
use crate::build::config::{Config, MirrorSettings};
use crate::net::testing::{Reply, Server};
use crate::net::{Machine, NetError};

#[test]
fn the_next_address_is_asked_when_one_does_not_serve() {
    let gone = Server::start(|_, _| Reply::status("404 Not Found"));
    let wrong = Server::start(|_, _| Reply::ok(b"evil"));
    let good = Server::start(|_, _| Reply::ok(b"x"));
    let source = FetchSource::Urls([&gone, &wrong, &good].map(|server| server.url("/file")).to_vec());
    let trial = attempt((&[], &[]), &source, b"x", quick());
    assert_eq!(trial.gave(b"x").result.as_ref().unwrap().url, good.url("/file"));
}

#[test]
fn a_debian_file_is_looked_for_on_every_mirror() {
    let gone = Server::start(|_, _| Reply::status("404 Not Found"));
    let good = Server::start(|request, _| match request.target.as_str() {
        "/debian/pool/main/g/g%2B%2B/g%2B%2B_1~2.deb" => Reply::ok(b"x"),
        _ => Reply::status("404 Not Found"),
    });
    attempt((&[], &[&gone, &good]), &debian(), b"x", quick()).gave(b"x");
    let trial = attempt((&[], &[&gone]), &debian(), b"x", quick());
    assert!(trial.failed().contains("no configured Debian mirror has it"), "{}", trial.failed());
    assert!(trial.result.unwrap_err().hint().unwrap().contains("kiln lock debian"));
}

#[test]
fn advice_about_a_debian_source_leads_to_its_hash() {
    let other = Server::start(|_, _| Reply::ok(b"other"));
    let source = FetchSource::Debian { pool_path: "pool/main/h/hello/hello_2.10.orig.tar.gz".to_owned() };
    let trial = attempt((&[], &[&other]), &source, b"x", quick());
    let hint = trial.result.unwrap_err().hint().unwrap();
    assert!(hint.contains("kiln lock debian --source "), "{hint}");
}

#[test]
fn a_mirror_that_is_dead_is_asked_last_from_then_on() {
    let dead = Server::start(|_, _| Reply::status("503 x"));
    let good = Server::start(|_, _| Reply::ok(b"x"));
    let dir = tempfile::tempdir().unwrap();
    let mirrors = MirrorSettings { pypi: vec![], debian: vec![dead.url(""), good.url("")] };
    let mirrors = Mirrors::of(Machine::at(&dir.path().join("nothing"), &[]), &Config { mirrors, ..Config::default() });
    let fetcher = Fetcher::new(mirrors, quick());
    for number in 0..5 {
        let request = FetchRequest { source: &debian(), name: "thing", sha256: Sha256::of(b"x"), size: None };
        fetcher.fetch(&request, &dir.path().join(number.to_string()), &|_| ControlFlow::Continue(())).unwrap();
    }
    assert_eq!((dead.requests().len(), good.requests().len()), (3, 5));
}

#[test]
fn a_mirror_may_be_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("pool/main/g/g++")).unwrap();
    std::fs::write(dir.path().join("pool/main/g/g++/g++_1~2.deb"), b"x").unwrap();
    let mirrors = MirrorSettings { pypi: vec![], debian: vec![format!("file:{}", dir.path().display())] };
    let mirrors = Mirrors::of(Machine::at(&dir.path().join("nothing"), &[]), &Config { mirrors, ..Config::default() });
    let request = FetchRequest { source: &debian(), name: "thing", sha256: Sha256::of(b"x"), size: None };
    let fetcher = Fetcher::new(mirrors, quick());
    fetcher.fetch(&request, &dir.path().join("out"), &|_| ControlFlow::Continue(())).unwrap();
    assert_eq!(std::fs::read(dir.path().join("out")).unwrap(), b"x");
}

fn index_page(url: &str, sha256: &str) -> Vec<u8> {
    format!(r#"{{"files":[{{"filename":"thing-1.tar.gz","url":"{url}","hashes":{{"sha256":"{sha256}"}},"size":1}}]}}"#).into_bytes()
}

const JSON: (&str, &str) = ("Content-Type", "application/vnd.pypi.simple.v1+json");

#[test]
fn a_python_file_is_found_on_its_projects_page() {
    let server = Server::start(|request, n| match request.target.as_str() {
        "/simple/some-thing/" if n == 0 => Reply::status("503 x"),
        "/simple/some-thing/" => Reply::new("200 OK", &[JSON], &index_page("../../files/thing-1.tar.gz#x", &Sha256::of(b"x").hex())),
        "/files/thing-1.tar.gz" => Reply::ok(b"x"),
        _ => Reply::status("404 Not Found"),
    });
    attempt((&[&server], &[]), &pypi(), b"x", quick()).gave(b"x");
    assert!(server.requests()[0].header("accept").unwrap().contains("application/vnd.pypi.simple.v1+json"));
}

#[test]
fn older_indexes_answer_in_html_and_zipped() {
    let page = "<html><a href=\"/f/thing-1.tar.gz#sha256=00\">thing-1.tar.gz</a></html>";
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, page.as_bytes()).unwrap();
    let zipped = encoder.finish().unwrap();
    let server = Server::start(move |request, _| match request.target.as_str() {
        "/simple/some-thing/" => Reply::new("200 OK", &[("Content-Type", "text/html"), ("Content-Encoding", "gzip")], &zipped),
        _ => Reply::ok(b"x"),
    });
    attempt((&[&server], &[]), &pypi(), b"x", quick()).gave(b"x");
}

#[test]
fn what_a_page_names_as_its_base_is_heeded() {
    for base in ["../../files/", "/files/", "//HOST/files/"] {
        let server = Server::start(move |request, _| match request.target.as_str() {
            "/simple/some-thing/" => {
                let base = base.replace("HOST", request.header("host").unwrap());
                let page = format!("<base href='{base}'><a href='thing-1.tar.gz'>thing</a>");
                Reply::new("200 OK", &[("Content-Type", "text/html")], page.as_bytes())
            }
            "/files/thing-1.tar.gz" => Reply::ok(b"x"),
            _ => Reply::status("404 Not Found"),
        });
        attempt((&[&server], &[]), &pypi(), b"x", quick()).gave(b"x");
    }
    let page = "<base href='file:///etc/'><a href='thing-1.tar.gz'>thing</a>";
    let server = Server::start(move |_, _| Reply::new("200 OK", &[("Content-Type", "text/html")], page.as_bytes()));
    assert!(attempt((&[&server], &[]), &pypi(), b"x", quick()).failed().contains("it says that the file lies at"));
}

#[test]
fn an_index_whose_file_has_another_hash_is_not_asked_for_it() {
    let server = Server::start(|_, _| Reply::new("200 OK", &[JSON], &index_page("/f", &Sha256::of(b"y").hex())));
    let trial = attempt((&[&server], &[]), &pypi(), b"x", quick());
    assert!(trial.failed().contains(&Sha256::of(b"y").hex()));
    assert!(trial.result.unwrap_err().hint().unwrap().contains("kiln lock pypi"));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_python_file_that_left_names_the_lock() {
    let empty = Server::start(|_, _| Reply::new("200 OK", &[JSON], br#"{"files":[]}"#));
    let without = Server::start(|_, _| Reply::status("404 Not Found"));
    let trial = attempt((&[&empty, &without], &[]), &pypi(), b"x", quick());
    assert!(trial.failed().contains("it does not list thing-1.tar.gz"), "{}", trial.failed());
    assert!(trial.result.unwrap_err().hint().unwrap().contains("kiln lock pypi"));
}

#[test]
fn an_index_may_not_point_at_files_of_this_machine() {
    let server = Server::start(|_, _| Reply::new("200 OK", &[JSON], &index_page("file:///etc/hostname", &Sha256::of(b"x").hex())));
    assert!(attempt((&[&server], &[]), &pypi(), b"x", quick()).failed().contains("it says that the file lies at"));
}

#[test]
fn without_a_mirror_the_error_says_how_to_name_one() {
    for (source, key) in [(pypi(), "pypi = ["), (debian(), "debian = [")] {
        let trial = attempt((&[], &[]), &source, b"x", quick());
        assert!(trial.failed().contains("configured"), "{}", trial.failed());
        assert!(trial.result.unwrap_err().hint().unwrap().contains(key));
    }
}

#[test]
fn names_that_would_leave_the_mirror_are_refused() {
    let bad_path = |path: &str| FetchSource::Debian { pool_path: path.into() };
    let bad_file = |project: &str, file: &str| FetchSource::Pypi { project: project.into(), file: file.into() };
    let local = FetchSource::Urls(vec!["file:///etc/passwd".into()]);
    for source in [
        bad_path("pool/../x"),
        bad_path("dists/x"),
        bad_path("pool//x"),
        bad_file("a/../b", "x"),
        bad_file("", "x"),
        bad_file("a", "../x"),
        local,
    ] {
        let trial = attempt((&[], &[]), &source, b"x", quick());
        trial.failed();
        assert!(matches!(trial.result, Err(FetchError::BadName { .. } | FetchError::Net(NetError::BadAddress { .. }))), "{source:?}");
    }
}

#[test]
fn proxies_of_the_environment_are_used() {
    let proxy = Server::start(|request, _| match request.target.as_str() {
        "http://host.example/file?x=1" => Reply::ok(b"x"),
        target => Reply::new("403 Forbidden", &[], target.as_bytes()),
    });
    let dir = tempfile::tempdir().unwrap();
    let address = proxy.url("").replace("://", "://me:secret@");
    let machine = Machine::at(dir.path(), &[("http_proxy", &address), ("https_proxy", &address)]);
    let fetcher = Fetcher::new(Mirrors::of(machine, &Config::default()), quick());
    let fetch = |url: &str, into: &str| {
        let source = FetchSource::Urls(vec![url.into()]);
        let request = FetchRequest { source: &source, name: "thing", sha256: Sha256::of(b"x"), size: None };
        fetcher.fetch(&request, &dir.path().join(into), &|_| ControlFlow::Continue(()))
    };
    fetch("http://host.example/file?x=1", "a").unwrap();
    let error = fetch("https://host.example/file", "b").unwrap_err().to_string();
    assert!(error.contains("proxy") && !error.contains("secret"), "{error}");
    let requests = proxy.requests();
    assert_eq!((requests[0].header("host"), requests[1].target.as_str()), (Some("host.example"), "host.example:443"));
    assert!(requests.iter().all(|request| request.header("proxy-authorization") == Some("Basic bWU6c2VjcmV0")));
}
