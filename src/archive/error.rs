//! Everything that can be wrong with an archive or a tree.

use std::io;
use std::path::PathBuf;

use crate::fsio::PathError;

/// Why an archive could not be read, or a tree not be archived.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A socket, pipe or device in a tree.
    #[error("`{}` is a {kind}; a store object holds files, directories and symbolic links only", path.display())]
    Unsupported {
        /// Where it is.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A file that shrank while it was read.
    #[error("`{}` changed while it was being read", .0.display())]
    Changed(PathBuf),
    /// More nested directories than are supported.
    #[error("`{}` lies more than {limit} directories deep", path.display())]
    TooDeep {
        /// Where it got too deep.
        path: PathBuf,
        /// How deep is allowed.
        limit: usize,
    },
    /// A place to unpack to that is taken.
    #[error("`{}` exists already; an archive is only ever unpacked to a new path", .0.display())]
    DestinationExists(PathBuf),
    /// A NAR that breaks the format's rules.
    #[error("the NAR is malformed at byte {offset}: {problem}")]
    Nar {
        /// How many bytes were read before it.
        offset: u64,
        /// What is wrong there.
        problem: String,
    },
    /// An archive that is none of the known formats.
    #[error("`{}` is {found}; known are tar, tar.gz, tar.bz2, tar.xz, tar.lzma, tar.zst, zip and deb", archive.display())]
    UnknownFormat {
        /// The archive.
        archive: PathBuf,
        /// What it looks like.
        found: &'static str,
    },
    /// An archive that breaks its format's rules, or is truncated.
    #[error("`{}` is damaged or truncated: {problem}", archive.display())]
    Malformed {
        /// The archive.
        archive: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// An archive that is sound, but uses what kiln cannot unpack.
    #[error("`{}` holds {what}, which is not supported", archive.display())]
    NotSupported {
        /// The archive.
        archive: PathBuf,
        /// What it holds.
        what: String,
    },
    /// An entry that must not be unpacked.
    #[error("`{}` holds `{entry}`, {problem}", archive.display())]
    Refused {
        /// The archive.
        archive: PathBuf,
        /// The entry's name.
        entry: String,
        /// Why it is refused; reads on after the name.
        problem: String,
    },
    /// An archive that unpacks to more than it may.
    #[error("unpacking `{}` gives more than {limit} {unit}; it is refused as a bomb", archive.display())]
    TooLarge {
        /// The archive.
        archive: PathBuf,
        /// How much is allowed.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// The archive's own stream cannot be read.
    #[error("cannot read the archive: {0}")]
    Read(#[source] io::Error),
    /// The stream that an archive goes to cannot be written.
    #[error("cannot write the archive: {0}")]
    Write(#[source] io::Error),
    /// An entry below a link or a file.
    #[error("`{}` lies below something that is not a directory; links are never followed while unpacking", .0.display())]
    NotADirectory(PathBuf),
    /// Reading or writing a file failed.
    #[error(transparent)]
    Io(#[from] PathError),
}
