//! The runtime's profiles: what each asks of its host, and what the sample functions and pyfaasm do on each.

use std::collections::BTreeSet;
use std::fs;
use std::process::Output;

use serde_json::Value;
use wasmparser::{Parser, Payload};

use super::{STILL, assert_fails, copy_project, flagship, kiln, project, stderr, stdout};

/// The runtimes, by target, and how many of Faasm's functions each imports.
const RUNTIMES: [(&str, usize); 3] = [("runtime", 0), ("runtime-faasm", 15), ("runtime-faasm-minimal", 7)];

const FAASM: &str = "runtime-faasm";
const MINIMAL: &str = "runtime-faasm-minimal";

/// A function that has nothing to do its checks with ends with this.
const SKIPPED: i32 = 77;

/// Runs a function on one of the runtimes, with an input.
fn run_on(runtime: &str, arguments: &[&str], input: &[u8]) -> Output {
    flagship().run(&[&["--runtime", runtime][..], arguments].concat(), input)
}

/// Runs one of the odd functions on one of the runtimes.
fn run_odd_on(runtime: &str, function: &str) -> Output {
    let flagship = flagship();
    let _moves = STILL.read().unwrap();
    kiln(&flagship.store, &flagship.odd).args(["run", function, "--runtime", runtime]).output().unwrap()
}

/// Every line of a function's output says that something is well.
#[track_caller]
fn assert_all_ok(output: &Output, function: &str) {
    let printed = stdout(output);
    assert!(!printed.is_empty(), "{function} printed nothing");
    for line in printed.lines() {
        assert!(line.contains(": ok") || line.starts_with("hash of "), "{function} printed: {line}");
    }
}

#[test]
fn each_profile_imports_what_the_interface_lists() {
    let interface: Value = serde_json::from_slice(&fs::read(project().join("derivations/func/interface.json")).unwrap()).unwrap();
    let functions = interface["functions"].as_object().unwrap();
    for (runtime, count) in RUNTIMES {
        let is_wanted = |(name, function): (&String, &Value)| {
            let wanted = runtime == FAASM || (runtime == MINIMAL && function["full"] != true);
            wanted.then(|| name.clone())
        };
        let wanted: BTreeSet<String> = functions.iter().filter_map(is_wanted).collect();
        let found: BTreeSet<String> = imports(runtime).into_iter().filter(|(module, _)| module == "env").map(|(_, name)| name).collect();
        assert_eq!(found, wanted, "{runtime}");
        assert_eq!(found.len(), count, "{runtime}");
        let others: BTreeSet<String> = imports(runtime).into_iter().map(|(module, _)| module).filter(|module| module != "env").collect();
        assert_eq!(others, BTreeSet::from(["wasi_snapshot_preview1".to_owned()]), "{runtime}");
    }
}

/// (module, name) of everything that a runtime's program imports.
fn imports(runtime: &str) -> BTreeSet<(String, String)> {
    let wasm = fs::read(flagship().built[runtime].join("python/py_func/function.wasm")).unwrap();
    let mut found = BTreeSet::new();
    for payload in Parser::new(0).parse_all(&wasm) {
        if let Payload::ImportSection(section) = payload.unwrap() {
            found.extend(section.into_imports().map(Result::unwrap).map(|import| (import.module.to_owned(), import.name.to_owned())));
        }
    }
    found
}

#[test]
fn a_program_for_faasm_exports_what_faasm_calls() {
    for runtime in [FAASM, MINIMAL] {
        let wasm = fs::read(flagship().built[runtime].join("python/py_func/function.wasm")).unwrap();
        let mut found = BTreeSet::new();
        for payload in Parser::new(0).parse_all(&wasm) {
            if let Payload::ExportSection(section) = payload.unwrap() {
                found.extend(section.into_iter().map(|export| export.unwrap().name.to_owned()));
            }
        }
        for name in ["_start", "_faasm_zygote", "__wasm_call_ctors", "memory"] {
            assert!(found.contains(name), "{runtime}: {name} is not among {found:?}");
        }
    }
}

#[test]
fn an_import_that_the_profile_does_not_have_fails_the_build() {
    let flagship = flagship();
    let changed = flagship.odd.with_file_name("foreign");
    copy_project(&changed);
    let file = changed.join("derivations/func/runner/streams.c");
    let foreign = "\n__attribute__((import_module(\"env\"), import_name(\"foreign\"))) int foreign(void);\n\
                   __attribute__((export_name(\"use\"))) int use(void) { return foreign(); }\n";
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(&file, text + foreign).unwrap();
    for target in ["func", "func-faasm", "func-faasm-minimal"] {
        let output = kiln(&flagship.store, &changed).args(["build", target]).output().unwrap();
        assert_fails(&output, 1, "env.foreign is imported, but must not be");
    }
}

#[test]
fn the_samples_pass_on_every_profile() {
    for (runtime, _) in RUNTIMES {
        for function in ["bench_deltablue", "dict_state", "dir_test", "env_check", "hash_check", "lang_test", "pickle_check", "pyc_check"] {
            assert_all_ok(&run_on(runtime, &[function], b""), function);
        }
        assert_eq!(stdout(&run_on(runtime, &["noop"], b"")), "", "{runtime}");
        assert_eq!(stdout(&run_on(runtime, &["hello"], b"")), "hello from Python 3.11.2 on wasi\n", "{runtime}");
    }
}

#[test]
fn a_sample_without_its_library_says_so() {
    for (runtime, _) in RUNTIMES {
        for (function, library) in [("ctypes_check", "ctypes"), ("numpy_test", "numpy"), ("numpy_conf", "numpy"), ("mat_mul", "numpy")] {
            let output = run_on(runtime, &[function], b"");
            if output.status.success() {
                continue; // it has become part of the runtime
            }
            assert_fails(&output, SKIPPED, &format!("{library} is not in this runtime"));
        }
    }
}

#[test]
fn input_and_output_are_any_bytes_on_every_profile() {
    let mut input: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    input.extend(b"\0\r\n\0");
    let mut reversed = input.clone();
    reversed.reverse();
    for (runtime, _) in RUNTIMES {
        let output = run_on(runtime, &["echo"], &input);
        assert!(output.status.success() && output.stdout == input, "{runtime}: {}", stderr(&output));
        let output = run_on(runtime, &["python/echo", "--entry", "reverse"], &input);
        assert!(output.status.success() && output.stdout == reversed, "{runtime}: {}", stderr(&output));
        let output = run_on(runtime, &["echo"], b"");
        assert!(output.status.success() && output.stdout.is_empty(), "{runtime}: {}", stderr(&output));
    }
}

#[test]
fn the_default_entry_gets_no_argument_when_it_is_named() {
    for (runtime, _) in RUNTIMES {
        let output = run_on(runtime, &["echo", "--entry", "faasm_main"], b"in\0put");
        assert_eq!(output.stdout, b"in\0put", "{runtime}: {}", stderr(&output));
    }
}

#[test]
fn state_outlives_a_call_and_what_was_not_pushed_does_not() {
    for (runtime, _) in RUNTIMES {
        let output = stdout(&run_on(runtime, &["state_test_write,state_test_read"], b""));
        assert_eq!(output, "wrote and pushed 2048 bytes\nread 2048 bytes\n", "{runtime}");
        assert_fails(&run_on(runtime, &["state_test_read"], b""), 1, "state_test_write goes first");
    }
}

#[test]
fn chained_calls_bring_back_statuses_and_state() {
    assert_all_ok(&run_on(FAASM, &["chain"], b""), "chain");
}

#[test]
fn where_calls_can_not_be_chained_that_is_said() {
    for (runtime, profile) in [("runtime", "`wasi`"), (MINIMAL, "`faasm-minimal`")] {
        let output = run_on(runtime, &["chain"], b"");
        assert_fails(&output, SKIPPED, "chain() is not available");
        assert_fails(&output, SKIPPED, profile);
    }
}

#[test]
fn calls_that_call_themselves_without_end_end() {
    let output = run_odd_on(FAASM, "endless");
    assert_fails(&output, 1, "calls are chained more than 16 deep");
}

#[test]
fn a_call_that_asks_its_host_for_what_can_not_be_ends_alone() {
    let output = run_odd_on(FAASM, "asks");
    let wanted = "pull: 126\nawait: 126\nawait itself: 126\nanother size: 126\noutside: 1\n";
    assert_eq!(stdout(&output), wanted, "{}", stderr(&output));
}

#[test]
fn bad_functions_have_their_statuses_on_every_profile() {
    for (runtime, _) in RUNTIMES {
        assert_fails(&run_on(runtime, &["nosuch"], b""), 122, "nosuch");
        assert_fails(&run_on(runtime, &["somebody/hello"], b""), 122, "somebody");
        assert_fails(&run_on(runtime, &["a/b/c"], b""), 120, "not the name of a function");
        assert_fails(&run_on(runtime, &["echo", "--entry", "nope"], b""), 124, "nope");
        for (function, status, words) in [
            ("raises", 1, "ValueError: on purpose"),
            ("recurses", 1, "RecursionError"),
            ("overflows", 126, "stopped"),
            ("returns_text", 125, "text"),
            ("returns_float", 125, "1.5"),
            ("returns_much", 125, "1180591620717411303424"),
            ("breaks_at_load", 123, "before there is an entry"),
            ("is_no_function", 124, "faasm_main"),
        ] {
            assert_fails(&run_odd_on(runtime, function), status, words);
        }
    }
}

#[test]
fn output_comes_behind_what_is_printed_and_the_last_counts() {
    for (runtime, _) in RUNTIMES {
        let output = run_odd_on(runtime, "writes");
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(3), b"printed\na\0b".as_slice()), "{}", stderr(&output));
    }
}
