//! What `eval`, `show`, `log` and `info` print, as text and as JSON.

use crate::support::Project;

const DESCRIBED: &str = r#"
flavour = param("flavour", "plain")
lib = sh("lib-1.0", "echo building the " + flavour + " library; mkdir $out; echo lib > $out/lib", description = "a library", references = [])
app = sh("app", "mkdir $out; cp $lib/lib $out/app", inputs = {"lib": lib}, outputs = ["out"], links = False)
targets = {"lib": lib, "app": app, "all": merge({"lib": lib, "app": app}, name = "all", description = "both")}
"#;

#[test]
fn eval_lists_targets_and_parameters() {
    let project = Project::new().recipe(DESCRIBED);
    let text = "\
all  both
app
lib  a library

parameters (--param NAME=VALUE)
flavour = plain  derivations/default.star:3:11
";
    project.kiln(["eval"]).success().stdout(text);
    let json = project.kiln(["eval", "--json", "--param", "flavour=rich"]).success().json();
    assert_eq!(json["targets"][2]["name"], "lib");
    assert_eq!(json["targets"][2]["description"], "a library");
    let param = serde_json::json!({"name": "flavour", "value": "rich", "default": "plain", "declared": "derivations/default.star:3:11"});
    assert_eq!(json["params"], serde_json::json!([param]));
}

#[test]
fn a_parameter_chooses_another_derivation() {
    let project = Project::new().recipe(DESCRIBED);
    project.kiln(["build", "lib"]).success().built(&["lib-1.0"]);
    project.kiln(["build", "lib", "--param", "flavour=rich"]).success().built(&["lib-1.0"]);
    project.kiln(["log", "lib"]).success().stdout("building the rich library\n");
    project.kiln(["build", "lib", "--param", "flavor=rich"]).code(2).stderr_has("flavor").stderr_has("`flavour`");
}

#[test]
fn show_prints_derivation_hash_and_input_tree() {
    let project = Project::new().recipe(DESCRIBED);
    let shown = project.kiln(["show", "app"]).success();
    let json = project.kiln(["show", "app", "--json"]).success().json();
    let lib = project.kiln(["show", "lib-1.0", "--json"]).success().json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let root = text(&json["derivation"]["builder"]["script"]["root"]["object"]);
    let (hash, lib_hash, system) = (text(&json["hash"]), text(&lib["hash"]), text(&json["derivation"]["system"]));
    let short = &lib_hash[..12];
    shown.stdout(&format!(
        "\
app
name        app
hash        {hash}
system      {system}
builder     script of 1 lines, run by /bin/sh -eu
declared    derivations/test.star:5:12
output out  any reference, no link

inputs
app
├─ lib: lib-1.0  {short}
│  └─ root: {root}
└─ root: {root}
"
    ));
    assert_eq!(json["derivation"]["inputs"]["lib"], serde_json::json!({"output": {"derivation": lib_hash, "output": "out"}}));
    assert_eq!(json["derivation"]["version"], 1);
    assert_eq!(lib["hints"]["description"], "a library");
    assert_eq!(lib["derivation"]["outputs"]["out"], serde_json::json!({"links": true, "references": []}));
}

#[test]
fn log_prints_what_the_latest_build_printed() {
    let recipe = |script: &str| format!("targets = {{\"x\": sh(\"x\", \"{script}\")}}");
    let project = Project::new().recipe(&recipe("echo one; echo two >&2; printf three; echo > $out"));
    project.kiln(["log", "x"]).code(2);
    project.kiln(["build", "x"]).success();
    project.kiln(["log", "x"]).success().stdout("one\ntwo\nthree").stderr("");
    project.set_recipe(&recipe("echo four; exit 7"));
    project.kiln(["build", "x"]).code(1);
    project.kiln(["log", "x"]).success().stdout("four\n").stderr_has("that build failed: the builder ended with exit code 7");
    let json = project.kiln(["log", "x", "--json"]).success().json();
    assert_eq!(json["record"]["status"]["failed"], "the builder ended with exit code 7");
    assert_eq!(json["record"]["level"], "strict");
    assert!(std::path::Path::new(json["log"].as_str().unwrap()).is_file());
    project.kiln(["log", "nosuch"]).code(2).stderr_has("nothing called `nosuch` was built");
}

#[test]
fn a_verbose_build_shows_lines_as_they_come_and_a_quiet_one_nothing() {
    let project = Project::new().recipe(r#"targets = {"x": sh("x", "echo one; printf '\\033[31mred\\n'; echo > $out")}"#);
    let built = project.kiln(["build", "x", "--rebuild", "--verbose"]).success().stderr_has("x> one\n");
    assert!(!built.err.contains('\u{1b}') && built.err.contains("x> \\u{1b}[31mred"), "{built}");
    project.kiln(["build", "x", "--rebuild", "--quiet"]).success().stdout(&built.out).stderr("");
}

#[test]
fn info_tells_what_is_known_of_a_target() {
    let project = Project::new().recipe(DESCRIBED);
    project.kiln(["info", "app"]).code(2);
    project.kiln(["build", "app"]).success();
    project.kiln(["info", "all"]).code(2).stderr_has("`all` was not built here as its recipe is now").hint("`kiln build all` builds it");
    let built = project.kiln(["build", "all", "app", "lib"]).success();
    let json = project.kiln(["info", "app", "--json"]).success().json();
    let lib = format!("/kiln/store/{}", built.out.lines().nth(2).unwrap().rsplit('/').next().unwrap());
    assert_eq!(json["record"]["inputs"]["lib"], lib);
    assert_eq!(json["record"]["status"], "built");
    assert_eq!(json["object"]["references"], serde_json::json!([]));
    assert!(json["record"]["duration_ms"].as_u64().is_some() && json["record"]["machine"]["kernel"].is_string());
    project.kiln(["info", "app"]).success().stdout_has(&format!("input lib   {lib}\n"));
}

#[test]
fn info_names_the_derivation_behind_each_file_of_a_merge() {
    let project = Project::new().recipe(DESCRIBED);
    project.kiln(["build", "all"]).success();
    let files = project.kiln(["info", "all", "--manifest", "--json"]).success().json();
    let rows: Vec<_> = files.as_array().unwrap().iter().map(|file| (&file["path"], &file["layer"], &file["name"], &file["mode"])).collect();
    assert_eq!(
        rows,
        [(&"app".into(), &"app".into(), &"app".into(), &"0444".into()), (&"lib".into(), &"lib".into(), &"lib-1.0".into(), &"0444".into())]
    );
    let lib = project.kiln(["show", "lib", "--json"]).success().json();
    assert_eq!(files[1]["derivation"], lib["hash"]);
    let text = project.kiln(["info", "all", "--manifest"]).success();
    assert_eq!(text.out.lines().count(), 2, "{text}");
    project.kiln(["info", "lib", "--manifest"]).code(1).hint("only merged targets have a manifest");
}

#[test]
fn build_tells_its_results_as_json() {
    let project = Project::new().recipe(DESCRIBED);
    let json = project.kiln(["build", "app", "lib", "--json"]).success().json();
    assert_eq!(json["built"], serde_json::json!(["lib-1.0", "app"]));
    assert_eq!(json["fetched"], 0);
    assert_eq!(json["differences"], serde_json::json!([]));
    let target = &json["targets"][0];
    assert_eq!(target["target"], "app");
    let object = target["path"].as_str().unwrap().rsplit('/').next().unwrap();
    assert_eq!(target["physical"].as_str().unwrap(), project.store().join("objects").join(object).to_str().unwrap());
    assert!(json["seconds"].is_f64());
}

#[test]
fn a_failure_is_one_json_object_without_colour() {
    let project = Project::new().recipe(r#"targets = {"x": sh("x", "echo trouble; exit 3")}"#);
    let failed = project.kiln(["build", "x", "--json", "--quiet"]).code(1).stdout("");
    let json: serde_json::Value = serde_json::from_str(&failed.err).unwrap_or_else(|error| panic!("{error}\n{failed}"));
    assert_eq!(json["error"], "cannot make x: the builder ended with exit code 3");
    assert_eq!(json["exit"], 1);
    assert_eq!(json["details"], serde_json::json!(["declared at derivations/test.star:5:12", "the log ends with", "| trouble"]));
    assert!(json["hints"][0].as_str().unwrap().contains("kiln log x"));
}

#[test]
fn an_object_that_is_not_there_or_not_the_only_one_is_a_wrong_request() {
    let project = Project::new().recipe(r#"targets = {"x": sh("x", "echo > $out")}"#);
    project.kiln(["build", "x"]).success();
    for command in ["info", "refs", "closure", "verify"] {
        project.kiln(["store", command, "zzz"]).code(2).stderr_has("`zzz` names nothing in the store").hint("kiln store ls");
    }
    // A digest begins with one of 32 characters, so two of 33 objects begin alike.
    (0..33).for_each(|number| project.write(&format!("many/{number}"), number.to_string()));
    let paths: Vec<String> = (0..33).map(|number| format!("many/{number}")).collect();
    let added = project.kiln(["store", "add"].map(str::to_owned).into_iter().chain(paths)).success().out;
    let mut firsts: Vec<&str> = added.lines().map(|path| &path["/kiln/store/".len()..][..1]).collect();
    firsts.sort_unstable();
    let shared = firsts.windows(2).find(|pair| pair[0] == pair[1]).unwrap()[0];
    project.kiln(["store", "info", shared]).code(2).stderr_has("could be any of").hint("more of the digest");
}
