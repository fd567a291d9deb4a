//! Pinned hashes: a change here means that everybody's derivations are built again.

use super::*;

/// One derivation of each kind.
const PROJECT: &str = r#"
six = unpack(fetch_pypi("six", "six-1.16.0.tar.gz", "1e61c37477a1626458e36f7b1d82aa5c9b094fa4802892072e49de9c60c4c926"))
src = source("//src", exclude = ["*.pyc"])
base = debian_root(lock = "debian.json", packages = ["sh"], links = {"usr/bin/awk": "gawk"})
fragment = derivation(
    name = "six",
    script = "cp -r $six $out\n",
    root = base,
    inputs = {"six": six, "src": src},
    env = {"GREETING": "grüße\n"},
    outputs = ["out", "doc"],
    references = ["self", "six"],
    links = False,
    timeout = 60,
    description = "not hashed",
)
runtime = merge({"six": fragment, "doc": fragment.doc}, name = "runtime")
targets = {"runtime": runtime}
"#;

const LOCK: &str = r#"{"version": 1, "packages": {
  "sh": {"path": "pool/main/s/sh/sh_1~2_amd64.deb", "sha256": "3333333333333333333333333333333333333333333333333333333333333333", "depends": []}}}"#;

pub(super) fn project() -> Project {
    Project::new(PROJECT).file("src/a.py", "").file("derivations/debian.json", LOCK)
}

#[test]
fn the_hashes_of_each_kind_of_derivation_are_pinned() {
    let lowered = lowered(&project().evaluate().unwrap(), &["runtime"]);
    let hashes: Vec<String> = lowered.graph.nodes().iter().map(|node| format!("{} {}", node.derivation.name, node.hash)).collect();
    let expected = [
        "six-1.16.0.tar.gz 09867d47a3c47aed02daa3e99623bf493f3127c38dfb330f64cd7f1abb5931ba",
        "six-1.16.0 b6cfe7629cff0b89049201a5407a0245c3b64297a760cf7c7b1b30042194464a",
        "sh_1-2_amd64.deb c90fa1a6b2ea2fb0fc13b96cca9f03599550825a389e5849a2dbdc72bceac796",
        "root bbfd7e637e8cb507e6aa3ca5cb00aa1933a9aa912a624a352ea776c3cfece1da",
        "six cc5c1ae2485e2a6148a787db0f8574def74d426622368d767c77516172e683bf",
        "runtime 9dd4c78fe02b46c6ce5989fb0f5dd42c2ab67672a12dcd308a7d11a9cc4ab7a6",
    ];
    assert_eq!(hashes, expected);
}

#[test]
fn the_document_of_a_script_is_pinned() {
    let lowered = lowered(&project().evaluate().unwrap(), &["runtime"]);
    let node = lowered.graph.nodes().iter().find(|node| node.derivation.name.as_str() == "six").unwrap();
    let expected = concat!(
        r#"{"builder":{"script":{"env":{"GREETING":"grüße\n"},"epoch":1,"interpreter":["/bin/sh","-eu"],"root":{"output":{"#,
        r#""derivation":"bbfd7e637e8cb507e6aa3ca5cb00aa1933a9aa912a624a352ea776c3cfece1da","output":"out"}},"#,
        r#""script":"cp -r $six $out\n"}},"inputs":{"six":{"output":{"#,
        r#""derivation":"b6cfe7629cff0b89049201a5407a0245c3b64297a760cf7c7b1b30042194464a","output":"out"}},"#,
        r#""src":{"object":"/kiln/store/dmx7kcwl0s2a43xs118wlp3kiqgv48lx-src"}},"name":"six","#,
        r#""outputs":{"doc":{"links":false,"references":["self","six"]},"out":{"links":false,"references":["self","six"]}},"#,
        r#""system":"x86_64-linux","version":1}"#
    );
    assert_eq!(node.derivation.canonical().unwrap(), expected);
}
