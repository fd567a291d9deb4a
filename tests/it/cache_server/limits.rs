//! Clients that are slow, loud or odd, and the end of a server.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Served, entry};

#[test]
fn a_connection_serves_one_request_after_the_other_in_order() {
    let served = Served::start(&[]);
    let entries: Vec<_> = (0..20).map(|i| entry(&format!("e{i}"), format!("{i}").repeat(i * 1000).as_bytes(), &[])).collect();
    entries.iter().for_each(|entry| entry.lay(&served.dir()));
    let mut client = served.client();
    // All at once: twenty descriptions, twenty NARs, one that is not there in between.
    let ask = |path: String| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let requests = entries.iter().map(|entry| ask(entry.narinfo()) + &ask("/none".to_owned()) + &ask(entry.nar()));
    client.send(requests.collect::<String>());
    for entry in &entries {
        assert_eq!(client.reply().text(), entry.info.to_string());
        assert_eq!(client.reply().status, 404);
        assert_eq!(client.reply().body, entry.packed);
    }
    let last = client.ask("GET", "/none", "Connection: close\r\n");
    assert_eq!(last.header("Connection"), Some("close"));
    assert!(client.is_over());
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let served = Served::start(&[]);
    let mut client = served.client();
    for byte in b"GET /nix-cache-info HTTP/1.1\r\nHost: a\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.reply().status, 200);
}

#[test]
fn heads_that_are_too_much_or_nonsense_are_refused() {
    let served = Served::start(&[]);
    let many: String = (0..100).map(|i| format!("X-{i}: y\r\n")).collect();
    for (bytes, status) in [
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(20_000)), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(20_000)), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 400),
        ("\u{16}\u{3}\u{1}\u{2}\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/7.0\r\n\r\n".to_owned(), 505),
    ] {
        let mut client = served.client();
        client.try_send(&bytes);
        let reply = client.reply();
        assert_eq!((reply.status, reply.header("Connection")), (status, Some("close")), "{}", bytes.escape_debug());
        assert!(client.is_over());
    }
    // An endless head, too.
    let mut client = served.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    (0..5000).for_each(|i| client.try_send(format!("X-{i}: {i}\r\n")));
    assert!(matches!(client.reply().status, 431));
}

#[test]
fn slow_clients_are_let_go() {
    let served = Served::prepared(&["--idle-timeout", "1", "--head-timeout", "1", "--stall-timeout", "1"], |dir| {
        std::fs::write(dir.join("cache/large"), vec![0; 64 << 20]).unwrap();
    });
    let mut idle = served.client();
    let mut head = served.client();
    head.send("GET / HTTP/1.1\r\n");
    let mut body = served.client();
    body.send("POST /kiln/missing HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n[");
    let mut reader = served.client();
    reader.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(idle.is_over());
    // A head that goes on coming, but does not end.
    let mut dribble = served.client();
    dribble.send("GET / HTTP/1.1\r\nX: ");
    for _ in 0..15 {
        std::thread::sleep(Duration::from_millis(100));
        dribble.try_send("x");
    }
    assert_eq!(head.reply().status, 408);
    assert_eq!(body.reply().status, 408);
    assert_eq!(dribble.reply().status, 408);
    // Its head has come; the rest is cut off, because it was not taken.
    assert_eq!(reader.reply_head().status, 200);
    crate::support::eventually("all but this connection to be over", || {
        let text = served.client().ask("GET", "/metrics", "").text();
        text.contains("kiln_cache_connections 1\n") && text.contains("kiln_cache_requests_in_flight 1\n")
    });
}

#[test]
fn connections_beyond_the_limit_are_told_to_come_again() {
    let served = Served::start(&["--max-connections", "3"]);
    let mut held: Vec<_> = (0..3).map(|_| served.client()).collect();
    for client in &mut held {
        assert_eq!(client.ask("GET", "/nix-cache-info", "").status, 200);
    }
    let reply = served.client().reply();
    assert_eq!((reply.status, reply.header("Retry-After")), (503, Some("1")));
    held.pop();
    crate::support::eventually("a place to be free", || {
        let mut client = served.client();
        client.try_send("GET /nix-cache-info HTTP/1.1\r\nHost: a\r\n\r\n");
        client.reply_head().status == 200
    });
}

#[test]
fn a_download_that_runs_is_finished_before_the_end() {
    let bytes: Vec<u8> = (0..32u32 << 20).map(|i| (i % 241) as u8).collect();
    let served = Served::prepared(&["--access-log", "-"], |dir| std::fs::write(dir.join("cache/large"), &bytes).unwrap());
    let mut idle = served.client();
    assert_eq!(idle.ask("GET", "/nix-cache-info", "").status, 200);
    let mut client = served.client();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.reply_head().status, 200);
    let mut body = client.bytes(1 << 20);
    served.signal(Signal::SIGTERM);
    assert!(idle.is_over(), "who waits is sent away");
    std::thread::sleep(Duration::from_millis(300));
    body.extend(client.bytes(31 << 20));
    assert!(body == bytes && client.is_over());
    let (code, log) = served.wait();
    assert_eq!(code, Some(0));
    assert!(log.contains("\"path\":\"/large\",\"status\":200,\"bytes\":33554432"), "{log}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let served = Served::prepared(&[], |dir| std::fs::write(dir.join("cache/large"), vec![0; 64 << 20]).unwrap());
    let mut client = served.client();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.reply_head().status, 200);
    served.signal(Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(300));
    served.signal(Signal::SIGINT);
    assert_eq!(served.wait().0, Some(130));
}

#[test]
fn requests_are_written_down_and_counted() {
    let mut header = String::new();
    let served = Served::prepared(&["--access-log", "{}/log", "--tokens", "{}/tokens", "--public"], |dir| {
        header = super::served::token(dir, "ci", "push")
    });
    let one = entry("one", b"x", &[]);
    let mut client = served.client();
    assert_eq!(client.put(&one.nar(), &header, &one.packed).status, 201);
    assert_eq!(client.put(&one.narinfo(), &header, one.info.to_string().as_bytes()).status, 201);
    assert_eq!(client.ask("GET", "/none?\"quoted\"", "").status, 404);
    let text = client.ask("GET", "/metrics", "").text();
    for line in [
        "kiln_cache_requests_total{method=\"PUT\",status=\"201\"} 2",
        "kiln_cache_requests_total{method=\"GET\",status=\"404\"} 1",
        "kiln_cache_uploads_total{outcome=\"stored\"} 2",
        "kiln_cache_objects 1",
        &format!("kiln_cache_packed_bytes {}", one.packed.len()),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let log = served.beside("log");
    crate::support::eventually("the log to be written", || std::fs::read_to_string(&log).unwrap().lines().count() == 4);
    let lines: Vec<serde_json::Value> =
        std::fs::read_to_string(&log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["method"], &lines[0]["token"], &lines[0]["status"]), (&"PUT".into(), &"ci".into(), &201.into()));
    assert_eq!((&lines[2]["path"], &lines[2]["bytes"], lines[2].get("token")), (&"/none".into(), &10.into(), None));
    assert!(lines[2]["time"].as_str().unwrap().ends_with('Z') && lines[2]["ms"].is_number() && lines[2]["client"] == "127.0.0.1");
    assert!(!std::fs::read_to_string(&log).unwrap().contains("kiln_"), "no token is written down");
    assert_eq!(served.stop().0, Some(0));
}
