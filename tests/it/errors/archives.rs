//! Archives that escape, are cut off, or are bombs: an error, and nothing outside the store is touched.

use std::io::Write as _;

use tar::{Builder, EntryType, Header};
use walkdir::WalkDir;

use crate::support::{Outcome, Project};

/// An entry with exactly this name and link target, whatever they mean.
fn entry(archive: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, target: &str, content: &[u8]) {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    header.set_cksum();
    archive.append(&header, content).unwrap();
}

/// Unpacks an archive; it must fail as a step does.
#[track_caller]
fn refused(name: &str, archive: &[u8]) -> Outcome {
    let recipe = format!("targets = {{\"x\": unpack(source(\"//{name}\"), name = \"x\", strip = 0)}}");
    let project = Project::new().file(name, archive).recipe(&recipe);
    let failed =
        project.kiln(["build", "x"]).code(1).stdout("").stderr_has("error: cannot make x: ").hint("check where that hash comes from");
    let escaped: Vec<_> = WalkDir::new(project.dir()).into_iter().map(Result::unwrap).filter(|entry| entry.file_name() == "evil").collect();
    assert!(escaped.is_empty(), "{escaped:?}");
    assert_eq!(project.objects(), [name]);
    project.sound();
    failed
}

#[test]
fn an_archive_that_escapes_its_directory_is_refused() {
    for name in ["../evil", "a/../../evil", "/tmp/kiln-test-evil/evil"] {
        let mut archive = Builder::new(Vec::new());
        entry(&mut archive, EntryType::Regular, "fine", "", b"fine");
        entry(&mut archive, EntryType::Regular, name, "", b"evil");
        refused("escape.tar", &archive.into_inner().unwrap()).stderr_has(&format!("holds `{name}`"));
    }
    assert!(!std::path::Path::new("/tmp/kiln-test-evil").exists());
}

#[test]
fn a_link_in_an_archive_is_no_way_out() {
    let mut archive = Builder::new(Vec::new());
    entry(&mut archive, EntryType::Symlink, "dir", "../../../..", b"");
    entry(&mut archive, EntryType::Regular, "dir/evil", "", b"evil");
    refused("link.tar", &archive.into_inner().unwrap()).stderr_has("/dir` lies below something that is not a directory");
    let mut archive = Builder::new(Vec::new());
    entry(&mut archive, EntryType::Link, "evil", "../../../../../../../etc/passwd", b"");
    refused("hard.tar", &archive.into_inner().unwrap()).stderr_has("evil");
}

#[test]
fn a_device_in_an_archive_is_refused() {
    let mut archive = Builder::new(Vec::new());
    entry(&mut archive, EntryType::Char, "evil", "", b"");
    refused("device.tar", &archive.into_inner().unwrap()).stderr_has("`evil`");
}

#[test]
fn a_truncated_archive_is_refused() {
    let mut archive = Builder::new(Vec::new());
    let noise: Vec<u8> = (0..40_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    entry(&mut archive, EntryType::Regular, "data", "", &noise);
    let tar = archive.into_inner().unwrap();
    refused("cut.tar", &tar[..tar.len() / 2]).stderr_has("is damaged or truncated");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&tar).unwrap();
    let gz = gz.finish().unwrap();
    refused("cut.tar.gz", &gz[..gz.len() / 2]).stderr_has("is damaged or truncated");
    let zst = zstd::encode_all(tar.as_slice(), 1).unwrap();
    refused("cut.tar.zst", &zst[..zst.len() / 2]).stderr_has("is damaged or truncated");
    refused("empty.tar", b"");
    refused("text.tar", b"this is no archive at all, but text that goes on for a while");
}

#[test]
fn a_bomb_is_refused_before_it_fills_the_disk() {
    let mut archive = Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    let size = 200 << 20;
    let mut header = Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    archive.append(&header, std::io::Read::take(std::io::repeat(0), size)).unwrap();
    let bomb = archive.into_inner().unwrap().finish().unwrap();
    assert!(bomb.len() < 100_000);
    refused("bomb.tar.zst", &bomb).stderr_has("is refused as a bomb");
}

#[test]
fn an_archive_that_kiln_cannot_unpack_is_not_called_damaged() {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("a", stored).unwrap();
    zip.write_all(b"text").unwrap();
    let mut zip = zip.finish().unwrap().into_inner();
    for (signature, at) in [(b"PK\x03\x04", 8), (b"PK\x01\x02", 10)] {
        let start = zip.windows(4).position(|window| window == signature).unwrap();
        zip[start + at] = 97;
    }
    let recipe = "targets = {\"x\": unpack(source(\"//odd.zip\"), name = \"x\", strip = 0)}";
    let project = Project::new().file("odd.zip", &zip).recipe(recipe);
    project.kiln(["build", "x"]).code(1).stderr_has("which is not supported").hint("let a script unpack it");
}
