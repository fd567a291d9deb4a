//! A root for builds: the machine's statically linked busybox under the names of its tools.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

const TOOLS: &str = "[ ash awk basename bunzip2 bzip2 cat chmod chown cmp cp cut date dd diff dirname echo env expr false find fold grep gunzip gzip head \
     hostname id install kill ln ls md5sum mkdir mkfifo mknod mktemp mount mv nc nproc nslookup od paste patch pidof printf ps pwd readlink \
     realpath rm rmdir sed seq setsid sh sha256sum sleep sort stat sync tail tar tee test timeout touch tr true truncate tty umask uname \
     uniq unlink unxz unzip usleep wc wget which whoami xargs xz yes";

/// Lays out a tree at `dest` that can be the root of a build: a shell and small tools, statically linked.
///
/// # Panics
/// If the machine has no static busybox (Debian's package `busybox-static`): hardly any test can do without.
pub(crate) fn busybox_root(dest: &Path) {
    let bin = dest.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let busybox = bin.join("busybox");
    fs::copy(host_busybox(), &busybox).unwrap();
    fs::set_permissions(&busybox, fs::Permissions::from_mode(0o755)).unwrap();
    for tool in TOOLS.split_whitespace() {
        symlink("busybox", bin.join(tool)).unwrap();
    }
}

fn host_busybox() -> PathBuf {
    let found = ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from).into_iter().find(|path| path.is_file());
    found.expect("the tests need /bin/busybox: install busybox-static")
}
