//! Answers, and the one place that turns an error into one.

use crate::{
    error::{Error, Kind},
    snapshot::Position,
    wire::{problem, status_of},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, LOCATION, RETRY_AFTER,
        SEC_WEBSOCKET_VERSION, WWW_AUTHENTICATE,
    },
};
use std::error::Error as _;

pub(super) use warp::reply::Response;

/// The header that names the state an answer reflects.
pub const CURSOR: HeaderName = HeaderName::from_static("cursor");
/// The header with the number that orders that state.
pub const VERSION: HeaderName = HeaderName::from_static("version");
/// The header that names a channel.
pub const CHANNEL_ID: HeaderName = HeaderName::from_static("channel-id");
/// The header with the number of the last event of a poll.
pub const SEQUENCE: HeaderName = HeaderName::from_static("sequence");
/// The header with the paging token (RFC 8288's `Link` carries it too).
pub const NEXT: HeaderName = HeaderName::from_static("next");
/// The header that names what a caller's user did.
pub const ACTION_ID: HeaderName = HeaderName::from_static("action-id");
/// The header that says that a write was done before, under the same action id, and not again.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// RFC 7240.
pub const PREFER: HeaderName = HeaderName::from_static("prefer");
/// RFC 7240.
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// RFC 9218.
pub const PRIORITY: HeaderName = HeaderName::from_static("priority");

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// How long a caller should wait whom we could not serve, in seconds.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("1");

/// What a handler gives: an answer or a refusal.
pub(super) type Answered = Result<Response, Refusal>;

/// An answer with this status and a JSON body.
pub(super) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into().into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// An answer with this status and nothing else.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// Adds the state that an answer reflects.
pub(super) fn put_position(headers: &mut HeaderMap, position: &Position) {
    put(headers, CURSOR, &position.cursor);
    headers.insert(VERSION, HeaderValue::from(position.version.0));
}

/// Adds an entity tag, given without its quotes.
pub(super) fn put_etag(headers: &mut HeaderMap, etag: Option<&str>) {
    if let Some(etag) = etag {
        put(headers, ETAG, &format!("\"{etag}\""));
    }
}

/// Adds that no cache may keep the answer.
pub(super) fn put_no_store(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// Adds a header whose value we made, and which is therefore visible ASCII.
pub(super) fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).expect("values that we make are visible ASCII");
    headers.insert(name, value);
}

/// Says which rows of a list an answer has. The layers that compress answers leave alone what names a
/// range, since theirs are of bytes; so the header is put on outside of them, by [`with_range`].
pub(super) fn put_range(response: &mut Response, range: &str) {
    let value = HeaderValue::from_str(range).expect("a range is numbers");
    response.extensions_mut().insert(ContentRange(value));
}

#[derive(Debug, Clone)]
struct ContentRange(HeaderValue);

/// Puts the range of rows that an answer has into its header.
pub fn with_range<B>(mut response: http::Response<B>) -> http::Response<B> {
    if let Some(ContentRange(value)) = response.extensions_mut().remove() {
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
    response
}

/// A refusal: the error, and what its answer says beside the problem document.
#[derive(Debug)]
pub(super) struct Refusal(Box<Inner>);

#[derive(Debug)]
struct Inner {
    error: Error,
    request_id: Option<String>,
    headers: HeaderMap,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(Box::new(Inner {
            error,
            request_id: None,
            headers: HeaderMap::new(),
        }))
    }
}

impl Refusal {
    /// Why it is refused.
    pub(super) fn kind(&self) -> Kind {
        self.0.error.kind()
    }

    /// Names the asynchronous request that is refused.
    pub(super) fn of_request(mut self, header: &HeaderName, id: &str) -> Self {
        put(&mut self.0.headers, header.clone(), id);
        self.0.request_id = Some(id.to_owned());
        self
    }

    /// Says that the caller came without a token.
    pub(super) fn of_nobody(mut self) -> Self {
        self.0.error = self.0.error.of_nobody();
        self
    }

    /// Says where what stands in the way can be looked at.
    pub(super) fn at(mut self, location: &str) -> Self {
        put(&mut self.0.headers, LOCATION, location);
        self
    }

    /// Adds a header whose value we made, and which is therefore visible ASCII.
    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        put(&mut self.0.headers, name, value);
        self
    }

    /// Says which methods the path takes (RFC 9110 section 10.2.1).
    pub(super) fn allowing(mut self, methods: &'static str) -> Self {
        let methods = HeaderValue::from_static(methods);
        self.0.headers.insert(ALLOW, methods);
        self
    }

    /// Says which version of WebSocket we speak (RFC 6455 section 4.4).
    pub(super) fn speaking_websocket(mut self) -> Self {
        put(&mut self.0.headers, SEC_WEBSOCKET_VERSION, "13");
        self
    }
}

impl warp::Reply for Refusal {
    fn into_response(self) -> Response {
        let Inner {
            error,
            request_id,
            headers,
        } = *self.0;
        let mut response = of_error(&error, request_id.as_deref());
        response.headers_mut().extend(headers);
        response
    }
}

/// The answer to a request that failed with this error; it is logged here and nowhere else.
pub fn of_error(error: &Error, request_id: Option<&str>) -> Response {
    let kind = error.kind();
    log_refused(error, "a request was refused");
    let mut response = Response::new(problem::document(error, request_id).into());
    let status = status_of(error);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let media_type = HeaderValue::from_static(problem::MEDIA_TYPE);
    headers.insert(CONTENT_TYPE, media_type);
    // A refusal depends on the caller and the moment, so no cache may answer with it.
    put_no_store(headers);
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(WWW_AUTHENTICATE, challenge(kind));
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(RETRY_AFTER, RETRY_AFTER_S);
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            // The default fits a resource that is read-only; a path of ours says its own.
            let methods = HeaderValue::from_static("GET, HEAD, OPTIONS");
            headers.insert(ALLOW, methods);
        }
        _ if kind == Kind::ActionInFlight => {
            headers.insert(RETRY_AFTER, RETRY_AFTER_S);
        }
        _ => {}
    }
    response
}

/// Logs what a caller is told, and of a failure of ours the cause that it is not told.
pub(super) fn log_refused(error: &Error, what: &'static str) {
    if error.kind().is_internal() {
        let cause = error.source().map(tracing::field::display);
        tracing::error!(%error, cause, what);
    } else {
        tracing::debug!(%error, what);
    }
}

/// The challenge of a 401 (RFC 6750 section 3): no error code where no token was sent.
fn challenge(kind: Kind) -> HeaderValue {
    HeaderValue::from_static(match kind {
        Kind::TokenMissing | Kind::PermissionDenied => "Bearer realm=\"rowcast\"",
        Kind::TokenExpired => {
            "Bearer realm=\"rowcast\", error=\"invalid_token\", error_description=\"The token has expired\""
        }
        _ => {
            "Bearer realm=\"rowcast\", error=\"invalid_token\", error_description=\"The token is not valid\""
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_an_answer() {
        for kind in Kind::ALL {
            let response = of_error(&Error::new(*kind, "x"), None);
            let status = response.status();
            assert!(status.as_u16() >= 300, "{kind:?}");
            assert_eq!(response.headers()[CONTENT_TYPE], problem::MEDIA_TYPE);
            let has = |name| response.headers().contains_key(name);
            assert_eq!(has(WWW_AUTHENTICATE), status == 401, "{kind:?}");
            assert_eq!(has(ALLOW), status == 405, "{kind:?}");
            let later = [429, 503].contains(&status.as_u16()) || *kind == Kind::ActionInFlight;
            assert_eq!(has(RETRY_AFTER), later, "{kind:?}");
        }
    }
}
