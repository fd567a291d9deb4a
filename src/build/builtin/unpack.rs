//! `unpack/1`: the tree in an archive.

use serde::Deserialize;

use super::{BuiltinError, BuiltinJob};
use crate::archive::{Limits, UnpackOptions, unpack};

/// Name and version.
pub(super) const KIND: &str = "unpack/1";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    strip: usize,
}

pub(super) fn run(job: &BuiltinJob<'_>) -> Result<(), BuiltinError> {
    let Arguments { strip } = job.parse_arguments()?;
    let archive = match job.inputs.first_key_value() {
        Some((label, input)) if job.inputs.len() == 1 && label.as_str() == "archive" => &input.physical,
        _ => return Err(BuiltinError::Inputs { kind: job.kind.to_owned(), expected: "one input, `archive`" }),
    };
    Ok(unpack(archive, job.out, &UnpackOptions { strip, limits: Limits::default() })?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;
    use crate::archive::testing::Tar;
    use serde_json::json;

    #[test]
    fn an_archive_is_unpacked_without_its_top_directory() {
        let mut bench = Bench::new(KIND, json!({"strip": 1}));
        bench.file("archive", &Tar::default().file("six-1.16.0/six.py", "six").done());
        bench.run().unwrap();
        assert_eq!(bench.read("six.py"), "six");
    }

    #[test]
    fn other_inputs_and_arguments_are_refused() {
        let mut bench = Bench::new(KIND, json!({"strip": 1, "patches": []}));
        bench.file("archive", b"");
        assert!(bench.error().contains("unknown field `patches`"));
        let mut bench = Bench::new(KIND, json!({"strip": 0}));
        bench.file("deb", b"");
        assert!(bench.error().contains("one input, `archive`"));
        assert!(Bench::new("unpack/2", json!({})).error().contains("no builtin builder `unpack/2`"));
    }
}
