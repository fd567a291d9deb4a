//! Conditional requests and ranges: RFC 9110, sections 13 and 14.

use std::time::{Duration, SystemTime};

use super::request::Headers;

/// What identifies one version of an entry.
#[derive(Debug)]
pub(super) struct Version {
    /// Its entity tag, quotes included; a strong one.
    pub(super) tag: String,
    /// When it was written.
    pub(super) modified: SystemTime,
}

/// Which bytes are wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All.
    Whole,
    /// So many from a place on.
    Part { from: u64, length: u64 },
    /// Bytes that are not there.
    Unsatisfiable,
}

/// Seconds since 1970: what a date of HTTP can say.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

fn date(text: &str) -> Option<u64> {
    httpdate::parse_http_date(text).ok().map(seconds)
}

/// Whether a list of tags names this one. Which of two equal tags is weak does not matter for reading.
fn names(list: &str, tag: &str) -> bool {
    list.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// Whether the client has this version already.
pub(super) fn is_known(headers: &Headers, version: &Version) -> bool {
    match (headers.if_none_match, headers.if_modified_since) {
        (Some(tags), _) => names(tags, &version.tag),
        (None, Some(since)) => date(since).is_some_and(|since| seconds(version.modified) <= since),
        (None, None) => false,
    }
}

/// Which bytes of an entry of `size` bytes are wanted. A range that cannot be understood, or several, ask for the whole.
pub(super) fn wanted(headers: &Headers, version: &Version, size: u64) -> Wanted {
    let Some(range) = headers.range.and_then(|range| range.strip_prefix("bytes=")) else { return Wanted::Whole };
    if !headers.if_range.is_none_or(|condition| condition == version.tag || date(condition) == Some(seconds(version.modified))) {
        return Wanted::Whole;
    }
    parse(range.trim(), size).unwrap_or(Wanted::Whole)
}

fn parse(range: &str, size: u64) -> Option<Wanted> {
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let (first, last) = range.split_once('-')?;
    let (from, to) = match (first, last) {
        ("", last) => (size.saturating_sub(number(last)?), size),
        (first, "") => (number(first)?, size),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            (first, last.saturating_add(1).min(size))
        }
    };
    Some(if from >= to { Wanted::Unsatisfiable } else { Wanted::Part { from, length: to - from } })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version() -> Version {
        Version { tag: "\"a\"".to_owned(), modified: SystemTime::UNIX_EPOCH + Duration::new(784_111_777, 5) }
    }

    fn range(range: &str) -> Wanted {
        wanted(&Headers { range: Some(range), ..Headers::default() }, &version(), 10)
    }

    #[test]
    fn single_ranges_are_understood() {
        assert_eq!(range("bytes=0-0"), Wanted::Part { from: 0, length: 1 });
        assert_eq!(range("bytes=3-"), Wanted::Part { from: 3, length: 7 });
        assert_eq!(range("bytes=-3"), Wanted::Part { from: 7, length: 3 });
        assert_eq!(range("bytes=-30"), Wanted::Part { from: 0, length: 10 });
        assert_eq!(range("bytes=5-99"), Wanted::Part { from: 5, length: 5 });
        for beyond in ["bytes=10-", "bytes=10-11", "bytes=-0"] {
            assert_eq!(range(beyond), Wanted::Unsatisfiable, "{beyond}");
        }
        for odd in
            ["bytes=5-4", "bytes=0-1,3-4", "bytes=x-", "bytes=--1", "bytes=+1-2", "lines=0-1", "bytes=-", "bytes=99999999999999999999-"]
        {
            assert_eq!(range(odd), Wanted::Whole, "{odd}");
        }
    }

    #[test]
    fn a_range_of_another_version_is_none() {
        let asked =
            |condition| wanted(&Headers { range: Some("bytes=0-0"), if_range: Some(condition), ..Headers::default() }, &version(), 10);
        let part = Wanted::Part { from: 0, length: 1 };
        assert_eq!(asked("\"a\""), part);
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), part);
        for other in ["\"b\"", "W/\"a\"", "Sun, 06 Nov 1994 08:49:38 GMT", "x"] {
            assert_eq!(asked(other), Wanted::Whole, "{other}");
        }
    }

    #[test]
    fn tags_come_before_dates() {
        let known = |tags, since| is_known(&Headers { if_none_match: tags, if_modified_since: since, ..Headers::default() }, &version());
        assert!(known(Some("\"b\", W/\"a\""), None) && known(Some("*"), None));
        assert!(known(None, Some("Sun, 06 Nov 1994 08:49:37 GMT")));
        assert!(!known(None, Some("Sun, 06 Nov 1994 08:49:36 GMT")) && !known(None, Some("yesterday")));
        assert!(!known(Some("\"b\""), Some("Sun, 06 Nov 1994 08:49:37 GMT")) && !known(None, None));
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_entry(text in "bytes=[0-9]{0,21}-?[0-9]{0,21}|\\PC{0,20}", size in 0u64..100) {
            match wanted(&Headers { range: Some(&text), ..Headers::default() }, &version(), size) {
                Wanted::Part { from, length } => prop_assert!(length > 0 && from + length <= size),
                Wanted::Whole | Wanted::Unsatisfiable => {}
            }
        }
    }
}
