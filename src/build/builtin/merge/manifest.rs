//! `manifest.json`: for each file of a merged tree its layer, mode, SHA-256 and size. One file to a line, in order, so that it diffs well.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use super::finish;
use super::layers::Layers;
use super::plan::Plan;
use crate::fsio::{IoResultExt, PathError};
use crate::model::Sha256;

/// One file; members in the order of their names.
#[derive(Serialize)]
struct Line<'a> {
    layer: &'a str,
    mode: &'static str,
    sha256: &'a Sha256,
    size: u64,
}

/// Writes the manifest of a merge; `hashes` are those of the plan's files, in order.
pub(super) fn write(path: &Path, layers: &Layers<'_>, plan: &Plan, hashes: &[Sha256]) -> Result<(), PathError> {
    let file = OpenOptions::new().write(true).create_new(true).open(path).at("create", path)?;
    let lines = plan.files().zip(hashes).map(|((path, file), sha256)| {
        let mode = if file.executable { "0555" } else { "0444" };
        (path, Line { layer: layers.label(file.layer).as_str(), mode, sha256, size: file.size })
    });
    write_lines(&file, lines).and_then(|()| finish(&file, false)).at("write", path)
}

fn write_lines<'a>(file: &File, lines: impl Iterator<Item = (&'a str, Line<'a>)>) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    out.write_all(b"{\"files\":{")?;
    for (index, (path, line)) in lines.enumerate() {
        out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut out, path)?;
        out.write_all(b":")?;
        serde_json::to_writer(&mut out, &line)?;
    }
    out.write_all(b"\n},\"version\":1}\n")?;
    out.flush()
}
