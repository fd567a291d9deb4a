//! From addresses, keys and configuration to open caches.

use std::path::Path;
use std::sync::Arc;

use crate::build::config::Config;
use crate::cache::config::CacheConfig;
use crate::cache::signing::{PublicKey, SecretKey};
use crate::cache::{self, Backend, Cache, CacheError, CacheSet, Location};
use crate::cli::failure::Failure;
use crate::cli::session::Globals;
use crate::cli::ui;
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

impl CacheArgs {
    /// The caches of the command line and of the configuration. None of them is asked yet.
    ///
    /// # Errors
    /// If an address or a key is none, or a secret cannot be read.
    pub fn open(&self, config: &Config) -> Result<CacheSet, Failure> {
        let mut wanted = self.urls.iter().map(|url| named(config, url)).collect::<Result<Vec<_>, _>>()?;
        if !self.no_caches {
            let further = config.cache.iter().filter(|cache| wanted.iter().all(|named| named.location != cache.location));
            wanted.extend(further.cloned().collect::<Vec<_>>());
        }
        Ok(CacheSet::new(wanted.iter().map(|cache| self.trust.open(cache)).collect::<Result<_, _>>()?))
    }

    /// Where builds are sent: the caches of the command line, or those that the configuration says so of; each with its key.
    ///
    /// # Errors
    /// As [`CacheArgs::open`].
    pub fn to_push(&self, config: &Config) -> Result<Vec<Destination>, Failure> {
        let wanted = match self.urls.as_slice() {
            [] => config.cache.iter().filter(|cache| cache.push()).cloned().collect(),
            urls => urls.iter().map(|url| named(config, url)).collect::<Result<Vec<_>, _>>()?,
        };
        if wanted.is_empty() {
            let hint = "name one with `--cache URL`, or set `push = true` in a `[[cache]]` of kiln.toml";
            return Err(Failure::request("there is no cache to push to").hint(hint));
        }
        let machine = Machine::current();
        wanted.iter().map(|cache| Ok((reach(cache)?, cache.secret_key(&machine)?))).collect()
    }
}

impl TrustArgs {
    /// A cache to read from. The command line's keys are trusted beside its own.
    ///
    /// # Errors
    /// If a key is none, or a secret cannot be read.
    pub fn open(&self, cache: &CacheConfig) -> Result<Cache, Failure> {
        let mut keys = cache.trusted_keys.clone();
        for text in &self.keys {
            let wrong = |error| Failure::request(format!("`{}` is no public key: {error}", ui::harmless(text)));
            let key = text.parse::<PublicKey>().map_err(wrong)?;
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let quorum = self.quorum.map_or(cache.signatures, usize::from);
        Ok(Cache::new(reach(cache)?, keys, quorum, cache.own_priority()))
    }
}

/// What `kiln.toml` of the project, if there is one, and of the user say.
///
/// # Errors
/// If one of them is wrong.
pub fn configured(globals: &Globals) -> Result<Config, Failure> {
    Ok(Config::load(globals.project().ok().as_deref(), &Machine::current())?)
}

/// The cache at an address, with what is configured for it.
///
/// # Errors
/// If it is no address.
pub fn named(config: &Config, url: &str) -> Result<CacheConfig, CacheError> {
    let location = Location::parse(url)?;
    let known = config.cache.iter().find(|cache| cache.location.to_string() == location.to_string());
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

/// The back end that serves an address.
///
/// # Errors
/// If none does, or the configuration is wrong.
pub fn backend(globals: &Globals, url: &str) -> Result<Arc<dyn Backend>, Failure> {
    reach(&named(&configured(globals)?, url)?)
}

fn reach(cache: &CacheConfig) -> Result<Arc<dyn Backend>, Failure> {
    Ok(cache::open(&cache.location, &cache.access(&Machine::current())?)?)
}

/// The secret key in a file.
///
/// # Errors
/// If it cannot be read, or holds none.
pub fn secret_key(file: &Path) -> Result<SecretKey, Failure> {
    let text = std::fs::read_to_string(file).at("read the key", file)?;
    text.parse().map_err(|error| Failure::request(format!("`{}` holds no secret key: {error}", file.display())))
}
