//! Debian packages: an ar container with the files in the member `data.tar.*`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use object::read::archive::ArchiveFile;
use object::{ReadCache, ReadRef};

use super::format::part;
use crate::archive::ArchiveError;
use crate::fsio::IoResultExt;

/// The package's files: the stream of its (compressed) tar.
pub(super) fn data(archive: &Path, file: File) -> Result<impl Read + Send + use<>, ArchiveError> {
    let malformed = |problem: String| ArchiveError::Malformed { archive: archive.to_owned(), problem };
    let cache = ReadCache::new(file.try_clone().at("read", archive)?);
    let range = data_range(&cache).map_err(|error| malformed(error.to_string()))?;
    let range = range.ok_or_else(|| malformed("no member `data.tar` is in it, so it is no Debian package".to_owned()))?;
    let len = file.metadata().at("read", archive)?.len();
    if range.0.saturating_add(range.1) > len {
        return Err(malformed("it ends in the middle of `data.tar`".to_owned()));
    }
    part(archive, file, range)
}

fn data_range<'data>(cache: impl ReadRef<'data>) -> object::read::Result<Option<(u64, u64)>> {
    for member in ArchiveFile::parse(cache)?.members() {
        let member = member?;
        if member.name().starts_with(b"data.tar") {
            return Ok(Some(member.file_range()));
        }
    }
    Ok(None)
}
