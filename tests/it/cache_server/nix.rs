//! Debian's Nix as a client: it reads a served cache, verifies what it copied, and pushes to it.

use std::path::Path;
use std::process::Command;

use super::served::token;
use super::{Served, entry};
use crate::support::{Outcome, Running, Scratch, skip};

/// A Nix that shares nothing with the machine's.
struct Nix(Scratch);

impl Nix {
    /// `None`, with the reason printed, if it is not installed.
    fn find() -> Option<Self> {
        if Command::new("nix").arg("--version").output().is_err() {
            skip("`nix` is not installed (Debian: nix-bin)");
            return None;
        }
        let dir = Scratch::new();
        std::fs::create_dir_all(dir.path().join("etc")).unwrap();
        std::fs::create_dir_all(dir.path().join("home")).unwrap();
        let settings = "experimental-features = nix-command\nbuild-users-group =\nsubstituters =\nrequire-sigs = true\n";
        std::fs::write(dir.path().join("etc/nix.conf"), settings).unwrap();
        Some(Self(dir))
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, words: &[&str]) -> Outcome {
        let mut command = Command::new("nix");
        command.args(words).env("HOME", self.at("home")).env("XDG_CACHE_HOME", self.at("home/.cache")).env("USER", "somebody");
        command
            .env("NIX_REMOTE", "")
            .env("NIX_STORE_DIR", "/kiln/store")
            .env("NIX_CONF_DIR", self.at("etc"))
            .env("NIX_STATE_DIR", self.at("var"));
        command.env("NIX_LOG_DIR", self.at("log")).env("no_proxy", "*").env("NO_PROXY", "*");
        Running::start(command).wait()
    }

    fn store(&self, name: &str) -> String {
        format!("local?root={}", self.at(name).display())
    }
}

fn netrc(file: &Path, header: &str) {
    let secret = header.trim().rsplit(' ').next().unwrap();
    std::fs::write(file, format!("machine 127.0.0.1\nlogin kiln\npassword {secret}\n")).unwrap();
}

#[test]
fn nix_copies_from_a_served_cache_verifies_and_pushes_to_another() {
    let Some(nix) = Nix::find() else { return };
    let served = Served::start(&[]);
    let dep = entry("dep", b"dep\n", &[]);
    let top = entry("top", format!("refers to {}\n", dep.path).as_bytes(), &[&dep]);
    [&dep, &top].into_iter().for_each(|entry| entry.lay(&served.dir()));
    let (top_path, here) = (top.path.to_string(), nix.store("one"));
    nix.run(&["copy", "--from", &served.url(""), "--to", &here, &top_path]).success();
    nix.run(&["store", "verify", "--store", &here, "--no-trust", "--all"]).success();
    assert_eq!(std::fs::read_to_string(nix.at("one/nix/store").join(dep.path.base_name())).unwrap(), "dep\n");
    nix.run(&["store", "verify", "--store", &served.url(""), "--no-trust", &top_path]).success();
    // As a store, without copying.
    let infos = nix.run(&["path-info", "--store", &served.url(""), "--json", "-r", &top_path]).success().json();
    assert_eq!(infos.as_array().unwrap().len(), 2);
    // To another server, with a token out of a netrc file.
    let mut header = String::new();
    let other = Served::prepared(&["--tokens", "{}/tokens"], |dir| header = token(dir, "ci", "push"));
    let refused = nix.run(&["copy", "--from", &here, "--to", &other.url("?compression=zstd"), &top_path]);
    assert_ne!(refused.status.code(), Some(0));
    netrc(&nix.at("netrc"), &header);
    let file = nix.at("netrc");
    let words =
        ["--option", "netrc-file", file.to_str().unwrap(), "copy", "--from", &here, "--to", &other.url("?compression=zstd"), &top_path];
    nix.run(&words).success();
    let mut client = other.client();
    for entry in [&dep, &top] {
        let info: kiln::model::NarInfo = client.ask("GET", &entry.narinfo(), &header).text().parse().unwrap();
        assert_eq!((&info.path, info.nar_hash, &info.references), (&entry.path, entry.info.nar_hash, &entry.info.references));
    }
}
