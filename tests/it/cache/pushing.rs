//! What a push sends, what it refuses, and what it leaves when it is killed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use kiln::model::Sha256;
use nix::sys::signal::Signal;

use super::{RECIPE, Shared, made, narinfos, verifies};
use crate::support::{Project, eventually};

#[test]
fn a_push_sends_the_closure_and_what_is_known_about_all_builds_behind_it() {
    let (shared, _first) = Shared::filled();
    let names: Vec<String> = narinfos(&shared.cache()).into_iter().map(|(_, info)| info.path.name().to_string()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    for (below, count) in [("nar", 2), ("kiln/traces", 3), ("kiln/records", 3), ("kiln/derivations", 3), ("kiln/logs", 2)] {
        assert_eq!(shared.entries(below).len(), count, "{below}");
    }
    assert_eq!(
        fs::read_to_string(shared.cache().join("nix-cache-info")).unwrap(),
        "StoreDir: /kiln/store\nWantMassQuery: 1\nPriority: 50\n"
    );
    assert!(narinfos(&shared.cache()).iter().all(|(_, info)| verifies(&shared.key.public(), info)));
}

#[test]
fn a_second_push_sends_nothing() {
    let (shared, first) = Shared::filled();
    // What was asked for by name counts as used again.
    let (named, _) = shared.narinfo("app");
    let state = || -> Vec<_> {
        let times = shared
            .entries("")
            .into_iter()
            .filter(|path| *path != named)
            .map(|path| (path.clone(), path.metadata().unwrap().modified().unwrap()));
        times.collect::<Vec<(_, SystemTime)>>()
    };
    let (before, text) = (state(), fs::read(&named).unwrap());
    let pushed = shared.push(&first, &["app"]).success().json();
    assert_eq!(
        (&pushed["objects"], &pushed["present"], &pushed["sent"], &pushed["traces"], &pushed["known_traces"]),
        (&0.into(), &2.into(), &0.into(), &0.into(), &3.into()),
        "{pushed}"
    );
    assert_eq!((state(), fs::read(&named).unwrap()), (before, text));
}

#[test]
fn without_a_key_only_objects_are_sent_and_that_is_said() {
    let (shared, first) = Shared::filled();
    fs::remove_dir_all(shared.cache()).unwrap();
    first.kiln(["cache", "push", "--to", &shared.url(), "app"]).success().stderr_has("2 pushed").stderr_has("only objects were sent");
    assert!(shared.entries("kiln").is_empty());
}

#[test]
fn a_relaxed_build_is_not_published() {
    let (shared, project) = (Shared::new(), Project::new().recipe(RECIPE));
    project.kiln(["build", "lib", "--sandbox", "relaxed"]).success();
    shared.push(&project, &["lib"]).code(1).stderr_has("not strictly sealed").stderr_has("--sandbox=relaxed");
    assert!(narinfos(&shared.cache()).is_empty());
    project.kiln(["build", "lib"]).success();
    shared.push(&project, &["lib"]).success();
}

#[test]
fn builds_by_one_key_that_disagree_are_both_said() {
    let recipe = r#"targets = {"x": sh("x", "head -c 8 /dev/urandom > $out")}"#;
    let (shared, first, second) = (Shared::new(), Project::new().recipe(recipe), Project::new().recipe(recipe));
    for project in [&first, &second, &first] {
        project.kiln(["build", "x"]).success();
        shared.push(project, &["x"]).success();
    }
    let text = fs::read_to_string(shared.traces_of("x")).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    let third = Project::new().recipe(recipe);
    let outcome = shared.build(&third, &["x"]).success();
    assert_eq!(outcome.json()["disagreements"][0]["claims"].as_array().unwrap().len(), 2, "{outcome}");
    assert!(made(&outcome).is_empty(), "{outcome}");
}

/// Objects that refer to each other in a row, each of some size.
fn chain_recipe(length: usize) -> String {
    // Starlark has no recursion, so each step is written out.
    let mut text = String::new();
    for n in 0..length {
        let (inputs, before) =
            if n == 0 { (String::new(), String::new()) } else { (format!("\"before\": c{}", n - 1), "$before".to_owned()) };
        text.push_str(&format!(
            "c{n} = sh(\"c{n}\", \"mkdir $out; seq {n} 30000 | sha256sum > $out/id; seq {n} 40000 | awk '{{print NR * 7919 % 10007}}' > $out/data; echo {before} > $out/before\", inputs = {{{inputs}}})\n"
        ));
    }
    text + &format!("targets = {{\"last\": c{}}}\n", length - 1)
}

/// Whatever a reader finds described is there, whole, with all it refers to.
#[track_caller]
fn whole(shared: &Shared) -> usize {
    let all = narinfos(&shared.cache());
    for (_, info) in &all {
        let nar = fs::read(shared.cache().join(&info.url)).unwrap();
        assert_eq!(Some(Sha256::of(&nar)), info.file_hash);
        for reference in &info.references {
            assert!(all.iter().any(|(_, other)| other.path == *reference), "{} lacks {reference}", info.path);
        }
    }
    all.len()
}

#[test]
fn a_push_that_is_killed_leaves_only_whole_things_and_the_next_one_goes_on() {
    let recipe = chain_recipe(12);
    let (shared, first) = (Shared::new(), Project::new().recipe(&recipe));
    first.kiln(["build", "last"]).success();
    let (url, key) = (shared.url(), shared.key_file());
    let args = ["cache", "push", "--to", &url, "--key", key.to_str().unwrap(), "last"];
    let mut seen = Vec::new();
    for round in 0..12u64 {
        let running = first.start(args);
        std::thread::sleep(Duration::from_millis(8 + 9 * round));
        running.signal(Signal::SIGKILL);
        running.wait();
        seen.push(whole(&shared));
        if seen.last() == Some(&12) {
            // Once all is there, from the start again.
            fs::remove_dir_all(shared.cache()).unwrap();
        }
    }
    shared.push(&first, &["last"]).success();
    assert_eq!(whole(&shared), 12, "{seen:?}");
    let second = Project::new().recipe(&recipe);
    let outcome = shared.build(&second, &["last"]).success();
    assert!(made(&outcome).is_empty(), "{outcome}");
    second.sound();
    first.sound();
}

#[test]
fn a_pull_that_is_killed_leaves_a_sound_store_and_the_next_one_goes_on() {
    let recipe = chain_recipe(12);
    let (shared, first) = (Shared::new(), Project::new().recipe(&recipe));
    first.kiln(["build", "last"]).success();
    shared.push(&first, &["last"]).success();
    let second = Project::new().recipe(&recipe);
    let (url, path) = (shared.url(), shared.narinfo("c11").1.path.to_string());
    for round in 0..8u64 {
        let running = second.start(["cache", "pull", "--from", &url, &path]);
        std::thread::sleep(Duration::from_millis(5 + 12 * round));
        running.signal(Signal::SIGKILL);
        running.wait();
        if second.store().join("format").exists() {
            second.sound();
        }
    }
    second.kiln(["cache", "pull", "--from", &url, &path]).success();
    assert_eq!(second.objects().len(), 12);
    second.sound();
}

#[test]
fn a_follower_sends_what_is_built_as_it_is_finished() {
    let (shared, project) = (Shared::new(), Project::new().recipe(RECIPE));
    project.kiln(["build", "tool"]).success();
    let (url, key) = (shared.url(), shared.key_file());
    let follower = project.start(["cache", "push", "--to", &url, "--key", key.to_str().unwrap(), "--follow"]);
    eventually("the follower is there", || shared.cache().join("nix-cache-info").exists());
    project.kiln(["build", "app"]).success();
    eventually("app is pushed", || shared.entries("kiln/traces").len() == 3);
    assert_eq!(whole(&shared), 2);
    project.kiln(["build", "lib", "--sandbox", "relaxed", "--rebuild"]).success();
    follower.signal(Signal::SIGINT);
    follower.wait().success();
    let second = Project::new().recipe(RECIPE);
    assert!(made(&shared.build(&second, &["app"]).success()).is_empty());
}

#[test]
fn a_build_pushes_what_it_gives() {
    let (shared, project) = (Shared::new(), Project::new().recipe(RECIPE));
    let key = shared.key_file();
    shared.build(&project, &["app", "--push", "--key", key.to_str().unwrap()]).success();
    // What was built on the way went too.
    assert_eq!(whole(&shared), 3);
    let second = Project::new().recipe(RECIPE);
    assert!(made(&shared.build(&second, &["app"]).success()).is_empty());
    // What was there already is pushed as well.
    fs::remove_dir_all(shared.cache()).unwrap();
    shared.build(&project, &["app", "--push", "--key", key.to_str().unwrap()]).success();
    assert_eq!(whole(&shared), 2);
}

#[test]
fn a_new_keys_secret_is_its_owners_alone_and_never_overwritten() {
    let project = Project::new().recipe(RECIPE);
    let made = project.kiln(["cache", "keygen", "team-1", "--out", "keys"]).success();
    assert!(made.out.starts_with("team-1:") && made.err.contains("team-1.secret"), "{made}");
    let secret = project.at("keys/team-1.secret");
    assert_eq!(secret.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&secret).unwrap();
    assert!(!made.out.contains(text.trim()) && !made.err.contains(text.trim()));
    project.kiln(["cache", "keygen", "team-1", "--out", "keys"]).code(1).stderr_has("File exists");
    assert_eq!(fs::read_to_string(&secret).unwrap(), text);
    project.kiln(["cache", "keygen", "../x"]).code(2).stderr_has("is no name of a key");
    let public = fs::read_to_string(project.at("keys/team-1.public")).unwrap();
    assert_eq!(public, made.out);
}

#[test]
fn a_damaged_object_is_not_published() {
    let (shared, project) = (Shared::new(), Project::new().recipe(RECIPE));
    let path = project.kiln(["build", "lib"]).success().path();
    let file = path.join("lib");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, "LIBRARY\n").unwrap();
    shared.push(&project, &["lib"]).code(1).stderr_has("it has changed on the disk");
    assert!(narinfos(&shared.cache()).is_empty());
}
