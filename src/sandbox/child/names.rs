//! Host name, domain name, loopback interface and cgroup namespace: the same everywhere.

use nix::sched::{CloneFlags, unshare};
use nix::unistd::sethostname;

use super::step::{Layers, Step};
use crate::sandbox::wire::Failure;
use crate::sandbox::{Layer, sys};

const HOST_NAME: &str = "localhost";
const DOMAIN_NAME: &str = "(none)";

/// Sets the names. If a relaxed sandbox has no network or uts namespace of its own, the host's stays as it is: this process has no
/// privilege over it.
pub(super) fn isolate(layers: &mut Layers) -> Result<(), Failure> {
    if !layers.is_absent(Layer::Uts) {
        sethostname(HOST_NAME).step(Layer::Uts, || "sethostname".into())?;
        sys::set_domain_name(DOMAIN_NAME).step(Layer::Uts, || "setdomainname".into())?;
    }
    if !layers.is_absent(Layer::Network) {
        sys::bring_up_loopback().step(Layer::Network, || "bring up the loopback interface".into())?;
    }
    match unshare(CloneFlags::CLONE_NEWCGROUP) {
        Ok(()) => layers.active(Layer::CgroupNamespace),
        Err(errno) => layers.absent(Layer::CgroupNamespace, errno.desc()),
    }
    Ok(())
}
