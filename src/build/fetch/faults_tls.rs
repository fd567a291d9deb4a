//! Fetching over TLS from a server whose certificate nobody vouches for, until somebody does.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::*;
use crate::build::config::Config;
use crate::net::Machine;
use crate::net::testing_tls::{make_certificate, serve};

fn fetch(dir: &Path, url: &str, ca_bundle: bool) -> Result<Fetched, FetchError> {
    let options = FetchOptions {
        attempts: 3,
        first_pause: Duration::from_millis(5),
        ca_bundle: ca_bundle.then(|| dir.join("cert.pem")),
        ..FetchOptions::default()
    };
    let fetcher = Fetcher::new(Mirrors::of(Machine::at(dir, &[]), &Config::default()), options);
    let source = FetchSource::Urls(vec![url.to_owned()]);
    let request = FetchRequest { source: &source, name: "thing", sha256: Sha256::of(b"x"), size: None };
    let into = dir.join("file");
    let _ = std::fs::remove_file(&into);
    fetcher.fetch(&request, &into, &|_| ControlFlow::Continue(()))
}

#[test]
fn an_unknown_certificate_is_refused_at_once_and_taken_once_it_is_vouched_for() {
    let dir = tempfile::tempdir().unwrap();
    make_certificate(dir.path());
    let (url, count) = serve(dir.path(), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx".to_owned());
    let error = fetch(dir.path(), &url, false).unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 1, "a bad certificate will not get better");
    fetch(dir.path(), &url, true).unwrap();
}

/// A machine whose user and whose project may each name the certificate's authority.
fn fetch_as(dir: &Path, url: &str, project: bool, user: bool) -> Result<Fetched, FetchError> {
    let (home, top) = (dir.join("home/.config/kiln"), dir.join("project"));
    std::fs::create_dir_all(&home).unwrap();
    std::fs::create_dir_all(&top).unwrap();
    let text = |bundle: String| format!("[fetch]\nattempts = 1\nca_bundle = '{bundle}'\n");
    let named = |yes: bool| if yes { text(dir.join("cert.pem").display().to_string()) } else { String::new() };
    std::fs::write(home.join("kiln.toml"), named(user)).unwrap();
    std::fs::write(top.join("kiln.toml"), named(project)).unwrap();
    let machine = Machine::at(dir, &[("HOME", "/home")]);
    let config = Config::load(Some(&top), &machine).unwrap();
    let fetcher =
        Fetcher::new(Mirrors::of(machine, &config), FetchOptions { first_pause: Duration::from_millis(5), ..config.fetch_options() });
    let source = FetchSource::Urls(vec![url.to_owned()]);
    let request = FetchRequest { source: &source, name: "thing", sha256: Sha256::of(b"x"), size: None };
    let into = dir.join("file");
    let _ = std::fs::remove_file(&into);
    fetcher.fetch(&request, &into, &|_| ControlFlow::Continue(()))
}

#[test]
fn authorities_that_a_project_names_see_no_credentials() {
    let dir = tempfile::tempdir().unwrap();
    make_certificate(dir.path());
    let (url, _) = serve(dir.path(), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx".to_owned());
    let with_password = url.replace("://", "://me:secret@");
    fetch_as(dir.path(), &url, true, false).unwrap();
    let error = fetch_as(dir.path(), &with_password, true, false).unwrap_err().to_string();
    assert!(error.contains("certificate") && !error.contains("secret"), "{error}");
    fetch_as(dir.path(), &with_password, true, true).unwrap();
    fetch_as(dir.path(), &with_password, false, true).unwrap();
}

#[test]
fn an_encrypted_address_must_not_lead_to_an_unencrypted_one() {
    let dir = tempfile::tempdir().unwrap();
    make_certificate(dir.path());
    let reply = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/file\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (url, _) = serve(dir.path(), reply.to_owned());
    let error = fetch(dir.path(), &url, true).unwrap_err().to_string();
    assert!(error.contains("http://127.0.0.1:9/file, which is not encrypted"), "{error}");
}
