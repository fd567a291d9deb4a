//! A fetch that can be left alone: a server may keep it waiting for a minute, and Ctrl-C must not.
//!
//! In: what to fetch, and a [`Stop`]. Out: the file, checked. The transfer runs on a thread of its own; if the build is stopped, that thread is
//! told so at its next sign of life, but nobody waits for it. It can only write to its own file, in a scratch directory.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};

use crate::model::{FetchSource, Sha256};

use super::error::StepError;
use super::fetch::{FetchError, FetchRequest, Fetched, Fetcher, Progress};
use super::stop::{LOOK, Stop};

/// What to fetch.
pub(super) struct Wanted {
    /// Where it comes from.
    pub(super) source: FetchSource,
    /// What messages call it.
    pub(super) name: String,
    /// The digest it must have.
    pub(super) sha256: Sha256,
}

enum News {
    Progress(Progress),
    End(Result<Fetched, FetchError>),
}

/// Fetches a file to `into`, which does not exist yet; `on_progress` hears how it goes.
///
/// # Errors
/// If it cannot be fetched, or the build is stopped.
pub(super) fn download(
    fetcher: &Arc<Fetcher>,
    wanted: Wanted,
    into: &Path,
    stop: &Stop,
    on_progress: impl Fn(Progress),
) -> Result<Fetched, StepError> {
    let (tell, news) = channel();
    let (fetcher, into, stopped) = (fetcher.clone(), into.to_owned(), stop.clone());
    let thread = std::thread::spawn(move || {
        let Wanted { source, name, sha256 } = wanted;
        let progress = |progress: Progress| match tell.send(News::Progress(progress)) {
            Ok(()) if !stopped.is_requested() => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        };
        let end = fetcher.fetch(&FetchRequest { source: &source, name: &name, sha256, size: None }, &into, &progress);
        let _ = tell.send(News::End(end));
    });
    loop {
        match news.recv_timeout(LOOK) {
            Ok(News::Progress(progress)) => on_progress(progress),
            Ok(News::End(end)) => return Ok(end?),
            Err(RecvTimeoutError::Timeout) if stop.is_requested() => return Err(StepError::Stopped),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => match thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => return Err(StepError::Stopped),
            },
        }
    }
}
