//! Finding store digests in bytes.

use std::collections::BTreeSet;

use crate::model::{DIGEST_LEN, StoreDigest};

/// The digests to look for: up to millions, looked up in constant time.
#[derive(Clone, Debug, Default)]
pub struct ReferenceIndex {
    sorted: Vec<StoreDigest>,
}
