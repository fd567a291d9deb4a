//! Finding store digests in bytes.
//!
//! A digest is 32 characters of an alphabet of 32, so most windows of most bytes are dismissed by their last byte, 32 at a time.
//! What is left is looked up in a bit filter, and only then in the set.

use crate::model::{DIGEST_LEN, StoreDigest};

/// Which bytes may stand in a digest.
const IN_ALPHABET: [bool; 256] = {
    let mut table = [false; 256];
    let alphabet = b"0123456789abcdfghijklmnpqrsvwxyz";
    let mut index = 0;
    while index < alphabet.len() {
        table[alphabet[index] as usize] = true;
        index += 1;
    }
    table
};

/// Filter bits for each digest: about one window in 16 that is no digest of the set passes.
const FILTER_BITS_PER_DIGEST: usize = 16;

/// The digests to look for. Millions cost some 34 bytes each, and no time while scanning.
#[derive(Clone, Debug, Default)]
pub struct ReferenceIndex {
    sorted: Vec<StoreDigest>,
    filter: Vec<u64>,
    shift: u32,
}

impl ReferenceIndex {
    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// How many digests are looked for.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// The digest of the set that `window` is.
    pub(super) fn find(&self, window: &[u8; DIGEST_LEN]) -> Option<&StoreDigest> {
        let bit = slot(window, self.shift);
        if self.filter.get(bit / 64)? & (1 << (bit % 64)) == 0 {
            return None;
        }
        self.sorted.binary_search_by(|digest| digest.as_bytes().cmp(window)).ok().map(|index| &self.sorted[index])
    }
}

/// Multiplicative hashing of eight of the characters, which are as good as random in a digest.
fn slot(digest: &[u8; DIGEST_LEN], shift: u32) -> usize {
    let mut characters = [0u8; 8];
    characters.copy_from_slice(&digest[8..16]);
    (u64::from_le_bytes(characters).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> shift) as usize
}

impl FromIterator<StoreDigest> for ReferenceIndex {
    fn from_iter<I: IntoIterator<Item = StoreDigest>>(digests: I) -> Self {
        let mut sorted: Vec<_> = digests.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.is_empty() {
            return Self::default();
        }
        let bits = (sorted.len() * FILTER_BITS_PER_DIGEST).next_power_of_two().max(64);
        let shift = 64 - bits.trailing_zeros();
        let mut filter = vec![0u64; bits / 64];
        for digest in &sorted {
            let bit = slot(digest.as_bytes(), shift);
            filter[bit / 64] |= 1 << (bit % 64);
        }
        Self { sorted, filter, shift }
    }
}

/// What to do after a window of 32 digest characters was looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Look at the window one byte further.
    Byte,
    /// Go on after the window: it was an occurrence.
    Window,
}

/// Calls `visit` with start and bytes of each window of `bytes` that holds digest characters only.
pub(super) fn each_window(bytes: &[u8], mut visit: impl FnMut(usize, &[u8; DIGEST_LEN]) -> Next) {
    let mut start = 0;
    // How many bytes of the window, from its start, are known to be digest characters.
    let mut known = 0;
    while let Some(window) = bytes.get(start..).and_then(|rest| rest.first_chunk::<DIGEST_LEN>()) {
        match window[known..].iter().rposition(|byte| !IN_ALPHABET[usize::from(*byte)]) {
            Some(found) => {
                let bad = known + found;
                start += bad + 1;
                known = DIGEST_LEN - 1 - bad;
            }
            None if visit(start, window) == Next::Window => {
                start += DIGEST_LEN;
                known = 0;
            }
            None => {
                start += 1;
                known = DIGEST_LEN - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StorePath;
    use proptest::prelude::*;

    fn digest(seed: u32) -> StoreDigest {
        *StorePath::scratch(&format!("d{seed}").parse().unwrap()).digest()
    }

    fn windows(bytes: &[u8]) -> Vec<usize> {
        let mut starts = Vec::new();
        each_window(bytes, |start, _| {
            starts.push(start);
            Next::Byte
        });
        starts
    }

    #[test]
    fn exactly_the_members_are_found() {
        let index: ReferenceIndex = (0..5_000).map(digest).collect();
        assert_eq!(index.len(), 5_000);
        assert!((0..5_000).all(|seed| index.find(digest(seed).as_bytes()) == Some(&digest(seed))));
        assert!((5_000..20_000).all(|seed| index.find(digest(seed).as_bytes()).is_none()));
        assert_eq!(ReferenceIndex::default().find(digest(1).as_bytes()), None);
    }

    #[test]
    fn an_occurrence_is_not_looked_into() {
        let mut starts = Vec::new();
        each_window(&[b'0'; 70], |start, _| {
            starts.push(start);
            Next::Window
        });
        assert_eq!(starts, [0, 32]);
    }

    proptest! {
        #[test]
        fn windows_are_those_that_the_definition_gives(bytes in "[0-9ae!]{0,40}[0-9]{20,50}[a-d!]{0,40}") {
            let bytes = bytes.as_bytes();
            let fits = |window: &[u8]| window.iter().all(|byte| IN_ALPHABET[usize::from(*byte)]);
            let expected: Vec<_> = bytes.windows(DIGEST_LEN).enumerate().filter(|(_, w)| fits(w)).map(|(start, _)| start).collect();
            prop_assert_eq!(windows(bytes), expected);
        }
    }
}
