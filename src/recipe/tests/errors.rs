//! What a user reads when a recipe is wrong.

use super::*;

/// Each call that is refused, and what the message must say.
const REFUSED: &[(&str, &str)] = &[
    ("derivation('a b', 's', root)", "`a b` cannot name a store object"),
    ("derivation('x', 1, root)", "`script` must be a string, not 1 (int)"),
    ("derivation('x', 's', 'toolchain')", "`root` must be an artifact, not \"toolchain\" (string)"),
    ("derivation('x', 's', root, inputs = {'a-b': dep})", "in `inputs`: `a-b` cannot be a label"),
    ("derivation('x', 's', root, inputs = {'a': '/bin/sh'})", "`inputs[\"a\"]` must be an artifact, not \"/bin/sh\" (string)"),
    ("derivation('x', 's', root, inputs = {'a': None})", "`inputs[\"a\"]` must be an artifact, not None"),
    ("derivation('x', 's', root, inputs = [dep])", "`inputs` must be a dict"),
    ("derivation('x', 's', root, inputs = {'root': dep})", "`root` cannot be an input's label"),
    ("derivation('x', 's', root, inputs = {'out': dep})", "`$out` is both an input and an output of `x`"),
    ("derivation('x', 's', root, inputs = {'a': dep}, env = {'a': '1'})", "`$a` is both an input and a variable in `env` of `x`"),
    ("derivation('x', 's', root, env = {'out': '1'})", "`$out` is both an output and a variable in `env`"),
    ("derivation('x', 's', root, env = {'1A': '1'})", "`1A` cannot be an environment variable"),
    ("derivation('x', 's', root, env = {'KILN_CORES': '1'})", "kiln sets the environment variable `KILN_CORES` itself"),
    ("derivation('x', 's', root, env = {'A': 1})", "`env[\"A\"]` must be a string, not 1 (int)"),
    ("derivation('x', 's', root, env = {'A': 'a\\0b'})", "`env[\"A\"]` holds a NUL character"),
    ("derivation('x', 'cp {} y'.format(dep), root)", "`script` of `x` holds the text of an artifact, `<artifact root.tar>`"),
    ("derivation('x', 's', root, env = {'A': str(dep)})", "`env[\"A\"]` of `x` holds the text of an artifact"),
    ("derivation('x', 's', root, outputs = ['lib'])", "`outputs` of `x` must hold `out`"),
    ("derivation('x', 's', root, outputs = ['out', 'out'])", "`outputs` of `x` names an output twice"),
    ("derivation('x', 's', root, outputs = ['out', 'Lib'])", "in `outputs`: `Lib` cannot be a label"),
    ("derivation('x' * 211, 's', root, outputs = ['out', 'lib'])", "cannot name a store object"),
    (
        "derivation('x', 's', root, inputs = {'sysroot': dep}, references = ['sysrot'])",
        "names `sysrot`, which is no input; did you mean `sysroot`?",
    ),
    ("derivation('x', 's', root, interpreter = [])", "`interpreter` must not be empty"),
    ("derivation('x', 's', root, interpreter = ['sh'])", "`interpreter` must be an absolute path"),
    ("derivation('x', 's', root, timeout = 0)", "`timeout` must be a positive number of seconds, not 0"),
    ("derivation('x', 's', root, description = 'a\\nb')", "`description` must be one line"),
    ("derivation('x', 's')", "`root`"),
    ("derivation('x', 's', root, input = {})", "`input`"),
    ("dep.output('lib')", "artifact `root.tar` has no output `lib`; it has `out`"),
    ("dep.lib", "has no attribute `lib`"),
    ("fetch_url([], '00' * 32)", "`urls` must not be empty"),
    ("fetch_url('file:///etc/passwd', '00' * 32)", "`file:///etc/passwd` is not an http or https address"),
    ("fetch_url('https://a.test/x', 'abc')", "`abc` is not a SHA-256 digest"),
    ("fetch_pypi('six', '../six.tar.gz', '00' * 32)", "is not the name of a file on a package index"),
    ("fetch_debian('main/x.deb', '00' * 32)", "is not a path in a Debian pool"),
    ("fetch_debian('pool/../../x.deb', '00' * 32)", "is not a path in a Debian pool"),
    ("source('//nowhere')", "`nowhere` does not exist"),
    ("source('//../x')", "`//../x` leaves the project"),
    ("source('//')", "is the project itself, so the source needs a `name`"),
    ("source('//derivations', exclude = ['a['])", "`a[` is not a glob pattern"),
    ("unpack('x.tar')", "`archive` must be an artifact"),
    ("unpack(dep, strip = -1)", "`strip` must be a number from 0 to 64, not -1"),
    ("unpack(dep, patches = dep)", "unpack() does not apply patches"),
    ("merge({})", "`layers` must not be empty"),
    ("merge({'site-packages.six': dep})", "in `layers`: `site-packages.six` cannot be a label"),
    ("debian_root('//derivations/none.json', ['sh'])", "`derivations/none.json` does not exist"),
    ("debian_root('//derivations/default.star', ['sh'])", "is not a Debian lock"),
    ("debian_root('//derivations/default.star', [])", "`packages` must not be empty"),
    ("debian_root('l', ['sh'], links = {'/etc/x': 'y'})", "`/etc/x` in `links` is not a plain relative path"),
    ("file('/etc/passwd')", "`/etc/passwd` is not a path of the project"),
    ("file('../../x')", "`../../x` leaves the project"),
    ("file('//Cargo.toml')", "is outside `derivations/`, `patches/` and `VERSION`"),
    ("read_json('//derivations/default.star')", "`derivations/default.star` is not JSON"),
    ("param('1x', '')", "`1x` cannot name a parameter"),
    ("[param('p', 'a'), param('p', 'b')]", "the parameter `p` has the default \"a\" at derivations/default.star:3:2 and \"b\" here"),
    ("fail('not for', 3.11)", "not for 3.11"),
    ("undefined_name", "variable `undefined_name` not found"),
    ("(1", "unexpected"),
    ("1 + 'a'", "not supported"),
    ("x = derivation('x', 's', root, inputs = {'x': x})", "referenced before assignment"),
];

#[test]
fn what_is_refused_is_named() {
    for (call, expected) in REFUSED {
        let message = message(call);
        assert!(message.contains(expected), "{call}\n  said: {message}\n  expected: {expected}");
    }
}

#[test]
fn an_error_has_all_frames_of_the_recipes() {
    let project = Project::new("load('lib/a.star', 'outer')\ntargets = {\n    'x': outer(dep),\n}")
        .file("derivations/lib/a.star", "load('b.star', 'inner')\n\ndef outer(dep):\n    if True:\n        return inner(dep)\n")
        .file("derivations/lib/b.star", "def inner(dep):\n    return [make(d) for d in [dep]]\n\ndef make(d):\n    return derivation('x', 's', d, inputs = {'bad-label': d})\n");
    let failure = project.failure();
    assert_eq!(
        failure.traceback(),
        "  --> derivations/lib/b.star:5:12 in make()\n  \
           5 |     return derivation('x', 's', d, inputs = {'bad-label': d})\n    \
             |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n    \
             called from derivations/lib/b.star:2:13 in inner()\n    \
             called from derivations/lib/a.star:5:16 in outer()\n    \
             called from derivations/default.star:5:10\n"
    );
    assert!(failure.to_string().starts_with("derivations/lib/b.star:5:12: in `inputs`: `bad-label`"), "{failure}");
}

#[test]
fn an_error_in_a_loaded_file_shows_who_loads_it() {
    let project = Project::new("load('a.star', 'a')\ntargets = {}")
        .file("derivations/a.star", "load('b.star', 'b')\na = b\n")
        .file("derivations/b.star", "def b(:\n");
    let failure = project.failure();
    let places: Vec<_> = failure.frames.iter().map(|frame| frame.span.to_string()).collect();
    assert_eq!(places, ["derivations/default.star:3:6", "derivations/a.star:1:6", "derivations/b.star:1:7"]);
}

#[test]
fn loads_in_a_circle_are_refused() {
    let project = Project::new("load('a.star', 'a')\ntargets = {}")
        .file("derivations/a.star", "load('b.star', 'b')\na = 1\n")
        .file("derivations/b.star", "load('a.star', 'a')\nb = 1\n");
    let failure = project.failure();
    assert_eq!(failure.message, "`load()` goes round in a circle: derivations/a.star → derivations/b.star → derivations/a.star");
    let places: Vec<_> = failure.frames.iter().map(|frame| frame.span.to_string()).collect();
    assert_eq!(places, ["derivations/default.star:3:6", "derivations/a.star:1:6", "derivations/b.star:1:6"]);
    assert!(failure.hint.is_some());
}

#[test]
fn loads_stay_under_derivations() {
    for (path, expected) in [
        ("//src/x.star", "is outside `derivations/`, the only place that recipe files are loaded from"),
        ("x.bzl", "its name does not end in `.star`"),
        ("../../x.star", "leaves the project"),
        ("/x.star", "is not a path of the project"),
        ("defalt.star", "does not exist; did you mean `derivations/default.star`?"),
        ("@repo//x.star", "does not exist"),
    ] {
        let message = message(&format!("load('{path}', 'x')"));
        assert!(message.contains(expected), "{path}: {message}");
    }
}

#[test]
fn a_name_that_a_loaded_file_does_not_have_gets_a_suggestion() {
    let project = Project::new("load('a.star', 'lan')\ntargets = {}").file("derivations/a.star", "lane = 1\n");
    assert!(project.failure().message.contains("did you mean `lane`?"), "{}", project.failure().message);
}

#[test]
fn targets_must_be_artifacts_by_name() {
    for (text, expected) in [
        ("targts = {}", "`derivations/default.star` does not define `targets`; did you mean `targts`?"),
        ("targets = [dep]", "`targets` must be a dict from name to artifact, not list"),
        ("targets = {1: dep}", "`targets` must be a dict from name to artifact"),
        ("targets = {'a b': dep}", "`a b` cannot name a target"),
        ("targets = {'-rf': dep}", "`-rf` cannot name a target"),
        ("targets = {'six': struct(a = dep)}", "`targets[\"six\"]` must be an artifact, not struct"),
    ] {
        let failure = Project::new(text).failure();
        assert!(failure.message.contains(expected), "{text}: {}", failure.message);
        if text.starts_with("targets") {
            assert_eq!(failure.frames[0].span.to_string(), "derivations/default.star:3:1");
        }
    }
}

#[test]
fn a_project_without_recipes_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let error = evaluate(directory.path(), &BTreeMap::new()).unwrap_err();
    assert!(error.to_string().ends_with("has no `derivations/default.star`"), "{error}");
}

#[test]
fn an_unknown_param_gets_a_suggestion() {
    let project = Project::new("param('python', '3.11')\nparam('opt', '2')\ntargets = {}");
    let error = project.evaluate_with(&[("opt", "3"), ("pyton", "3.8")]).unwrap_err();
    assert_eq!(error.to_string(), "no recipe declares the parameter `pyton`; did you mean `python`?");
    let RecipeError::UnknownParam { declared, .. } = error else { panic!() };
    assert_eq!(declared, ["opt", "python"]);
}

#[test]
fn what_was_printed_survives_a_failure() {
    let failure = Project::new("print('before')\nfail('stop')").failure();
    assert_eq!((failure.message.as_str(), failure.printed.as_slice()), ("stop", ["before".to_owned()].as_slice()));
}

#[test]
fn hints_say_what_to_do() {
    for (text, expected) in [
        ("derivation('x', str(dep), root)", "write `$label` in the script"),
        ("unpack(dep, patches = dep)", "apply them in the script"),
        ("x = derivation('x', 's', root, inputs = {'x': x})", "an artifact names only artifacts that were made before it"),
        ("file('//Cargo.toml')", "source()"),
        ("derivation('x', 's', root, input = {})", "docs/recipes.md"),
        ("merge({'site-packages.six': dep})", "only a label in the manifest"),
        ("def f(n):\n    return f(n + 1)\nf(0)", "recursion"),
    ] {
        let hint = Project::new(text).failure().hint.unwrap_or_default();
        assert!(hint.contains(expected), "{text}: {hint}");
    }
}
