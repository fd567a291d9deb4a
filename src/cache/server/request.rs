//! A request, as the answer depends on it: whichever protocol it came by.

use std::borrow::Cow;
use std::io::Read;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Put,
    Post,
    Delete,
    Other,
}

impl Method {
    pub(super) const ALL: [Self; 6] = [Self::Get, Self::Head, Self::Put, Self::Post, Self::Delete, Self::Other];

    /// The method that a word names.
    pub(super) fn of(word: &str) -> Self {
        Self::ALL.into_iter().find(|method| method.word() == word).unwrap_or(Self::Other)
    }

    /// Its word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Other => "other",
        }
    }

    /// Whether it only asks.
    pub(super) fn reads(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }
}

/// Those headers that an answer depends on. Of one that comes twice the first counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Headers<'a> {
    pub(super) accept: Option<&'a str>,
    pub(super) authorization: Option<&'a str>,
    pub(super) if_match: Option<&'a str>,
    pub(super) if_modified_since: Option<&'a str>,
    pub(super) if_none_match: Option<&'a str>,
    pub(super) if_range: Option<&'a str>,
    pub(super) range: Option<&'a str>,
}

impl<'a> Headers<'a> {
    /// Takes in a header. Values that are no text are as good as none.
    pub(super) fn note(&mut self, name: &str, value: &'a [u8]) {
        let place = match name.len() {
            5 if name.eq_ignore_ascii_case("range") => &mut self.range,
            6 if name.eq_ignore_ascii_case("accept") => &mut self.accept,
            8 if name.eq_ignore_ascii_case("if-match") => &mut self.if_match,
            8 if name.eq_ignore_ascii_case("if-range") => &mut self.if_range,
            13 if name.eq_ignore_ascii_case("authorization") => &mut self.authorization,
            13 if name.eq_ignore_ascii_case("if-none-match") => &mut self.if_none_match,
            17 if name.eq_ignore_ascii_case("if-modified-since") => &mut self.if_modified_since,
            _ => return,
        };
        if place.is_none() {
            *place = std::str::from_utf8(value).ok().map(str::trim);
        }
    }
}

/// A request without its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// As it was sent: it starts with a slash and may be percent-encoded.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: Headers<'a>,
}

impl<'a> Request<'a> {
    /// A request for a target, which is a path with or without a query.
    pub(super) fn new(method: Method, target: &'a str, headers: Headers<'a>) -> Self {
        match target.split_once('?') {
            Some((path, query)) => Self { method, path, query: Some(query), headers },
            None => Self { method, path: target, query: None, headers },
        }
    }

    /// A parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query?.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
        decode(&value.replace('+', " ")).map(Cow::into_owned)
    }
}

/// The body of a request, read while it comes.
pub(super) struct Upload<'a> {
    /// How long it will be, if that was said.
    pub(super) length: Option<u64>,
    /// Its bytes; ends early only with an error.
    pub(super) bytes: &'a mut dyn Read,
}

/// Undoes percent-encoding; nothing if it is wrong or does not give text.
pub(super) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        bytes.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_undone_once_or_refused() {
        assert_eq!(decode("a%2Fb%252e"), Some("a/b%2e".into()));
        for bad in ["%", "%2", "%zz", "a%+1", "%ff"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn parameters_are_found_by_name() {
        let request = Request::new(Method::Get, "/x?search=a+b%26&page=2", Headers::default());
        assert_eq!(request.parameter("search").as_deref(), Some("a b&"));
        assert_eq!(request.parameter("page").as_deref(), Some("2"));
        assert_eq!(request.parameter("pag"), None);
    }
}
