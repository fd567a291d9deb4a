//! tar: POSIX (pax), GNU and old headers.
//!
//! The header's fields are read by the `tar` crate; the loop over entries is ours, because the crate's own reads names of any length into
//! memory and takes a missing end for an end. So are the records of extended headers: the crate tells them apart by line feeds, which may
//! occur in them, and not by their length.

use std::io::{self, ErrorKind, Read};

use tar::{EntryType, Header};

use super::content::{deliver, read_small};
use super::meter::Meter;
use super::{Entry, EntryKind, EntrySink};
use crate::archive::ArchiveError;

/// Headers and contents are padded to this.
const BLOCK: usize = 512;

/// GNU tar's name of a whole archive: no file.
const VOLUME_LABEL: u8 = b'V';

/// A directory in GNU tar's incremental dumps; its content is a list of names.
const DUMPED_DIRECTORY: u8 = b'D';

/// Whether a tar can start like this.
pub(super) fn is_header(head: &[u8]) -> bool {
    head.len() >= BLOCK && (head[..BLOCK].iter().all(|byte| *byte == 0) || checksum_fits(Header::from_byte_slice(&head[..BLOCK])))
}

fn checksum_fits(header: &Header) -> bool {
    let bytes = header.as_bytes();
    // The checksum's own field counts as blanks.
    let counted = || bytes[..148].iter().chain(&bytes[156..]);
    let sum = 8 * 32 + counted().map(|byte| i64::from(*byte)).sum::<i64>();
    // Some old writers added up signed bytes: each of the upper half counts 256 less.
    let signed = sum - 256 * counted().filter(|byte| !byte.is_ascii()).map(|_| 1).sum::<i64>();
    header.cksum().is_ok_and(|there| [sum, signed].contains(&i64::from(there)))
}

/// A field without a digit is 0, as for all other readers; the crate calls that an error.
fn number<T: Default>(field: &[u8], read: impl FnOnce() -> io::Result<T>, meter: &Meter) -> Result<T, ArchiveError> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Ok(T::default());
    }
    read().map_err(|error| meter.malformed(error))
}

fn size_of(header: &Header, meter: &Meter) -> Result<u64, ArchiveError> {
    number(&header.as_old().size, || header.entry_size(), meter)
}

/// What extended headers say about the next entry.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Reads all entries, and the stream to its end.
pub(super) fn read<S: EntrySink>(stream: &mut dyn Read, meter: &mut Meter, sink: &mut S) -> Result<(), S::Error> {
    let mut extended = Extended::default();
    while let Some(header) = next_header(stream, meter)? {
        meter.entry()?;
        let size = size_of(&header, meter)?;
        let mut own_data = |what| read_padded(meter, stream, size, what);
        match header.entry_type() {
            EntryType::GNULongName => extended.path = Some(until_nul(own_data("a name")?)),
            EntryType::GNULongLink => extended.target = Some(until_nul(own_data("a link target")?)),
            EntryType::XHeader => extended.read(&own_data("an extended header")?, meter)?,
            EntryType::XGlobalHeader => drop(own_data("an extended header")?),
            kind if kind.as_byte() == VOLUME_LABEL => {}
            _ => entry(&header, std::mem::take(&mut extended), stream, meter, sink)?,
        }
    }
    drain(stream, meter)?;
    Ok(())
}

/// `None` at the block of zeros that ends an archive.
fn next_header(stream: &mut dyn Read, meter: &Meter) -> Result<Option<Header>, ArchiveError> {
    let mut header = Header::new_old();
    stream.read_exact(header.as_mut_bytes()).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => meter.malformed("it ends without an end mark, so files may be missing (GNU tar would not mind)"),
        _ => meter.malformed(error),
    })?;
    if header.as_bytes().iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    if checksum_fits(&header) { Ok(Some(header)) } else { Err(meter.malformed("a header whose checksum is wrong")) }
}

/// What follows the end mark is padding; compressed streams have their checksum behind it.
fn drain(stream: &mut dyn Read, meter: &mut Meter) -> Result<(), ArchiveError> {
    let mut buffer = [0; 8192];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => meter.bytes(read as u64)?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(meter.malformed(error)),
        }
    }
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn read_padded(meter: &mut Meter, stream: &mut dyn Read, size: u64, what: &str) -> Result<Vec<u8>, ArchiveError> {
    let bytes = read_small(meter, stream, size, what)?;
    read_small(meter, stream, padding(size), what)?;
    Ok(bytes)
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

impl Extended {
    fn read(&mut self, mut records: &[u8], meter: &Meter) -> Result<(), ArchiveError> {
        while !records.is_empty() {
            let (key, value, rest) = record(records).ok_or_else(|| meter.malformed("an extended header with a record that is none"))?;
            records = rest;
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.target = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
                    self.size = Some(size.ok_or_else(|| meter.malformed("an extended header whose size is no number"))?);
                }
                key if key.starts_with(b"GNU.sparse.") => return Err(meter.not_supported("a sparse file")),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The first of `records` as key and value, and those behind it: `LENGTH KEY=VALUE` and a line feed, where the length counts all of it.
fn record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = records.iter().position(|byte| *byte == b' ')?;
    let len = std::str::from_utf8(&records[..blank]).ok()?.parse().ok()?;
    let (record, rest) = records.split_at_checked(len)?;
    let text = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = text.iter().position(|byte| *byte == b'=')?;
    Some((&text[..equals], &text[equals + 1..], rest))
}

fn entry<S: EntrySink>(
    header: &Header,
    extended: Extended,
    stream: &mut dyn Read,
    meter: &mut Meter,
    sink: &mut S,
) -> Result<(), S::Error> {
    let name = extended.path.unwrap_or_else(|| header.path_bytes().into_owned());
    let target = extended.target.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned)).unwrap_or_default();
    let size = extended.size.map_or_else(|| size_of(header, meter), Ok)?;
    let executable = number(&header.as_old().mode, || header.mode(), meter)? & 0o100 != 0;
    let kind = match header.entry_type() {
        // Before there was a type for directories, their names ended in a slash.
        EntryType::Regular | EntryType::Continuous if name.ends_with(b"/") => EntryKind::Directory,
        EntryType::Regular | EntryType::Continuous => EntryKind::File { executable, size },
        EntryType::Directory => EntryKind::Directory,
        EntryType::Symlink => EntryKind::Link { target: meter.link_target(&name, target)? },
        EntryType::Link => {
            let target = meter.path(&target).map_err(|_| meter.refused(&name, "a hard link to a file outside the archive"))?;
            EntryKind::HardLink { target }
        }
        other if other.as_byte() == DUMPED_DIRECTORY => EntryKind::Directory,
        EntryType::GNUSparse => return Err(meter.not_supported("a sparse file").into()),
        other => return Err(meter.refused(&name, refusal(other)).into()),
    };
    // Some writers give directories a size, or repeat the linked file's in a hard link's header; no content follows.
    let has_content = matches!(kind, EntryKind::File { .. }) || header.entry_type().as_byte() == DUMPED_DIRECTORY;
    let size = if has_content { size } else { 0 };
    let entry = Entry { path: meter.path(&name)?, kind };
    deliver(meter, &name, &entry, stream, size, sink)?;
    read_small(meter, stream, padding(size), "padding")?;
    Ok(())
}

fn refusal(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a named pipe",
        _ => "an entry of an unknown type",
    }
}
