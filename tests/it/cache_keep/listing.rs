//! `kiln cache ls`.

use super::Cache;

#[test]
fn objects_are_listed_by_name_with_sizes_closures_and_a_total() {
    let cache = Cache::new();
    let listed = cache.kiln("ls", &["--closure"]).success().stdout_has("3 objects, ").stdout_has("with 2 objects").out;
    let names: Vec<&str> = listed.lines().filter_map(|line| line.strip_prefix("/kiln/store/")?[33..].split(' ').next()).collect();
    assert_eq!(names, ["alone", "base", "top"]);
    let json = cache.kiln("ls", &["--closure", "--json", "t*p"]).success().json();
    let top = &json["objects"][0];
    assert_eq!((json["objects"].as_array().unwrap().len(), top["closure"]["objects"].as_u64()), (1, Some(2)));
    assert_eq!(top["references"][0], cache.base.digest().as_str());
    let digest = &cache.alone.digest().as_str()[..8];
    assert_eq!(cache.kiln("ls", &["--json", digest]).success().json()["objects"][0]["path"], cache.alone.to_string());
}

#[test]
fn what_cannot_be_read_is_counted_and_a_cache_that_is_not_there_is_empty() {
    let cache = Cache::new();
    cache.write("00000000000000000000000000000000.narinfo", "rubbish");
    cache.kiln("ls", &[]).success().stdout_has("1 descriptions cannot be read");
    cache.project.kiln(["cache", "ls", "/nowhere/at/all"]).success().stdout("0 objects, 0 B packed, 0 B unpacked\n");
    cache.project.kiln(["cache", "ls", "gopher://x"]).code(2).stderr_has("is no address of a cache");
}
