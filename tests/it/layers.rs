//! Who may use whom: the table at the top of `src/lib.rs`, held against the source.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each room, from the bottom, and what it may use beside itself and `model`.
const ROOMS: [(&str, &[&str]); 10] = [
    ("model", &[]),
    ("fsio", &[]),
    ("net", &["fsio"]),
    ("archive", &["fsio"]),
    ("sandbox", &["fsio"]),
    ("store", &["archive", "fsio"]),
    ("recipe", &["fsio"]),
    ("cache", &["archive", "fsio", "net", "store"]),
    ("build", &["archive", "cache", "fsio", "net", "sandbox", "store"]),
    ("cli", &["archive", "build", "cache", "fsio", "net", "recipe", "sandbox", "store"]),
];

fn source() -> PathBuf {
    let project = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&project).join("src")
}

/// The rooms that a file names after `crate::`, comments left out.
fn used(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let names = code.flat_map(|line| {
        line.match_indices("crate::").map(|(at, word)| {
            let rest = &line[at + word.len()..];
            rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default().to_owned()
        })
    });
    names.filter(|name| ROOMS.iter().any(|(room, _)| room == name)).collect()
}

#[test]
fn dependencies_point_one_way() {
    for (room, allowed) in ROOMS {
        let files = walkdir::WalkDir::new(source().join(room)).into_iter().map(Result::unwrap);
        let mut seen = 0;
        for file in files.filter(|file| file.file_type().is_file()) {
            let text = std::fs::read_to_string(file.path()).unwrap();
            for name in used(&text) {
                let may = name == room || name == "model" || allowed.contains(&name.as_str());
                assert!(may, "{} uses `{name}`, which `{room}` may not", file.path().display());
            }
            seen += 1;
        }
        assert!(seen > 0, "there is no `{room}`");
    }
}

#[test]
fn every_room_is_in_the_table() {
    let entries = std::fs::read_dir(source()).unwrap().map(|entry| entry.unwrap().path());
    let rooms: BTreeSet<String> =
        entries.filter(|path| path.is_dir()).map(|path| path.file_name().unwrap().to_str().unwrap().into()).collect();
    assert_eq!(rooms, ROOMS.iter().map(|(room, _)| (*room).to_owned()).collect());
}

#[test]
fn names_after_crate_are_found() {
    assert_eq!(
        used("use crate::model::X;\n// crate::cli\nlet x = crate::fsio::y(crate::VERSION);"),
        ["fsio", "model"].map(str::to_owned).into()
    );
}
