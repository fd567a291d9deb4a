//! The main job, end to end: this repository's own recipes, built from the registries, and functions run on what comes out.
//!
//! One cold build serves all tests here. Without `KILN_FLAGSHIP_STORE` it goes into an empty store that is gone afterwards; with it, into
//! the store that it names, which is kept, so that a second run is quick. `KILN_FLAGSHIP_PATHS` names a file to write the store paths to: two
//! runs, as whoever and wherever, must write the same. `KILN_FLAGSHIP_CORES` is what the builders are told.

mod beginning;
mod packages;
mod regression;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{OnceLock, RwLock};
use std::time::SystemTime;

use kiln::model::Sha256;
use serde_json::Value;
use wasmparser::{Parser, Payload};

use crate::support::{kiln as program, until_exit};

mod faasm;
mod lanes;

/// The targets that are built; everything else is needed by one of them.
const TARGETS: [&str; 9] = [
    "runtime",
    "runtime-tests",
    "runtime-tests.compiled",
    "runtime-faasm",
    "runtime-faasm-minimal",
    "runner",
    "runtime.compiled",
    "runtime-faasm.compiled",
    "runtime-faasm-minimal.compiled",
];

/// Functions that no user would write, added to the project's own.
const ODD_FUNCTIONS: [(&str, &str); 13] = [
    ("raises", "def faasm_main():\n    raise ValueError('on purpose')\n"),
    ("returns_text", "def faasm_main():\n    return 'text'\n"),
    ("returns_seven", "def faasm_main():\n    return 7\n"),
    ("breaks_at_load", "raise OSError('before there is an entry')\n"),
    ("is_no_function", "faasm_main = 1\n"),
    ("returns_float", "def faasm_main():\n    return 1.5\n"),
    ("returns_much", "def faasm_main():\n    return 2**70\n"),
    ("recurses", "def faasm_main():\n    return faasm_main()\n"),
    ("overflows", include_str!("flagship/overflows.py")),
    ("asks", include_str!("flagship/asks.py")),
    ("endless", include_str!("flagship/endless.py")),
    ("freezes", include_str!("flagship/freezes.py")),
    ("writes", include_str!("flagship/writes.py")),
];

/// The built flagship.
struct Flagship {
    store: PathBuf,
    /// A copy of the project with [`ODD_FUNCTIONS`] and those that use packages.
    odd: PathBuf,
    /// Physical path of each target.
    built: BTreeMap<String, PathBuf>,
}

/// Held for writing by who needs the store to stand still.
static STILL: RwLock<()> = RwLock::new(());

fn flagship() -> &'static Flagship {
    static FLAGSHIP: OnceLock<Flagship> = OnceLock::new();
    FLAGSHIP.get_or_init(|| {
        let kept = std::env::var_os("KILN_FLAGSHIP_STORE").map(PathBuf::from);
        let scratch = until_exit();
        let store = kept.unwrap_or_else(|| scratch.join("store"));
        let odd = scratch.join("odd");
        copy_project(&odd);
        for (name, text) in ODD_FUNCTIONS.into_iter().chain(packages::FUNCTIONS) {
            add_function(&odd, name, text);
        }
        let cores = std::env::var("KILN_FLAGSHIP_CORES").ok();
        let cores = cores.iter().flat_map(|cores| ["--cores", cores]);
        let output = kiln(&store, &project())
            .arg("build")
            .args(TARGETS)
            .arg("--json")
            .args(cores)
            .stderr(Stdio::inherit()) // who waits for it sees it go on
            .output()
            .unwrap();
        assert!(output.status.success(), "the flagship does not build: {}", output.status);
        let outcome = json(&output);
        let built = outcome["targets"].as_array().unwrap().iter().map(|built| (text(&built["target"]), text(&built["physical"]).into()));
        let flagship = Flagship { store, odd, built: built.collect() };
        if let Some(file) = std::env::var_os("KILN_FLAGSHIP_PATHS") {
            fs::write(file, flagship.store_paths().join("\n") + "\n").unwrap();
        }
        flagship
    })
}

impl Flagship {
    /// `kiln` in this repository, on the flagship's store.
    fn kiln<const N: usize>(&self, arguments: [&str; N]) -> Output {
        let _moves = STILL.read().unwrap();
        kiln(&self.store, &project()).args(arguments).output().unwrap()
    }

    /// Runs a function, with its input piped into it.
    fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        let _moves = STILL.read().unwrap();
        let mut child = kiln(&self.store, &project()).arg("run").args(arguments).stdin(Stdio::piped()).spawn().unwrap();
        // Who does not read it will say why.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    /// Runs one of the odd functions.
    fn run_odd(&self, function: &str) -> Output {
        let _moves = STILL.read().unwrap();
        kiln(&self.store, &self.odd).args(["run", function]).output().unwrap()
    }

    fn runtime(&self) -> &Path {
        &self.built["runtime"]
    }

    /// The store path of each target that was built on the way, a line each.
    fn store_paths(&self) -> Vec<String> {
        let listed = json(&self.kiln(["eval", "--json"]));
        let targets = listed["targets"].as_array().unwrap().iter().map(|target| text(&target["name"]));
        let known = targets.filter_map(|target| {
            let output = self.kiln(["info", &target, "--json"]);
            output.status.success().then(|| format!("{target} {}", text(&json(&output)["path"])))
        });
        known.collect()
    }
}

/// The `kiln` under test, knowing nothing but its arguments.
fn kiln(store: &Path, project: &Path) -> Command {
    let mut command = Command::new(program());
    command.env_remove("KILN_STORE").env_remove("KILN_PROJECT").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.arg("--store").arg(store).arg("--project").arg(project);
    command
}

/// This repository; as another user, a copy of it.
fn project() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()).into()
}

fn copy_project(to: &Path) {
    fs::create_dir(to).unwrap();
    for part in ["derivations", "patches"] {
        run(Command::new("cp").arg("-R").arg(project().join(part)).arg(to));
    }
}

fn add_function(project: &Path, name: &str, text: &str) {
    let dir = project.join("derivations/func/functions/pyfuncs/python").join(name);
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("function.py"), text).unwrap();
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?} failed");
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}\n{}", output.status, stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// All files below `top` by their path in it, and all else that is not a directory.
fn files(top: &Path) -> (BTreeSet<PathBuf>, Vec<PathBuf>) {
    let entries = walkdir::WalkDir::new(top).into_iter().map(Result::unwrap).filter(|entry| !entry.file_type().is_dir());
    let (files, others): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.file_type().is_file());
    let relative = |entry: walkdir::DirEntry| entry.path().strip_prefix(top).unwrap().to_owned();
    (files.into_iter().map(relative).collect(), others.into_iter().map(relative).collect())
}

/// A function that failed with `code`, and said `words`.
#[track_caller]
fn assert_fails(output: &Output, code: i32, words: &str) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "expected `{words}` in: {said}");
}

#[test]
fn hello_says_which_python_it_runs_on() {
    let output = flagship().run(&["hello"], b"");
    assert_eq!(stdout(&output), "hello from Python 3.11.2 on wasi\n");
}

#[test]
fn echo_gives_any_bytes_back() {
    let mut input: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    input.extend(b"\r\n\0");
    let output = flagship().run(&["echo"], &input);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(output.stdout == input, "{} bytes came back, not the {} that went in", output.stdout.len(), input.len());
}

#[test]
fn an_entry_gets_the_input_as_its_argument() {
    let output = flagship().run(&["python/echo", "--entry", "reverse"], b"a\0\xffb");
    assert_eq!(output.stdout, b"b\xff\0a", "{}", stderr(&output));
}

#[test]
fn lang_test_hash_check_and_pickle_check_pass() {
    assert_checks_pass("lang_test", "deep_recursion_is_an_exception");
    assert_checks_pass("hash_check", "hmac");
    assert_checks_pass("pickle_check", "protocol 5");
}

#[test]
fn zlib_bz2_and_lzma_give_the_bytes_that_other_builds_give() {
    assert_checks_pass("compression_check", "tar_files");
}

#[test]
fn sqlite_works_in_memory_and_in_a_file() {
    assert_checks_pass("sqlite_check", "database_in_a_file");
}

#[test]
fn ctypes_has_all_but_foreign_functions() {
    assert_checks_pass("ctypes_check", "what_can_not_be_had");
}

#[test]
fn an_event_loop_runs_without_sockets_and_threads() {
    assert_checks_pass("asyncio_check", "timers_wait");
}

#[test]
fn what_a_guest_can_not_have_fails_with_the_usual_exception() {
    assert_checks_pass("absence_check", "processes");
}

#[test]
fn every_module_can_be_imported_but_those_that_the_page_names() {
    let output = stdout(&flagship().run(&["imports_check"], b""));
    let page = fs::read_to_string(project().join("docs/runtime.md")).unwrap();
    let absent: Vec<&str> = output.lines().filter_map(|line| line.strip_prefix("absent: ")?.split(':').next()).collect();
    assert!(!absent.is_empty(), "{output}");
    for module in absent {
        assert!(page.contains(&format!("`{module}`")), "docs/runtime.md does not say that {module} is absent");
    }
}

/// A function of checks: each prints its name and `: ok`, and `check` is one of them.
#[track_caller]
fn assert_checks_pass(function: &str, check: &str) {
    let output = stdout(&flagship().run(&[function], b""));
    assert!(output.lines().any(|line| line == format!("{check}: ok")), "{function} printed: {output}");
    let all_well = |line: &str| line.ends_with(": ok") || line.starts_with("hash of ");
    assert!(output.lines().all(all_well), "{function} printed: {output}");
}

#[test]
fn string_hashes_are_the_same_in_every_run() {
    assert_eq!(stdout(&flagship().run(&["hash_check"], b"")), stdout(&flagship().run(&["hash_check"], b"")));
}

#[test]
fn a_second_build_builds_nothing() {
    let outcome = json(&flagship().kiln(["build", "runtime", "runner", "--json"]));
    assert_eq!((&outcome["built"], &outcome["fetched"]), (&Value::from(Vec::<Value>::new()), &Value::from(0)), "{outcome}");
}

#[test]
fn with_all_but_the_runtime_collected_it_still_builds_nothing() {
    let flagship = flagship();
    let copy = scratch_copy(flagship);
    let path = text(&json(&flagship.kiln(["info", "runtime", "--json"]))["path"]);
    stdout(&kiln(&copy, &project()).args(["store", "pin", "keep", &path]).output().unwrap());
    stdout(&kiln(&copy, &project()).arg("gc").output().unwrap());
    assert_eq!(stdout(&kiln(&copy, &project()).args(["store", "ls"]).output().unwrap()).matches("/kiln/store/").count(), 1);
    let outcome = json(&kiln(&copy, &project()).args(["build", "runtime", "--json"]).output().unwrap());
    assert_eq!((&outcome["built"], &outcome["fetched"]), (&Value::from(Vec::<Value>::new()), &Value::from(0)), "{outcome}");
}

/// A copy of the store that shares the objects' bytes: a collector only takes names away.
fn scratch_copy(flagship: &Flagship) -> PathBuf {
    let _still = STILL.write().unwrap();
    let copy = flagship.odd.with_file_name("copy");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(&flagship.store).unwrap().map(Result::unwrap) {
        let how = if entry.file_name() == "objects" { "-al" } else { "-a" };
        run(Command::new("cp").arg(how).arg(entry.path()).arg(&copy));
    }
    copy
}

#[test]
fn a_comment_in_a_script_rebuilds_that_artifact_and_nothing_behind_it() {
    let flagship = flagship();
    let changed = flagship.odd.with_file_name("commented");
    copy_project(&changed);
    comment(&changed.join("derivations/func/func.sh"));
    let output = kiln(&flagship.store, &changed).args(["build", "runtime", "--json"]).output().unwrap();
    assert_eq!(json(&output)["built"], Value::from(vec!["func-python-3.11"]));
    assert_eq!(json(&output)["targets"], json(&flagship.kiln(["build", "runtime", "--json"]))["targets"]);
}

#[test]
#[ignore = "takes as long as a cold build"]
fn comments_in_the_long_scripts_rebuild_those_artifacts_only() {
    let flagship = flagship();
    for (script, name) in [("libpython.sh", "libpython-3.11.2"), ("host-python.sh", "host-python-3.11.2")] {
        let changed = flagship.odd.with_file_name(name);
        copy_project(&changed);
        comment(&changed.join("derivations/cpython").join(script));
        let output = kiln(&flagship.store, &changed).args(["build", "runtime", "--json"]).stderr(Stdio::inherit()).output().unwrap();
        assert_eq!(json(&output)["built"], Value::from(vec![name]));
        assert_eq!(json(&output)["targets"], json(&flagship.kiln(["build", "runtime", "--json"]))["targets"]);
    }
}

/// Adds a comment that was never there before.
fn comment(script: &Path) {
    fs::set_permissions(script, fs::Permissions::from_mode(0o644)).unwrap();
    File::options().append(true).open(script).unwrap().write_all(format!("\n# {:?}\n", SystemTime::now()).as_bytes()).unwrap();
}

#[test]
fn the_runtime_holds_no_link_and_no_reference() {
    let flagship = flagship();
    assert_eq!(files(flagship.runtime()).1, Vec::<PathBuf>::new());
    let info = json(&flagship.kiln(["info", "runtime", "--json"]));
    assert_eq!(info["object"]["references"], Value::from(Vec::<Value>::new()));
    for file in files(flagship.runtime()).0 {
        let bytes = fs::read(flagship.runtime().join(&file)).unwrap();
        assert!(!bytes.windows(12).any(|window| window == b"/kiln/store/"), "{} names a store path", file.display());
    }
}

#[test]
fn the_manifest_names_a_derivation_for_every_file() {
    let flagship = flagship();
    let listed = json(&flagship.kiln(["info", "runtime", "--manifest", "--json"]));
    let graph = json(&flagship.kiln(["show", "runtime", "--json"]));
    let mut named = BTreeSet::new();
    for file in listed.as_array().unwrap() {
        let path = PathBuf::from(text(&file["path"]));
        let bytes = fs::read(flagship.runtime().join(&path)).unwrap();
        assert_eq!(Sha256::of(bytes).hex(), text(&file["sha256"]), "{}", path.display());
        let derivation = text(&file["derivation"]);
        assert_eq!(derivation.len(), 64, "{derivation}");
        assert!(graph.to_string().contains(&derivation), "{} is said to come from {derivation}, no input of runtime", path.display());
        named.insert(path);
    }
    let mut wanted = files(flagship.runtime()).0;
    wanted.remove(Path::new("manifest.json"));
    assert_eq!(named, wanted);
    let kinds: BTreeSet<String> = listed.as_array().unwrap().iter().map(|file| text(&file["layer"])).collect();
    for kind in ["func", "functions", "package_markupsafe", "package_six", "pyfaasm", "standins", "stdlib"] {
        assert!(kinds.contains(kind), "no file is from {kind}: {kinds:?}");
    }
}

#[test]
fn func_imports_exactly_wasi() {
    let wasm = fs::read(flagship().runtime().join("python/py_func/function.wasm")).unwrap();
    let mut modules = BTreeSet::new();
    for payload in Parser::new(0).parse_all(&wasm) {
        if let Payload::ImportSection(section) = payload.unwrap() {
            modules.extend(section.into_imports().map(|import| import.unwrap().module.to_owned()));
        }
    }
    assert_eq!(modules, BTreeSet::from(["wasi_snapshot_preview1".to_owned()]));
}

#[test]
fn what_every_start_imports_is_in_the_program_and_still_has_its_files() {
    let output = stdout(&flagship().run_odd("freezes"));
    assert_eq!(
        output.lines().collect::<Vec<_>>(),
        ["encodings: ok", "encodings.aliases: ok", "encodings.utf_8: ok", "other encodings: ok", "lines: ok"]
    );
}

#[test]
fn func_carries_no_names_and_no_debug_information() {
    let wasm = fs::read(flagship().runtime().join("python/py_func/function.wasm")).unwrap();
    let custom = Parser::new(0).parse_all(&wasm).filter_map(|payload| match payload.unwrap() {
        Payload::CustomSection(section) => Some(section.name().to_owned()),
        _ => None,
    });
    assert_eq!(custom.collect::<Vec<_>>(), ["target_features"]);
}

#[test]
fn the_module_report_gives_each_module_that_is_not_built_a_reason() {
    let flagship = flagship();
    let physical = text(&json(&flagship.kiln(["info", "libpython", "--json"]))["physical"]);
    let report: Value = serde_json::from_slice(&fs::read(Path::new(&physical).join("modules.json")).unwrap()).unwrap();
    let modules = report["modules"].as_object().unwrap();
    let mut counts = BTreeMap::<&str, u64>::new();
    for (name, module) in modules {
        let state = module["state"].as_str().unwrap();
        *counts.entry(state).or_default() += 1;
        assert!(["built", "left out", "failed"].contains(&state), "{name}: {state}");
        assert_eq!(state != "built", module["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{name}: {module}");
    }
    assert_eq!(serde_json::to_value(counts).unwrap(), report["counts"]);
    for name in ["_bz2", "_ctypes", "_json", "_lzma", "_pickle", "_sha512", "_sqlite3", "_struct", "math", "unicodedata", "zlib"] {
        assert_eq!(modules[name]["state"], "built", "{name}");
    }
    assert_eq!(modules["_ssl"]["state"], "left out");
}

#[test]
fn six_is_importable() {
    let metadata = flagship().runtime().join("lib/python3.11/site-packages");
    assert!(metadata.join("six.py").is_file());
    let names = fs::read_dir(metadata).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.collect::<Vec<_>>().iter().any(|name| name == OsStr::new("six-1.17.0.dist-info")));
}

#[test]
fn a_function_that_is_not_there_is_named() {
    assert_fails(&flagship().run(&["nosuch"], b""), 122, "nosuch");
    assert_fails(&flagship().run(&["somebody/hello"], b""), 122, "somebody");
}

#[test]
fn an_entry_that_is_not_there_is_named() {
    assert_fails(&flagship().run(&["echo", "--entry", "nope"], b""), 124, "nope");
}

#[test]
fn a_function_that_raises_shows_its_traceback() {
    let output = flagship().run_odd("raises");
    assert_fails(&output, 1, "ValueError: on purpose");
    assert_fails(&output, 1, "pyfuncs/python/raises/function.py\", line 2");
}

#[test]
fn what_a_function_returns_must_be_a_number() {
    assert_eq!(flagship().run_odd("returns_seven").status.code(), Some(7));
    assert_fails(&flagship().run_odd("returns_text"), 125, "text");
}

#[test]
fn a_function_that_cannot_be_loaded_or_called_says_why() {
    assert_fails(&flagship().run_odd("breaks_at_load"), 123, "OSError: before there is an entry");
    assert_fails(&flagship().run_odd("is_no_function"), 124, "faasm_main");
}

#[test]
fn code_that_was_compiled_from_another_program_is_not_run() {
    let flagship = flagship();
    let changed = flagship.odd.with_file_name("mixed");
    copy_project(&changed);
    let file = changed.join("derivations/default.star");
    let recipes = fs::read_to_string(&file).unwrap();
    let mixed = recipes.replace("= compiled(program)", "= compiled(func(lane, \"faasm\", natives(fragments)))");
    assert_ne!(recipes, mixed);
    fs::write(&file, mixed).unwrap();
    let output = kiln(&flagship.store, &changed).args(["run", "hello"]).output().unwrap();
    assert_fails(&output, 2, "was made of another program than");
}

#[test]
fn a_function_that_is_not_python_does_not_build() {
    let flagship = flagship();
    let changed = flagship.odd.with_file_name("broken");
    copy_project(&changed);
    add_function(&changed, "broken", "def faasm_main(:\n");
    let output = kiln(&flagship.store, &changed).args(["run", "broken"]).output().unwrap();
    assert_fails(&output, 1, "SyntaxError");
    assert_fails(&output, 1, "broken/function.py\", line 1");
}

#[test]
fn every_object_has_the_bytes_its_name_says() {
    let flagship = flagship();
    let output = flagship.kiln(["store", "verify"]);
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output));
}
