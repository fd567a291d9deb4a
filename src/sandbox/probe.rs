//! What this machine allows: the checks of `kiln doctor`.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::sys::utsname::uname;

use super::spawn::system;
use super::{BUILD_PATH, HostIdentity, Layer, Limits, SandboxError, SandboxSpec, Stdio3, cgroup, child, hint, namespaces, spawn};
use crate::model::SandboxLevel;

/// One check of this machine.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// What was tried.
    pub name: String,
    /// Whether it works.
    pub ok: bool,
    /// Whether builds fail without it.
    pub required: bool,
    /// What was found.
    pub detail: String,
    /// How to enable it, if it does not work.
    pub fix: Option<String>,
}

/// Tries every layer and extra, each by itself, and then all of them as a build does.
pub fn probe() -> Vec<Check> {
    let mut checks = vec![kernel(), user()];
    checks.extend(namespaces::each().map(|(layer, outcome)| layer_check(layer, outcome)));
    checks.push(layer_check(Layer::Proc, child::try_proc()));
    checks.push(layer_check(Layer::Filter, child::try_filter()));
    checks.push(whole());
    checks.push(landlock());
    checks.push(cgroup_limits());
    checks
}

fn kernel() -> Check {
    const NEEDED: (u32, u32) = (5, 12);
    let release = uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default();
    let ok = version(&release).is_some_and(|version| version >= NEEDED);
    let fix = (!ok).then(|| format!("use Linux {}.{} or later", NEEDED.0, NEEDED.1));
    Check { name: "kernel".into(), ok, required: true, detail: format!("Linux {release}"), fix }
}

/// The first two numbers of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn user() -> Check {
    let HostIdentity { uid, gid } = HostIdentity::for_this_process();
    let detail = format!("builders run as user {uid}, group {gid} of this machine");
    let fix = (uid == 0).then(|| "run kiln as another user: this one is root, and knows no other id".to_owned());
    // In a namespace with a single user, that user is root by name only.
    Check { name: "builder's user".into(), ok: uid != 0, required: false, detail, fix }
}

fn layer_check(layer: Layer, outcome: nix::Result<()>) -> Check {
    let (detail, fix) = match outcome {
        Ok(()) => ("works".to_owned(), None),
        Err(errno) => (errno.desc().to_owned(), hint::for_failure(layer, errno as i32)),
    };
    Check { name: layer.name().to_owned(), ok: outcome.is_ok(), required: true, detail, fix }
}

/// Enters the very sandbox of a build: with an empty root, in which the program is the only thing that cannot be had.
fn whole() -> Check {
    let (ok, detail, fix) = match enter_empty() {
        Err(SandboxError::Execute { .. }) => (true, "can be entered".to_owned(), None),
        Ok(()) => (false, "it ran a program that is not there".to_owned(), None),
        Err(SandboxError::Layer { hint: Some(hint), layer, step, errno }) => {
            let error = SandboxError::Layer { hint: None, layer, step, errno };
            (false, error.to_string(), Some(hint))
        }
        Err(error) => (false, error.to_string(), None),
    };
    let fix = fix.or_else(|| (!ok).then(|| "run kiln as another user, or where fewer of its privileges are taken away".to_owned()));
    Check { name: "a build's sandbox".into(), ok, required: true, detail, fix }
}

fn enter_empty() -> Result<(), SandboxError> {
    let scratch = tempfile::tempdir().map_err(system("make a scratch directory"))?;
    let directory = |name: &str| -> Result<PathBuf, SandboxError> {
        let path = scratch.path().join(name);
        fs::create_dir(&path).map_err(system("make a scratch directory"))?;
        Ok(path)
    };
    let spec = SandboxSpec {
        root: directory("root")?,
        binds: Vec::new(),
        store_dir: directory("store")?,
        build_dir: directory("build")?,
        tmp_dir: directory("tmp")?,
        script: None,
        argv: vec!["/nothing".to_owned()],
        env: BTreeMap::new(),
        cwd: PathBuf::from(BUILD_PATH),
        level: SandboxLevel::Strict,
        host: HostIdentity::for_this_process(),
        limits: Limits::default(),
        terminal: false,
    };
    let null = || fs::File::options().write(true).open("/dev/null").map(OwnedFd::from).map_err(system("open /dev/null"));
    spawn(&spec, Stdio3 { stdin: None, stdout: null()?, stderr: null()? })?.wait().map(drop)
}

fn landlock() -> Check {
    let version = child::landlock_version();
    let ok = version >= 2;
    let detail = if version > 0 { format!("version {version}") } else { "not in this kernel, or not turned on at boot".to_owned() };
    let listed = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    let fix = (!ok).then(|| format!("boot Linux 5.19 or later with `lsm=landlock,{}`", listed.trim()));
    Check { name: Layer::Landlock.name().into(), ok, required: false, detail, fix }
}

fn cgroup_limits() -> Check {
    let (ok, detail) = match cgroup::availability() {
        Ok(()) => (true, "memory and process limits of whole sandboxes".to_owned()),
        Err(why) => (false, format!("{why}; limits hold for each process by itself")),
    };
    let fix = (!ok).then(|| "on a machine with systemd: `systemd-run --user --scope -p Delegate=yes kiln …`".to_owned());
    Check { name: Layer::Cgroup.name().into(), ok, required: false, detail, fix }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_all_shapes_are_compared_by_their_first_two_numbers() {
        assert_eq!(version("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(version("5.12"), Some((5, 12)));
        assert_eq!(version("6.18.44-x"), Some((6, 18)));
        assert_eq!(version("unknown"), None);
    }

    #[test]
    fn every_check_that_fails_says_what_to_do() {
        for check in probe() {
            assert!(check.ok || check.fix.is_some(), "{check:?}");
        }
    }
}
