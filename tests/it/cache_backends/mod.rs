//! One suite over all back ends of caches, each against a real server: a directory, static web servers to read from, one that takes `PUT`, and S3.

// Tests for which the time it takes, or the memory, is worth showing.
#![allow(clippy::print_stdout)]

mod dav;
mod large;
mod servers;
mod suite;

use std::path::Path;

use kiln::cache::{Access, Backend, Existing, Location, ResumingReader, open};
use kiln::net::Machine;
use std::sync::Arc;

use crate::support::{Scratch, skip};
use dav::Dav;
use servers::{S3Server, StaticServer};
use suite::Abilities;

/// A cache, for somebody with these variables.
fn cache(url: &str, env: &[(&str, &str)]) -> Arc<dyn Backend> {
    open(&Location::parse(url).unwrap(), &Access::new(Machine::at(Path::new("/"), env))).unwrap()
}

/// A cache, for whom the test runs as.
fn plain(url: &str) -> Arc<dyn Backend> {
    cache(url, &[])
}

#[test]
fn a_directory() {
    let dir = Scratch::new();
    suite::run(&*plain(&format!("file://{}/c", dir.path().display())), Abilities::all());
}

#[test]
fn kilns_own_kind_of_server() {
    let dir = Scratch::new();
    let server = Dav::start(dir.path()).into_kilns();
    suite::run(&*plain(&server.url("/c")), Abilities::all());
    assert!(server.requests().iter().any(|request| request.starts_with("POST /c/kiln/missing")), "nothing was asked in bulk");
}

#[test]
fn a_server_that_takes_put() {
    let dir = Scratch::new();
    let server = Dav::start(dir.path());
    suite::run(&*plain(&server.url("/some/where")), Abilities { lists: false, ..Abilities::all() });
}

#[test]
fn a_server_that_takes_put_from_who_has_the_password() {
    let dir = Scratch::new();
    let server = Dav::start(dir.path()).for_authorization("Basic bWU6c2VjcmV0");
    let with_password = server.url("/c").replace("://", "://me:secret@");
    suite::run(&*plain(&with_password), Abilities { lists: false, ..Abilities::all() });
    let denied = plain(&server.url("/c")).write(&suite::name("x"), &b"x".to_vec(), Existing::Keep).unwrap_err();
    assert!(denied.to_string().ends_with("it wants other credentials (status 401)"), "{denied}");
}

#[test]
fn static_servers() {
    for (server, command) in servers::STATIC {
        let Some(server) = StaticServer::start(command) else {
            skip(&format!("no {server} here"));
            continue;
        };
        suite::run_reading(&*plain(&format!("file://{}", server.dir().display())), &*plain(&server.url()));
    }
}

#[test]
fn s3_servers() {
    for which in &servers::S3 {
        let server = match S3Server::start(which) {
            Ok(server) => server,
            Err(reason) => {
                skip(&format!("{}: {reason}", which.name));
                continue;
            }
        };
        let abilities = Abilities { keeps: which.heeds_conditions, settles: which.settles, ..Abilities::all() };
        suite::run(&*cache(&server.url("bucket/some/prefix"), &server.env()), abilities);
        suite::beside_each_other(&*cache(&server.url("bucket/one"), &server.env()), &*cache(&server.url("bucket/one-two"), &server.env()));
        if which.name == "localbucket" {
            suite::more_than_a_page(&*cache(&server.url("bucket/many"), &server.env()));
        }
        let gone = cache(&server.url("no-such-bucket"), &server.env());
        assert!(gone.list("", &mut |_| Ok(())).is_err());
        if which.checks_signatures {
            let error = cache(&server.url("bucket"), &servers::other_key()).size(&suite::name("x")).unwrap_err().to_string();
            assert!(error.contains("(status 403)") && !error.contains("X-Amz"), "{error}");
        }
    }
}

#[test]
fn connections_are_used_again() {
    let dir = Scratch::new();
    let server = Dav::start(dir.path());
    let cache = plain(&server.url("/c"));
    let names = suite::names(300);
    for name in &names {
        cache.write(name, &b"x".to_vec(), Existing::Replace).unwrap();
    }
    assert_eq!(server.connections(), 1, "300 writes one after another");
    assert_eq!(cache.present(&names).unwrap().len(), 300);
    assert!(server.connections() <= 17, "{} connections for 300 questions, 16 at a time", server.connections());
    let before = server.connections();
    for name in &names {
        let mut reader = ResumingReader::open(&*cache, name, Some(1)).unwrap().unwrap();
        std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
        assert!(cache.read(&suite::name("absent"), 0).unwrap().is_none());
    }
    assert!(server.connections() <= before + 1, "{} more connections for 600 reads", server.connections() - before);
}
