//! Trees with everything in them that a NAR can hold, generated from a seed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// Numbers that look random and are the same each time (xorshift).
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % limit
    }

    pub(super) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}

const NAMES: [&[u8]; 16] = [
    b".hidden",
    b"..two dots",
    b"...",
    b"-dash",
    b"--help",
    b"two\nlines",
    b" blank ",
    b"\xff\xfe not UTF-8 \x80",
    b"tab\tand\x01\x7f",
    "größe-ß-日本".as_bytes(),
    b"back\\slash",
    b"*?[]$`'\"",
    b"(",
    b"a~nix~case~hack~1",
    b"A",
    b"a",
];

const TARGETS: [&[u8]; 9] = [
    b"nowhere",
    b"/etc/passwd",
    b"..",
    b"../../../outside",
    b".",
    b"\xff\xfe",
    b"a b\nc",
    b"/",
    b"/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep",
];

/// Modes of files that their owner can read. A NAR says only whether the owner may execute.
const FILE_MODES: [u32; 12] = [0o644, 0o755, 0o444, 0o555, 0o400, 0o500, 0o544, 0o455, 0o655, 0o764, 0o677, 0o1744];
const DIR_MODES: [u32; 7] = [0o755, 0o700, 0o555, 0o777, 0o2755, 0o1777, 0o3750];
/// Only root can read these.
const ROOT_FILE_MODES: [u32; 6] = [0o000, 0o111, 0o100, 0o011, 0o300, 0o077];
const ROOT_DIR_MODES: [u32; 3] = [0o000, 0o111, 0o2000];

/// Lengths around the padding of strings and the blocks of readers.
const LENGTHS: [usize; 12] = [0, 1, 7, 8, 9, 31, 4095, 4096, 65_537, 262_143, 262_144, 262_200];

pub(super) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// One tree of each remarkable shape, by name.
pub(super) fn remarkable(top: &Path) -> Vec<PathBuf> {
    let place = |name: &str| top.join(name);
    fs::write(place("empty-file"), "").unwrap();
    fs::write(place("executable"), "#!/bin/sh\n").unwrap();
    set_mode(&place("executable"), 0o744);
    fs::create_dir(place("empty-directory")).unwrap();
    symlink("nowhere", place("dangling")).unwrap();
    symlink("/", place("link-to-top")).unwrap();
    let mut big = fs::File::create(place("large")).unwrap();
    let block = Numbers::new(5).bytes(64 * 1024);
    (0..321).for_each(|_| std::io::Write::write_all(&mut big, &block).unwrap());
    deep(&place("deep"));
    all_modes(&place("modes"));
    all_names(&place("names"));
    ["empty-file", "executable", "empty-directory", "dangling", "link-to-top", "large", "deep", "modes", "names"].map(place).to_vec()
}

fn deep(top: &Path) {
    let mut path = top.to_owned();
    (0..250).for_each(|level| path.push(if level % 2 == 0 { "d" } else { "-" }));
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("bottom"), "bottom").unwrap();
}

fn all_modes(top: &Path) {
    fs::create_dir(top).unwrap();
    let root_files = if is_root() { &ROOT_FILE_MODES[..] } else { &[] };
    for mode in FILE_MODES.iter().chain(root_files) {
        let path = top.join(format!("file-{mode:o}"));
        fs::write(&path, "content").unwrap();
        set_mode(&path, *mode);
    }
    let root_dirs = if is_root() { &ROOT_DIR_MODES[..] } else { &[] };
    for mode in DIR_MODES.iter().chain(root_dirs) {
        let path = top.join(format!("dir-{mode:o}"));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "").unwrap();
        set_mode(&path, *mode);
    }
}

fn all_names(top: &Path) {
    fs::create_dir(top).unwrap();
    let long = [b'x'; 255];
    for name in NAMES.into_iter().chain([&long[..]]) {
        fs::write(top.join(OsStr::from_bytes(name)), name).unwrap();
    }
    // Every length of name modulo 8, and names of which one begins another: byte order, not that of a dictionary.
    for len in 1..18 {
        fs::create_dir(top.join("n".repeat(len))).unwrap();
    }
    for (index, target) in TARGETS.into_iter().enumerate() {
        symlink(OsStr::from_bytes(target), top.join(format!("link{index}"))).unwrap();
    }
}

/// A tree of a few dozen entries.
pub(super) fn generated(top: &Path, seed: u64) -> PathBuf {
    let tree = top.join(format!("generated-{seed}"));
    let mut numbers = Numbers::new(seed);
    fs::create_dir(&tree).unwrap();
    let mut dirs = vec![tree.clone()];
    for index in 0..40 {
        let parent = dirs[numbers.below(dirs.len())].clone();
        let mut name = numbers.pick(&NAMES).to_vec();
        if parent.join(OsStr::from_bytes(&name)).symlink_metadata().is_ok() {
            name.extend(format!("{index}").bytes());
        }
        let path = parent.join(OsStr::from_bytes(&name));
        match numbers.below(4) {
            0 => symlink(OsStr::from_bytes(numbers.pick(&TARGETS)), &path).unwrap(),
            1 => {
                fs::create_dir(&path).unwrap();
                dirs.push(path);
            }
            _ => {
                let len = LENGTHS[numbers.below(LENGTHS.len())] + numbers.below(3);
                fs::write(&path, numbers.bytes(len)).unwrap();
                set_mode(&path, FILE_MODES[numbers.below(FILE_MODES.len())]);
            }
        }
    }
    for dir in dirs.iter().rev() {
        set_mode(dir, DIR_MODES[numbers.below(DIR_MODES.len())]);
    }
    tree
}

/// Makes everything below `top` writable again, so that it can be removed.
pub(super) struct Unlock<'a>(pub(super) &'a Path);

impl Drop for Unlock<'_> {
    fn drop(&mut self) {
        for entry in walkdir::WalkDir::new(self.0).into_iter().flatten().filter(|entry| entry.file_type().is_dir()) {
            let _ = fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o755));
        }
    }
}
