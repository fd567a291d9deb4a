//! A small root, made of this machine's own shell and tools, and a builder for sandboxes in it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use kiln::model::SandboxLevel;
use kiln::sandbox::{
    BUILD_PATH, Bind, HostIdentity, Limits, RunningSandbox, SCRIPT_PATH, SandboxError, SandboxExit, SandboxSpec, Stdio3, spawn_program,
};

use crate::support::{kiln, until_exit};

const TOOLS: [&str; 18] = [
    "sh", "true", "cat", "ls", "id", "touch", "mkdir", "rm", "chmod", "sleep", "env", "stat", "readlink", "ln", "mv", "head", "uname", "dd",
];

/// A tree with a shell: made once per run, by copying.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = until_exit();
        let top = root.as_path();
        for dir in ["usr/bin", "usr/lib", "etc", "tmp", "proc"] {
            fs::create_dir_all(top.join(dir)).unwrap();
        }
        for (link, target) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib")] {
            symlink(target, top.join(link)).unwrap();
        }
        fs::write(top.join("etc/declared"), "declared\n").unwrap();
        for tool in TOOLS {
            copy_with_libraries(&find(tool), top);
        }
        root
    })
}

fn find(tool: &str) -> PathBuf {
    ["/usr/bin", "/bin"].iter().map(|dir| Path::new(dir).join(tool)).find(|path| path.exists()).unwrap()
}

fn copy_with_libraries(program: &Path, top: &Path) {
    fs::copy(program, top.join("usr/bin").join(program.file_name().unwrap())).unwrap();
    let listing = Command::new("ldd").arg(program).output().unwrap();
    for word in String::from_utf8_lossy(&listing.stdout).split_whitespace().filter(|word| word.starts_with('/')) {
        let library = Path::new(word);
        let copy = top.join("usr/lib").join(library.file_name().unwrap());
        if !copy.exists() {
            fs::copy(library, copy).unwrap();
        }
    }
}

/// A sandbox to be: fresh directories, and a spec to change.
pub(crate) struct Sealed {
    /// The spec.
    pub(crate) spec: SandboxSpec,
    scratch: tempfile::TempDir,
}

/// What a sandbox did.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// How it ended.
    pub(crate) exit: SandboxExit,
    /// Standard output and error, together.
    pub(crate) output: String,
}

impl Sealed {
    /// Runs `script` with the shell of [`root`].
    pub(crate) fn script(script: &str) -> Self {
        let mut sealed = Self::command(&["/bin/sh", "-eu", SCRIPT_PATH]);
        sealed.spec.script = Some(script.to_owned());
        sealed
    }

    /// Runs a command in [`root`].
    pub(crate) fn command(argv: &[&str]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let dir = |name: &str| {
            let path = scratch.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let spec = SandboxSpec {
            root: root().to_owned(),
            binds: Vec::new(),
            store_dir: dir("store"),
            build_dir: dir("build"),
            tmp_dir: dir("tmp"),
            script: None,
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            cwd: BUILD_PATH.into(),
            level: SandboxLevel::Strict,
            host: HostIdentity::for_this_process(),
            limits: Limits::default(),
            terminal: false,
        };
        Self { spec, scratch }
    }

    /// Adds an input: a file or directory of the scratch directory, at a path in the store.
    pub(crate) fn input(mut self, name: &str, make: impl FnOnce(&Path)) -> Self {
        let objects = self.scratch.path().join("objects");
        fs::create_dir_all(&objects).unwrap();
        let source = objects.join(name);
        make(&source);
        self.spec.binds.push(Bind { source, target: Path::new("/kiln/store").join(name), writable: false });
        self
    }

    /// Starts it; the output goes to the pipe.
    pub(crate) fn start(&self) -> Result<(RunningSandbox, File), SandboxError> {
        let (reader, writer) = std::io::pipe().unwrap();
        let stdio = Stdio3 { stdin: None, stdout: writer.try_clone().unwrap().into(), stderr: writer.into() };
        Ok((spawn_program(kiln(), &self.spec, stdio)?, File::from(OwnedFd::from(reader))))
    }

    /// Runs it to its end.
    pub(crate) fn run(&self) -> Outcome {
        let (running, mut log) = self.start().unwrap();
        let mut bytes = Vec::new();
        log.read_to_end(&mut bytes).unwrap();
        let exit = running.wait().unwrap();
        Outcome { exit, output: String::from_utf8_lossy(&bytes).into_owned() }
    }

    /// What it wrote to `/kiln/store`.
    pub(crate) fn store(&self) -> &Path {
        &self.spec.store_dir
    }
}

/// Runs a script; it must succeed. Returns what it printed.
pub(crate) fn prints(script: &str) -> String {
    let outcome = Sealed::script(script).run();
    assert!(outcome.exit.success(), "{:?}\n{}", outcome.exit, outcome.output);
    outcome.output
}
