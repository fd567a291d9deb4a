//! Memory layout and syscall filter.

use nix::sys::personality::{self, Persona};

use super::step::{Layers, Step};
use crate::sandbox::wire::Failure;
use crate::sandbox::{Layer, filter, sys};

/// Turns off the randomisation of addresses: they end up in outputs (hash tables ordered by pointer, for instance).
pub(super) fn memory_layout() -> Result<(), Failure> {
    personality::set(Persona::ADDR_NO_RANDOMIZE).map(drop).step(Layer::Process, || "personality ADDR_NO_RANDOMIZE".into())
}

/// Puts the syscall filter in force, for this process and what it starts.
pub(super) fn filter(layers: &mut Layers) -> Result<(), Failure> {
    let outcome = sys::install_filter(&kernel_program()).step(Layer::Filter, || "seccomp SECCOMP_SET_MODE_FILTER".into());
    layers.mandatory(Layer::Filter, outcome).map(drop)
}

/// The filter's program in the kernel's form.
pub(super) fn kernel_program() -> Vec<libc::sock_filter> {
    filter::program().iter().map(|instruction| instruction.into_kernel()).collect()
}
