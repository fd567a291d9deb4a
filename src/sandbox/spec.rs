//! What one sandbox is, as plain data: made without I/O by whoever wants something run, carried out by [`super::spawn()`].
//!
//! In: physical paths, a command, an environment. Out: a value with one meaning on every machine, which crosses to the re-executed child
//! as JSON. Not here: opening any of the paths, or knowing what a derivation is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::path_bytes;
use crate::model::{STORE_DIR, SandboxLevel, StorePath};

/// The user and the group that a builder sees itself as.
pub const INNER_ID: u32 = 1000;
/// Where a script lies inside.
pub const SCRIPT_PATH: &str = "/kiln/script";
/// The working directory of a build.
pub const BUILD_PATH: &str = "/build";

/// Everything one sandbox is made of.
///
/// `store_dir`, `build_dir` and `tmp_dir` are fresh, empty physical directories on one disk; [`super::spawn()`] gives them to the builder's
/// host user. Afterwards `store_dir` holds what the builder made, and an empty file, empty directory or link of the same name for
/// each bind whose target lies in it ([`SandboxSpec::is_mount_point`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// The physical tree whose top-level entries become those of `/`, read-only.
    #[serde(with = "path_bytes")]
    pub root: PathBuf,
    /// What else is visible, and where.
    pub binds: Vec<Bind>,
    /// Becomes `/kiln/store`, writable.
    #[serde(with = "path_bytes")]
    pub store_dir: PathBuf,
    /// Becomes `/build`, writable.
    #[serde(with = "path_bytes")]
    pub build_dir: PathBuf,
    /// Becomes `/tmp`, writable.
    #[serde(with = "path_bytes")]
    pub tmp_dir: PathBuf,
    /// The text of `/kiln/script`, read-only.
    pub script: Option<String>,
    /// The program, by absolute path, and its arguments; at least one.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// The working directory, as seen inside.
    #[serde(with = "path_bytes")]
    pub cwd: PathBuf,
    /// Whether a layer that cannot be had is an error.
    pub level: SandboxLevel,
    /// Who the builder is on the host.
    pub host: HostIdentity,
    /// What it may use up.
    pub limits: Limits,
    /// Whether standard input becomes the controlling terminal, for `kiln shell`.
    pub terminal: bool,
}

/// One thing of the host that is visible inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// The physical file, directory or link (a link is made again, not followed).
    #[serde(with = "path_bytes")]
    pub source: PathBuf,
    /// Where it appears: an absolute path below `/kiln/store`, or one that the root does not have.
    #[serde(with = "path_bytes")]
    pub target: PathBuf,
    /// Whether it may be changed from inside.
    pub writable: bool,
}

impl Bind {
    /// A store object at its logical path, read-only.
    pub fn object(physical: PathBuf, logical: &StorePath) -> Self {
        Self { source: physical, target: PathBuf::from(logical.to_string()), writable: false }
    }
}

/// The host user and group that uid and gid 1000 of the sandbox stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostIdentity {
    /// The user; never 0, unless that is the only one there is.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Limits of one sandbox. What is `None` is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory of all processes together (where a cgroup can be had), else of each process.
    pub memory_bytes: Option<u64>,
    /// Processes and threads at one time.
    pub processes: Option<u64>,
    /// Bytes of a single file.
    pub file_bytes: Option<u64>,
}

impl SandboxSpec {
    /// Says what contradicts itself.
    pub(super) fn check(&self) -> Result<(), String> {
        let is_plain = |path: &Path| path.is_absolute() && path.components().all(|part| !matches!(part, Component::ParentDir));
        if !self.argv.first().is_some_and(|program| program.starts_with('/')) {
            return Err("the program must be given by an absolute path".into());
        }
        for path in [&self.root, &self.store_dir, &self.build_dir, &self.tmp_dir, &self.cwd] {
            if !is_plain(path) {
                return Err(format!("`{}` is not an absolute path without `..`", path.display()));
            }
        }
        let mut targets = BTreeSet::new();
        for Bind { source, target, .. } in &self.binds {
            if let Some(path) = [source, target].into_iter().find(|path| !is_plain(path)) {
                return Err(format!("`{}` is not an absolute path without `..`", path.display()));
            }
            if !targets.insert(target) {
                return Err(format!("two binds have the target `{}`", target.display()));
            }
        }
        let odd = |name: &&String| name.is_empty() || name.contains('=');
        match self.env.keys().find(odd) {
            Some(name) => Err(format!("`{name}` is not a name of an environment variable")),
            None => Ok(()),
        }
    }

    /// Whether `name` in `store_dir` is a mount point that entering the sandbox has made, and nothing of the builder's.
    pub fn is_mount_point(&self, name: &Path) -> bool {
        let target = Path::new(STORE_DIR).join(name);
        self.binds.iter().any(|bind| bind.target == target)
    }
}

/// The environment that every builder has: the fixed part, the number of cores, and the path of its own root.
pub fn base_environment(cores: usize, root: &StorePath) -> BTreeMap<String, String> {
    let fixed = [
        ("PATH", "/usr/bin:/bin"),
        ("HOME", "/homeless"),
        ("TZ", "UTC"),
        ("LC_ALL", "C.UTF-8"),
        ("SOURCE_DATE_EPOCH", "315532800"),
        ("TMPDIR", "/tmp"),
    ];
    let mut env: BTreeMap<String, String> = fixed.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    env.insert("KILN_CORES".to_owned(), cores.to_string());
    env.insert("KILN_ROOT".to_owned(), root.to_string());
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> SandboxSpec {
        SandboxSpec {
            root: "/store/objects/root".into(),
            binds: Vec::new(),
            store_dir: "/store/builds/1/store".into(),
            build_dir: "/store/builds/1/build".into(),
            tmp_dir: "/store/builds/1/tmp".into(),
            script: None,
            argv: vec!["/bin/true".into()],
            env: BTreeMap::new(),
            cwd: BUILD_PATH.into(),
            level: SandboxLevel::Strict,
            host: HostIdentity { uid: 1000, gid: 1000 },
            limits: Limits::default(),
            terminal: false,
        }
    }

    fn bind(target: &str) -> Bind {
        Bind { source: "/store/objects/x".into(), target: target.into(), writable: false }
    }

    #[test]
    fn a_spec_survives_json_even_with_a_path_that_is_not_text() {
        use std::os::unix::ffi::OsStringExt;
        let odd = PathBuf::from(std::ffi::OsString::from_vec(b"/store/\xff".to_vec()));
        let spec = SandboxSpec { root: odd, binds: vec![bind("/kiln/store/x")], ..spec() };
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<SandboxSpec>(&text).unwrap(), spec);
    }

    #[test]
    fn a_program_that_would_be_searched_for_is_refused() {
        assert!(SandboxSpec { argv: vec!["true".into()], ..spec() }.check().is_err());
        assert!(SandboxSpec { argv: Vec::new(), ..spec() }.check().is_err());
        assert!(spec().check().is_ok());
    }

    #[test]
    fn paths_that_climb_are_refused() {
        assert!(SandboxSpec { binds: vec![bind("/kiln/store/../../etc")], ..spec() }.check().is_err());
        assert!(SandboxSpec { root: "root".into(), ..spec() }.check().is_err());
    }

    #[test]
    fn two_binds_with_one_target_are_refused() {
        assert!(SandboxSpec { binds: vec![bind("/kiln/store/x"), bind("/kiln/store/x")], ..spec() }.check().is_err());
    }

    #[test]
    fn mount_points_are_told_from_what_a_builder_made() {
        let spec = SandboxSpec { binds: vec![bind("/kiln/store/x"), bind("/opt/x")], ..spec() };
        assert!(spec.is_mount_point(Path::new("x")));
        assert!(!spec.is_mount_point(Path::new("out")));
    }
}
