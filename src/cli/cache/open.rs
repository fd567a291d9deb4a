//! From addresses and keys on the command line to open caches.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cache::signing::{PublicKey, SecretKey};
use crate::cache::{Backend, Cache, CacheError, CacheSet, Directory};
use crate::fsio::IoResultExt as _;

use crate::cli::failure::Failure;
use crate::cli::ui;

/// Caches to take from.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Caches")]
pub struct CacheArgs {
    /// Take from this cache what it has; may be repeated
    #[arg(long = "cache", value_name = "URL")]
    urls: Vec<String>,
    #[command(flatten)]
    trust: TrustArgs,
}

/// Whom to believe.
#[derive(Debug, Default, clap::Args)]
pub struct TrustArgs {
    /// Believe builds that this key signed; may be repeated. Without one, caches give objects but decide nothing
    #[arg(long = "trusted-key", value_name = "NAME:KEY")]
    keys: Vec<String>,
    /// How many trusted keys must have signed the same result
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    quorum: u16,
}

impl CacheArgs {
    /// The caches of the command line.
    ///
    /// # Errors
    /// If an address or a key is none.
    pub fn open(&self) -> Result<CacheSet, Failure> {
        let caches = self.urls.iter().map(|url| self.trust.open(url)).collect::<Result<_, _>>()?;
        Ok(CacheSet::new(caches))
    }

    /// The addresses of the command line.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }
}

impl TrustArgs {
    /// A cache to read from.
    ///
    /// # Errors
    /// If the address or a key is none.
    pub fn open(&self, url: &str) -> Result<Cache, Failure> {
        let key = |text: &String| {
            let wrong = |error| Failure::request(format!("`{}` is no public key: {error}", ui::harmless(text)));
            text.parse::<PublicKey>().map_err(wrong)
        };
        let keys = self.keys.iter().map(key).collect::<Result<Vec<_>, _>>()?;
        Ok(Cache::new(backend(url)?, keys, usize::from(self.quorum), None))
    }
}

/// The back end that serves an address.
///
/// # Errors
/// If none does.
pub fn backend(url: &str) -> Result<Arc<dyn Backend>, Failure> {
    let bad = |reason: &str| CacheError::BadAddress { url: url.to_owned(), reason: reason.to_owned() };
    let dir = url.strip_prefix("file://").ok_or_else(|| bad("expected `file:///DIRECTORY`"))?;
    if !dir.starts_with('/') {
        return Err(bad("a directory is named by its whole path: `file:///DIRECTORY`").into());
    }
    Ok(Arc::new(Directory::new(PathBuf::from(dir))))
}

/// The secret key in a file.
///
/// # Errors
/// If it cannot be read, or holds none.
pub fn secret_key(file: &Path) -> Result<SecretKey, Failure> {
    let text = std::fs::read_to_string(file).at("read the key", file)?;
    text.parse().map_err(|error| Failure::request(format!("`{}` holds no secret key: {error}", file.display())))
}
