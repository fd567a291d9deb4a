//! The page for people: one document, nothing fetched from elsewhere, and a policy that would not let it.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::model::Sha256;

use super::response::{Body, Response};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The document, and which style and script of a page may run.
static PAGE: LazyLock<(String, String)> = LazyLock::new(|| {
    let page = include_str!("page.html").replace("/* style */", STYLE).replace("/* script */", SCRIPT);
    let hash = |text: &str| format!("'sha256-{}'", BASE64.encode(Sha256::of(text).as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    (page, policy)
});

/// The page.
pub(super) fn response() -> Response {
    let (page, policy) = &*PAGE;
    let response = Response::empty(200).with("Content-Type", "text/html; charset=utf-8").with("Content-Security-Policy", policy.as_str());
    let response = response.with("X-Content-Type-Options", "nosniff").with("Referrer-Policy", "no-referrer").with("Vary", "Accept");
    response.with("Cache-Control", "no-cache").body(Body::Bytes(page.as_bytes().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_stands_alone() {
        let (page, policy) = &*PAGE;
        assert!(page.contains(STYLE) && page.contains(SCRIPT) && policy.matches("'sha256-").count() == 2);
        for outside in ["http://", "https://", "<link rel=\"stylesheet", "<script src", "innerHTML", "outerHTML", "document.write", "eval("]
        {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
