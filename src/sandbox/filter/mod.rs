//! The syscall filter: which calls a builder may not make, as data, and the BPF program that follows from it.
//!
//! Everything is allowed but what [`rules`] lists and what Linux 6.1 does not know: a build must see the same kernel on every machine, so later
//! calls do not exist (`ENOSYS`). No I/O; installing the program is the child's.

mod assemble;
#[cfg(test)]
mod machine;
mod rules;

pub(super) use assemble::program;
