//! Files that cannot be fetched, or are not what they should be.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{Project, Reply, Server, eventually, sha256};

/// A project that fetches from `server` alone: pip's and apt's own settings are out of the way, and nothing is tried twice.
fn project(server: &Server, fetch: &str) -> Project {
    let mirrors =
        format!("[mirrors]\npypi = [\"{}\"]\ndebian = [\"{}\"]\n[fetch]\nattempts = 1\n", server.url("/simple"), server.url("/debian"));
    let recipe = format!("fetched = {fetch}\ntargets = {{\"x\": sh(\"x\", \"cp $fetched $out\", inputs = {{\"fetched\": fetched}})}}");
    Project::new().file("kiln.toml", mirrors).recipe(&recipe).env("PIP_NO_INDEX", "1")
}

/// Nothing of a failed fetch is in the store.
fn untouched(project: &Project) {
    assert_eq!(project.objects().iter().filter(|name| *name != "busybox").count(), 0);
    project.sound();
}

#[test]
fn each_registrys_file_is_fetched_once_and_checked() {
    let server = Server::start();
    let (one, two, three) = (sha256(b"one"), sha256(b"two"), sha256(b"three"));
    server.serve("/one.tar", Reply::file("one"));
    server.serve("/debian/pool/main/t/two.deb", Reply::file("two"));
    server.serve("/simple/three/", Reply::index(&[("three-1.tar.gz", "../../files/three-1.tar.gz", &three)]));
    server.serve("/files/three-1.tar.gz", Reply::file("three"));
    let url = server.url("/one.tar");
    let project = project(
        &server,
        &format!(
            "fetch_url([\"{url}\"], sha256 = \"{one}\")\n\
             deb = fetch_debian(\"pool/main/t/two.deb\", sha256 = \"{two}\")\n\
             pypi = fetch_pypi(\"Three\", \"three-1.tar.gz\", sha256 = \"{three}\")\n\
             both = sh(\"both\", \"cat $deb $pypi > $out\", inputs = {{\"deb\": deb, \"pypi\": pypi}})"
        ),
    );
    project.write(
        "derivations/default.star",
        project.read(project.at("derivations/default.star")).replace("targets = {", "targets = {\"both\": both, "),
    );
    let built = project.kiln(["build", "x", "both"]).success().stderr_has("2 built, 3 fetched");
    assert_eq!(project.read(built.path()), "one");
    assert_eq!(project.read(built.out.lines().nth(1).unwrap()), "twothree");
    let asked = server.requests().len();
    project.kiln(["build", "x", "both", "--rebuild"]).success();
    assert_eq!(server.requests().len(), asked);
    project.sound();
}

#[test]
fn a_file_that_is_not_the_declared_one_is_refused() {
    let server = Server::start();
    server.serve("/data", Reply::file("malicious"));
    let (wanted, got) = (sha256(b"expected"), sha256(b"malicious"));
    let project = project(&server, &format!("fetch_url([\"{}\"], sha256 = \"{wanted}\")", server.url("/data")));
    let failed = project.kiln(["build", "x"]).code(1);
    failed
        .stderr_has("error: cannot make data: cannot fetch data: the file that was found is not the declared one")
        .stderr_has(&format!("wanted  sha256 {wanted}"))
        .stderr_has(&format!("got     sha256 {got}   from {}", server.url("/data")))
        .stderr_has("declared at derivations/default.star:2:11")
        .hint("correct the address or the hash in the recipe");
    untouched(&project);
}

#[test]
fn a_version_that_left_the_debian_mirror_names_the_lock_command() {
    let server = Server::start();
    let project = project(&server, &format!("fetch_debian(\"pool/main/x/x_1.deb\", sha256 = \"{}\")", sha256(b"x")));
    // The machine's own apt sources are no part of this test.
    let failed = project.in_namespaces("mount -t tmpfs none /etc/apt", "exec $KILN build x").code(1);
    failed
        .stderr_has("cannot fetch x_1.deb: no configured Debian mirror has it")
        .stderr_has(&server.url("/debian"))
        .hint("`kiln lock debian`");
    untouched(&project);
}

#[test]
fn a_version_that_left_the_index_names_the_lock_command() {
    let server = Server::start();
    server.serve("/simple/six/", Reply::index(&[("six-1.17.0.tar.gz", "/six-1.17.0.tar.gz", &sha256(b"newer"))]));
    let project = project(&server, &format!("fetch_pypi(\"six\", \"six-1.16.0.tar.gz\", sha256 = \"{}\")", sha256(b"x")));
    let failed = project.kiln(["build", "x"]).code(1);
    failed.stderr_has("cannot fetch six-1.16.0.tar.gz: no configured Python package index has it").hint("`kiln lock pypi`");
    untouched(&project);
}

#[test]
fn an_index_that_announces_another_file_is_not_downloaded_from() {
    let server = Server::start();
    let other = sha256(b"other");
    server.serve("/simple/six/", Reply::index(&[("six-1.16.0.tar.gz", "/six-1.16.0.tar.gz", &other)]));
    let project = project(&server, &format!("fetch_pypi(\"six\", \"six-1.16.0.tar.gz\", sha256 = \"{}\")", sha256(b"x")));
    project.kiln(["build", "x"]).code(1).stderr_has("is not the declared one").stderr_has(&other).hint("`kiln lock pypi`");
    assert_eq!(server.requests(), ["/simple/six/"]);
    untouched(&project);
}

#[test]
fn without_any_mirror_kiln_says_how_to_set_one() {
    let hash = sha256(b"x");
    let pypi = Project::new()
        .env("PIP_NO_INDEX", "1")
        .recipe(&format!("targets = {{\"x\": fetch_pypi(\"six\", \"six-1.16.0.tar.gz\", sha256 = \"{hash}\")}}"));
    let failed = pypi.kiln(["build", "x"]).code(1);
    failed
        .stderr_has("this machine has no Python package index configured")
        .hint("set `pypi = [\"…/simple\"]` under [mirrors] in kiln.toml");
    let debian = Project::new().recipe(&format!("targets = {{\"x\": fetch_debian(\"pool/main/x/x_1.deb\", sha256 = \"{hash}\")}}"));
    let failed = debian.in_namespaces("mount -t tmpfs none /etc/apt", "exec $KILN build x").code(1);
    failed.stderr_has("this machine has no Debian mirror configured").hint("set `debian = [\"…\"]` under [mirrors] in kiln.toml");
    untouched(&debian);
}

#[test]
fn a_file_that_is_added_by_hand_satisfies_the_fetch() {
    let project = Project::new()
        .recipe(&format!("targets = {{\"x\": fetch_pypi(\"six\", \"six-1.16.0.tar.gz\", sha256 = \"{}\")}}", sha256(b"six")))
        .env("PIP_NO_INDEX", "1")
        .file("six-1.16.0.tar.gz", "six");
    let failed = project.kiln(["build", "x"]).code(1);
    drop(failed);
    project.kiln(["store", "add", "--flat", "six-1.16.0.tar.gz"]).success();
    let built = project.kiln(["build", "x"]).success();
    assert_eq!(project.read(built.path()), "six");
}

#[test]
fn a_server_that_is_not_there_is_told_from_a_file_that_is_not() {
    let project = Project::new()
        .recipe(&format!("targets = {{\"x\": fetch_url([\"http://127.0.0.1:1/data\"], sha256 = \"{}\")}}", sha256(b"x")))
        .file("kiln.toml", "[fetch]\nattempts = 1\n");
    let failed = project.kiln(["build", "x"]).code(1);
    failed.stderr_has("no address could serve it").stderr_has("http://127.0.0.1:1/data: nothing listens there").hint("check the network");
    project.sound();
}

#[test]
fn a_setting_that_kiln_does_not_know_is_refused() {
    let server = Server::start();
    let project = project(
        &server,
        "fetch_url([\"http://127.0.0.1:1/data\"], sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\")",
    );
    project.write("kiln.toml", "[mirrors]\npipy = []\n");
    project.kiln(["build", "x"]).code(2).stderr_has("kiln.toml:2: `mirrors.pipy` is no setting of kiln; did you mean `mirrors.pypi`?");
}

#[test]
fn ctrl_c_does_not_wait_for_a_silent_server() {
    let server = Server::start();
    server.serve("/data", Reply::file("some bytes").stalling(4));
    let project = project(&server, &format!("fetch_url([\"{}\"], sha256 = \"{}\")", server.url("/data"), sha256(b"some bytes")));
    let running = project.start(["build", "x"]);
    eventually("the server is asked", || !server.requests().is_empty());
    std::thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    running.signal(Signal::SIGINT);
    running.wait().code(130).stderr_has("error: stopped; what was finished is kept");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(std::fs::read_dir(project.store().join("builds")).unwrap().count(), 0);
    untouched(&project);
}
