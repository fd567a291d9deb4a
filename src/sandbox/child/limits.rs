//! Resource limits: fixed values, so that `ulimit -a` is the same everywhere, and what the spec asks for.

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use super::step::Step;
use crate::sandbox::wire::Failure;
use crate::sandbox::{Layer, Limits};

const MIB: u64 = 1 << 20;

/// Processes and threads, where the spec says nothing: the kernel's own default depends on the machine's memory.
const PROCESSES: u64 = 4096;

/// Sets them. A hard limit that already is lower stays.
pub(super) fn set(limits: &Limits) -> Result<(), Failure> {
    let fixed = [
        (Resource::RLIMIT_CORE, 0, 0),
        (Resource::RLIMIT_NOFILE, 1024, 65_536),
        (Resource::RLIMIT_STACK, 8 * MIB, RLIM_INFINITY),
        (Resource::RLIMIT_MEMLOCK, 8 * MIB, 8 * MIB),
        (Resource::RLIMIT_MSGQUEUE, 819_200, 819_200),
        (Resource::RLIMIT_SIGPENDING, 4096, 4096),
        (Resource::RLIMIT_NICE, 0, 0),
        (Resource::RLIMIT_RTPRIO, 0, 0),
        (Resource::RLIMIT_CPU, RLIM_INFINITY, RLIM_INFINITY),
        (Resource::RLIMIT_AS, RLIM_INFINITY, RLIM_INFINITY),
    ];
    for (resource, soft, hard) in fixed {
        lower(resource, soft, hard)?;
    }
    for (resource, limit) in [
        (Resource::RLIMIT_DATA, limits.memory_bytes.unwrap_or(RLIM_INFINITY)),
        (Resource::RLIMIT_NPROC, limits.processes.unwrap_or(PROCESSES)),
        (Resource::RLIMIT_FSIZE, limits.file_bytes.unwrap_or(RLIM_INFINITY)),
    ] {
        lower(resource, limit, limit)?;
    }
    Ok(())
}

fn lower(resource: Resource, soft: u64, hard: u64) -> Result<(), Failure> {
    let set = || -> Result<(), Errno> {
        let (_, current) = getrlimit(resource)?;
        let hard = hard.min(current);
        setrlimit(resource, soft.min(hard), hard)
    };
    set().step(Layer::Limits, || format!("setrlimit {resource:?}"))
}
