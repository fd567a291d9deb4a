//! The re-executed child: the first process of the new namespaces, single-threaded from its first line. It builds the sandbox step by step,
//! starts the builder, reaps, and takes everything with it when it ends.
//!
//! In: an order on descriptor 3. Out: reports on the same. The order of the steps matters:
//!
//! 1. sources are opened while this process still is the host user that kiln runs as (it may be the only one who can reach them);
//! 2. it becomes the builder's user, and as such makes the tree, leaves the old root, and masks `/proc`;
//! 3. names, network, limits; then capabilities go, then the syscall filter comes;
//! 4. the builder is started; this process stays, as the one that adopts orphans.

mod builder;
mod dev;
mod init;
mod landlock;
mod limits;
mod names;
mod privileges;
mod proc;
mod root;
mod seal;
mod sources;
mod step;

use std::os::unix::net::UnixStream;

use self::step::{Layers, Step};
use super::wire::{self, Failure, Order, Report};
use super::{Layer, sys};

/// The body of the hidden subcommand.
pub(super) fn enter() -> ! {
    let Some(control) = sys::adopt(wire::CONTROL).map(UnixStream::from) else { sys::exit_now(2) };
    let report = match wire::receive::<Order>(&control) {
        Ok(Some(order)) => carry_out(&control, order),
        // The parent is gone, or is not a kiln.
        Ok(None) | Err(_) => sys::exit_now(2),
    };
    // If nobody listens any more there is nobody to tell.
    let _ = wire::send(&control, &report);
    sys::exit_now(0)
}

/// Carries the order out; returns its last report.
fn carry_out(control: &UnixStream, order: Order) -> Report {
    let prepared = prepare(order);
    let (builder, layers) = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => return Report::Failed(failure),
    };
    let pid = match builder.start() {
        Ok(pid) => pid,
        Err(errno) => return Report::NotExecuted { errno: errno as i32 },
    };
    // A parent that is gone is noticed by `attend`.
    let _ = wire::send(control, &Report::Started { layers: layers.into_outcomes() });
    init::attend(control, pid)
}

/// Every step up to the builder's start.
fn prepare(order: Order) -> Result<(builder::Builder, Layers), Failure> {
    let Order { spec, layers, mapped, keep_input, switch_user } = order;
    let mut layers = Layers::new(spec.level, layers);
    let after_mapped = wire::CONTROL + 1 + mapped.len() as i32;
    sys::close_from(after_mapped).step(Layer::Process, || "close_range".into())?;
    sys::reset_signals();
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());

    let sources = sources::Sources::open(&spec, &mapped, switch_user)?;
    privileges::become_builder(switch_user)?;
    let tree = root::Tree::assemble(&spec, &sources)?;
    let masks = proc::mount(&mut layers, &tree, &spec)?;
    let late = tree.hold_late_binds(&spec, &sources)?;
    drop(sources);
    tree.enter()?;
    late.attach()?;
    tree.make_read_only()?;
    masks.apply()?;

    names::isolate(&mut layers)?;
    seal::memory_layout()?;
    let builder = builder::Builder::new(&spec, keep_input)?;
    limits::set(&spec.limits)?;
    privileges::drop_all()?;
    landlock::restrict(&mut layers);
    seal::filter(&mut layers)?;
    Ok((builder, layers))
}

/// Whether a new `/proc` can be mounted: tried in a process that ends at once.
pub(super) fn try_proc() -> nix::Result<()> {
    let namespaces = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID;
    attempt(namespaces, || sys::new_file_system(c"proc", &[], sys::MountFlags::WRITABLE).map(drop))
}

/// Whether the syscall filter can be installed: tried in a process that ends at once.
pub(super) fn try_filter() -> nix::Result<()> {
    let program = seal::kernel_program();
    attempt(0, || {
        sys::no_new_privileges()?;
        sys::install_filter(&program)
    })
}

/// Runs `body`, which may only make system calls, in a process of its own.
fn attempt(flags: i32, body: impl Fn() -> nix::Result<()>) -> nix::Result<()> {
    let started = sys::clone_and_run(flags, false, &mut || match body() {
        Ok(()) => sys::exit_now(0),
        Err(errno) => errno,
    })?;
    sys::wait_any(started.pid, true).map(drop)
}

/// The version of Landlock; 0 if there is none.
pub(super) fn landlock_version() -> i32 {
    sys::landlock_version().unwrap_or(0)
}
