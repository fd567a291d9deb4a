//! What the tests of fetching share: one fetch against servers of a script, and what came of it.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::*;
use crate::build::config::{Config, MirrorSettings};
use crate::net::Machine;
use crate::net::testing::{Reply, Request, Server};

/// Bytes of which every stretch is different.
pub(super) fn content(length: usize) -> Vec<u8> {
    (0..length as u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).take(length).collect()
}

pub(super) fn quick() -> FetchOptions {
    FetchOptions {
        attempts: 3,
        first_pause: Duration::from_millis(5),
        longest_pause: Duration::from_millis(1500),
        connect: Duration::from_secs(5),
        stall: Duration::from_millis(400),
        ..FetchOptions::default()
    }
}

pub(super) fn url(server: &Server) -> FetchSource {
    FetchSource::Urls(vec![server.url("/file")])
}

pub(super) fn pypi() -> FetchSource {
    FetchSource::Pypi { project: "Some_Thing".into(), file: "thing-1.tar.gz".into() }
}

pub(super) fn debian() -> FetchSource {
    FetchSource::Debian { pool_path: "pool/main/g/g++/g++_1~2.deb".into() }
}

/// One fetch in a directory of its own.
pub(super) struct Trial {
    pub(super) result: Result<Fetched, FetchError>,
    pub(super) file: Option<Vec<u8>>,
    pub(super) progress: Vec<Progress>,
    pub(super) took: Duration,
}

pub(super) fn attempt(mirrors: (&[&Server], &[&Server]), source: &FetchSource, wanted: &[u8], options: FetchOptions) -> Trial {
    let urls = |servers: &[&Server], path: &str| servers.iter().map(|server| server.url(path)).collect();
    let mirrors = MirrorSettings { pypi: urls(mirrors.0, "/simple"), debian: urls(mirrors.1, "/debian") };
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::at(&dir.path().join("nothing"), &[]);
    let fetcher = Fetcher::new(Mirrors::of(machine, &Config { mirrors, ..Config::default() }), options);
    let (into, started, progress) = (dir.path().join("file"), Instant::now(), RefCell::new(Vec::new()));
    let request = FetchRequest { source, name: "thing", sha256: Sha256::of(wanted), size: None };
    let result = fetcher.fetch(&request, &into, &|step| {
        progress.borrow_mut().push(step);
        ControlFlow::Continue(())
    });
    Trial { result, file: std::fs::read(into).ok(), progress: progress.into_inner(), took: started.elapsed() }
}

pub(super) fn get(server: &Server, wanted: &[u8]) -> Trial {
    attempt((&[], &[]), &url(server), wanted, quick())
}

impl Trial {
    pub(super) fn gave(&self, wanted: &[u8]) -> &Self {
        assert_eq!(self.result.as_ref().unwrap().bytes, wanted.len() as u64);
        assert!(self.file.as_deref() == Some(wanted));
        self
    }

    /// The error's text; nothing may be left behind.
    pub(super) fn failed(&self) -> String {
        assert_eq!(self.file, None, "a failed fetch left a file");
        self.result.as_ref().unwrap_err().to_string()
    }
}

/// Serves `body` as a good server would, ranges included.
pub(super) fn serve_ranges(request: &Request, body: &[u8]) -> Reply {
    match request.start() {
        None => Reply::new("200 OK", &[("ETag", "\"v1\"")], body),
        Some(start) => {
            let range = format!("bytes {start}-{}/{}", body.len() - 1, body.len());
            Reply::new("206 Partial Content", &[("ETag", "\"v1\""), ("Content-Range", &range)], &body[start..])
        }
    }
}
