//! `kiln cache pin` and `gc`.

use std::fs;

use super::{Cache, DAY};
use crate::support::eventually;

#[test]
fn what_is_old_goes_but_a_pin_keeps_a_closure() {
    let cache = Cache::new();
    let (base, top, alone) = (&cache.base, &cache.top, &cache.alone);
    cache.age(&[base, top, alone], 60 * DAY);
    cache.kiln("pin", &["release-1", &top.to_string()]).success();
    cache.kiln("pins", &[]).success().stdout(&format!("release-1  {top}\n"));
    cache.kiln("gc", &["--older-than", "30d", "--dry-run"]).success().stdout_has("would remove 1 objects; 2 kept");
    assert!(cache.has(alone));
    cache.kiln("gc", &["--older-than", "30d"]).success().stdout_has("removed 1 objects; 2 kept").stdout_has("1, ");
    assert!(!cache.has(alone) && cache.has(top) && cache.has(base));
    cache.kiln("verify", &["--read"]).success();
    // That was a use.
    cache.age(&[base, top], 60 * DAY);
    cache.kiln("unpin", &["release-1"]).success();
    cache.kiln("unpin", &["release-1"]).code(2).hint("kiln cache pins");
    let json = cache.kiln("gc", &["--older-than", "30d", "--json"]).success().json();
    assert_eq!(json["removed"], serde_json::json!([top.to_string(), base.to_string()]), "referrers first");
    assert_eq!(json["condemned"], 3);
    cache.kiln("gc", &["--grace", "0s"]).success().stdout_has("removed 3 NARs");
    assert!(cache.names("nar").is_empty() && cache.names("kiln/leases").is_empty());
}

#[test]
fn a_size_is_kept_by_what_was_used_least_recently() {
    let cache = Cache::new();
    cache.age(&[&cache.base], 60 * DAY);
    cache.age(&[&cache.top], 2 * DAY);
    cache.age(&[&cache.alone], 3 * DAY);
    let all: u64 = cache.names("nar").iter().map(|name| fs::metadata(cache.file("nar").join(name)).unwrap().len()).sum();
    cache.kiln("gc", &["--max-size", &all.to_string()]).success().stdout_has("removed 0 objects");
    cache.kiln("gc", &["--max-size", &(all - 1).to_string()]).success().stdout_has("removed 1 objects");
    assert!(!cache.has(&cache.alone) && cache.has(&cache.base));
    cache.kiln("gc", &["--keep-last", "0"]).success().stdout_has("removed 2 objects; 0 kept");
}

#[test]
fn what_is_young_or_under_a_lease_stays() {
    let cache = Cache::new();
    cache.age(&[&cache.top, &cache.base], DAY);
    cache.write("kiln/leases/somebody-0", format!("kiln-lease 1\n{}\n", Cache::entry(&cache.top)));
    cache
        .kiln("gc", &["--max-size", "0"])
        .success()
        .stdout_has("removed 0 objects; 3 kept")
        .stdout_has("(3 pinned, recent or in use by a push)");
    cache.write("kiln/leases/somebody-0", "rubbish");
    cache.kiln("gc", &["--max-size", "0"]).code(4).stderr_has("kiln/leases/somebody-0: it is no lease");
    assert!(cache.has(&cache.top));
}

#[test]
fn what_cannot_be_read_stops_a_collection_until_it_is_told_otherwise() {
    let cache = Cache::new();
    cache.age(&[&cache.top, &cache.alone], DAY);
    let text = fs::read_to_string(cache.file(&Cache::entry(&cache.alone))).unwrap();
    cache.write(&Cache::entry(&cache.alone), text.replace("NarSize", "NarsSize"));
    let age = std::fs::FileTimes::new().set_modified(std::time::SystemTime::now() - DAY);
    fs::File::open(cache.file(&Cache::entry(&cache.alone))).unwrap().set_times(age).unwrap();
    cache.kiln("gc", &["--older-than", "1h"]).code(4).stderr_has("nothing was removed").hint("--drop-unreadable");
    assert!(cache.has(&cache.top));
    cache.kiln("gc", &["--older-than", "1h", "--drop-unreadable"]).success().stdout_has("removed 1 descriptions that cannot be read");
    assert!(!cache.has(&cache.top) && !cache.has(&cache.alone));
}

#[test]
fn what_killed_writers_left_goes_once_it_is_old() {
    let cache = Cache::new();
    for (name, age) in [("nar/.kiln-old", 2 * DAY), (".kiln-old", 2 * DAY), ("nar/.kiln-new", DAY / 2), ("nar/.other", 2 * DAY)] {
        cache.write(name, "half an entry");
        let then = std::fs::FileTimes::new().set_modified(std::time::SystemTime::now() - age);
        fs::File::open(cache.file(name)).unwrap().set_times(then).unwrap();
    }
    cache.kiln("gc", &["--older-than", "30d", "--dry-run"]).success();
    cache.kiln("gc", &["--older-than", "30d"]).success().stdout_has("removed 2 files that killed pushes left");
    assert!(cache.file("nar/.kiln-new").exists() && cache.file("nar/.other").exists() && !cache.file("nar/.kiln-old").exists());
}

#[test]
fn wrong_requests_are_told() {
    let cache = Cache::new();
    let gone = "/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep";
    cache.kiln("pin", &["x", gone]).code(1).stderr_has("is not in file://");
    cache.kiln("pin", &["../x", &cache.top.to_string()]).code(2);
    cache.kiln("gc", &["--older-than", "soon"]).code(2);
    assert!(cache.names("kiln/pins").is_empty());
}

#[test]
fn a_second_collection_waits_for_nobody_and_says_so() {
    let cache = Cache::new();
    cache.write("kiln/collector/mark", "kiln-collector 1\nreading 0f\n");
    cache.kiln("gc", &["--max-size", "0"]).code(1).stderr_has("another process is collecting file://").hint("an hour");
    let long_ago = std::fs::FileTimes::new().set_modified(std::time::SystemTime::now() - DAY);
    fs::File::open(cache.file("kiln/collector/mark")).unwrap().set_times(long_ago).unwrap();
    cache.kiln("gc", &["--max-size", "0"]).success();
    eventually("the mark is idle", || fs::read_to_string(cache.file("kiln/collector/mark")).unwrap().contains("\nidle "));
}
