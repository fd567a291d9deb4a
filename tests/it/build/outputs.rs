//! What builders leave behind, and what becomes of it in the store.

use std::os::unix::fs::MetadataExt as _;

use walkdir::WalkDir;

use crate::support::Project;

fn references(project: &Project, object: &str) -> Vec<String> {
    let json = project.kiln(["store", "refs", &format!("/kiln/store/{object}"), "--json"]).success().json();
    json.as_array().unwrap().iter().map(|path| path.as_str().unwrap()["/kiln/store/".len()..].to_owned()).collect()
}

#[test]
fn several_outputs_refer_to_each_other_by_their_final_names() {
    let project = Project::new().recipe(
        r#"
multi = sh("multi", "echo text > $lib; echo $lib > $out; echo $out $lib > $doc", outputs = ["out", "lib", "doc"])
user = sh("user", "cat $(cat $doc) > $out", inputs = {"doc": multi.output("doc")})
targets = {"multi": multi, "lib": multi.output("lib"), "doc": multi.output("doc"), "user": user}
"#,
    );
    let multi = project.kiln(["build", "multi", "lib", "doc"]).success().built(&["multi"]);
    let objects: Vec<_> = multi.out.lines().map(|line| line.rsplit('/').next().unwrap()).collect();
    let [out, lib, doc] = objects[..] else { panic!("{multi}") };
    assert!(out.ends_with("-multi") && lib.ends_with("-multi-lib") && doc.ends_with("-multi-doc"), "{multi}");
    assert_eq!(project.read(multi.path()), format!("/kiln/store/{lib}\n"));
    assert_eq!(references(&project, out), [lib]);
    assert_eq!(references(&project, lib), [""; 0]);
    let mut expected = [out, lib];
    expected.sort_unstable();
    assert_eq!(references(&project, doc), expected);
    // A consumer of one output sees all that it refers to.
    let user = project.kiln(["build", "user"]).success();
    assert_eq!(project.read(user.path()), format!("/kiln/store/{lib}\ntext\n"));
    project.sound();
}

#[test]
fn inputs_that_are_files_directories_and_links_are_each_themselves() {
    let project = Project::new().recipe(
        r#"
files = {"f%d" % i: sh("f%d" % i, "echo %d > $out" % i) for i in range(5)}
others = {"dir": sh("dir", "mkdir $out; echo in > $out/file"), "link": sh("link", "ln -s nowhere $out")}
see = "cat $f0 $f1 $f2 $f3 $f4 $dir/file; readlink $link; for file in $f0 $f4; do (echo x > $file) 2>/dev/null || echo kept; done"
targets = {"x": sh("x", "{ %s; } > $out" % see, inputs = dict(files.items() + others.items()))}
"#,
    );
    let built = project.kiln(["build", "x"]).success();
    assert_eq!(project.read(built.path()), "0\n1\n2\n3\n4\nin\nnowhere\nkept\nkept\n");
    project.sound();
}

#[test]
fn outputs_that_refer_to_each_other_in_a_circle_are_refused() {
    let project = Project::new().recipe(r#"targets = {"x": sh("x", "echo $lib > $out; echo $out > $lib", outputs = ["out", "lib"])}"#);
    let failed = project.kiln(["build", "x"]).code(1);
    failed.stderr_has("error: cannot make x: the outputs").stderr_has("x-lib").stderr_has("refer to each other in a circle");
    assert_eq!(project.objects(), ["busybox"]);
    project.sound();
}

#[test]
fn an_output_that_names_itself_is_found_under_its_final_name() {
    let project = Project::new().recipe(r#"targets = {"x": sh("x", "mkdir $out; echo $out > $out/own; ln -s $out/own $out/link")}"#);
    let built = project.kiln(["build", "x"]).success();
    let object = built.object();
    assert_eq!(project.read(built.path().join("own")), format!("/kiln/store/{object}\n"));
    assert_eq!(std::fs::read_link(built.path().join("link")).unwrap().to_str().unwrap(), format!("/kiln/store/{object}/own"));
    assert_eq!(references(&project, &object), std::slice::from_ref(&object));
    project.sound();
}

#[test]
fn a_file_name_with_the_outputs_own_digest_is_refused() {
    let project = Project::new().recipe(r#"targets = {"x": sh("x", "mkdir $out; touch $out/${out##*/}")}"#);
    project.kiln(["build", "x"]).code(1).stderr_has("has a digest of the outputs in its file name");
    project.sound();
}

#[test]
fn equal_results_of_different_recipes_are_one_object() {
    let project = Project::new().recipe(
        r#"
one = sh("same", "echo same > $out")
two = sh("same", "printf 'same\\n' > $out")
targets = {"one": one, "two": two}
"#,
    );
    let built = project.kiln(["build", "one", "two"]).success().built(&["same", "same"]);
    let lines: Vec<_> = built.out.lines().collect();
    assert_eq!(lines[0], lines[1]);
    assert_eq!(project.objects(), ["busybox", "same"]);
    project.sound();
}

#[test]
fn modes_times_and_owners_are_the_same_for_all_objects() {
    let project = Project::new().recipe(
        r#"
targets = {"x": sh("x", """
mkdir -p $out/dir/closed
echo a > $out/file; chmod 0 $out/file
echo b > $out/program; chmod 0700 $out/program
echo c > $out/open; chmod 0666 $out/open
echo d > $out/dir/closed/inner; chmod 0 $out/dir/closed/inner; chmod 0 $out/dir/closed
ln -s nowhere $out/link
ln $out/file $out/hard
chmod 1777 $out/dir
touch -d '2001-02-03 04:05:06' $out/open
""")}"#,
    );
    let built = project.kiln(["build", "x"]).success();
    let mut seen = Vec::new();
    for entry in WalkDir::new(built.path()).sort_by_file_name() {
        let entry = entry.unwrap();
        let metadata = entry.path().symlink_metadata().unwrap();
        let name = entry.path().strip_prefix(built.path()).unwrap().display().to_string();
        assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1, 0), "{name}");
        assert_eq!(metadata.uid(), nix::unistd::geteuid().as_raw(), "{name}");
        if !metadata.is_symlink() {
            seen.push(format!("{name} {:o}", metadata.mode() & 0o7777));
        }
    }
    let expected = [" 555", "dir 555", "dir/closed 555", "dir/closed/inner 444", "file 444", "hard 444", "open 444", "program 555"];
    assert_eq!(seen, expected);
    project.sound();
}

#[test]
fn an_output_may_be_a_file_or_a_link() {
    let project = Project::new().recipe(
        r#"
targets = {"file": sh("file", "echo text > $out"), "link": sh("link", "ln -s /kiln/nowhere $out")}
"#,
    );
    let built = project.kiln(["build", "file", "link"]).success();
    assert_eq!(project.read(built.path()), "text\n");
    let link = std::fs::read_link(built.out.lines().nth(1).unwrap()).unwrap();
    assert_eq!(link.to_str(), Some("/kiln/nowhere"));
    project.sound();
}
