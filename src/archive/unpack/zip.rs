//! zip, and with it wheels.

use std::fs::File;
use std::io::Read;

use zip::ZipArchive;
use zip::result::ZipError;

use super::content::{deliver, read_small};
use super::meter::Meter;
use super::{Entry, EntryKind, EntrySink};
use crate::archive::ArchiveError;

/// The bits of a Unix mode that say what a file is.
const FORMAT: u32 = 0o170_000;

/// Reads all entries.
pub(super) fn read<S: EntrySink>(file: File, meter: &mut Meter, sink: &mut S) -> Result<(), S::Error> {
    let mut archive = ZipArchive::new(file).map_err(|error| meter.malformed(error))?;
    for index in 0..archive.len() {
        meter.entry()?;
        let mut member = archive.by_index(index).map_err(|error| problem(meter, error))?;
        let name = member.name().map_err(|error| meter.malformed(error))?.into_owned().into_bytes();
        let size = member.size();
        let mode = member.unix_mode().unwrap_or(0);
        let kind = match mode & FORMAT {
            _ if member.is_dir() => EntryKind::Directory,
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

fn problem(meter: &Meter, error: ZipError) -> ArchiveError {
    match error {
        ZipError::UnsupportedArchive(what) => meter.malformed(format!("unsupported: {what}")),
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
