//! Telling formats apart by their first bytes, and decompressing ahead of the reader.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::meter::Meter;
use super::{EntrySink, Limits, deb, tar, zip};
use crate::archive::{ArchiveError, Packing, Streams};
use crate::fsio::IoResultExt;

/// An archive whose format is known. Its decompression has begun: opening several and reading them in turn uses several processors.
pub struct OpenArchive {
    archive: PathBuf,
    limits: Limits,
    len: u64,
    body: Body,
}

enum Body {
    Tar(Box<dyn Read + Send>),
    Zip(File),
}

/// Bytes that tell all formats apart: a tar's header.
const HEAD: usize = 512;

impl OpenArchive {
    /// Opens an archive.
    ///
    /// # Errors
    /// If it cannot be read, or is none of the known formats.
    pub fn open(archive: &Path, limits: Limits) -> Result<Self, ArchiveError> {
        let mut file = File::open(archive).at("open", archive)?;
        let len = file.metadata().at("read", archive)?.len();
        let head = head(&mut file).at("read", archive)?;
        file.rewind().at("read", archive)?;
        let body = if is_zip(&head) {
            Body::Zip(file)
        } else if head.starts_with(b"!<arch>\n") {
            Body::Tar(ahead(tar_stream(archive, Box::new(deb::data(archive, file)?))?))
        } else if !is_known(&head) && zip::is_at_end(&mut file).at("read", archive)? {
            Body::Zip(file)
        } else {
            let stream = tar_stream(archive, Box::new(BufReader::with_capacity(CHUNK, file)))?;
            Body::Tar(if len > CHUNK as u64 { ahead(stream) } else { stream })
        };
        Ok(Self { archive: archive.to_owned(), limits, len, body })
    }

    /// Hands each entry to `sink`, in the archive's order; entries for the top directory itself are left out.
    ///
    /// # Errors
    /// If the archive is damaged, truncated, too large or holds what is refused; and the first error of `sink`.
    pub fn read_entries<S: EntrySink>(self, sink: &mut S) -> Result<(), S::Error> {
        let mut meter = Meter::new(&self.archive, self.len, self.limits);
        match self.body {
            Body::Tar(mut stream) => tar::read(&mut stream, &mut meter, sink),
            Body::Zip(file) => zip::read(file, &mut meter, sink),
        }
    }
}

fn head(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    source.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn is_zip(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}

const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

/// A zstd stream may begin with frames that hold no content; `pzstd` writes one.
fn is_skippable_zstd(head: &[u8]) -> bool {
    matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// What xz was before has no magic number: properties that all packers take, and a dictionary of whole 64 KiB.
fn is_lzma(head: &[u8]) -> bool {
    matches!(head, [0x5d, 0, 0, _, _, ..])
}

/// Whether a file that begins like this is a tar, packed or not.
fn is_known(head: &[u8]) -> bool {
    let packed: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", ZSTD];
    packed.iter().any(|magic| head.starts_with(magic)) || is_skippable_zstd(head) || is_lzma(head) || tar::is_header(head)
}

/// An xz stream may ask for gigabytes of dictionary; the strongest preset asks for 65 MiB.
const XZ_MEMORY: u64 = 512 << 20;

/// The tar in `source`, decompressed if need be.
fn tar_stream(archive: &Path, mut source: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>, ArchiveError> {
    let unknown = |found| ArchiveError::UnknownFormat { archive: archive.to_owned(), found };
    let start = head(&mut source).at("read", archive)?;
    let whole = BufReader::with_capacity(CHUNK, io::Cursor::new(start.clone()).chain(source));
    let streams = |packing, whole| Ok::<_, ArchiveError>(Box::new(Streams::new(packing, whole).at("read", archive)?));
    let mut stream: Box<dyn Read + Send> = match start.as_slice() {
        [0x1f, 0x8b, ..] => streams(Packing::Gzip, whole)?,
        [b'B', b'Z', b'h', ..] => streams(Packing::Bzip2, whole)?,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => streams(Packing::Xz { memory: XZ_MEMORY }, whole)?,
        head if is_lzma(head) => streams(Packing::Lzma { memory: XZ_MEMORY }, whole)?,
        head if head.starts_with(ZSTD) || is_skippable_zstd(head) => {
            Box::new(zstd::stream::read::Decoder::with_buffer(whole).at("read", archive)?)
        }
        [] => return Err(unknown("empty")),
        head if tar::is_header(head) => return Ok(Box::new(whole)),
        _ => return Err(unknown("of a format that is not known")),
    };
    let start = head(&mut stream).map_err(|error| Meter::new(archive, 0, Limits::default()).malformed(error))?;
    if !tar::is_header(&start) {
        return Err(unknown("a compressed file that holds no tar archive"));
    }
    Ok(Box::new(io::Cursor::new(start).chain(stream)))
}

/// Bytes that are handed from thread to thread at once.
const CHUNK: usize = 128 * 1024;

/// Chunks that may lie between the two: 4 MiB.
const CHUNKS: usize = 32;

/// Reads `source` in a thread of its own, some way ahead; without one if there is none to be had.
fn ahead(source: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
    let (send, receive) = sync_channel(CHUNKS);
    let (give, take) = sync_channel(1);
    let work = move || {
        if let Ok(source) = take.recv() {
            read_ahead(source, &send);
        }
    };
    match std::thread::Builder::new().name("unpack".to_owned()).spawn(work) {
        Err(_) => source,
        Ok(_) => {
            // The thread waits for it.
            drop(give.send(source));
            Box::new(Ahead { chunks: receive, chunk: io::Cursor::default() })
        }
    }
}

/// Ends when the source does, or when nobody wants the chunks any more.
fn read_ahead(mut source: Box<dyn Read + Send>, chunks: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        let result = source.by_ref().take(CHUNK as u64).read_to_end(&mut chunk);
        // What was read before an error still counts, and so does the end, as an empty chunk.
        let is_last = chunk.len() < CHUNK;
        if chunks.send(Ok(chunk)).is_err() {
            return;
        }
        if let Err(error) = result {
            drop(chunks.send(Err(error)));
            return;
        }
        if is_last {
            return;
        }
    }
}

struct Ahead {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: io::Cursor<Vec<u8>>,
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.position() == self.chunk.get_ref().len() as u64 {
            match self.chunks.recv() {
                Ok(chunk) => self.chunk = io::Cursor::new(chunk?),
                Err(_) => return Ok(0),
            }
        }
        self.chunk.read(buffer)
    }
}

/// Where a member of an archive file lies, as a stream.
pub(super) fn part(archive: &Path, mut file: File, (offset, len): (u64, u64)) -> Result<impl Read + Send + use<>, ArchiveError> {
    file.seek(SeekFrom::Start(offset)).at("read", archive)?;
    Ok(BufReader::with_capacity(CHUNK, file.take(len)))
}
