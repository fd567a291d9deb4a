//! Traces, records, logs, derivations and pins.

use std::collections::HashMap;
use std::io::{self, BufReader, Read as _};

use super::Findings;
use super::objects::Hashing;
use crate::cache::backend::{Backend, Listed};
use crate::cache::error::CacheError;
use crate::cache::keep::catalogue::Catalogue;
use crate::cache::keep::pin;
use crate::cache::keep::statements::{LARGEST, Statement};
use crate::cache::parallel::{self, AT_ONCE};
use crate::cache::resume::read_small;
use crate::cache::signing::{KeyName, PublicKey};
use crate::cache::statement::{SignedRecord, read_traces};
use crate::cache::unpack::unpacked;
use crate::model::{Compression, DerivationHash, Hasher, SandboxLevel, Sha256};

/// Bytes of a log at most.
const LARGEST_LOG: u64 = 4 << 30;

type Keys<'a> = HashMap<&'a KeyName, &'a PublicKey>;

/// Checks all of them.
pub(super) fn all(
    backend: &dyn Backend,
    catalogue: &Catalogue,
    keys: &Keys<'_>,
    read: bool,
    findings: &Findings,
) -> Result<(), CacheError> {
    parallel::each(catalogue.statements.iter(), AT_ONCE, |listed| {
        let Some(statement) = Statement::of(&listed.name) else {
            findings.add(&listed.name, "nothing has such a name");
            return Ok(());
        };
        let checked = match &statement {
            Statement::Housekeeping => return Ok(()),
            Statement::Log(..) if read => log(backend, listed, findings)?,
            Statement::Log(..) => Ok(0),
            _ => one(backend, catalogue, keys, listed, &statement)?,
        };
        findings.with(|report| report.statements += 1);
        match checked {
            Ok(vouched) => findings.with(|report| report.vouched += vouched),
            Err(problem) => findings.add(&listed.name, problem),
        }
        Ok(())
    })
}

/// How many of its statements a trusted key vouches for, or what is wrong with it.
type Checked = Result<usize, String>;

fn one(
    backend: &dyn Backend,
    catalogue: &Catalogue,
    keys: &Keys<'_>,
    listed: &Listed,
    statement: &Statement,
) -> Result<Checked, CacheError> {
    let bytes = match read_small(backend, &listed.name, LARGEST) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Ok(0)),
        Err(CacheError::Lie { problem, .. }) => return Ok(Err(problem)),
        Err(error) => return Err(error),
    };
    Ok(match statement {
        Statement::Trace(resolved, key) => traces(&bytes, resolved, key, keys),
        Statement::Record(resolved, key) => record(&bytes, resolved, key, keys),
        Statement::Derivation(hash) => derivation(&bytes, hash),
        Statement::Pin => pinned(&bytes, catalogue),
        Statement::Log(..) | Statement::Housekeeping => Ok(0),
    })
}

fn traces(bytes: &[u8], resolved: &DerivationHash, key: &KeyName, keys: &Keys<'_>) -> Checked {
    let traces = read_traces(bytes).map_err(|error| format!("it is no trace: {error}"))?;
    if traces.is_empty() {
        return Err("it is empty".to_owned());
    }
    let mut vouched = 0;
    for signed in &traces {
        if signed.trace.resolved != *resolved {
            return Err(format!("it is about {}", signed.trace.resolved));
        }
        if signed.signature.name() != key {
            return Err(format!("it is signed by {}", signed.signature.name()));
        }
        if signed.trace.level != SandboxLevel::Strict {
            return Err("it is of a build that was not strictly sealed".to_owned());
        }
        if let Some(key) = keys.get(key) {
            if !signed.is_by(key) {
                return Err(format!("the signature is not of the key {}", key.name()));
            }
            vouched += 1;
        }
    }
    Ok(vouched)
}

fn record(bytes: &[u8], resolved: &DerivationHash, key: &KeyName, keys: &Keys<'_>) -> Checked {
    let signed: SignedRecord = serde_json::from_slice(bytes).map_err(|error| format!("it is no record: {error}"))?;
    if signed.record.resolved != *resolved {
        return Err(format!("it is about {}", signed.record.resolved));
    }
    if signed.signature.name() != key {
        return Err(format!("it is signed by {}", signed.signature.name()));
    }
    match keys.get(key) {
        Some(key) if !signed.is_by(key) => Err(format!("the signature is not of the key {}", key.name())),
        found => Ok(usize::from(found.is_some())),
    }
}

fn derivation(bytes: &[u8], hash: &DerivationHash) -> Checked {
    let found = Sha256::of(bytes);
    if found == hash.0 { Ok(0) } else { Err(format!("its bytes have the hash {found}")) }
}

fn pinned(bytes: &[u8], catalogue: &Catalogue) -> Checked {
    let paths = pin::paths(bytes)?;
    match paths.iter().find(|path| !catalogue.objects.contains_key(path.digest())) {
        Some(gone) => Err(format!("it keeps {gone}, which is not there")),
        None => Ok(0),
    }
}

fn log(backend: &dyn Backend, listed: &Listed, findings: &Findings) -> Result<Checked, CacheError> {
    let Some(reading) = backend.read(&listed.name, 0)? else { return Ok(Ok(0)) };
    let mut counted = Hashing { inner: reading.body, hasher: Hasher::default(), bytes: 0, failed: None };
    let copied =
        unpacked(BufReader::new(&mut counted), Compression::Zstd).and_then(|log| io::copy(&mut log.take(LARGEST_LOG + 1), &mut io::sink()));
    if let Some(reason) = counted.failed.take() {
        return Err(CacheError::Unavailable { cache: backend.location(), action: "send", entry: listed.name.to_string(), reason });
    }
    findings.with(|report| report.bytes_read += counted.bytes);
    Ok(match copied {
        Ok(bytes) if bytes > LARGEST_LOG => Err("it unpacks to more than 4 GiB".to_owned()),
        Ok(_) => Ok(0),
        Err(error) => Err(format!("it cannot be unpacked: {error}")),
    })
}
