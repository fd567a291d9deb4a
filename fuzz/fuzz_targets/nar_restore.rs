//! A NAR is refused, or it is exactly what dumping the restored tree gives.

#![no_main]

use kiln::archive::{Limits, dump, restore};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|nar: &[u8]| {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let dest = dir.path().join("tree");
    let limits = Limits { bytes: 1 << 20, entries: 1_000, ..Limits::default() };
    if let Ok(restored) = restore(&mut &nar[..], &dest, &limits) {
        let mut again = Vec::new();
        dump(&dest, &mut again).expect("what was restored can be dumped");
        assert_eq!(again, nar);
        assert_eq!(restored.nar_size, nar.len() as u64);
    }
    let beside = std::fs::read_dir(dir.path()).expect("the scratch directory").count();
    assert!(beside <= 1);
});
