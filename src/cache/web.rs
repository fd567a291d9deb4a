//! What the back ends over HTTP have in common: reading from a byte on, asking whether something is there, putting, all of it patiently.
//!
//! Addresses are made anew for every try, because those of S3 hold a signature that grows old.

use std::io::{self, Read};
use std::time::Duration;

use super::backend::{Existing, Reading, Source};
use super::patient::{Failure, Patience, Steady};
use crate::net::{Address, Body, Client, Method, NetError, Response, Settings, Trouble, classify_io};

/// A body of this length or more is sent only after asking whether it is needed.
const WORTH_ASKING: u64 = 1 << 20;

/// Makes addresses.
pub(super) type Addresses<'a> = &'a dyn Fn() -> Result<Address, Failure>;

/// Headers of a request.
pub(super) type Headers<'a> = &'a [(&'a str, &'a str)];

/// A patient client.
#[derive(Debug)]
pub(super) struct Web {
    client: Client,
    pub(super) patience: Patience,
    stall: Duration,
    /// Nothing is shown to the server that would let kiln in. Some servers then forbid what is not there.
    pub(super) anonymous: bool,
}

impl Web {
    pub(super) fn new(settings: Settings, patience: Patience, anonymous: bool) -> Self {
        let stall = settings.stall;
        Self { client: Client::new(settings), patience, stall, anonymous }
    }

    /// Whether this says that something is not there.
    fn is_absence(&self, trouble: &Trouble) -> bool {
        matches!(trouble, Trouble::Gone(_)) || self.anonymous && matches!(trouble, Trouble::Status { status: 403, .. })
    }

    /// A body from byte `from` on; none if it is not there.
    pub(super) fn read(&self, address: Addresses<'_>, headers: Headers<'_>, from: u64) -> Result<Option<Reading>, Failure> {
        let range = format!("bytes={from}-");
        let mut headers = headers.to_vec();
        headers.push(("accept-encoding", "identity"));
        if from > 0 {
            headers.push(("range", &range));
        }
        self.patience.run(|| match self.client.get(&address()?, &headers) {
            Ok(response) => self.reading(response, from).map(Some),
            // It ends before `from`: nothing is left of it.
            Err(Trouble::Status { status: 416, .. }) if from > 0 => Ok(Some(Reading { body: Box::new(io::empty()), length: Some(0) })),
            Err(trouble) if self.is_absence(&trouble) => Ok(None),
            Err(trouble) => Err(trouble.into()),
        })
    }

    /// What a response is read as, so that the first byte is number `from`.
    fn reading(&self, response: Response, from: u64) -> Result<Reading, Failure> {
        if let Some(encoding) = response.header("content-encoding").filter(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            return Err(Failure::Lie(format!("it encodes what it sends (`{}`)", encoding.escape_debug())));
        }
        let (status, said) = (response.status, response.length);
        let range = response.header("content-range").map(str::to_owned);
        let mut body = self.steady(response);
        match range {
            _ if status == 206 && from == 0 => Err(Failure::Lie("it sends a part that nobody asked for".to_owned())),
            None if status == 206 => Err(Failure::Lie("it sends a part without saying which".to_owned())),
            // Some servers say 200 and send the part all the same.
            Some(range) => {
                let length = ContentRange::parse(&range).and_then(|range| range.rest(from, said));
                let length = length
                    .ok_or_else(|| Failure::Lie(format!("it sends `{}`, but was asked for what starts at {from}", range.escape_debug())))?;
                Ok(Reading { body: Box::new(body), length })
            }
            None => {
                let skipped = io::copy(&mut (&mut body).take(from), &mut io::sink()).map_err(|error| classify_io(&error))?;
                if skipped < from && said.is_some_and(|length| skipped < length) {
                    return Err(Trouble::passing("it ended before the entry did").into());
                }
                Ok(Reading { body: Box::new(body), length: said.map(|length| length.saturating_sub(from)) })
            }
        }
    }

    fn steady(&self, response: Response) -> Steady<Box<dyn Read + Send>> {
        let is_chunked = response.header("transfer-encoding").is_some_and(|coding| coding.to_ascii_lowercase().contains("chunked"));
        let has_end = response.length.is_some() || is_chunked;
        Steady::new(response.body, has_end, self.stall)
    }

    /// The whole body of an answer that is at most `limit` long.
    pub(super) fn body(&self, response: Response, limit: u64) -> Result<Vec<u8>, Failure> {
        let (said, mut bytes) = (response.length, Vec::new());
        self.steady(response).take(limit + 1).read_to_end(&mut bytes).map_err(|error| classify_io(&error))?;
        match said {
            _ if bytes.len() as u64 > limit => Err(Failure::Lie(format!("it is longer than {limit} bytes"))),
            Some(said) if said > bytes.len() as u64 => Err(Trouble::passing("it ended before the file did").into()),
            _ => Ok(bytes),
        }
    }

    /// A small document.
    pub(super) fn document(&self, address: Addresses<'_>, headers: Headers<'_>, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
        self.patience.run(|| match self.client.get(&address()?, headers) {
            Ok(response) => self.body(response, limit).map(Some),
            Err(trouble) if self.is_absence(&trouble) => Ok(None),
            Err(trouble) => Err(trouble.into()),
        })
    }

    /// The answer to what is posted.
    pub(super) fn post(&self, address: Addresses<'_>, headers: Headers<'_>, body: &[u8], limit: u64) -> Result<Vec<u8>, Failure> {
        self.patience.run(|| {
            let response = self.client.send(Method::Post, &address()?, headers, Some(Body::Bytes(body)))?;
            self.body(response, limit)
        })
    }

    /// Whether something is there, and its length if that is said.
    pub(super) fn head(&self, address: Addresses<'_>, headers: Headers<'_>) -> Result<Option<Option<u64>>, Failure> {
        self.patience.run(|| match self.client.send(Method::Head, &address()?, headers, None) {
            Ok(response) => Ok(Some(response.length)),
            Err(trouble) if self.is_absence(&trouble) => Ok(None),
            Err(trouble) => Err(trouble.into()),
        })
    }

    /// Puts a body.
    pub(super) fn put(&self, address: Addresses<'_>, headers: Headers<'_>, body: Piece<'_>, existing: Existing) -> Result<(), Failure> {
        let mut careful = existing == Existing::Keep;
        self.patience.run(|| {
            let mut headers = headers.to_vec();
            if careful {
                headers.push(("if-none-match", "*"));
            }
            let mut reader = body.open().map_err(|error| Trouble::Setup(NetError::Body(error)))?;
            let sent = Some(Body::Reader { reader: &mut reader, length: body.length });
            match self.client.send(Method::Put, &address()?, &headers, sent) {
                Ok(_) => Ok(()),
                // It is there already; or somebody else is writing it just now, and what is there in a moment is as good.
                Err(Trouble::Status { status: 412, .. }) if careful => Ok(()),
                Err(Trouble::Status { status: 409, reason }) if careful => Err(Trouble::passing(reason).into()),
                // A server that does not know this condition. What it overwrites is the same anyway.
                Err(Trouble::Status { status: 501, reason }) if careful => {
                    careful = false;
                    Err(Trouble::passing(reason).into())
                }
                Err(trouble) => Err(trouble.into()),
            }
        })
    }

    /// The headers of the answer to what is put: one of them.
    pub(super) fn put_part(&self, address: Addresses<'_>, body: Piece<'_>, wanted: &str) -> Result<String, Failure> {
        self.patience.run(|| {
            let mut reader = body.open().map_err(|error| Trouble::Setup(NetError::Body(error)))?;
            let sent = Some(Body::Reader { reader: &mut reader, length: body.length });
            let response = self.client.send(Method::Put, &address()?, &[], sent)?;
            let value = response.header(wanted).map(str::to_owned);
            value.ok_or_else(|| Failure::Lie(format!("it takes a part without an {wanted}")))
        })
    }

    /// Removes something, if it is there.
    pub(super) fn delete(&self, address: Addresses<'_>, headers: Headers<'_>) -> Result<(), Failure> {
        self.patience.run(|| match self.client.send(Method::Delete, &address()?, headers, None) {
            Ok(_) | Err(Trouble::Gone(_)) => Ok(()),
            Err(trouble) => Err(trouble.into()),
        })
    }
}

/// What a listing is of, for messages.
pub(super) fn under(prefix: &str) -> String {
    if prefix.is_empty() { "all entries".to_owned() } else { format!("what is under {prefix}") }
}

/// Whether it is worth asking for an entry before it is sent.
pub(super) fn is_worth_asking(source: &dyn Source, existing: Existing) -> bool {
    existing == Existing::Keep && source.length() >= WORTH_ASKING
}

/// A part of a source's bytes.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) from: u64,
    pub(super) length: u64,
}

impl<'a> Piece<'a> {
    /// All of it.
    pub(super) fn whole(source: &'a dyn Source) -> Self {
        Self { source, from: 0, length: source.length() }
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send + 'a>> {
        let mut reader = self.source.open()?;
        io::copy(&mut (&mut reader).take(self.from), &mut io::sink())?;
        Ok(reader)
    }
}

/// `Content-Range: bytes 5-9/10`
struct ContentRange {
    first: u64,
    last: u64,
    total: Option<u64>,
}

impl ContentRange {
    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        let total = match total.trim() {
            "*" => None,
            total => Some(total.parse().ok()?),
        };
        (first <= last && last < u64::MAX).then_some(Self { first, last, total })
    }

    /// How many bytes there are from `from` on, if anybody knows; nothing if this is not a part that starts there. `said` is the part's own
    /// length: it may end early, and what is missing is asked for next.
    fn rest(&self, from: u64, said: Option<u64>) -> Option<Option<u64>> {
        let Self { first, last, total } = *self;
        let fits = first == from && said.is_none_or(|said| said == last - first + 1) && total.is_none_or(|total| last < total);
        fits.then(|| total.map(|total| total - from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read() {
        let read = |text| ContentRange::parse(text).map(|range| (range.first, range.last, range.total));
        assert_eq!(read("bytes 5-9/10"), Some((5, 9, Some(10))));
        assert_eq!(read("bytes 5-9/*"), Some((5, 9, None)));
        for bad in ["", "bytes */10", "bytes 9-5/10", "bytes 5-/10", "items 5-9/10", "bytes 5-9", "bytes 0-18446744073709551615/*"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
