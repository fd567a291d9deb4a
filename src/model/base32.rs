//! Nix's base 32: the alphabet leaves out `e o t u`, and 5-bit groups are read from the last byte to the first.
//!
//! Source: Nix, `libutil/hash.cc`; golden vectors in the tests.

const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// How many characters `bytes` bytes take.
pub(super) const fn encoded_len(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

/// Encodes `bytes`; the most significant group comes first.
pub(super) fn encode(bytes: &[u8]) -> String {
    let group = |index: usize| {
        let bit = index * 5;
        let (byte, shift) = (bit / 8, bit % 8);
        let low = bytes[byte] >> shift;
        let high = if shift > 3 && byte + 1 < bytes.len() { bytes[byte + 1] << (8 - shift) } else { 0 };
        ALPHABET[usize::from((low | high) & 0x1f)] as char
    };
    (0..encoded_len(bytes.len())).rev().map(group).collect()
}

/// Decodes into an array of `N` bytes; `None` if the length, a character or the unused top bits are wrong.
pub(super) fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != encoded_len(N) {
        return None;
    }
    let mut bytes = [0u8; N];
    for (index, character) in text.iter().rev().enumerate() {
        let digit = ALPHABET.iter().position(|letter| letter == character)? as u16;
        let (byte, shift) = (index * 5 / 8, index * 5 % 8);
        let wide = digit << shift;
        bytes[byte] |= wide as u8;
        match bytes.get_mut(byte + 1) {
            Some(next) => *next |= (wide >> 8) as u8,
            None if wide >> 8 != 0 => return None,
            None => {}
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_nixs() {
        assert_eq!((encoded_len(32), encoded_len(20)), (52, 32));
    }

    #[test]
    fn set_bits_beyond_the_last_byte_are_refused() {
        let mut text = encode(&[0xff; 32]).into_bytes();
        text[0] = b'z';
        assert_eq!(decode::<32>(&text), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(bytes: [u8; 20], wide: [u8; 32]) {
            prop_assert_eq!(decode::<20>(encode(&bytes).as_bytes()), Some(bytes));
            prop_assert_eq!(decode::<32>(encode(&wide).as_bytes()), Some(wide));
        }

        #[test]
        fn any_text_is_refused_or_round_trips(text in "[0-9a-z]{32}") {
            if let Some(bytes) = decode::<20>(text.as_bytes()) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
