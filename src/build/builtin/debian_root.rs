//! `debian-root/1`: Debian packages unpacked into one tree, laid out as `/`.
//!
//! As on an installed system, `/bin`, `/sbin` and the library directories are links into `/usr`, and what a package has there lands in `/usr`. Two packages may
//! have a directory in common, or a file with equal bytes; anything else is a conflict. No maintainer script runs: links that those would make
//! (such as alternatives) are arguments.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, ErrorKind, Read};

use serde::Deserialize;

use super::{BuiltinError, BuiltinJob};
use crate::archive::{ArchiveError, Entry, EntryKind, EntrySink, Existing, Limits, OpenArchive, RelPath, TreeWriter};

/// Name and version.
pub(super) const KIND: &str = "debian-root/1";

/// Top-level directories that are links into `usr`.
const MERGED: [&str; 6] = ["bin", "lib", "lib32", "lib64", "libx32", "sbin"];

/// Packages that are decompressed at a time, at most: each has a thread and some MiB.
const MAX_AHEAD: usize = 8;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    #[serde(default)]
    links: BTreeMap<String, String>,
}

pub(super) fn run(job: &BuiltinJob<'_>) -> Result<(), BuiltinError> {
    let Arguments { links } = job.parse_arguments()?;
    let mut root = Root { tree: TreeWriter::create(job.out)?, sources: Vec::new(), owners: HashMap::new() };
    let most = std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, MAX_AHEAD));
    let mut opened = VecDeque::new();
    let mut inputs = job.inputs.values();
    loop {
        while opened.len() < most
            && let Some(input) = inputs.next()
        {
            opened.push_back((input.logical.name().to_string(), OpenArchive::open(&input.physical, Limits::default())?));
        }
        let Some((name, package)) = opened.pop_front() else { break };
        root.sources.push(name);
        package.read_entries(&mut root)?;
    }
    root.add_links(&links)
}

/// The tree so far, and who gave what.
struct Root {
    tree: TreeWriter,
    /// Packages in order; the last is the one being unpacked.
    sources: Vec<String>,
    /// For each path, which source gave it first.
    owners: HashMap<RelPath, usize>,
}

/// Where a package's path lies in a tree whose `/bin` and the like are links into `/usr`.
fn usr_merged(path: &RelPath) -> Result<RelPath, ArchiveError> {
    let first = path.components().next().unwrap_or_default();
    if !MERGED.iter().any(|name| name.as_bytes() == first) {
        return Ok(path.clone());
    }
    let usr = RelPath::parse(b"usr").unwrap_or_default();
    Ok(usr.join(path))
}

impl Root {
    fn current(&self) -> usize {
        self.sources.len() - 1
    }

    fn conflict(&self, path: &RelPath, owner: usize, difference: &'static str) -> BuiltinError {
        let (first, second) = (self.sources[owner].clone(), self.sources[self.current()].clone());
        BuiltinError::Conflict { path: path.to_string(), first, second, difference }
    }

    fn create(&mut self, path: &RelPath, kind: &EntryKind, content: &mut dyn Read) -> Result<(), BuiltinError> {
        self.owners.insert(path.clone(), self.current());
        match kind {
            EntryKind::Directory => self.tree.directory(path)?,
            EntryKind::File { executable, .. } => self.tree.file(path, *executable, content)?,
            EntryKind::Link { target } => self.tree.link(path, target)?,
            EntryKind::HardLink { target } => self.tree.copy(&usr_merged(target)?, path)?,
        }
        Ok(())
    }

    /// Something is at `path` already, from another package: is this the same?
    fn compare(&mut self, path: &RelPath, kind: &EntryKind, owner: usize, content: &mut dyn Read) -> Result<(), BuiltinError> {
        let difference = match (self.tree.existing(path)?, kind) {
            (Some(Existing::Directory), EntryKind::Directory) => None,
            (Some(Existing::Link { target: first }), EntryKind::Link { target }) => {
                (first != *target).then_some("as links to different targets")
            }
            (Some(Existing::File { executable: first, .. }), EntryKind::File { executable, .. }) => {
                self.difference(path, first == *executable, content)?
            }
            (Some(Existing::File { executable: first, .. }), EntryKind::HardLink { target }) => {
                let target = usr_merged(target)?;
                let same_mode = self
                    .tree
                    .existing(&target)?
                    .is_some_and(|existing| matches!(existing, Existing::File { executable, .. } if executable == first));
                let mut linked = self.tree.open(&target)?;
                self.difference(path, same_mode, &mut linked)?
            }
            _ => Some("as different kinds of file"),
        };
        difference.map_or(Ok(()), |difference| Err(self.conflict(path, owner, difference)))
    }

    fn difference(&mut self, path: &RelPath, same_mode: bool, content: &mut dyn Read) -> Result<Option<&'static str>, BuiltinError> {
        let mut file = self.tree.open(path)?;
        let same = same_bytes(&mut file, content).map_err(ArchiveError::Read)?;
        Ok(match (same, same_mode) {
            (false, _) => Some("with different bytes"),
            (true, false) => Some("once executable and once not"),
            (true, true) => None,
        })
    }

    /// The links that every root has, and those that the recipe adds.
    fn add_links(mut self, links: &BTreeMap<String, String>) -> Result<(), BuiltinError> {
        for name in MERGED {
            let path = RelPath::parse(name.as_bytes()).unwrap_or_default();
            self.tree.link(&path, format!("usr/{name}").as_bytes())?;
        }
        self.sources.push("the recipe's `links`".to_owned());
        for (name, target) in links {
            let problem = |problem: &str| BuiltinError::Arguments {
                kind: KIND.to_owned(),
                problem: format!("`links` has `{name}` → `{target}`, {problem}"),
            };
            let path = RelPath::parse(name.as_bytes()).map_err(problem)?;
            if path.is_top() || target.is_empty() || target.contains('\0') {
                return Err(problem("which is no link"));
            }
            let entry = Entry { path, kind: EntryKind::Link { target: target.clone().into_bytes() } };
            self.entry(&entry, &mut io::empty())?;
        }
        Ok(())
    }
}

impl EntrySink for Root {
    type Error = BuiltinError;

    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), BuiltinError> {
        // Later releases ship the links that are made here anyway.
        if let EntryKind::Link { target } = &entry.kind
            && MERGED.iter().any(|name| entry.path.as_bytes() == name.as_bytes() && *target == format!("usr/{name}").into_bytes())
        {
            return Ok(());
        }
        let path = usr_merged(&entry.path)?;
        match self.owners.get(&path) {
            // Within one package the later of two entries wins, as in any archive.
            Some(owner) if *owner != self.current() => self.compare(&path, &entry.kind, *owner, content),
            _ => self.create(&path, &entry.kind, content),
        }
    }

    fn take_copied(&mut self) -> u64 {
        self.tree.take_copied()
    }
}

/// Whether two streams hold the same bytes.
fn same_bytes(left: &mut dyn Read, right: &mut dyn Read) -> io::Result<bool> {
    let (mut ours, mut theirs) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let count = fill(left, &mut ours)?;
        if count != fill(right, &mut theirs)? || ours[..count] != theirs[..count] {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
    }
}

fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;
    use crate::archive::testing::{Tar, deb};
    use serde_json::{Value, json};
    use tar::EntryType;

    fn bench(arguments: Value, packages: &[Tar]) -> Bench {
        let mut bench = Bench::new(KIND, arguments);
        for (index, package) in packages.iter().enumerate() {
            bench.file(&format!("deb_{index:05}"), &deb("data.tar", &package.clone().done()));
        }
        bench
    }

    fn dir(tar: Tar, name: &str) -> Tar {
        tar.entry(EntryType::Directory, name, 0o755, "", b"")
    }

    #[test]
    fn what_lies_in_bin_or_lib_lands_in_usr() {
        let shell = dir(dir(Tar::default(), "./bin/"), "./usr/bin/").file("./bin/dash", "dash").link("./bin/sh", "dash");
        let libc = dir(Tar::default(), "./usr/").file("./lib64/ld.so", "ld").file("./etc/passwd", "");
        let bench = bench(json!({"links": {"usr/bin/awk": "gawk", "bin/perl": "perl5"}}), &[shell, libc]);
        bench.run().unwrap();
        assert_eq!((bench.read("usr/bin/dash"), bench.read("usr/lib64/ld.so")), ("dash".to_owned(), "ld".to_owned()));
        let links = ["usr/bin/sh", "usr/bin/awk", "usr/bin/perl", "bin", "lib", "sbin"].map(|path| bench.target(path));
        assert_eq!(links, ["dash", "gawk", "perl5", "usr/bin", "usr/lib", "usr/sbin"]);
    }

    #[test]
    fn equal_files_and_links_may_come_twice() {
        let tar = dir(Tar::default(), "usr/share/").file("usr/share/x", "same").link("usr/share/l", "x").hard_link("lib/h", "usr/share/x");
        bench(json!({}), &[tar.clone(), tar.link("lib", "usr/lib")]).run().unwrap();
    }

    #[test]
    fn a_conflict_names_path_and_both_packages() {
        let first = Tar::default().file("usr/x", "one").link("usr/l", "a").file("bin/y", "two");
        for (second, words) in [
            (Tar::default().file("usr/x", "two"), "with different bytes"),
            (Tar::default().file("usr/x", "onex"), "with different bytes"),
            (Tar::default().entry(EntryType::Regular, "usr/x", 0o755, "", b"one"), "once executable and once not"),
            (Tar::default().link("usr/l", "b"), "different targets"),
            (dir(Tar::default(), "usr/x"), "different kinds"),
            (Tar::default().link("usr/x", "one"), "different kinds"),
            (Tar::default().hard_link("usr/x", "bin/y"), "with different bytes"),
        ] {
            let message = bench(json!({}), &[first.clone(), second]).error();
            assert!(message.contains(words) && message.contains("deb_00000") && message.contains("deb_00001"), "{message}");
        }
        let message = bench(json!({"links": {"usr/x": "y"}}), &[first]).error();
        assert!(message.contains("deb_00000 and the recipe's `links`"), "{message}");
    }

    #[test]
    fn links_of_the_recipe_stay_inside() {
        for (name, target) in [("../x", "y"), ("/usr/x", "y"), ("x", ""), ("", "y")] {
            let message = bench(json!({"links": {name: target}}), &[]).error();
            assert!(message.contains("`links` has"), "{message}");
        }
    }

    #[test]
    fn many_packages_are_read_in_order() {
        let packages: Vec<_> =
            (0..40).map(|index| Tar::default().file(&format!("usr/f{index}"), &index.to_string().repeat(1000))).collect();
        let bench = bench(json!({}), &packages);
        bench.run().unwrap();
        assert_eq!(bench.read("usr/f39"), "39".repeat(1000));
    }

    #[test]
    fn a_damaged_package_is_named() {
        let mut bench = Bench::new(KIND, json!({}));
        bench.file("deb_00000", &deb("data.tar", &[7; 2000]));
        assert!(bench.error().contains("deb_00000"));
        let mut bench = Bench::new(KIND, json!({}));
        let whole = deb("data.tar", &Tar::default().file("a", "b").done());
        bench.file("deb_00000", &whole[..whole.len() - 1200]);
        assert!(bench.error().contains("damaged or truncated"));
    }
}
