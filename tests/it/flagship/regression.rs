//! Some modules of CPython's own tests, by the script that runs all of them.

use super::*;

/// Quick ones, from all over the interpreter; of some of them tests are expected to fail.
const MODULES: &str =
    "test_bisect test_complex test_ctypes test_dict test_generators test_re test_shutil test_sqlite3 test_struct test_textwrap";

/// The script of `project`, about the built flagship.
fn regression(project: &Path, arguments: &[&str]) -> Output {
    let _moves = STILL.read().unwrap();
    let mut command = Command::new(project.join("tests/regression/run"));
    command.arg("--kiln").arg(program()).arg("--store").arg(&flagship().store).args(arguments);
    command.env_remove("KILN_STORE").env_remove("KILN_PROJECT").output().unwrap()
}

#[test]
fn of_cpythons_own_tests_only_those_fail_that_are_expected_to() {
    let file = until_exit().join("regression.json");
    let names: Vec<&str> = MODULES.split(' ').collect();
    let output = regression(&project(), &[&["--json", file.to_str().unwrap()][..], &names[..]].concat());
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stdout), stderr(&output));
    let report: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let counts = report["counts"].as_object().unwrap();
    assert_eq!(counts.keys().filter(|row| *row != "all").collect::<Vec<_>>(), names);
    for (module, count) in counts {
        assert!(count["passed"].as_u64().unwrap() > 5, "{module} ran next to nothing: {count}");
    }
}

#[test]
fn a_test_that_fails_or_passes_against_the_list_is_reported() {
    let copy = flagship().odd.join("tests");
    fs::create_dir_all(copy.join("regression")).unwrap();
    for name in ["guests.py", "regression/run", "regression/modules-3.11.txt"] {
        fs::copy(project().join("tests").join(name), copy.join(name)).unwrap();
    }
    fs::write(copy.join("regression/expected-3.11.txt"), "[never]\ntest_bisect TestBisectC.test_random\n").unwrap();
    let output = regression(&flagship().odd, &["test_bisect", "test_sqlite3"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in [
        "DID NOT FAIL: test_bisect TestBisectC.test_random, which is expected to: never",
        "FAILED: test_sqlite3 test_transactions.TransactionTests.test_toggle_auto_commit",
    ] {
        assert!(said.contains(words), "expected `{words}` in: {said}");
    }
}
