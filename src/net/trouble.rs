//! Why a server did not serve, sorted by what is to be done about it.

use std::io;
use std::time::{Duration, SystemTime};

use super::NetError;

/// Why a server did not serve, sorted by what is to be done about it.
#[derive(Debug)]
pub enum Trouble {
    /// It does not have the file: ask another.
    Gone(String),
    /// It may well serve it in a moment.
    Passing {
        /// Why.
        reason: String,
        /// When to come back, if it said so.
        after: Option<Duration>,
    },
    /// It will not serve it, however often it is asked.
    Refused(String),
    /// The same, said by a status.
    Status {
        /// The status.
        status: u16,
        /// What it means.
        reason: String,
    },
    /// No server was at fault, and none can help.
    Setup(NetError),
}

impl Trouble {
    /// A failure that may pass, without a time.
    pub fn passing(reason: impl Into<String>) -> Self {
        Self::Passing { reason: reason.into(), after: None }
    }

    /// With the first line of what the server says to it, unless it is only that something is not there.
    #[must_use]
    pub(super) fn explained(mut self, text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let line = text.lines().next().unwrap_or_default().trim();
        if let Self::Passing { reason, .. } | Self::Refused(reason) | Self::Status { reason, .. } = &mut self
            && !line.is_empty()
        {
            // Anybody may have written it.
            let harmless: String = line.chars().filter(|letter| !letter.is_control()).collect();
            reason.push_str(&format!(": {harmless}"));
        }
        self
    }
}

impl From<NetError> for Trouble {
    fn from(error: NetError) -> Self {
        Self::Setup(error)
    }
}

/// What a status that brings no file means.
pub(super) fn refusal(status: u16, retry_after: Option<&str>) -> Trouble {
    let reason = match status {
        401 | 407 => format!("it wants other credentials (status {status})"),
        403 => "it forbids access (status 403)".to_owned(),
        404 | 410 => format!("it does not have the file (status {status})"),
        429 => "it is asked too often (status 429)".to_owned(),
        500..=599 => format!("it is in trouble (status {status})"),
        _ => format!("it answers with status {status}"),
    };
    match status {
        404 | 410 => Trouble::Gone(reason),
        408 | 425 | 429 | 500 | 502..=504 | 507..=509 | 520..=599 => {
            Trouble::Passing { reason, after: retry_after.and_then(|text| pause_of(text, SystemTime::now())) }
        }
        _ => Trouble::Status { status, reason },
    }
}

/// What a failed request means.
pub(super) fn classify(error: &ureq::Error) -> Trouble {
    match error {
        ureq::Error::Io(error) => classify_io(error),
        ureq::Error::Timeout(_) => Trouble::passing("it does not answer"),
        ureq::Error::HostNotFound => Trouble::passing("its name is not known"),
        ureq::Error::ConnectionFailed => Trouble::passing("no connection can be made"),
        ureq::Error::Rustls(error) => Trouble::Refused(format!("the encrypted connection fails: {error}")),
        ureq::Error::Tls(reason) => Trouble::Refused(format!("the encrypted connection fails: {reason}")),
        ureq::Error::ConnectProxyFailed(reason) => Trouble::passing(format!("the proxy refuses: {reason}")),
        ureq::Error::Protocol(_) | ureq::Error::BodyStalled => Trouble::passing(format!("its answer is broken: {error}")),
        other => Trouble::Refused(other.to_string()),
    }
}

/// What an error of the connection means.
pub fn classify_io(error: &io::Error) -> Trouble {
    let inner = error.get_ref();
    if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return Trouble::Refused(format!("the encrypted connection fails: {error}"));
    }
    if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
        return classify(error);
    }
    Trouble::passing(match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "it broke the connection".to_owned(),
        io::ErrorKind::UnexpectedEof => "it ended before the file did".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "it does not answer".to_owned(),
        _ => error.to_string(),
    })
}

/// `Retry-After`: seconds, or a date (`Wed, 21 Oct 2015 07:28:00 GMT`).
fn pause_of(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = words[..] else { return None };
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = names.iter().position(|name| *name == month)? as u64 + 1;
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok().filter(|year| (1970..10_000).contains(year))?);
    let clock: Vec<u64> = time.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [hours, minutes, seconds] = clock[..] else { return None };
    if day > 31 || hours > 24 || minutes > 60 || seconds > 60 {
        return None;
    }
    let at = Duration::from_secs(days_since_1970(year, month, day) * 86_400 + hours * 3_600 + minutes * 60 + seconds);
    Some((SystemTime::UNIX_EPOCH + at).duration_since(now).unwrap_or_default())
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, counting years from March so that leap days come last.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    (365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day).saturating_sub(719_469)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_to_it_is_told_in_one_harmless_line() {
        let said = |status, text: &[u8]| match refusal(status, None).explained(text) {
            Trouble::Gone(reason) | Trouble::Refused(reason) | Trouble::Passing { reason, .. } | Trouble::Status { reason, .. } => reason,
            Trouble::Setup(error) => error.to_string(),
        };
        assert_eq!(said(403, b"this needs a token\x1b[31m\nmore"), "it forbids access (status 403): this needs a token[31m");
        assert_eq!(said(404, b"nothing here"), "it does not have the file (status 404)");
        assert_eq!(said(503, b"\n"), "it is in trouble (status 503)");
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_470);
        assert_eq!(pause_of("120", now), Some(Duration::from_secs(120)));
        assert_eq!(pause_of("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(pause_of("Wed, 21 Oct 2014 07:28:00 GMT", now), Some(Duration::ZERO));
        for bad in ["", "soon", "-1", "Wed, 21 Foo 2015 07:28:00 GMT", "Wed, 99 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28 GMT"] {
            assert_eq!(pause_of(bad, now), None, "{bad}");
        }
    }

    #[test]
    fn days_are_counted_over_leap_years() {
        let days = |year, month, day| days_since_1970(year, month, day);
        assert_eq!([days(1970, 1, 1), days(2000, 2, 29), days(2000, 3, 1), days(2026, 11, 22)], [0, 11_016, 11_017, 20_779]);
    }

    #[test]
    fn statuses_say_what_to_do_next() {
        assert!(matches!(refusal(404, None), Trouble::Gone(_)));
        assert!(matches!(refusal(403, None), Trouble::Status { status: 403, .. }));
        assert!(matches!(refusal(503, Some("7")), Trouble::Passing { after: Some(pause), .. } if pause == Duration::from_secs(7)));
        assert!(matches!(refusal(429, None), Trouble::Passing { after: None, .. }));
    }
}
