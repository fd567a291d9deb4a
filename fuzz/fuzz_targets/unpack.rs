//! An archive is refused, or lies below its destination and can be dumped; nothing beside the destination changes.

#![no_main]

use std::fs;

use kiln::archive::{Limits, UnpackOptions, dump, unpack};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|archive: &[u8]| {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let [file, dest, outside] = ["archive", "dest", "outside"].map(|name| dir.path().join(name));
    fs::write(&file, archive).expect("room for the archive");
    fs::create_dir(&outside).expect("room beside it");
    let limits = Limits { bytes: 1 << 20, entries: 1_000, ratio: 1_000 };
    if unpack(&file, &dest, &UnpackOptions { strip: 0, limits }).is_ok() {
        dump(&dest, &mut std::io::sink()).expect("what was unpacked can be dumped");
    }
    assert_eq!(fs::read_dir(&outside).expect("the directory beside it").count(), 0);
    let names = fs::read_dir(dir.path()).expect("the scratch directory").count();
    assert!(names <= 3);
});
