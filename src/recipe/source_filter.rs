//! `source(..., exclude = [...])`: which paths of a source tree are left out.

use std::collections::BTreeSet;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Decides which paths below a source stay out of it.
///
/// A pattern is matched against the path relative to the source. `*` and `?` do not cross a `/`, `**` does. A pattern without a `/`
/// matches at any depth, as in `.gitignore`. Whatever lies below an excluded directory is excluded too.
#[derive(Clone, Debug)]
pub struct SourceFilter(GlobSet);

/// A pattern that is no glob.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{pattern}` is not a glob pattern: {reason}")]
pub struct SourceFilterError {
    /// The pattern.
    pattern: String,
    /// What is wrong with it.
    reason: String,
}

impl SourceFilter {
    /// Compiles `patterns`.
    ///
    /// # Errors
    /// If one of them is no glob.
    pub fn new(patterns: &BTreeSet<String>) -> Result<Self, SourceFilterError> {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let error = |reason: globset::Error| SourceFilterError { pattern: pattern.clone(), reason: reason.kind().to_string() };
            let trimmed = pattern.trim_end_matches('/');
            let anchored = match trimmed.strip_prefix('/') {
                Some(rest) => rest.to_owned(),
                None if trimmed.contains('/') => trimmed.to_owned(),
                None => format!("**/{trimmed}"),
            };
            set.add(GlobBuilder::new(&anchored).literal_separator(true).build().map_err(error)?);
        }
        let reason = |error: globset::Error| SourceFilterError { pattern: String::new(), reason: error.kind().to_string() };
        Ok(Self(set.build().map_err(reason)?))
    }

    /// Whether `relative`, or a directory it lies in, is excluded.
    pub fn excludes(&self, relative: &Path) -> bool {
        !self.0.is_empty() && relative.ancestors().any(|path| path != Path::new("") && self.0.is_match(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(patterns: &[&str]) -> SourceFilter {
        SourceFilter::new(&patterns.iter().map(|pattern| (*pattern).to_owned()).collect()).unwrap()
    }

    #[test]
    fn a_pattern_without_a_slash_matches_at_any_depth() {
        let filter = filter(&["*.pyc", "__pycache__"]);
        for path in ["a.pyc", "x/y/a.pyc", "__pycache__", "x/__pycache__/deep/file"] {
            assert!(filter.excludes(Path::new(path)), "{path}");
        }
        for path in ["a.py", "x/pycache", "a.pyc.txt"] {
            assert!(!filter.excludes(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_pattern_with_a_slash_is_anchored() {
        let filter = filter(&["docs/*.md", "/top", "a/**/z"]);
        for path in ["docs/x.md", "top", "top/below", "a/b/c/z"] {
            assert!(filter.excludes(Path::new(path)), "{path}");
        }
        for path in ["x/docs/x.md", "docs/deep/x.md", "x/top"] {
            assert!(!filter.excludes(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn without_patterns_nothing_is_excluded() {
        assert!(!filter(&[]).excludes(Path::new("a")));
    }

    #[test]
    fn a_broken_pattern_is_named() {
        let error = SourceFilter::new(&BTreeSet::from(["a[".to_owned()])).unwrap_err();
        assert!(error.to_string().starts_with("`a[` is not a glob pattern"), "{error}");
    }
}
