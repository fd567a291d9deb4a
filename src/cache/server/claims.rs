//! What an uploaded document must show before it becomes an entry. A reader checks all of it again; this keeps rubbish out of a cache that
//! others rely on.

use std::io;

use crate::cache::entry::EntryName;
use crate::cache::keep::parse_lease;
use crate::cache::signing::{KeyName, PublicKey};
use crate::cache::statement::{SignedRecord, read_traces};
use crate::model::{DerivationHash, NarInfo, STORE_DIR, SandboxLevel, StoreDigest, StorePath};

use super::content::Content;
use super::files::Files;

/// Why a document does not become an entry.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is not what its name says.
    Wrong(String),
    /// It is signed by somebody whose word does not count here.
    Untrusted(String),
    /// That could not be found out.
    Trouble(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Trouble(error)
    }
}

type Checked = Result<(), Refusal>;

fn wrong<T>(problem: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Wrong(problem.into()))
}

/// Checks a document before it becomes an entry.
pub(super) fn check(content: &Content, bytes: &[u8], files: &Files, trusted: &[PublicKey]) -> Checked {
    match content {
        Content::NarInfo(digest) => narinfo(digest, text(bytes)?, files),
        Content::Traces(resolved, key) => traces(resolved, key, bytes, trusted),
        Content::Record(resolved, key) => record(resolved, key, bytes, trusted),
        Content::Pin => pin(text(bytes)?),
        Content::Lease => match parse_lease(bytes) {
            Some(_) => Ok(()),
            None => wrong("it is no lease"),
        },
        Content::Listing => match serde_json::from_slice::<serde_json::Value>(bytes) {
            Ok(_) => Ok(()),
            Err(error) => wrong(format!("it is no JSON: {error}")),
        },
        _ => Ok(()),
    }
}

/// Whether this key may leave entries here.
pub(super) fn may_sign(key: &KeyName, trusted: &[PublicKey]) -> Checked {
    if trusted.is_empty() || trusted.iter().any(|known| known.name() == key) {
        return Ok(());
    }
    Err(Refusal::Untrusted(format!("the key {key} is not trusted here")))
}

fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|_| Refusal::Wrong("it is no text".to_owned()))
}

fn narinfo(digest: &StoreDigest, text: &str, files: &Files) -> Checked {
    let info: NarInfo = text.parse().map_err(|error| Refusal::Wrong(format!("it is no description of an object: {error}")))?;
    if info.path.digest() != digest {
        return wrong(format!("it describes {}", info.path));
    }
    match info.path_info() {
        None => return wrong("it says no content address, so the object cannot prove itself"),
        Some(path_info) if !path_info.path_is_consistent() => {
            return wrong("its path does not follow from its content address and references");
        }
        Some(_) => {}
    }
    packed(&info, files)?;
    for reference in info.references.iter().filter(|reference| **reference != info.path) {
        if files.size(&EntryName::narinfo(reference.digest()))?.is_none() {
            return wrong(format!("it refers to {reference}, which is not here"));
        }
    }
    Ok(())
}

/// The packed NAR that it names must be there, and be as it says.
fn packed(info: &NarInfo, files: &Files) -> Checked {
    let name: EntryName = info.url.parse().map_err(|_| Refusal::Wrong(format!("`{}` is no name in a cache", info.url)))?;
    let Content::Nar(hash, compression) = Content::of(&name) else {
        return wrong(format!("`{name}` is not named by the packed NAR's hash"));
    };
    if compression != info.compression || info.file_hash.is_some_and(|said| said != hash) {
        return wrong(format!("it does not agree with the name `{name}`"));
    }
    match files.size(&name)? {
        None => wrong(format!("`{name}` is not here")),
        Some(size) if info.file_size.is_some_and(|said| said != size) => wrong(format!("`{name}` has {size} bytes")),
        Some(_) => Ok(()),
    }
}

fn traces(resolved: &DerivationHash, key: &KeyName, bytes: &[u8], trusted: &[PublicKey]) -> Checked {
    may_sign(key, trusted)?;
    let traces = read_traces(bytes).map_err(|error| Refusal::Wrong(format!("it holds no traces: {error}")))?;
    if traces.is_empty() {
        return wrong("it holds no traces");
    }
    for signed in traces {
        statement(resolved, key, &signed.trace.resolved, signed.signature.name(), signed.trace.level)?;
        vouched(trusted, |known| signed.is_by(known))?;
    }
    Ok(())
}

fn record(resolved: &DerivationHash, key: &KeyName, bytes: &[u8], trusted: &[PublicKey]) -> Checked {
    may_sign(key, trusted)?;
    let signed: SignedRecord = serde_json::from_slice(bytes).map_err(|error| Refusal::Wrong(format!("it is no record: {error}")))?;
    statement(resolved, key, &signed.record.resolved, signed.signature.name(), signed.record.level)?;
    vouched(trusted, |known| signed.is_by(known))
}

fn statement(resolved: &DerivationHash, key: &KeyName, about: &DerivationHash, by: &KeyName, level: SandboxLevel) -> Checked {
    if about != resolved {
        return wrong(format!("it is about {about}"));
    }
    if by != key {
        return wrong(format!("it is signed by {by}"));
    }
    if level == SandboxLevel::Strict { Ok(()) } else { wrong("the build was not strictly sealed") }
}

fn vouched(trusted: &[PublicKey], is_by: impl Fn(&PublicKey) -> bool) -> Checked {
    if trusted.is_empty() || trusted.iter().any(is_by) { Ok(()) } else { wrong("the signature does not hold") }
}

fn pin(text: &str) -> Checked {
    for line in text.lines() {
        if line.parse::<StorePath>().is_err() {
            return wrong(format!("`{}` is no path in {STORE_DIR}", line.escape_debug()));
        }
    }
    Ok(())
}
