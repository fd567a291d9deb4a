//! Directories that are gone after the tests, whatever is in them and however they end.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A directory that is deleted at the end of its scope, read-only directories in it included.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("kiln-test-").tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        make_removable(self.path());
    }
}

/// Objects are read-only directories, which their owner cannot empty as they are; builders may have left worse.
pub(super) fn make_removable(dir: &Path) {
    let _ = fs::set_permissions(dir, fs::Permissions::from_mode(0o755));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_removable(&entry.path());
        }
    }
}

/// A directory for what all tests share: deleted when this process is gone, even if it was killed. Anybody may enter it.
pub(crate) fn until_exit() -> PathBuf {
    let dir = tempfile::Builder::new().prefix("kiln-test-").tempdir().unwrap().keep();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let mut janitor = Command::new("/bin/sh");
    janitor.args(["-c", r#"cat >/dev/null; chmod -R u+w "$0"; rm -rf "$0""#]).arg(&dir);
    janitor.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    // Its standard input ends with this process, and not before: the child is never waited for, and its end of the pipe never closed.
    std::mem::forget(janitor.spawn().unwrap());
    dir
}
