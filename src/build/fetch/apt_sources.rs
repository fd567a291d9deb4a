//! apt's list of sources, in both of its formats.
//!
//! In: `/etc/apt/sources.list`, `sources.list.d/*.list` (one line each) and `*.sources` (paragraphs). Out: every enabled source, one
//! [`AptSource`] per type, address and suite, in apt's order. `mirror+file:` lists are followed; CD-ROMs and other transports are left out.

use std::collections::BTreeMap;

use crate::fsio::PathError;
use crate::net::Machine;

/// One enabled source of apt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AptSource {
    /// Whether it lists packages (`deb`) rather than sources (`deb-src`).
    pub binary: bool,
    /// Where the archive lies, without a trailing slash.
    pub uri: String,
    /// The suite, such as `bookworm`.
    pub suite: String,
    /// The components, such as `main`.
    pub components: Vec<String>,
    /// `Signed-By` as it was written: paths, fingerprints or a key.
    pub signed_by: Option<String>,
}

impl AptSource {
    /// Whether this is the `main` of a release itself, rather than of its security fixes, updates or backports.
    pub fn is_release_main(&self) -> bool {
        let moving = ["-security", "/updates", "-updates", "-backports", "-proposed", "-sloppy"];
        self.components.iter().any(|component| component == "main") && !moving.iter().any(|suffix| self.suite.contains(suffix))
    }

    /// How likely Debian's own pool lies here: 0 is most likely. `None` if this cannot be a Debian archive.
    pub(super) fn rank(&self) -> Option<u8> {
        let has_main = self.components.iter().any(|component| component == "main");
        let foreign = self.signed_by.as_ref().is_some_and(|keys| !keys.contains("debian-archive"));
        has_main.then_some(u8::from(!self.is_release_main()) + 2 * u8::from(foreign))
    }
}

/// All enabled sources of this machine.
///
/// # Errors
/// If a list is there and cannot be read.
pub(super) fn sources(machine: &Machine) -> Result<Vec<AptSource>, PathError> {
    let mut found = Vec::new();
    if let Some(text) = machine.read("/etc/apt/sources.list")? {
        read_lines(&text, &mut found);
    }
    for file in machine.list("/etc/apt/sources.list.d") {
        let Some(extension) = file.extension().and_then(|extension| extension.to_str()) else { continue };
        let read = match extension {
            "list" => read_lines,
            "sources" => read_paragraphs,
            _ => continue,
        };
        if let Some(text) = machine.read(&file)? {
            read(&text, &mut found);
        }
    }
    expand(machine, found)
}

/// Replaces `mirror+file:` by what the file lists, and drops transports that kiln does not speak.
fn expand(machine: &Machine, found: Vec<AptSource>) -> Result<Vec<AptSource>, PathError> {
    let mut sources = Vec::new();
    for source in found {
        let uris = match source.uri.strip_prefix("mirror+file:") {
            Some(path) => {
                let path = format!("/{}", path.trim_start_matches('/'));
                let list = machine.read(path)?.unwrap_or_default();
                let first_word = |line: &str| line.split_whitespace().next().map(str::to_owned);
                list.lines().filter_map(first_word).filter(|word| !word.starts_with('#')).collect()
            }
            None => vec![source.uri.clone()],
        };
        let spoken = |uri: &String| ["http:", "https:", "file:", "copy:"].iter().any(|scheme| uri.starts_with(scheme));
        let one = |uri: String| AptSource { uri: uri.trim_end_matches('/').to_owned(), ..source.clone() };
        sources.extend(uris.into_iter().filter(spoken).map(one));
    }
    Ok(sources)
}

/// `deb [option=value …] uri suite component…`
fn read_lines(text: &str, found: &mut Vec<AptSource>) {
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or("").trim();
        let Some((kind, rest)) = line.split_once(char::is_whitespace) else { continue };
        let (options, rest) = match rest.trim_start().strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some(split) => split,
                None => continue,
            },
            None => ("", rest),
        };
        let mut words = rest.split_whitespace().map(str::to_owned);
        let (Some(uri), Some(suite)) = (words.next(), words.next()) else { continue };
        let options: BTreeMap<String, &str> = options
            .split_whitespace()
            .filter_map(|option| option.split_once('='))
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect();
        let signed_by = options.get("signed-by").map(|value| (*value).to_owned());
        push(found, kind, uri, suite, words.collect(), signed_by);
    }
}

/// Paragraphs of `Field: value`, as in `debian.sources`.
fn read_paragraphs(text: &str, found: &mut Vec<AptSource>) {
    for fields in paragraphs(text) {
        let words =
            |name: &str| fields.get(name).map(String::as_str).unwrap_or("").split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let enabled = fields.get("enabled").map_or("yes", String::as_str).trim().to_ascii_lowercase();
        if matches!(enabled.as_str(), "no" | "false" | "without" | "off" | "disable" | "0") {
            continue;
        }
        let signed_by = fields.get("signed-by").cloned().filter(|value| !value.trim().is_empty());
        for kind in words("types") {
            for uri in words("uris") {
                for suite in words("suites") {
                    push(found, &kind, uri.clone(), suite, words("components"), signed_by.clone());
                }
            }
        }
    }
}

fn push(found: &mut Vec<AptSource>, kind: &str, uri: String, suite: String, components: Vec<String>, signed_by: Option<String>) {
    let binary = match kind {
        "deb" => true,
        "deb-src" => false,
        _ => return,
    };
    if !components.is_empty() {
        found.push(AptSource { binary, uri, suite, components, signed_by });
    }
}

/// Splits a control file into paragraphs of lower-cased field → value; a value keeps the line breaks of its continuations.
pub(in crate::build) fn paragraphs(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut all: Vec<BTreeMap<String, String>> = vec![BTreeMap::new()];
    let mut last = String::new();
    for line in text.lines() {
        if line.starts_with('#') {
            continue;
        }
        let Some(fields) = all.last_mut() else { break };
        if line.trim().is_empty() {
            if !fields.is_empty() {
                all.push(BTreeMap::new());
            }
        } else if line.starts_with([' ', '\t']) {
            if let Some(value) = fields.get_mut(&last) {
                value.push('\n');
                value.push_str(line.trim_end());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            last = name.trim().to_ascii_lowercase();
            fields.insert(last.clone(), value.trim().to_owned());
        }
    }
    all.retain(|fields| !fields.is_empty());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Vec<AptSource> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        sources(&Machine::at(root.path(), &[])).unwrap()
    }

    fn summary(sources: &[AptSource]) -> Vec<String> {
        sources.iter().map(|source| format!("{} {} {}", source.uri, source.suite, source.components.join(","))).collect()
    }

    #[test]
    fn one_line_sources_with_options_and_comments() {
        let text = "# deb http://no/ x main\n\
                    deb [ arch=amd64,arm64 signed-by=/k.gpg ] http://a/debian/ bookworm main contrib # comment\n\
                    deb-src http://a/debian bookworm main\n\
                    deb [trusted=yes] http://flat/ ./\n\
                    deb cdrom:[Debian]/ bookworm main\n\
                    rpm http://b/ x main\n\
                    deb [broken http://c/ x main\n";
        let sources = read(&[("etc/apt/sources.list", text)]);
        assert_eq!(summary(&sources), ["http://a/debian bookworm main,contrib", "http://a/debian bookworm main"]);
        assert_eq!(sources[0].signed_by.as_deref(), Some("/k.gpg"));
        assert_eq!((sources[0].binary, sources[1].binary), (true, false));
    }

    #[test]
    fn paragraph_sources_with_several_addresses_and_suites() {
        let text = "Types: deb deb-src\n# Types: no\nURIs: http://a/debian\n  http://b/debian\nsuites: x x-updates\nComponents: main\n\
                    Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ\n -----END PGP PUBLIC KEY BLOCK-----\n\n\n\
                    Enabled: no\nTypes: deb\nURIs: http://off/\nSuites: x\nComponents: main\n";
        let sources = read(&[("etc/apt/sources.list.d/debian.sources", text)]);
        assert_eq!(sources.len(), 8);
        assert_eq!(
            summary(&sources)[..4],
            ["http://a/debian x main", "http://a/debian x-updates main", "http://b/debian x main", "http://b/debian x-updates main"]
        );
        assert!(sources[0].signed_by.as_ref().unwrap().contains("\n mQ\n"));
    }

    #[test]
    fn files_with_other_endings_are_not_read() {
        let line = "deb http://a/ x main\n";
        assert!(read(&[("etc/apt/sources.list.d/a.list.disabled", line), ("etc/apt/sources.list.d/a.sources.save", line)]).is_empty());
        assert_eq!(read(&[("etc/apt/sources.list.d/a.list", line)]).len(), 1);
    }

    #[test]
    fn lists_of_mirrors_are_followed() {
        let sources = read(&[
            ("etc/apt/sources.list", "deb mirror+file:///etc/apt/mirrors/debian.list x main\ndeb mirror://host/list x main\n"),
            ("etc/apt/mirrors/debian.list", "# comment\nhttps://a/debian/\tpriority:1\n\nhttps://b/debian\n"),
        ]);
        assert_eq!(summary(&sources), ["https://a/debian x main", "https://b/debian x main"]);
    }

    #[test]
    fn the_release_itself_comes_before_its_fixes_and_strangers() {
        let source = |suite: &str, component: &str, signed_by: Option<&str>| AptSource {
            binary: true,
            uri: String::new(),
            suite: suite.into(),
            components: vec![component.into()],
            signed_by: signed_by.map(Into::into),
        };
        assert_eq!(source("bookworm", "main", Some("/usr/share/keyrings/debian-archive-keyring.gpg")).rank(), Some(0));
        assert_eq!(source("bookworm-security", "main", None).rank(), Some(1));
        assert_eq!(source("buster/updates", "main", None).rank(), Some(1));
        assert_eq!(source("cloud", "main", Some("/k/cloud.gpg")).rank(), Some(2));
        assert_eq!(source("bookworm", "stable", None).rank(), None);
    }
}
