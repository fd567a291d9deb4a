//! `kiln lock debian`: names → the closure of packages, through apt.
//!
//! 1. Sources: those of `kiln.toml`, then apt's own of a release's `main`. Security and updates suites are left out: they drop what they
//!    replace, and the lock would break.
//! 2. apt reads the signed lists of the first source that works, and must not call the release testing or unstable.
//! 3. apt, with nothing installed, says which files it would install, with their SHA-256 from the signed lists.
//! 4. Versions, paths and dependencies come from the same lists, matched by SHA-256.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use super::LockError;
use super::apt::{PrivateApt, Source};
use super::closure::{self, Listed};
use super::document::{DebianLock, DebianPackage, LOCK_VERSION};
use super::version;
use crate::build::fetch::{Mirrors, paragraphs};
use crate::fsio::IoResultExt;
use crate::model::Sha256;

/// Where Debian's own keys lie if a source of `kiln.toml` is asked and apt's sources name none.
const DEBIAN_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// How many near names an error offers.
const SUGGESTIONS: usize = 3;

/// How to write a lock of Debian packages.
#[derive(Clone, Debug)]
pub struct DebianLockOptions {
    /// The release's code name, such as `bookworm`; `None` takes the machine's own.
    pub suite: Option<String>,
    /// The architecture, as Debian calls it.
    pub architecture: String,
    /// Where apt keeps its lists between runs; made if it is not there. `None` uses a temporary directory.
    pub state_dir: Option<PathBuf>,
}

impl Default for DebianLockOptions {
    fn default() -> Self {
        Self { suite: None, architecture: "amd64".to_owned(), state_dir: None }
    }
}

/// Asks apt which packages `requested` needs, all of them of `main` of one release.
///
/// # Errors
/// If apt is missing or fails, no source is configured, a package is unknown, or the release is one whose pool still moves.
pub fn lock_debian(requested: &[String], options: &DebianLockOptions, mirrors: &Mirrors) -> Result<DebianLock, LockError> {
    let requested: BTreeSet<&str> = requested.iter().map(String::as_str).collect();
    if requested.is_empty() {
        return Err(LockError::Nothing);
    }
    let words = requested.iter().copied().chain([options.architecture.as_str()]).chain(options.suite.as_deref());
    if let Some(bad) = words.into_iter().find(|word| !is_name(word)) {
        return Err(LockError::BadName(bad.to_owned()));
    }
    let sources = sources(options.suite.as_deref(), mirrors)?;
    let temporary = tempfile::Builder::new().prefix("kiln-lock-").tempdir().at("create a directory in", std::env::temp_dir())?;
    let dir = options.state_dir.clone().unwrap_or_else(|| temporary.path().join("apt"));
    let apt = PrivateApt::new(&dir, &options.architecture, mirrors.machine())?;
    update_any(&apt, &sources, "deb", &options.architecture)?;
    let suite = release(&apt)?;
    check_names(&apt, &requested, &suite)?;
    let packages = resolve(&apt, &requested)?;
    let requested = requested.into_iter().map(str::to_owned).collect();
    Ok(DebianLock { version: LOCK_VERSION, suite, architecture: options.architecture.clone(), requested, packages })
}

/// What may stand on apt's command line: no options, no patterns, no `name/release`.
fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let starts = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    starts && text.len() > 1 && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte))
}

/// The sources to try, best first.
fn sources(suite: Option<&str>, mirrors: &Mirrors) -> Result<Vec<Source>, LockError> {
    let mut own: Vec<_> = mirrors.apt_sources()?.into_iter().filter(|source| source.binary && source.is_release_main()).collect();
    // Strangers that also have a `main` come last.
    own.sort_by_key(|source| source.signed_by.as_ref().is_some_and(|keys| !keys.contains("debian-archive")));
    let configured = mirrors.configured_debian();
    if own.is_empty() && configured.is_empty() {
        return Err(LockError::NoSource);
    }
    let suite = suite.or_else(|| own.first().map(|source| source.suite.as_str())).ok_or(LockError::NoSuite)?.to_owned();
    let keys = own.first().and_then(|source| source.signed_by.clone());
    let keys = keys.or_else(|| mirrors.machine().path(DEBIAN_KEYS).exists().then(|| DEBIAN_KEYS.to_owned()));
    let of_config = configured.iter().map(|uri| (uri.trim_end_matches('/').to_owned(), keys.clone()));
    let mut sources: Vec<Source> = Vec::new();
    for (uri, signed_by) in of_config.chain(own.iter().map(|source| (source.uri.clone(), source.signed_by.clone()))) {
        if !sources.iter().any(|known| known.uri == uri) && !uri.contains(char::is_whitespace) {
            sources.push(Source { uri, suite: suite.clone(), signed_by });
        }
    }
    Ok(sources)
}

/// Reads the lists of the first source that works.
fn update_any(apt: &PrivateApt<'_>, sources: &[Source], kind: &str, architecture: &str) -> Result<(), LockError> {
    let mut first_error = None;
    for source in sources {
        match apt.update(source, kind, architecture) {
            Ok(()) => return Ok(()),
            Err(error @ LockError::AptFailed { .. }) => first_error = first_error.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    Err(first_error.unwrap_or(LockError::NoSource))
}

/// The release's code name.
fn release(apt: &PrivateApt<'_>) -> Result<String, LockError> {
    let format = "$(CODENAME) $(SUITE)";
    let targets = apt.run("apt-get", &["indextargets", "--format", format, "Created-By: Packages"], "name the release")?;
    let mut words = targets.lines().next().unwrap_or("").split_whitespace();
    let Some(suite) = words.next() else {
        return Err(LockError::Inconsistent("apt does not say which release its lists are of".to_owned()));
    };
    let archive = words.next().unwrap_or("");
    if ["testing", "unstable", "experimental"].contains(&archive) || ["sid", "rc-buggy"].contains(&suite) {
        return Err(LockError::MovingSuite { suite: suite.to_owned(), archive: archive.to_owned() });
    }
    Ok(suite.to_owned())
}

/// Refuses names that the release does not have, with near ones.
fn check_names(apt: &PrivateApt<'_>, requested: &BTreeSet<&str>, suite: &str) -> Result<(), LockError> {
    let known = apt.run("apt-cache", &["pkgnames"], "list its packages")?;
    let known: BTreeSet<&str> = known.lines().collect();
    let Some(name) = requested.iter().find(|name| !known.contains(**name)) else { return Ok(()) };
    let mut near: Vec<(usize, &str)> = known.iter().map(|other| (strsim::damerau_levenshtein(name, other), *other)).collect();
    near.retain(|(distance, _)| *distance <= 1 + name.len() / 4);
    near.sort_unstable();
    let suggestions = near.into_iter().take(SUGGESTIONS).map(|(_, other)| other.to_owned()).collect();
    Err(LockError::UnknownPackage { name: (*name).to_owned(), suite: suite.to_owned(), suggestions })
}

/// glibc, and the package that has its locale `C.UTF-8`. Every build runs in that locale, but no package declares that it needs it: in Debian it is
/// essential, so it is always there.
const GLIBC: &str = "libc6";
const LOCALE: &str = "libc-bin";

/// The closure of `requested`; a root that has glibc has its locale, too.
fn resolve(apt: &PrivateApt<'_>, requested: &BTreeSet<&str>) -> Result<BTreeMap<String, DebianPackage>, LockError> {
    let packages = closure_of(apt, requested)?;
    let mut packages = if packages.contains_key(GLIBC) && !packages.contains_key(LOCALE) {
        closure_of(apt, &requested.iter().copied().chain([LOCALE]).collect())?
    } else {
        packages
    };
    if packages.contains_key(LOCALE) {
        add_locale(&mut packages);
    }
    Ok(packages)
}

fn add_locale(packages: &mut BTreeMap<String, DebianPackage>) {
    if let Some(glibc) = packages.get_mut(GLIBC).filter(|glibc| !glibc.depends.iter().any(|name| name == LOCALE)) {
        glibc.depends.push(LOCALE.to_owned());
        glibc.depends.sort();
    }
}

fn closure_of(apt: &PrivateApt<'_>, requested: &BTreeSet<&str>) -> Result<BTreeMap<String, DebianPackage>, LockError> {
    let mut arguments = vec!["install", "--print-uris", "-y", "-qq", "--"];
    arguments.extend(requested);
    let chosen = apt.run("apt-get", &arguments, "find the packages that these need")?;
    let chosen: BTreeMap<String, Chosen> = chosen.lines().map(parse_uri_line).collect::<Result<_, _>>()?;
    if let Some(missing) = requested.iter().find(|name| !chosen.contains_key(**name)) {
        return Err(LockError::Inconsistent(format!("apt did not choose `{missing}`, which was asked for")));
    }
    let mut arguments = vec!["show", "--"];
    arguments.extend(chosen.keys().map(String::as_str));
    let shown = apt.run("apt-cache", &arguments, "describe the packages")?;
    assemble(&chosen, &shown)
}

/// A file of a Debian source package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DebianSourceFile {
    /// Its place in the archive, as `fetch_debian` takes it.
    pub pool_path: String,
    /// Bytes.
    pub size: u64,
    /// Its hash, of the signed lists.
    pub sha256: Sha256,
}

/// The files of a Debian source package in `main` of one release, by apt, which checks the lists' signature.
///
/// # Errors
/// As [`lock_debian`].
pub fn lock_debian_source(name: &str, options: &DebianLockOptions, mirrors: &Mirrors) -> Result<Vec<DebianSourceFile>, LockError> {
    if !is_name(name) {
        return Err(LockError::BadName(name.to_owned()));
    }
    let temporary = tempfile::Builder::new().prefix("kiln-lock-").tempdir().at("create a directory in", std::env::temp_dir())?;
    let dir = options.state_dir.clone().unwrap_or_else(|| temporary.path().join("apt"));
    let apt = PrivateApt::new(&dir, &options.architecture, mirrors.machine())?;
    update_any(&apt, &sources(options.suite.as_deref(), mirrors)?, "deb-src", &options.architecture)?;
    let shown = apt.run("apt-cache", &["showsrc", "--only-source", "--", name], &format!("find the source package `{name}`"))?;
    let files = source_files(&shown, name)?;
    if files.is_empty() {
        return Err(LockError::UnknownSource { name: name.to_owned() });
    }
    Ok(files)
}

/// The files of the newest version of a source package that `apt-cache showsrc` lists.
fn source_files(shown: &str, name: &str) -> Result<Vec<DebianSourceFile>, LockError> {
    let all = paragraphs(shown);
    let of_name = all.iter().filter(|fields| fields.get("package").is_some_and(|package| package == name));
    let version = |fields: &&BTreeMap<String, String>| fields.get("version").cloned().unwrap_or_default();
    let Some(newest) = of_name.max_by(|one, other| version::compare(&version(one), &version(other))) else { return Ok(Vec::new()) };
    let directory = newest.get("directory").map(String::as_str).unwrap_or("");
    let sums = newest.get("checksums-sha256").map(String::as_str).unwrap_or("");
    let file = |line: &str| {
        let mut words = line.split_whitespace();
        let (sha256, size, file) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?);
        let plain =
            !file.contains('/') && directory.starts_with("pool/") && !directory.split('/').any(|part| ["", ".", ".."].contains(&part));
        plain.then(|| DebianSourceFile { pool_path: format!("{directory}/{file}"), size, sha256 })
    };
    sums.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            file(line).ok_or_else(|| LockError::Inconsistent(format!("the lists describe a file of `{name}` as `{}`", line.trim())))
        })
        .collect()
}

/// A file that apt would install.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chosen {
    size: u64,
    sha256: Sha256,
}

/// Reads `'address' name_version_arch.deb size SHA256:hash`.
fn parse_uri_line(line: &str) -> Result<(String, Chosen), LockError> {
    let parse = || {
        let (_, rest) = line.strip_prefix('\'')?.split_once("' ")?;
        let mut words = rest.split_whitespace();
        let name = words.next()?.split('_').next()?.to_owned();
        let size = words.next()?.parse().ok()?;
        let sha256 = words.next()?.strip_prefix("SHA256:")?.parse().ok()?;
        Some((name, Chosen { size, sha256 }))
    };
    parse().ok_or_else(|| LockError::Inconsistent(format!("apt printed `{line}`, where a file with its SHA-256 was expected")))
}

/// Joins what apt chose with what its lists say about it.
fn assemble(chosen: &BTreeMap<String, Chosen>, shown: &str) -> Result<BTreeMap<String, DebianPackage>, LockError> {
    let mut listed = BTreeMap::new();
    let mut paths = BTreeMap::new();
    for fields in paragraphs(shown) {
        let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or("");
        let (name, sha256) = (field("package"), field("sha256"));
        let Some(wanted) = chosen.get(name).filter(|wanted| wanted.sha256.hex() == sha256.to_ascii_lowercase()) else { continue };
        let path = field("filename").trim_start_matches("./");
        let odd = |part: &str| part.is_empty() || part == "." || part == "..";
        if !path.starts_with("pool/") || path.split('/').any(odd) {
            return Err(LockError::Inconsistent(format!("the lists say that `{name}` lies at `{path}`, which is no path in a pool")));
        }
        listed.insert(name.to_owned(), Listed::of(&fields));
        paths.insert(name.to_owned(), (path.to_owned(), wanted.clone()));
    }
    if let Some(missing) = chosen.keys().find(|name| !listed.contains_key(*name)) {
        return Err(LockError::Inconsistent(format!("apt chose `{missing}`, but its lists do not describe that file")));
    }
    let mut depends = closure::dependencies(&listed)?;
    let package = |(name, (path, chosen)): (String, (String, Chosen))| {
        let version = listed.get(&name).map(|package| package.version.clone()).unwrap_or_default();
        let depends = depends.remove(&name).unwrap_or_default();
        (name, DebianPackage { version, path, size: chosen.size, sha256: chosen.sha256, depends })
    };
    Ok(paths.into_iter().map(package).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_reach_apts_command_line() {
        for good in ["g++", "libc++-14-dev-wasm32", "7zip", "lib2to3.1"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a", "-y", "--allow-unauthenticated", "dash=1", "dash/sid", "dash:i386", "lib*", "^lib", "Dash", "a b", "../x"] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn apts_lines_are_read_and_others_refused() {
        let hash = Sha256::of(b"x");
        let (name, chosen) =
            parse_uri_line(&format!("'http://h/d/pool/main/d/dash/dash_0.5%2b_amd64.deb' dash_0.5+_amd64.deb 91848 SHA256:{hash}"))
                .unwrap();
        assert_eq!((name.as_str(), chosen), ("dash", Chosen { size: 91_848, sha256: hash }));
        for bad in ["", "'http://h/x.deb' x_1_all.deb 5 MD5Sum:00", "'http://h/x.deb' x_1_all.deb 5", "E: no"] {
            assert!(parse_uri_line(bad).is_err(), "{bad}");
        }
    }

    fn shown(name: &str, path: &str, hash: Sha256) -> String {
        format!(
            "Package: {name}\nVersion: 1-1\nDepends: libc6 | missing\nDescription: x\n .\n # x\nFilename: {path}\nSize: 1\nSHA256: {hash}\n\n"
        )
    }

    #[test]
    fn what_was_chosen_is_joined_with_the_lists_by_its_digest() {
        let (dash, libc) = (Sha256::of(b"dash"), Sha256::of(b"libc"));
        let chosen = |hash| Chosen { size: 1, sha256: hash };
        let all = BTreeMap::from([("dash".to_owned(), chosen(dash)), ("libc6".to_owned(), chosen(libc))]);
        let text = shown("dash", "pool/main/d/dash_0.deb", Sha256::of(b"older")) + &shown("dash", "pool/main/d/dash_1.deb", dash);
        let packages = assemble(&all, &(text.clone() + &shown("libc6", "pool/main/g/libc6.deb", libc))).unwrap();
        assert_eq!(packages["dash"].path, "pool/main/d/dash_1.deb");
        assert_eq!((packages["dash"].depends.as_slice(), packages["libc6"].depends.len()), (&["libc6".to_owned()][..], 0));
        assert!(assemble(&all, &text).unwrap_err().to_string().contains("`libc6`"));
        let leaving = text + &shown("libc6", "pool/../../etc/passwd", libc);
        assert!(assemble(&all, &leaving).unwrap_err().to_string().contains("no path in a pool"));
    }

    #[test]
    fn a_root_with_glibc_has_its_locale() {
        let package = |depends: &[&str]| DebianPackage {
            version: "1".to_owned(),
            path: "pool/x".to_owned(),
            size: 1,
            sha256: Sha256::of(b"x"),
            depends: depends.iter().map(|name| (*name).to_owned()).collect(),
        };
        let mut packages = BTreeMap::from([("libc6".to_owned(), package(&["libgcc-s1"])), ("libc-bin".to_owned(), package(&["libc6"]))]);
        add_locale(&mut packages);
        add_locale(&mut packages);
        assert_eq!(packages["libc6"].depends, ["libc-bin", "libgcc-s1"]);
    }

    #[test]
    fn the_files_of_the_newest_source_are_listed_with_their_places() {
        let (one, two) = (Sha256::of(b"one"), Sha256::of(b"two"));
        let paragraph = |version: &str, directory: &str| {
            let sums = format!("Checksums-Sha256:\n {one} 3 hello_{version}.orig.tar.gz\n {two} 3 hello_{version}-1.dsc\n");
            format!("Package: hello\nVersion: {version}-1\nDirectory: {directory}\n{sums}\n")
        };
        let shown = paragraph("2.10", "pool/main/h/hello") + &paragraph("2.9", "pool/main/h/hello");
        let files = source_files(&shown, "hello").unwrap();
        let names: Vec<_> = files.iter().map(|file| (file.pool_path.as_str(), file.size, file.sha256)).collect();
        assert_eq!(names, [("pool/main/h/hello/hello_2.10.orig.tar.gz", 3, one), ("pool/main/h/hello/hello_2.10-1.dsc", 3, two)]);
        assert!(source_files(&shown, "other").unwrap().is_empty());
        assert!(source_files(&paragraph("1", "pool/../../etc"), "hello").is_err());
    }
}
