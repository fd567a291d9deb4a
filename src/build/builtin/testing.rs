//! A job with its inputs in a directory that goes away.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{BuiltinError, BuiltinInput, BuiltinJob, run};
use crate::archive::{ReferenceIndex, ScanRequest, scan};
use crate::model::{Label, Sha256, StorePath};

pub(super) struct Bench {
    dir: tempfile::TempDir,
    kind: &'static str,
    arguments: serde_json::Value,
    inputs: BTreeMap<Label, BuiltinInput>,
}

impl Bench {
    pub(super) fn new(kind: &'static str, arguments: serde_json::Value) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), kind, arguments, inputs: BTreeMap::new() }
    }

    /// Adds an input of that label; its store path carries the label too.
    fn input(&mut self, label: &str) -> PathBuf {
        let logical = StorePath::scratch(&label.parse().unwrap());
        let physical = self.dir.path().join(label);
        self.inputs.insert(label.parse().unwrap(), BuiltinInput { logical, physical: physical.clone() });
        physical
    }

    pub(super) fn file(&mut self, label: &str, content: &[u8]) {
        fs::write(self.input(label), content).unwrap();
    }

    /// A layer: `name = content`, `name! = executable content`, `name -> target`, `name/ = empty directory`.
    pub(super) fn layer(&mut self, label: &str, entries: &[(&str, &str)]) {
        let top = self.input(label);
        fs::create_dir(&top).unwrap();
        for (name, content) in entries {
            let path = top.join(name.trim_end_matches(['!', '@', '/']));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match name.chars().last() {
                Some('/') => fs::create_dir(path).unwrap(),
                Some('@') => symlink(content, path).unwrap(),
                last => {
                    fs::write(&path, content).unwrap();
                    let mode = if last == Some('!') { 0o555 } else { 0o444 };
                    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
                }
            }
        }
    }

    pub(super) fn logical(label: &str) -> String {
        StorePath::scratch(&label.parse().unwrap()).to_string()
    }

    pub(super) fn physical(&self, label: &str) -> PathBuf {
        self.dir.path().join(label)
    }

    pub(super) fn out(&self) -> PathBuf {
        self.dir.path().join("result")
    }

    pub(super) fn run(&self) -> Result<(), BuiltinError> {
        run(&BuiltinJob { kind: self.kind, arguments: &self.arguments, inputs: &self.inputs, out: &self.out() })
    }

    pub(super) fn error(&self) -> String {
        self.run().unwrap_err().to_string()
    }

    pub(super) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.out().join(path)).unwrap()
    }

    pub(super) fn target(&self, path: &str) -> String {
        fs::read_link(self.out().join(path)).unwrap().to_str().unwrap().to_owned()
    }

    pub(super) fn nar_hash(&self) -> (Sha256, Option<PathBuf>) {
        scanned(&self.out())
    }
}

fn scanned(path: &Path) -> (Sha256, Option<PathBuf>) {
    let candidates = ReferenceIndex::default();
    let scanned = scan(path, &ScanRequest { own: None, candidates: &candidates }).unwrap();
    (scanned.nar_hash, scanned.first_link)
}
