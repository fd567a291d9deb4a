//! The lanes of versions that know nothing of WASI. 3.9 stands for 3.8, too: its sources are in a registry, and what is done to them is the same.

use super::*;

/// A target that is the sources with all changes, as host-python and libpython make them.
const CHANGED: &str = r#"
old = lanes("3.9")
targets["changed"] = derivation(
    name = "changed",
    root = toolchain,
    inputs = {
        "src": old.source,
        "changes": source("cpython/changes"),
        "patches": old.patches,
        "wasi_patches": old.wasi_patches,
        "own_patches": old.own_patches,
    },
    script = """
        . "$changes/prepare.sh"
        cp -R . "$out"
        cd "$out"
        find . -type f -exec chmod a-x {} + # so that none of them is a program, which would need the root
    """,
)
"#;

/// A project with [`CHANGED`].
fn project_that_changes(name: &str) -> PathBuf {
    let changed = flagship().odd.with_file_name(name);
    copy_project(&changed);
    let targets = changed.join("derivations/default.star");
    fs::set_permissions(&targets, fs::Permissions::from_mode(0o644)).unwrap();
    File::options().append(true).open(targets).unwrap().write_all(CHANGED.as_bytes()).unwrap();
    changed
}

/// What the edits add, by the file that they change.
fn added_lines() -> Vec<(PathBuf, String)> {
    let folders = ["python-3.8", "python-3.8-wasi", "python-3.9-wasi"].map(|name| project().join("patches").join(name));
    let edits =
        folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let mut added = Vec::new();
    for text in edits {
        let mut file = None;
        for line in text.lines() {
            file = line.strip_prefix("edit ").map(PathBuf::from).or(file);
            if let (Some(file), Some(line)) = (&file, line.strip_prefix('+')) {
                added.push((file.clone(), line.to_owned()));
            }
        }
    }
    added
}

fn build_changed(project: &Path, sources: Option<&Path>) -> Output {
    let mut command = kiln(&flagship().store, project);
    command.args(["build", "changed"]);
    match sources {
        Some(sources) => command.arg("--override-source").arg(format!("cpython-3.9.2={}", sources.display())),
        None => command.arg("--json"),
    };
    command.output().unwrap()
}

#[test]
fn edits_fit_the_sources_once_and_say_where_they_do_not() {
    let project = project_that_changes("edits");
    let outcome = json(&build_changed(&project, None));
    let changed = PathBuf::from(text(&outcome["targets"][0]["physical"]));
    let added = added_lines();
    assert!(added.len() > 40, "{added:?}");
    for (file, line) in added {
        let content = fs::read(changed.join(&file)).unwrap();
        assert!(String::from_utf8_lossy(&content).lines().any(|other| other == line), "{} lacks `{line}`", file.display());
    }

    // In sources that have been edited already nothing is found; where a line stands twice it is not known which is meant.
    let again = build_changed(&project, Some(&changed));
    assert_fails(&again, 1, "0001-build-info-without-date.edits:6: this edit of Modules/getbuildinfo.c fits at 0 places, and must at 1");
    assert_fails(&again, 1, "-#define DATE __DATE__");
    let twice = project.join("twice");
    run(Command::new("cp").arg("-R").arg(&changed).arg(&twice));
    run(Command::new("chmod").args(["-R", "u+w"]).arg(&twice));
    fs::write(twice.join("Modules/getbuildinfo.c"), "#define DATE __DATE__\n#define TIME __TIME__\n#define TIME __TIME__\n").unwrap();
    let output = build_changed(&project, Some(&twice));
    assert_fails(&output, 1, "this edit of Modules/getbuildinfo.c fits at 2 places, and must at 1");
    assert_fails(&output, 1, "-#define TIME __TIME__");
}

#[test]
#[ignore = "builds another CPython and all packages for it, which takes a quarter of an hour"]
fn the_samples_pass_on_3_9() {
    let flagship = flagship();
    let lane = ["--param", "python=3.9"];
    let built = kiln(&flagship.store, &project())
        .args(["build", "runtime", "runtime-faasm", "runtime-faasm-minimal"])
        .args(lane)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    stdout(&built);
    for runtime in ["runtime", "runtime-faasm", "runtime-faasm-minimal"] {
        let run =
            |function: &str| kiln(&flagship.store, &project()).args(["run", function, "--runtime", runtime]).args(lane).output().unwrap();
        assert_eq!(stdout(&run("hello")), "hello from Python 3.9.2 on wasi\n", "{runtime}");
        for function in [
            "absence_check",
            "asyncio_check",
            "bench_deltablue",
            "compression_check",
            "ctypes_check",
            "dict_state",
            "dir_test",
            "env_check",
            "hash_check",
            "lang_test",
            "pickle_check",
            "pyc_check",
            "sqlite_check",
        ] {
            let output = stdout(&run(function));
            assert!(output.contains(": ok"), "{runtime}: {function} printed: {output}");
        }
        stdout(&run("imports_check"));
    }
    for runtime in ["runtime-numpy", "runtime-numpy-faasm"] {
        let mut numpys = kiln(&flagship.store, &project());
        stdout(&numpys.args(["run", "numpy_test,numpy_conf,mat_mul", "--runtime", runtime]).args(lane).output().unwrap());
    }
}
