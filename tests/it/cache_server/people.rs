//! The page: what it asks the server, and how it looks to a browser.

use std::process::Command;

use kiln::cache::entry::EntryName;
use kiln::cache::signing::SecretKey;
use kiln::cache::statement::{SignedTrace, write_traces};
use kiln::model::{BuildTrace, DerivationHash, OutputName, SandboxLevel, Sha256};

use super::{Served, entry};
use crate::support::{Running, Scratch, eventually, skip};

/// A cache of a closure of three, 120 others, and a build with its log; and the closure's top.
fn served() -> (Served, super::Entry) {
    let base = entry("base-lib", &[1; 4000], &[]);
    let middle = entry("middle", &[2; 2000], &[&base]);
    let top = entry("top-program", &[3; 1000], &[&base, &middle]);
    let key = SecretKey::generate("team-1".parse().unwrap()).unwrap();
    let resolved = DerivationHash(Sha256::of("resolved"));
    let outputs = [(OutputName::out(), top.path.clone())].into();
    let trace = BuildTrace { resolved, outputs, system: "x86_64-linux".into(), level: SandboxLevel::Strict };
    let served = Served::prepared(&["--rescan", "1"], |dir| {
        let cache = dir.join("cache");
        [&base, &middle, &top].into_iter().for_each(|entry| entry.lay(&cache));
        (0..120).for_each(|i| entry(&format!("filler-{i:03}"), format!("{i}").as_bytes(), &[]).lay(&cache));
        let lay = |name: EntryName, bytes: Vec<u8>| {
            let path = cache.join(name.as_str());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        lay(EntryName::traces(&resolved, key.name()), write_traces(&[SignedTrace::new(trace, &key)]).unwrap());
        lay(EntryName::log(&resolved, key.name()), zstd::encode_all(&b"compiling <b>things</b>\ndone\n"[..], 3).unwrap());
    });
    let mut client = served.client();
    eventually("the cache to be read", || client.ask("GET", "/kiln/view/summary", "").json()["ready"] == true);
    (served, top)
}

#[test]
fn the_pages_questions_are_answered_in_pages() {
    let (served, top) = served();
    let mut client = served.client();
    let mut ask = |what: &str| client.ask("GET", &format!("/kiln/view/{what}"), "").json();
    let summary = ask("summary");
    assert_eq!((&summary["objects"], &summary["builds"], &summary["logs"]), (&123.into(), &1.into(), &1.into()));
    assert_eq!(summary["signers"][0]["name"], "team-1");
    let found = ask("objects?search=FILLER&page=3");
    assert_eq!((&found["total"], &found["pages"], found["rows"].as_array().unwrap().len()), (&120.into(), &3.into(), 20));
    assert_eq!(ask("objects?search=filler&page=99")["page"], 3);
    assert_eq!(ask("objects?sort=size")["rows"][0]["name"], "base-lib");
    for search in [top.path.to_string(), top.path.digest().to_string(), "p-prog".to_owned()] {
        assert_eq!(ask(&format!("objects?search={search}"))["rows"][0]["name"], "top-program", "{search}");
    }
    let object = ask(&format!("object/{}", top.path.digest()));
    assert_eq!(
        (&object["closure"]["objects"], &object["closure"]["missing"], &object["references"]["total"]),
        (&3.into(), &0.into(), &2.into())
    );
    assert_eq!(object["builds"][0]["name"], "top-program");
    let resolved = object["builds"][0]["resolved"].as_str().unwrap().to_owned();
    assert_eq!(ask(&format!("build/{resolved}"))["traces"][0]["level"], "strict");
    let log = client.ask("GET", &format!("/kiln/view/log/{resolved}/team-1"), "");
    assert_eq!((log.text().as_str(), log.header("Content-Type")), ("compiling <b>things</b>\ndone\n", Some("text/plain; charset=utf-8")));
    for nothing in ["object/x", "object/00000000000000000000000000000000", "build/x", "log/x/y", "log/../x", "", "x"] {
        assert_eq!(client.ask("GET", &format!("/kiln/view/{nothing}"), "").status, 404, "{nothing}");
    }
}

#[test]
fn what_others_write_and_remove_shows_after_a_while() {
    let (served, top) = served();
    let mut client = served.client();
    let mut count = || client.ask("GET", "/kiln/view/summary", "").json()["objects"].as_u64().unwrap();
    assert_eq!(count(), 123);
    entry("by-hand", b"x", &[]).lay(&served.dir());
    eventually("the new object to show", || count() == 124);
    std::fs::remove_file(served.dir().join(&top.narinfo()[1..])).unwrap();
    eventually("the removed object to be gone", || count() == 123);
}

#[test]
fn people_get_a_page_that_fetches_nothing_from_elsewhere() {
    let served = Served::start(&[]);
    let mut client = served.client();
    let page = client.ask("GET", "/", "Accept: text/html,application/xhtml+xml\r\n");
    assert_eq!((page.status, page.header("Content-Type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("Content-Security-Policy").unwrap().starts_with("default-src 'none';"));
    assert_eq!(client.ask("GET", "/index.html", "").body, page.body);
    assert!(!client.ask("GET", "/", "Accept: */*\r\n").text().contains("<html"));
}

/// What a browser makes of the page: the document after its script has run.
fn dom(address: &str) -> String {
    let profile = Scratch::new();
    let mut command = Command::new("chromium");
    let quiet = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync \
                 --no-proxy-server --disable-dev-shm-usage --virtual-time-budget=8000 --dump-dom";
    command.args(quiet.split_whitespace()).arg(format!("--user-data-dir={}", profile.path().display())).arg(address);
    Running::start(command).wait().success().out
}

#[test]
fn a_browser_opens_the_page_searches_and_follows_a_closure() {
    if Command::new("chromium").arg("--version").output().is_err() {
        return skip("`chromium` is not installed");
    }
    let (served, top) = served();
    let overview = dom(&served.url("/"));
    assert!(overview.contains("What is in this cache") && overview.contains("<b>123</b>") && overview.contains("team-1"), "{overview}");
    let found = dom(&served.url("/#/search/top-prog"));
    let link = format!("#/object/{}", top.path.digest());
    assert!(found.contains(&link) && found.contains("1 object") && !found.contains("filler-"), "{found}");
    let object = dom(&served.url(&format!("/{link}")));
    assert!(object.contains(&top.path.to_string()) && object.contains("base-lib") && object.contains("middle"), "{object}");
    assert!(object.contains("<b>3</b><span>objects in closure</span>"), "{object}");
    let log = dom(&served.url(&format!("/#/log/{}/team-1", Sha256::of("resolved"))));
    assert!(log.contains("compiling &lt;b&gt;things&lt;/b&gt;"), "what a log says is shown, not obeyed: {log}");
}
