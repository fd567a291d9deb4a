//! `kiln.toml`: the project's, then the user's (`~/.config/kiln/kiln.toml`).
//!
//! In: two optional files. Out: [`Config`]. A project's lists come before the user's; a single value of the project beats the
//! user's. A key that kiln does not know is an error, because a setting that is silently ignored is worse than none.
//!
//! ```toml
//! [mirrors]
//! pypi = ["https://mirror.example/simple"]     # asked before what pip is configured with
//! debian = ["https://mirror.example/debian"]   # asked before apt's sources
//!
//! [fetch]
//! attempts = 4                                 # per mirror
//! stall_seconds = 60                           # a server that sends nothing for so long is given up
//! ca_bundle = "/etc/corp/ca.pem"               # further certificate authorities
//!
//! [[cache]]                                    # one or more: `cache::config` has all keys
//! url = "https://cache.example/team"
//! trusted_keys = ["team-1:base64…"]
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::build::fetch::FetchOptions;
use crate::cache::config::{self as caches, CACHE_KEYS, CacheConfig};
use crate::fsio::PathError;
use crate::net::Machine;

/// The file's name, in a project and in the user's `kiln` directory.
pub const CONFIG_FILE: &str = "kiln.toml";

/// Every key there is outside of `[[cache]]`, as `table.key`.
const KEYS: [&str; 5] = ["mirrors.pypi", "mirrors.debian", "fetch.attempts", "fetch.stall_seconds", "fetch.ca_bundle"];

/// What `kiln.toml` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Servers to fetch from.
    pub mirrors: MirrorSettings,
    /// How to fetch.
    pub fetch: FetchSettings,
    /// Binary caches: the tables `[[cache]]`.
    pub cache: Vec<CacheConfig>,
}

/// The table `[mirrors]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MirrorSettings {
    /// Python package indexes, as pip's `index-url` names them.
    pub pypi: Vec<String>,
    /// Debian archives: addresses under which `pool/` lies.
    pub debian: Vec<String>,
}

/// The table `[fetch]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct FetchSettings {
    /// Tries per mirror.
    pub attempts: Option<u32>,
    /// Seconds that a server may send nothing.
    pub stall_seconds: Option<u64>,
    /// A PEM file of further certificate authorities.
    pub ca_bundle: Option<PathBuf>,
    /// The one that the project names: its authorities must not see the user's credentials, so it never takes the place of the user's.
    #[serde(skip)]
    pub project_ca_bundle: Option<PathBuf>,
}

/// A `kiln.toml` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key that kiln does not know.
    #[error("{}:{line}: `{key}` is no setting of kiln{}", path.display(), suggestion.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key, with its table.
        key: String,
        /// A key that is spelt nearly so.
        suggestion: Option<&'static str>,
    },
    /// It is not TOML, or a value is of the wrong kind.
    #[error("{}:{line}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] PathError),
}

impl Config {
    /// Reads `kiln.toml` of the project and of the user. Files that are not there count as empty.
    ///
    /// # Errors
    /// If one cannot be read, is not TOML, or holds an unknown key or a value of the wrong kind.
    pub fn load(project: Option<&Path>, machine: &Machine) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        if let Some(path) = project.map(|dir| dir.join(CONFIG_FILE)) {
            config = read(&path)?;
            if let Some(reason) = config.cache.iter().find_map(CacheConfig::secret_in_a_project) {
                return Err(ConfigError::Malformed { path, line: 1, reason });
            }
            config.cache = config.cache.into_iter().map(CacheConfig::of_project).collect();
            config.fetch.project_ca_bundle = config.fetch.ca_bundle.take();
        }
        if let Some(dir) = machine.config_home() {
            let mut users = read(&machine.path(dir.join("kiln").join(CONFIG_FILE)))?;
            users.cache.iter_mut().for_each(|cache| cache.by_user = true);
            config.add(users);
        }
        Ok(config)
    }

    /// How patient fetches are.
    pub fn fetch_options(&self) -> FetchOptions {
        let defaults = FetchOptions::default();
        FetchOptions {
            attempts: self.fetch.attempts.unwrap_or(defaults.attempts),
            stall: self.fetch.stall_seconds.map_or(defaults.stall, Duration::from_secs),
            ca_bundle: self.fetch.ca_bundle.clone(),
            project_ca_bundle: self.fetch.project_ca_bundle.clone(),
            ..defaults
        }
    }

    /// Adds what a less important file says.
    fn add(&mut self, other: Self) {
        self.mirrors.pypi.extend(other.mirrors.pypi);
        self.mirrors.debian.extend(other.mirrors.debian);
        self.fetch.attempts = self.fetch.attempts.or(other.fetch.attempts);
        self.fetch.stall_seconds = self.fetch.stall_seconds.or(other.fetch.stall_seconds);
        self.fetch.ca_bundle = self.fetch.ca_bundle.take().or(other.fetch.ca_bundle);
        self.cache = caches::joined(std::mem::take(&mut self.cache), other.cache);
    }
}

/// What one file says; nothing if it is not there.
fn read(path: &Path) -> Result<Config, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => Ok(Config::default()),
        Err(error) => Err(PathError::new("read", path, error).into()),
    }
}

/// Every key there is, as `table.key`.
fn keys() -> impl Iterator<Item = &'static str> {
    KEYS.into_iter().chain(CACHE_KEYS)
}

fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
    let line_at = |offset: usize| text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
    let malformed = |error: &toml::de::Error| ConfigError::Malformed {
        path: path.to_owned(),
        line: line_at(error.span().map_or(0, |span| span.start)),
        reason: error.message().to_owned(),
    };
    let document = toml::de::DeTable::parse(text).map_err(|error| malformed(&error))?;
    let unknown = |offset: usize, key: String| {
        let suggestion = nearest(&key);
        ConfigError::UnknownKey { path: path.to_owned(), line: line_at(offset), key, suggestion }
    };
    for (table, value) in document.get_ref() {
        let name = table.get_ref();
        if !keys().any(|key| key.split('.').next() == Some(name)) {
            return Err(unknown(table.span().start, name.to_string()));
        }
        let value = value.get_ref();
        let tables = value.as_array().into_iter().flatten().filter_map(|item| item.get_ref().as_table());
        for (key, _) in value.as_table().into_iter().chain(tables).flatten() {
            let full = format!("{name}.{}", key.get_ref());
            if !keys().any(|known| known == full) {
                return Err(unknown(key.span().start, full));
            }
        }
    }
    let config: Config = toml::from_str(text).map_err(|error| malformed(&error))?;
    if config.fetch.attempts == Some(0) || config.fetch.stall_seconds == Some(0) {
        let reason = "`fetch.attempts` and `fetch.stall_seconds` must be at least 1".to_owned();
        return Err(ConfigError::Malformed { path: path.to_owned(), line: 1, reason });
    }
    Ok(config)
}

/// The known table or key whose last part is spelt most like that of `key`.
fn nearest(key: &str) -> Option<&'static str> {
    fn last(name: &str) -> &str {
        name.rsplit('.').next().unwrap_or(name)
    }
    let distance = |known: &str| strsim::damerau_levenshtein(last(key), last(known));
    let best = keys().chain(["mirrors", "fetch", "cache"]).min_by_key(|known| distance(known))?;
    (distance(best) <= 1 + last(key).len() / 3).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(project: &str, user: &str) -> Result<Config, ConfigError> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("home/.config/kiln")).unwrap();
        std::fs::create_dir(root.path().join("project")).unwrap();
        std::fs::write(root.path().join("home/.config/kiln/kiln.toml"), user).unwrap();
        std::fs::write(root.path().join("project/kiln.toml"), project).unwrap();
        Config::load(Some(&root.path().join("project")), &Machine::at(root.path(), &[("HOME", "/home")]))
    }

    #[test]
    fn lists_are_joined_and_single_values_of_the_project_win() {
        let config = load(
            "[mirrors]\npypi = ['https://p/simple']\n[fetch]\nattempts = 2\n",
            "[mirrors]\npypi = ['https://u/simple']\ndebian = ['http://u/debian']\n[fetch]\nattempts = 9\nstall_seconds = 5\n",
        )
        .unwrap();
        assert_eq!(config.mirrors.pypi, ["https://p/simple", "https://u/simple"]);
        assert_eq!(config.mirrors.debian, ["http://u/debian"]);
        let options = config.fetch_options();
        assert_eq!((options.attempts, options.stall), (2, Duration::from_secs(5)));
    }

    #[test]
    fn missing_files_count_as_empty() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Config::load(Some(root.path()), &Machine::at(root.path(), &[])).unwrap(), Config::default());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_a_suggestion() {
        let error = load("[mirrors]\npypi = []\npipy = []\n", "").unwrap_err().to_string();
        assert!(error.ends_with("kiln.toml:3: `mirrors.pipy` is no setting of kiln; did you mean `mirrors.pypi`?"), "{error}");
        let error = load("", "\n[fetsh]\nattempts = 1\n").unwrap_err().to_string();
        assert!(error.contains("kiln.toml:2: `fetsh` is no setting of kiln; did you mean `fetch`?"), "{error}");
        assert!(load("attempts = 3\n", "").unwrap_err().to_string().contains("did you mean `fetch.attempts`?"));
        assert!(load("[mirrors]\nzzz = 3\n", "").unwrap_err().to_string().ends_with("is no setting of kiln"));
    }

    const KEY: &str = "team-1:nu+tkcvgVVv1CyTnjjrpZ3TDHyt2lxFlmqvcbhgDIzQ=";
    const OTHER: &str = "team-2:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";

    #[test]
    fn caches_are_joined_and_a_users_secrets_reach_the_caches_that_both_name() {
        let config = load(
            &format!("[[cache]]\nurl = 'https://c/team'\ntrusted_keys = ['{KEY}']\npriority = 10\n[[cache]]\nurl = 's3://bucket/x'\n"),
            &format!("[[cache]]\nurl = 'https://C/team/'\ntrusted_keys = ['{OTHER}', '{KEY}']\nsignatures = 2\npriority = 20\ntoken_file = '/t'\npush = true\n[[cache]]\nurl = '/srv/c'\n"),
        )
        .unwrap();
        let shown: Vec<String> =
            config.cache.iter().map(|cache| format!("{} {} {}", cache.location, cache.priority(), cache.by_user)).collect();
        assert_eq!(shown, ["https://c/team 10 true", "s3://bucket/x 50 false", "file:///srv/c 50 true"]);
        let first = &config.cache[0];
        assert_eq!((first.trusted_keys.len(), first.project_keys.len(), first.signatures, first.push()), (2, 0, 2, true));
        assert_eq!(first.token_file.as_deref(), Some(Path::new("/t")));
    }

    #[test]
    fn caches_that_cannot_be_used_are_named_with_their_line() {
        for (text, place) in [
            ("[[cache]]\nurl = 'https://c'\npriorty = 1\n", ":3: `cache.priorty` is no setting of kiln; did you mean `cache.priority`?"),
            ("\n[[cache]]\nurl = 'ftp://me:secret@c'\n", ":2: `ftp://c` is no address of a cache"),
            ("[[cache]]\nurl = '/c'\ntrusted_keys = ['x']\n", ":1: `cache.trusted_keys`: "),
            ("[[cache]]\nurl = '/c'\nsignatures = 0\n", ":1: `cache.signatures` must be between"),
            ("[[cache]]\npriority = 1\n", ":1: missing field `url`"),
            ("[cache]\nurl = '/c'\n", ":1: "),
            ("[[cache]]\nurl = '/c'\ntoken_file = '/etc/shadow'\n", ":1: `cache.token_file` names a secret of the user's"),
            ("[[cache]]\nurl = '/c'\nkey_file = '/etc/shadow'\n", ":1: `cache.key_file` names a secret of the user's"),
        ] {
            let error = load(text, "").unwrap_err().to_string();
            assert!(error.contains(&format!("kiln.toml{place}")) && !error.contains("secret@"), "{error}");
        }
    }

    #[test]
    fn wrong_kinds_and_broken_toml_name_their_line() {
        for (text, place) in [
            ("[mirrors]\npypi = 'x'\n", ":2: "),
            ("[mirrors]\n\npypi = [\n", ":"),
            ("mirrors = 3\n", ":1: "),
            ("[fetch]\nattempts = 0\n", ":1: "),
        ] {
            let error = load(text, "").unwrap_err().to_string();
            assert!(error.contains(&format!("kiln.toml{place}")), "{error}");
        }
    }
}
