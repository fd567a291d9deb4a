//! Machines that share a server: pushing, pulling and making room, all over HTTP.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use kiln::cache::signing::SecretKey;

use super::Served;
use super::served::token;
use crate::support::{Outcome, Project};

const RECIPE: &str = r#"
lib = sh("lib", "mkdir $out; echo library > $out/lib; echo $out > $out/self")
app = sh("app", "echo making the app; echo $lib > $out", inputs = {"lib": lib})
alone = sh("alone", "echo alone > $out")
targets = {"app": app, "lib": lib, "alone": alone}
"#;

/// A server, what lets in, and a key.
struct Team {
    served: Served,
    push: String,
    admin: String,
    key: SecretKey,
}

impl Team {
    fn new() -> Self {
        let mut tokens = Vec::new();
        let secret = |header: String| header.trim().rsplit(' ').next().unwrap().to_owned();
        let served = Served::prepared(&["--tokens", "{}/tokens", "--public"], |dir| {
            tokens = ["push", "admin"].map(|scope| secret(token(dir, scope, scope))).to_vec();
        });
        let key = SecretKey::generate("team-1".parse().unwrap()).unwrap();
        fs::write(served.beside("key"), key.secret_text()).unwrap();
        let (admin, push) = (tokens.pop().unwrap(), tokens.pop().unwrap());
        Self { served, push, admin, key }
    }

    fn push(&self, project: &Project, what: &[&str]) -> Outcome {
        let (url, key) = (self.served.url(""), self.served.beside("key"));
        project.kiln([&["cache", "push", "--json", "--to", &url, "--key", key.to_str().unwrap()], what].concat())
    }

    /// A project on a machine that has this token.
    fn member(&self, token: &str) -> Project {
        Project::new().recipe(RECIPE).env("KILN_CACHE_TOKEN", token)
    }

    fn has(&self, name: &str) -> bool {
        let narinfos = fs::read_dir(self.served.dir()).unwrap().map(|entry| entry.unwrap().path());
        let mut narinfos = narinfos.filter(|path| path.extension().is_some_and(|kind| kind == "narinfo"));
        narinfos.any(|path| fs::read_to_string(path).unwrap().contains(&format!("-{name}\n")))
    }

    fn count(&self, dir: &str) -> usize {
        fs::read_dir(self.served.dir().join(dir)).map_or(0, Iterator::count)
    }
}

/// Makes all files look as if written and read that long ago.
fn age(dir: &Path, age: Duration) {
    let then = SystemTime::now() - age;
    for entry in walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file()) {
        let times = fs::FileTimes::new().set_modified(then).set_accessed(then);
        fs::File::open(entry.path()).unwrap().set_times(times).unwrap();
    }
}

#[test]
fn what_one_machine_pushes_over_http_another_one_takes() {
    let team = Team::new();
    let first = team.member(&team.push);
    first.kiln(["build", "app", "alone"]).success();
    let pushed = team.push(&first, &["app"]).success().json();
    assert_eq!((&pushed["objects"], &pushed["traces"]), (&2.into(), &2.into()), "{pushed}");
    assert_eq!((team.count("nar"), team.count("kiln/leases")), (2, 0));
    let second = Project::new().recipe(RECIPE);
    let (url, key) = (team.served.url(""), team.key.public().to_string());
    let outcome = second.kiln(["build", "--json", "app", "--cache", &url, "--trusted-key", &key]).success().json();
    assert!(outcome["built"].as_array().unwrap().is_empty() && outcome["pulled"]["objects"] == 2, "{outcome}");
    second.sound();
    let again = team.push(&first, &["app"]).success().json();
    assert_eq!((&again["objects"], &again["present"], &again["sent"]), (&0.into(), &2.into(), &0.into()));
}

#[test]
fn a_token_for_pushing_does_not_collect_and_one_for_everything_does() {
    let team = Team::new();
    let (first, admin, url) = (team.member(&team.push), team.member(&team.admin), team.served.url(""));
    first.kiln(["build", "app", "alone"]).success();
    team.push(&first, &["app", "alone"]).success();
    age(&team.served.dir(), Duration::from_secs(60 * 24 * 3600));
    first.kiln(["cache", "gc", &url, "--older-than", "30d"]).code(1).stderr_has("scope admin");
    // Pushed again, it counts as used, and so does what it refers to.
    team.push(&first, &["app"]).success();
    admin.kiln(["cache", "gc", &url, "--older-than", "30d"]).success().stdout_has("removed 1 objects; 2 kept");
    assert!(team.has("app") && team.has("lib") && !team.has("alone"));
    admin.kiln(["cache", "verify", "--read", &url]).success();
}

#[test]
fn what_a_push_relies_on_stays_although_it_is_old() {
    let team = Team::new();
    let (first, admin, url) = (team.member(&team.push), team.member(&team.admin), team.served.url(""));
    first.kiln(["build", "app"]).success();
    team.push(&first, &["app"]).success();
    age(&team.served.dir(), Duration::from_secs(24 * 3600));
    let app = first.kiln(["build", "app"]).success().object();
    let mut client = team.served.client();
    let header = format!("Authorization: Bearer {}\r\n", team.push);
    let lease = format!("kiln-lease 1\n{}.narinfo\n", &app[..32]);
    assert_eq!(client.put("/kiln/leases/0123-0", &header, b"a lease").status, 422);
    assert_eq!(client.put("/kiln/leases/0123-0", "", lease.as_bytes()).status, 401);
    assert_eq!(client.put("/kiln/collector/mark", &header, b"kiln-collector 1\nidle x\n").status, 403, "that is the collector's");
    assert_eq!(client.put("/kiln/leases/0123-0", &header, lease.as_bytes()).status, 201);
    admin.kiln(["cache", "gc", &url, "--max-size", "0"]).success().stdout_has("removed 0 objects; 2 kept");
    assert_eq!(client.ask("DELETE", "/kiln/leases/0123-0", &header).status, 204);
    admin.kiln(["cache", "gc", &url, "--max-size", "0"]).success().stdout_has("removed 2 objects; 0 kept");
}
