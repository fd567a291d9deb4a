//! One file from one server to disk, through whatever breaks on the way.
//!
//! The digest is computed as the bytes come. A transfer that broke is taken up where it broke (`Range`); because the whole file's
//! digest is checked at the end, a server that lies about ranges costs one more transfer from the start and nothing else.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{FetchError, FetchOptions, Progress};
use crate::fsio::{IoResultExt, PathError};
use crate::model::{Hasher, Sha256};
use crate::net::{Address, Client, Response, Scheme, Trouble, classify_io};

/// Bytes that are read at once.
const BUFFER: usize = 128 << 10;

/// A try that brought this many bytes was worth it: patience starts anew.
const WORTHWHILE: u64 = 1 << 20;

/// A server that sends fewer bytes than this in the time after which it counts as stalled might as well send none.
const FEWEST: u64 = 4 << 10;

/// Between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_millis(50);

/// Between two looks at whether the fetch was stopped, during a pause.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Everything that one fetch needs, whichever server is asked.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) name: &'a str,
    pub(super) wanted: Sha256,
    /// The file's length, if it is known.
    pub(super) size: Option<u64>,
    pub(super) into: &'a Path,
    pub(super) client: &'a Client,
    pub(super) options: &'a FetchOptions,
    pub(super) progress: &'a dyn Fn(Progress) -> ControlFlow<()>,
}

/// Why one server did not give the file.
#[derive(Debug)]
pub(super) enum Failed {
    /// It does not have it.
    Gone(String),
    /// It has another one.
    Mismatch(Sha256),
    /// It did not serve it.
    Unserved(String),
    /// No server can help.
    Fatal(FetchError),
}

/// Why one try came to nothing.
#[derive(Debug)]
pub(super) enum Setback {
    /// The server did not serve.
    Server(Trouble),
    /// No server can help: the disk is full, or the fetch was stopped.
    Fatal(FetchError),
}

impl From<Trouble> for Setback {
    fn from(trouble: Trouble) -> Self {
        Self::Server(trouble)
    }
}

impl From<FetchError> for Setback {
    fn from(error: FetchError) -> Self {
        Self::Fatal(error)
    }
}

impl From<PathError> for Setback {
    fn from(error: PathError) -> Self {
        Self::Fatal(error.into())
    }
}

impl Job<'_> {
    /// Tells how it gets on.
    ///
    /// # Errors
    /// If the listener wants to stop.
    pub(super) fn report(&self, progress: Progress) -> Result<(), FetchError> {
        match (self.progress)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(FetchError::Stopped { name: self.name.to_owned() }),
        }
    }

    /// Does `work` until it succeeds, fails for good, or has failed too often without getting further.
    pub(super) fn patiently<T>(&self, url: &Address, mut work: impl FnMut() -> Result<T, (Setback, bool)>) -> Result<T, Failed> {
        let mut failures = 0;
        loop {
            let (setback, further) = match work() {
                Ok(done) => return Ok(done),
                Err(failed) => failed,
            };
            let (reason, after) = match setback {
                Setback::Server(Trouble::Passing { reason, after }) => (reason, after),
                Setback::Server(Trouble::Gone(reason)) => return Err(Failed::Gone(reason)),
                Setback::Server(Trouble::Refused(reason) | Trouble::Status { reason, .. }) => return Err(Failed::Unserved(reason)),
                Setback::Server(Trouble::Setup(error)) => return Err(Failed::Fatal(error.into())),
                Setback::Fatal(error) => return Err(Failed::Fatal(error)),
            };
            failures = if further { 1 } else { failures + 1 };
            if failures >= self.options.attempts {
                let tries = if failures == 1 { "once".to_owned() } else { format!("{failures} times") };
                return Err(Failed::Unserved(format!("{reason} (tried {tries})")));
            }
            let doubled = self.options.first_pause.saturating_mul(1 << (failures - 1).min(16));
            let pause = after.unwrap_or(doubled).max(doubled).min(self.options.longest_pause);
            self.rest(url, reason, pause).map_err(Failed::Fatal)?;
        }
    }

    /// Waits, and listens meanwhile.
    fn rest(&self, url: &Address, reason: String, pause: Duration) -> Result<(), FetchError> {
        self.report(Progress::Retrying { url: url.to_string(), reason, pause })?;
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK_EVERY));
            self.report(Progress::Waiting)?;
        }
    }

    /// Gets the file from `url` into `file`, of which nothing is kept. Returns its length.
    pub(super) fn download(&self, url: &Address, file: &mut File) -> Result<u64, Failed> {
        let written = file.stream_position().at("seek in", self.into).map_err(|error| Failed::Fatal(error.into()))?;
        let mut transfer = Transfer { job: *self, file, hasher: Hasher::default(), written, furthest: 0, validator: None, resumed: false };
        transfer.restart().map_err(Failed::Fatal)?;
        let mut mismatch = None;
        let result = self.patiently(url, || {
            let done = if url.scheme() == Scheme::File { transfer.copy(url) } else { transfer.attempt(url) };
            let complete = done.map_err(|setback| (setback, transfer.got_further()))?;
            let got = transfer.hasher.clone().finish();
            if got == self.wanted {
                return Ok(None);
            }
            // An end that nobody announced, or a piece from a later try, may be the reason: once more from the start.
            let doubtful = mismatch != Some(got) && (transfer.resumed || !complete);
            mismatch = Some(got);
            if !doubtful {
                return Ok(Some(got));
            }
            transfer.restart().map_err(|error| (error.into(), false))?;
            Err((Trouble::passing("what came is not the declared file").into(), false))
        });
        match (result, mismatch) {
            (Ok(None), _) => Ok(transfer.written),
            (Ok(Some(got)), _) | (Err(Failed::Unserved(_)), Some(got)) => Err(Failed::Mismatch(got)),
            (Err(failed), _) => Err(failed),
        }
    }
}

/// A file on its way.
struct Transfer<'a> {
    job: Job<'a>,
    file: &'a mut File,
    hasher: Hasher,
    written: u64,
    /// The most that was ever written before a try that was worth it.
    furthest: u64,
    /// The server's name for the version that the bytes so far are of.
    validator: Option<String>,
    resumed: bool,
}

impl Transfer<'_> {
    /// Whether the last try got further than any before, by enough to be worth it. A server that always breaks at the same place never
    /// is, so patience ends.
    fn got_further(&mut self) -> bool {
        let further = self.written >= self.furthest + WORTHWHILE;
        if further {
            self.furthest = self.written;
        }
        further
    }

    /// Forgets what came so far.
    fn restart(&mut self) -> Result<(), FetchError> {
        if self.written > 0 {
            self.file.set_len(0).and_then(|()| self.file.rewind()).at("empty", self.job.into)?;
        }
        self.hasher = Hasher::default();
        self.written = 0;
        self.validator = None;
        self.resumed = false;
        Ok(())
    }

    /// One request, from where the last one broke. Returns whether the server said how long the file is.
    fn attempt(&mut self, url: &Address) -> Result<bool, Setback> {
        let job = self.job;
        job.report(Progress::Asking { url: url.to_string() })?;
        let range = format!("bytes={}-", self.written);
        let mut headers = vec![("accept", "*/*"), ("accept-encoding", "identity")];
        if self.written > 0 {
            headers.push(("range", &range));
            if let Some(validator) = &self.validator {
                headers.push(("if-range", validator));
            }
        }
        let response = match job.client.get(url, &headers) {
            // Nothing lies behind what we have (416, for instance): whatever this is, begin again.
            Err(Trouble::Refused(reason) | Trouble::Status { reason, .. }) if self.written > 0 => {
                self.restart()?;
                return Err(Trouble::passing(reason).into());
            }
            other => other?,
        };
        match part_from(&response) {
            Part::From(start) if start == self.written => self.resumed |= self.written > 0,
            Part::Whole if response.status != 206 => self.restart()?,
            _ if self.written == 0 => return Err(Trouble::Refused("it sends a part that nobody asked for".to_owned()).into()),
            // Not what was asked for: the whole file, which needs no range, may come all the same.
            _ => {
                self.restart()?;
                return Err(Trouble::passing("it sends another part than it was asked for").into());
            }
        }
        if self.validator.is_none() {
            let strong = response.header("etag").filter(|tag| !tag.starts_with("W/"));
            self.validator = strong.or_else(|| response.header("last-modified")).map(str::to_owned);
        }
        let total = response.length.map(|length| self.written + length);
        self.pump(response.body, total)?;
        Ok(total.is_some())
    }

    /// Copies from a mirror that is a directory of this machine.
    fn copy(&mut self, url: &Address) -> Result<bool, Setback> {
        let path = url.file_path();
        let source = match File::open(&path) {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Trouble::Gone("it does not have the file".to_owned()).into());
            }
            Err(error) => return Err(Trouble::Refused(PathError::new("open", path, error).to_string()).into()),
        };
        let metadata = source.metadata().map_err(|error| Trouble::Refused(error.to_string()))?;
        if !metadata.is_file() {
            return Err(Trouble::Gone("it is no file".to_owned()).into());
        }
        self.pump(Box::new(source), Some(metadata.len()))?;
        Ok(true)
    }

    /// Moves bytes until the body ends.
    fn pump(&mut self, mut body: Box<dyn Read>, total: Option<u64>) -> Result<(), Setback> {
        let limit = self.job.size.unwrap_or(self.job.options.largest_file);
        let too_long = |length: u64| Trouble::Refused(format!("it sends {length} bytes or more, but the file may have {limit} at most"));
        if let Some(total) = total.filter(|total| *total > limit) {
            return Err(too_long(total).into());
        }
        let mut buffer = vec![0u8; BUFFER];
        let mut reported: Option<Instant> = None;
        let mut window = (Instant::now(), self.written);
        loop {
            if window.0.elapsed() > self.job.options.stall {
                if self.written - window.1 < FEWEST {
                    return Err(Trouble::passing("it sends next to nothing").into());
                }
                window = (Instant::now(), self.written);
            }
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(classify_io(&error).into()),
            };
            let bytes = &buffer[..count];
            if self.written + count as u64 > limit {
                return Err(too_long(self.written + count as u64).into());
            }
            self.file.write_all(bytes).at("write", self.job.into)?;
            self.hasher.update(bytes);
            self.written += count as u64;
            if reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
                reported = Some(Instant::now());
                self.job.report(Progress::Received { bytes: self.written, total })?;
            }
        }
        match total {
            Some(total) if self.written < total => Err(Trouble::passing("it ended before the file did").into()),
            _ => Ok(()),
        }
    }
}

/// Which bytes of the file a response holds.
enum Part {
    /// All of them, as far as it says.
    Whole,
    /// Those from this one on. Some servers say 200 and send the part all the same.
    From(u64),
    /// Nobody can tell.
    Unknown,
}

fn part_from(response: &Response) -> Part {
    let Some(range) = response.header("content-range") else { return Part::Whole };
    let start = range.trim().strip_prefix("bytes ").and_then(|range| range.split('-').next()).and_then(|start| start.trim().parse().ok());
    start.map_or(Part::Unknown, Part::From)
}
