//! A project's page on a Python package index: PEP 691 JSON, or the HTML of PEP 503 that older mirrors serve.
//!
//! In: the page as a stream. Out: its files, one at a time, to a callback; of the JSON form nothing else is held, so that a project
//! with a hundred thousand files costs no more memory than one with a single one.

use std::fmt;
use std::io::Read;

use html5gum::{Token, Tokenizer};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::Sha256;
use crate::net::{Address, Trouble, unescape};

/// What kiln asks an index for, best first.
pub(super) const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// No page may be longer than this once it is decoded.
pub(super) const LONGEST_PAGE: u64 = 256 << 20;

/// No HTML page, which is held whole, may be longer than this.
const LONGEST_HTML: u64 = 32 << 20;

/// One file of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IndexFile {
    pub(super) name: String,
    /// As it stands on the page: perhaps relative.
    pub(super) url: String,
    /// What it is relative to, if that is not the page.
    pub(super) base: Option<String>,
    pub(super) sha256: Option<Sha256>,
    pub(super) size: Option<u64>,
}

/// The name under which an index lists a project (PEP 503).
pub(in crate::build) fn normalized(project: &str) -> String {
    let mut name = String::with_capacity(project.len());
    for character in project.chars() {
        let character = if matches!(character, '-' | '_' | '.') { '-' } else { character.to_ascii_lowercase() };
        if character != '-' || !name.ends_with('-') {
            name.push(character);
        }
    }
    name
}

/// Reads a page.
///
/// # Errors
/// If it is no such page, or breaks off.
pub(super) fn read(page: impl Read, content_type: &str, found: &mut dyn FnMut(IndexFile)) -> Result<(), Trouble> {
    let kind = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if kind.ends_with("json") {
        let mut reader = serde_json::Deserializer::from_reader(std::io::BufReader::with_capacity(64 << 10, page.take(LONGEST_PAGE)));
        return Page(found).deserialize(&mut reader).map_err(|error| match error.classify() {
            serde_json::error::Category::Io | serde_json::error::Category::Eof => Trouble::passing(format!("its page breaks off: {error}")),
            _ => Trouble::Refused(format!("its page is no project index: {error}")),
        });
    }
    if kind.contains("html") {
        let mut bytes = Vec::new();
        page.take(LONGEST_HTML + 1).read_to_end(&mut bytes).map_err(|error| Trouble::passing(format!("its page breaks off: {error}")))?;
        if bytes.len() as u64 > LONGEST_HTML {
            return Err(Trouble::Refused("its page is too long".to_owned()));
        }
        read_html(&String::from_utf8_lossy(&bytes), found);
        return Ok(());
    }
    Err(Trouble::Refused(format!("it answers with `{kind}`, which is no project index")))
}

/// The JSON document: all keys but `files` are skipped.
struct Page<'a>(&'a mut dyn FnMut(IndexFile));

impl<'de> DeserializeSeed<'de> for Page<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Page<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the key `files`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "files" {
                map.next_value_seed(Files(&mut *self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The list under `files`.
struct Files<'a>(&'a mut dyn FnMut(IndexFile));

impl<'de> DeserializeSeed<'de> for Files<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Files<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of files")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element::<Entry>()? {
            (self.0)(IndexFile {
                name: entry.filename,
                url: entry.url,
                base: None,
                sha256: entry.hashes.sha256.and_then(|text| text.parse().ok()),
                size: entry.size,
            });
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Entry {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: Hashes,
    #[serde(default)]
    size: Option<u64>,
}

#[derive(Default, Deserialize)]
struct Hashes {
    #[serde(default)]
    sha256: Option<String>,
}

/// Every `<a href="…/name#sha256=…">`.
fn read_html(text: &str, found: &mut dyn FnMut(IndexFile)) {
    // The first one counts, for what stands before it, too.
    let base = hrefs(text, b"base").next();
    for href in hrefs(text, b"a") {
        let (url, fragment) = href.split_once('#').unwrap_or((href.as_str(), ""));
        let path = url.split('?').next().unwrap_or("");
        let name = unescape(path.rsplit('/').next().unwrap_or(""));
        if name.is_empty() {
            continue;
        }
        let sha256 = fragment.split('&').find_map(|part| part.strip_prefix("sha256=")).and_then(|text| text.parse().ok());
        found(IndexFile { name, url: url.to_owned(), base: base.clone(), sha256, size: None });
    }
}

/// Where the elements of this name lead, without the blanks around it.
fn hrefs<'a>(text: &'a str, element: &'a [u8]) -> impl Iterator<Item = String> + 'a {
    Tokenizer::new(text).flatten().filter_map(move |token| match token {
        Token::StartTag(tag) if tag.name.as_slice() == element => {
            let href = tag.attributes.get(b"href".as_slice())?;
            Some(String::from_utf8_lossy(&href.value).trim().to_owned())
        }
        _ => None,
    })
}

/// The page of `project` below an index.
pub(super) fn page_of(index: &Address, project: &str) -> Address {
    index.below(&format!("{}/", normalized(project)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(page: &str, content_type: &str) -> Result<Vec<IndexFile>, String> {
        let mut all = Vec::new();
        read(page.as_bytes(), content_type, &mut |file| all.push(file)).map_err(|trouble| format!("{trouble:?}"))?;
        Ok(all)
    }

    #[test]
    fn names_are_normalized() {
        assert_eq!(normalized("Foo.-_Bar"), "foo-bar");
        assert_eq!(normalized("six"), "six");
    }

    #[test]
    fn the_json_page_gives_its_files() {
        let hash = Sha256::of(b"x");
        let page = format!(
            r#"{{"meta":{{"api-version":"1.1"}},"name":"six","files":[{{"filename":"six-1.tar.gz","url":"../x/six-1.tar.gz","hashes":{{"sha256":"{hash}","md5":"0"}},"size":7,"requires-python":">=2","yanked":false}},{{"filename":"six-2.whl","url":"https://h/six-2.whl","hashes":{{}},"yanked":"broken"}}],"versions":["1"]}}"#
        );
        let files = files(&page, "application/vnd.pypi.simple.v1+json; charset=utf-8").unwrap();
        assert_eq!(
            files[0],
            IndexFile { name: "six-1.tar.gz".into(), url: "../x/six-1.tar.gz".into(), base: None, sha256: Some(hash), size: Some(7) }
        );
        assert_eq!((files[1].sha256, files[1].size), (None, None));
    }

    #[test]
    fn the_html_page_gives_its_files() {
        let hash = Sha256::of(b"x");
        let page = format!(
            "<!DOCTYPE html><html><body><h1>Links</h1><a href=\"../../p/six-1.0%2Blocal.tar.gz#sha256={hash}\" data-requires-python=\"&gt;=2\">six-1.0+local.tar.gz</a><br/>\n<A class=x HREF='six-2.whl?a=1&amp;b=2' data-yanked=\"\">six</A><a name=top></a><a href=''>x</a><abbr href='no'>"
        );
        let files = files(&page, "text/html; charset=UTF-8").unwrap();
        assert_eq!(files.len(), 2);
        assert_eq!((files[0].name.as_str(), files[0].sha256), ("six-1.0+local.tar.gz", Some(hash)));
        assert_eq!((files[1].name.as_str(), files[1].url.as_str()), ("six-2.whl", "six-2.whl?a=1&b=2"));
    }

    #[test]
    fn the_html_page_is_read_as_pip_reads_it() {
        let hash = Sha256::of(b"x");
        for (page, url) in [
            (format!("<a href=\"p-1&#43;l.tar.gz#sha256={hash}\">p</a>"), "p-1+l.tar.gz"),
            (format!("<a href=\"p-1&plus;l.tar.gz&num;sha256={hash}\">p</a>"), "p-1+l.tar.gz"),
            (format!("<a data-requires-python=\">=3.6\" href=\"p-1%2Bl.tar.gz#sha256={hash}\">p</a>"), "p-1%2Bl.tar.gz"),
            (format!("<a href=\"\n  p-1%2Bl.tar.gz#sha256={hash}\n\">p</a>"), "p-1%2Bl.tar.gz"),
            (
                format!("<base href=\"http://h.example/files/\"><base href='http://o.example/'><a href=p-1%2Bl.tar.gz#sha256={hash}>p</a>"),
                "p-1%2Bl.tar.gz",
            ),
            (format!("<!-- <a href='no'> --><a href='p-1+l.tar.gz#sha256={hash}'>"), "p-1+l.tar.gz"),
        ] {
            let files = files(&page, "text/html").unwrap();
            assert_eq!(files.len(), 1, "{page}");
            assert_eq!((files[0].name.as_str(), files[0].url.as_str(), files[0].sha256), ("p-1+l.tar.gz", url, Some(hash)), "{page}");
            assert_eq!(files[0].base.as_deref(), page.contains("<base").then_some("http://h.example/files/"), "{page}");
        }
    }

    #[test]
    fn other_pages_are_refused_with_a_reason() {
        assert!(files("{", "application/json").unwrap_err().contains("breaks off"));
        assert!(files("[]", "application/json").unwrap_err().contains("no project index"));
        assert!(files("x", "text/plain").unwrap_err().contains("`text/plain`"));
    }

    proptest::proptest! {
        #[test]
        fn no_page_makes_the_reader_fall_over(page in ".{0,200}", tags in "(<a [ a-z='\"#/&;]{0,20}>?){0,5}") {
            let _ = files(&page, "application/json");
            let _ = files(&tags, "text/html");
            let _ = files(&page, "text/html");
        }
    }
}
