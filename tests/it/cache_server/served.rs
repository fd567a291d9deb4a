//! A cache's directory with a few objects in it, and a server of it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use kiln::model::{Compression, ContentAddress, NarInfo, Sha256, StorePath};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Client;
use crate::support::{Outcome, Running, Scratch, kiln};

/// An object as it lies in a cache.
pub(super) struct Entry {
    pub(super) path: StorePath,
    pub(super) info: NarInfo,
    pub(super) packed: Vec<u8>,
}

fn string(nar: &mut Vec<u8>, text: &[u8]) {
    nar.extend((text.len() as u64).to_le_bytes());
    nar.extend(text);
    nar.resize(nar.len().next_multiple_of(8), 0);
}

/// An object that is a file with this content, and refers to those.
pub(super) fn entry(name: &str, content: &[u8], references: &[&Entry]) -> Entry {
    let mut nar = Vec::new();
    for part in ["nix-archive-1", "(", "type", "regular", "contents"] {
        string(&mut nar, part.as_bytes());
    }
    string(&mut nar, content);
    string(&mut nar, b")");
    let packed = zstd::encode_all(nar.as_slice(), 3).unwrap();
    let references: BTreeSet<StorePath> = references.iter().map(|entry| entry.path.clone()).collect();
    let nar_hash = Sha256::of(&nar);
    let ca = ContentAddress::Recursive(nar_hash);
    let path = ca.store_path(&name.parse().unwrap(), &references, false);
    let info = NarInfo {
        path: path.clone(),
        url: format!("nar/{}.nar.zst", Sha256::of(&packed).base32()),
        compression: Compression::Zstd,
        file_hash: Some(Sha256::of(&packed)),
        file_size: Some(packed.len() as u64),
        nar_hash,
        nar_size: nar.len() as u64,
        references,
        deriver: None,
        signatures: vec![],
        ca: Some(ca),
    };
    Entry { path, info, packed }
}

impl Entry {
    /// The path that its description is served under.
    pub(super) fn narinfo(&self) -> String {
        format!("/{}.narinfo", self.path.digest())
    }

    /// The path that its packed NAR is served under.
    pub(super) fn nar(&self) -> String {
        format!("/{}", self.info.url)
    }

    /// Puts it into a cache's directory.
    pub(super) fn lay(&self, dir: &Path) {
        std::fs::create_dir_all(dir.join("nar")).unwrap();
        std::fs::write(dir.join(&self.info.url), &self.packed).unwrap();
        std::fs::write(dir.join(&self.narinfo()[1..]), self.info.to_string()).unwrap();
    }
}

/// A running server.
pub(super) struct Served {
    scratch: Scratch,
    child: Child,
    stderr: BufReader<ChildStderr>,
    pub(super) address: SocketAddr,
}

impl Served {
    /// A server of an empty directory, to be filled.
    pub(super) fn start(args: &[&str]) -> Self {
        Self::prepared(args, |_| {})
    }

    /// A server of what `prepare` puts beneath a directory: `cache/` is served, `{}` in the arguments stands for the directory.
    pub(super) fn prepared(args: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let scratch = Scratch::new();
        std::fs::create_dir(scratch.path().join("cache")).unwrap();
        prepare(scratch.path());
        let mut command = Command::new(kiln());
        command.args(["cache", "serve"]).arg(scratch.path().join("cache")).args(["--listen", "127.0.0.1:0"]);
        command.args(args.iter().map(|arg| arg.replace("{}", scratch.path().to_str().unwrap())));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let address = line.trim().rsplit("://").next().and_then(|address| address.parse().ok());
        let Some(address) = address else {
            stderr.read_to_string(&mut line).unwrap();
            panic!("the server did not start: {line}");
        };
        Self { scratch, child, stderr, address }
    }

    /// The directory that is served.
    pub(super) fn dir(&self) -> PathBuf {
        self.scratch.path().join("cache")
    }

    /// A place beside it.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    pub(super) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Asks it to stop.
    pub(super) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits for its end; gives the exit code and what it printed meanwhile.
    pub(super) fn wait(mut self) -> (Option<i32>, String) {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_secs(60), "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        let (mut out, mut err) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.stderr.read_to_string(&mut err).unwrap();
        assert_eq!(err, "", "nothing to complain of");
        (self.child.wait().unwrap().code(), out)
    }

    /// Stops it.
    pub(super) fn stop(self) -> (Option<i32>, String) {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// Bytes of memory that it has.
    pub(super) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a token in `tokens` below a directory; gives the header that carries it.
pub(super) fn token(dir: &Path, name: &str, scope: &str) -> String {
    let out = kiln_command(["cache", "token", name, "--scope", scope, "--tokens", dir.join("tokens").to_str().unwrap()]).success().out;
    format!("Authorization: Bearer {}\r\n", out.trim())
}

/// Runs kiln, with nothing around it.
pub(super) fn kiln_command<const N: usize>(args: [&str; N]) -> Outcome {
    let mut command = Command::new(kiln());
    command.args(args);
    Running::start(command).wait()
}
