//! Which host user a builder runs as.

use std::fs;

use nix::unistd::{getegid, geteuid};

use super::spec::HostIdentity;

/// What a privileged kiln uses: above every range that distributions and systemd give out, below the sign bit.
const UNPRIVILEGED: u32 = 0x714b_494c;

impl HostIdentity {
    /// For this process: its own user and group; if that is root, an unprivileged id that belongs to nobody.
    pub fn for_this_process() -> Self {
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        if uid != 0 {
            return Self { uid, gid };
        }
        let map = |path: &str| fs::read_to_string(path).unwrap_or_default();
        match (choose(&map("/proc/self/uid_map")), choose(&map("/proc/self/gid_map"))) {
            (Some(uid), Some(gid)) => Self { uid, gid },
            // Root of a namespace that knows no other user is not root outside.
            _ => Self { uid, gid },
        }
    }
}

/// The id to use where `map` (as in `/proc/self/uid_map`) says which ids there are: the last one, if [`UNPRIVILEGED`] is not among them.
fn choose(map: &str) -> Option<u32> {
    let ranges = map.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(first)), Some(Ok(_)), Some(Ok(count))) = (fields.next(), fields.next(), fields.next()) else { return None };
        Some((first, first.checked_add(count)?.checked_sub(1)?))
    });
    let ranges: Vec<(u64, u64)> = ranges.collect();
    let wanted = u64::from(UNPRIVILEGED);
    if ranges.iter().any(|(first, last)| (*first..=*last).contains(&wanted)) {
        return Some(UNPRIVILEGED);
    }
    let last = ranges.iter().map(|(_, last)| *last).max()?;
    u32::try_from(last).ok().filter(|id| *id != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_of_the_machine_uses_an_id_that_nobody_has() {
        assert_eq!(choose("         0          0 4294967295\n"), Some(UNPRIVILEGED));
    }

    #[test]
    fn root_of_a_container_uses_its_last_id() {
        assert_eq!(choose("0 100000 65536\n"), Some(65535));
        assert_eq!(choose("0 1000 1\n1 100000 65536\n"), Some(65536));
    }

    #[test]
    fn root_of_a_namespace_with_one_user_stays_itself() {
        assert_eq!(choose("0 1000 1\n"), None);
        assert_eq!(choose(""), None);
    }
}
