//! One file from whichever mirror has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::simple_index::{self, IndexFile};
use super::transfer::{Failed, Job, Setback};
use super::{FetchError, FetchOptions, FetchRequest, Fetched, ListedFile, MirrorFailure, Mirrors, Mismatch, Progress, Registry};
use crate::fsio::IoResultExt;
use crate::model::{FetchSource, Sha256};
use crate::net::{Address, Client, NetError, Scheme, Settings};

/// Fetches files. Shared by threads; making one costs nothing.
#[derive(Debug)]
pub struct Fetcher {
    mirrors: Mirrors,
    options: FetchOptions,
    client: OnceLock<Client>,
    /// Mirrors that could not serve before: asked last from then on.
    dead: Mutex<BTreeSet<String>>,
}

impl Fetcher {
    /// A fetcher that asks these mirrors.
    pub fn new(mirrors: Mirrors, options: FetchOptions) -> Self {
        Self { mirrors, options, client: OnceLock::new(), dead: Mutex::default() }
    }

    /// The mirrors that are asked.
    pub fn mirrors(&self) -> &Mirrors {
        &self.mirrors
    }

    /// What makes the requests. pip's configuration, which it needs, is read only now.
    pub(super) fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            Client::new(Settings {
                connect: self.options.connect,
                stall: self.options.stall,
                ca_bundle: self.options.ca_bundle.clone(),
                untrusted_ca_bundle: self.options.project_ca_bundle.clone(),
                further_ca_bundles: self.mirrors.pip_cert().into_iter().collect(),
                machine: self.mirrors.machine().clone(),
            })
        })
    }

    /// Fetches one file to `into`, which must not exist. `progress` hears how it gets on and may break it off.
    ///
    /// # Errors
    /// If no mirror gave the declared bytes, or the file cannot be written. Nothing is left at `into` then.
    pub fn fetch(
        &self,
        request: &FetchRequest<'_>,
        into: &Path,
        progress: &dyn Fn(Progress) -> ControlFlow<()>,
    ) -> Result<Fetched, FetchError> {
        let (registry, mirrors) = self.candidates(request)?;
        if mirrors.is_empty() {
            return Err(FetchError::NoMirror { name: request.name.to_owned(), registry });
        }
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(into).at("create", into)?;
        let fetched = self.ask_all(request, registry, mirrors, into, &mut file, progress);
        if fetched.is_err() {
            let _ = std::fs::remove_file(into);
        }
        fetched
    }

    /// All files of a project, from the first Python index that lists it.
    ///
    /// # Errors
    /// If none is configured, none lists it, or none can be asked.
    pub(in crate::build) fn project_files(&self, project: &str) -> Result<Vec<ListedFile>, FetchError> {
        let (source, path) = (FetchSource::Pypi { project: project.to_owned(), file: "-".to_owned() }, Path::new(""));
        let request = FetchRequest { source: &source, name: project, sha256: Sha256::of(b""), size: None };
        let (registry, mirrors) = self.candidates(&request)?;
        if mirrors.is_empty() {
            return Err(FetchError::NoMirror { name: project.to_owned(), registry });
        }
        let mut outcome = Outcome::default();
        for mirror in mirrors {
            let job = self.job(&request, path, &|_| ControlFlow::Continue(()));
            let (page, mut files) = (simple_index::page_of(&mirror, project), BTreeMap::new());
            let read = self.read_page(&page, &job, &mut |file| {
                let IndexFile { name, sha256, size, .. } = file;
                files.insert(name.clone(), ListedFile { name, sha256, size });
            });
            match read {
                Ok(_) if !files.is_empty() => return Ok(files.into_values().collect()),
                Ok(_) => outcome.note(page, Failed::Gone("it lists no files".to_owned()))?,
                Err(failed) => outcome.note(page, failed)?,
            }
        }
        Err(outcome.into_error(&request, registry))
    }

    fn job<'a>(&'a self, request: &FetchRequest<'a>, into: &'a Path, progress: &'a dyn Fn(Progress) -> ControlFlow<()>) -> Job<'a> {
        Job {
            name: request.name,
            wanted: request.sha256,
            size: request.size,
            into,
            client: self.client(),
            options: &self.options,
            progress,
        }
    }

    /// Whose file it is, and who can be asked.
    fn candidates(&self, request: &FetchRequest<'_>) -> Result<(Registry, Vec<Address>), FetchError> {
        let bad = |reason| FetchError::BadName { name: request.name.to_owned(), reason };
        match request.source {
            FetchSource::Urls(urls) => {
                let addresses: Vec<Address> = urls.iter().map(|url| Address::parse(url)).collect::<Result<_, _>>()?;
                match addresses.iter().find(|address| address.scheme() == Scheme::File) {
                    Some(local) => {
                        let reason = "a recipe may not name files of the machine";
                        Err(NetError::BadAddress { url: local.to_string(), reason }.into())
                    }
                    None => Ok((Registry::Urls, addresses)),
                }
            }
            FetchSource::Pypi { project, file } => {
                if project.is_empty() || !project.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
                    return Err(bad("its project's name has characters that no Python project may have"));
                }
                if file.is_empty() || file.contains('/') {
                    return Err(bad("a file name may hold no `/`"));
                }
                Ok((Registry::Pypi, self.mirrors.pypi()?.to_vec()))
            }
            FetchSource::Debian { pool_path } => {
                let odd = |part: &str| part.is_empty() || part == "." || part == "..";
                if !pool_path.starts_with("pool/") || pool_path.split('/').any(odd) {
                    return Err(bad("a path in a Debian archive starts with `pool/` and has no `..`"));
                }
                Ok((Registry::Debian, self.mirrors.debian()?.to_vec()))
            }
        }
    }

    /// Asks one mirror after the other, those that were found dead last.
    fn ask_all(
        &self,
        request: &FetchRequest<'_>,
        registry: Registry,
        mut mirrors: Vec<Address>,
        into: &Path,
        file: &mut File,
        progress: &dyn Fn(Progress) -> ControlFlow<()>,
    ) -> Result<Fetched, FetchError> {
        mirrors.sort_by_key(|mirror| self.is_dead(mirror));
        let mut outcome = Outcome::default();
        for mirror in mirrors {
            let job = self.job(request, into, progress);
            let (url, failed) = match self.ask_one(request.source, &mirror, job, file) {
                Ok(fetched) => return Ok(fetched),
                Err(failed) => *failed,
            };
            if matches!(failed, Failed::Unserved(_)) && registry != Registry::Urls {
                self.dead.lock().unwrap_or_else(PoisonError::into_inner).insert(mirror.to_string());
            }
            outcome.note(url, failed)?;
        }
        Err(outcome.into_error(request, registry))
    }

    /// Asks one mirror: finds out where the file lies, then gets it.
    fn ask_one(
        &self,
        source: &FetchSource,
        mirror: &Address,
        mut job: Job<'_>,
        file: &mut File,
    ) -> Result<Fetched, Box<(Address, Failed)>> {
        let url = match source {
            FetchSource::Urls(_) => mirror.clone(),
            FetchSource::Debian { pool_path } => mirror.below(pool_path),
            FetchSource::Pypi { project, file } => {
                let page = simple_index::page_of(mirror, project);
                let (url, listed) = self.find(&page, file, &job).map_err(|failed| Box::new((page, failed)))?;
                if let Some(other) = listed.sha256.filter(|hash| *hash != job.wanted) {
                    return Err(Box::new((url, Failed::Mismatch(other))));
                }
                job.size = job.size.or(listed.size);
                url
            }
        };
        match job.download(&url, file) {
            Ok(bytes) => Ok(Fetched { bytes, url: url.to_string() }),
            Err(failed) => Err(Box::new((url, failed))),
        }
    }

    /// Looks a file up on its project's page.
    fn find(&self, page: &Address, name: &str, job: &Job<'_>) -> Result<(Address, IndexFile), Failed> {
        let mut found = None;
        let from = self.read_page(page, job, &mut |file| {
            if file.name == name {
                found = Some(file);
            }
        })?;
        let file = found.ok_or_else(|| Failed::Gone(format!("it does not list {name}")))?;
        let base = file.base.as_ref().map_or(Ok(from.clone()), |base| from.join(base));
        let url = base.and_then(|base| base.join(&file.url)).map_err(|error| Failed::Unserved(error.to_string()))?;
        if url.scheme() == Scheme::File && from.scheme() != Scheme::File {
            return Err(Failed::Unserved(format!("it says that the file lies at {url}")));
        }
        Ok((url, file))
    }

    /// Reads a project's page, patiently. Returns where it came from in the end.
    fn read_page(&self, page: &Address, job: &Job<'_>, found: &mut dyn FnMut(IndexFile)) -> Result<Address, Failed> {
        let headers = [("accept", simple_index::ACCEPT), ("accept-encoding", "gzip, identity")];
        job.patiently(page, || {
            job.report(Progress::Asking { url: page.to_string() }).map_err(|error| (Setback::Fatal(error), false))?;
            let response = job.client.get(page, &headers).map_err(|trouble| (trouble.into(), false))?;
            let content_type = response.header("content-type").unwrap_or("").to_owned();
            let zipped = response.header("content-encoding").is_some_and(|encoding| encoding.eq_ignore_ascii_case("gzip"));
            let body: Box<dyn Read> = if zipped { Box::new(flate2::read::GzDecoder::new(response.body)) } else { response.body };
            simple_index::read(body, &content_type, found).map_err(|trouble| (trouble.into(), false))?;
            Ok(response.from)
        })
    }

    fn is_dead(&self, mirror: &Address) -> bool {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).contains(&mirror.to_string())
    }
}

/// What the mirrors did, until one serves.
#[derive(Default)]
struct Outcome {
    failures: Vec<MirrorFailure>,
    mismatch: Option<(Sha256, String)>,
    /// Whether somebody might have had it, but could not serve.
    unserved: bool,
}

impl Outcome {
    /// Remembers a failure.
    ///
    /// # Errors
    /// With one that no other mirror can mend.
    fn note(&mut self, url: Address, failed: Failed) -> Result<(), FetchError> {
        let reason = match failed {
            Failed::Fatal(error) => return Err(error),
            Failed::Gone(reason) => reason,
            Failed::Unserved(reason) => {
                self.unserved = true;
                reason
            }
            Failed::Mismatch(got) if self.mismatch.is_none() => {
                self.mismatch = Some((got, url.to_string()));
                return Ok(());
            }
            Failed::Mismatch(got) => format!("sha256 {got}"),
        };
        self.failures.push(MirrorFailure { url: url.to_string(), reason });
        Ok(())
    }

    fn into_error(self, request: &FetchRequest<'_>, registry: Registry) -> FetchError {
        let (name, failures) = (request.name.to_owned(), self.failures);
        match self.mismatch {
            Some((got, url)) => {
                FetchError::Mismatch(Box::new(Mismatch { name, registry, wanted: request.sha256, got, url, others: failures }))
            }
            None if self.unserved => FetchError::Unreachable { name, registry, failures },
            None => FetchError::Gone { name, registry, failures },
        }
    }
}
