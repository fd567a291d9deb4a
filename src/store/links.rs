//! What an out-link says: whether it still keeps its object.
//!
//! Only "there is nothing" and "there is something else" say that it does not. A link that cannot be looked at (a share that hangs, a directory
//! of another user) keeps what it kept.
//!
//! A store may be moved or copied as a whole, alone or with the project around it, or be seen at two places, as from a container. A link that
//! names the object in whatever directory `objects` was or is, at its old place or at the same one seen from the store, therefore counts.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What became of an out-link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum LinkState {
    /// It is there and points to the object.
    Alive,
    /// It names the object where the store is not, or no longer: the store was moved. It keeps the object.
    Moved {
        /// Where the link is now.
        at: PathBuf,
        /// What it points to.
        target: PathBuf,
    },
    /// There is nothing, or something else. It keeps nothing.
    Gone,
    /// It cannot be looked at. It keeps the object.
    Unknown {
        /// Why not.
        why: String,
    },
}

impl LinkState {
    /// Looks at the link `link` to `object`, which lies in `objects/` of the store at `store`.
    pub(super) fn of(link: &Path, object: &Path, store: &Path) -> Self {
        match std::fs::read_link(link) {
            Ok(target) if target == object => Self::Alive,
            Ok(target) if names(&target, object) => Self::Moved { at: link.to_owned(), target },
            Ok(_) => Self::Gone,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                moved_along(link, object, store)
            }
            // No link any more.
            Err(_) if link.symlink_metadata().is_ok_and(|found| !found.is_symlink()) => Self::Gone,
            Err(error) => Self::Unknown { why: error.to_string() },
        }
    }

    /// Whether the link keeps its object.
    pub fn keeps(&self) -> bool {
        *self != Self::Gone
    }
}

/// Whether `target` is what a link to `object` looks like that was made in a store elsewhere.
fn names(target: &Path, object: &Path) -> bool {
    let end = |path: &Path| Some((path.parent()?.file_name()?.to_owned(), path.file_name()?.to_owned()));
    end(object).is_some_and(|object| end(target) == Some(object))
}

/// Looks for a link where it would be had it been moved together with the store: `/a/p/result` of a store `/a/p/store` that is now
/// `/b/p/store` is `/b/p/result`.
fn moved_along(link: &Path, object: &Path, store: &Path) -> LinkState {
    let parts: Vec<_> = link.components().skip(1).collect();
    let ends = (0..parts.len()).map(|from| parts[from..].iter().collect::<PathBuf>());
    for end in ends {
        for base in store.ancestors().skip(1) {
            let at = base.join(&end);
            if let Ok(target) = std::fs::read_link(&at)
                && names(&target, object)
            {
                return LinkState::Moved { at, target };
            }
        }
    }
    LinkState::Gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, rename};
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_that_moved_together_with_its_store_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        create_dir_all(at("old/p/store/objects")).unwrap();
        create_dir_all(at("old/p/links")).unwrap();
        let state = |p: &str, link: &str| LinkState::of(&at(link), &at(p).join("store/objects/x-y"), &at(p).join("store"));
        symlink(at("old/p/store/objects/x-y"), at("old/p/links/result")).unwrap();
        assert_eq!(state("old/p", "old/p/links/result"), LinkState::Alive);
        create_dir_all(at("new")).unwrap();
        rename(at("old/p"), at("new/q")).unwrap();
        let moved = state("new/q", "old/p/links/result");
        assert_eq!(moved, LinkState::Moved { at: at("new/q/links/result"), target: at("old/p/store/objects/x-y") });
        std::fs::remove_file(at("new/q/links/result")).unwrap();
        assert_eq!(state("new/q", "old/p/links/result"), LinkState::Gone);
        symlink("/elsewhere/objects/x-z", at("new/q/links/result")).unwrap();
        assert_eq!(state("new/q", "old/p/links/result"), LinkState::Gone);
    }

    #[test]
    fn what_is_no_link_any_more_keeps_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (link, store) = (dir.path().join("file"), dir.path().join("store"));
        std::fs::write(&link, "").unwrap();
        assert_eq!(LinkState::of(&link, &store.join("objects/x-y"), &store), LinkState::Gone);
        assert_eq!(LinkState::of(&link.join("below"), &store.join("objects/x-y"), &store), LinkState::Gone);
    }

    #[test]
    fn an_error_is_no_answer() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        let too_long = dir.path().join("l".repeat(300));
        let state = LinkState::of(&too_long, &store.join("objects/x-y"), &store);
        assert!(matches!(state, LinkState::Unknown { .. }) && state.keeps(), "{state:?}");
    }
}
