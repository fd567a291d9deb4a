//! The parent's side: start a sandbox, wait for it, end it.
//!
//! One `clone` makes every namespace and, in the same breath, executes this program again as `kiln __sandbox`, which becomes the first process
//! of the new pid namespace: two processes per build in all. The parent writes the id maps, sends the order over a socket, and reads reports.
//! When the parent is gone, so is its end of the socket, and the sandbox ends itself; this needs no thread to stay alive.

use std::ffi::CString;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{Gid, Uid, fchown, geteuid};

use super::cgroup::{self, Cgroup};
use super::namespaces::{self, Namespaces};
use super::owners::{self, MappedDirectories};
use super::sys::{self, Cloned};
use super::wire::{self, Failure, MappedPath, Order, Report};
use super::{HostIdentity, INNER_ID, Layer, SUBCOMMAND, SandboxError, SandboxSpec, hint};
use crate::fsio::IoResultExt;
use crate::model::{LayerOutcome, LayerState};

/// The three standard descriptors of a builder.
#[derive(Debug)]
pub struct Stdio3 {
    /// Standard input; `None` is `/dev/null`. If the spec asks for a terminal it must be one.
    pub stdin: Option<OwnedFd>,
    /// Standard output (usually the write end of a pipe; the same pipe for both is fine).
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

/// A sandbox in which the builder is running. Dropping it ends every process in it; the fields are dropped in their order.
#[derive(Debug)]
pub struct RunningSandbox {
    first: FirstProcess,
    control: UnixStream,
    layers: Vec<LayerOutcome>,
    cgroup: Option<Cgroup>,
}

/// Ends a sandbox from another thread; may outlive it.
#[derive(Clone, Debug)]
pub struct Killer {
    pidfd: Arc<OwnedFd>,
}

/// How a sandbox ended. All of its processes are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxExit {
    /// The builder's exit code, if it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What became of each layer and extra.
    pub layers: Vec<LayerOutcome>,
    /// Processor milliseconds, user and system, of all its processes.
    pub cpu_ms: u64,
    /// Peak memory in KiB: of the whole sandbox where a cgroup could be had, else of its largest process.
    pub peak_kib: u64,
}

impl SandboxExit {
    /// Whether the builder ended by itself with code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

/// Starts the spec's command in a fresh sandbox; returns when the program has been executed, or a layer could not be had.
///
/// # Errors
/// If a mandatory layer cannot be had, a path cannot be used, or the program cannot be executed; each says which.
pub fn spawn(spec: &SandboxSpec, stdio: Stdio3) -> Result<RunningSandbox, SandboxError> {
    // Not `current_exe()`: a kiln that is replaced while it runs must not start its successor.
    spawn_program(Path::new("/proc/self/exe"), spec, stdio)
}

/// [`spawn`], with `program` in place of this executable: for callers that are not kiln themselves.
///
/// # Errors
/// As [`spawn`].
pub fn spawn_program(program: &Path, spec: &SandboxSpec, stdio: Stdio3) -> Result<RunningSandbox, SandboxError> {
    spec.check().map_err(SandboxError::Spec)?;
    let keep_input = stdio.stdin.is_some();
    if spec.terminal && !keep_input {
        return Err(SandboxError::Spec("a terminal is wanted, but none is given".into()));
    }
    let switch_user = geteuid().as_raw() != spec.host.uid;
    prepare_directories(spec, switch_user)?;
    if switch_user {
        give_pipes(&stdio, spec.host)?;
    }
    let namespaces = namespaces::for_level(spec.level);

    let mut extras = Vec::new();
    let mapped = match switch_user.then(|| owners::map(program, spec)) {
        None => MappedDirectories::default(),
        Some(outcome) => {
            extras.push(outcome_of(Layer::Owners, &outcome));
            outcome.unwrap_or_default()
        }
    };

    let (control, theirs) = UnixStream::pair().map_err(system("make a socket"))?;
    let child = start(program, &namespaces, stdio, &mapped, theirs)?;
    write_id_maps(child.pid, spec.host, switch_user)?;

    let cgroup = cgroup::place(child.pid, &spec.limits);
    extras.push(outcome_of(Layer::Cgroup, &cgroup));
    let layers = namespaces.outcomes().into_iter().chain(extras).collect();
    let mapped = mapped.paths.into_iter().map(MappedPath).collect();
    // From here on, whatever goes wrong, the child is reaped before its control group is removed: a group that is in use would stay.
    let running = RunningSandbox { first: child, control, layers: Vec::new(), cgroup: cgroup.ok() };
    let control = &running.control;
    let mut spec = spec.clone();
    if running.cgroup.is_some() {
        (spec.limits.memory_bytes, spec.limits.processes) = (None, None);
    }
    let program = spec.argv.first().cloned().unwrap_or_default();

    // If the child has died this fails too, but then its report or its end says more.
    let sent = wire::send(control, &Order { spec, layers, mapped, keep_input, switch_user });
    let report = wire::receive::<Report>(control).map_err(system("read the sandbox's report"))?;
    match report {
        Some(Report::Started { layers }) => Ok(RunningSandbox { layers, ..running }),
        Some(Report::Failed(Failure { layer, step, errno })) => {
            Err(SandboxError::Layer { layer, step, errno, hint: hint::for_failure(layer, errno) })
        }
        Some(Report::NotExecuted { errno }) => Err(SandboxError::Execute { program, errno }),
        Some(Report::Ended { .. }) => Err(SandboxError::Lost("it reported an end before a start".into())),
        None => Err(SandboxError::Lost(sent.err().map_or_else(|| "it ended during the setup".into(), |error| error.to_string()))),
    }
}

pub(super) fn system(action: &'static str) -> impl Fn(io::Error) -> SandboxError {
    move |source| SandboxError::System { action, source }
}

/// Gives the writable directories to the builder's user, with the modes that it sees.
fn prepare_directories(spec: &SandboxSpec, switch_user: bool) -> Result<(), SandboxError> {
    for (path, mode) in [(&spec.store_dir, 0o755), (&spec.build_dir, 0o755), (&spec.tmp_dir, 0o1777)] {
        if switch_user {
            std::os::unix::fs::lchown(path, Some(spec.host.uid), Some(spec.host.gid)).at("give to the builder's user", path)?;
        }
        std::fs::set_permissions(path, Permissions::from_mode(mode)).at("set the mode of", path)?;
    }
    Ok(())
}

/// What became of an extra, for the record.
fn outcome_of<T>(layer: Layer, outcome: &Result<T, String>) -> LayerOutcome {
    let state = outcome.as_ref().map_or_else(|why| LayerState::Absent(why.clone()), |_| LayerState::Active);
    LayerOutcome { layer: layer.name().to_owned(), state }
}

/// A builder that opens /dev/stdout opens the pipe anew, as its own user.
fn give_pipes(stdio: &Stdio3, host: HostIdentity) -> Result<(), SandboxError> {
    let (uid, gid) = (Uid::from_raw(host.uid), Gid::from_raw(host.gid));
    for fd in [stdio.stdin.as_ref(), Some(&stdio.stdout), Some(&stdio.stderr)].into_iter().flatten().filter(|fd| is_pipe(fd.as_fd())) {
        fchown(fd, Some(uid), Some(gid)).map_err(|errno| system("give a pipe to the builder's user")(errno.into()))?;
    }
    Ok(())
}

/// Executes kiln as the first process of its namespaces.
fn start(
    program: &Path,
    namespaces: &Namespaces,
    stdio: Stdio3,
    mapped: &MappedDirectories,
    control: UnixStream,
) -> Result<FirstProcess, SandboxError> {
    let stdin = match stdio.stdin {
        Some(given) => given,
        None => File::open("/dev/null").map(OwnedFd::from).map_err(system("open /dev/null"))?,
    };
    // In the order of their numbers in the child; until then, out of the way of those.
    let given = [stdin.as_fd(), stdio.stdout.as_fd(), stdio.stderr.as_fd(), control.as_fd()].into_iter();
    let fds: Vec<OwnedFd> = given.chain(mapped.mounts.iter().map(AsFd::as_fd)).map(above).collect::<Result<_, _>>()?;

    let path = CString::new(program.as_os_str().as_bytes()).map_err(|_| SandboxError::Spec("a NUL byte in kiln's own path".into()))?;
    let word = |text: &str| CString::new(text).map_err(|_| SandboxError::Spec("a NUL byte".into()));
    let itself = sys::Program::new(path, vec![word("kiln")?, word(SUBCOMMAND)?], Vec::new());
    let mut executing = false;
    let outcome = sys::clone_and_run(namespaces.flags(), true, &mut || {
        let prepare = || -> nix::Result<()> {
            sys::capabilities_of_setup()?;
            fds.iter().zip(0..).try_for_each(|(fd, number)| sys::place(fd.as_fd(), number))
        };
        match prepare() {
            Ok(()) => {
                executing = true;
                itself.execute()
            }
            Err(errno) => errno,
        }
    });
    match outcome {
        Ok(Cloned { pid, pidfd: Some(pidfd) }) => Ok(FirstProcess { pid, pidfd: Arc::new(pidfd), reaped: false }),
        Ok(Cloned { pid, pidfd: None }) => Err(SandboxError::Lost(format!("the kernel gave no descriptor for process {pid}"))),
        Err(errno) if executing => Err(system("execute kiln itself")(errno.into())),
        Err(errno) => {
            let layer = namespaces::culprit();
            Err(SandboxError::Layer { layer, step: "clone".into(), errno: errno as i32, hint: hint::for_failure(layer, errno as i32) })
        }
    }
}

fn is_pipe(fd: BorrowedFd<'_>) -> bool {
    fstat(fd).is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFIFO)
}

/// A copy of a descriptor with a number that the child does not need.
fn above(fd: BorrowedFd<'_>) -> Result<OwnedFd, SandboxError> {
    let number = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(wire::CONTROL + 1 + owners::MOST as i32))
        .map_err(|errno| system("copy a descriptor")(errno.into()))?;
    sys::adopt(number).ok_or_else(|| system("copy a descriptor")(Errno::EBADF.into()))
}

/// Says which host ids the namespace's 1000 stands for.
fn write_id_maps(pid: i32, host: HostIdentity, switch_user: bool) -> Result<(), SandboxError> {
    let write = |name: &str, text: String| -> io::Result<()> {
        File::options().write(true).open(format!("/proc/{pid}/{name}"))?.write_all(text.as_bytes())
    };
    let failed = |name: &'static str| {
        move |error: io::Error| {
            let errno = error.raw_os_error().unwrap_or(Errno::EIO as i32);
            SandboxError::Layer { layer: Layer::User, step: format!("write {name}"), errno, hint: hint::for_failure(Layer::User, errno) }
        }
    };
    if !switch_user {
        write("setgroups", "deny".into()).map_err(failed("setgroups"))?;
    }
    write("gid_map", format!("{INNER_ID} {} 1\n", host.gid)).map_err(failed("gid_map"))?;
    write("uid_map", format!("{INNER_ID} {} 1\n", host.uid)).map_err(failed("uid_map"))
}

/// Pid 1 of a sandbox. Dropping it ends the sandbox.
#[derive(Debug)]
struct FirstProcess {
    pid: i32,
    pidfd: Arc<OwnedFd>,
    reaped: bool,
}

impl FirstProcess {
    fn reap(&mut self) -> nix::Result<sys::Reaped> {
        let reaped = sys::wait_any(self.pid, true)?.ok_or(Errno::ECHILD);
        self.reaped = true;
        reaped
    }
}

impl Drop for FirstProcess {
    fn drop(&mut self) {
        if !self.reaped {
            sys::pidfd_kill(self.pidfd.as_fd());
            let _ = self.reap();
        }
    }
}

impl RunningSandbox {
    /// The process id, on the host, of the sandbox's first process.
    pub fn pid(&self) -> u32 {
        self.first.pid.unsigned_abs()
    }

    /// A handle with which another thread can end it.
    pub fn killer(&self) -> Killer {
        Killer { pidfd: Arc::clone(&self.first.pidfd) }
    }

    /// Ends every process in it, now. Its exit can still be waited for.
    pub fn kill(&self) {
        sys::pidfd_kill(self.first.pidfd.as_fd());
    }

    /// Waits until the builder has ended, then ends everything it left running.
    ///
    /// # Errors
    /// If the sandbox's own first process was lost.
    pub fn wait(mut self) -> Result<SandboxExit, SandboxError> {
        let report = wire::receive::<Report>(&self.control).map_err(system("read the sandbox's report"))?;
        let first = self.first.reap().map_err(|errno| system("wait for the sandbox")(errno.into()))?;
        let layers = std::mem::take(&mut self.layers);
        let group_peak = self.cgroup.as_ref().and_then(Cgroup::peak_kib);
        match report {
            Some(Report::Ended { code, signal, cpu_us, peak_kib }) => {
                Ok(SandboxExit { code, signal, layers, cpu_ms: cpu_us / 1000, peak_kib: group_peak.unwrap_or(peak_kib) })
            }
            // It was killed, and with it everything.
            _ if first.signal.is_some() => {
                let peak_kib = group_peak.unwrap_or(0);
                Ok(SandboxExit { code: None, signal: first.signal, layers, cpu_ms: first.cpu_us / 1000, peak_kib })
            }
            _ => Err(SandboxError::Lost(format!("it ended with code {}", first.code.unwrap_or_default()))),
        }
    }

    /// Waits until the builder has ended or the deadline has passed; `true` if it has ended, and [`RunningSandbox::wait`] returns at once.
    ///
    /// # Errors
    /// If waiting itself fails.
    pub fn ended_by(&mut self, deadline: Instant) -> Result<bool, SandboxError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Rounded up, so that the last round does not spin.
            let millis = left.as_micros().div_ceil(1000).min(60_000) as u16;
            let mut fds = [PollFd::new(self.control.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::from(millis)) {
                Ok(0) if left.is_zero() => return Ok(false),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(errno) => return Err(system("wait for the sandbox")(errno.into())),
            }
        }
    }

    /// [`RunningSandbox::ended_by`] from now on.
    ///
    /// # Errors
    /// If waiting itself fails.
    pub fn ended_within(&mut self, limit: Duration) -> Result<bool, SandboxError> {
        self.ended_by(Instant::now() + limit)
    }

    /// Becomes readable when the builder has ended: for callers that poll several things.
    pub fn end_signal(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }
}

impl Killer {
    /// Ends every process of the sandbox, if it still runs.
    pub fn kill(&self) {
        sys::pidfd_kill(self.pidfd.as_fd());
    }
}
