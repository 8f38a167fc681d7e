//! The page of `rowcast dev`: the files of a folder at the root, and the document that says to the page
//! as whom it may call.
//!
//! Owns which files there are. Knows neither what is in them nor what the document says. A server
//! without a page has none of these routes.

use super::{
    head::Segment,
    reply::{self, Answered, Response, put_no_store},
    route::{boxed, first_of, with},
};
use crate::error::{Error, Kind};
use bytes::Bytes;
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};
use std::{path::PathBuf, sync::Arc};
use warp::{Filter, filters::BoxedFilter, get, path};

/// The name of the document.
const DOCUMENT: &str = "demo.json";
/// The files of a page, and what they are. Names are compared, never joined with what a caller says.
const FILES: [(&str, &str); 4] = [
    ("index.html", "text/html; charset=utf-8"),
    ("page.js", "text/javascript; charset=utf-8"),
    ("page.js.map", "application/json"),
    ("page.css", "text/css; charset=utf-8"),
];
/// Nothing from anywhere else, whatever a row says.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; \
    style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

/// A page at the root of a server.
#[derive(Debug)]
pub struct Page {
    folder: PathBuf,
    document: Bytes,
}

impl Page {
    /// The page whose built files are in this folder, if they are, with this JSON document.
    pub fn new(folder: PathBuf, document: impl Into<Bytes>) -> Self {
        Self {
            folder,
            document: document.into(),
        }
    }

    async fn file(&self, name: &'static str, content_type: &'static str) -> Answered {
        let path = self.folder.join(name);
        let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
        let Ok(Ok(content)) = read else {
            let error = Error::new(Kind::RouteUnknown, "The page has not been built.");
            return Err(error
                .with_hint("npm ci --prefix client && npm run build --prefix client")
                .into());
        };
        let mut response = reply::json(StatusCode::OK, content);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Ok(response)
    }
}

/// The page's routes, which reject what is none of its files.
pub(super) fn routes(page: &Arc<Page>) -> BoxedFilter<(Response,)> {
    let index = path::end()
        .and(get())
        .and(with(page))
        .then(async |page: Arc<Page>| {
            let [(name, content_type), ..] = FILES;
            page.file(name, content_type).await
        });
    let files = path!(Segment)
        .and_then(async |segment: Segment| {
            let name = segment.decode().unwrap_or_default();
            let found = FILES.into_iter().find(|(file, _)| *file == name);
            found.ok_or_else(warp::reject::not_found)
        })
        .and(get())
        .and(with(page))
        .then(async |(name, content_type), page: Arc<Page>| page.file(name, content_type).await);
    let document = warp::path(DOCUMENT)
        .and(path::end())
        .and(get())
        .and(with(page))
        .then(async |page: Arc<Page>| {
            let mut response = reply::json(StatusCode::OK, page.document.clone());
            put_no_store(response.headers_mut());
            Ok(response)
        });
    first_of([boxed(index), boxed(files), boxed(document)])
}
