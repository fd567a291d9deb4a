//! Descriptions, closures, and the bytes of NARs.

use std::io::{self, BufReader, Read};

use super::Findings;
use crate::archive::{Limits, inspect};
use crate::cache::backend::Backend;
use crate::cache::entry::EntryName;
use crate::cache::error::CacheError;
use crate::cache::keep::catalogue::{Catalogue, Object};
use crate::cache::parallel::{self, AT_ONCE};
use crate::cache::reader::LONGEST_NARINFO;
use crate::cache::resume::read_small;
use crate::cache::unpack::unpacked;
use crate::model::{ContentAddress, Hasher, NarInfo};

/// Checks what one description says by itself.
pub(super) fn description(entry: &EntryName, info: &NarInfo, findings: &Findings) {
    match info.path_info() {
        None => findings.add(entry, "it has no content address, so the object cannot prove itself"),
        Some(path) if !path.path_is_consistent() => {
            findings.add(entry, format!("the content address {} does not give the path {}", path.ca, path.path));
        }
        Some(_) => {}
    }
}

/// Checks that NARs and references are there.
pub(super) fn closures(catalogue: &Catalogue, findings: &Findings) {
    for object in catalogue.objects.values() {
        let entry = EntryName::narinfo(object.path.digest());
        match (catalogue.nars.get(&object.nar), object.file_size) {
            (Some(nar), Some(stated)) if nar.size != stated => {
                findings.add(&entry, format!("{} has {} bytes, not {stated}", object.nar, nar.size));
            }
            (Some(_), _) => {}
            // Somebody else's cache may keep NARs elsewhere.
            (None, _) if catalogue.others.contains(&object.nar) => {}
            (None, _) => findings.add(&entry, format!("{} is not there", object.nar)),
        }
        for reference in object.references.iter().filter(|reference| !catalogue.objects.contains_key(*reference)) {
            findings.add(&entry, format!("it refers to an object with the digest {reference}, which is not there"));
        }
    }
}

/// Reads and hashes all NARs.
pub(super) fn contents(backend: &dyn Backend, catalogue: &Catalogue, findings: &Findings) -> Result<(), CacheError> {
    parallel::each(catalogue.objects.values(), AT_ONCE, |object| {
        let entry = EntryName::narinfo(object.path.digest());
        let text = match read_small(backend, &entry, LONGEST_NARINFO) {
            Ok(text) => text.and_then(|bytes| String::from_utf8(bytes).ok()),
            Err(CacheError::Lie { .. }) => None,
            Err(error) => return Err(error),
        };
        // Gone or changed since the catalogue was made: somebody is at work there.
        let Some(info) = text.and_then(|text| text.parse::<NarInfo>().ok()) else { return Ok(()) };
        for problem in content(backend, object, &info, findings)? {
            findings.add(&entry, problem);
        }
        Ok(())
    })
}

/// Reads one NAR; says what is wrong with it.
fn content(backend: &dyn Backend, object: &Object, info: &NarInfo, findings: &Findings) -> Result<Vec<String>, CacheError> {
    let Some(reading) = backend.read(&object.nar, 0)? else { return Ok(Vec::new()) };
    let mut counted = Hashing { inner: reading.body, hasher: Hasher::default(), bytes: 0, failed: None };
    let own = info.references.contains(&info.path).then_some(info.path.digest());
    let limits = Limits { bytes: u64::MAX, entries: u64::MAX, ..Limits::default() };
    let inspected = unpacked(BufReader::new(&mut counted), info.compression)
        // One byte more than it may have: enough to notice, and no bomb goes off.
        .map(|nar| inspect(&mut nar.take(info.nar_size.saturating_add(1)), own, &limits));
    // What follows the packed stream belongs to the file's hash.
    let rest = io::copy(&mut (&mut counted).take(info.file_size.unwrap_or(u64::MAX).saturating_add(1)), &mut io::sink());
    if let Some(reason) = counted.failed.take().or_else(|| rest.err().map(|error| error.to_string())) {
        return Err(CacheError::Unavailable { cache: backend.location(), action: "send", entry: object.nar.to_string(), reason });
    }
    findings.with(|report| report.bytes_read += counted.bytes);
    let mut problems = Vec::new();
    let file_hash = counted.hasher.finish();
    if info.file_hash.is_some_and(|stated| stated != file_hash) {
        problems.push(format!("{} has the hash sha256:{}, which is not the one stated", object.nar, file_hash.base32()));
    }
    match inspected {
        Err(error) => problems.push(format!("{} cannot be unpacked: {error}", object.nar)),
        Ok(Err(error)) => problems.push(format!("{}: {error}", object.nar)),
        Ok(Ok(found)) => {
            if (found.nar_hash, found.nar_size) != (info.nar_hash, info.nar_size) {
                let (hash, size) = (found.nar_hash.base32(), found.nar_size);
                problems.push(format!("{} unpacks to {size} bytes with the hash sha256:{hash}, which is not what is stated", object.nar));
            }
            let address = match info.ca {
                Some(ContentAddress::Flat(_)) => found.file_hash.map(ContentAddress::Flat),
                Some(ContentAddress::Recursive(_)) => Some(ContentAddress::Recursive(found.modulo_hash)),
                None => None,
            };
            if info.ca.is_some() && address != info.ca {
                problems.push(format!("the bytes in {} do not have the content address that is stated", object.nar));
            }
        }
    }
    Ok(problems)
}

/// Hashes what is read through it, and tells a failure of the back end from one of an unpacker.
pub(super) struct Hashing {
    pub(super) inner: Box<dyn Read + Send>,
    pub(super) hasher: Hasher,
    pub(super) bytes: u64,
    pub(super) failed: Option<String>,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.failed = Some(error.to_string());
            }
        })?;
        self.hasher.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}
