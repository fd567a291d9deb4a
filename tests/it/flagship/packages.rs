//! The runtime's packages, each by a function that uses it; and packages that are not what they should be.

use super::*;

/// Functions that use a package, and compare its C part with what plain Python makes of it. They print lines that end with `: ok`.
pub(super) const FUNCTIONS: [(&str, &str); 13] = [
    ("use_dulwich", include_str!("packages/use_dulwich.py")),
    ("use_genshi", include_str!("packages/use_genshi.py")),
    ("use_markupsafe", include_str!("packages/use_markupsafe.py")),
    ("use_msgpack", include_str!("packages/use_msgpack.py")),
    ("use_numpy", include_str!("packages/use_numpy.py")),
    ("use_pandas", include_str!("packages/use_pandas.py")),
    ("use_pyaes", include_str!("packages/use_pyaes.py")),
    ("use_pyperf", include_str!("packages/use_pyperf.py")),
    ("use_pyperformance", include_str!("packages/use_pyperformance.py")),
    ("use_pyyaml", include_str!("packages/use_pyyaml.py")),
    ("use_regex", include_str!("packages/use_regex.py")),
    ("use_simplejson", include_str!("packages/use_simplejson.py")),
    ("use_wrapt", include_str!("packages/use_wrapt.py")),
];

/// The line of `default.star` that says which native modules are linked.
const PROGRAM: &str = "program = func(lane, profile, natives(fragments))\n";

#[track_caller]
fn assert_all_well(output: &Output, lines: usize) {
    let printed = stdout(output);
    assert_eq!(printed.lines().filter(|line| line.ends_with(": ok")).count(), lines, "{printed}");
}

#[test]
fn packages_with_native_modules_do_what_they_do_in_plain_python() {
    for function in ["use_genshi", "use_markupsafe", "use_msgpack", "use_pyyaml", "use_regex", "use_simplejson", "use_wrapt"] {
        assert_all_well(&flagship().run_odd(function), 1);
    }
}

#[test]
fn packages_in_python_alone_work() {
    for function in ["use_pyaes", "use_pyperf", "use_pyperformance"] {
        assert_all_well(&flagship().run_odd(function), 1);
    }
}

#[test]
fn dulwich_makes_the_objects_that_git_makes() {
    assert_all_well(&flagship().run_odd("use_dulwich"), 1);
}

#[test]
#[ignore = "builds numpy, which takes minutes"]
fn numpy_calculates() {
    let flagship = flagship();
    let _moves = STILL.read().unwrap();
    let output = kiln(&flagship.store, &flagship.odd).args(["run", "use_numpy", "--runtime", "runtime-numpy"]).output().unwrap();
    assert_all_well(&output, 5);
    let output =
        kiln(&flagship.store, &flagship.odd).args(["run", "numpy_test,numpy_conf,mat_mul", "--runtime", "runtime-numpy"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
#[ignore = "builds numpy and pandas, which takes many minutes"]
fn pandas_makes_tables() {
    let flagship = flagship();
    let _moves = STILL.read().unwrap();
    let output = kiln(&flagship.store, &flagship.odd).args(["run", "use_pandas", "--runtime", "runtime-pandas"]).output().unwrap();
    assert_all_well(&output, 5);
}

/// tests/packages/run of a project, on one file of tests.
fn own_tests(project: &Path) -> Output {
    let flagship = flagship();
    let _moves = STILL.read().unwrap();
    let mut command = Command::new(project.join("tests/packages/run"));
    command.args(["six", "--only", "six/test_six.py"]).arg("--kiln").arg(program()).arg("--store").arg(&flagship.store);
    command.env_remove("KILN_STORE").env_remove("KILN_PROJECT").output().unwrap()
}

#[test]
fn of_a_packages_own_tests_exactly_those_fail_that_are_expected_to() {
    let output = own_tests(&project());
    let said = stdout(&output);
    assert!(said.contains("six/test_six.py: 200 tests, "), "{said}");

    // Without one that fails, and with one that does not.
    let changed = flagship().odd.with_file_name("expected");
    copy_project(&changed);
    run(Command::new("cp").arg("-R").arg(project().join("tests")).arg(&changed));
    let path = changed.join("tests/packages/expected/3.11/six.txt");
    let expected = fs::read_to_string(&path).unwrap().replace("six/test_six.py::test_getoutput", "six/test_six.py::test_lazy");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, expected).unwrap();
    let output = own_tests(&changed);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("FAILED: six/test_six.py::test_getoutput: failed: OSError"), "{said}");
    assert!(said.contains("DID NOT FAIL: six/test_six.py::test_lazy"), "{said}");
}

/// Builds `target` of a project that differs from this one in `file`, where `from` is `to`.
fn build_changed(name: &str, file: &str, from: &str, to: &str, target: &str) -> Output {
    let changed = flagship().odd.with_file_name(name);
    copy_project(&changed);
    build_with(&changed, file, from, to, target)
}

/// Builds `target` of a copy of this project, with `to` in the place of `from` in `file`.
fn build_with(changed: &Path, file: &str, from: &str, to: &str, target: &str) -> Output {
    let flagship = flagship();
    let path = changed.join("derivations").join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{file} is not as this test expects it");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, text.replace(from, to)).unwrap();
    kiln(&flagship.store, changed).args(["build", target]).output().unwrap()
}

#[test]
fn a_source_distribution_that_is_another_version_is_refused() {
    let output = build_changed("lies", "locks/pypi.json", "\"version\": \"1.17.0\"", "\"version\": \"1.17.1\"", "site-packages.six");
    assert_fails(&output, 1, "the source distribution says that it is six 1.17.0; six 1.17.1 is in the lock");
}

#[test]
fn a_wheel_for_another_platform_is_refused() {
    let output = build_changed(
        "other-platform",
        "packages/packages.star",
        "fragment(lane, \"six\"",
        "fragment(lane, \"wasmtime\"",
        "site-packages.six",
    );
    assert_fails(&output, 1, "manylinux1_x86_64; wanted is one for any platform and Python 3.11");
}

#[test]
fn a_build_dependency_that_is_not_declared_is_named() {
    let declared = "build = [\"setuptools\", \"wheel\", \"cython\"],\n            modules = [\"yaml._yaml\"]";
    let without = "build = [\"setuptools\", \"wheel\"],\n            modules = [\"yaml._yaml\"]";
    let output = build_changed("undeclared", "packages/packages.star", declared, without, "site-packages.PyYAML");
    assert_fails(&output, 1, "needs `Cython; python_version < \"3.13\"` to be built, which is not declared");
}

/// The build back end of the package runs, and looks for a host: by name, then by a number.
#[test]
fn a_build_that_downloads_something_fails_and_is_told_why() {
    let changed = flagship().odd.with_file_name("downloads");
    copy_project(&changed);
    let patches = changed.join("patches/six-1.17.0");
    fs::create_dir(&patches).unwrap();
    let patch = r#"--- a/setup.py
+++ b/setup.py
@@ -30,2 +30,7 @@

+import contextlib, urllib.request
+with contextlib.suppress(OSError):
+    urllib.request.urlopen("http://192.0.2.1/six.tar.gz", timeout=5)
+urllib.request.urlopen("http://packages.example/six.tar.gz", timeout=5)
+
 import six
"#;
    fs::write(patches.join("0001-downloads.patch"), patch).unwrap();
    let fragment = "fragment(lane, \"six\", \"one source for Python 2 and 3\"";
    let patched = format!("{fragment}, patches = source(\"//patches/six-1.17.0\")");
    let output = build_with(&changed, "packages/packages.star", fragment, &patched, "site-packages.six");
    assert_fails(&output, 1, "the build asked for 192.0.2.1, packages.example, but there is no network in the sandbox");
}

#[test]
fn native_modules_that_are_not_declared_are_refused() {
    let output =
        build_changed("more", "packages/packages.star", "modules = [\"msgpack._cmsgpack\"]", "modules = []", "site-packages.msgpack");
    assert_fails(&output, 1, "msgpack compiles native code, but declares no native modules");
}

#[test]
fn native_modules_that_a_build_does_not_make_are_missed() {
    let output = build_changed(
        "fewer",
        "packages/packages.star",
        "\"MessagePack\", modules = [\"msgpack._cmsgpack\"]",
        "\"MessagePack\", modules = [\"msgpack._cmsgpack\"], env = {\"MSGPACK_PUREPYTHON\": \"1\"}",
        "site-packages.msgpack",
    );
    assert_fails(&output, 1, "msgpack declares the native modules msgpack._cmsgpack; its build made none");
}

#[test]
fn c_functions_that_would_trap_are_refused() {
    let output = build_changed(
        "unpatched",
        "packages/packages.star",
        "            patches = source(\"//patches/wrapt-1.16.0\"),\n",
        "",
        "site-packages.wrapt",
    );
    assert_fails(&output, 1, "is used as a getter, which is called with 2 arguments: it would trap");
}

#[test]
fn a_native_module_that_two_fragments_define_is_refused() {
    let twice = "program = func(lane, profile, natives(fragments) | {\"native_again\": fragments[\"msgpack\"].native})\n";
    let output = build_changed("twice", "default.star", PROGRAM, twice, "func");
    assert_fails(&output, 1, "the native module msgpack._cmsgpack is defined by both msgpack and msgpack");
}

#[test]
fn an_init_function_that_is_in_no_archive_is_missed() {
    let lies = r#"lie = derivation(
        name = "lie",
        root = toolchain,
        inputs = {"true": fragments["msgpack"].native},
        script = 'cp -R $true $out; chmod -R u+w $out; cd $out/lib/native/msgpack; llvm-ar-14 d *.a msgpack._cmsgpack.o',
    )
    program = func(lane, profile, {"native_lie": lie})
"#;
    let output = build_changed("lie", "default.star", PROGRAM, lies, "func");
    assert_fails(&output, 1, "msgpack says that PyInit_msgpack._cmsgpack starts its native module msgpack._cmsgpack");
}
