//! What a new user does first, with the registries: `kiln init`, `kiln build`; and the advice about a Debian source.

use std::process::Command;

use crate::support::Project;

#[test]
fn a_new_project_builds_and_its_program_runs() {
    let place = Project::bare();
    place
        .kiln(["init", "new"])
        .success()
        .stdout_has("new/derivations/locks/debian.json\n")
        .stdout_has("  kiln build app --out-link result\n");
    place.kiln(["--project", "new", "build", "app", "--out-link", "result"]).success().stderr_has("3 built");
    let said = Command::new(place.at("result/bin/hello")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "hello from a build that saw nothing but its inputs\n");
    // A root with glibc has the locale that every build runs in.
    assert!(place.objects().iter().any(|name| name.starts_with("libc-bin_")), "{:?}", place.objects());
}

#[test]
fn a_source_package_is_described_as_recipes_name_it() {
    let place = Project::bare();
    let printed = place.kiln(["lock", "debian", "--source", "hello", "--suite", "bookworm"]).success();
    printed.stdout_has(
        "fetch_debian(\"pool/main/h/hello/hello_2.10.orig.tar.gz\", sha256 = \"31e066137a962676e89f69d1b65382de95a7ef7d914b8cb956f41ea72e0f516b\")\n",
    );
    place.kiln(["lock", "debian", "--source", "no-such-source"]).code(1).stderr_has("there is no source package `no-such-source`");
}
