//! Fetching over TLS from a server whose certificate nobody vouches for, until somebody does.
//!
//! The certificate is made by `openssl`, which Debian's `ca-certificates` depends on: wherever TLS works, it is there.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;
use crate::build::config::Config;
use crate::net::Machine;

/// A self-signed certificate for loopback.
fn make_certificate(dir: &Path) {
    let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=kiln-test \
                     -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE";
    let output = Command::new("openssl").args(arguments.split_whitespace()).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Serves `reply` to everybody whose handshake succeeds; counts connections.
fn serve(dir: &Path, reply: String) -> (String, Arc<AtomicUsize>) {
    let cert = CertificateDer::from_pem_file(dir.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![cert], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/file", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            counter.fetch_add(1, Ordering::SeqCst);
            let mut session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = rustls::Stream::new(&mut session, &mut stream);
            let mut head = [0; 4096];
            if tls.read(&mut head).is_ok_and(|count| count > 0) {
                let _ = tls.write_all(reply.as_bytes());
                tls.conn.send_close_notify();
                let _ = tls.flush();
            }
        }
    });
    (url, count)
}

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

#[test]
fn an_encrypted_address_must_not_lead_to_an_unencrypted_one() {
    let dir = tempfile::tempdir().unwrap();
    make_certificate(dir.path());
    let reply = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/file\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (url, _) = serve(dir.path(), reply.to_owned());
    let error = fetch(dir.path(), &url, true).unwrap_err().to_string();
    assert!(error.contains("http://127.0.0.1:9/file, which is not encrypted"), "{error}");
}
