//! `kiln cache verify`.

use std::fs;

use super::Cache;

#[test]
fn a_sound_cache_is_sound_also_when_all_of_it_is_read() {
    let cache = Cache::new();
    cache.kiln("verify", &[]).success().stdout_has("3 objects").stdout_has("all sound");
    cache.kiln("verify", &["--read"]).success().stdout_has(" read: all sound");
    let json = cache.kiln("verify", &["--read", "--json"]).success().json();
    assert_eq!((json["objects"].as_u64(), json["findings"].as_array().unwrap().len()), (Some(3), 0));
}

#[test]
fn a_changed_byte_a_missing_nar_and_a_broken_closure_are_damage() {
    let cache = Cache::new();
    let nar = cache.file(&cache.nar(&cache.top));
    let mut bytes = fs::read(&nar).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&nar, bytes).unwrap();
    cache.kiln("verify", &[]).success();
    cache.kiln("verify", &["--read"]).code(4).stdout_has(&format!("damaged: {}", Cache::entry(&cache.top)));
    fs::remove_file(&nar).unwrap();
    fs::rename(cache.file(&Cache::entry(&cache.base)), cache.file("11111111111111111111111111111111.narinfo")).unwrap();
    let json = cache.kiln("verify", &["--json"]).code(4).json();
    let findings: Vec<&str> = json["findings"].as_array().unwrap().iter().map(|finding| finding["problem"].as_str().unwrap()).collect();
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert_eq!(findings[0], format!("it describes {}", cache.base));
    assert!(findings[1].contains("which is not there") && findings[2].ends_with(" is not there"), "{findings:?}");
}

#[test]
fn a_nar_that_no_object_names_is_listed_and_no_damage() {
    let cache = Cache::new();
    cache.write("nar/left-behind.nar.zst", "abc");
    cache
        .kiln("verify", &[])
        .success()
        .stdout_has("no object names nar/left-behind.nar.zst")
        .stdout_has("1 NARs that no object names (3 B)");
}

#[test]
fn an_entry_cannot_drive_the_terminal() {
    let cache = Cache::new();
    cache.write("00000000000000000000000000000000.narinfo", "StorePath: \u{1b}[31mx\n");
    let out = cache.kiln("verify", &[]).code(4).out;
    assert!(!out.contains('\u{1b}'), "{out:?}");
}
