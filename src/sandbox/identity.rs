//! Which host user a builder runs as.

use super::spec::HostIdentity;

impl HostIdentity {
    /// For this process: its own user; if that is root, an unprivileged id that belongs to nobody.
    pub fn for_this_process() -> Self {
        todo!()
    }
}
