//! Damaged objects: `kiln build --rebuild` says so and mends them, `kiln store verify --repair` gets the right bytes from wherever they are.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use kiln::cache::signing::SecretKey;

use crate::support::{Project, Reply, Scratch, Server, sha256};

const RECIPE: &str = r#"
lib = sh("lib", "mkdir $out; echo library > $out/lib; cat $data/text >> $out/lib", inputs = {"data": source("//data")})
app = sh("app", "echo app > $out; echo $lib >> $out", inputs = {"lib": lib})
targets = {"app": app, "lib": lib}
"#;

fn project() -> Project {
    Project::new().file("data/text", "text\n").recipe(RECIPE)
}

/// Where the object of this name lies.
fn object(project: &Project, name: &str) -> PathBuf {
    let entries = fs::read_dir(project.store().join("objects")).unwrap().map(|entry| entry.unwrap().path());
    entries.into_iter().find(|path| path.to_str().unwrap().ends_with(&format!("-{name}"))).unwrap()
}

fn damage(file: &Path) {
    let whole = fs::read(file).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(file, vec![b'#'; whole.len()]).unwrap();
}

#[test]
fn a_rebuild_says_that_the_stored_object_was_damaged_and_mends_it() {
    let project = project();
    let built = project.kiln(["build", "lib"]).success();
    damage(&built.path().join("lib"));
    project.kiln(["store", "verify"]).code(4).stderr_has("verify --repair");
    let again = project.kiln(["build", "lib", "--rebuild"]).success().stdout(&built.out);
    again.stderr_has(&format!("warning: /kiln/store/{} was damaged; it has the right bytes again", built.object()));
    assert_eq!(project.read(built.path().join("lib")), "library\ntext\n");
    project.sound();
}

#[test]
fn a_rebuild_names_the_mended_object_in_json() {
    let project = project();
    let built = project.kiln(["build", "app"]).success();
    fs::remove_file(built.path()).unwrap();
    let json = project.kiln(["build", "app", "--rebuild", "--json"]).success().json();
    assert_eq!(json["mended"], serde_json::json!([format!("/kiln/store/{}", built.object())]));
    project.sound();
}

#[test]
fn adding_a_tree_again_mends_it() {
    let project = project();
    let added = project.kiln(["store", "add", "data"]).success();
    damage(&object(&project, "data").join("text"));
    project.kiln(["store", "add", "data"]).success().stdout(&added.out);
    project.sound();
}

#[test]
fn the_project_repairs_what_it_makes_and_reads() {
    let project = project();
    project.kiln(["build", "app"]).success();
    for file in [object(&project, "lib").join("lib"), object(&project, "data").join("text"), object(&project, "app")] {
        damage(&file);
    }
    let repaired = project.kiln(["store", "verify", "--repair"]).success();
    repaired.stdout_has("3 damaged").stdout_has("3 mended, 0 no longer valid");
    project.sound();
    project.kiln(["build", "app"]).success().built(&[]);
}

#[test]
fn a_missing_file_is_fetched_again() {
    let server = Server::start();
    server.serve("/file", Reply::file("fetched\n"));
    let url = server.url("/file");
    let fetch = format!("targets = {{\"file\": fetch_url([\"{url}\"], sha256 = \"{}\", name = \"file\")}}", sha256(b"fetched\n"));
    let project = Project::new().recipe(&fetch);
    let built = project.kiln(["build", "file"]).success();
    fs::remove_file(built.path()).unwrap();
    project.kiln(["store", "verify", "--repair"]).success().stdout_has("1 mended");
    assert_eq!(project.read(built.path()), "fetched\n");
    project.sound();
}

#[test]
fn a_cache_repairs_what_no_recipe_makes_any_more() {
    let project = project();
    let built = project.kiln(["build", "lib"]).success();
    let cache = Scratch::new();
    let key = cache.path().join("key");
    fs::write(&key, SecretKey::generate("team-1".parse().unwrap()).unwrap().secret_text()).unwrap();
    let url = format!("file://{}", cache.path().join("cache").display());
    project.kiln(["cache", "push", "--to", &url, "--key", key.to_str().unwrap(), "lib"]).success();
    project.set_recipe("targets = {}");
    damage(&built.path().join("lib"));
    project.kiln(["store", "verify", "--repair", "--cache", &url]).success().stdout_has("1 mended");
    assert_eq!(project.read(built.path().join("lib")), "library\ntext\n");
    project.sound();
}

#[test]
fn what_cannot_be_had_is_no_longer_valid_nor_is_what_refers_to_it() {
    let project = project();
    let app = project.kiln(["build", "app"]).success();
    let lib = object(&project, "lib");
    damage(&lib.join("lib"));
    project.set_recipe("targets = {}");
    let repaired = project.kiln(["store", "verify", "--repair"]).code(4);
    let lib = lib.file_name().unwrap().to_str().unwrap().to_owned();
    repaired
        .stdout_has(&format!("no longer valid: /kiln/store/{lib}\n"))
        .stdout_has(&format!("no longer valid: /kiln/store/{}\n", app.object()))
        .stdout_has("0 mended, 2 no longer valid");
    project.sound();
    project.set_recipe(RECIPE);
    project.kiln(["build", "app"]).success().stdout(&app.out).built(&["lib", "app"]);
    project.sound();
}

#[test]
fn what_comes_out_otherwise_when_it_is_built_again_is_not_mended() {
    let project = Project::new().recipe(r#"targets = {"moody": sh("moody", "head -c 20 /dev/urandom > $out")}"#);
    let built = project.kiln(["build", "moody"]).success();
    damage(&built.path());
    let repaired = project.kiln(["store", "verify", "--repair", "--json"]).code(4).json();
    assert_eq!(repaired["mended"], serde_json::json!([]));
    assert_eq!(repaired["forgotten"], serde_json::json!([format!("/kiln/store/{}", built.object())]));
    project.sound();
}
