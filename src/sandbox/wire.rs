//! What parent and child say to each other over their socket: one order, then reports; each a length and a JSON document.
//!
//! The socket is also the leash: the child ends the sandbox when the other end is gone.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Layer, SandboxSpec, path_bytes};
use crate::model::LayerOutcome;

/// The number of the socket's descriptor in the child.
pub(super) const CONTROL: i32 = 3;
/// No document is longer; a closure of a hundred thousand objects fits.
const LONGEST: usize = 256 << 20;

/// What the parent wants.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    /// The sandbox.
    pub(super) spec: SandboxSpec,
    /// What became of the layers that the parent makes.
    pub(super) layers: Vec<LayerOutcome>,
    /// Directories of the spec for which the child got a mount with mapped owners, in the order of the descriptors after [`CONTROL`].
    pub(super) mapped: Vec<MappedPath>,
    /// Whether standard input is what the caller gave; if not, it is the sandbox's `/dev/null`.
    pub(super) keep_input: bool,
    /// Whether the child's user changes to the spec's, because the parent is privileged.
    pub(super) switch_user: bool,
}

/// One of [`Order::mapped`].
#[derive(Serialize, Deserialize)]
pub(super) struct MappedPath(#[serde(with = "path_bytes")] pub(super) PathBuf);

/// What the child has to say.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// A layer could not be had; the child ends.
    Failed(Failure),
    /// The program could not be executed; the child ends.
    NotExecuted { errno: i32 },
    /// The program runs.
    Started { layers: Vec<LayerOutcome> },
    /// The program has ended, and so has every other process of the sandbox.
    Ended { code: Option<i32>, signal: Option<i32>, cpu_us: u64, peak_kib: u64 },
}

/// Which step of which layer failed, and how.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) layer: Layer,
    pub(super) step: String,
    pub(super) errno: i32,
}

/// Sends one document.
pub(super) fn send(mut socket: &UnixStream, document: &impl Serialize) -> io::Result<()> {
    let mut bytes = vec![0; 8];
    serde_json::to_writer(&mut bytes, document)?;
    let length = (bytes.len() - 8) as u64;
    bytes[..8].copy_from_slice(&length.to_le_bytes());
    socket.write_all(&bytes)
}

/// Receives one document; `None` if the other end is gone.
pub(super) fn receive<T: DeserializeOwned>(mut socket: &UnixStream) -> io::Result<Option<T>> {
    let mut length = [0; 8];
    match socket.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = usize::try_from(u64::from_le_bytes(length)).ok().filter(|length| *length <= LONGEST);
    let mut bytes = vec![0; length.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?];
    match socket.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => Ok(None),
        Err(error) => Err(error),
    }
}
