//! The problem document (RFC 9457), as the body of an answer and inside an `error` event.
//!
//! Decides what a caller may know of an error. Knows nothing of responses and channels.

use super::{status::is_told, status_of};
use crate::error::Error;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;

/// The media type of a problem document (RFC 9457 section 3).
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What callers read instead of the detail of an internal error.
const INTERNAL_DETAIL: &str = "The server could not do this; its log has the cause.";

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    // These three stand always, as PostgREST's clients expect.
    message: &'a str,
    details: Option<Cow<'a, Value>>,
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    retryable: bool,
}

/// The problem document of `error`, as one JSON object without a line break. `request_id` is the
/// caller's name for what failed, if it gave one.
pub fn document(error: &Error, request_id: Option<&str>) -> Bytes {
    let kind = error.kind();
    let shown = is_told(error);
    let fault = error.database().filter(|_| shown);
    let document = Document {
        r#type: kind.name(),
        title: kind.title(),
        status: status_of(error).as_u16(),
        detail: if shown {
            error.detail()
        } else {
            INTERNAL_DETAIL
        },
        code: error.code(),
        message: if shown {
            error.message()
        } else {
            INTERNAL_DETAIL
        },
        details: fault
            .and_then(|it| it.details.as_deref())
            .map(|it| Cow::Owned(Value::from(it)))
            .or_else(|| error.details().map(Cow::Borrowed))
            .filter(|_| shown),
        hint: error
            .hint()
            .or_else(|| fault.and_then(|it| it.hint.as_deref()))
            .filter(|_| shown),
        request_id,
        index: error.index(),
        retryable: kind.is_retryable(),
    };
    serde_json::to_vec(&document)
        .expect("strings, numbers and booleans always encode")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{DatabaseFault, Kind};
    use serde_json::json;

    fn read(error: &Error, request_id: Option<&str>) -> Value {
        serde_json::from_slice(&document(error, request_id)).expect("a document is JSON")
    }

    #[test]
    fn a_document_names_what_happened() {
        let error = Error::new(Kind::UniqueViolation, "The e-mail address is taken.")
            .with_database(DatabaseFault {
                sqlstate: "23505".into(),
                message: "duplicate key".into(),
                details: Some("Key (email)=(a@b) already exists.".into()),
                ..DatabaseFault::default()
            });
        assert_eq!(
            read(&error, Some("r1")),
            json!({
                "type": "unique-violation",
                "title": "A row with these values exists already",
                "status": 409,
                "detail": "The e-mail address is taken.",
                "code": "23505",
                "message": "duplicate key",
                "details": "Key (email)=(a@b) already exists.",
                "hint": null,
                "request_id": "r1",
            })
        );
    }

    #[test]
    fn no_internal_text_reaches_a_caller() {
        let error = Error::internal("secret path")
            .with_hint("secret hint")
            .with_source("secret cause")
            .with_database(DatabaseFault {
                sqlstate: "XX000".into(),
                message: "secret message".into(),
                details: Some("secret details".into()),
                hint: Some("secret database hint".into()),
                constraint: Some("secret constraint".into()),
                status: None,
            });
        let document = document(&error, None);
        let text = std::str::from_utf8(&document).expect("a document is UTF-8");
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(read(&error, None)["code"], "RC500");
    }

    #[test]
    fn an_overload_may_be_tried_again() {
        let problem = read(&Error::new(Kind::Overloaded, "Too much at once."), None);
        assert_eq!(problem["retryable"], true);
        assert_eq!(problem["status"], 503);
    }
}
