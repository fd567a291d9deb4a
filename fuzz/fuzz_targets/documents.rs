//! What a cache may answer is refused, or says the same when it is written and read again.

#![no_main]

use kiln::cache::statement::{SignedRecord, read_traces, write_traces};
use kiln::cache::{CacheInfo, Location};
use kiln::model::NarInfo;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(traces) = read_traces(bytes) {
        assert_eq!(read_traces(&write_traces(&traces)).expect("it was written"), traces);
    }
    let _ = serde_json::from_slice::<SignedRecord>(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(info) = text.parse::<NarInfo>() {
        assert_eq!(info.to_string().parse::<NarInfo>().as_ref(), Ok(&info));
    }
    if let Ok(info) = text.parse::<CacheInfo>() {
        assert_eq!(info.to_string().parse::<CacheInfo>().as_ref(), Ok(&info));
    }
    let _ = Location::parse(text);
});
