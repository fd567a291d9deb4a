//! The pure layer: values and their canonical forms. No I/O, no clock, no environment.
//!
//! In: bytes and text. Out: values that are valid because they exist. Everything else may use this module; it uses nothing of kiln.

mod address;
mod base32;
mod canonical;
mod derivation;
mod graph;
mod hash;
mod narinfo;
mod path_info;
mod record;
mod store_path;
mod trace;

pub use address::{ContentAddress, flat_path, recursive_path};
pub use canonical::{CanonicalError, canonical_json};
pub use derivation::{
    AllowedReference, Builder, BuiltinBuilder, Derivation, DerivationHash, EPOCH, Fetch, Input, Label, LabelError, OutputName,
    OutputPolicy, ResolvedDerivation, ScriptBuilder, output_store_name,
};
pub use graph::{DerivationGraph, FetchSource, GraphError, Hints, Node, SourceSpan};
pub use hash::{HashError, Hasher, Sha256};
pub use narinfo::{Compression, NarInfo, NarInfoError};
pub use path_info::PathInfo;
pub use record::{BuildRecord, BuildStatus, LayerOutcome, LayerState, LeafInput};
pub use store_path::{DIGEST_LEN, STORE_DIR, StoreDigest, StoreName, StoreNameError, StorePath, StorePathError};
pub use trace::{BuildTrace, SandboxLevel};
