//! A cache to read from, and how far it is believed.
//!
//! In: a back end and the keys that the user trusts for it. Out: descriptions, statements and documents, each checked against the name under
//! which it was asked for. What was not asked for, is too long, or is signed by nobody who is trusted, never comes out of here.
//!
//! Not here: which objects are wanted (`pull`), and the bytes of objects (`fetch`).

use std::sync::{Arc, Mutex, PoisonError};

use super::backend::{Backend, Reading};
use super::entry::EntryName;
use super::error::CacheError;
use super::info::CacheInfo;
use super::resume::read_small;
use super::signing::PublicKey;
use super::statement::{SignedRecord, SignedTrace, read_traces};
use crate::model::{DerivationHash, NarInfo, STORE_DIR, SandboxLevel, Sha256, StorePath};

/// Bytes of `nix-cache-info` at most.
const LONGEST_INFO: u64 = 64 << 10;
/// Bytes of a description at most: an object may refer to tens of thousands.
pub(super) const LONGEST_NARINFO: u64 = 8 << 20;
/// Bytes of one key's statements about one derivation at most.
const LONGEST_TRACES: u64 = 1 << 20;
/// Bytes of a record, or of a derivation, at most.
const LONGEST_DOCUMENT: u64 = 64 << 20;

/// An open cache to read from.
#[derive(Debug)]
pub struct Cache {
    backend: Arc<dyn Backend>,
    keys: Vec<PublicKey>,
    quorum: usize,
    priority: Option<u32>,
    info: Mutex<Option<CacheInfo>>,
}

impl Cache {
    /// A cache. Its traces count if `quorum` of these keys signed them; without keys, it decides nothing. `priority` beats what it says of
    /// itself; lower is asked first.
    pub fn new(backend: Arc<dyn Backend>, keys: impl IntoIterator<Item = PublicKey>, quorum: usize, priority: Option<u32>) -> Self {
        let mut distinct: Vec<PublicKey> = Vec::new();
        for key in keys {
            // One key under two names is one voice.
            if !distinct.iter().any(|known| known.bytes() == key.bytes()) {
                distinct.push(key);
            }
        }
        Self { backend, keys: distinct, quorum: quorum.max(1), priority, info: Mutex::default() }
    }

    /// Its address as it may be shown.
    pub fn location(&self) -> String {
        self.backend.location()
    }

    /// Where it is kept.
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// The keys that are trusted.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// How many of them must agree.
    pub fn quorum(&self) -> usize {
        self.quorum
    }

    /// Lower is asked first: as configured, or else as the cache says.
    ///
    /// # Errors
    /// If it is no cache for kiln.
    pub fn priority(&self) -> Result<u32, CacheError> {
        let info = self.info()?;
        Ok(self.priority.unwrap_or(info.priority))
    }

    /// What it says about itself. It is asked once.
    ///
    /// # Errors
    /// If it cannot be asked, is no cache, or is one for another store directory.
    pub fn info(&self) -> Result<CacheInfo, CacheError> {
        let mut known = self.info.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(info) = &*known {
            return Ok(info.clone());
        }
        let info = read_info(&*self.backend)?.ok_or_else(|| self.not_a_cache("it has no `nix-cache-info`"))?;
        Ok(known.insert(info).clone())
    }

    /// The description of an object; none if it is not here. Its bytes are still to be checked.
    ///
    /// # Errors
    /// If it cannot be read, is of another object, or describes one that cannot prove itself.
    pub fn narinfo(&self, path: &StorePath) -> Result<Option<NarInfo>, CacheError> {
        self.info()?;
        let entry = EntryName::narinfo(path.digest());
        let Some(bytes) = self.whole(&entry, LONGEST_NARINFO)? else { return Ok(None) };
        let text = String::from_utf8(bytes).map_err(|_| self.lie(&entry, "it is no text"))?;
        let narinfo: NarInfo = text.parse().map_err(|error| CacheError::narinfo(&self.location(), entry.clone(), &error))?;
        if narinfo.path != *path {
            return Err(self.lie(&entry, format!("it describes {}, not {path}", narinfo.path)));
        }
        match narinfo.path_info() {
            None => Err(self.lie(&entry, "it has no content address, so the object cannot prove itself")),
            Some(info) if !info.path_is_consistent() => Err(self.lie(&entry, "its content address does not give its path")),
            Some(_) => Ok(Some(narinfo)),
        }
    }

    /// What the trusted keys say about a resolved derivation: strictly sealed builds only. What is wrong with a key's statements is handed to
    /// `wrong`; they count for nothing, and the other keys' are still read.
    ///
    /// # Errors
    /// If the cache cannot be asked.
    pub fn traces(&self, resolved: &DerivationHash, wrong: &mut dyn FnMut(CacheError)) -> Result<Vec<SignedTrace>, CacheError> {
        let mut all = Vec::new();
        if !self.keys.is_empty() {
            self.info()?;
        }
        for key in &self.keys {
            match self.traces_by(resolved, key) {
                Ok(traces) => all.extend(traces),
                Err(lie @ CacheError::Lie { .. }) => wrong(lie),
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    fn traces_by(&self, resolved: &DerivationHash, key: &PublicKey) -> Result<Vec<SignedTrace>, CacheError> {
        let entry = EntryName::traces(resolved, key.name());
        let Some(bytes) = self.whole(&entry, LONGEST_TRACES)? else { return Ok(Vec::new()) };
        let mut traces = read_traces(&bytes).map_err(|error| self.lie(&entry, error.to_string()))?;
        for signed in &traces {
            if signed.trace.resolved != *resolved {
                return Err(self.lie(&entry, format!("it is about {}", signed.trace.resolved)));
            }
            if !signed.is_by(key) {
                return Err(self.lie(&entry, format!("the signature of `{}` does not hold", key.name())));
            }
        }
        // Nobody should have published these; they are no lie, and they count for nothing.
        traces.retain(|signed| signed.trace.level == SandboxLevel::Strict);
        Ok(traces)
    }

    /// The record of a build by the first trusted key that has one.
    ///
    /// # Errors
    /// If it cannot be read, is not that key's, or is about something else.
    pub fn record(&self, resolved: &DerivationHash) -> Result<Option<SignedRecord>, CacheError> {
        for key in &self.keys {
            let entry = EntryName::record(resolved, key.name());
            let Some(bytes) = self.whole(&entry, LONGEST_DOCUMENT)? else { continue };
            let signed: SignedRecord = serde_json::from_slice(&bytes).map_err(|error| self.lie(&entry, error.to_string()))?;
            if signed.record.resolved != *resolved {
                return Err(self.lie(&entry, format!("it is about {}", signed.record.resolved)));
            }
            if !signed.is_by(key) {
                return Err(self.lie(&entry, format!("the signature of `{}` does not hold", key.name())));
            }
            return Ok(Some(signed));
        }
        Ok(None)
    }

    /// The compressed log of the build by the first trusted key that has one. Nobody signs logs: they are for people to read.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn log(&self, resolved: &DerivationHash) -> Result<Option<Reading>, CacheError> {
        for key in &self.keys {
            if let Some(reading) = self.backend.read(&EntryName::log(resolved, key.name()), 0)? {
                return Ok(Some(reading));
            }
        }
        Ok(None)
    }

    /// A derivation's canonical JSON; it proves itself.
    ///
    /// # Errors
    /// If it cannot be read, or is another derivation's.
    pub fn derivation(&self, hash: &DerivationHash) -> Result<Option<String>, CacheError> {
        let entry = EntryName::derivation(hash);
        let Some(bytes) = self.whole(&entry, LONGEST_DOCUMENT)? else { return Ok(None) };
        if Sha256::of(&bytes) != hash.0 {
            return Err(self.lie(&entry, "its bytes have another hash"));
        }
        String::from_utf8(bytes).map(Some).map_err(|_| self.lie(&entry, "it is no text"))
    }

    /// All bytes of a small entry.
    fn whole(&self, entry: &EntryName, limit: u64) -> Result<Option<Vec<u8>>, CacheError> {
        read_small(&*self.backend, entry, limit)
    }

    pub(super) fn lie(&self, entry: &EntryName, problem: impl Into<String>) -> CacheError {
        CacheError::Lie { cache: self.location(), entry: entry.clone(), problem: problem.into() }
    }

    fn not_a_cache(&self, problem: &str) -> CacheError {
        CacheError::NotACache { cache: self.location(), problem: problem.to_owned() }
    }
}

/// What a cache says about itself, if it says anything.
///
/// # Errors
/// If it cannot be asked, says nonsense, or is for another store directory.
pub fn read_info(backend: &dyn Backend) -> Result<Option<CacheInfo>, CacheError> {
    let Some(bytes) = read_small(backend, &EntryName::cache_info(), LONGEST_INFO)? else { return Ok(None) };
    let refuse = |problem: String| CacheError::NotACache { cache: backend.location(), problem };
    let text = String::from_utf8(bytes).map_err(|_| refuse("its `nix-cache-info` is no text".to_owned()))?;
    let info: CacheInfo = text.parse().map_err(refuse)?;
    if info.store_dir != STORE_DIR {
        return Err(refuse(format!("its objects are for `{}`, not `{STORE_DIR}`", info.store_dir.escape_debug())));
    }
    Ok(Some(info))
}
