//! Fetching from a server on loopback that fails in every way a server can.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::trial::{attempt, content, get, quick, serve_ranges, url};
use super::*;
use crate::build::config::Config;
use crate::net::testing::{Reply, Server, Then};
use crate::net::{Address, Machine};

#[test]
fn a_file_is_fetched_and_its_progress_told() {
    let body = content(3_000_000);
    let served = body.clone();
    let server = Server::start(move |_, _| Reply::ok(&served));
    let trial = get(&server, &body);
    trial.gave(&body);
    assert_eq!(trial.result.as_ref().unwrap().url, server.url("/file"));
    assert!(trial.progress.iter().any(|step| matches!(step, Progress::Received { total: Some(3_000_000), .. })));
}

#[test]
fn other_bytes_are_refused_with_both_hashes() {
    let server = Server::start(|_, _| Reply::ok(b"evil"));
    let trial = get(&server, b"good");
    let message = trial.failed();
    assert!(
        message.contains(&Sha256::of(b"good").hex()) && message.contains(&Sha256::of(b"evil").hex()) && message.contains("/file"),
        "{message}"
    );
    assert_eq!(server.requests().len(), 1, "a whole file with other bytes is not asked for again");
}

#[test]
fn a_truncated_transfer_goes_on_where_it_broke() {
    let body = content(500_000);
    let served = body.clone();
    let server = Server::start(move |request, n| {
        let reply = serve_ranges(request, &served);
        if n < 2 { reply.without_last(100_000) } else { reply }
    });
    get(&server, &body).gave(&body);
    let requests = server.requests();
    assert_eq!(requests[1].start(), Some(400_000));
    assert_eq!(requests[1].header("if-range"), Some("\"v1\""));
}

#[test]
fn a_reset_connection_is_tried_again() {
    let body = content(100_000);
    let served = body.clone();
    let server = Server::start(move |request, n| match n {
        0 => Reply { bytes: Vec::new(), then: Then::Reset },
        1 => serve_ranges(request, &served).without_last(50_000).then(Then::Reset),
        _ => serve_ranges(request, &served),
    });
    let trial = get(&server, &body);
    trial.gave(&body);
    assert_eq!(trial.progress.iter().filter(|step| matches!(step, Progress::Retrying { .. })).count(), 2);
}

#[test]
fn a_server_without_ranges_sends_everything_again() {
    let body = content(100_000);
    let served = body.clone();
    let server = Server::start(move |_, n| if n == 0 { Reply::ok(&served).without_last(1) } else { Reply::ok(&served) });
    get(&server, &body).gave(&body);
}

#[test]
fn a_wrong_piece_costs_a_transfer_from_the_start() {
    let body = content(100_000);
    let served = body.clone();
    let server = Server::start(move |request, n| match n {
        0 => serve_ranges(request, &served).without_last(50_000),
        1 => serve_ranges(request, &vec![7; 100_000]),
        _ => serve_ranges(request, &served),
    });
    get(&server, &body).gave(&body);
    assert_eq!(server.requests()[2].start(), None);
}

#[test]
fn a_piece_from_elsewhere_in_the_file_is_not_taken() {
    let body = content(100_000);
    let served = body.clone();
    let server = Server::start(move |request, n| match (n, request.start()) {
        (0, _) => Reply::ok(&served).without_last(50_000),
        (_, Some(_)) => Reply::new("206 Partial Content", &[("Content-Range", "bytes 10-99999/100000")], &served[10..]),
        _ => Reply::ok(&served),
    });
    get(&server, &body).gave(&body);
    assert_eq!(server.requests()[2].start(), None, "asked for all of it then");
}

#[test]
fn a_part_that_is_sent_with_status_200_is_taken_for_what_it_is() {
    let body = content(100_000);
    let served = body.clone();
    let server = Server::start(move |request, n| match (n, request.start()) {
        (0, _) => Reply::ok(&served).without_last(50_000),
        (_, Some(start)) => {
            let range = format!("bytes {start}-99999/100000");
            Reply::new("200 OK", &[("Content-Range", &range)], &served[start..])
        }
        _ => Reply::ok(&served),
    });
    get(&server, &body).gave(&body);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_part_that_nobody_asked_for_is_refused_whatever_its_status() {
    let body = content(1_000);
    let served = body.clone();
    let server = Server::start(move |_, _| Reply::new("200 OK", &[("Content-Range", "bytes 500-999/1000")], &served[500..]));
    let message = get(&server, &body).failed();
    assert!(message.contains("it sends a part that nobody asked for"), "{message}");
}

#[test]
fn a_range_that_cannot_be_served_starts_over() {
    let body = content(100_000);
    let served = body.clone();
    let server = Server::start(move |request, n| match (n, request.start()) {
        (0, _) => Reply::ok(&served).without_last(50_000),
        (_, Some(_)) => Reply::status("416 Range Not Satisfiable"),
        _ => Reply::ok(&served),
    });
    get(&server, &body).gave(&body);
}

#[test]
fn an_end_that_nobody_announced_is_tried_again() {
    let body = content(100_000);
    let served = body.clone();
    let server = Server::start(move |_, n| Reply::raw("200 OK", &[], if n == 0 { &served[..60_000] } else { &served }));
    get(&server, &body).gave(&body);
}

#[test]
fn chunks_are_put_together_and_a_missing_one_is_noticed() {
    let body = content(10_000);
    let served = body.clone();
    let server = Server::start(move |_, n| {
        let mut chunked = Vec::new();
        for chunk in served.chunks(3_000) {
            chunked.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            chunked.extend(chunk);
            chunked.extend(b"\r\n");
        }
        if n > 0 {
            chunked.extend(b"0\r\n\r\n");
        }
        Reply::raw("200 OK", &[("Transfer-Encoding", "chunked")], &chunked)
    });
    get(&server, &body).gave(&body);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_stalling_server_is_given_up_and_tried_again() {
    let body = content(100_000);
    let served = body.clone();
    let server = Server::start(move |request, n| match n {
        0 => serve_ranges(request, &served).without_last(1_000).then(Then::Stall(Duration::from_secs(20))),
        1 => Reply { bytes: Vec::new(), then: Then::Stall(Duration::from_secs(20)) },
        _ => serve_ranges(request, &served),
    });
    let trial = get(&server, &body);
    trial.gave(&body);
    assert!(trial.took < Duration::from_secs(5), "{:?}", trial.took);
}

#[test]
fn a_server_that_never_answers_is_given_up_for_good() {
    let server = Server::start(|_, _| Reply { bytes: Vec::new(), then: Then::Stall(Duration::from_secs(20)) });
    let trial = get(&server, b"x");
    assert!(trial.failed().contains("it does not answer (tried 3 times)"), "{}", trial.failed());
    assert!(trial.took < Duration::from_secs(5));
}

#[test]
fn a_server_that_sends_next_to_nothing_is_given_up() {
    let server = Server::start(|_, _| Reply::raw("200 OK", &[], b"").then(Then::Drip));
    let trial = get(&server, b"x");
    assert!(trial.failed().contains("next to nothing (tried 3 times)"), "{}", trial.failed());
    assert!(trial.took < Duration::from_secs(5));
}

#[test]
fn a_server_that_breaks_in_ever_new_places_ends_the_patience_too() {
    let body = content(3_000_000);
    let served = body.clone();
    // Every other try starts over and breaks at once, the next brings two megabytes and breaks.
    let server = Server::start(move |_, n| Reply::ok(&served).without_last(if n % 2 == 0 { 1_000_000 } else { 3_000_000 }));
    let message = get(&server, &body).failed();
    assert!(message.contains("it ended before the file did (tried 3 times)"), "{message}");
    assert!(server.requests().len() < 10);
}

#[test]
fn a_long_file_over_a_bad_line_comes_through_in_pieces() {
    let body = content(8_000_000);
    let served = body.clone();
    let server = Server::start(move |request, _| {
        let reply = serve_ranges(request, &served);
        let left = served.len() - request.start().unwrap_or(0);
        reply.without_last(left.saturating_sub(1_200_000))
    });
    get(&server, &body).gave(&body);
    assert_eq!(server.requests().len(), 7);
}

#[test]
fn nothing_listening_is_said_plainly() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let source = FetchSource::Urls(vec![format!("http://{free}/file")]);
    let message = attempt((&[], &[]), &source, b"x", quick()).failed();
    assert!(message.contains("nothing listens there (tried 3 times)"), "{message}");
}

#[test]
fn overload_is_waited_out_as_long_as_the_server_asks() {
    let server = Server::start(|_, n| match n {
        0 => Reply::new("429 Too Many Requests", &[("Retry-After", "1")], b""),
        1 => Reply::status("503 Service Unavailable"),
        _ => Reply::ok(b"x"),
    });
    let trial = get(&server, b"x");
    trial.gave(b"x");
    assert!(trial.took >= Duration::from_secs(1));
    assert!(trial.progress.contains(&Progress::Waiting));
}

#[test]
fn no_server_can_make_kiln_wait_for_ever() {
    let server = Server::start(|_, n| if n == 0 { Reply::new("503 x", &[("Retry-After", "86400")], b"") } else { Reply::ok(b"x") });
    let trial = get(&server, b"x");
    trial.gave(b"x");
    assert!(trial.took < Duration::from_secs(5));
}

#[test]
fn trouble_that_lasts_ends_with_its_reason() {
    let server = Server::start(|_, _| Reply::status("502 Bad Gateway"));
    let message = get(&server, b"x").failed();
    assert!(message.contains("it is in trouble (status 502) (tried 3 times)"), "{message}");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn answers_that_will_not_change_are_not_asked_for_again() {
    for (status, reason) in [
        ("404 Not Found", "does not have the file"),
        ("403 Forbidden", "forbids access"),
        ("401 x", "credentials"),
        ("418 x", "status 418"),
    ] {
        let server = Server::start(move |_, _| Reply::status(status));
        let message = get(&server, b"x").failed();
        assert!(message.contains(reason), "{message}");
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[test]
fn redirects_are_followed_but_not_for_ever() {
    let server = Server::start(|request, _| match request.target.as_str() {
        "/file" => Reply::new("302 Found", &[("Location", "a/b")], b""),
        "/a/b" => Reply::new("308 Permanent Redirect", &[("Location", "/c?d=1")], b""),
        "/c?d=1" => Reply::ok(b"x"),
        _ => Reply::status("404 Not Found"),
    });
    get(&server, b"x").gave(b"x");
    let endless = Server::start(|_, _| Reply::new("302 Found", &[("Location", "/file")], b""));
    let message = get(&endless, b"x").failed();
    assert!(message.contains("redirects more than 10 times"), "{message}");
    assert_eq!(endless.requests().len(), 11);
}

#[test]
fn redirects_to_files_or_nowhere_are_refused() {
    for target in ["file:///etc/passwd", "gopher://x/", ""] {
        let server = Server::start(move |_, _| {
            let location = [("Location", target)];
            Reply::new("302 Found", if target.is_empty() { &[] } else { &location }, b"")
        });
        let message = get(&server, b"x").failed();
        assert!(message.contains("it redirects"), "{message}");
    }
}

#[test]
fn credentials_go_to_their_own_server_only() {
    let other = Server::start(|_, _| Reply::ok(b"x"));
    let target = other.url("/file");
    let first = Server::start(move |_, _| Reply::new("302 Found", &[("Location", &target)], b""));
    let source = FetchSource::Urls(vec![first.url("/file").replace("://", "://me:secret@")]);
    attempt((&[], &[]), &source, b"x", quick()).gave(b"x");
    assert_eq!(first.requests()[0].header("authorization"), Some("Basic bWU6c2VjcmV0"));
    assert_eq!(other.requests()[0].header("authorization"), None);
    let failing = FetchSource::Urls(vec![first.url("/file").replace("://", "://me:secret@")]);
    let trial = attempt((&[], &[]), &failing, b"y", quick());
    assert!(!format!("{} {:?} {:?}", trial.failed(), trial.result, trial.progress).contains("secret"));
}

#[test]
fn a_file_that_is_too_long_is_cut_off() {
    let announced = Server::start(|_, _| Reply::ok(&[0; 2_000]));
    let options = FetchOptions { largest_file: 1_000, ..quick() };
    let message = attempt((&[], &[]), &url(&announced), b"x", options.clone()).failed();
    assert!(message.contains("2000 bytes or more, but the file may have 1000"), "{message}");
    let endless = Server::start(|_, _| Reply::raw("200 OK", &[], &vec![0; 1 << 20]));
    let message = attempt((&[], &[]), &url(&endless), b"x", options).failed();
    assert!(message.contains("may have 1000 at most"), "{message}");
}

#[test]
fn an_encoding_that_nobody_asked_for_is_not_decoded() {
    let server = Server::start(|request, _| {
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        Reply::new("200 OK", &[("Content-Encoding", "gzip")], b"\x1f\x8braw")
    });
    get(&server, b"\x1f\x8braw").gave(b"\x1f\x8braw");
}

#[test]
fn rubbish_instead_of_http_is_an_error() {
    for bytes in ["rubbish\r\n\r\n", "HTTP/1.1 banana\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"] {
        let server = Server::start(move |_, _| Reply { bytes: bytes.into(), then: Then::Close });
        get(&server, b"x").failed();
    }
    let endless = Server::start(|_, _| {
        let head = (0..20_000).flat_map(|n| format!("X-{n}: {n}\r\n").into_bytes());
        Reply { bytes: b"HTTP/1.1 200 OK\r\n".iter().copied().chain(head).collect(), then: Then::Close }
    });
    get(&endless, b"x").failed();
}

#[test]
fn a_fetch_can_be_stopped_while_it_waits_and_while_it_runs() {
    let body = content(5_000_000);
    let server = Server::start(move |_, n| if n == 0 { Reply::new("503 x", &[("Retry-After", "60")], b"") } else { Reply::ok(&body) });
    let dir = tempfile::tempdir().unwrap();
    let mirrors = Mirrors::of(Machine::at(dir.path(), &[]), &Config::default());
    let fetcher = Fetcher::new(mirrors, FetchOptions { longest_pause: Duration::from_secs(60), ..quick() });
    let into = dir.path().join("file");
    for stop_at in [|step: &Progress| *step == Progress::Waiting, |step: &Progress| matches!(step, Progress::Received { .. })] {
        let request = FetchRequest { source: &url(&server), name: "thing", sha256: Sha256::of(b"x"), size: None };
        let started = Instant::now();
        let result =
            fetcher.fetch(&request, &into, &|step| if stop_at(&step) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        assert!(matches!(result, Err(FetchError::Stopped { .. })), "{result:?}");
        assert!(!into.exists() && started.elapsed() < Duration::from_secs(2));
    }
}

#[test]
fn a_full_disk_is_said_at_once_and_not_blamed_on_the_server() {
    let server = Server::start(|_, _| Reply::ok(&[0; 1_000]));
    let dir = tempfile::tempdir().unwrap();
    let fetcher = Fetcher::new(Mirrors::of(Machine::at(dir.path(), &[]), &Config::default()), quick());
    let mut full = std::fs::OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
    let job = transfer::Job {
        name: "thing",
        wanted: Sha256::of(b"x"),
        size: None,
        into: &PathBuf::from("/dev/full"),
        client: fetcher.client(),
        options: &quick(),
        progress: &|_| ControlFlow::Continue(()),
    };
    let address = Address::parse(&server.url("/file")).unwrap();
    let Err(transfer::Failed::Fatal(FetchError::Io(error))) = job.download(&address, &mut full) else { panic!("no I/O error") };
    assert!(error.is_disk_full() && error.to_string().contains("/dev/full"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_file_that_is_there_already_is_left_alone() {
    let server = Server::start(|_, _| Reply::ok(b"x"));
    let dir = tempfile::tempdir().unwrap();
    let into = dir.path().join("file");
    std::fs::write(&into, "mine").unwrap();
    let fetcher = Fetcher::new(Mirrors::of(Machine::at(dir.path(), &[]), &Config::default()), quick());
    let request = FetchRequest { source: &url(&server), name: "thing", sha256: Sha256::of(b"x"), size: None };
    assert!(matches!(fetcher.fetch(&request, &into, &|_| ControlFlow::Continue(())), Err(FetchError::Io(_))));
    assert_eq!(std::fs::read(&into).unwrap(), b"mine");
}

#[test]
fn many_threads_share_one_fetcher() {
    let server = Server::start(|request, n| if n % 3 == 0 { Reply::status("503 x") } else { Reply::ok(request.target.as_bytes()) });
    let dir = tempfile::tempdir().unwrap();
    let options = FetchOptions { attempts: 20, ..quick() };
    let fetcher = Fetcher::new(Mirrors::of(Machine::at(dir.path(), &[]), &Config::default()), options);
    std::thread::scope(|scope| {
        for number in 0..16 {
            let (fetcher, server, dir) = (&fetcher, &server, &dir);
            scope.spawn(move || {
                let (path, source) = (format!("/{number}"), FetchSource::Urls(vec![server.url(&format!("/{number}"))]));
                let request = FetchRequest { source: &source, name: "thing", sha256: Sha256::of(&path), size: None };
                fetcher.fetch(&request, &dir.path().join(number.to_string()), &|_| ControlFlow::Continue(())).unwrap();
            });
        }
    });
}
