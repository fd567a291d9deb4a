//! From addresses, keys and configuration to open caches.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::build::Stop;
use crate::build::config::Config;
use crate::cache::config::CacheConfig;
use crate::cache::signing::{PublicKey, SecretKey};
use crate::cache::{self, Backend, Cache, CacheError, CacheSet, Location};
use crate::cli::failure::Failure;
use crate::cli::session::Globals;
use crate::cli::ui::{self, Ui};
use crate::fsio::IoResultExt as _;
use crate::net::Machine;

/// A cache that builds are sent to, and the key that signs them.
pub type Destination = (Arc<dyn Backend>, Option<SecretKey>);

/// Caches to take from, beside those of `kiln.toml`.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Caches")]
pub struct CacheArgs {
    /// Take from this cache what it has, beside those of kiln.toml; may be repeated
    #[arg(long = "cache", value_name = "URL")]
    urls: Vec<String>,
    /// Take from no cache of kiln.toml
    #[arg(long)]
    no_caches: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

/// Whom to believe.
#[derive(Debug, Default, clap::Args)]
pub struct TrustArgs {
    /// Believe builds that this key signed; may be repeated. Without one, caches give objects but decide nothing
    #[arg(long = "trusted-key", value_name = "NAME:KEY")]
    keys: Vec<String>,
    /// How many trusted keys must have signed the same result [default: 1, or what kiln.toml says of the cache]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    quorum: Option<u16>,
}

/// Opens caches: what the configuration says of them, added to what the command line does.
#[derive(Debug)]
pub struct Opener {
    config: Config,
    machine: Machine,
    ui: Ui,
    /// Whether the store is the project's own, so that the project may say whom to believe.
    is_projects_store: bool,
    stop: Arc<AtomicBool>,
}

impl Opener {
    /// Reads `kiln.toml` of the project, if there is one, and of the user. What waits for a cache ends when `stop` is set.
    ///
    /// # Errors
    /// If one of them is wrong.
    pub fn new(globals: &Globals, stop: &Stop) -> Result<Self, Failure> {
        let (project, machine) = (globals.project().ok(), Machine::current());
        let config = Config::load(project.as_deref(), &machine)?;
        let is_projects_store = project.is_some_and(|dir| globals.store_dir().is_ok_and(|store| store == dir.join("store")));
        Ok(Self { config, machine, ui: globals.ui(), is_projects_store, stop: stop.flag() })
    }

    /// The cache at an address, with what is configured for it.
    ///
    /// # Errors
    /// If it is no address.
    fn named(&self, url: &str) -> Result<CacheConfig, CacheError> {
        let location = Location::parse(url)?;
        let known = self.config.cache.iter().find(|cache| cache.location.to_string() == location.to_string());
        Ok(match known {
            // Credentials that stand in the address are meant; and naming it makes it the user's.
            Some(known) => {
                let mut known = known.clone();
                (known.location, known.by_user) = (location, true);
                known
            }
            None => CacheConfig::new(location),
        })
    }

    /// The caches of these addresses, or all that are configured if there are none.
    fn wanted(&self, urls: &[String], only: impl Fn(&CacheConfig) -> bool) -> Result<Vec<CacheConfig>, CacheError> {
        match urls {
            [] => Ok(self.config.cache.iter().filter(|cache| only(cache)).cloned().collect()),
            urls => urls.iter().map(|url| self.named(url)).collect(),
        }
    }

    fn reach(&self, cache: &CacheConfig) -> Result<Arc<dyn Backend>, Failure> {
        let mut access = cache.access(&self.machine)?;
        access.patience.stop = Arc::clone(&self.stop);
        Ok(cache::open(&cache.location, &access)?)
    }

    /// The back end that serves an address.
    ///
    /// # Errors
    /// If none does, or a secret cannot be read.
    pub fn backend(&self, url: &str) -> Result<Arc<dyn Backend>, Failure> {
        self.reach(&self.named(url)?)
    }

    /// A cache to read from. The command line's keys are trusted beside its own.
    fn read(&self, cache: &CacheConfig, trust: &TrustArgs) -> Result<Cache, Failure> {
        let mut keys = cache.trusted_keys.clone();
        for text in &trust.keys {
            let wrong = |error| Failure::request(format!("`{}` is no public key: {error}", ui::harmless(text)));
            keys.push(text.parse::<PublicKey>().map_err(wrong)?);
        }
        if self.is_projects_store {
            keys.extend(cache.project_keys.iter().cloned());
        } else if keys.is_empty() && !cache.project_keys.is_empty() {
            let note = "the project's kiln.toml trusts keys for it, which counts in the project's own store only";
            self.ui.note(format!("note: {}: {note}", cache.location));
        }
        let quorum = trust.quorum.map_or(cache.signatures, usize::from);
        Ok(Cache::new(self.reach(cache)?, keys, quorum, cache.own_priority()))
    }

    /// The caches at these addresses, or all that are configured if there are none. None of them is asked yet.
    ///
    /// # Errors
    /// If an address or a key is none, or a secret cannot be read.
    pub fn sources(&self, urls: &[String], trust: &TrustArgs) -> Result<CacheSet, Failure> {
        let wanted = self.wanted(urls, |_| true)?;
        Ok(CacheSet::new(wanted.iter().map(|cache| self.read(cache, trust)).collect::<Result<_, _>>()?))
    }

    /// The caches of the command line and of the configuration. None of them is asked yet.
    ///
    /// # Errors
    /// As [`Self::sources`].
    pub fn caches(&self, args: &CacheArgs) -> Result<CacheSet, Failure> {
        let mut wanted = args.urls.iter().map(|url| self.named(url)).collect::<Result<Vec<_>, _>>()?;
        if !args.no_caches {
            let further = self.config.cache.iter().filter(|cache| wanted.iter().all(|named| named.location != cache.location));
            wanted.extend(further.cloned().collect::<Vec<_>>());
        }
        let caches = wanted.iter().map(|cache| self.read(cache, &args.trust)).collect::<Result<Vec<_>, _>>()?;
        for cache in caches.iter().filter(|cache| cache.keys().is_empty()) {
            let note = "no key is trusted for it, so it decides nothing: it gives files that are fetched, but no builds";
            self.ui.note(format!("note: {}: {note}; `--trusted-key NAME:KEY` says whom to believe", cache.location()));
        }
        Ok(CacheSet::new(caches))
    }

    /// Where builds are sent: the caches at these addresses, or those that the configuration says so of; each with its key.
    ///
    /// # Errors
    /// As [`Self::sources`]; if there is none.
    pub fn destinations(&self, urls: &[String]) -> Result<Vec<Destination>, Failure> {
        let wanted = self.wanted(urls, CacheConfig::push)?;
        if wanted.is_empty() {
            let hint = "name one on the command line, or set `push = true` in a `[[cache]]` of kiln.toml";
            return Err(Failure::request("there is no cache to push to").hint(hint));
        }
        wanted.iter().map(|cache| Ok((self.reach(cache)?, cache.secret_key(&self.machine)?))).collect()
    }
}

impl CacheArgs {
    /// The caches that the command line names.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }
}

/// The back end that serves an address, for commands that only ask or tidy.
///
/// # Errors
/// If none does, or the configuration is wrong.
pub fn backend(globals: &Globals, url: &str) -> Result<Arc<dyn Backend>, Failure> {
    Opener::new(globals, &Stop::default())?.backend(url)
}

/// The secret key in a file.
///
/// # Errors
/// If it cannot be read, or holds none.
pub fn secret_key(file: &Path) -> Result<SecretKey, Failure> {
    let text = std::fs::read_to_string(file).at("read the key", file)?;
    text.parse().map_err(|error| Failure::request(format!("`{}` holds no secret key: {error}", file.display())))
}
