//! Attempts to see or change something undeclared from within a sandbox. Each one has a control: the same program with the same argument,
//! run outside, where it must succeed; inside it must be refused. An attempt whose control cannot succeed here (it needs root, or something
//! that this kernel lacks) counts for nothing, and enough of them must count.
//!
//! `cargo test --test it -- --nocapture escapes` prints the table.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sealed::Sealed;
use crate::support::until_exit;

/// One attempt.
struct Attempt {
    /// The function of probe.c.
    probe: &'static str,
    /// What it would mean.
    what: &'static str,
    /// When its control can succeed.
    control: Control,
    /// Its argument outside, and inside.
    argument: fn(&World) -> (String, String),
}

/// When the control of an attempt can succeed.
#[derive(Clone, Copy, PartialEq)]
enum Control {
    /// Always.
    Anyone,
    /// For root.
    Root,
    /// It depends on the machine's kernel and its settings.
    Perhaps,
}
use Control::{Anyone, Perhaps, Root};

const fn attempt(probe: &'static str, what: &'static str, control: Control, argument: fn(&World) -> (String, String)) -> Attempt {
    Attempt { probe, what, control, argument }
}

/// The same argument outside and inside.
fn same(text: impl Into<String>) -> (String, String) {
    let text = text.into();
    (text.clone(), text)
}

fn nothing(_: &World) -> (String, String) {
    same("")
}

fn probe_itself(world: &World) -> (String, String) {
    (world.probe.display().to_string(), "/probe".into())
}

fn input(world: &World) -> (String, String) {
    (world.outside.join("input").display().to_string(), "/kiln/store/input".into())
}

#[rustfmt::skip]
const ATTEMPTS: &[Attempt] = &[
    // Seeing: files, environment, processes, names, sockets, memory, devices, kernel.
    attempt("read_file", "read a file of the host", Anyone, |w| same(w.path("secret"))),
    attempt("read_file", "read the host's users", Anyone, |_| same("/etc/passwd")),
    attempt("list_dir", "list a directory of the host", Anyone, |w| same(w.outside.display().to_string())),
    attempt("list_dir", "list the machine's devices in /sys", Perhaps, |_| same("/sys/devices")),
    attempt("list_dir", "list the bus directory of /proc", Perhaps, |_| same("/proc/bus")),
    attempt("see_variable", "see a variable of kiln's environment", Anyone, |_| same(inherited_variable())),
    attempt("see_process", "see a process of the host", Anyone, |w| same(&w.mark)),
    attempt("signal_process", "signal a process of the host", Anyone, |w| same(w.sleeper.id().to_string())),
    attempt("see_host_name", "learn the host name", Perhaps, |_| same(telling_host_name())),
    attempt("connect_tcp", "connect to a service on the host's loopback interface", Anyone, |w| same(w.port.to_string())),
    attempt("connect_abstract", "connect to an abstract socket of the host", Anyone, |w| same(&w.mark)),
    attempt("see_shared_memory", "find System V shared memory of the host", Anyone, |w| same(w.shared_key.to_string())),
    attempt("parent_file", "read the environment of the process that started the build", Anyone, |_| same("environ")),
    attempt("parent_file", "reach the file system of the process that started the build", Anyone, |_| same("root")),
    attempt("parent_file", "read the memory of the process that started the build", Anyone, |_| same("mem")),
    attempt("contains", "learn the processor's model", Perhaps, |_| same("/proc/cpuinfo=model name")),
    attempt("contains", "learn how much memory is in use", Anyone, |_| same("/proc/meminfo=Active:")),
    attempt("contains", "learn the time of the last boot", Anyone, |_| same("/proc/stat=btime 1")),
    attempt("contains", "see the host's mounts", Anyone, |_| same("/proc/self/mounts= /sys ")),
    attempt("read_file", "learn the kernel's command line", Anyone, |_| same("/proc/cmdline")),
    attempt("read_file", "learn the boot id", Anyone, |_| same("/proc/sys/kernel/random/boot_id")),
    attempt("read_file", "learn the machine's interrupts", Anyone, |_| same("/proc/interrupts")),
    attempt("read_file", "list the machine's disks", Perhaps, |_| same("/proc/diskstats")),
    attempt("read_file", "read the kernel's memory", Perhaps, |_| same("/proc/kcore")),
    attempt("new_terminal", "open a terminal device", Anyone, nothing),
    attempt("kernel_log", "read the kernel's log", Perhaps, nothing),
    attempt("read_clock_state", "learn the clock's state", Anyone, nothing),
    attempt("file_handle", "get a file handle that outlives the mount", Perhaps, |_| same("/")),
    attempt("where_is_the_stack", "get random addresses", Perhaps, probe_itself),
    attempt("see_keyring", "see the user's keyring", Perhaps, nothing),
    // Changing: files of the host, inputs, the machine.
    attempt("write_file", "write to a file of the host", Anyone, |w| same(w.path("open"))),
    attempt("make_file", "make a file on the host", Anyone, |w| same(w.path("new"))),
    attempt("write_file", "write to an input", Anyone, input),
    attempt("change_times", "change an input's times", Anyone, input),
    attempt("change_mode", "change an input's mode", Anyone, input),
    attempt("replace", "move an input away", Anyone, |w| (w.path("input-to-move"), "/kiln/store/input".into())),
    attempt("hard_link", "make another name for an input's file", Anyone, input),
    attempt("make_file", "add a file to the root", Anyone, |w| (w.path("usr-file"), "/usr/file".into())),
    attempt("make_file", "add a file to /", Anyone, |w| (w.path("top-file"), "/file".into())),
    attempt("change_times", "change the times of a device node", Anyone, |_| same("/dev/null")),
    attempt("set_host_name", "change the host name", Root, |_| same(host_name())),
    attempt("set_clock", "set the clock", Root, nothing),
    attempt("device_node", "make a device node", Root, nothing),
    attempt("become_root", "become root", Root, nothing),
    attempt("core_dumps", "turn core dumps on", Anyone, nothing),
    attempt("change_personality", "change the process's personality", Anyone, nothing),
    // Set-id bits, one call after another.
    attempt("by_chmod", "set a set-id bit with chmod", Anyone, nothing),
    attempt("by_fchmod", "set a set-id bit with fchmod", Anyone, nothing),
    attempt("by_fchmodat", "set a set-id bit with fchmodat", Anyone, nothing),
    attempt("by_fchmodat2", "set a set-id bit with fchmodat2", Perhaps, nothing),
    attempt("by_open", "make a set-id file with open", Anyone, nothing),
    attempt("by_creat", "make a set-id file with creat", Anyone, nothing),
    attempt("by_mknod", "make a set-id file with mknod", Anyone, nothing),
    attempt("by_openat2", "make a set-id file with openat2", Anyone, nothing),
    // What an archive cannot hold.
    attempt("set_attribute", "set an extended attribute", Perhaps, nothing),
    attempt("list_attributes", "list extended attributes", Perhaps, nothing),
    attempt("file_flags", "set a file's flags", Perhaps, nothing),
    // Namespaces and mounts.
    attempt("unshare_user", "make a user namespace with unshare", Anyone, nothing),
    attempt("clone_user", "make a user namespace with clone", Anyone, nothing),
    attempt("clone3_user", "make a user namespace with clone3", Anyone, nothing),
    attempt("enter_namespace", "enter a namespace", Root, nothing),
    attempt("mount_tmpfs", "mount a file system", Root, nothing),
    attempt("new_mount", "make a file system context", Root, nothing),
    attempt("copy_mount", "copy a mount", Root, |_| same("/")),
    attempt("change_root", "change the root directory", Root, nothing),
    // Other processes, and parts of the kernel that no build needs.
    attempt("trace", "trace another process", Perhaps, nothing),
    attempt("read_memory", "read another process's memory", Perhaps, nothing),
    attempt("steal_descriptor", "take another process's descriptor", Perhaps, nothing),
    attempt("add_key", "add a key to a keyring", Anyone, nothing),
    attempt("io_uring", "make calls through io_uring", Perhaps, nothing),
    attempt("user_faults", "handle page faults", Perhaps, nothing),
    attempt("bpf_map", "use BPF", Perhaps, nothing),
    attempt("performance", "use performance counters", Perhaps, nothing),
    attempt("watch_files", "watch a whole file system", Perhaps, nothing),
    attempt("new_socket", "talk to the kernel by netlink", Anyone, |_| same("16")),
    attempt("new_socket", "read packets", Root, |_| same("17")),
    attempt("foreign_abi", "make calls of another architecture", Perhaps, nothing),
];

/// What the attempts are aimed at.
struct World {
    probe: PathBuf,
    outside: PathBuf,
    mark: String,
    port: u16,
    shared_key: u32,
    sleeper: Child,
    holder: Child,
    _tcp: TcpListener,
    _abstract: UnixListener,
    _dir: tempfile::TempDir,
}

/// The compiled probe.
pub(crate) fn probe() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let dir = until_exit();
        let (source, path) = (dir.join("probe.c"), dir.join("probe"));
        fs::write(&source, include_str!("escapes/probe.c")).unwrap();
        let compiled = Command::new("cc").args(["-static", "-O1", "-o"]).arg(&path).arg(source).status().unwrap();
        assert!(compiled.success(), "a C compiler and a static C library are needed");
        path
    })
}

/// A root that holds nothing but the probe and an empty directory, both with more rights than they should have.
pub(crate) fn probe_root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let usr = root.path().join("usr");
    fs::copy(probe(), root.path().join("probe")).unwrap();
    fs::create_dir(&usr).unwrap();
    for path in [root.path(), &usr] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    root
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        for (path, mode) in [(dir.path(), 0o755), (outside.as_path(), 0o777)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        for name in ["secret", "open", "input", "input-to-move"] {
            fs::write(outside.join(name), "undeclared\n").unwrap();
            fs::set_permissions(outside.join(name), fs::Permissions::from_mode(0o666)).unwrap();
        }
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let mark = format!("8{number:02}{:08}", std::process::id());
        let shared_key = 0x4b00_0000 + (number << 22) + std::process::id();
        let abstract_socket = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&mark).unwrap()).unwrap();
        let mut holder = Command::new(probe());
        holder.args(["hold_shared_memory", &shared_key.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = holder.spawn().unwrap();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        Self {
            probe: probe().to_owned(),
            sleeper: Command::new("sleep").arg(&mark).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(),
            port: tcp.local_addr().unwrap().port(),
            outside,
            mark,
            shared_key,
            holder,
            _tcp: tcp,
            _abstract: abstract_socket,
            _dir: dir,
        }
    }

    fn path(&self, name: &str) -> String {
        self.outside.join(name).display().to_string()
    }

    /// Runs an attempt on the host; whether it worked, and what it said.
    fn outside(&self, probe: &str, argument: &str) -> (bool, String) {
        let output = Command::new(&self.probe).args([probe, argument]).current_dir(&self.outside).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Runs an attempt in a sandbox whose only input is `input`.
    fn inside(&self, probe: &str, argument: &str) -> (bool, String) {
        let mut sealed = Sealed::command(&["/probe", probe, argument]).input("input", |path| {
            fs::write(path, "declared\n").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
        });
        let root = probe_root();
        sealed.spec.root = root.path().to_owned();
        let outcome = sealed.run();
        let input = fs::read_to_string(&sealed.spec.binds[0].source).unwrap();
        assert_eq!(input, "declared\n", "{probe} changed an input");
        (outcome.exit.success(), outcome.output.trim().to_owned())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for child in [&mut self.sleeper, &mut self.holder] {
            // The holder removes its memory when its input ends.
            drop(child.stdin.take());
        }
        let _ = self.holder.wait();
        let _ = self.sleeper.kill();
        let _ = self.sleeper.wait();
    }
}

fn host_name() -> String {
    nix::unistd::gethostname().unwrap().to_string_lossy().into_owned()
}

/// The host name, unless it is the one that every sandbox has: then there is nothing to learn, and the control fails.
fn telling_host_name() -> String {
    let name = host_name();
    if name == "localhost" { String::new() } else { name }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A variable that kiln has and the sandbox's spec has not.
fn inherited_variable() -> String {
    std::env::vars().map(|(name, _)| name).find(|name| name != "PATH").unwrap()
}

#[test]
#[allow(clippy::print_stdout)]
fn what_succeeds_outside_is_refused_inside() {
    let world = World::new();
    let (mut counted, mut wrong) = (0, Vec::new());
    for Attempt { probe, what, control, argument } in ATTEMPTS {
        let (outer, inner) = argument(&world);
        let (works, why) = world.outside(probe, &outer);
        let expected = *control == Anyone || *control == Root && is_root();
        if !works && expected {
            wrong.push(format!("{what}: the control failed: {why}"));
            continue;
        }
        let (escaped, answer) = world.inside(probe, &inner);
        counted += usize::from(works);
        println!("{what:60} outside: {:32} inside: {}", if works { "succeeds" } else { &why }, if escaped { "SUCCEEDS" } else { &answer });
        if escaped && works {
            wrong.push(format!("{what}: it succeeded inside"));
        }
    }
    println!("{counted} of {} attempts count", ATTEMPTS.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(counted >= 40, "only {counted} controls succeeded");
}

#[test]
fn what_is_made_in_the_writable_places_is_not_seen_outside() {
    let mark = format!("kiln-escape-{}", std::process::id());
    for place in ["/tmp", "/dev/shm", "/build"] {
        let path = format!("{place}/{mark}");
        let outcome = Sealed::script(&format!("echo x > {path}; cat {path}")).run();
        assert_eq!(outcome.output, "x\n");
        assert!(!Path::new(&path).exists(), "{path}");
    }
}

#[test]
fn abstract_sockets_and_loopback_ports_of_two_sandboxes_are_apart() {
    // The probe connects to what nobody inside listens on, even while another sandbox runs.
    let world = World::new();
    let (works, answer) = world.inside("connect_tcp", &world.port.to_string());
    assert!(!works && answer == "Connection refused", "{answer}");
}
