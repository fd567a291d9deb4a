//! What an archive holds, whatever its format.

use std::ffi::OsStr;
use std::fmt;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path below some directory: components without `.`, `..`, `/` and NUL; none at all for the directory itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(Vec<u8>);

impl RelPath {
    /// Reads a name as archives write them: `./a//b/` is `a/b`.
    ///
    /// # Errors
    /// If it is absolute, holds `..` or NUL; the text says which, and reads on after the name.
    pub fn parse(name: &[u8]) -> Result<Self, &'static str> {
        if name.starts_with(b"/") {
            return Err("whose name is absolute");
        }
        if name.contains(&0) {
            return Err("whose name holds a NUL byte");
        }
        let mut path = Vec::with_capacity(name.len());
        for component in name.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return Err("whose name leads out of the archive"),
                component => {
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(component);
                }
            }
        }
        Ok(Self(path))
    }

    /// Whether this is the directory itself.
    pub fn is_top(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes, components joined by `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a relative path of the file system.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The components, outermost first.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|component| !component.is_empty())
    }

    /// What is left without the first `count` components; `None` if that is nothing.
    pub fn strip(&self, count: usize) -> Option<Self> {
        let rest: Vec<_> = self.components().skip(count).collect();
        (!rest.is_empty()).then(|| Self(rest.join(&b'/')))
    }

    /// The path with `inner` (one component or several) below it.
    pub fn join(&self, inner: &Self) -> Self {
        match (self.is_top(), inner.is_top()) {
            (true, _) => inner.clone(),
            (_, true) => self.clone(),
            _ => Self([self.as_bytes(), inner.as_bytes()].join(&b'/')),
        }
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A file; its bytes are the entry's content.
    File {
        /// Whether its owner may execute it.
        executable: bool,
        /// How many bytes it has.
        size: u64,
    },
    /// A symbolic link; it may point anywhere.
    Link {
        /// Where to: not empty, without NUL.
        target: Vec<u8>,
    },
    /// Another name of a file that came before.
    HardLink {
        /// That file.
        target: RelPath,
    },
}

/// One entry; its path is never the top itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it goes.
    pub path: RelPath,
    /// What it is.
    pub kind: EntryKind,
}

/// Takes the entries of an archive.
pub trait EntrySink {
    /// Why an entry cannot be taken.
    type Error: From<crate::archive::ArchiveError>;

    /// Takes one entry. `content` gives a file's bytes, and nothing for anything else; what is left of it is skipped.
    ///
    /// # Errors
    /// Ends the reading. An error of `content` itself is reported as damage of the archive, whatever is made of it here.
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), Self::Error>;

    /// How many bytes it has copied from file to file since it was last asked: hard links that become copies count as content, and so do
    /// directories that only the names of others imply.
    fn take_copied(&mut self) -> u64;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(name: &str) -> Result<String, &'static str> {
        RelPath::parse(name.as_bytes()).map(|path| path.to_string())
    }

    #[test]
    fn names_are_brought_to_one_form() {
        for (name, path) in [("./a//b/", "a/b"), ("a/./b", "a/b"), ("./", ""), ("", ""), ("..a/b..", "..a/b.."), ("a\\..\\b", "a\\..\\b")] {
            assert_eq!(parsed(name).as_deref(), Ok(path));
        }
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["/", "/etc/passwd", "//a", "..", "a/..", "a/../b", "./../a", "a/b/../../..", "a\0b"] {
            assert!(parsed(name).is_err(), "{name}");
        }
    }

    #[test]
    fn stripping_counts_components() {
        let path = RelPath::parse(b"a/b/c").unwrap();
        let stripped: Vec<_> = (0..4).map(|count| path.strip(count).map(|path| path.to_string())).collect();
        assert_eq!(stripped, [Some("a/b/c".into()), Some("b/c".into()), Some("c".into()), None]);
    }

    proptest! {
        #[test]
        fn any_name_is_refused_or_stays_inside(name in "[a./\0]{0,12}") {
            if let Ok(path) = RelPath::parse(name.as_bytes()) {
                let fits = |component: &[u8]| !matches!(component, b"" | b"." | b"..") && !component.contains(&0);
                prop_assert!(path.components().all(fits));
                prop_assert_eq!(RelPath::parse(path.as_bytes()), Ok(path));
            }
        }
    }
}
