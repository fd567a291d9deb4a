//! What one machine has built, another one takes.

use std::fs;

use super::{RECIPE, Shared, made};
use crate::support::{Project, Reply, Server, sha256};

#[test]
fn the_second_machine_builds_nothing_and_gets_the_same() {
    let (shared, first) = Shared::filled();
    let second = Project::new().recipe(RECIPE);
    let outcome = shared.build(&second, &["app"]).success();
    assert!(made(&outcome).is_empty(), "{outcome}");
    assert_eq!(outcome.json()["targets"][0]["path"], first.kiln(["build", "app", "--json"]).success().json()["targets"][0]["path"]);
    assert_eq!(outcome.json()["pulled"]["objects"], 2, "{outcome}");
    // What was only used on the way is not even there.
    assert_eq!(second.objects(), ["app", "lib"]);
    second.sound();
    // From now on nobody need be asked.
    fs::remove_dir_all(shared.cache()).unwrap();
    let again = shared.build(&second, &["app"]).success().stderr("");
    assert!(made(&again).is_empty() && again.json()["pulled"]["objects"] == 0, "{again}");
    second.kiln(["build", "app"]).success().built(&[]);
}

#[test]
fn how_it_was_built_comes_along() {
    let (shared, first) = Shared::filled();
    let second = Project::new().recipe(RECIPE);
    shared.build(&second, &["app"]).success();
    second.kiln(["log", "app"]).success().stdout_has("making the app");
    let record = |project: &Project| project.kiln(["log", "app", "--json"]).success().json()["record"]["started_ms"].clone();
    assert_eq!(record(&first), record(&second));
    // But it is not this machine's build, so this machine does not vouch for it.
    let other = Shared::new();
    let pushed = other.push(&second, &["app"]).success().json();
    assert_eq!((&pushed["objects"], &pushed["traces"]), (&2.into(), &0.into()));
}

#[test]
fn a_changed_recipe_builds_what_changed_from_what_others_built() {
    let (shared, _first) = Shared::filled();
    let second = Project::new().recipe(&RECIPE.replace("making the app", "making another app"));
    let outcome = shared.build(&second, &["app"]).success();
    // The tool was not pushed, for nothing refers to it; its trace was.
    assert_eq!(made(&outcome), ["app", "tool"], "{outcome}");
    second.sound();
}

#[test]
fn a_file_that_no_server_has_any_more_comes_from_the_cache() {
    let server = Server::start();
    server.serve("/data.txt", Reply::file("data\n"));
    let recipe = format!(
        "data = fetch_url([\"{}\"], sha256 = \"{}\")\ntargets = {{\"user\": sh(\"user\", \"cat $data > $out\", inputs = {{\"data\": data}})}}\n",
        server.url("/data.txt"),
        sha256(b"data\n")
    );
    let (shared, first) = (Shared::new(), Project::new().recipe(&recipe));
    first.kiln(["build", "user"]).success();
    shared.push(&first, &["user", "--leaves"]).success();
    drop(server);
    let second = Project::new().recipe(&recipe.replace("cat", "echo also; cat"));
    let outcome = shared.build(&second, &["user"]).success();
    assert_eq!((made(&outcome), &outcome.json()["fetched"]), (vec!["user".to_owned()], &0.into()), "{outcome}");
    // Nobody is trusted, but a file proves itself.
    let third = Project::new().recipe(&recipe.replace("cat", "echo more; cat"));
    third.kiln(["build", "user", "--cache", &shared.url()]).success().built(&["user"]);
}

#[test]
fn a_dry_run_says_what_would_be_pulled_and_keeps_nothing() {
    let (shared, _first) = Shared::filled();
    let second = Project::new().recipe(RECIPE);
    let planned = shared.build(&second, &["app", "--dry-run"]).success().json();
    assert_eq!(planned["pull"], serde_json::json!(["app"]), "{planned}");
    assert!(planned["build"].as_array().unwrap().is_empty(), "{planned}");
    assert!(second.objects().is_empty());
    second.kiln(["build", "app", "--dry-run"]).success().stdout_has("would be built");
}

#[test]
fn a_cache_that_is_not_there_is_mentioned_once_and_missed_by_nobody() {
    let (shared, _first) = Shared::filled();
    let second = Project::new().recipe(RECIPE);
    let args = ["build", "app", "--cache", "file:///nowhere/at/all", "--trusted-key", &shared.public()];
    let outcome = second.kiln(args).success().built(&["tool", "lib", "app"]);
    assert_eq!(outcome.err.matches("/nowhere/at/all").count(), 1, "{outcome}");
    second.delete_store();
    let outcome = shared.build(&second, &["app", "--cache", "file:///nowhere/at/all"]).success();
    assert!(made(&outcome).is_empty(), "{outcome}");
    assert_eq!(outcome.err.matches("/nowhere/at/all").count(), 1, "{outcome}");
}

#[test]
fn a_pull_says_which_caches_could_not_be_used() {
    let (shared, _first) = Shared::filled();
    let (_, info) = shared.narinfo("lib");
    let path = info.path.to_string();
    let (absent, second) = ("file:///nowhere/at/all", Project::new());
    let outcome = second.kiln(["cache", "pull", "--from", absent, &path]).code(1);
    outcome.stderr_has(&format!("{path} cannot be looked for: {absent} cannot be used"));
    let other = format!("/kiln/store/{}-absent", "0".repeat(32));
    let outcome = second.kiln(["cache", "pull", "--from", absent, "--from", &shared.url(), &other]).code(1);
    outcome.stderr_has(&format!("{other} is not in {}", shared.url()));
}

#[test]
fn what_one_cache_spoils_comes_from_the_next() {
    let ((shared, _first), (other, _)) = (Shared::filled(), Shared::filled());
    let (_, info) = shared.narinfo("lib");
    let nar = shared.cache().join(&info.url);
    let bytes = fs::read(&nar).unwrap();
    fs::write(&nar, &bytes[..bytes.len() / 2]).unwrap();
    let second = Project::new().recipe(RECIPE);
    let path = info.path.to_string();
    let pulled = second.kiln(["cache", "pull", "--from", &shared.url(), "--from", &other.url(), &path]).success();
    let pulled = pulled.stderr_has("lies about");
    assert_eq!(pulled.object(), info.path.base_name());
    second.sound();
}

#[test]
fn targets_are_pulled_by_name_if_somebody_trusted_knows_them() {
    let (shared, first) = Shared::filled();
    let second = Project::new().recipe(RECIPE);
    let (from, key) = (shared.url(), shared.public());
    second.kiln(["cache", "pull", "--from", &from, "app"]).code(1).stderr_has("no trusted key").hint("--trusted-key");
    let pulled = second.kiln(["cache", "pull", "--from", &from, "--trusted-key", &key, "app", "lib"]).success();
    assert_eq!(pulled.object(), first.kiln(["build", "app"]).success().object());
    second.sound();
    let again = second.kiln(["cache", "pull", "--json", "--from", &from, "--trusted-key", &key, "app"]).success().json();
    assert_eq!((&again["objects"], &again["received"]), (&0.into(), &0.into()));
    let missing = second.kiln(["cache", "pull", "--from", &from, "/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep"]);
    missing.code(1).stderr_has("8k90pkn2fan0wl15k96v2md0n20vgdrp-dep is not in file://");
}

#[test]
fn a_wide_fan_is_taken_whole() {
    let recipe = r#"
steps = {"s%d" % n: sh("s%d" % n, "echo %d > $out" % n) for n in range(40)}
all = sh("all", "for n in $(seq 0 39); do eval echo \\$s$n; done > $out", inputs = steps)
targets = {"all": all}
"#;
    let (shared, first) = (Shared::new(), Project::new().recipe(recipe));
    first.kiln(["build", "all"]).success();
    let pushed = shared.push(&first, &["all"]).success().json();
    assert_eq!((&pushed["objects"], &pushed["traces"]), (&41.into(), &41.into()), "{pushed}");
    let second = Project::new().recipe(recipe);
    let outcome = shared.build(&second, &["all"]).success();
    assert!(made(&outcome).is_empty() && outcome.json()["pulled"]["objects"] == 41, "{outcome}");
    second.sound();
}

#[test]
fn how_something_was_built_that_is_not_needed_here_can_be_asked_for() {
    let (shared, _first) = Shared::filled();
    let second = Project::new().recipe(RECIPE);
    second.kiln(["log", "tool"]).code(2).stderr_has("is not a kiln store");
    let (url, key) = (shared.url(), shared.public());
    let trusting = ["--cache", &url, "--trusted-key", &key];
    second.kiln([&["log", "tool"], &trusting[..2]].concat()).code(2);
    second.kiln([&["log", "tool"], &trusting[..]].concat()).success().stdout_has("making the tool");
    // Known from then on, though there is no object.
    second.kiln(["log", "tool"]).success().stdout_has("making the tool");
    second.kiln(["info", "tool"]).success().stdout_has("known, but not in this store").stdout_has("sandbox strict").stdout_has("team-1");
    second.kiln([&["info", "app"], &trusting[..]].concat()).success().stdout_has("input tool");
    assert!(second.objects().is_empty());
}
