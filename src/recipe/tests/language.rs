//! What recipes can say.

use super::*;
use crate::model::{AllowedReference, FetchSource, OutputName};
use crate::recipe::RecipeKind;

#[test]
fn targets_carry_the_description_of_their_recipe() {
    let evaluated = evaluated(
        "hello = derivation(name = 'hello', script = 'echo > $out', root = root, description = 'says hello')\n\
         targets = {'hello': hello, 'site-packages.six': dep}",
    );
    let names: Vec<_> = evaluated.targets.iter().map(|(name, target)| (name.as_str(), target.description.as_str())).collect();
    assert_eq!(names, [("hello", "says hello"), ("site-packages.six", "")]);
}

#[test]
fn a_derivation_has_defaults() {
    let evaluated = evaluated("targets = {'x': derivation('x', 'true', root)}");
    let recipe = evaluated.recipe(evaluated.targets["x"].artifact.recipe);
    let RecipeKind::Script { inputs, env, interpreter, script, timeout, silence, .. } = &recipe.kind else { panic!() };
    assert_eq!((inputs.len(), env.len(), script.as_str(), *timeout, *silence), (0, 0, "true", None, None));
    assert_eq!(interpreter, &["/bin/sh", "-eu"]);
    assert_eq!(recipe.outputs.len(), 1);
    let policy = &recipe.outputs[&OutputName::out()];
    assert!(policy.links && policy.references.is_none());
    assert_eq!(recipe.span.to_string(), "derivations/default.star:3:17");
}

#[test]
fn a_derivation_takes_everything_it_is_given() {
    let evaluated = evaluated(
        "targets = {'x': derivation(name = 'x', script = 's', root = root, inputs = {'dep': dep}, env = {'A_b': '1'},\n\
         outputs = ['out', 'lib'], references = ['dep', 'self', 'root'], links = False, interpreter = ['/bin/bash', '-e'],\n\
         timeout = 60, silence = 5).lib}",
    );
    let artifact = &evaluated.targets["x"].artifact;
    assert_eq!(artifact.output.as_str(), "lib");
    let recipe = evaluated.recipe(artifact.recipe);
    let RecipeKind::Script { inputs, env, timeout, silence, .. } = &recipe.kind else { panic!() };
    assert_eq!((inputs.len(), env["A_b"].as_str(), *timeout, *silence), (1, "1", Some(60), Some(5)));
    for policy in recipe.outputs.values() {
        let allowed: Vec<_> = policy.references.iter().flatten().cloned().collect();
        assert_eq!(allowed, [AllowedReference::Itself, AllowedReference::Root, AllowedReference::Input("dep".into())]);
        assert!(!policy.links);
    }
}

#[test]
fn an_empty_list_of_references_allows_none_and_none_allows_any() {
    let evaluated =
        evaluated("targets = {'none': derivation('a', 's', root, references = []), 'any': derivation('b', 's', root, references = None)}");
    let policy = |name: &str| evaluated.recipe(evaluated.targets[name].artifact.recipe).outputs[&OutputName::out()].references.clone();
    assert_eq!((policy("none"), policy("any")), (Some(Default::default()), None));
}

#[test]
fn outputs_are_attributes_of_an_artifact() {
    let evaluated = evaluated(
        "d = derivation('d', 's', root, outputs = ['out', 'lib', 'dev'])\n\
         print(d, d.lib, d.output('dev'), d.lib.out == d, d.name, type(d), dir(d), d.out != d.lib)\ntargets = {}",
    );
    assert_eq!(
        evaluated.printed,
        [r#"<artifact d> <artifact d.lib> <artifact d.dev> True d artifact ["dev", "lib", "name", "out", "output"] True"#]
    );
}

#[test]
fn files_are_loaded_relative_to_the_file_that_loads_them() {
    let project = Project::new("load('lib/lane.star', 'lane', other = 'value')\nload('//derivations/top.star', 'top')\ntargets = lane(other, top)")
        .file("derivations/lib/lane.star", "load('../top.star', 'top')\nload('deep/x.star', 'value')\ndef lane(v, t):\n    return {v + t + top: file_of()}\ndef file_of():\n    return derivation('x', file('x.sh') + file('//patches/p/a.patch') + file('//VERSION'), make_root())\ndef make_root():\n    return fetch_pypi('six', 'six-1.16.0.tar.gz', '11' * 32)\n")
        .file("derivations/lib/deep/x.star", "value = 'v'\n")
        .file("derivations/top.star", "top = 't'\n")
        .file("derivations/lib/x.sh", "script ")
        .file("patches/p/a.patch", "patch ")
        .file("VERSION", "1.2");
    // `load` binds privately, so `value` is to be taken from the file that defines it.
    let failure = project.failure();
    assert!(failure.message.contains("symbol `value` is not exported"), "{}", failure.message);
    let project = project.file("derivations/default.star", "load('lib/lane.star', 'lane')\ntargets = lane('a', 'b')\n");
    let evaluated = project.evaluate().unwrap();
    let RecipeKind::Script { script, .. } = &evaluated.recipe(evaluated.targets["abt"].artifact.recipe).kind else { panic!() };
    assert_eq!(script, "script patch 1.2");
    let files: Vec<_> = evaluated.files.keys().map(String::as_str).collect();
    assert_eq!(
        files,
        [
            "VERSION",
            "derivations/default.star",
            "derivations/lib/deep/x.star",
            "derivations/lib/lane.star",
            "derivations/lib/x.sh",
            "derivations/top.star",
            "patches/p/a.patch"
        ]
    );
    assert_eq!(evaluated.files["VERSION"], Sha256::of("1.2"));
}

#[test]
fn fetches_name_their_registry() {
    let evaluated = evaluated(
        "h = '22' * 32\ntargets = {\n\
         'url': fetch_url(['https://a.test/x/y-1.tar.gz?raw=1', 'http://b.test/z'], h), 'one': fetch_url('https://a.test/q~1', h, name = 'q'),\n\
         'pypi': fetch_pypi('six', 'six-1.16.0.tar.gz', h), 'debian': fetch_debian('pool/main/l/libc/libc6_2.36~rc_amd64.deb', h)}",
    );
    let fetch = |name: &str| {
        let recipe = evaluated.recipe(evaluated.targets[name].artifact.recipe);
        let RecipeKind::Fetch { source, sha256 } = &recipe.kind else { panic!() };
        assert_eq!(sha256.hex(), "22".repeat(32));
        (recipe.name.to_string(), source.clone())
    };
    let urls = vec!["https://a.test/x/y-1.tar.gz?raw=1".into(), "http://b.test/z".into()];
    assert_eq!(fetch("url"), ("y-1.tar.gz".into(), FetchSource::Urls(urls)));
    assert_eq!(fetch("one").0, "q");
    let pypi = FetchSource::Pypi { project: "six".into(), file: "six-1.16.0.tar.gz".into() };
    assert_eq!(fetch("pypi"), ("six-1.16.0.tar.gz".into(), pypi));
    let debian = FetchSource::Debian { pool_path: "pool/main/l/libc/libc6_2.36~rc_amd64.deb".into() };
    assert_eq!(fetch("debian"), ("libc6_2.36-rc_amd64.deb".into(), debian));
}

#[test]
fn a_digest_may_be_written_in_base32() {
    let hash = Sha256::of("x");
    let evaluated = evaluated(&format!("targets = {{'x': fetch_url('https://a.test/x', 'sha256:{}')}}", hash.base32()));
    let RecipeKind::Fetch { sha256, .. } = evaluated.recipe(evaluated.targets["x"].artifact.recipe).kind else { panic!() };
    assert_eq!(sha256, hash);
}

#[test]
fn sources_are_named_by_their_last_part() {
    let project = Project::new("targets = {'a': source('//src/lib', exclude = ['*.pyc']), 'b': source('data.txt', name = 'other'), 'c': source('//', name = 'all')}")
        .file("src/lib/a.py", "")
        .file("derivations/data.txt", "");
    let evaluated = project.evaluate().unwrap();
    let request = |name: &str| {
        let RecipeKind::Source(request) = &evaluated.recipe(evaluated.targets[name].artifact.recipe).kind else { panic!() };
        (request.path.clone(), request.name.to_string(), request.exclude.len())
    };
    assert_eq!(request("a"), ("src/lib".into(), "lib".into(), 1));
    assert_eq!(request("b"), ("derivations/data.txt".into(), "other".into(), 0));
    assert_eq!(request("c"), ("".into(), "all".into(), 0));
}

#[test]
fn params_have_a_default_and_a_value() {
    let project = Project::new("v = param('python', '3.11')\nw = param('python', '3.11')\ntargets = {'python-' + v: dep}");
    assert!(project.evaluate().unwrap().targets.contains_key("python-3.11"));
    let evaluated = project.evaluate_with(&[("python", "3.8")]).unwrap();
    assert!(evaluated.targets.contains_key("python-3.8"));
    let param = &evaluated.params["python"];
    assert_eq!((param.default.as_str(), param.value.as_str(), param.span.line), ("3.11", "3.8", 3));
}

#[test]
fn json_files_become_values() {
    let project = Project::new("p = read_json('locks/pypi.json')\nprint(p['files']['six']['size'] + 1, p['none'], p['list'][1], p['half'])\nprint(json.encode({'a': json.decode('[1]')}))\ntargets = {}")
        .file("derivations/locks/pypi.json", r#"{"files": {"six": {"size": 34041}}, "none": null, "list": [true, "é"], "half": 0.5}"#);
    assert_eq!(project.evaluate().unwrap().printed, ["34042 None é 0.5", r#"{"a":[1]}"#]);
}

#[test]
fn the_language_has_structs_types_fstrings_and_loops() {
    let evaluated = evaluated(
        "def f(x: str, *, y: int = 1) -> str:\n    return f'{x}-' + str(y)\n\
         s = struct(a = f('x', y = 2))\ntotal = 0\nfor i in range(5):\n    if i % 2:\n        total += i\n\
         print(s.a, total, set([1, 1]), partial(f, 'q')())\ntargets = {}",
    );
    assert_eq!(evaluated.printed, ["x-2 4 set([1]) q-1"]);
}

const LOCK: &str = r#"{"version": 1, "suite": "stable", "architecture": "amd64", "requested": ["sh"], "packages": {
  "sh": {"version": "1", "path": "pool/main/s/sh/sh_1~2_amd64.deb", "size": 3, "sha256": "3333333333333333333333333333333333333333333333333333333333333333", "depends": ["libc"]},
  "libc": {"version": "1", "path": "pool/main/l/libc/libc_1_amd64.deb", "size": 3, "sha256": "4444444444444444444444444444444444444444444444444444444444444444", "depends": []},
  "more": {"version": "1", "path": "pool/main/m/more/more_1_amd64.deb", "size": 3, "sha256": "5555555555555555555555555555555555555555555555555555555555555555", "depends": ["libc"]}}}"#;

#[test]
fn a_debian_root_takes_one_file_per_package_of_the_closure() {
    let project = Project::new(
        "targets = {'root': debian_root('locks/debian.json', ['sh'], links = {'usr/bin/awk': 'gawk'}, description = 'a root'),\n\
         'both': debian_root('//derivations/locks/debian.json', ['more', 'sh'], name = 'both')}",
    )
    .file("derivations/locks/debian.json", LOCK);
    let evaluated = project.evaluate().unwrap();
    let builtin = |name: &str| {
        let recipe = evaluated.recipe(evaluated.targets[name].artifact.recipe);
        let RecipeKind::Builtin { kind, arguments, inputs } = &recipe.kind else { panic!() };
        let inputs: Vec<_> = inputs.iter().map(|(label, input)| format!("{label}={}", evaluated.recipe(input.recipe).name)).collect();
        (*kind, arguments.to_string(), inputs.join(" "))
    };
    let expected = ("debian-root/1", r#"{"links":{"usr/bin/awk":"gawk"}}"#, "deb_00000=libc_1_amd64.deb deb_00001=sh_1-2_amd64.deb");
    assert_eq!(builtin("root"), (expected.0, expected.1.into(), expected.2.into()));
    assert!(builtin("both").2.ends_with("deb_00001=more_1_amd64.deb deb_00002=sh_1-2_amd64.deb"));
    // The packages that both roots hold are the same recipes: `root`, three files, two roots.
    assert_eq!(evaluated.recipes.len(), 6);
}

#[test]
fn unpack_and_merge_are_builtins() {
    let evaluated = evaluated(
        "a = fetch_pypi('six', 'six-1.16.0.tar.gz', '11' * 32)\nu = unpack(a)\n\
         targets = {'u': u, 'flat': unpack(a, name = 'flat', strip = 0), 'm': merge({'six': u, 'dep': dep}, name = 'runtime', description = 'all')}",
    );
    let recipe = |name: &str| evaluated.recipe(evaluated.targets[name].artifact.recipe);
    let show = |name: &str| {
        let RecipeKind::Builtin { kind, arguments, inputs } = &recipe(name).kind else { panic!() };
        format!("{} {kind} {arguments} {:?}", recipe(name).name, inputs.keys().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(show("u"), r#"six-1.16.0 unpack/1 {"strip":1} ["archive"]"#);
    assert_eq!(show("flat"), r#"flat unpack/1 {"strip":0} ["archive"]"#);
    assert_eq!(show("m"), r#"runtime merge/1 {} ["dep", "six"]"#);
    assert!(!recipe("m").outputs[&OutputName::out()].links);
    assert!(recipe("u").outputs[&OutputName::out()].links);
}
