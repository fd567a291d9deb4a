//! Extra: limits of a whole sandbox by cgroup v2, where kiln's own cgroup is delegated to it.
//!
//! A sandbox gets a cgroup below kiln's own. That needs controllers for the children of kiln's cgroup: they are there, or kiln is alone in its
//! cgroup and turns them on (after moving itself into a child, since a cgroup with controllers for its children holds no processes). Nothing is
//! ever done to a cgroup that kiln shares.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Limits;

/// The cgroup of one sandbox; removed when dropped (by then it is empty).
#[derive(Debug)]
pub(super) struct Cgroup {
    path: PathBuf,
}

/// Moves a process that has not begun yet into a cgroup of its own.
pub(super) fn place(pid: i32, limits: &Limits) -> Result<Cgroup, String> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let home = home().as_ref().map_err(Clone::clone)?;
    let name = format!("kiln-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let path = home.join(name);
    let fill = || -> io::Result<Cgroup> {
        fs::create_dir(&path)?;
        let group = Cgroup { path: path.clone() };
        if let Some(bytes) = limits.memory_bytes {
            group.set("memory.max", bytes)?;
            // Swap may not be accounted for here.
            let _ = group.set("memory.swap.max", 0);
            group.set("memory.oom.group", 1)?;
        }
        if let Some(processes) = limits.processes {
            group.set("pids.max", processes)?;
        }
        group.set("cgroup.procs", u64::from(pid.unsigned_abs()))?;
        Ok(group)
    };
    fill().map_err(|error| format!("{}: {error}", path.display()))
}

impl Cgroup {
    fn set(&self, file: &str, value: u64) -> io::Result<()> {
        fs::write(self.path.join(file), value.to_string())
    }

    /// The most memory it has held (Linux 5.19).
    pub(super) fn peak_kib(&self) -> Option<u64> {
        let text = fs::read_to_string(self.path.join("memory.peak")).ok()?;
        text.trim().parse::<u64>().ok().map(|bytes| bytes / 1024)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

/// Why there is no cgroup to be had, if there is none.
pub(super) fn availability() -> Result<(), String> {
    home().as_ref().map(drop).map_err(Clone::clone)
}

/// The directory below which cgroups can be made; found, and prepared, once.
fn home() -> &'static Result<PathBuf, String> {
    static HOME: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    HOME.get_or_init(|| {
        let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let own = own_directory(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?).ok_or("cgroup v2 is not mounted")?;
        prepare(&own, std::process::id()).map(|()| own)
    })
}

/// The directory of this process's cgroup, from `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn own_directory(cgroup: &str, mountinfo: &str) -> Option<PathBuf> {
    let path = Path::new(cgroup.lines().find_map(|line| line.strip_prefix("0::"))?);
    mountinfo.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ").then_some(())?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        Some(Path::new(point).join(path.strip_prefix(root).ok()?))
    })
}

/// Sees to it that children of `own` have the controllers.
fn prepare(own: &Path, pid: u32) -> Result<(), String> {
    let read = |name: &str| fs::read_to_string(own.join(name)).map_err(|error| format!("{}: {error}", own.join(name).display()));
    let has_both = |list: &str| ["memory", "pids"].iter().all(|wanted| list.split_whitespace().any(|word| word == *wanted));
    if !has_both(&read("cgroup.controllers")?) {
        return Err("no memory and pids controllers for this cgroup".into());
    }
    if has_both(&read("cgroup.subtree_control")?) {
        return Ok(());
    }
    if read("cgroup.procs")?.split_whitespace().any(|other| other != pid.to_string()) {
        return Err("kiln shares its cgroup with other processes: start it with `systemd-run --user --scope -p Delegate=yes`".into());
    }
    let turn_on = || -> io::Result<()> {
        let leaf = own.join("kiln");
        fs::create_dir_all(&leaf)?;
        fs::write(leaf.join("cgroup.procs"), pid.to_string())?;
        fs::write(own.join("cgroup.subtree_control"), "+memory +pids")
    };
    turn_on().map_err(|error| format!("this cgroup is not delegated to kiln ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cgroup_is_found_below_its_mount() {
        let mountinfo = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
        let found = own_directory("0::/user.slice/x.scope\n", mountinfo);
        assert_eq!(found, Some(PathBuf::from("/sys/fs/cgroup/user.slice/x.scope")));
    }

    #[test]
    fn a_mount_of_a_part_of_the_hierarchy_is_understood() {
        let mountinfo = "30 23 0:26 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        assert_eq!(own_directory("0::/docker/1/a\n", mountinfo), Some(PathBuf::from("/sys/fs/cgroup/a")));
        assert_eq!(own_directory("0::/other\n", mountinfo), None);
    }

    #[test]
    fn a_shared_cgroup_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("cgroup.controllers", "cpu memory pids"), ("cgroup.subtree_control", ""), ("cgroup.procs", "1\n2\n")] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        assert!(prepare(dir.path(), 1).unwrap_err().contains("shares"));
        assert!(!dir.path().join("kiln").exists());
    }

    #[test]
    fn controllers_are_turned_on_by_a_kiln_that_is_alone() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("cgroup.controllers", "cpu memory pids"), ("cgroup.subtree_control", ""), ("cgroup.procs", "7\n")] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        prepare(dir.path(), 7).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("kiln/cgroup.procs")).unwrap(), "7");
        assert_eq!(fs::read_to_string(dir.path().join("cgroup.subtree_control")).unwrap(), "+memory +pids");
    }
}
