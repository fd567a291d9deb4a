//! One file from whichever mirror has it.

use std::ops::ControlFlow;
use std::path::Path;

use super::{FetchError, FetchOptions, FetchRequest, Fetched, Mirrors, Progress};

/// Fetches files. Shared by threads; making one costs nothing.
#[derive(Debug)]
pub struct Fetcher {
    mirrors: Mirrors,
    options: FetchOptions,
}

impl Fetcher {
    /// A fetcher that asks these mirrors.
    pub fn new(mirrors: Mirrors, options: FetchOptions) -> Self {
        Self { mirrors, options }
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
        let _ = (request, into, progress, &self.mirrors, &self.options);
        todo!()
    }
}
