//! `kiln build --rebuild`: whether a target comes out the same again.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::Project;

const MOODY: &str = r#"
moody = sh("moody", """
mkdir $out
head -c 8 /dev/urandom | od -An -tx1 | tr -d ' \n' > /build/word
word=$(cat /build/word)
echo $word > $out/random
echo $word > $out/named-$word
ln -s $word $out/link
echo same > $out/same
echo $out > $out/own
""")
steady = sh("steady", "mkdir $out; echo $out > $out/own")
targets = {"moody": moody, "steady": steady}
"#;

#[test]
fn every_file_that_differs_is_named() {
    let project = Project::new().recipe(MOODY);
    let first = project.kiln(["build", "moody"]).success();
    let second = project.kiln(["build", "moody", "--rebuild"]).code(4).built(&["moody"]);
    assert_ne!(first.path(), second.path());
    let word = |path: std::path::PathBuf| project.read(path.join("random")).trim_end().to_owned();
    let (before, now) = (word(first.path()), word(second.path()));
    let change = format!("before /kiln/store/{}, now /kiln/store/{}", first.object(), second.object());
    let second = second
        .stderr_has(&change)
        .stderr_has(&format!("    named-{before} was there before only\n"))
        .stderr_has(&format!("    named-{now} is new\n"))
        .stderr_has("    link points elsewhere\n")
        .stderr_has("    random has other bytes\n")
        .hint("times, paths, core counts");
    // A file that differs only in the object's own digest is no difference.
    second.stderr_lacks("    own ").stderr_lacks("    same ");
    project.sound();
}

#[test]
fn a_disagreement_changes_nothing_for_the_next_build() {
    let project = Project::new().recipe(MOODY);
    let first = project.kiln(["build", "moody"]).success();
    project.kiln(["build", "moody", "--rebuild"]).code(4);
    project.kiln(["build", "moody"]).success().built(&[]).stdout(&first.out);
}

#[test]
fn a_reproducible_target_is_built_again_and_found_equal() {
    let project = Project::new().recipe(MOODY);
    let first = project.kiln(["build", "steady"]).success();
    project.kiln(["build", "steady", "--rebuild"]).success().built(&["steady"]).stdout(&first.out).stderr_lacks("differ");
}

#[test]
fn differences_are_facts_in_json_too() {
    let project = Project::new().recipe(MOODY);
    let first = project.kiln(["build", "moody"]).success();
    let json = project.kiln(["build", "moody", "--rebuild", "--json"]).code(4).json();
    let difference = &json["differences"][0];
    assert_eq!(difference["name"], "moody");
    assert_eq!(difference["output"], "out");
    assert_eq!(difference["before"], format!("/kiln/store/{}", first.object()));
    assert_eq!(difference["now"], json["targets"][0]["path"]);
    let kinds: Vec<_> = difference["files"].as_array().unwrap().iter().map(|file| file["kind"].as_str().unwrap()).collect();
    let mut sorted = kinds.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["content", "gone", "new", "target"]);
}

#[test]
fn without_the_former_object_the_difference_is_still_told() {
    let project = Project::new().recipe(MOODY);
    project.kiln(["build", "moody"]).success();
    project.kiln(["gc"]).success();
    let again = project.kiln(["build", "moody", "--rebuild"]).code(4);
    again.stderr_has("the former result is no longer in the store, so its files cannot be compared");
}

#[test]
fn an_output_that_is_a_file_or_a_link_is_compared_as_such() {
    let project = Project::new().recipe(
        r#"
targets = {
    "file": sh("file", "head -c 20 /dev/urandom > $out"),
    "link": sh("link", "ln -s /etc/$(head -c 8 /dev/urandom | md5sum | head -c 8) $out"),
}
"#,
    );
    for (target, text) in [("file", "the output itself has other bytes"), ("link", "the output itself points elsewhere")] {
        project.kiln(["build", target]).success();
        project.kiln(["build", target, "--rebuild"]).code(4).stderr_has(text);
    }
}

#[test]
fn a_link_to_a_folder_of_this_machine_is_not_followed() {
    let project = Project::new().recipe(
        r#"targets = {"link": sh("link", "ln -s /usr/$(head -c 1 /dev/urandom | od -An -tu1 | tr -d ' ' | grep -q '[02468]$' && echo bin || echo lib) $out")}"#,
    );
    project.kiln(["build", "link"]).success();
    for _ in 0..20 {
        let again = project.kiln(["build", "link", "--rebuild"]);
        if again.status.code() == Some(4) {
            again.stderr_has("the output itself points elsewhere").stderr_lacks("no longer in the store");
            return;
        }
    }
    panic!("twenty links were all the same");
}

#[test]
fn a_former_result_that_is_damaged_is_called_so() {
    let project = Project::new().recipe(MOODY);
    let first = project.kiln(["build", "moody"]).success();
    let file = first.path().join("random");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&file, "changed").unwrap();
    let again = project.kiln(["build", "moody", "--rebuild"]).code(4);
    again.stderr_has("the former result is damaged");
}
