//! Archives made here, good and bad, and what becomes of them.

use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use ::tar::{EntryType, Header};
use ::zip::write::SimpleFileOptions;
use proptest::prelude::*;

use super::*;
use crate::archive::testing::{Tar, deb};

mod zip;

/// A directory with an archive in it, room to unpack, and a file outside that room.
struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    fn new(archive: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("archive"), archive).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/file"), "untouched").unwrap();
        Self { dir }
    }

    fn dest(&self) -> PathBuf {
        self.dir.path().join("dest")
    }

    fn unpack(&self, options: &UnpackOptions) -> Result<(), ArchiveError> {
        let result = unpack(&self.dir.path().join("archive"), &self.dest(), options);
        let outside: Vec<_> = fs::read_dir(self.dir.path().join("outside")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(outside, ["file"]);
        assert_eq!(fs::read_to_string(self.dir.path().join("outside/file")).unwrap(), "untouched");
        result
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.dest().join(path)).unwrap()
    }

    fn mode(&self, path: &str) -> u32 {
        fs::symlink_metadata(self.dest().join(path)).unwrap().mode() & 0o7777
    }

    fn nar_hash(&self) -> crate::model::Sha256 {
        let candidates = crate::archive::ReferenceIndex::default();
        crate::archive::scan(&self.dest(), &crate::archive::ScanRequest { own: None, candidates: &candidates }).unwrap().nar_hash
    }
}

fn unpacked(archive: &[u8]) -> Scene {
    let scene = Scene::new(archive);
    scene.unpack(&UnpackOptions::default()).unwrap();
    scene
}

fn error(archive: &[u8], options: &UnpackOptions) -> ArchiveError {
    Scene::new(archive).unpack(options).unwrap_err()
}

fn refused(archive: &[u8]) -> String {
    let error = error(archive, &UnpackOptions::default());
    assert!(matches!(error, ArchiveError::Refused { .. } | ArchiveError::NotADirectory(_)), "{error}");
    error.to_string()
}

fn malformed(archive: &[u8]) -> String {
    let error = error(archive, &UnpackOptions::default());
    assert!(matches!(error, ArchiveError::Malformed { .. }), "{error}");
    error.to_string()
}

fn example() -> Vec<u8> {
    let long = format!("./pkg/{}", "long-name/".repeat(30));
    Tar::default()
        .entry(EntryType::XGlobalHeader, "pax_global_header", 0o644, "", b"19 comment=a commit\n")
        .entry(EntryType::Directory, "./", 0o755, "", b"")
        .entry(EntryType::Directory, "./pkg/", 0o755, "", b"")
        .file("./pkg/plain", "plain\n")
        .entry(EntryType::Regular, "./pkg/run", 0o4755, "", b"#!/bin/sh\n")
        .link("./pkg/link", "/etc/passwd")
        .entry(EntryType::GNULongName, "././@LongLink", 0o644, "", format!("{long}file\0").as_bytes())
        .file("cut", &"long".repeat(1000))
        .entry(EntryType::XHeader, "pax", 0o644, "", "22 path=pkg/näme.txt\n".as_bytes())
        .file("short", "pax")
        .done()
}

fn compressed(tar: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut bz2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    gz.write_all(tar).unwrap();
    bz2.write_all(tar).unwrap();
    xz.write_all(tar).unwrap();
    let options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
    let stream = liblzma::stream::Stream::new_lzma_encoder(&options).unwrap();
    let mut lzma = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    lzma.write_all(tar).unwrap();
    vec![
        ("tar", tar.to_vec()),
        ("gz", gz.finish().unwrap()),
        ("bz2", bz2.finish().unwrap()),
        ("xz", xz.finish().unwrap()),
        ("zst", zstd::encode_all(tar, 1).unwrap()),
        ("lzma", lzma.finish().unwrap()),
    ]
}

fn zip_of(entries: &[(&str, u32, &str)]) -> Vec<u8> {
    let mut zip = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, content) in entries {
        let options = SimpleFileOptions::default().unix_permissions(*mode);
        if *mode == 0o777 {
            zip.add_symlink(*name, *content, options).unwrap();
        } else if name.ends_with('/') {
            zip.add_directory(*name, options).unwrap();
        } else {
            zip.start_file(*name, options).unwrap();
            zip.write_all(content.as_bytes()).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn every_compression_gives_the_same_tree() {
    let tar = example();
    let plain = unpacked(&tar);
    assert_eq!(plain.read("pkg/plain"), "plain\n");
    assert_eq!(plain.read("pkg/näme.txt"), "pax");
    assert_eq!(plain.read(&format!("pkg/{}file", "long-name/".repeat(30))).len(), 4000);
    assert_eq!(fs::read_link(plain.dest().join("pkg/link")).unwrap(), PathBuf::from("/etc/passwd"));
    for (format, archive) in compressed(&tar) {
        assert_eq!(unpacked(&archive).nar_hash(), plain.nar_hash(), "{format}");
        assert_eq!(unpacked(&deb("data.tar.x", &archive)).nar_hash(), plain.nar_hash(), "deb with {format}");
    }
}

#[test]
fn modes_and_times_are_those_of_a_store() {
    let scene = unpacked(&example());
    assert_eq!((scene.mode("pkg/plain"), scene.mode("pkg/run"), scene.mode("pkg") & 0o700), (0o444, 0o555, 0o700));
    assert_eq!(fs::metadata(scene.dest().join("pkg/run")).unwrap().mtime(), 1);
}

#[test]
fn stripping_removes_leading_components_and_loses_no_file() {
    let one = UnpackOptions { strip: 1, ..UnpackOptions::default() };
    let scene = Scene::new(&Tar::default().file("pkg/a", "a").hard_link("pkg/sub/b", "pkg/a").done());
    scene.unpack(&one).unwrap();
    assert_eq!((scene.read("a"), scene.read("sub/b")), ("a".to_owned(), "a".to_owned()));
    let message = error(&zip_of(&[("six.py", 0o644, "")]), &one).to_string();
    assert!(message.contains("`six.py`") && message.contains("strip = 0"), "{message}");
}

#[test]
fn a_hard_link_becomes_a_file_of_its_own() {
    let scene = unpacked(&Tar::default().entry(EntryType::Regular, "a", 0o755, "", b"x").hard_link("d/b", "a").done());
    assert_eq!((scene.read("d/b").as_str(), scene.mode("d/b")), ("x", 0o555));
    assert_eq!(fs::metadata(scene.dest().join("a")).unwrap().nlink(), 1);
}

#[test]
fn names_that_leave_are_refused() {
    for name in ["../outside/new", "/tmp/new", "a/../../outside/new", ".."] {
        assert!(refused(&Tar::default().file(name, "x").done()).contains(name), "{name}");
        assert!(refused(&Tar::default().file("a", "").hard_link("b", name).done()).contains("hard link"), "{name}");
    }
    refused(&zip_of(&[("../outside/new", 0o644, "x")]));
    refused(&zip_of(&[("/outside", 0o644, "x")]));
    refused(&deb("data.tar", &Tar::default().file("../outside/new", "x").done()));
}

#[test]
fn nothing_is_written_or_read_through_a_link() {
    let link = Tar::default().link("l", "../outside");
    assert!(refused(&link.clone().file("l/new", "x").done()).contains("links are never followed"));
    refused(&link.clone().entry(EntryType::Directory, "l/new/", 0o755, "", b"").done());
    refused(&link.clone().hard_link("stolen", "l/file").done());
    refused(&zip_of(&[("l", 0o777, "../outside"), ("l/new", 0o644, "x")]));
    // A link to a file is replaced, not written through, and its target is not copied: a hard link to it is the same link.
    let file = Tar::default().link("l", "../outside/file");
    assert_eq!(unpacked(&file.clone().file("l", "mine").done()).read("l"), "mine");
    let scene = unpacked(&file.hard_link("stolen", "l").done());
    assert_eq!(fs::read_link(scene.dest().join("stolen")).unwrap(), PathBuf::from("../outside/file"));
}

#[test]
fn a_directory_is_not_replaced_and_the_later_of_two_files_wins() {
    assert_eq!(unpacked(&Tar::default().file("a", "first").file("a", "second").done()).read("a"), "second");
    let dir = Tar::default().file("d/x", "x");
    assert!(matches!(
        error(&dir.clone().link("d", "../outside").file("d/file", "x").done(), &UnpackOptions::default()),
        ArchiveError::Io(_)
    ));
    refused(&Tar::default().file("a", "x").file("a/b", "x").done());
}

#[test]
fn devices_and_pipes_are_refused() {
    for (kind, word) in [(EntryType::Char, "device"), (EntryType::Block, "device"), (EntryType::Fifo, "pipe")] {
        let message = refused(&Tar::default().entry(kind, "odd", 0o644, "", b"").done());
        assert!(message.contains("`odd`") && message.contains(word), "{message}");
    }
}

#[test]
fn a_truncated_archive_is_an_error_wherever_it_ends() {
    let tar = example();
    let ends = (0..tar.len() - 1024).step_by(701).chain((512..tar.len() - 1024).step_by(512));
    for end in ends {
        assert!(Scene::new(&tar[..end]).unpack(&UnpackOptions::default()).is_err(), "tar of {end}");
    }
    let mut others = compressed(&tar);
    others.push(("deb", deb("data.tar.xz", &others[3].1)));
    others.push(("zip", zip_of(&[("a", 0o644, &"text ".repeat(100)), ("b", 0o644, "b")])));
    for (format, archive) in others.into_iter().skip(1) {
        for end in (0..archive.len()).step_by(1 + archive.len() / 60).chain([archive.len() - 1]) {
            assert!(Scene::new(&archive[..end]).unpack(&UnpackOptions::default()).is_err(), "{format} of {end}");
        }
    }
}

#[test]
fn a_wrong_checksum_is_damage() {
    let mut gz = compressed(&example()).remove(1).1;
    let crc = gz.len() - 6;
    gz[crc] ^= 1;
    malformed(&gz);
    let mut zip = zip_of(&[("a", 0o644, "some text")]);
    let text = zip.windows(4).position(|window| window == b"\x01\x00\x00\x00").unwrap_or(35);
    zip[text] ^= 1;
    malformed(&zip);
}

#[test]
fn bombs_are_refused_before_they_fill_the_disk() {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..4].copy_from_slice(b"zero");
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(1 << 40);
    header.set_cksum();
    gz.write_all(header.as_bytes()).unwrap();
    let gz = gz.finish().unwrap();
    assert!(matches!(error(&gz, &UnpackOptions::default()), ArchiveError::TooLarge { unit: "bytes", limit, .. } if limit == 64 << 20));

    let small = UnpackOptions { strip: 0, limits: Limits { bytes: 100_000, entries: 3, ratio: 10 } };
    let many = Tar::default().file("a", "").file("b", "").file("c", "").file("d", "").done();
    assert!(matches!(error(&many, &small), ArchiveError::TooLarge { unit: "entries", limit: 3, .. }));
    let name = Tar::default().entry(EntryType::GNULongName, "n", 0o644, "", &vec![b'n'; 2 << 20]).file("x", "").done();
    assert!(malformed(&name).contains("a name of 2097152 bytes"));
    let mut tail = Tar::default().file("a", "a").done();
    tail.resize(tail.len() + 200_000, 0);
    assert!(matches!(error(&tail, &small), ArchiveError::TooLarge { unit: "bytes", .. }));
}

#[test]
fn other_files_are_named_for_what_they_are() {
    let gz = |content: &[u8]| {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(content).unwrap();
        gz.finish().unwrap()
    };
    for (archive, words) in
        [(Vec::new(), "is empty"), (b"hello".to_vec(), "not known"), (gz(b"hello"), "holds no tar"), (vec![0; 99], "not known")]
    {
        let error = error(&archive, &UnpackOptions::default());
        assert!(matches!(error, ArchiveError::UnknownFormat { .. }) && error.to_string().contains(words), "{error}");
    }
    assert!(malformed(&deb("control.tar", b"x")).contains("no member `data.tar`"));
}

#[test]
fn an_archive_with_nothing_in_it_is_an_empty_tree() {
    let top = Tar::default().entry(EntryType::Directory, "./", 0o755, "", b"").done();
    for archive in [vec![0; 1024], zip_of(&[]), deb("data.tar", &top), deb("data.tar.gz", &compressed(&[0; 1024]).remove(1).1)] {
        assert_eq!(fs::read_dir(unpacked(&archive).dest()).unwrap().count(), 0);
    }
}

#[test]
fn what_pads_a_packed_archive_is_left_aside() {
    for (format, archive) in compressed(&example()).into_iter().filter(|(format, _)| ["gz", "bz2", "xz"].contains(format)) {
        let padded = [archive.as_slice(), &[0; 1001]].concat();
        assert_eq!(unpacked(&padded).nar_hash(), unpacked(&archive).nar_hash(), "{format}");
        assert_eq!(unpacked(&deb("data.tar", &padded)).nar_hash(), unpacked(&archive).nar_hash(), "deb with {format}");
    }
    unpacked(&[&compressed(&example()).remove(1).1, b"\r\n".as_slice()].concat());
}

#[test]
fn a_destination_that_exists_is_left_alone() {
    let scene = Scene::new(&example());
    fs::create_dir(scene.dest()).unwrap();
    assert!(matches!(scene.unpack(&UnpackOptions::default()), Err(ArchiveError::DestinationExists(_))));
    assert_eq!(fs::read_dir(scene.dest()).unwrap().count(), 0);
}

#[test]
fn a_missing_parent_is_an_error_of_the_file_system() {
    let scene = Scene::new(&example());
    let missing = scene.dir.path().join("missing/dest");
    let error = unpack(&scene.dir.path().join("archive"), &missing, &UnpackOptions::default()).unwrap_err();
    assert!(matches!(error, ArchiveError::Io(_)), "{error}");
}

/// An entry whose header `change` alters before it is summed up; `content` follows as it is.
fn odd_entry(kind: u8, name: &str, content: &str, change: impl Fn(&mut Header)) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(EntryType::new(kind));
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    change(&mut header);
    header.set_cksum();
    let mut bytes = [header.as_bytes(), content.as_bytes()].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn before_a_file(entry: &[u8]) -> Scene {
    let scene = unpacked(&[entry, &Tar::default().file("a", "a\n").done()].concat());
    assert_eq!(scene.read("a"), "a\n");
    scene
}

#[test]
fn a_directory_with_a_size_hides_no_file() {
    before_a_file(&odd_entry(b'5', "d/", "", |header| header.set_size(512)));
    before_a_file(&odd_entry(b'0', "d/", "", |header| header.set_size(512)));
}

#[test]
fn a_directory_takes_the_place_of_an_earlier_file_or_link() {
    let directory = |tar: Tar| tar.entry(EntryType::Directory, "p/d/", 0o755, "", b"").file("p/d/x", "x").done();
    assert_eq!(unpacked(&directory(Tar::default().file("p/d", "a file"))).read("p/d/x"), "x");
    // The scene looks that nothing is written where the link leads.
    let scene = unpacked(&directory(Tar::default().link("p/d", "../../outside")));
    assert!(fs::symlink_metadata(scene.dest().join("p/d")).unwrap().is_dir());
    // What lies above is not replaced: no entry names it.
    let above = Tar::default().file("p", "a file").entry(EntryType::Directory, "p/d/", 0o755, "", b"");
    refused(&above.done());
}

#[test]
fn sparse_files_are_not_called_damage() {
    for record in ["GNU.sparse.major=1\n", "GNU.sparse.map=0,512,1024,0\n", "GNU.sparse.size=12345\n"] {
        let record = format!("{} {record}", record.len() + 3);
        let tar = Tar::default().entry(EntryType::XHeader, "pax", 0o644, "", record.as_bytes()).file("x", "x").done();
        assert!(not_supported(&tar).contains("a sparse file"), "{record}");
    }
    assert!(not_supported(&Tar::default().entry(EntryType::GNUSparse, "odd", 0o644, "", b"").done()).contains("a sparse file"));
}

#[test]
fn a_tar_without_an_end_mark_is_refused_and_says_so() {
    let tar = Tar::default().file("a", "a").done();
    assert!(malformed(&tar[..tar.len() - 1024]).contains("without an end mark"));
}

#[test]
fn a_directory_with_blank_numbers_is_unpacked() {
    let blank = |header: &mut Header| {
        let header = header.as_old_mut();
        (header.size, header.mode) = ([0; 12], [b' '; 8]);
    };
    assert!(before_a_file(&odd_entry(b'5', "d/", "", blank)).dest().join("d").is_dir());
}

#[test]
fn a_volume_label_is_no_file() {
    let scene = before_a_file(&odd_entry(b'V', "a label", "", |_| ()));
    assert_eq!(fs::read_dir(scene.dest()).unwrap().count(), 1);
}

#[test]
fn an_incremental_dumps_directory_is_a_directory() {
    assert!(before_a_file(&odd_entry(b'D', "d/", "Ya\0\0", |_| ())).dest().join("d").is_dir());
}

#[test]
fn a_checksum_of_signed_bytes_is_taken() {
    let mut entry = odd_entry(b'0', "ü", "", |_| ());
    let signed: i64 = entry.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { i64::from(*byte as i8) }).sum();
    entry[148..156].copy_from_slice(format!("{signed:06o}\0 ").as_bytes());
    assert_eq!(before_a_file(&entry).read("ü"), "");
}

#[test]
fn extended_records_are_told_apart_by_their_length() {
    let records = "19 comment=one\ntwo\n14 path=b\nc\nd\n";
    let tar = Tar::default().entry(EntryType::XHeader, "pax", 0o644, "", records.as_bytes()).file("short", "x").done();
    assert_eq!(unpacked(&tar).read("b\nc\nd"), "x");
    for damaged in ["9999 path=a\n", "0 path=a\n", "10 path=abc", "x path=a\n", "5 \n", "7 path\n", "3"] {
        let tar = Tar::default().entry(EntryType::XHeader, "pax", 0o644, "", damaged.as_bytes()).file("short", "x").done();
        assert!(malformed(&tar).contains("extended header"), "{damaged}");
    }
}

#[test]
fn a_hard_link_to_a_link_is_that_link() {
    let scene = unpacked(&Tar::default().link("l", "/somewhere").hard_link("m", "l").done());
    assert_eq!(fs::read_link(scene.dest().join("m")).unwrap(), PathBuf::from("/somewhere"));
}

#[test]
fn hard_links_count_as_the_copies_that_they_become() {
    let small = UnpackOptions { strip: 0, limits: Limits { bytes: 300_000, ..Limits::default() } };
    let links = |count: u32| {
        let tar = Tar::default().file("a", &"x".repeat(10_000));
        (0..count).fold(tar, |tar, number| tar.hard_link(&format!("l{number}"), "a")).done()
    };
    Scene::new(&links(15)).unpack(&small).unwrap();
    let scene = Scene::new(&links(100));
    assert!(matches!(scene.unpack(&small), Err(ArchiveError::TooLarge { unit: "bytes", limit: 300_000, .. })));
    assert!(fs::read_dir(scene.dest()).unwrap().count() < 25);
}

#[test]
fn zstd_may_begin_with_a_frame_to_skip() {
    let tar = Tar::default().file("a", "a").done();
    let zst = [b"\x50\x2a\x4d\x18\x04\0\0\0size".as_slice(), &zstd::encode_all(tar.as_slice(), 1).unwrap()].concat();
    assert_eq!(unpacked(&zst).read("a"), "a");
    assert_eq!(unpacked(&deb("data.tar.zst", &zst)).read("a"), "a");
}

fn not_supported(archive: &[u8]) -> String {
    let error = error(archive, &UnpackOptions::default());
    assert!(matches!(error, ArchiveError::NotSupported { .. }), "{error}");
    error.to_string()
}

#[test]
fn directories_that_names_imply_and_empty_files_count() {
    let small = UnpackOptions { strip: 0, limits: Limits { bytes: 1 << 20, ..Limits::default() } };
    let deep = |count: u32| {
        let entries = (0..count).fold(Tar::default(), |tar, number| tar.file(&format!("{number}/{}x", "d/".repeat(40)), ""));
        Scene::new(&entries.done()).unpack(&small)
    };
    deep(4).unwrap();
    assert!(matches!(deep(8), Err(ArchiveError::TooLarge { unit: "bytes", .. })));
    let empty = |count: u32| {
        let entries = (0..count).fold(Tar::default(), |tar, number| tar.file(&number.to_string(), ""));
        Scene::new(&entries.done()).unpack(&small)
    };
    empty(200).unwrap();
    assert!(matches!(empty(300), Err(ArchiveError::TooLarge { unit: "bytes", .. })));
}

#[test]
fn what_needs_too_much_memory_is_not_called_damage() {
    let tar = Tar::default().file("a", "a").done();
    let mut options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
    options.dict_size(1 << 30);
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    // Asking for it takes no memory: the header of the first block says how much is wanted.
    let stream = liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc32);
    let mut xz = liblzma::write::XzEncoder::new_stream(Vec::new(), stream.unwrap());
    xz.write_all(&tar).unwrap();
    assert!(not_supported(&xz.finish().unwrap()).contains("memory"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_the_damage_nothing_leaves_the_destination(format in 0usize..8, at: prop::sample::Index, change in 1u8.., cut: bool) {
        let tar = Tar::default().file("a/b", "text").link("l", "../outside").hard_link("h", "a/b").file("l2", "x").done();
        let mut all = compressed(&tar);
        all.push(("deb", deb("data.tar", &tar)));
        all.push(("zip", zip_of(&[("a/b", 0o644, "text"), ("l", 0o777, "../outside"), ("m/n", 0o644, "x")])));
        let mut archive = all.swap_remove(format).1;
        let at = at.index(archive.len());
        if cut { archive.truncate(at) } else { archive[at] ^= change }
        // The scene itself looks whether anything changed outside.
        drop(Scene::new(&archive).unpack(&UnpackOptions::default()));
    }
}
