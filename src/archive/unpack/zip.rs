//! zip, and with it wheels.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

use zip::read::ZipFile;
use zip::result::ZipError;
use zip::{CompressionMethod, System, ZipArchive};

use super::content::{deliver, read_small};
use super::meter::Meter;
use super::{Entry, EntryKind, EntrySink};
use crate::archive::ArchiveError;

/// The bits of a Unix mode that say what a file is.
const FORMAT: u32 = 0o170_000;

/// Systems whose paths are made with `\`, as `version made by` has them: MS-DOS, Windows NTFS, VFAT.
const BACKSLASH: [System; 3] = [System::Dos, System::WindowsNTFS, System::VFAT];

/// What one entry may take in the directory at the archive's end, which the `zip` crate reads into memory whole: far more than names need.
const DIRECTORY_ENTRY: u64 = 256;

/// The longest directory that is read: that of half a million files or so.
const DIRECTORY: u64 = 64 << 20;

/// What the crate reads besides the directory to find it: the end of the archive, with a comment.
const END: u64 = 128 << 10;

/// How much memory an LZMA dictionary may take.
const LZMA_DICTIONARY: u32 = 512 << 20;

/// Whether a file ends as a zip does. It may begin with anything: a program that unpacks or runs the rest.
pub(super) fn is_at_end(file: &mut File) -> io::Result<bool> {
    /// A record of 22 bytes, and a comment.
    const TAIL: u64 = 22 + (u16::MAX as u64);
    let len = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    file.rewind()?;
    Ok(tail.windows(4).any(|window| window == b"PK\x05\x06"))
}

/// Reads all entries.
pub(super) fn read<S: EntrySink>(file: File, meter: &mut Meter, sink: &mut S) -> Result<(), S::Error> {
    let mut archive = open(file, meter)?;
    for index in 0..archive.len() {
        meter.entry()?;
        check_method(&mut archive, index, meter)?;
        let mut member = archive.by_index(index).map_err(|error| problem(meter, error))?;
        let name = name(&member, meter)?;
        let size = member.size();
        let mode = member.unix_mode().unwrap_or(0);
        let kind = match mode & FORMAT {
            _ if name.ends_with(b"/") => EntryKind::Directory,
            0o040_000 => EntryKind::Directory,
            0o120_000 => EntryKind::Link { target: link_target(meter, &name, &mut member, size)? },
            0 | 0o100_000 => EntryKind::File { executable: mode & 0o100 != 0, size },
            _ => return Err(meter.refused(&name, "a device, pipe or socket").into()),
        };
        let left = if matches!(kind, EntryKind::File { .. }) { size } else { 0 };
        let entry = Entry { path: meter.path(&name)?, kind };
        deliver(meter, &name, &entry, &mut member, left, sink)?;
        expect_end(meter, &name, &mut member)?;
    }
    Ok(())
}

/// Reads the directory at the end, which must not be too long, nor name the same bytes twice.
fn open(file: File, meter: &Meter) -> Result<ZipArchive<Bounded>, ArchiveError> {
    let limit = meter.max_entries().saturating_mul(DIRECTORY_ENTRY).min(DIRECTORY);
    let left = Rc::new(Cell::new(Some(limit.saturating_add(END))));
    let opened = ZipArchive::new(Bounded { file, left: left.clone() });
    if left.get() == Some(0) {
        return Err(meter.too_large(limit, "bytes of its list of files"));
    }
    let mut archive = opened.map_err(|error| problem(meter, error))?;
    left.set(None);
    if archive.has_overlapping_files().map_err(|error| problem(meter, error))? {
        return Err(meter.not_supported("files that overlap in the archive, as those of bombs do"));
    }
    Ok(archive)
}

/// A file of which only so many bytes may be read, while there is a limit.
struct Bounded {
    file: File,
    left: Rc<Cell<Option<u64>>>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(left) = self.left.get() else { return self.file.read(buffer) };
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.file.read(&mut buffer[..room])?;
        self.left.set(Some(left - read as u64));
        Ok(read)
    }
}

impl Seek for Bounded {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

/// Says what kiln cannot unpack before the crate calls it an error like any other.
fn check_method(archive: &mut ZipArchive<Bounded>, index: usize, meter: &Meter) -> Result<(), ArchiveError> {
    let mut raw = archive.by_index_raw(index).map_err(|error| problem(meter, error))?;
    if raw.encrypted() {
        return Err(meter.not_supported("encrypted files"));
    }
    match raw.compression() {
        CompressionMethod::Stored | CompressionMethod::Deflated | CompressionMethod::Bzip2 => Ok(()),
        CompressionMethod::Lzma => {
            // Version, length of what follows, properties, size of the dictionary.
            let mut head = [0; 9];
            raw.read_exact(&mut head).map_err(|error| meter.malformed(error))?;
            let dictionary = u32::from_le_bytes([head[5], head[6], head[7], head[8]]);
            if dictionary > LZMA_DICTIONARY { Err(meter.not_supported("a file that needs too much memory to unpack")) } else { Ok(()) }
        }
        other => Err(meter.not_supported(&format!("files compressed by the method {other}"))),
    }
}

/// The name with `/` between its components.
fn name(member: &ZipFile<'_, Bounded>, meter: &Meter) -> Result<Vec<u8>, ArchiveError> {
    let mut name = member.name().map_err(|error| meter.malformed(error))?.into_owned().into_bytes();
    if name.contains(&b'\\') {
        if !BACKSLASH.contains(&member.system()) {
            return Err(meter.refused(&name, "whose name holds a backslash, though no Windows made it"));
        }
        name.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
    }
    Ok(name)
}

fn problem(meter: &Meter, error: ZipError) -> ArchiveError {
    match error {
        ZipError::UnsupportedArchive(what) => meter.not_supported(&format!("what its reader does not know: {what}")),
        error => meter.malformed(error),
    }
}

fn link_target(meter: &mut Meter, name: &[u8], member: &mut dyn Read, size: u64) -> Result<Vec<u8>, ArchiveError> {
    let target = read_small(meter, member, size, "a link target")?;
    meter.link_target(name, target)
}

/// The declared size is all there is; reading on also compares the checksum.
fn expect_end(meter: &Meter, name: &[u8], member: &mut dyn Read) -> Result<(), ArchiveError> {
    match member.read(&mut [0; 1]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(meter.refused(name, "which is larger than it declares")),
        Err(error) => Err(meter.malformed(error)),
    }
}
