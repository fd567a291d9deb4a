//! Traces, records and derivations.

use std::collections::BTreeMap;

use super::*;
use crate::model::{BuildRecord, BuildStatus, BuildTrace, DerivationHash, OutputName, SandboxLevel, Sha256, StorePath};

fn trace(resolved: &str, output: &StorePath) -> BuildTrace {
    BuildTrace {
        resolved: DerivationHash(Sha256::of(resolved)),
        outputs: BTreeMap::from([(OutputName::out(), output.clone())]),
        system: "x86_64-linux".into(),
        level: SandboxLevel::Strict,
    }
}

fn record(trace: &BuildTrace, started_ms: u64, status: BuildStatus) -> BuildRecord {
    BuildRecord {
        derivation: DerivationHash(Sha256::of("derivation")),
        resolved: trace.resolved,
        name: "x".into(),
        outputs: if status == BuildStatus::Built { trace.outputs.clone() } else { BTreeMap::new() },
        status,
        inputs: BTreeMap::new(),
        leaves: Vec::new(),
        span: None,
        level: SandboxLevel::Strict,
        layers: Vec::new(),
        machine: BTreeMap::new(),
        started_ms,
        duration_ms: 5,
        cpu_ms: None,
        peak_kib: None,
        exit_code: None,
        log: None,
    }
}

#[test]
fn traces_whose_objects_are_present_come_first_then_earlier_ones() {
    let test = TestStore::new();
    let (one, two) = (test.add_text("x", "one", &[]).path, test.add_text("x", "two", &[]).path);
    let (first, second) = (trace("r", &one), trace("r", &two));
    for trace in [&first, &second, &first] {
        test.register(&Registration { traces: vec![trace.clone()], ..Registration::default() }).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
    let chosen = |test: &TestStore| -> Vec<_> {
        test.traces_for(&first.resolved).unwrap().into_iter().map(|stored| (stored.trace, stored.present, stored.local)).collect()
    };
    assert_eq!(chosen(&test), [(first.clone(), true, true), (second.clone(), true, true)]);
    assert_eq!(test.producers(&two).unwrap()[0].trace, second);
    test.again().pin("two", &two).unwrap();
    test.gc(GcOptions::default()).unwrap();
    assert_eq!(chosen(&test), [(second, true, true), (first.clone(), false, true)]);
    assert!(test.traces_for(&DerivationHash(Sha256::of("other"))).unwrap().is_empty());
    assert_eq!(test.producers(&one).unwrap()[0].trace, first);
}

#[test]
fn records_are_found_by_what_they_built_and_by_name() {
    let test = TestStore::new();
    let path = test.add_text("x", "one", &[]).path;
    let trace = trace("r", &path);
    let (failed, built) = (record(&trace, 1, BuildStatus::Failed("no".into())), record(&trace, 2, BuildStatus::Built));
    let batch = Registration { traces: vec![trace.clone()], records: vec![failed.clone(), built.clone()], ..Registration::default() };
    test.register(&batch).unwrap();
    assert_eq!(test.records_of_resolved(&trace.resolved).unwrap(), [built.clone(), failed.clone()]);
    assert_eq!(test.records_of_output(&path).unwrap(), std::slice::from_ref(&built));
    assert_eq!(test.records_of_name("x", 1).unwrap(), [built]);
    assert_eq!(test.records_of_name("x", 9).unwrap().len(), 2);
    assert!(test.records_of_name("y", 9).unwrap().is_empty());
}

#[test]
fn a_trace_from_elsewhere_keeps_who_vouches_for_it_and_an_own_build_outweighs_it() {
    let test = TestStore::new();
    let path = test.add_text("x", "one", &[]).path;
    let trace = trace("r", &path);
    let by = |signers: &[&str]| {
        let signatures = signers.iter().map(|name| ((*name).to_owned(), format!("{name}:AAAA"))).collect();
        let foreign = vec![ForeignTrace { trace: trace.clone(), signatures }];
        let foreign_records = vec![record(&trace, 1, BuildStatus::Built)];
        test.register(&Registration { foreign, foreign_records, ..Registration::default() }).unwrap();
    };
    by(&["a-1"]);
    by(&["a-1", "b-1"]);
    assert_eq!(test.signatures_of(&trace).unwrap(), [("a-1".into(), "a-1:AAAA".into()), ("b-1".into(), "b-1:AAAA".into())]);
    assert!(!test.traces_for(&trace.resolved).unwrap()[0].local);
    assert_eq!(test.records_of_resolved(&trace.resolved).unwrap().len(), 1);
    assert_eq!(test.own_record(&trace).unwrap(), None);
    let mark = test.record_mark().unwrap();
    let own = record(&trace, 2, BuildStatus::Built);
    test.register(&Registration { traces: vec![trace.clone()], records: vec![own.clone()], ..Registration::default() }).unwrap();
    assert!(test.traces_for(&trace.resolved).unwrap()[0].local);
    assert_eq!(test.own_record(&trace).unwrap().as_ref(), Some(&own));
    assert_eq!(test.own_records_since(mark).unwrap(), [own]);
}

/// The tables of format 1, as far as they differ.
#[test]
fn a_store_of_the_former_format_is_brought_to_this_one_with_all_it_holds() {
    let test = TestStore::new();
    let path = test.add_text("x", "one", &[]).path;
    let trace = trace("r", &path);
    let own = record(&trace, 1, BuildStatus::Built);
    test.register(&Registration { traces: vec![trace.clone()], records: vec![own.clone()], ..Registration::default() }).unwrap();
    test.database().execute_batch("DROP TABLE signatures; ALTER TABLE records DROP COLUMN local;").unwrap();
    let format = test.dir().join("format");
    std::fs::write(&format, "1\n").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| Store::open_existing(test.dir()).unwrap());
        }
    });
    assert_eq!(std::fs::read_to_string(&format).unwrap(), "2\n");
    let store = Store::open(test.dir()).unwrap();
    assert_eq!(store.own_record(&trace).unwrap(), Some(own));
    let foreign = vec![ForeignTrace { trace: trace.clone(), signatures: vec![("a-1".into(), "a-1:AAAA".into())] }];
    store.register(&Registration { foreign, ..Registration::default() }).unwrap();
    assert_eq!(store.signatures_of(&trace).unwrap().len(), 1);
}

#[test]
fn a_derivation_is_kept_with_its_latest_hints() {
    let test = TestStore::new();
    let hash = DerivationHash(Sha256::of("d"));
    assert_eq!(test.derivation(&hash).unwrap(), None);
    for hints in ["{}", r#"{"timeout":5}"#] {
        let new = NewDerivation { hash, canonical: "{\"name\":\"d\"}".into(), hints: hints.into() };
        test.register(&Registration { derivations: vec![new], ..Registration::default() }).unwrap();
    }
    let stored = test.derivation(&hash).unwrap().unwrap();
    assert_eq!((stored.canonical.as_str(), stored.hints.as_str()), ("{\"name\":\"d\"}", r#"{"timeout":5}"#));
}
