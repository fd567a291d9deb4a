//! The head of an HTTP/1 request: what is asked, and how the connection goes on. Strict: what two readers could understand differently is
//! refused, so that no proxy in front can be led astray.

use super::options::Limits;
use super::request::{Headers, Method, Request};

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
}

/// A request's head.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) request: Request<'a>,
    pub(super) framing: Framing,
    /// Whether the connection may stay.
    pub(super) keep: bool,
    /// Whether the client waits for a word before it sends the body.
    pub(super) expects: bool,
    /// Whether it understands chunks.
    pub(super) is_modern: bool,
    /// Bytes of the head.
    pub(super) length: usize,
}

/// A head that is answered with this status, and why; the connection ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bad(pub(super) u16, pub(super) &'static str);

/// The headers that say how a connection goes on.
#[derive(Default)]
struct Course<'a> {
    length: Option<&'a [u8]>,
    transfer: Option<&'a [u8]>,
    hosts: usize,
    close: bool,
    keep: bool,
    expects: bool,
}

impl<'a> Course<'a> {
    fn note(&mut self, name: &str, value: &'a [u8]) -> Result<(), Bad> {
        let word = |word: &[u8]| value.split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(word));
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => self.hosts += 1,
            6 if name.eq_ignore_ascii_case("expect") => self.expects = value.eq_ignore_ascii_case(b"100-continue"),
            10 if name.eq_ignore_ascii_case("connection") => {
                self.close |= word(b"close");
                self.keep |= word(b"keep-alive");
            }
            14 if name.eq_ignore_ascii_case("content-length") && self.length.replace(value).is_some() => {
                return Err(Bad(400, "the length of the body is said twice"));
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") && self.transfer.replace(value).is_some() => {
                return Err(Bad(400, "the coding of the body is said twice"));
            }
            _ => {}
        }
        Ok(())
    }

    fn framing(&self, is_modern: bool) -> Result<Framing, Bad> {
        match (self.transfer, self.length) {
            (Some(_), Some(_)) => Err(Bad(400, "the body has both a length and a coding")),
            (Some(_), None) if !is_modern => Err(Bad(400, "HTTP/1.0 has no codings")),
            (Some(coding), None) if coding.trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            (Some(_), None) => Err(Bad(501, "no coding but chunked is known")),
            (None, None) => Ok(Framing::Length(0)),
            (None, Some(length)) => {
                let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
                let number = std::str::from_utf8(length).ok().filter(|_| digits).and_then(|text| text.parse().ok());
                number.map(Framing::Length).ok_or(Bad(400, "the length of the body is no number"))
            }
        }
    }
}

/// Reads a head from the beginning of `bytes`; none if it is not all there.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Head<'_>>, Bad> {
    let mut fields = [httparse::EMPTY_HEADER; Limits::HEADERS];
    let mut parsed = httparse::Request::new(&mut fields);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Bad(431, "there are too many headers")),
        Err(httparse::Error::Version) => return Err(Bad(505, "this server speaks HTTP/1.1 and HTTP/2")),
        Err(_) => return Err(Bad(400, "this is no request of HTTP")),
    };
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else { return Ok(None) };
    let is_modern = version == 1;
    let (mut headers, mut course) = (Headers::default(), Course::default());
    for field in parsed.headers.iter() {
        headers.note(field.name, field.value);
        course.note(field.name, field.value)?;
    }
    if course.hosts > 1 || (is_modern && course.hosts == 0) {
        return Err(Bad(400, "the header `Host` must be there once"));
    }
    let framing = course.framing(is_modern)?;
    let request = Request::new(Method::of(method), origin_form(target), headers);
    let keep = if is_modern { !course.close } else { course.keep && !course.close };
    Ok(Some(Head { request, framing, keep, expects: course.expects && is_modern, is_modern, length }))
}

/// What is asked of this server, of a target as a proxy would be given it.
fn origin_form(target: &str) -> &str {
    let Some(rest) = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://")) else { return target };
    rest.find('/').map_or("/", |at| &rest[at..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(headers: &str) -> Result<Framing, u16> {
        let text = format!("PUT /x HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        let head = parse(text.as_bytes()).map_err(|bad| bad.0)?;
        Ok(head.unwrap().framing)
    }

    #[test]
    fn bodies_that_two_readers_could_frame_differently_are_refused() {
        assert_eq!(framed(""), Ok(Framing::Length(0)));
        assert_eq!(framed("Content-Length: 12\r\n"), Ok(Framing::Length(12)));
        assert_eq!(framed("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
        for bad in [
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 1,1\r\n",
            "Content-Length: \r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length : 1\r\n",
            "X: a\r\n b\r\n",
            "Host: b\r\n",
        ] {
            assert_eq!(framed(bad), Err(400), "{bad}");
        }
        assert_eq!(framed("Transfer-Encoding: gzip, chunked\r\n"), Err(501));
    }

    #[test]
    fn a_head_is_read_whole_or_not_yet() {
        let text = b"GET /x?y HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\nrest";
        for end in 0..text.len() - 4 {
            assert!(parse(&text[..end]).unwrap().is_none(), "{end}");
        }
        let head = parse(text).unwrap().unwrap();
        assert_eq!((head.length, head.keep, head.request.path), (text.len() - 4, true, "/x"));
        assert_eq!(head.request.headers.range, Some("bytes=0-1"));
    }

    #[test]
    fn versions_differ_in_what_they_keep() {
        let keeps = |text: &str| parse(text.as_bytes()).map(|head| head.unwrap().keep).map_err(|bad| bad.0);
        assert_eq!(keeps("GET / HTTP/1.0\r\n\r\n"), Ok(false));
        assert_eq!(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), Ok(true));
        assert_eq!(keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n"), Ok(false));
        assert_eq!(keeps("GET / HTTP/1.1\r\n\r\n"), Err(400));
        assert_eq!(keeps("GET / HTTP/1.2\r\n\r\n"), Err(505));
        assert_eq!(keeps("\u{16}\u{3}\u{1}\r\n\r\n"), Err(400));
    }

    #[test]
    fn a_proxys_form_is_understood() {
        let head = parse(b"GET http://host:1/nar/x HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().unwrap();
        assert_eq!(head.request.path, "/nar/x");
    }

    proptest! {
        #[test]
        fn a_head_is_the_same_however_much_of_it_has_come(
            edits in prop::collection::vec((0usize..120, any::<u8>()), 0..4),
            more in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut bytes = b"PUT /nar/x HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\nContent-Length: 12\r\nAccept: text/html\r\nExpect: x\r\n\r\n".to_vec();
            edits.into_iter().for_each(|(at, byte)| { let length = bytes.len(); bytes[at % length] = byte; });
            let Ok(Some(head)) = parse(&bytes) else { return Ok(()) };
            let (length, framing) = (head.length, head.framing);
            prop_assert!(length <= bytes.len());
            let longer = [&bytes[..length], &more].concat();
            let again = parse(&longer).unwrap().unwrap();
            prop_assert_eq!((again.length, again.framing), (length, framing));
            // Before its end it is not taken for whole.
            prop_assert!(!matches!(parse(&bytes[..length - 1]), Ok(Some(head)) if head.length >= length));
        }
    }
}
