//! `[[cache]]` in `kiln.toml`: which caches there are, whom they are believed, and what lets kiln in.
//!
//! ```toml
//! [[cache]]
//! url = "https://cache.example/team"
//! priority = 40                                # lower ones are asked first; 50 if not said
//! trusted_keys = ["team-1:base64…"]            # whose traces and records count
//! signatures = 1                               # so many of these keys must agree
//! token_file = "/home/me/.cache-token"         # a token, or user:password; only in the user's own file
//! push = true                                  # `kiln cache push` and `kiln build --push` send here
//! key_file = "/home/me/.cache-key"             # signs what is pushed; only in the user's own file
//! ```
//!
//! The project's and the user's lists are joined. A cache that both name is one: keys add up, the larger number of signatures counts, other
//! values of the project come first. What is secret is read from the user's file only, because a project is somebody else's; for the same reason its
//! keys count in its own `store/` only, not in one that it shares with others.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::CacheError;
use super::location::{Access, Location};
use super::signing::{PublicKey, SecretKey};
use crate::fsio::PathError;
use crate::net::Machine;

/// The variable that holds a token, or `user:password`, for caches that the user named and that have no `token_file`.
pub const TOKEN_VARIABLE: &str = "KILN_CACHE_TOKEN";

/// Keys of a `[[cache]]` table, as `table.key`.
pub const CACHE_KEYS: [&str; 7] =
    ["cache.url", "cache.priority", "cache.trusted_keys", "cache.signatures", "cache.token_file", "cache.push", "cache.key_file"];

/// The priority of a cache that says none.
const PRIORITY: u32 = 50;

/// One `[[cache]]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Table")]
pub struct CacheConfig {
    /// Where it is.
    pub location: Location,
    /// Lower ones are asked first.
    priority: Option<u32>,
    /// Whose traces and records the user believes.
    pub trusted_keys: Vec<PublicKey>,
    /// Whose traces and records only the project believes: that counts in its own store.
    pub project_keys: Vec<PublicKey>,
    /// How many of them must agree.
    pub signatures: usize,
    /// A file that holds what lets kiln in.
    pub token_file: Option<PathBuf>,
    /// Whether builds are sent here.
    push: Option<bool>,
    /// The secret key that signs what is sent.
    pub key_file: Option<PathBuf>,
    /// Whether the user names it, and not only a project.
    pub by_user: bool,
}

/// The table as it is written.
#[derive(Deserialize)]
struct Table {
    url: String,
    priority: Option<u32>,
    #[serde(default)]
    trusted_keys: Vec<String>,
    signatures: Option<usize>,
    token_file: Option<PathBuf>,
    push: Option<bool>,
    key_file: Option<PathBuf>,
}

impl TryFrom<Table> for CacheConfig {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let location = Location::parse(&table.url).map_err(|error| error.to_string())?;
        let trusted_keys: Vec<PublicKey> = table
            .trusted_keys
            .iter()
            .map(|key| key.parse())
            .collect::<Result<_, _>>()
            .map_err(|error| format!("`cache.trusted_keys`: {error}"))?;
        let signatures = table.signatures.unwrap_or(1);
        if signatures == 0 || !trusted_keys.is_empty() && signatures > trusted_keys.len() {
            let keys = trusted_keys.len().max(1);
            return Err(format!("`cache.signatures` must be between 1 and the number of trusted keys, {keys}, not {signatures}"));
        }
        let Table { priority, token_file, push, key_file, .. } = table;
        let project_keys = Vec::new();
        Ok(Self { location, priority, trusted_keys, project_keys, signatures, token_file, push, key_file, by_user: false })
    }
}

impl CacheConfig {
    /// A cache that the user names on the command line: its objects are used, and nobody's word is taken.
    pub fn new(location: Location) -> Self {
        let (trusted_keys, project_keys, by_user) = (Vec::new(), Vec::new(), true);
        Self { location, priority: None, trusted_keys, project_keys, signatures: 1, token_file: None, push: None, key_file: None, by_user }
    }

    /// As a project's file says it, which is somebody else's.
    #[must_use]
    pub fn of_project(mut self) -> Self {
        self.project_keys = std::mem::take(&mut self.trusted_keys);
        self.by_user = false;
        self
    }

    /// Lower ones are asked first.
    pub fn priority(&self) -> u32 {
        self.priority.unwrap_or(PRIORITY)
    }

    /// The priority that is set for it, if any; otherwise the cache's own word counts.
    pub fn own_priority(&self) -> Option<u32> {
        self.priority
    }

    /// Whether builds are sent here.
    pub fn push(&self) -> bool {
        self.push.unwrap_or(false)
    }

    /// Takes up what the user's file says of a cache of this address, which is less important where both say the same.
    fn join(&mut self, users: Self) {
        self.project_keys.retain(|key| !users.trusted_keys.contains(key));
        self.trusted_keys.extend(users.trusted_keys);
        self.signatures = self.signatures.max(users.signatures);
        self.priority = self.priority.or(users.priority);
        self.push = self.push.or(users.push);
        self.token_file = self.token_file.take().or(users.token_file);
        self.key_file = self.key_file.take().or(users.key_file);
        // Credentials in an address are the user's own too.
        if let (Location::Http(own), Location::Http(theirs)) = (&self.location, &users.location)
            && own.authorization().is_none()
            && theirs.authorization().is_some()
        {
            self.location = users.location;
        }
        self.by_user |= users.by_user;
    }

    /// What is wrong with it in a project's file.
    pub fn secret_in_a_project(&self) -> Option<String> {
        let key = if self.token_file.is_some() { "token_file" } else { "key_file" };
        let has = self.token_file.is_some() || self.key_file.is_some();
        has.then(|| format!("`cache.{key}` names a secret of the user's, so only the user's own kiln.toml may have it"))
    }

    /// What lets kiln in: out of the token file or, for a cache that the user names, the environment.
    ///
    /// # Errors
    /// If the file cannot be read, or what is there cannot be sent.
    pub fn access(&self, machine: &Machine) -> Result<Access, CacheError> {
        let access = Access::new(machine.clone());
        let access = if self.by_user { access } else { access.of_project() };
        let bad = |what: String, error: &dyn std::fmt::Display| CacheError::BadAddress {
            url: self.location.to_string(),
            reason: format!("{what}: {error}"),
        };
        if let Some(file) = &self.token_file {
            let text = read_secret(file, machine)?;
            return access
                .with_secret(&text)
                .map_err(|error| bad(format!("what `{}` holds for it cannot be used", file.display()), &error));
        }
        // Credentials in the address are there for this cache, the variable's for any.
        let has_own = matches!(&self.location, Location::Http(address) if address.authorization().is_some());
        match machine.var(TOKEN_VARIABLE) {
            Some(token) if self.by_user && !has_own => {
                access.with_secret(token).map_err(|error| bad(format!("what {TOKEN_VARIABLE} holds cannot be used"), &error))
            }
            _ => Ok(access),
        }
    }

    /// The key that signs what is sent here.
    ///
    /// # Errors
    /// If it cannot be read, or is none.
    pub fn secret_key(&self, machine: &Machine) -> Result<Option<SecretKey>, CacheError> {
        let Some(file) = &self.key_file else { return Ok(None) };
        Ok(Some(read_secret(file, machine)?.parse()?))
    }
}

/// The text of a secret file, whose path may start with `~/`.
fn read_secret(file: &Path, machine: &Machine) -> Result<String, CacheError> {
    let path = match (file.strip_prefix("~"), machine.home()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => file.to_owned(),
    };
    let missing = || PathError::new("read", &path, std::io::Error::other("it is not there, or this user may not read it"));
    Ok(machine.read(&path)?.ok_or_else(missing)?)
}

/// The user's list added to the project's.
pub fn joined(project: Vec<CacheConfig>, users: Vec<CacheConfig>) -> Vec<CacheConfig> {
    let mut all = project;
    for cache in users {
        match all.iter_mut().find(|known| known.location.to_string() == cache.location.to_string()) {
            Some(known) => known.join(cache),
            None => all.push(cache),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "s3cr3t";

    fn machine(root: &Path, env: &[(&str, &str)]) -> Machine {
        std::fs::create_dir_all(root.join("home")).unwrap();
        std::fs::write(root.join("home/token"), format!("{SECRET}\n")).unwrap();
        std::fs::write(root.join("home/bad"), format!("{SECRET} {SECRET}")).unwrap();
        Machine::at(root, &[&[("HOME", "/home")], env].concat())
    }

    fn authorization(url: &str, change: impl Fn(&mut CacheConfig), env: &[(&str, &str)]) -> Result<Option<String>, String> {
        let root = tempfile::tempdir().unwrap();
        let mut config = CacheConfig::new(Location::parse(url).unwrap());
        change(&mut config);
        let access = config.access(&machine(root.path(), env)).map_err(|error| error.to_string())?;
        Ok(access.authorization().map(str::to_owned))
    }

    #[test]
    fn a_token_comes_from_its_file_or_from_the_environment_for_the_users_caches_only() {
        let env = [(TOKEN_VARIABLE, "of-environment")];
        let bearer = |token: &str| Ok(Some(format!("Bearer {token}")));
        assert_eq!(authorization("https://c", |_| {}, &[]), Ok(None));
        assert_eq!(authorization("https://c", |_| {}, &env), bearer("of-environment"));
        assert_eq!(authorization("https://c", |config| config.token_file = Some("~/token".into()), &env), bearer(SECRET));
        assert_eq!(authorization("https://c", |config| config.by_user = false, &env), Ok(None));
        // The address has its own.
        assert_eq!(authorization("https://me:x@c", |_| {}, &env), Ok(None));
    }

    #[test]
    fn a_secret_that_cannot_be_used_stays_out_of_the_message() {
        let error = authorization("https://c", |config| config.token_file = Some("/home/bad".into()), &[]).unwrap_err();
        assert!(error.contains("what `/home/bad` holds for it cannot be used") && !error.contains(SECRET), "{error}");
        let error = authorization("https://c", |_| {}, &[(TOKEN_VARIABLE, "s3cr3t\n x")]).unwrap_err();
        assert!(error.contains(TOKEN_VARIABLE) && !error.contains(SECRET), "{error}");
        let error = authorization("https://c", |config| config.token_file = Some("~/none".into()), &[]).unwrap_err();
        assert!(error.contains("cannot read `/home/none`: it is not there"), "{error}");
    }

    #[test]
    fn the_key_that_signs_is_read_from_its_file() {
        let root = tempfile::tempdir().unwrap();
        let machine = machine(root.path(), &[]);
        let key = SecretKey::generate("team-1".parse().unwrap()).unwrap();
        std::fs::write(root.path().join("home/key"), key.secret_text()).unwrap();
        let mut config = CacheConfig::new(Location::parse("/c").unwrap());
        assert!(config.secret_key(&machine).unwrap().is_none());
        config.key_file = Some("~/key".into());
        assert_eq!(config.secret_key(&machine).unwrap().unwrap().public(), key.public());
        config.key_file = Some("~/token".into());
        let error = config.secret_key(&machine).unwrap_err().to_string();
        assert!(!error.contains(SECRET), "{error}");
    }
}
