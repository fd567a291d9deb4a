//! What is read: entries, parts of them, conditions, lists; and what is never read.

use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use super::served::{kiln_command, token};
use super::{Served, entry};
use crate::support::eventually;

#[test]
fn entries_come_typed_and_with_what_caches_need() {
    let served = Served::start(&[]);
    let one = entry("one", &[7; 100_000], &[]);
    one.lay(&served.dir());
    let mut client = served.client();
    let reply = client.ask("GET", &one.narinfo(), "");
    assert_eq!((reply.status, reply.text()), (200, one.info.to_string()));
    assert_eq!(reply.header("Content-Type"), Some("text/x-nix-narinfo"));
    assert!(reply.header("Date").unwrap().ends_with("GMT") && reply.header("Last-Modified").unwrap().ends_with("GMT"));
    let reply = client.ask("GET", &one.nar(), "");
    assert_eq!((reply.status, &reply.body), (200, &one.packed));
    assert_eq!(reply.header("Content-Type"), Some("application/x-nix-nar"));
    assert!(reply.header("Cache-Control").unwrap().contains("immutable"));
    assert_eq!(reply.header("ETag").unwrap(), format!("\"{}\"", one.info.file_hash.unwrap().base32()));
    let reply = client.ask("HEAD", &one.nar(), "");
    assert_eq!(reply.header("Content-Length").unwrap(), one.packed.len().to_string());
    let missing = client.ask("GET", "/00000000000000000000000000000000.narinfo", "");
    assert_eq!((missing.status, missing.text().as_str()), (404, "not found\n"));
}

#[test]
fn a_cache_says_what_it_is_even_if_nobody_wrote_it_down() {
    let served = Served::start(&[]);
    let text = served.client().ask("GET", "/nix-cache-info", "").text();
    assert_eq!(text, "StoreDir: /kiln/store\nWantMassQuery: 1\nPriority: 50\nKiln: 1\n");
    std::fs::write(served.dir().join("nix-cache-info"), "StoreDir: /kiln/store\nPriority: 10\n").unwrap();
    assert_eq!(served.client().ask("GET", "/nix-cache-info", "").text(), "StoreDir: /kiln/store\nPriority: 10\nKiln: 1\n");
}

#[test]
fn parts_of_large_and_small_entries_are_given() {
    let served = Served::start(&[]);
    let bytes: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
    std::fs::write(served.dir().join("large"), &bytes).unwrap();
    let mut client = served.client();
    for (range, from, to) in
        [("0-0", 0, 1), ("5-9", 5, 10), ("1000-", 1000, 200_000), ("-7", 199_993, 200_000), ("100-999999", 100, 200_000)]
    {
        let reply = client.ask("GET", "/large", &format!("Range: bytes={range}\r\n"));
        assert_eq!((reply.status, &reply.body[..]), (206, &bytes[from..to]), "{range}");
        assert_eq!(reply.header("Content-Range").unwrap(), format!("bytes {from}-{}/200000", to - 1));
    }
    let beyond = client.ask("GET", "/large", "Range: bytes=200000-\r\n");
    assert_eq!((beyond.status, beyond.header("Content-Range")), (416, Some("bytes */200000")));
    assert_eq!(client.ask("GET", "/large", "Range: bytes=0-1,4-5\r\n").body.len(), 200_000);
    let tag = client.ask("HEAD", "/large", "").header("ETag").unwrap().to_owned();
    assert_eq!(client.ask("GET", "/large", &format!("Range: bytes=0-1\r\nIf-Range: {tag}\r\n")).status, 206);
    assert_eq!(client.ask("GET", "/large", "Range: bytes=0-1\r\nIf-Range: \"other\"\r\n").status, 200);
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let served = Served::start(&[]);
    let one = entry("one", b"x", &[]);
    one.lay(&served.dir());
    let mut client = served.client();
    let first = client.ask("GET", &one.narinfo(), "");
    let (tag, date) = (first.header("ETag").unwrap(), first.header("Last-Modified").unwrap());
    for condition in [format!("If-None-Match: {tag}"), "If-None-Match: *".to_owned(), format!("If-Modified-Since: {date}")] {
        let reply = client.ask("GET", &one.narinfo(), &format!("{condition}\r\n"));
        assert_eq!((reply.status, reply.body.len(), reply.header("ETag")), (304, 0, Some(tag)), "{condition}");
    }
    assert_eq!(client.ask("GET", &one.narinfo(), &format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}\r\n")).status, 200);
    // Another version under the same name.
    std::fs::write(served.dir().join(&one.narinfo()[1..]), "changed\n").unwrap();
    assert_eq!(client.ask("GET", &one.narinfo(), &format!("If-None-Match: {tag}\r\n")).status, 200);
}

#[test]
fn nothing_outside_of_the_directory_is_read() {
    let served = Served::prepared(&[], |dir| {
        std::fs::write(dir.join("secret"), "secret").unwrap();
        std::fs::create_dir_all(dir.join("cache/inside")).unwrap();
        std::fs::write(dir.join("cache/inside/file"), "open").unwrap();
        std::fs::write(dir.join("cache/.kiln-partial"), "secret").unwrap();
        symlink("../secret", dir.join("cache/out")).unwrap();
        symlink("/etc/passwd", dir.join("cache/absolute")).unwrap();
        symlink("..", dir.join("cache/up")).unwrap();
        symlink("inside", dir.join("cache/within")).unwrap();
        nix::unistd::mkfifo(&dir.join("cache/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    });
    let mut client = served.client();
    let tricks = [
        "/../secret",
        "/inside/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/out",
        "/absolute",
        "/up/secret",
        "/.kiln-partial",
        "//etc/passwd",
        "/inside",
        "/inside/",
        "/pipe",
        "/inside/file/x",
        "/proc/self/environ",
        "/%00",
        "/%c0%ae%c0%ae/secret",
        "/inside//file",
    ];
    for path in tricks {
        let reply = client.ask("GET", path, "");
        assert_eq!((reply.status, reply.text().as_str()), (404, "not found\n"), "{path}");
    }
    assert_eq!(client.ask("GET", "/within/file", "").text(), "open");
}

#[test]
fn many_entries_are_asked_for_at_once() {
    let served = Served::start(&[]);
    let (here, gone) = (entry("here", b"x", &[]), entry("gone", b"y", &[]));
    here.lay(&served.dir());
    let mut client = served.client();
    let mut ask = |body: &str| {
        client.send(format!("POST /kiln/missing HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        client.reply()
    };
    let names = serde_json::json!([&here.narinfo()[1..], &gone.narinfo()[1..], here.info.url, "kiln/pins/none"]);
    assert_eq!(ask(&names.to_string()).json(), serde_json::json!([&gone.narinfo()[1..], "kiln/pins/none"]));
    for bad in ["{}", "[1]", "[\"../x\"]", "", "[\"a\""] {
        assert_eq!(ask(bad).status, 400, "{bad}");
    }
}

#[test]
fn what_is_here_is_listed_by_prefix() {
    let served = Served::start(&[]);
    let one = entry("one", b"x", &[]);
    one.lay(&served.dir());
    std::fs::write(served.dir().join("nar/.kiln-half"), "").unwrap();
    let mut client = served.client();
    let mut list = |prefix: &str| {
        let reply = client.ask("GET", &format!("/kiln/list?prefix={prefix}"), "");
        let lines = reply.text().lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect::<Vec<_>>();
        lines.into_iter().map(|line| (line["name"].as_str().unwrap().to_owned(), line["size"].as_u64().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(list("nar/"), [(one.info.url.clone(), one.packed.len() as u64)]);
    assert_eq!(list("nar%2F"), list("nar/"));
    assert_eq!(list("").len(), 2);
    for nothing in ["kiln/", "../", "/", "nar/../", "/etc/", "."] {
        assert_eq!(list(nothing), [], "{nothing}");
    }
}

/// The collector removes first what nobody has read for the longest, so reading must show, whatever the file system does by itself.
#[test]
fn reading_is_noted_once_a_day() {
    let served = Served::start(&[]);
    let one = entry("one", &[1; 200_000], &[]);
    one.lay(&served.dir());
    let path = served.dir().join(&one.info.url);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let (long_ago, modified) = (SystemTime::now() - Duration::from_secs(10 * 86_400), SystemTime::now() - Duration::from_secs(20 * 86_400));
    file.set_times(std::fs::FileTimes::new().set_accessed(long_ago).set_modified(modified)).unwrap();
    assert_eq!(served.client().ask("HEAD", &one.nar(), "").status, 200);
    let metadata = std::fs::metadata(&path).unwrap();
    assert!(metadata.accessed().unwrap() > SystemTime::now() - Duration::from_secs(60));
    assert_eq!(metadata.modified().unwrap(), modified);
}

#[test]
fn methods_that_fit_nowhere_are_refused_with_those_that_do() {
    let served = Served::start(&[]);
    let mut client = served.client();
    let reply = client.ask("POST", "/nix-cache-info", "Content-Length: 0\r\n");
    assert_eq!((reply.status, reply.header("Allow")), (405, Some("GET, HEAD, PUT, DELETE")));
    assert_eq!(client.ask("GET", "/kiln/missing", "").status, 405);
    assert_eq!(client.ask("DELETE", "/metrics", "").status, 405);
    assert_eq!(client.ask("BREW", "/x", "").status, 405);
}

#[test]
fn without_a_token_nothing_is_read_where_tokens_are_wanted() {
    let mut headers = (String::new(), String::new());
    let served = Served::prepared(&["--tokens", "{}/tokens"], |dir| {
        entry("one", b"x", &[]).lay(&dir.join("cache"));
        headers = (token(dir, "reader", "read"), token(dir, "pusher", "push"));
    });
    let one = entry("one", b"x", &[]);
    let mut client = served.client();
    for path in [one.narinfo(), one.nar(), "/".to_owned(), "/metrics".to_owned(), "/kiln/list".to_owned(), "/kiln/view/summary".to_owned()]
    {
        let reply = client.ask("GET", &path, "");
        assert_eq!(reply.status, 401, "{path}");
        assert!(reply.header("WWW-Authenticate").unwrap().starts_with("Basic "), "{path}");
    }
    assert_eq!(client.ask("GET", &one.narinfo(), &headers.0).status, 200);
    assert_eq!(client.ask("GET", &one.narinfo(), &headers.1).status, 200);
    assert_eq!(client.ask("GET", &one.narinfo(), "Authorization: Bearer kiln_wrong\r\n").status, 401);
    // A line that is gone is a token that is gone.
    std::fs::write(served.beside("tokens"), "").unwrap();
    eventually("the token to be revoked", || client.ask("GET", &one.narinfo(), &headers.0).status == 401);
}

#[test]
fn a_server_does_not_start_that_would_give_away_its_secrets() {
    let scratch = crate::support::Scratch::new();
    let (dir, tokens) = (scratch.path().to_str().unwrap().to_owned(), scratch.path().join("tokens"));
    token(scratch.path(), "ci", "push");
    let outcome = kiln_command(["cache", "serve", &dir, "--listen", "127.0.0.1:0", "--tokens", tokens.to_str().unwrap()]);
    outcome.code(2).stderr_has("lies in the directory that is served").hint("move the file");
    let twice = kiln_command(["cache", "token", "ci", "--scope", "read", "--tokens", tokens.to_str().unwrap()]);
    twice.code(2).stderr_has("there is a token `ci`").hint("remove its line");
}
