//! What can go wrong in a builtin builder.

use std::fmt;
use std::path::PathBuf;

use crate::archive::ArchiveError;
use crate::fsio::PathError;

/// Why a builtin builder failed.
#[derive(Debug, thiserror::Error)]
pub enum BuiltinError {
    /// A kind that this version of kiln has not.
    #[error("there is no builtin builder `{0}` in this version of kiln")]
    UnknownKind(String),
    /// Arguments of another shape.
    #[error("the arguments of `{kind}` are not what it expects: {problem}")]
    Arguments {
        /// The builder.
        kind: String,
        /// What is wrong.
        problem: String,
    },
    /// An input that is not there, or that the builder does not know.
    #[error("`{kind}` expects {expected}")]
    Inputs {
        /// The builder.
        kind: String,
        /// What it expects.
        expected: &'static str,
    },
    /// One path from two sources.
    #[error("`{path}` comes from both {first} and {second}, {difference}")]
    Conflict {
        /// The path in the result.
        path: String,
        /// Who had it first.
        first: String,
        /// Who gives it again.
        second: String,
        /// What the two differ in; reads on after the sentence.
        difference: &'static str,
    },
    /// A link that cannot be replaced by what it points to.
    #[error("`{path}` in layer {layer} is a link to `{target}`, which {problem}")]
    Link {
        /// The link's path in its layer.
        path: String,
        /// The layer's label.
        layer: String,
        /// What the link holds.
        target: String,
        /// Why it cannot be replaced.
        problem: LinkProblem,
    },
    /// A layer that is a file.
    #[error("layer {layer} ({object}) is not a directory")]
    NotADirectory {
        /// The layer's label.
        layer: String,
        /// What it is.
        object: String,
    },
    /// Something that is neither file, directory nor link.
    #[error("`{}` is neither file, directory nor link", .0.display())]
    Unsupported(PathBuf),
    /// A name that a manifest cannot hold.
    #[error("`{path}` in layer {layer} is not UTF-8; a manifest cannot name it")]
    NotUtf8 {
        /// The path, made readable.
        path: String,
        /// The layer's label.
        layer: String,
    },
    /// Links that multiply.
    #[error("the merged tree has more than {limit} entries; links to directories may be copying each other")]
    TooMany {
        /// How many are allowed.
        limit: usize,
    },
    /// An archive could not be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] PathError),
}

/// Why a link has nothing that could take its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkProblem {
    /// Nothing is there.
    Dangles,
    /// It leads back to itself, or to a directory that it lies in.
    Loops,
    /// It points to something outside.
    Leaves,
}

impl fmt::Display for LinkProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dangles => "is in none of the layers",
            Self::Loops => "leads back to the link itself",
            Self::Leaves => "is outside the merged layers",
        })
    }
}
