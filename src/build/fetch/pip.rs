//! pip's settings, read as pip reads them, without running it.
//!
//! Files, each beating the one before: `/etc/xdg/pip/pip.conf` (or `$XDG_CONFIG_DIRS`), `/etc/pip.conf`, `~/.pip/pip.conf`,
//! `~/.config/pip/pip.conf`, the virtual environment's `pip.conf`, `$PIP_CONFIG_FILE`. A set `$PIP_CONFIG_FILE` hides the user's
//! files, and `/dev/null` there hides all. Variables beat files; `[download]` and `[install]` beat `[global]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::fsio::PathError;
use crate::net::Machine;

/// What pip is told about its index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PipSettings {
    /// `index-url`.
    pub(super) index: Option<String>,
    /// `extra-index-url`, which may be several.
    pub(super) further: Vec<String>,
    /// `no-index`: no index may be asked.
    pub(super) no_index: bool,
    /// `cert`: a PEM file of certificate authorities.
    pub(super) cert: Option<PathBuf>,
}

/// pip's settings on this machine.
///
/// # Errors
/// If a configuration file is there and cannot be read.
pub(super) fn settings(machine: &Machine) -> Result<PipSettings, PathError> {
    let mut values = BTreeMap::new();
    for file in files(machine) {
        if let Some(text) = machine.read(&file)? {
            read_ini(&text, &mut values);
        }
    }
    let from_files = |key: &str| {
        let section = |section: &str| values.get(&(section.to_owned(), key.to_owned())).cloned();
        section("download").or_else(|| section("install")).or_else(|| section("global"))
    };
    let value = |variable: &str, key: &str| machine.var(variable).map(str::to_owned).or_else(|| from_files(key));
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<String>>();
    Ok(PipSettings {
        index: value("PIP_INDEX_URL", "index-url").map(words).and_then(|words| words.into_iter().next()),
        further: value("PIP_EXTRA_INDEX_URL", "extra-index-url").map(words).unwrap_or_default(),
        no_index: value("PIP_NO_INDEX", "no-index").is_some_and(|value| is_true(&value)),
        cert: value("PIP_CERT", "cert").map(PathBuf::from),
    })
}

fn is_true(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "1" | "y" | "yes" | "t" | "true" | "on")
}

/// The files in the order in which they are read: later ones win.
fn files(machine: &Machine) -> Vec<PathBuf> {
    let named = machine.var("PIP_CONFIG_FILE").map(PathBuf::from);
    if named.as_deref() == Some(Path::new("/dev/null")) {
        return Vec::new();
    }
    let mut files: Vec<PathBuf> = Vec::new();
    let shared = machine.var("XDG_CONFIG_DIRS").unwrap_or("/etc/xdg");
    files.extend(shared.split(':').filter(|dir| !dir.is_empty()).map(|dir| Path::new(dir).join("pip/pip.conf")));
    files.push(PathBuf::from("/etc/pip.conf"));
    if !named.as_deref().is_some_and(|file| machine.path(file).exists()) {
        files.extend(machine.home().map(|home| home.join(".pip/pip.conf")));
        files.extend(machine.config_home().map(|config| config.join("pip/pip.conf")));
    }
    let prefixes = ["CONDA_PREFIX", "VIRTUAL_ENV"].into_iter().filter_map(|name| machine.var(name));
    files.extend(prefixes.map(|prefix| Path::new(prefix).join("pip.conf")));
    files.extend(named);
    files
}

/// Reads what Python's `RawConfigParser` reads: sections, `key = value` or `key: value`, indented continuations, whole-line comments.
fn read_ini(text: &str, values: &mut BTreeMap<(String, String), String>) {
    let mut section = String::new();
    let mut last: Option<(String, String)> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with([' ', '\t'])
            && let Some(value) = last.as_ref().and_then(|key| values.get_mut(key))
        {
            value.push('\n');
            value.push_str(trimmed);
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            section = name.trim().to_owned();
            last = None;
        } else if let Some((key, value)) = trimmed.split_once(['=', ':']) {
            let key = key.trim().to_ascii_lowercase().replace('_', "-").trim_start_matches("--").to_owned();
            values.insert((section.clone(), key.clone()), value.trim().to_owned());
            last = Some((section.clone(), key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)], env: &[(&str, &str)]) -> (tempfile::TempDir, Machine) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let machine = Machine::at(root.path(), env);
        (root, machine)
    }

    fn index(files: &[(&str, &str)], env: &[(&str, &str)]) -> Option<String> {
        let (_root, machine) = machine(files, env);
        settings(&machine).unwrap().index
    }

    const HOME: (&str, &str) = ("HOME", "/home/me");

    #[test]
    fn later_files_win_and_variables_beat_files() {
        let global = ("etc/pip.conf", "[global]\nindex-url = http://global/simple\n");
        let legacy = ("home/me/.pip/pip.conf", "[global]\nindex_url: http://legacy/simple\n");
        let user = ("home/me/.config/pip/pip.conf", "[global]\nINDEX-URL=http://user/simple\n");
        let venv = ("venv/pip.conf", "[global]\nindex-url = http://venv/simple\n");
        assert_eq!(index(&[global], &[HOME]).unwrap(), "http://global/simple");
        assert_eq!(index(&[global, legacy], &[HOME]).unwrap(), "http://legacy/simple");
        assert_eq!(index(&[global, legacy, user], &[HOME]).unwrap(), "http://user/simple");
        assert_eq!(index(&[global, legacy, user, venv], &[HOME, ("VIRTUAL_ENV", "/venv")]).unwrap(), "http://venv/simple");
        assert_eq!(index(&[global, user], &[HOME, ("PIP_INDEX_URL", "http://env/simple")]).unwrap(), "http://env/simple");
    }

    #[test]
    fn xdg_directories_are_heeded() {
        let user = ("cfg/pip/pip.conf", "[global]\nindex-url = http://user/simple\n");
        assert_eq!(index(&[user], &[HOME, ("XDG_CONFIG_HOME", "/cfg")]).unwrap(), "http://user/simple");
        let shared = ("shared/b/pip/pip.conf", "[global]\nindex-url = http://shared/simple\n");
        assert_eq!(index(&[shared], &[("XDG_CONFIG_DIRS", "/shared/a:/shared/b")]).unwrap(), "http://shared/simple");
    }

    #[test]
    fn a_named_file_hides_the_users_and_dev_null_hides_all() {
        let global = ("etc/pip.conf", "[global]\nindex-url = http://global/simple\n");
        let user = ("home/me/.config/pip/pip.conf", "[global]\nindex-url = http://user/simple\n");
        let named = ("named.conf", "[global]\nextra-index-url = http://more/simple\n");
        assert_eq!(index(&[global, user, named], &[HOME, ("PIP_CONFIG_FILE", "/named.conf")]).unwrap(), "http://global/simple");
        assert_eq!(index(&[global, user], &[HOME, ("PIP_CONFIG_FILE", "/missing.conf")]).unwrap(), "http://user/simple");
        assert_eq!(index(&[global, user], &[HOME, ("PIP_CONFIG_FILE", "/dev/null")]), None);
    }

    #[test]
    fn the_commands_own_section_beats_the_global_one() {
        let text = "[download]\nindex-url = http://download/simple\n[global]\nindex-url = http://global/simple\n";
        assert_eq!(index(&[("etc/pip.conf", text)], &[]).unwrap(), "http://download/simple");
    }

    #[test]
    fn several_further_indexes_comments_and_switches() {
        let text =
            "# c\n[global]\n; c\nextra-index-url =\n    http://a/simple\n    # c\n    http://b/simple\nno-index = yes\ncert=/ca.pem\n";
        let (_root, machine) = machine(&[("etc/pip.conf", text)], &[]);
        let settings = settings(&machine).unwrap();
        assert_eq!(settings.further, ["http://a/simple", "http://b/simple"]);
        assert!(settings.no_index);
        assert_eq!(settings.cert, Some("/ca.pem".into()));
    }

    #[test]
    fn broken_files_and_odd_bytes_are_no_reason_to_fail() {
        assert_eq!(index(&[("etc/pip.conf", "  x\n]]\n=\n[\u{fffd}\nindex-url http://x\n")], &[]), None);
    }
}
