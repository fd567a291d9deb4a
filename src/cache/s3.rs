//! A cache in a bucket (`s3://`), on any server that speaks S3.
//!
//! An object of a bucket is there whole or not at all. A large entry is sent in parts, one after another, each from the source again if it
//! fails; nothing of it is visible before the last request. When an entry was last read is not known.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use rusty_s3::actions::{CompleteMultipartUpload, CreateMultipartUpload, ListObjectsV2, ListObjectsV2Response, S3Action};

use super::backend::{Backend, Existing, Listed, Reading, Source};
use super::entry::EntryName;
use super::error::CacheError;
use super::location::{Access, S3Place};
use super::parallel::{self, AT_ONCE};
use super::patient::{Failure, Patience};
use super::s3_settings::S3Settings;
use super::web::{Piece, Web, is_worth_asking, under};
use crate::net::{Address, Trouble};

/// How long a signature is good for: a request must begin before that.
const VALID: Duration = Duration::from_secs(3_600);

/// Entries that are longer are sent in parts.
const LARGE: u64 = 32 << 20;

/// A part's length, unless there would be too many.
const PART: u64 = 16 << 20;

/// Parts of an entry at most.
const MOST_PARTS: u64 = 10_000;

/// No page of a listing is longer, nor any other document of a server.
const LONGEST: u64 = 16 << 20;

/// A bucket, or a part of it.
#[derive(Debug)]
pub struct S3 {
    place: S3Place,
    settings: S3Settings,
    web: Web,
}

impl S3 {
    pub(super) fn new(place: &S3Place, access: &Access) -> Result<Self, CacheError> {
        let settings = S3Settings::find(place, access)?;
        let web = Web::new(access.settings.clone(), access.patience.clone(), settings.credentials.is_none());
        Ok(Self { place: place.clone(), settings, web })
    }

    /// The key of an entry, or of a prefix of names.
    fn key(&self, name: &str) -> String {
        if self.place.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.place.prefix) }
    }

    fn failed(&self, failure: Failure, action: &'static str, entry: impl ToString) -> CacheError {
        unsigned(failure).into_error(&self.location(), action, entry)
    }

    fn get_address(&self, key: &str) -> impl Fn() -> Result<Address, Failure> {
        move || address(&self.settings.bucket.get_object(self.settings.credentials.as_ref(), key))
    }

    /// One page of a listing.
    fn page(&self, prefix: &str, flat: bool, token: Option<&str>) -> Result<ListObjectsV2Response, Failure> {
        let at = || {
            let mut action = ListObjectsV2::new(&self.settings.bucket, self.settings.credentials.as_ref());
            action.with_prefix(prefix);
            if flat {
                action.with_delimiter("/");
            }
            if let Some(token) = token {
                action.with_continuation_token(token);
            }
            address(&action)
        };
        let text = self.web.document(&at, &[], LONGEST)?;
        let text = text.ok_or_else(|| Failure::from(Trouble::Refused("it has no such bucket, or does not let it be listed".to_owned())))?;
        let page = ListObjectsV2::parse_response(&String::from_utf8_lossy(&text));
        page.map_err(|error| Failure::Lie(format!("its list cannot be read: {error}")))
    }

    /// What a listing says of an object; none if it is no entry of this cache.
    fn listed(&self, object: rusty_s3::actions::list_objects_v2::ListObjectsContent) -> Result<Option<Listed>, Failure> {
        let name = object.key.strip_prefix(&self.key("")).and_then(|name| name.parse::<EntryName>().ok());
        let Some(name) = name else { return Ok(None) };
        let modified = object.last_modified.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        match (object.size, modified) {
            (Some(size), Some(modified)) => Ok(Some(Listed { name, size, modified: SystemTime::from(modified), read: None })),
            _ => Err(Failure::Lie(format!("it lists {name} without length or time"))),
        }
    }

    /// Those of `names` that some pages of a listing have, and whether these were all pages.
    fn listed_among(&self, names: &[EntryName], pages: usize) -> Result<(HashSet<EntryName>, bool), Failure> {
        let wanted: HashSet<&str> = names.iter().map(EntryName::as_str).collect();
        let dir = common_dir(names);
        let (prefix, own) = (self.key(dir.unwrap_or("")), self.key(""));
        let (mut found, mut token) = (HashSet::new(), None);
        for _ in 0..pages {
            let page = self.page(&prefix, dir.is_some(), token.as_deref())?;
            let listed = page.contents.iter().filter_map(|object| object.key.strip_prefix(&own));
            found.extend(listed.filter(|name| wanted.contains(name)).filter_map(|name| name.parse().ok()));
            token = page.next_continuation_token;
            if token.is_none() {
                return Ok((found, true));
            }
        }
        Ok((found, false))
    }

    fn write_in_parts(&self, key: &str, source: &dyn Source, existing: Existing) -> Result<(), Failure> {
        let (bucket, credentials) = (&self.settings.bucket, self.settings.credentials.as_ref());
        let begin = || address(&CreateMultipartUpload::new(bucket, credentials, key));
        let answer = self.web.post(&begin, &[], b"", LONGEST)?;
        // Not all servers call the document around it alike.
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let id = element(&answer, "UploadId").ok_or_else(|| Failure::Lie("it begins an upload without saying which".to_owned()))?;
        let done = self.send_parts(key, id, source).and_then(|tags| self.put_together(key, id, &tags, existing));
        if let Ok(true) = done {
            return Ok(());
        }
        // What was sent would be kept, and paid for. If that fails too, the bucket's own rules clean up.
        let abort = || address(&bucket.abort_multipart_upload(credentials, key, id));
        let _ = self.web.delete(&abort, &[]);
        let head = || address(&bucket.head_object(credentials, key));
        match done {
            // An answer may be lost on the way, and the next try be told that there is no such upload any more.
            Err(Failure::Trouble(Trouble::Gone(reason))) => match self.web.head(&head, &[])? {
                Some(length) if length == Some(source.length()) => Ok(()),
                _ => Err(Trouble::Gone(reason).into()),
            },
            done => done.map(drop),
        }
    }

    /// Sends all parts. Returns what the server calls them.
    fn send_parts(&self, key: &str, id: &str, source: &dyn Source) -> Result<Vec<String>, Failure> {
        let (bucket, credentials) = (&self.settings.bucket, self.settings.credentials.as_ref());
        let (part, mut from, mut tags) = (PART.max(source.length().div_ceil(MOST_PARTS)), 0, Vec::new());
        for number in 1u16.. {
            let length = part.min(source.length() - from);
            let at = || address(&bucket.upload_part(credentials, key, number, id));
            tags.push(self.web.put_part(&at, Piece { source, from, length }, "etag")?);
            from += length;
            if from == source.length() {
                break;
            }
        }
        Ok(tags)
    }

    /// Makes an entry of its parts. Returns whether it did: another may be there already.
    fn put_together(&self, key: &str, id: &str, tags: &[String], existing: Existing) -> Result<bool, Failure> {
        let (bucket, credentials) = (&self.settings.bucket, self.settings.credentials.as_ref());
        let action = || CompleteMultipartUpload::new(bucket, credentials, key, id, tags.iter().map(String::as_str));
        let post = |headers| self.web.post(&|| address(&action()), headers, action().body().as_bytes(), LONGEST);
        let keep = existing == Existing::Keep;
        let answer = match post(if keep { &[("if-none-match", "*")] } else { &[] }) {
            Err(Failure::Trouble(Trouble::Status { status: 412, .. })) if keep => return Ok(false),
            // It does not know this condition.
            Err(Failure::Trouble(Trouble::Status { status: 501, .. })) if keep => post(&[])?,
            answer => answer?,
        };
        // A server may find out only after the answer's head that it cannot.
        match element(&String::from_utf8_lossy(&answer), "Code") {
            Some(code) => Err(Trouble::passing(format!("it did not put the parts together ({})", code.escape_debug())).into()),
            None => Ok(true),
        }
    }
}

impl Backend for S3 {
    fn location(&self) -> String {
        self.place.to_string()
    }

    fn patience(&self) -> &Patience {
        &self.web.patience
    }

    fn read(&self, name: &EntryName, from: u64) -> Result<Option<Reading>, CacheError> {
        let key = self.key(name.as_str());
        self.web.read(&self.get_address(&key), &[], from).map_err(|failure| self.failed(failure, "read", name))
    }

    fn size(&self, name: &EntryName) -> Result<Option<u64>, CacheError> {
        let key = self.key(name.as_str());
        let at = || address(&self.settings.bucket.head_object(self.settings.credentials.as_ref(), &key));
        let failed = |failure| self.failed(failure, "look for", name);
        match self.web.head(&at, &[]).map_err(failed)? {
            Some(None) => Err(failed(Failure::Lie("it does not say how long it is".to_owned()))),
            answer => Ok(answer.flatten()),
        }
    }

    fn present(&self, names: &[EntryName]) -> Result<HashSet<EntryName>, CacheError> {
        // As many pages as single questions would take rounds; if the bucket has more entries than that, the rest is asked for singly.
        let pages = names.len() / AT_ONCE;
        if pages < 2 {
            return parallel::filter(names, AT_ONCE, |name| Ok(self.size(name)?.is_some()));
        }
        let (mut found, all) = match self.listed_among(names, pages) {
            // Reading may be allowed where listing is not.
            Err(Failure::Trouble(Trouble::Refused(_) | Trouble::Status { .. })) => (HashSet::new(), false),
            listed => listed.map_err(|failure| self.failed(failure, "list", "its entries"))?,
        };
        if !all {
            let rest: Vec<EntryName> = names.iter().filter(|name| !found.contains(name)).cloned().collect();
            found.extend(parallel::filter(&rest, AT_ONCE, |name| Ok(self.size(name)?.is_some()))?);
        }
        Ok(found)
    }

    fn write(&self, name: &EntryName, source: &dyn Source, existing: Existing) -> Result<(), CacheError> {
        if is_worth_asking(source, existing) && self.size(name)?.is_some() {
            return Ok(());
        }
        let key = self.key(name.as_str());
        let written = if source.length() > LARGE {
            self.write_in_parts(&key, source, existing)
        } else {
            let at = || address(&self.settings.bucket.put_object(self.settings.credentials.as_ref(), &key));
            self.web.put(&at, &[], Piece::whole(source), existing)
        };
        written.map_err(|failure| self.failed(failure, "take", name))
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed) -> Result<(), CacheError>) -> Result<(), CacheError> {
        let failed = |failure| self.failed(failure, "list", under(prefix));
        let (key, mut token, mut last) = (self.key(prefix), None, None);
        loop {
            let page = self.page(&key, false, token.as_deref()).map_err(failed)?;
            for object in page.contents {
                // Keys come in order. A server to which several wrote one at once may have it twice.
                if last.as_ref() == Some(&object.key) {
                    continue;
                }
                last = Some(object.key.clone());
                if let Some(listed) = self.listed(object).map_err(failed)?.filter(|listed| listed.name.as_str().starts_with(prefix)) {
                    each(listed)?;
                }
            }
            match page.next_continuation_token {
                None => return Ok(()),
                Some(next) if token.as_ref() == Some(&next) => return Err(failed(Failure::Lie("its list does not end".to_owned()))),
                next => token = next,
            }
        }
    }

    fn remove(&self, name: &EntryName) -> Result<(), CacheError> {
        let key = self.key(name.as_str());
        let at = || address(&self.settings.bucket.delete_object(self.settings.credentials.as_ref(), &key));
        self.web.delete(&at, &[]).map_err(|failure| self.failed(failure, "remove", name))
    }
}

/// The signed address of a request.
fn address<'a>(action: &impl S3Action<'a>) -> Result<Address, Failure> {
    Address::parse(action.sign(VALID).as_str()).map_err(|error| Trouble::Setup(error).into())
}

/// The same failure without anybody's signature: a server's redirect may repeat the signed address.
fn unsigned(failure: Failure) -> Failure {
    let clean = |reason: String| {
        let word = |word: &str| match word.split_once('?') {
            Some((plain, query)) if query.contains("X-Amz-") => format!("{plain}{}", if query.ends_with(',') { "," } else { "" }),
            _ => word.to_owned(),
        };
        reason.split(' ').map(word).collect::<Vec<_>>().join(" ")
    };
    match failure {
        Failure::Trouble(Trouble::Refused(reason)) => Trouble::Refused(clean(reason)).into(),
        Failure::Trouble(Trouble::Passing { reason, after }) => Trouble::Passing { reason: clean(reason), after }.into(),
        other => other,
    }
}

/// The text of a document's first element of this name, if it is plain.
fn element<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    let text = rest.split_once("</")?.0.trim();
    (!text.is_empty() && !text.contains(['&', '<'])).then_some(text)
}

/// The directory that all names lie directly in, with its slash, if there is one.
fn common_dir(names: &[EntryName]) -> Option<&str> {
    let dir = |name: &EntryName| name.as_str().rfind('/').map_or(0, |slash| slash + 1);
    let first = names.first()?;
    let common = &first.as_str()[..dir(first)];
    names.iter().all(|name| &name.as_str()[..dir(name)] == common).then_some(common)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_stay_out_of_messages() {
        let reason = "it redirects to http://h/b/k?X-Amz-Security-Token=t&X-Amz-Signature=s, where no PUT is sent".to_owned();
        let Failure::Trouble(Trouble::Refused(clean)) = unsigned(Trouble::Refused(reason).into()) else { panic!() };
        assert_eq!(clean, "it redirects to http://h/b/k, where no PUT is sent");
    }

    #[test]
    fn names_in_one_directory_are_listed_without_those_below() {
        let names = |all: &[&str]| all.iter().map(|name| name.parse().unwrap()).collect::<Vec<EntryName>>();
        assert_eq!(common_dir(&names(&["a.narinfo", "b.narinfo"])), Some(""));
        assert_eq!(common_dir(&names(&["nar/a", "nar/b"])), Some("nar/"));
        assert_eq!(common_dir(&names(&["nar/a", "b"])), None);
    }
}
