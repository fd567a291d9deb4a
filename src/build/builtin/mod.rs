//! stub until merged
use crate::model::{Label, StorePath};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
/// in
#[derive(Clone, Debug)]
pub struct BuiltinInput {
    /// l
    pub logical: StorePath,
    /// p
    pub physical: PathBuf,
}
/// job
pub struct BuiltinJob<'a> {
    /// k
    pub kind: &'a str,
    /// a
    pub arguments: &'a serde_json::Value,
    /// i
    pub inputs: &'a BTreeMap<Label, BuiltinInput>,
    /// o
    pub out: &'a Path,
}
/// e
#[derive(Debug, thiserror::Error)]
pub enum BuiltinError {}
/// r
pub fn run(_job: &BuiltinJob<'_>) -> Result<(), BuiltinError> {
    todo!()
}
