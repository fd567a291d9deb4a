//! A cache behind a web server: any server to read from, one that takes `PUT` to write to, kiln's own for everything.
//!
//! kiln's own server says in `nix-cache-info` that it is one ([`wire`]); it is asked for many names at once, and it alone can be listed.
//! Every other server is asked by `HEAD`, several at a time.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Read};
use std::sync::OnceLock;

use super::backend::{Backend, Existing, Listed, Reading, Source};
use super::entry::EntryName;
use super::error::CacheError;
use super::location::Access;
use super::parallel::{self, AT_ONCE};
use super::patient::{Failure, Patience};
use super::web::{Piece, Web, is_worth_asking, under};
use super::wire::{self, ListedLine};
use crate::net::{Address, Trouble, classify_io, escape};

/// A `nix-cache-info` is not longer than this, nor a line of a listing.
const LONGEST: u64 = 64 << 10;

/// So few names are asked for one by one without finding out first whose server it is.
const FEW: usize = 2;

/// A web server.
#[derive(Debug)]
pub struct Http {
    base: Address,
    access: Access,
    web: Web,
    is_kilns: OnceLock<bool>,
}

impl Http {
    pub(super) fn new(base: Address, access: &Access) -> Self {
        let anonymous = access.authorization().is_none() && base.authorization().is_none();
        let web = Web::new(access.settings.clone(), access.patience.clone(), anonymous);
        Self { base, access: access.clone(), web, is_kilns: OnceLock::new() }
    }

    fn at(&self, name: &EntryName) -> impl Fn() -> Result<Address, Failure> + use<> {
        let (path, query) = name.as_str().split_once('?').map_or((name.as_str(), None), |(path, query)| (path, Some(query)));
        let address = query.map_or_else(|| self.base.below(path), |query| self.base.below(path).with_query(query));
        move || Ok(address.clone())
    }

    /// The header that lets kiln in, if it has one. Credentials in the address itself are sent without it.
    fn headers(&self) -> Vec<(&str, &str)> {
        self.access.authorization().map(|value| ("authorization", value)).into_iter().collect()
    }

    fn failed(&self, failure: Failure, action: &'static str, entry: impl ToString) -> CacheError {
        failure.into_error(&self.location(), action, entry)
    }

    /// Whether this is kiln's own server.
    fn is_kilns(&self) -> Result<bool, CacheError> {
        if let Some(known) = self.is_kilns.get() {
            return Ok(*known);
        }
        let name = EntryName::cache_info();
        let info = self.web.document(&self.at(&name), &self.headers(), LONGEST).map_err(|failure| self.failed(failure, "read", &name))?;
        Ok(*self.is_kilns.get_or_init(|| info.is_some_and(|info| wire::is_kilns(&info))))
    }

    /// Those of `names` that are there, asked for in bulk.
    fn present_in_bulk(&self, names: &[EntryName]) -> Result<HashSet<EntryName>, Failure> {
        let mut headers = self.headers();
        headers.push(("content-type", "application/json"));
        let mut found: HashSet<EntryName> = names.iter().cloned().collect();
        for names in names.chunks(wire::MOST_NAMES) {
            let asked: Vec<&str> = names.iter().map(EntryName::as_str).collect();
            let asked = serde_json::to_vec(&asked).unwrap_or_default();
            let address = self.base.below(wire::MISSING);
            let answer = self.web.post(&|| Ok(address.clone()), &headers, &asked, asked.len() as u64 + LONGEST)?;
            let missing: Vec<String> =
                serde_json::from_slice(&answer).map_err(|error| Failure::Lie(format!("it is no list of names: {error}")))?;
            for name in missing {
                let known = name.parse().is_ok_and(|name: EntryName| found.remove(&name));
                if !known {
                    return Err(Failure::Lie(format!("it lacks `{}`, which nobody asked for", name.escape_debug())));
                }
            }
        }
        Ok(found)
    }

    /// One line of a listing.
    fn listed(line: &[u8], prefix: &str) -> Result<Listed, Failure> {
        let line: ListedLine = serde_json::from_slice(line).map_err(|error| Failure::Lie(format!("it lists what is no entry: {error}")))?;
        let listed = Listed::try_from(line).map_err(|error| Failure::Lie(format!("it lists what is no entry: {error}")))?;
        if listed.name.as_str().starts_with(prefix) {
            Ok(listed)
        } else {
            Err(Failure::Lie(format!("it lists {} under `{prefix}`", listed.name)))
        }
    }
}

impl Backend for Http {
    fn location(&self) -> String {
        self.base.to_string().trim_end_matches('/').to_owned()
    }

    fn patience(&self) -> &Patience {
        &self.web.patience
    }

    fn read(&self, name: &EntryName, from: u64) -> Result<Option<Reading>, CacheError> {
        self.web.read(&self.at(name), &self.headers(), from).map_err(|failure| self.failed(failure, "read", name))
    }

    fn size(&self, name: &EntryName) -> Result<Option<u64>, CacheError> {
        match self.web.head(&self.at(name), &self.headers()) {
            Ok(None) => Ok(None),
            Ok(Some(Some(length))) => Ok(Some(length)),
            Err(failure @ (Failure::Stopped | Failure::Trouble(Trouble::Passing { .. } | Trouble::Setup(_)))) => {
                Err(self.failed(failure, "look for", name))
            }
            // It does not say, or does not want to be asked like that.
            Ok(Some(None)) | Err(_) => {
                let Some(reading) = self.read(name, 0)? else { return Ok(None) };
                let count = |mut body: Box<dyn Read + Send>| std::io::copy(&mut body, &mut std::io::sink());
                match reading.length {
                    Some(length) => Ok(Some(length)),
                    None => Ok(Some(count(reading.body).map_err(|error| self.failed(classify_io(&error).into(), "read", name))?)),
                }
            }
        }
    }

    fn present(&self, names: &[EntryName]) -> Result<HashSet<EntryName>, CacheError> {
        if names.len() > FEW && self.is_kilns()? {
            match self.present_in_bulk(names) {
                // Something in between lets only files through.
                Err(Failure::Trouble(Trouble::Gone(_) | Trouble::Refused(_) | Trouble::Status { .. })) => {}
                answered => {
                    return answered.map_err(|failure| self.failed(failure, "say what it has of", format!("{} entries", names.len())));
                }
            }
        }
        parallel::filter(names, AT_ONCE, |name| Ok(self.size(name)?.is_some()))
    }

    fn write(&self, name: &EntryName, source: &dyn Source, existing: Existing) -> Result<(), CacheError> {
        if is_worth_asking(source, existing) && self.size(name)?.is_some() {
            return Ok(());
        }
        let put = self.web.put(&self.at(name), &self.headers(), Piece::whole(source), existing);
        put.map_err(|failure| self.failed(failure, "take", name))
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed) -> Result<(), CacheError>) -> Result<(), CacheError> {
        let failed = |failure| self.failed(failure, "list", under(prefix));
        if !self.is_kilns()? {
            return Err(failed(Trouble::Refused("over HTTP only kiln's own server can be listed".to_owned()).into()));
        }
        let address = format!("{}?prefix={}", self.base.below(wire::LIST).path_and_query(), escape(prefix));
        let address = self.base.join(&address).map_err(|error| failed(Trouble::Setup(error).into()))?;
        let Some(reading) = self.web.read(&|| Ok(address.clone()), &self.headers(), 0).map_err(failed)? else {
            return Err(failed(Trouble::Refused("it says that it can be listed, and cannot".to_owned()).into()));
        };
        let mut lines = BufReader::new(reading.body);
        let mut line = Vec::new();
        loop {
            self.web.patience.go_on().map_err(failed)?;
            line.clear();
            let read = (&mut lines).take(LONGEST).read_until(b'\n', &mut line);
            match read.map_err(|error| failed(classify_io(&error).into()))? {
                0 => return Ok(()),
                _ if line.ends_with(b"\n") => each(Self::listed(&line, prefix).map_err(failed)?)?,
                _ => return Err(failed(Trouble::passing("its list broke off").into())),
            }
        }
    }

    fn remove(&self, name: &EntryName) -> Result<(), CacheError> {
        self.web.delete(&self.at(name), &self.headers()).map_err(|failure| self.failed(failure, "remove", name))
    }
}
