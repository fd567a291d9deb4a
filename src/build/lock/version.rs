//! Debian version numbers: which of two is later (Debian Policy 5.6.12).

use std::cmp::Ordering;

/// Compares two versions: epoch, then upstream's version, then Debian's revision.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (epoch_a, upstream_a, revision_a) = split(a);
    let (epoch_b, upstream_b, revision_b) = split(b);
    epoch_a.cmp(&epoch_b).then_with(|| compare_part(upstream_a, upstream_b)).then_with(|| compare_part(revision_a, revision_b))
}

fn split(version: &str) -> (u64, &str, &str) {
    let (epoch, rest) = version.split_once(':').map_or((0, version), |(epoch, rest)| (epoch.parse().unwrap_or(0), rest));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// Compares stretches without and with digits in turn. `~` comes before everything, even the end; letters before other characters.
fn compare_part(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, text_b) = (take(&mut a, |byte| !byte.is_ascii_digit()), take(&mut b, |byte| !byte.is_ascii_digit()));
        let longest = text_a.len().max(text_b.len());
        let texts = (0..longest).map(|at| order(text_a.as_bytes().get(at)).cmp(&order(text_b.as_bytes().get(at))));
        let texts = texts.fold(Ordering::Equal, Ordering::then);
        let number = |digits: &str| digits.trim_start_matches('0').to_owned();
        let (number_a, number_b) = (number(take(&mut a, u8::is_ascii_digit)), number(take(&mut b, u8::is_ascii_digit)));
        let numbers = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(&number_b));
        match texts.then(numbers) {
            Ordering::Equal => {}
            different => return different,
        }
    }
    Ordering::Equal
}

/// Cuts off the longest beginning whose bytes are all `wanted`: digits or not, so that the cut is never inside a character.
fn take<'a>(text: &mut &'a str, wanted: impl Fn(&u8) -> bool) -> &'a str {
    let end = text.bytes().position(|byte| !wanted(&byte)).unwrap_or(text.len());
    let (taken, rest) = text.split_at(end);
    *text = rest;
    taken
}

fn order(byte: Option<&u8>) -> i32 {
    match byte {
        None => 0,
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_policy_says() {
        let ascending = [
            "0~",
            "0",
            "0.9",
            "1.0~~",
            "1.0~~a",
            "1.0~",
            "1.0",
            "1.0-1~bpo1",
            "1.0-1",
            "1.0-1+b2",
            "1.0-1+b10",
            "1.0a",
            "1.0+dfsg",
            "1.0.1",
            "1.2",
            "1.10",
            "12",
            "1:0.1",
            "2:0",
        ];
        for (index, earlier) in ascending.iter().enumerate() {
            assert_eq!(compare(earlier, earlier), Ordering::Equal);
            for later in &ascending[index + 1..] {
                assert_eq!(compare(earlier, later), Ordering::Less, "{earlier} {later}");
                assert_eq!(compare(later, earlier), Ordering::Greater, "{earlier} {later}");
            }
        }
    }

    #[test]
    fn leading_zeros_and_a_zero_epoch_say_nothing() {
        assert_eq!(compare("1.05", "1.5"), Ordering::Equal);
        assert_eq!(compare("0:1", "1"), Ordering::Equal);
        assert_eq!(compare("1.0", "1.0-0"), Ordering::Equal);
    }

    proptest::proptest! {
        #[test]
        fn the_order_is_total(a in "\\PC{0,12}", b in "[0-9a-z.~+:-]{0,12}") {
            proptest::prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            proptest::prop_assert_eq!(compare(&a, &a), Ordering::Equal);
        }
    }
}
