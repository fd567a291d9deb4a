//! Whom a build believes: a trace counts if enough trusted keys signed it, and for nothing else.

use std::fs;

use kiln::cache::signing::SecretKey;
use kiln::cache::statement::{SignedTrace, read_traces, write_traces};
use kiln::model::{OutputName, SandboxLevel};

use super::{RECIPE, Shared, made};
use crate::support::{Outcome, Project};

/// Everything was built here.
#[track_caller]
fn all_built(outcome: &Outcome) {
    assert_eq!(made(outcome), ["app", "lib", "tool"], "{outcome}");
}

fn traces(shared: &Shared, name: &str) -> Vec<SignedTrace> {
    read_traces(&fs::read(shared.traces_of(name)).unwrap()).unwrap()
}

#[test]
fn without_a_trusted_key_a_cache_decides_nothing() {
    let (shared, _first) = Shared::filled();
    let second = Project::new().recipe(RECIPE);
    all_built(&second.kiln(["build", "--json", "app", "--cache", &shared.url()]).success());
    second.delete_store();
    let stranger = SecretKey::generate("team-1".parse().unwrap()).unwrap().public().to_string();
    let outcome = second.kiln(["build", "--json", "app", "--cache", &shared.url(), "--trusted-key", &stranger]).success();
    all_built(&outcome);
    outcome.stderr_has("the signature of `team-1` does not hold");
    second.delete_store();
    let other = SecretKey::generate("other-1".parse().unwrap()).unwrap().public().to_string();
    all_built(&second.kiln(["build", "--json", "app", "--cache", &shared.url(), "--trusted-key", &other]).success());
}

#[test]
fn a_tampered_trace_counts_for_nothing() {
    let (shared, _first) = Shared::filled();
    let lib = shared.narinfo("lib").1.path;
    let place = shared.traces_of("tool");
    let mut signed = traces(&shared, "tool");
    signed[0].trace.outputs.insert(OutputName::out(), lib);
    fs::write(&place, write_traces(&signed).unwrap()).unwrap();
    let second = Project::new().recipe(RECIPE);
    let outcome = shared.build(&second, &["tool"]).success();
    assert_eq!(made(&outcome), ["tool"], "{outcome}");
    outcome.stderr_has("lies about kiln/traces/");
}

#[test]
fn a_trace_of_another_derivation_counts_for_nothing() {
    let (shared, _first) = Shared::filled();
    fs::copy(shared.traces_of("lib"), shared.traces_of("tool")).unwrap();
    let second = Project::new().recipe(RECIPE);
    let outcome = shared.build(&second, &["tool"]).success();
    assert_eq!(made(&outcome), ["tool"], "{outcome}");
    outcome.stderr_has("it is about");
}

#[test]
fn rubbish_and_endless_traces_count_for_nothing() {
    let (shared, _first) = Shared::filled();
    let second = Project::new().recipe(RECIPE);
    for (text, message) in [(b"<html>".to_vec(), "lies about"), (vec![b'\n'; 3 << 20], "longer than")] {
        fs::write(shared.traces_of("tool"), text).unwrap();
        let outcome = shared.build(&second, &["tool"]).success().stderr_has(message);
        assert_eq!(made(&outcome), ["tool"], "{outcome}");
        second.delete_store();
        // The entry is found by what it says, so it must say something again.
        let (other, _) = Shared::filled();
        let fresh = other.traces_of("tool");
        let place = shared
            .entries("kiln/traces")
            .into_iter()
            .find(|path| path.parent().unwrap().file_name() == fresh.parent().unwrap().file_name());
        fs::copy(fresh, place.unwrap()).unwrap();
    }
}

#[test]
fn a_relaxed_build_counts_for_nothing_even_if_it_is_signed() {
    let (shared, _first) = Shared::filled();
    let mut trace = traces(&shared, "tool").remove(0).trace;
    trace.level = SandboxLevel::Relaxed;
    fs::write(shared.traces_of("tool"), write_traces(&[SignedTrace::new(trace, &shared.key)]).unwrap()).unwrap();
    let second = Project::new().recipe(RECIPE);
    assert_eq!(made(&shared.build(&second, &["tool"]).success()), ["tool"]);
}

#[test]
fn as_many_keys_must_agree_as_the_user_asks_for() {
    let (shared, first) = Shared::filled();
    let second_key = SecretKey::generate("audit-1".parse().unwrap()).unwrap();
    let key_file = shared.dir.path().join("audit");
    fs::write(&key_file, second_key.secret_text()).unwrap();
    let second = Project::new().recipe(RECIPE);
    // One key under two names is one voice.
    let alias = shared.public().replace("team-1", "team-2");
    let audit = second_key.public().to_string();
    let args = ["app", "--trusted-key", &audit, "--trusted-key", &alias, "--quorum", "2"];
    all_built(&shared.build(&second, &args).success());
    second.delete_store();
    first.kiln(["cache", "push", "--to", &shared.url(), "--key", key_file.to_str().unwrap(), "app"]).success();
    assert_eq!(shared.entries("kiln/traces").len(), 6);
    let outcome = shared.build(&second, &args).success();
    assert!(made(&outcome).is_empty(), "{outcome}");
}

#[test]
fn trusted_keys_that_disagree_are_reported_with_both_names() {
    let (shared, _first) = Shared::filled();
    let other = SecretKey::generate("audit-1".parse().unwrap()).unwrap();
    let mut trace = traces(&shared, "app").remove(0).trace;
    let (ours, theirs) = (trace.outputs[&OutputName::out()].clone(), "/kiln/store/zzz0pkn2fan0wl15k96v2md0n20vgdrp-app".parse().unwrap());
    trace.outputs.insert(OutputName::out(), theirs);
    let place = shared.traces_of("app").with_file_name("audit-1");
    fs::write(place, write_traces(&[SignedTrace::new(trace, &other)]).unwrap()).unwrap();
    let second = Project::new().recipe(RECIPE);
    let outcome = shared.build(&second, &["app", "--trusted-key", &other.public().to_string()]).success();
    let finding = outcome.json()["disagreements"][0].clone();
    assert_eq!(finding["name"], "app", "{outcome}");
    let signers: Vec<_> = finding["claims"].as_array().unwrap().iter().map(|claim| claim["signers"][0].as_str().unwrap()).collect();
    assert!(signers.contains(&"team-1") && signers.contains(&"audit-1"), "{outcome}");
    assert!(made(&outcome).is_empty(), "{outcome}");
    assert_eq!(outcome.json()["targets"][0]["path"], ours.to_string());
    outcome.stderr_has("audit-1").stderr_has("team-1").stderr_has("vouch for different results");
}

#[test]
fn a_projects_own_word_on_keys_counts_in_its_own_store_only() {
    let (shared, _first) = Shared::filled();
    let config = format!("[[cache]]\nurl = \"{}\"\ntrusted_keys = [\"{}\"]\n", shared.url(), shared.public());
    let second = Project::new().recipe(RECIPE).file("kiln.toml", &config).file("store/README.md", "");
    let own = second.at("store");
    let outcome = second.kiln(["--store", own.to_str().unwrap(), "build", "--json", "app"]).success();
    assert!(made(&outcome).is_empty(), "{outcome}");
    // This one is shared with other projects.
    let outcome = second.kiln(["build", "--json", "app"]).success().stderr_has("which counts in the project's own store only");
    all_built(&outcome);
    second.delete_store();
    second.write("../home/.config/kiln/kiln.toml", &config);
    let outcome = second.kiln(["build", "--json", "app"]).success().stderr_lacks("own store only");
    assert!(made(&outcome).is_empty(), "{outcome}");
}
