//! HTTP/2 and TLS, by curl.

use std::path::Path;
use std::process::Command;

use super::served::{kiln_command, token};
use super::{Served, entry};
use crate::support::{Outcome, Running, skip};

fn runs(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        skip(&format!("`{program}` is not installed"));
    }
    there
}

fn curl(args: &[&str]) -> Outcome {
    let mut command = Command::new("curl");
    command.args(["-sS", "--noproxy", "*", "--max-time", "60"]).args(args);
    Running::start(command).wait()
}

/// A certificate for 127.0.0.1, and its key.
fn certify(dir: &Path) {
    let mut command = Command::new("openssl");
    let args = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=kiln-test \
                -addext subjectAltName=IP:127.0.0.1";
    command.current_dir(dir).args(args.split_whitespace());
    Running::start(command).wait().success();
}

#[test]
fn http2_is_spoken_in_clear_text_beside_http1() {
    if !runs("curl") {
        return;
    }
    let mut header = String::new();
    let served = Served::prepared(&["--tokens", "{}/tokens", "--public", "--access-log", "-"], |dir| header = token(dir, "ci", "push"));
    let one = entry("one", &[5; 3_000_000], &[]);
    let packed = served.beside("packed");
    std::fs::write(&packed, &one.packed).unwrap();
    let header = header.trim_end();
    let h2 = |args: &[&str]| curl(&[&["--http2-prior-knowledge", "-w", "%{http_version} %{http_code}"], args].concat()).success().out;
    assert_eq!(h2(&["-T", packed.to_str().unwrap(), "-H", header, &served.url(&one.nar())]), "2 201");
    assert_eq!(h2(&["-T", packed.to_str().unwrap(), &served.url(&one.nar())]), "token: a token is needed\n2 401".replace("token: ", ""));
    let out = served.beside("out");
    assert_eq!(h2(&["-o", out.to_str().unwrap(), &served.url(&one.nar())]), "2 200");
    assert_eq!(std::fs::read(&out).unwrap(), one.packed);
    std::fs::write(served.dir().join("large"), vec![7; 5_000_000]).unwrap();
    assert_eq!(h2(&["-o", out.to_str().unwrap(), "-r", "10-4999998", &served.url("/large")]), "2 206");
    assert_eq!(std::fs::metadata(&out).unwrap().len(), 4_999_989);
    assert_eq!(h2(&["-I", "-o", "/dev/null", &served.url("/large")]), "2 200");
    assert!(h2(&[&served.url("/kiln/list")]).contains("\"name\":\"large\",\"size\":5000000"));
    assert_eq!(served.client().ask("GET", &one.nar(), "").status, 200);
    let (code, log) = served.stop();
    assert_eq!(code, Some(0));
    assert!(log.contains("\"path\":\"/large\",\"status\":206,\"bytes\":4999989"), "{log}");
}

#[test]
fn tls_carries_both_versions() {
    if !runs("curl") || !runs("openssl") {
        return;
    }
    let served = Served::prepared(&["--tls-cert", "{}/cert.pem", "--tls-key", "{}/key.pem"], certify);
    let one = entry("one", &[5; 200_000], &[]);
    one.lay(&served.dir());
    let (authority, out) = (served.beside("cert.pem"), served.beside("out"));
    let url = format!("https://{}{}", served.address, one.nar());
    for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let args = [flag, "--cacert", authority.to_str().unwrap(), "-o", out.to_str().unwrap(), "-w", "%{http_version}", &url];
        assert_eq!(curl(&args).success().out, version);
        assert_eq!(std::fs::read(&out).unwrap(), one.packed);
    }
    // Clear text is no TLS.
    let mut client = served.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(served.stop().0, Some(0));
}

#[test]
fn a_certificate_that_is_none_is_named() {
    let scratch = crate::support::Scratch::new();
    let (cert, dir) = (scratch.path().join("cert.pem"), scratch.path().join("cache"));
    std::fs::write(&cert, "nothing").unwrap();
    let file = cert.to_str().unwrap();
    kiln_command(["cache", "serve", dir.to_str().unwrap(), "--listen", "127.0.0.1:0", "--tls-cert", file, "--tls-key", file])
        .code(2)
        .stderr_has("cannot use")
        .stderr_has("for TLS");
}

#[test]
fn a_download_over_http2_is_finished_before_the_end() {
    if !runs("curl") {
        return;
    }
    let served = Served::prepared(&[], |dir| std::fs::write(dir.join("cache/large"), vec![9; 30 << 20]).unwrap());
    let mut command = Command::new("curl");
    command.args([
        "-sS",
        "--http2-prior-knowledge",
        "--limit-rate",
        "20M",
        "-o",
        "/dev/null",
        "-w",
        "%{size_download}",
        &served.url("/large"),
    ]);
    let running = Running::start(command);
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(served.stop().0, Some(0));
    assert_eq!(running.wait().success().out, (30 << 20).to_string());
}
