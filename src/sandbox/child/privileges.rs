//! Who the child is: first the builder's user, in the end one without any privilege.

use nix::unistd::{Gid, Uid, setresgid, setresuid};

use super::step::Step;
use crate::sandbox::wire::Failure;
use crate::sandbox::{INNER_ID, Layer, sys};

/// Becomes uid and gid 1000 of the user namespace. `switch_user`: those are not the host ids that this process has so far.
pub(super) fn become_builder(switch_user: bool) -> Result<(), Failure> {
    let (uid, gid) = (Uid::from_raw(INNER_ID), Gid::from_raw(INNER_ID));
    if switch_user {
        // An unprivileged kiln cannot: its groups stay, unmapped and (through the syscall filter) unseen.
        sys::forget_groups().step(Layer::Privileges, || "setgroups".into())?;
    }
    setresgid(gid, gid, gid).step(Layer::Privileges, || format!("setresgid {INNER_ID}"))?;
    setresuid(uid, uid, uid).step(Layer::Privileges, || format!("setresuid {INNER_ID}"))
}

/// Gives up all capabilities, for good. This process's memory stays closed to the builder, which is the same user.
pub(super) fn drop_all() -> Result<(), Failure> {
    sys::drop_capabilities().step(Layer::Privileges, || "drop capabilities".into())?;
    sys::no_new_privileges().step(Layer::Privileges, || "prctl PR_SET_NO_NEW_PRIVS".into())?;
    sys::not_dumpable().step(Layer::Privileges, || "prctl PR_SET_DUMPABLE".into())
}
