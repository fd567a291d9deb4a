//! Fetching from this machine's own mirrors. Needs a network, so it runs only when asked: `cargo test -- --ignored real`.

use std::ops::ControlFlow;

use super::*;
use crate::build::config::Config;

fn fetch(source: &FetchSource, sha256: &str) -> Fetched {
    let dir = tempfile::tempdir().unwrap();
    let fetcher = Fetcher::new(Mirrors::from_machine(&Config::default()), FetchOptions::default());
    let request = FetchRequest { source, name: "thing", sha256: sha256.parse().unwrap(), size: None };
    fetcher.fetch(&request, &dir.path().join("file"), &|_| ControlFlow::Continue(())).unwrap()
}

#[test]
#[ignore = "needs a network"]
fn a_file_of_the_configured_python_index() {
    let source = FetchSource::Pypi { project: "six".into(), file: "six-1.16.0.tar.gz".into() };
    assert_eq!(fetch(&source, "1e61c37477a1626458e36f7b1d82aa5c9b094fa4802892072e49de9c60c4c926").bytes, 34_041);
}

#[test]
#[ignore = "needs a network"]
fn a_file_of_the_configured_debian_archive() {
    let source = FetchSource::Debian { pool_path: "pool/main/p/python3.11/python3.11_3.11.2.orig.tar.gz".into() };
    assert!(fetch(&source, "2411c74bda5bbcfcddaf4531f66d1adc73f247f529aee981b029513aefdbf849").bytes > 20_000_000);
}
