//! Dependencies among the packages of one lock. Pure: paragraphs of apt's lists in, names out.
//!
//! A dependency may name alternatives (`a | b`), each perhaps with a version, and a name may be virtual: provided by another package.
//! Taken is the first alternative that the lock satisfies, and of several providers the first by name.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::LockError;
use super::version::compare;

/// What apt's lists say about one package, as far as a lock needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) version: String,
    /// `Pre-Depends` and `Depends`: groups of alternatives.
    pub(super) needs: Vec<Vec<Relation>>,
    /// Virtual names, with the version that is provided.
    pub(super) provides: Vec<(String, Option<String>)>,
}

/// A name, perhaps with a condition on its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    name: String,
    /// `<<`, `<=`, `=`, `>=` or `>>`, and a version.
    condition: Option<(String, String)>,
}

impl Listed {
    /// Reads a paragraph of lower-cased fields.
    pub(super) fn of(fields: &BTreeMap<String, String>) -> Self {
        let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or("");
        let groups = [field("pre-depends"), field("depends")].into_iter().flat_map(|text| text.split(','));
        let needs = groups.map(|group| group.split('|').filter_map(Relation::parse).collect::<Vec<_>>());
        let provided = field("provides").split(',').filter_map(Relation::parse);
        Self {
            version: field("version").to_owned(),
            needs: needs.filter(|group| !group.is_empty()).collect(),
            provides: provided.map(|relation| (relation.name, relation.condition.map(|(_, version)| version))).collect(),
        }
    }
}

impl Relation {
    /// Reads `name[:arch] [(op version)]`; `None` for nothing.
    fn parse(text: &str) -> Option<Self> {
        let (name, condition) = match text.split_once('(') {
            Some((name, rest)) => (name, rest.split(')').next()),
            None => (text.split(['[', '<']).next().unwrap_or(""), None),
        };
        let name = name.trim().split(':').next().unwrap_or("").to_owned();
        let condition = condition.and_then(|text| {
            let text = text.trim();
            let digits = text.find(|c: char| !matches!(c, '<' | '=' | '>'))?;
            Some((text[..digits].to_owned(), text[digits..].trim().to_owned()))
        });
        (!name.is_empty()).then_some(Self { name, condition })
    }

    /// Whether `version` meets the condition.
    fn allows(&self, version: &str) -> bool {
        let Some((operator, wanted)) = &self.condition else { return true };
        let order = compare(version, wanted);
        match operator.as_str() {
            "<<" => order == Ordering::Less,
            "<=" | "<" => order != Ordering::Greater,
            "=" => order == Ordering::Equal,
            ">>" => order == Ordering::Greater,
            _ => order != Ordering::Less,
        }
    }
}

impl std::fmt::Display for Relation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.condition {
            Some((operator, version)) => write!(f, "{} ({operator} {version})", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The packages that each package needs directly, sorted, itself left out.
///
/// # Errors
/// If a dependency is not satisfied by any of them: apt's answer was no closure.
pub(super) fn dependencies(listed: &BTreeMap<String, Listed>) -> Result<BTreeMap<String, Vec<String>>, LockError> {
    let mut providers: BTreeMap<&str, Vec<(&str, Option<&str>)>> = BTreeMap::new();
    for (name, package) in listed {
        for (provided, version) in &package.provides {
            providers.entry(provided).or_default().push((name, version.as_deref()));
        }
    }
    let satisfier = |relation: &Relation| -> Option<&str> {
        let real = listed.get_key_value(&relation.name).filter(|(_, package)| relation.allows(&package.version));
        let provided = || {
            let fits = |version: Option<&str>| relation.condition.is_none() || version.is_some_and(|version| relation.allows(version));
            providers.get(relation.name.as_str())?.iter().find(|(_, version)| fits(*version)).map(|(name, _)| *name)
        };
        real.map(|(name, _)| name.as_str()).or_else(provided)
    };
    let mut all = BTreeMap::new();
    for (name, package) in listed {
        let mut depends = Vec::new();
        for group in &package.needs {
            let found = group.iter().find_map(&satisfier).ok_or_else(|| {
                let wanted: Vec<String> = group.iter().map(ToString::to_string).collect();
                LockError::Inconsistent(format!("`{name}` needs {}, which apt did not choose", wanted.join(" or ")))
            })?;
            if found != name {
                depends.push(found.to_owned());
            }
        }
        depends.sort();
        depends.dedup();
        all.insert(name.clone(), depends);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(packages: &[(&str, &str, &str, &str)]) -> BTreeMap<String, Listed> {
        let one = |(name, version, depends, provides): &(&str, &str, &str, &str)| {
            let fields = [("version", version), ("depends", depends), ("provides", provides)];
            let fields = fields.into_iter().map(|(key, value)| (key.to_owned(), (*value).to_owned())).collect();
            ((*name).to_owned(), Listed::of(&fields))
        };
        packages.iter().map(one).collect()
    }

    fn depends(packages: &[(&str, &str, &str, &str)], name: &str) -> Vec<String> {
        dependencies(&listed(packages)).unwrap().remove(name).unwrap()
    }

    #[test]
    fn names_are_found_with_versions_and_architectures() {
        let packages = [("a", "1", "c (>= 2:1.0~), b:any, c", ""), ("b", "1", "", ""), ("c", "2:1.0", "a", "")];
        assert_eq!(depends(&packages, "a"), ["b", "c"]);
        assert_eq!(depends(&packages, "c"), ["a"], "cycles are fine");
    }

    #[test]
    fn the_first_satisfied_alternative_is_taken() {
        let packages = [("a", "1", "missing | old (>> 1) | b", ""), ("old", "1", "", ""), ("b", "1", "", "")];
        assert_eq!(depends(&packages, "a"), ["b"]);
    }

    #[test]
    fn virtual_names_lead_to_their_providers() {
        let packages =
            [("a", "1", "awk, virt (= 3)", ""), ("gawk", "1", "", "awk, virt"), ("w", "1", "", "virt (= 3)"), ("mawk", "1", "", "awk")];
        assert_eq!(depends(&packages, "a"), ["gawk", "w"]);
    }

    #[test]
    fn a_package_that_provides_what_it_needs_does_not_name_itself() {
        assert!(depends(&[("a", "1", "v", "v")], "a").is_empty());
    }

    #[test]
    fn what_nothing_satisfies_is_an_error_that_names_both() {
        let error = dependencies(&listed(&[("a", "1", "b (>= 2) | c", ""), ("b", "1", "", "")])).unwrap_err().to_string();
        assert!(error.contains("`a` needs b (>= 2) or c"), "{error}");
    }
}
