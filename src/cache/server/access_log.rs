//! The access log: one JSON document a line. Buffered: what was written last is flushed once a second and at the end.

use std::fmt;
use std::io::{BufWriter, Write};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::request::Method;

/// What is known of a request once it is answered.
pub(super) struct Exchange<'a> {
    pub(super) client: IpAddr,
    pub(super) token: Option<&'a str>,
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) status: u16,
    /// Bytes of the body that were sent.
    pub(super) bytes: u64,
    pub(super) took: Duration,
}

#[derive(Serialize)]
struct Line<'a> {
    client: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    method: &'a str,
    path: &'a str,
    status: u16,
    bytes: u64,
    ms: f64,
}

struct Sink {
    out: BufWriter<Box<dyn Write + Send>>,
    second: u64,
    /// The second, as text up to the full stop.
    text: String,
}

/// Where requests are written down.
pub struct AccessLog(Mutex<Sink>);

impl AccessLog {
    /// A log that is written to `out`.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self(Mutex::new(Sink { out: BufWriter::with_capacity(64 << 10, out), second: u64::MAX, text: String::new() }))
    }

    fn sink(&self) -> MutexGuard<'_, Sink> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line. A log that cannot be written stops no response.
    pub(super) fn note(&self, exchange: &Exchange, now: SystemTime) {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let line = Line {
            client: exchange.client,
            token: exchange.token,
            method: exchange.method.word(),
            path: exchange.path,
            status: exchange.status,
            bytes: exchange.bytes,
            ms: exchange.took.as_micros() as f64 / 1000.0,
        };
        // Put together before the others have to wait; the time comes first, in place of the brace.
        let Ok(line) = serde_json::to_string(&line) else { return };
        let mut sink = self.sink();
        if sink.second != since.as_secs() {
            sink.second = since.as_secs();
            sink.text = timestamp(since.as_secs());
        }
        let Sink { out, text, .. } = &mut *sink;
        let _ = writeln!(out, "{{\"time\":\"{text}.{:03}Z\",{}", since.subsec_millis(), line.get(1..).unwrap_or_default());
    }

    /// Hands on what is buffered.
    pub(super) fn flush(&self) {
        let _ = self.sink().out.flush();
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessLog")
    }
}

/// A second since 1970 as `2026-11-24T16:20:00`, in UTC.
fn timestamp(second: u64) -> String {
    let (days, rest) = (second / 86_400, second % 86_400);
    // Years are counted from March, in eras of 400, so that leap days come last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_calendar_has_them() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00");
        assert_eq!(timestamp(951_827_696), "2000-02-29T12:34:56");
        assert_eq!(timestamp(1_796_083_199), "2026-11-30T23:59:59");
        assert_eq!(timestamp(4_107_542_400), "2100-03-01T00:00:00");
    }
}
