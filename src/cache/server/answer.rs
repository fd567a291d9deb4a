//! What is answered to a request. No socket is known here.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use crate::cache::backend::Existing;
use crate::cache::entry::EntryName;
use crate::cache::info::CacheInfo;
use crate::cache::signing::PublicKey;
use crate::cache::wire::{KILN, is_kilns};

use super::access_log::{AccessLog, Exchange};
use super::conditions::{self, Version, Wanted};
use super::content::Content;
use super::error::ServerError;
use super::files::{Files, Found};
use super::index::Index;
use super::metrics::Metrics;
use super::options::{Limits, Options};
use super::page;
use super::request::{Method, Request, Upload};
use super::response::{Body, Response};
use super::route::Route;
use super::tokens::{Scope, Tokens};

/// A cache that is served.
#[derive(Debug)]
pub struct Server {
    pub(super) files: Files,
    pub(super) limits: Limits,
    pub(super) trusted: Vec<PublicKey>,
    pub(super) metrics: Metrics,
    pub(super) index: Index,
    tokens: Option<RwLock<Arc<Tokens>>>,
    public: bool,
    log: Option<AccessLog>,
    stopping: AtomicBool,
}

impl Server {
    /// A server of what the options say.
    ///
    /// # Errors
    /// If the directory cannot be opened.
    pub fn new(options: Options) -> Result<Self, ServerError> {
        let Options { dir, tokens, public, trusted, log, limits } = options;
        let files = Files::open(&dir).map_err(|source| ServerError::Directory { dir, source })?;
        let tokens = tokens.map(|tokens| RwLock::new(Arc::new(tokens)));
        let (metrics, index) = (Metrics::default(), Index::default());
        if tokens.is_some() {
            // Whoever reads the directory past this server, a web server or kiln itself, must know it as a cache, too.
            introduce(&files).map_err(|source| ServerError::Directory { dir: files.dir().to_owned(), source })?;
        }
        Ok(Self { files, limits, trusted, metrics, index, tokens, public, log, stopping: AtomicBool::new(false) })
    }

    /// Fails if a file that must stay secret lies in the directory that is served.
    ///
    /// # Errors
    /// If it does.
    pub fn keeps_secret(&self, file: &std::path::Path) -> Result<(), ServerError> {
        let exposed = file.canonicalize().is_ok_and(|file| file.starts_with(self.files.dir()));
        if exposed { Err(ServerError::Exposed(file.to_owned())) } else { Ok(()) }
    }

    /// Other tokens count from now on. A server that was started without tokens stays without.
    pub fn set_tokens(&self, tokens: Tokens) {
        if let Some(place) = &self.tokens {
            *place.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tokens);
        }
    }

    /// Whether no further request is taken.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// No further request is taken from now on.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Counts and writes down what was answered.
    pub(super) fn note(&self, exchange: &Exchange) {
        self.metrics.end(exchange);
        if let Some(log) = &self.log {
            log.note(exchange, SystemTime::now());
        }
    }

    /// Hands on what the log has buffered.
    pub(super) fn flush_log(&self) {
        if let Some(log) = &self.log {
            log.flush();
        }
    }

    /// Answers a request.
    pub(super) fn answer(&self, request: &Request, upload: Upload) -> Response {
        let route = Route::of(request);
        let by = match self.admit(request, route.scope(request)) {
            Ok(by) => by,
            Err(response) => return response,
        };
        let mut response = self.dispatch(request, &route, upload);
        response.by = by;
        response
    }

    /// Lets in whoever may do what is asked; gives the name of the token, if there was one.
    fn admit(&self, request: &Request, scope: Scope) -> Result<Option<Arc<str>>, Response> {
        let Some(tokens) = &self.tokens else {
            return if scope == Scope::Read { Ok(None) } else { Err(Response::text(403, "this cache is for reading only")) };
        };
        let is_open = scope == Scope::Read && self.public;
        let tokens = tokens.read().unwrap_or_else(PoisonError::into_inner).clone();
        let ask = |why| Response::text(401, why).with("WWW-Authenticate", "Basic realm=\"kiln cache\", charset=\"UTF-8\"");
        match request.headers.authorization.map(|header| tokens.identify(header)) {
            Some(Some(token)) if token.allows(scope) => Ok(Some(token.name().clone())),
            Some(Some(token)) => {
                let mut response = Response::text(403, format!("this needs a token of scope {scope}"));
                response.by = Some(token.name().clone());
                Err(response)
            }
            // A wrong token is told, even where none would do: its owner thinks it is good for something.
            Some(None) => Err(ask("nobody has this token here")),
            None if is_open => Ok(None),
            None => Err(ask("a token is needed")),
        }
    }

    fn dispatch(&self, request: &Request, route: &Route, upload: Upload) -> Response {
        let method = request.method;
        match route {
            Route::Entry(name) if method.reads() => self.entry(request, name),
            Route::Entry(name) if method == Method::Put => self.put(request, name, upload),
            Route::Entry(name) if method == Method::Delete => self.delete(name),
            Route::Entry(_) => not_allowed("GET, HEAD, PUT, DELETE"),
            Route::Missing if method == Method::Post => self.missing(upload),
            Route::Missing => not_allowed("POST"),
            Route::Nothing => not_found(),
            _ if !method.reads() => not_allowed("GET, HEAD"),
            Route::Page => page::response(),
            Route::Door => Response::text(200, "a cache of kiln; the page for people is at /index.html"),
            Route::Metrics => {
                let (objects, bytes) = self.index.totals();
                let text = self.metrics.render(objects, bytes).into_bytes();
                Response::empty(200).with("Content-Type", "text/plain; version=0.0.4").body(Body::Bytes(text.into()))
            }
            Route::List => self.list(request),
            Route::View(what) => self.view(request, what),
        }
    }

    fn entry(&self, request: &Request, name: &EntryName) -> Response {
        if *name == EntryName::cache_info() {
            return self.cache_info();
        }
        match self.files.find(name) {
            Ok(Some(found)) => {
                found.note_use(now());
                part(request, name, found)
            }
            Ok(None) => not_found(),
            Err(error) => Response::trouble(&error),
        }
    }

    /// What the cache is, as its directory says, and that kiln serves it.
    fn cache_info(&self) -> Response {
        let mut text = match self.files.read(&EntryName::cache_info(), Limits::DOCUMENT) {
            Ok(text) => text.unwrap_or_else(|| CacheInfo::default().to_string().into_bytes()),
            Err(error) => return Response::trouble(&error),
        };
        if !is_kilns(&text) {
            if text.last().is_some_and(|last| *last != b'\n') {
                text.push(b'\n');
            }
            text.extend_from_slice(format!("{KILN}\n").as_bytes());
        }
        Response::empty(200).with("Content-Type", Content::CacheInfo.media_type()).body(Body::Bytes(text.into()))
    }

    fn delete(&self, name: &EntryName) -> Response {
        match self.files.remove(name) {
            Ok(true) => {
                self.index.removed(name);
                Response::empty(204)
            }
            Ok(false) => not_found(),
            Err(error) => Response::trouble(&error),
        }
    }
}

/// Says in the directory that it is a cache, and of what.
fn introduce(files: &Files) -> io::Result<()> {
    let name = EntryName::cache_info();
    if files.size(&name)?.is_none() {
        let mut file = files.begin(&name)?;
        file.write_all(CacheInfo::default().to_string().as_bytes())?;
        files.finish(file, &name, Existing::Keep)?;
    }
    Ok(())
}

/// An entry, or as much of it as is asked for.
fn part(request: &Request, name: &EntryName, found: Found) -> Response {
    let content = Content::of(name);
    let version = version(&content, &found);
    let described = |status| {
        let response = Response::empty(status).with("ETag", version.tag.clone());
        let response = response.with("Last-Modified", httpdate::fmt_http_date(version.modified));
        match content.cache_control() {
            Some(control) => response.with("Cache-Control", control),
            None => response,
        }
    };
    if conditions::is_known(&request.headers, &version) {
        return described(304);
    }
    let Found { file, size, .. } = found;
    let typed = |status| described(status).with("Content-Type", content.media_type()).with("Accept-Ranges", "bytes");
    match conditions::wanted(&request.headers, &version, size) {
        Wanted::Whole => typed(200).body(Body::File { file, from: 0, length: size }),
        Wanted::Part { from, length } => {
            let range = format!("bytes {from}-{}/{size}", from + length - 1);
            typed(206).with("Content-Range", range).body(Body::File { file, from, length })
        }
        Wanted::Unsatisfiable => Response::text(416, "those bytes are not there").with("Content-Range", format!("bytes */{size}")),
    }
}

/// What tells this version of an entry from others: its name if that follows from the bytes, otherwise when it was written and its length.
fn version(content: &Content, found: &Found) -> Version {
    let tag = match content.hash() {
        Some(hash) => format!("\"{}\"", hash.base32()),
        None => {
            let since = found.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            format!("\"{:x}-{:x}\"", since.as_nanos(), found.size)
        }
    };
    Version { tag, modified: found.modified }
}

fn not_allowed(methods: &'static str) -> Response {
    Response::text(405, "that cannot be done here").with("Allow", methods)
}

/// There is nothing of that name. Asked for most often of all: every object that a cache lacks.
pub(super) fn not_found() -> Response {
    Response::empty(404).with("Content-Type", "text/plain; charset=utf-8").body(Body::Bytes(b"not found\n".as_slice().into()))
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
