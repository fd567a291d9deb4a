//! What a path stands for.

use crate::cache::entry::EntryName;
use crate::cache::wire;

use super::content::Content;
use super::request::{Request, decode};
use super::tokens::Scope;

/// What a path stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// The page for people.
    Page,
    /// The front door, for programs.
    Door,
    /// Figures for Prometheus.
    Metrics,
    /// Which of many entries are not there.
    Missing,
    /// Which entries are there.
    List,
    /// What the page shows; the rest of the path.
    View(String),
    /// An entry.
    Entry(EntryName),
    /// Nothing that can be here.
    Nothing,
}

impl Route {
    /// Where a request leads.
    pub(super) fn of(request: &Request) -> Self {
        let Some(path) = decode(request.path) else { return Self::Nothing };
        let Some(name) = path.strip_prefix('/') else { return Self::Nothing };
        match name {
            "" if request.headers.accept.is_some_and(|accept| accept.contains("text/html")) => Self::Page,
            "" => Self::Door,
            "index.html" => Self::Page,
            "metrics" => Self::Metrics,
            wire::MISSING => Self::Missing,
            wire::LIST => Self::List,
            name => match name.strip_prefix("kiln/view/") {
                Some(what) => Self::View(what.to_owned()),
                None => name.parse().map_or(Self::Nothing, Self::Entry),
            },
        }
    }

    /// What a token must allow for this method.
    pub(super) fn scope(&self, request: &Request) -> Scope {
        use super::request::Method::{Delete, Put};
        match (self, request.method) {
            (Self::Entry(name), Put | Delete) => match (Content::of(name), request.method) {
                (Content::Collector, _) => Scope::Admin,
                (Content::Pin | Content::Lease, _) | (_, Put) => Scope::Push,
                _ => Scope::Admin,
            },
            _ => Scope::Read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::{Headers, Method};
    use super::*;

    fn route(path: &str) -> Route {
        Route::of(&Request::new(Method::Get, path, Headers::default()))
    }

    #[test]
    fn no_path_leads_out_of_the_cache() {
        let tricks = [
            "/../x",
            "/nar/../../x",
            "/%2e%2e/x",
            "/..%2fx",
            "/nar//x",
            "//x",
            "/nar/%00",
            "/.hidden",
            "/nar/.kiln-x",
            "x",
            "*",
            "",
            "/%",
            "/nar/",
            "/nar/\\..\\x",
            "http://host/x",
        ];
        for path in tricks {
            assert_eq!(route(path), Route::Nothing, "{path}");
        }
    }

    #[test]
    fn people_get_the_page_and_programs_the_door() {
        assert_eq!((route("/"), route("/index.html")), (Route::Door, Route::Page));
        let headers = Headers { accept: Some("text/html,*/*"), ..Headers::default() };
        assert_eq!(Route::of(&Request::new(Method::Get, "/?x", headers)), Route::Page);
        assert_eq!(route("/nar/a%2Bb"), Route::Entry("nar/a+b".parse().unwrap()));
    }
}
