//! What only zips can hold.

use super::*;

/// Changes these bytes wherever they occur: a zip has each name twice.
fn replaced(archive: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut archive = archive.to_vec();
    for at in 0..archive.len() - from.len() {
        if archive[at..].starts_with(from) {
            archive[at..at + to.len()].copy_from_slice(to);
        }
    }
    archive
}

fn zip_by(method: ::zip::CompressionMethod) -> Vec<u8> {
    let mut zip = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("a", SimpleFileOptions::default().compression_method(method)).unwrap();
    zip.write_all(&b"text ".repeat(100)).unwrap();
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_zip_keeps_execute_bits_and_links() {
    let scene =
        unpacked(&zip_of(&[("d/", 0o755, ""), ("d/x", 0o755, "run"), ("d/y", 0o644, "read"), ("d/l", 0o777, "../../outside/file")]));
    assert_eq!((scene.read("d/x").as_str(), scene.mode("d/x"), scene.mode("d/y")), ("run", 0o555, 0o444));
    assert_eq!(fs::read_link(scene.dest().join("d/l")).unwrap(), PathBuf::from("../../outside/file"));
}

/// `a` with `text ` a hundred times, as `zipfile` of Python writes it by LZMA.
const LZMA_ZIP: &[u8] = b"PK\x03\x04?\0\x02\0\x0e\0\0\0!\0\x1d\xb0\xf0\xb8\x1c\0\0\0\xf4\x01\0\0\x01\0\0\0a\x09\x04\x05\0]\0\0\x80\0\
    \0:\x19Kx\x10<\x19%\x90\xbb\x95|;\xff\xfe\xd18\0PK\x01\x02?\x03?\0\x02\0\x0e\0\0\0!\0\x1d\xb0\xf0\xb8\x1c\
    \0\0\0\xf4\x01\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\xa4\x81\0\0\0\0aPK\x05\x06\0\0\0\0\x01\0\x01\0/\0\
    \0\0;\0\0\0\0\0";

#[test]
fn a_zip_may_be_packed_by_bzip2_or_lzma() {
    assert_eq!(unpacked(&zip_by(::zip::CompressionMethod::Bzip2)).read("a"), "text ".repeat(100));
    assert_eq!(unpacked(LZMA_ZIP).read("a"), "text ".repeat(100));
}

#[test]
fn a_zip_cannot_ask_for_gigabytes_of_dictionary() {
    // Behind the header, the name of one byte, and version, length and properties of the stream.
    let mut greedy = LZMA_ZIP.to_vec();
    greedy[36..40].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(not_supported(&greedy).contains("memory"));
}

#[test]
fn an_unknown_method_of_a_zip_is_not_called_damage() {
    // Stored; the method lies behind version and flags.
    let zip = zip_by(::zip::CompressionMethod::Stored);
    let mut odd = zip.clone();
    for (signature, at) in [(b"PK\x03\x04", 8), (b"PK\x01\x02", 10)] {
        let start = odd.windows(4).position(|window| window == signature).unwrap();
        odd[start + at..start + at + 2].copy_from_slice(&97_u16.to_le_bytes());
    }
    assert!(not_supported(&odd).contains("compressed by the method"));
    let mut locked = zip;
    for (signature, at) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        let start = locked.windows(4).position(|window| window == signature).unwrap();
        locked[start + at] |= 1;
    }
    assert!(not_supported(&locked).contains("encrypted"));
}

#[test]
fn names_by_windows_are_paths_where_windows_made_them() {
    let zip = replaced(&zip_of(&[("d|a", 0o644, "x")]), b"d|a", b"d\\a");
    assert!(refused(&zip).contains("backslash"));
    let central = zip.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    for system in [0, 10, 14] {
        let mut windows = zip.clone();
        windows[central + 5] = system;
        assert_eq!(unpacked(&windows).read("d/a"), "x", "{system}");
    }
    let mut leaves = replaced(&zip, b"d\\a", b"..\\");
    leaves[central + 5] = 0;
    refused(&leaves);
}

#[test]
fn a_directory_of_a_zip_may_be_one_by_its_mode_only() {
    let mut zip = zip_of(&[("d", 0o644, ""), ("d/a", 0o644, "x")]);
    let central = zip.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    zip[central + 38..central + 42].copy_from_slice(&(0o40_755_u32 << 16).to_le_bytes());
    assert_eq!(unpacked(&zip).read("d/a"), "x");
}

#[test]
fn a_zip_may_have_something_in_front() {
    let zip = zip_of(&[("a", 0o644, "x")]);
    for front in [b"#!/usr/bin/env python3\n".to_vec(), b"\x7fELF".repeat(50_000)] {
        assert_eq!(unpacked(&[front, zip.clone()].concat()).read("a"), "x");
    }
}

#[test]
fn entries_of_a_zip_that_overlap_are_refused() {
    let zip = zip_of(&[("a", 0o644, "same text"), ("b", 0o644, "same text")]);
    let last = zip.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    let mut overlapping = zip;
    overlapping[last + 42..last + 46].copy_from_slice(&0_u32.to_le_bytes());
    assert!(not_supported(&overlapping).contains("overlap"));
}

#[test]
fn the_directory_of_a_zip_is_bounded() {
    let entries: Vec<_> = (0..5000).map(|number| format!("a-rather-long-name-{number}")).collect();
    let entries: Vec<_> = entries.iter().map(|name| (name.as_str(), 0o644, "")).collect();
    let few = UnpackOptions { strip: 0, limits: Limits { entries: 20, ..Limits::default() } };
    assert!(matches!(error(&zip_of(&entries), &few), ArchiveError::TooLarge { unit: "bytes of its list of files", .. }));
    assert!(matches!(error(&zip_of(&entries[..21]), &few), ArchiveError::TooLarge { unit: "entries", .. }));
    Scene::new(&zip_of(&entries[..20])).unpack(&few).unwrap();
}

#[test]
fn a_zip_that_lies_about_sizes_is_refused() {
    let mut zip = zip_of(&[("a", 0o644, &"x".repeat(500))]);
    let lie = |zip: &mut Vec<u8>, size: u32| {
        for (signature, at) in [(b"PK\x03\x04", 22), (b"PK\x01\x02", 24)] {
            let start = zip.windows(4).position(|window| window == signature).unwrap();
            zip[start + at..start + at + 4].copy_from_slice(&size.to_le_bytes());
        }
    };
    lie(&mut zip, 100);
    error(&zip, &UnpackOptions::default());
    lie(&mut zip, 900);
    error(&zip, &UnpackOptions::default());
}
