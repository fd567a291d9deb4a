//! `fetch_url`, `fetch_pypi`, `fetch_debian`: files with a declared hash.

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::none::NoneOr;

use crate::model::{FetchSource, Sha256, SourceSpan, StoreName};
use crate::recipe::artifact::Artifact;
use crate::recipe::recipes::RecipeKind;
use crate::recipe::refusal::Refusal;
use crate::recipe::session::{Session, call_span};

use super::arguments::{description as one_line, name_or, one_or_more, sha256 as digest};

#[starlark_module]
pub(super) fn register(builder: &mut GlobalsBuilder) {
    /// A file at an address; further addresses are tried in turn.
    fn fetch_url<'v>(
        urls: Value<'v>,
        sha256: &str,
        #[starlark(default = NoneOr::None)] name: NoneOr<&str>,
        #[starlark(default = "")] description: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Artifact> {
        let urls = one_or_more("urls", urls)?;
        let first = urls.first().ok_or(Refusal::Empty { parameter: "urls" })?;
        for url in &urls {
            url_path(url)?;
        }
        let name = name_or(name, url_path(first)?)?;
        let file = File { name, description: one_line(description)?, sha256: digest(sha256)?, source: FetchSource::Urls(urls) };
        Ok(file.add(Session::of(eval)?, call_span(eval))?)
    }

    /// A file of a project on the Python package index.
    fn fetch_pypi<'v>(
        project: &str,
        file: &str,
        sha256: &str,
        #[starlark(default = NoneOr::None)] name: NoneOr<&str>,
        #[starlark(default = "")] description: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Artifact> {
        if project.is_empty() {
            return Err(Refusal::Empty { parameter: "project" }.into());
        }
        if file.is_empty() || project.contains(['/', '\0']) || file.contains(['/', '\0', '?', '#']) {
            return Err(Refusal::IndexFile { file: file.to_owned() }.into());
        }
        let source = FetchSource::Pypi { project: project.to_owned(), file: file.to_owned() };
        let file = File { name: name_or(name, file)?, description: one_line(description)?, sha256: digest(sha256)?, source };
        Ok(file.add(Session::of(eval)?, call_span(eval))?)
    }

    /// A file in the pool of the Debian archives.
    fn fetch_debian<'v>(
        pool_path: &str,
        sha256: &str,
        #[starlark(default = NoneOr::None)] name: NoneOr<&str>,
        #[starlark(default = "")] description: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Artifact> {
        let mut file = File::in_pool(pool_path, digest(sha256)?)?;
        if let NoneOr::Other(_) = name {
            file.name = name_or(name, "")?;
        }
        file.description = one_line(description)?;
        Ok(file.add(Session::of(eval)?, call_span(eval))?)
    }
}

/// A file to fetch.
pub(super) struct File {
    name: StoreName,
    description: String,
    sha256: Sha256,
    source: FetchSource,
}

impl File {
    /// A file in Debian's pool.
    pub(super) fn in_pool(pool_path: &str, sha256: Sha256) -> Result<Self, Refusal> {
        let error = || Refusal::PoolPath { path: pool_path.to_owned() };
        let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\0', '?', '#', '\\']);
        if !pool_path.starts_with("pool/") || !pool_path.split('/').all(plain) {
            return Err(error());
        }
        let (_, file) = pool_path.rsplit_once('/').ok_or_else(error)?;
        let source = FetchSource::Debian { pool_path: pool_path.to_owned() };
        Ok(Self { name: StoreName::from_file_name(file)?, description: String::new(), sha256, source })
    }

    /// The artifact; equal files are one.
    pub(super) fn add(self, session: &Session, span: SourceSpan) -> Result<Artifact, Refusal> {
        let key = format!("fetch {} {} {:?} {}", self.sha256, self.name, self.source, self.description);
        let kind = RecipeKind::Fetch { sha256: self.sha256, source: self.source };
        session.known_or(key, || session.add(self.name, self.description, span, kind))
    }
}

/// The last part of the path of an address.
fn url_path(url: &str) -> Result<&str, Refusal> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let rest = rest.filter(|rest| !rest.is_empty() && !rest.contains(|c: char| c.is_control() || c == ' '));
    let rest = rest.ok_or_else(|| Refusal::Url { url: url.to_owned() })?;
    let path = rest.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    Ok(path.rsplit_once('/').map_or("", |(_, last)| last))
}
