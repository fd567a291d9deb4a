//! Signed statements: traces and records as they lie in a cache.
//!
//! A file of traces has one JSON document a line: usually one; more if builds by the same key disagree. A record is one JSON document.

use serde::{Deserialize, Serialize};

use super::signing::{PublicKey, SecretKey, Signature};
use crate::model::{BuildRecord, BuildTrace, CanonicalError, canonical_json};

/// First line of a record's signed bytes: names the format and its version.
const RECORD_HEADER: &str = "kiln-build-record 1\n";

/// A trace, and who vouches for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedTrace {
    /// The statement.
    pub trace: BuildTrace,
    /// Over the trace's signed bytes.
    pub signature: Signature,
}

impl SignedTrace {
    /// Signs a trace.
    pub fn new(trace: BuildTrace, key: &SecretKey) -> Self {
        let signature = key.sign(&trace.signed_bytes());
        Self { trace, signature }
    }

    /// Whether `key` vouches for it.
    pub fn is_by(&self, key: &PublicKey) -> bool {
        key.verifies(&self.trace.signed_bytes(), &self.signature)
    }
}

/// A record, the derivation's hints, and who wrote them down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRecord {
    /// How the build went.
    pub record: BuildRecord,
    /// The derivation's hints: where its files can be fetched from, its description, where the recipe declares it.
    pub hints: serde_json::Value,
    /// Over header, record and hints.
    pub signature: Signature,
}

impl SignedRecord {
    /// Signs a record.
    ///
    /// # Errors
    /// If it has no canonical form: nothing is signed then.
    pub fn new(record: BuildRecord, hints: serde_json::Value, key: &SecretKey) -> Result<Self, CanonicalError> {
        let signature = key.sign(&signed_bytes(&record, &hints)?);
        Ok(Self { record, hints, signature })
    }

    /// Whether `key` vouches for it.
    pub fn is_by(&self, key: &PublicKey) -> bool {
        signed_bytes(&self.record, &self.hints).is_ok_and(|bytes| key.verifies(&bytes, &self.signature))
    }
}

fn signed_bytes(record: &impl Serialize, hints: &serde_json::Value) -> Result<Vec<u8>, CanonicalError> {
    Ok(format!("{RECORD_HEADER}{}\n{}", canonical_json(record)?, canonical_json(hints)?).into_bytes())
}

/// Writes statements, a line each.
///
/// # Errors
/// If one cannot be written as JSON.
pub fn write_traces(traces: &[SignedTrace]) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::new();
    for trace in traces {
        serde_json::to_writer(&mut bytes, trace)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// Reads statements; a line that is none spoils all of them.
///
/// # Errors
/// With what is wrong.
pub fn read_traces(bytes: &[u8]) -> Result<Vec<SignedTrace>, serde_json::Error> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(serde_json::from_slice).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::model::{DerivationHash, OutputName, SandboxLevel, Sha256};

    fn trace() -> BuildTrace {
        BuildTrace {
            resolved: DerivationHash(Sha256::of("x")),
            outputs: BTreeMap::from([(OutputName::out(), "/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep".parse().unwrap())]),
            system: "x86_64-linux".into(),
            level: SandboxLevel::Strict,
        }
    }

    #[test]
    fn a_changed_statement_is_nobodys() {
        let key = SecretKey::generate("team-1".parse().unwrap()).unwrap();
        let signed = SignedTrace::new(trace(), &key);
        let read = read_traces(&write_traces(&[signed.clone(), signed.clone()]).unwrap()).unwrap();
        assert_eq!(read, [signed.clone(), signed.clone()]);
        assert!(read[0].is_by(&key.public()));
        let mut changed = signed;
        changed.trace.system = "aarch64-linux".into();
        assert!(!changed.is_by(&key.public()));
    }

    #[test]
    fn what_cannot_be_written_down_is_not_signed() {
        let no_integer = signed_bytes(&serde_json::json!({"a": 1.5}), &serde_json::Value::Null);
        assert!(no_integer.is_err(), "{no_integer:?}");
        let no_integer = signed_bytes(&1, &serde_json::json!({"a": 1.5}));
        assert!(no_integer.is_err(), "{no_integer:?}");
    }

    #[test]
    fn rubbish_is_no_statement() {
        assert!(read_traces(b"{}\n").is_err());
        assert!(read_traces(b"\n").unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn bytes_that_were_changed_say_nothing_new_in_somebodys_name(at in 0usize..400, byte: u8) {
            let key = SecretKey::generate("team-1".parse().unwrap()).unwrap();
            let mut bytes = write_traces(&[SignedTrace::new(trace(), &key)]).unwrap();
            let at = at % bytes.len();
            bytes[at] = byte;
            for signed in read_traces(&bytes).unwrap_or_default() {
                prop_assert!(signed.trace == trace() || !signed.is_by(&key.public()));
            }
        }
    }
}
