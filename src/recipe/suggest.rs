//! "Did you mean": names near to one that does not exist.

use std::fmt;

/// How many suggestions are worth reading.
const MOST: usize = 3;

/// Up to three of `candidates` that `name` may be a misspelling of, best first.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let wanted = name.to_lowercase();
    let mut scored: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let there = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&wanted, &there);
            let close = distance <= 1 + wanted.chars().count().max(there.chars().count()) / 5;
            // A part of a name is often what people type: `six` for `site-packages.six`.
            let part = wanted.len() >= 3 && there.contains(&wanted);
            (close || part).then_some((if close { distance } else { distance + 100 }, candidate))
        })
        .collect();
    scored.sort_unstable();
    scored.dedup();
    scored.into_iter().take(MOST).map(|(_, candidate)| candidate.to_owned()).collect()
}

/// Prints `; did you mean …?`, or nothing if there is nothing to suggest.
pub(super) struct DidYouMean<'a>(pub &'a [String]);

impl fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            write!(f, "{}`{name}`", if index == 0 { "; did you mean " } else { " or " })?;
        }
        if self.0.is_empty() { Ok(()) } else { f.write_str("?") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspellings_and_parts_are_found() {
        let targets = ["runtime", "libpython", "site-packages.six", "site-packages.numpy"];
        assert_eq!(nearest("runtme", targets), ["runtime"]);
        assert_eq!(nearest("Runtime", targets), ["runtime"]);
        assert_eq!(nearest("six", targets), ["site-packages.six"]);
        assert_eq!(nearest("site-packages.sxi", targets), ["site-packages.six"]);
        assert!(nearest("toolchain", targets).is_empty());
    }

    #[test]
    fn the_question_reads_well() {
        assert_eq!(DidYouMean(&["a".into(), "b".into()]).to_string(), "; did you mean `a` or `b`?");
        assert_eq!(DidYouMean(&[]).to_string(), "");
    }
}
