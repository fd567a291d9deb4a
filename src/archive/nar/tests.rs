//! Golden vectors, and properties against a model that is written the plain way.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::archive::{ArchiveError, Limits, ReferenceIndex, find_digest, rewrite};
use crate::model::{Sha256, StoreDigest, StorePath, recursive_path};

/// A file tree as a value.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    File(Vec<u8>, bool),
    Link(Vec<u8>),
    Dir(BTreeMap<Vec<u8>, Tree>),
}

impl Tree {
    fn file(content: &str) -> Self {
        Self::File(content.into(), false)
    }

    fn dir<const N: usize>(entries: [(&str, Self); N]) -> Self {
        Self::Dir(entries.into_iter().map(|(name, tree)| (name.into(), tree)).collect())
    }

    fn create(&self, path: &Path) {
        match self {
            Self::File(content, executable) => {
                fs::write(path, content).unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(if *executable { 0o755 } else { 0o644 })).unwrap();
            }
            Self::Link(target) => symlink(OsStr::from_bytes(target), path).unwrap(),
            Self::Dir(entries) => {
                fs::create_dir(path).unwrap();
                entries.iter().for_each(|(name, tree)| tree.create(&path.join(OsStr::from_bytes(name))));
            }
        }
    }

    fn nar(&self) -> Vec<u8> {
        let mut out = Vec::new();
        string(&mut out, b"nix-archive-1");
        self.node(&mut out);
        out
    }

    fn node(&self, out: &mut Vec<u8>) {
        let words = |out: &mut Vec<u8>, words: &[&str]| words.iter().for_each(|word| string(out, word.as_bytes()));
        words(out, &["(", "type"]);
        match self {
            Self::File(content, executable) => {
                words(out, if *executable { &["regular", "executable", "", "contents"] } else { &["regular", "contents"] });
                string(out, content);
            }
            Self::Link(target) => {
                words(out, &["symlink", "target"]);
                string(out, target);
            }
            Self::Dir(entries) => {
                words(out, &["directory"]);
                for (name, tree) in entries {
                    words(out, &["entry", "(", "name"]);
                    string(out, name);
                    words(out, &["node"]);
                    tree.node(out);
                    words(out, &[")"]);
                }
            }
        }
        words(out, &[")"]);
    }
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(8), 0);
}

/// A tree on disk, in a directory that goes away.
struct OnDisk {
    dir: tempfile::TempDir,
}

impl OnDisk {
    fn new(tree: &Tree) -> Self {
        let dir = tempfile::tempdir().unwrap();
        tree.create(&dir.path().join("tree"));
        Self { dir }
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("tree")
    }

    fn dump(&self) -> Vec<u8> {
        dumped(&self.path())
    }

    fn scan(&self, own: Option<&StoreDigest>, candidates: &[StoreDigest]) -> Scanned {
        let candidates: ReferenceIndex = candidates.iter().copied().collect();
        scan(&self.path(), &ScanRequest { own, candidates: &candidates }).unwrap()
    }
}

fn dumped(path: &Path) -> Vec<u8> {
    let mut nar = Vec::new();
    dump(path, &mut nar).unwrap();
    nar
}

fn restored(nar: &[u8], dest: &Path) -> Result<Restored, ArchiveError> {
    restore(&mut &nar[..], dest, &Limits::default())
}

fn digest(name: &str) -> StoreDigest {
    *StorePath::scratch(&name.parse().unwrap()).digest()
}

fn path(text: &str) -> StorePath {
    text.parse().unwrap()
}

#[test]
fn a_file_has_nixs_hash_and_path() {
    let disk = OnDisk::new(&Tree::file("dep\n"));
    let scanned = disk.scan(None, &[]);
    assert_eq!((scanned.nar_size, disk.dump().len()), (120, 120));
    assert_eq!(scanned.nar_hash.base32(), "00kjynz8n03652qccs76ivsvark3pr3dfr6w1ba3x7bx83kcknvv");
    let path = recursive_path(&"dep".parse().unwrap(), &scanned.modulo_hash, &BTreeSet::new(), false);
    assert_eq!(path.to_string(), "/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep");
}

fn self_referential(own: &StorePath, dep: &StorePath) -> Tree {
    Tree::dir([
        ("a", Tree::File(format!("me={own}/x\n").into(), false)),
        ("b", Tree::File(format!("dep={dep} me={own}").into(), false)),
        ("l", Tree::Link(format!("{own}/a").into())),
    ])
}

#[test]
fn a_self_referential_tree_has_nixs_hashes_from_its_final_and_from_a_scratch_digest() {
    let dep = path("/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep");
    let own = path("/kiln/store/c9dciprxvlj43yb0kffvqp92i8cqghhf-self-ref");
    let scratch = StorePath::scratch(own.name());
    for known in [&own, &scratch] {
        let disk = OnDisk::new(&self_referential(known, &dep));
        let before = disk.scan(Some(known.digest()), &[*dep.digest(), digest("unused")]);
        assert_eq!(before.modulo_hash.base32(), "1mpzglkqxjxjnw9liga9wmica7y7v8m933727pga2ghja3961bj3");
        assert_eq!((before.own_count, before.first_link.as_deref()), (3, Some(Path::new("l"))));
        assert_eq!(before.references, BTreeSet::from([*dep.digest()]));
        assert_eq!(recursive_path(own.name(), &before.modulo_hash, &BTreeSet::from([dep.clone()]), true), own);

        rewrite(&disk.path(), &[(*known.digest(), *own.digest())]).unwrap();
        let after = disk.scan(Some(own.digest()), &[]);
        assert_eq!(after.nar_hash.base32(), "0yscb0qvl353dmsb9zkkdw86q0xizfz570ixjra4cnh32bimvss6");
        assert_eq!((after.nar_size, after.modulo_hash), (880, before.modulo_hash));
    }
}

#[test]
fn only_the_owners_execute_bit_counts() {
    let disk = OnDisk::new(&Tree::file("x"));
    for (mode, executable) in [(0o677, false), (0o444, false), (0o744, true), (0o500, true)] {
        fs::set_permissions(disk.path(), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(disk.dump(), Tree::File(b"x".to_vec(), executable).nar(), "{mode:o}");
    }
}

#[test]
fn a_pipe_or_socket_is_named_and_refused() {
    let disk = OnDisk::new(&Tree::dir([("sub", Tree::dir([]))]));
    nix::unistd::mkfifo(&disk.path().join("sub/pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    let error = dump(&disk.path(), &mut Vec::new()).unwrap_err();
    assert!(matches!(&error, ArchiveError::Unsupported { path, kind: "named pipe" } if path.ends_with("sub/pipe")), "{error}");
    fs::remove_file(disk.path().join("sub/pipe")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(disk.path().join("sub/socket")).unwrap();
    let error = dump(&disk.path(), &mut Vec::new()).unwrap_err();
    assert!(matches!(&error, ArchiveError::Unsupported { kind: "socket", .. }), "{error}");
}

#[test]
fn a_file_name_that_holds_the_own_digest_is_noticed() {
    let own = digest("own");
    let disk = OnDisk::new(&Tree::dir([("d", Tree::dir([(&format!("lib{own}.so"), Tree::file(""))]))]));
    let scanned = disk.scan(Some(&own), &[]);
    assert_eq!(scanned.name_with_own, Some(Path::new("d").join(format!("lib{own}.so"))));
    assert_eq!(scanned.own_count, 1);
}

#[test]
fn digests_across_blocks_are_found_wherever_they_lie() {
    let (own, other) = (digest("own"), digest("other"));
    for shift in (0..70).step_by(3) {
        let mut content = vec![b'~'; block::BLOCK * 6 + 100];
        for round in 1..6 {
            let near = round * block::BLOCK - 180 + shift;
            content[near..near + 32].copy_from_slice(own.as_bytes());
            content[near + 32..near + 64].copy_from_slice(own.as_bytes());
        }
        let near = 5 * block::BLOCK - 260 + shift;
        content[near..near + 32].copy_from_slice(other.as_bytes());
        let tree = Tree::File(content, false);
        let scanned = OnDisk::new(&tree).scan(Some(&own), &[other]);
        assert_eq!(scanned.modulo_hash, modulo_hash(&tree.nar(), &own), "{shift}");
        assert_eq!(scanned.nar_hash, Sha256::of(tree.nar()));
        assert_eq!((scanned.own_count, scanned.references.len()), (10, 1));
    }
}

#[test]
fn rewriting_reaches_read_only_files_and_leaves_modes_and_times_alone() {
    let (old, new, far) = (digest("old"), digest("new"), 256 * 1024 - 20);
    let text = format!("{}{old}{old} and {old}", "~".repeat(far));
    let disk = OnDisk::new(&Tree::dir([("f", Tree::file(&text)), ("l", Tree::Link(old.to_string().into())), ("z", Tree::file("z"))]));
    let file = disk.path().join("f");
    fs::File::open(&file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(disk.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let found = find_digest(&disk.path(), &old, 9).unwrap();
    assert_eq!(found, [Path::new("f"), Path::new("l")]);
    rewrite(&disk.path(), &[(old, new)]).unwrap();

    assert_eq!(fs::read_to_string(&file).unwrap(), text.replace(old.as_str(), new.as_str()));
    assert_eq!(fs::read_link(disk.path().join("l")).unwrap(), Path::new(new.as_str()));
    let (meta, dir) = (fs::metadata(&file).unwrap(), fs::metadata(disk.path()).unwrap());
    assert_eq!((meta.permissions().mode() & 0o777, dir.permissions().mode() & 0o777), (0o444, 0o555));
    assert_eq!(meta.modified().unwrap(), std::time::UNIX_EPOCH);
    assert_eq!(find_digest(&disk.path(), &old, 9).unwrap(), Vec::<std::path::PathBuf>::new());
    fs::set_permissions(disk.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn restored_files_are_as_a_store_wants_them() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("new");
    let tree = Tree::dir([("plain", Tree::file("a")), ("run", Tree::File(b"b".to_vec(), true))]);
    let nar = tree.nar();
    let done = restored(&nar, &dest).unwrap();
    assert_eq!((done.nar_hash, done.nar_size), (Sha256::of(&nar), nar.len() as u64));
    let mode = |name: &str| fs::metadata(dest.join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("plain"), mode("run")), (0o444, 0o555));
    let modified = fs::metadata(dest.join("run")).unwrap().modified().unwrap();
    assert_eq!(modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 1);
    assert!(matches!(restored(&nar, &dest), Err(ArchiveError::DestinationExists(path)) if path == dest));
}

fn refused(nar: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let error = restored(nar, &dir.path().join("new")).unwrap_err();
    assert!(matches!(error, ArchiveError::Nar { .. }), "{error}");
    error.to_string()
}

#[test]
fn names_that_leave_the_tree_or_are_out_of_order_are_refused() {
    for name in ["", ".", "..", "a/b", "/etc", "a\0b", &"n".repeat(256)] {
        let message = refused(&Tree::dir([(name, Tree::file("x"))]).nar());
        assert!(message.contains("name") || message.contains("256 bytes"), "{name}: {message}");
    }
    let swap = |from: &[u8], to: &[u8]| {
        let mut nar = Tree::dir([("aa", Tree::file("1")), ("bb", Tree::file("2"))]).nar();
        let at = nar.windows(2).position(|window| window == from).unwrap();
        nar[at..at + 2].copy_from_slice(to);
        refused(&nar)
    };
    assert!(swap(b"bb", b"aa").contains("twice"));
    assert!(swap(b"aa", b"cc").contains("out of order"));
}

#[test]
fn nothing_is_written_through_a_link_of_the_same_name() {
    let mut nar = Tree::dir([("aa", Tree::Link(b"..".to_vec())), ("bb", Tree::dir([("x", Tree::file("2"))]))]).nar();
    let at = nar.windows(2).position(|window| window == b"bb").unwrap();
    nar[at..at + 2].copy_from_slice(b"aa");
    assert!(refused(&nar).contains("twice"));
}

#[test]
fn endless_lengths_depths_and_trailing_bytes_are_refused() {
    let mut nar = Tree::file("x").nar();
    nar.push(0);
    assert!(refused(&nar).contains("follows"));
    let mut nar = Tree::Link(b"t".to_vec()).nar();
    let target = nar.len() - 32;
    nar[target..target + 8].fill(0xff);
    assert!(refused(&nar).contains("at most 4095"));

    let deep = (0..300).fold(Tree::file("x"), |inner, _| Tree::dir([("d", inner)]));
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(restored(&deep.nar(), &dir.path().join("new")), Err(ArchiveError::TooDeep { limit: 256, .. })));
    let limits = Limits { bytes: 9, ..Limits::default() };
    let error = restore(&mut &Tree::file("0123456789").nar()[..], &dir.path().join("big"), &limits).unwrap_err();
    assert!(matches!(error, ArchiveError::TooLarge { limit: 9, unit: "bytes", .. }), "{error}");
    let limits = Limits { entries: 1, ..Limits::default() };
    let error = restore(&mut &Tree::dir([("a", Tree::file(""))]).nar()[..], &dir.path().join("many"), &limits).unwrap_err();
    assert!(matches!(error, ArchiveError::TooLarge { limit: 1, unit: "entries", .. }), "{error}");
}

/// The definition, word by word.
fn modulo_hash(nar: &[u8], own: &StoreDigest) -> Sha256 {
    let mut bytes = nar.to_vec();
    let mut suffix = String::new();
    let mut at = 0;
    while at + 32 <= bytes.len() {
        if &bytes[at..at + 32] == own.as_bytes() {
            bytes[at..at + 32].fill(0);
            suffix.push_str(&format!("|{at}"));
            at += 32;
        } else {
            at += 1;
        }
    }
    bytes.extend(suffix.as_bytes());
    Sha256::of(bytes)
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[0-9a-d]{0,40}".prop_map(String::into_bytes),
        Just(digest("own").as_bytes().to_vec()),
        Just(digest("dep").as_bytes().to_vec()),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let odd = proptest::collection::vec(any::<u8>().prop_filter("not in names", |byte| !b"/\0".contains(byte)), 1..12);
    prop_oneof!["[a-c.~ -]{1,3}".prop_map(String::into_bytes), odd].prop_filter("special", |name| name != b"." && name != b"..")
}

fn tree() -> impl Strategy<Value = Tree> {
    let target = proptest::collection::vec(1u8.., 1..60);
    let leaf = prop_oneof![
        (content(), any::<bool>()).prop_map(|(content, executable)| Tree::File(content, executable)),
        target.prop_map(Tree::Link),
        Just(Tree::Link(digest("own").as_bytes().to_vec())),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| proptest::collection::btree_map(name(), inner, 0..6).prop_map(Tree::Dir))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_tree_is_dumped_scanned_and_restored_as_the_format_says(tree in tree()) {
        let disk = OnDisk::new(&tree);
        let nar = tree.nar();
        prop_assert_eq!(&disk.dump(), &nar);

        let (own, dep) = (digest("own"), digest("dep"));
        let scanned = disk.scan(Some(&own), &[dep, digest("absent")]);
        prop_assert_eq!(scanned.nar_size, nar.len() as u64);
        prop_assert_eq!(scanned.nar_hash, Sha256::of(&nar));
        prop_assert_eq!(scanned.modulo_hash, modulo_hash(&nar, &own));
        let occurs = nar.windows(32).any(|window| window == dep.as_bytes());
        prop_assert_eq!(scanned.references, if occurs { BTreeSet::from([dep]) } else { BTreeSet::new() });

        let copy = disk.dir.path().join("copy");
        prop_assert_eq!(restored(&nar, &copy).unwrap().nar_hash, scanned.nar_hash);
        prop_assert_eq!(dumped(&copy), nar);
    }

    #[test]
    fn a_damaged_nar_is_refused_or_is_another_tree(tree in tree(), at: prop::sample::Index, change: u8, cut: bool) {
        let mut nar = tree.nar();
        let at = at.index(nar.len());
        if cut { nar.truncate(at) } else { nar[at] ^= change }
        let dir = tempfile::tempdir().unwrap();
        let dest = dir.path().join("new");
        match restored(&nar, &dest) {
            Ok(done) => {
                prop_assert!(!cut);
                prop_assert_eq!(done.nar_hash, Sha256::of(&nar));
                prop_assert_eq!(dumped(&dest), nar);
            }
            Err(ArchiveError::Nar { .. }) => {}
            // A changed length byte may ask for more than a name or target on this file system can hold.
            Err(ArchiveError::TooLarge { .. } | ArchiveError::Io(_)) => prop_assert!(!cut),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
