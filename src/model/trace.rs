//! Build traces: "this resolved derivation gave these outputs".
//!
//! The signed bytes are a header line and canonical JSON. They hold no time, host or builder, so that equal results sign equal bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{DerivationHash, OutputName, StorePath, canonical_json};

/// First line of the signed bytes: names the format and its version.
const HEADER: &str = "kiln-build-trace 1\n";

/// How well a build was sealed. Ordered: a strict build is worth more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxLevel {
    /// Some mandatory layer was left out, by the user's own choice.
    Relaxed,
    /// All mandatory layers held.
    Strict,
}

impl fmt::Display for SandboxLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Relaxed => "relaxed",
            Self::Strict => "strict",
        })
    }
}

impl FromStr for SandboxLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "relaxed" => Ok(Self::Relaxed),
            "strict" => Ok(Self::Strict),
            _ => Err(format!("`{text}` is not a sandbox level: expected `strict` or `relaxed`")),
        }
    }
}

/// All outputs of one build of one resolved derivation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildTrace {
    /// Hash of the resolved derivation.
    pub resolved: DerivationHash,
    /// What its outputs came out as.
    pub outputs: BTreeMap<OutputName, StorePath>,
    /// The system it was built on.
    pub system: String,
    /// How well the build was sealed.
    pub level: SandboxLevel,
}

impl BuildTrace {
    /// The bytes that a signature covers.
    pub fn signed_bytes(&self) -> Vec<u8> {
        // A trace holds text only, so it always has a canonical form.
        let json = canonical_json(self).unwrap_or_default();
        format!("{HEADER}{json}").into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sha256;

    #[test]
    fn the_signed_bytes_are_pinned() {
        let trace = BuildTrace {
            resolved: DerivationHash(Sha256::of("x")),
            outputs: BTreeMap::from([(OutputName::out(), "/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep".parse().unwrap())]),
            system: "x86_64-linux".into(),
            level: SandboxLevel::Strict,
        };
        let expected = concat!(
            "kiln-build-trace 1\n",
            r#"{"level":"strict","outputs":{"out":"/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep"},"#,
            r#""resolved":"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881","system":"x86_64-linux"}"#
        );
        assert_eq!(String::from_utf8(trace.signed_bytes()).unwrap(), expected);
    }
}
