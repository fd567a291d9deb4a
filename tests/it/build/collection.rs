//! `kiln gc`: what it keeps, and what it removes.

use std::fs;
use std::os::unix::process::CommandExt as _;

use crate::support::{Project, eventually, processes, unique};

const SEVERAL: &str = r#"
base = sh("base", "echo base > $out")
top = sh("top", "echo $base > $out", inputs = {"base": base})
alone = sh("alone", "echo alone > $out")
targets = {"base": base, "top": top, "alone": alone}
"#;

#[test]
fn without_roots_everything_goes() {
    let project = Project::new().recipe(SEVERAL);
    project.kiln(["build", "top", "alone"]).success();
    project.kiln(["gc", "--dry-run"]).success().stdout_has("would remove 4 objects").stdout_has("0 kept");
    assert_eq!(project.objects(), ["alone", "base", "busybox", "top"]);
    project.kiln(["gc"]).success().stdout_has("removed 4 objects");
    assert_eq!(project.objects(), [""; 0]);
    assert_eq!(fs::read_dir(project.store().join("objects")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(project.store().join("trash")).unwrap().count(), 0);
    project.sound();
}

#[test]
fn an_out_link_keeps_its_target_and_all_it_refers_to() {
    let project = Project::new().recipe(SEVERAL);
    let built = project.kiln(["build", "top", "alone", "--out-link", "result"]).success();
    assert_eq!(fs::read_link(project.at("result-top")).unwrap(), built.path());
    project.kiln(["gc"]).success();
    assert_eq!(project.objects(), ["alone", "base", "top"]);
    // A link that is gone, or points elsewhere, keeps nothing.
    fs::remove_file(project.at("result-alone")).unwrap();
    project.kiln(["gc"]).success();
    assert_eq!(project.objects(), ["base", "top"]);
    fs::remove_file(project.at("result-top")).unwrap();
    std::os::unix::fs::symlink("/nowhere", project.at("result-top")).unwrap();
    project.kiln(["gc"]).success();
    assert_eq!(project.objects(), [""; 0]);
}

#[test]
fn a_link_that_cannot_be_read_keeps_its_target() {
    let mut project = Project::new().recipe(SEVERAL);
    if crate::support::is_root() {
        project = project.user(crate::support::OTHER_USER);
    }
    let links = project.dir().join("home/links");
    project.program("mkdir").arg(&links).status().unwrap();
    let top = project.kiln(["build", "top", "--out-link", links.join("result").to_str().unwrap()]).success().path();
    let mode = |mode| fs::set_permissions(&links, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    mode(0o000);
    project.kiln(["store", "roots"]).success().stdout_has("unknown  ");
    let collected = project.kiln(["gc"]).success().stdout_has("; 2 kept");
    collected.stderr_has("links/result` cannot be looked at: Permission denied");
    mode(0o755);
    assert_eq!(fs::read_link(links.join("result")).unwrap(), top);
    assert_eq!(project.objects(), ["base", "top"]);
    project.kiln(["store", "roots"]).success().stdout_has("link  ");
    fs::remove_file(links.join("result")).unwrap();
    project.kiln(["gc"]).success().stdout_has("; 0 kept");
}

#[test]
fn a_project_that_was_moved_keeps_what_its_links_keep() {
    let project = Project::new().recipe(SEVERAL);
    let store = |dir: &str| project.dir().join(dir).join("store").to_str().unwrap().to_owned();
    project.kiln(["--store", &store("project"), "build", "top", "--out-link", "result"]).success();
    fs::rename(project.at(""), project.dir().join("moved")).unwrap();
    fs::create_dir(project.at("")).unwrap();
    let collected = project.kiln(["--store", &store("moved"), "gc"]).success().stdout_has("; 2 kept");
    collected.stderr_has("is now at").stderr_has("moved/result`");
}

#[test]
fn nobody_else_reaches_into_a_running_builder() {
    if !crate::support::is_root() {
        return crate::support::skip("needs root, to be another user");
    }
    let go_on = unique();
    let script = format!("echo secret > /tmp/secret; until [ -e /tmp/{go_on} ]; do sleep 0.1; done; echo done > $out");
    let project = Project::new().recipe(&format!("targets = {{\"x\": sh(\"x\", \"{script}\")}}"));
    let builds = project.store().join("builds");
    let running = project.start(["build", "x"]);
    let mut tmp = builds.clone();
    eventually("the builder's file", || {
        let entries = fs::read_dir(&builds).into_iter().flatten().flatten().map(|entry| entry.path().join("tmp"));
        entries.into_iter().find(|tmp| tmp.join("secret").exists()).map(|found| tmp = found).is_some()
    });
    let as_other = |script: &str| {
        let mut command = project.program("/bin/sh");
        command.uid(1234).args(["-c", script]).arg(&tmp).stderr(std::process::Stdio::null()).status().unwrap().success()
    };
    assert!(!as_other("cd $0") && !as_other("cat $0/secret") && !as_other("echo > $0/other"));
    fs::write(tmp.join(&go_on), "").unwrap();
    running.wait().success();
}

#[test]
fn what_roots_failed_build_left_in_a_users_store_is_the_users() {
    if !crate::support::is_root() {
        return crate::support::skip("needs root, to build in another user's store");
    }
    let recipe = r#"targets = {"x": sh("x", "mkdir -p $out/d /tmp/t; echo left > /build/left; chmod 555 $out/d; exit 1")}"#;
    let project = Project::new().recipe(recipe).user(crate::support::OTHER_USER);
    project.kiln(["store", "add", "derivations"]).success();
    let mut as_root = project.command(["build", "x"]);
    let failed = as_root.uid(0).gid(0).output().unwrap();
    assert!(String::from_utf8_lossy(&failed.stderr).contains("the builder ended with exit code 1"), "{failed:?}");
    let mut as_root = project.command(["shell", "--failed", "x", "--", "/bin/cat", "/build/left"]);
    let entered = as_root.uid(0).gid(0).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&entered.stdout), "left\n", "{entered:?}");
    project.kiln(["shell", "--failed", "x", "--", "/bin/cat", "/build/left"]).success().stdout_has("left");
    let collected = project.kiln(["gc"]).success().stdout_has("1 scratch directories");
    collected.stderr_lacks("in doubt");
    assert_eq!(fs::read_dir(project.store().join("trash")).unwrap().count(), 0);
}

#[test]
fn an_out_link_is_replaced_but_nothing_else_is() {
    let project = Project::new().recipe(SEVERAL).file("precious", "mine");
    project.kiln(["build", "top", "--out-link", "result"]).success();
    let alone = project.kiln(["build", "alone", "--out-link", "result"]).success();
    assert_eq!(fs::read_link(project.at("result")).unwrap(), alone.path());
    let failed = project.kiln(["build", "alone", "--out-link", "precious"]);
    assert!(!failed.status.success(), "{failed}");
    assert_eq!(project.read(project.at("precious")), "mine");
}

#[test]
fn a_pin_keeps_an_object_until_it_is_taken_away() {
    let project = Project::new().recipe(SEVERAL);
    let top = project.kiln(["build", "top", "alone"]).success().object();
    project.kiln(["store", "pin", "mine", &top[..12]]).success();
    project.kiln(["store", "roots"]).success().stdout(&format!("pin  mine  /kiln/store/{top}\n"));
    project.kiln(["gc"]).success();
    assert_eq!(project.objects(), ["base", "top"]);
    project.kiln(["store", "unpin", "mine"]).success();
    project.kiln(["store", "unpin", "mine"]).code(2).stderr_has("there is no pin `mine`").hint("kiln store roots");
    project.kiln(["gc"]).success();
    assert_eq!(project.objects(), [""; 0]);
}

#[test]
fn what_a_running_build_reads_and_makes_is_kept() {
    let mark = unique();
    let recipe = r#"
base = sh("base", "echo base > $out")
slow = sh("slow", "sh -c 'sleep 2; : MARK'; cat $base > $out", inputs = {"base": base})
targets = {"slow": slow, "base": base}
"#;
    let project = Project::new().recipe(&recipe.replace("MARK", &mark));
    let running = project.start(["build", "slow"]);
    eventually("the sandbox is entered", || !processes(&mark).is_empty());
    // The base is registered while its user already runs.
    eventually("the base is valid", || project.objects().contains(&"base".to_owned()));
    project.kiln(["gc"]).success().stdout_has("removed 0 objects");
    assert_eq!(project.objects(), ["base", "busybox"]);
    let built = running.wait().success();
    assert_eq!(project.read(built.path()), "base\n");
    project.kiln(["gc"]).success().stdout_has("removed 3 objects");
    project.sound();
}

#[test]
fn what_is_known_survives_the_collection() {
    let project = Project::new().recipe(SEVERAL);
    let top = project.kiln(["build", "top"]).success();
    project.kiln(["gc"]).success();
    project.kiln(["info", "top"]).success().stdout_has(&top.object()).stdout_has("known, but not in this store any more");
    project.kiln(["build", "top"]).success().stdout(&top.out).built(&["base", "top"]);
}

#[test]
fn failed_builds_can_be_entered_until_they_are_collected() {
    let project = Project::new().recipe(r#"targets = {"x": sh("x", "echo trace > /build/left; exit 1")}"#);
    project.kiln(["build", "x"]).code(1).hint("`kiln shell --failed x`");
    project.kiln(["shell", "--failed", "x", "--", "/bin/cat", "/build/left"]).success().stdout("trace\n");
    project.kiln(["shell", "x", "--", "/bin/ls", "/build"]).success().stdout("");
    project.kiln(["gc"]).success();
    let gone = project.kiln(["shell", "--failed", "x", "--", "/bin/true"]).code(2);
    gone.stderr_has("no failed build of x is kept").hint("leave `--failed` out");
}
