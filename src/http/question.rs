//! `POST /{resource}/query`: a read whose query is too long for a URL, in the body.
//!
//! The body becomes the query string that it stands for, and the read that of a GET. Knows no grammar:
//! what the parameters mean is `query`'s business.

use super::{
    body::{Body, media_type},
    head::{Head, Segment, UNRESERVED},
    reads::{self, Reads},
    reply::Answered,
};
use crate::error::{Error, Kind, Result};
use http::Method;
use percent_encoding::utf8_percent_encode;
use serde_json::{Map, Value};
use std::{fmt::Write as _, sync::Arc};

/// `POST /{resource}/query`
pub(super) async fn query(
    resource: Segment,
    head: Head,
    body: Body,
    reads: Arc<Reads>,
) -> Answered {
    // Nobody unknown sends a body that we read.
    reads.begin(&head)?;
    let media_type = media_type(&head)?;
    let body = body.read(&head).await?;
    let said = match media_type.as_deref() {
        None | Some("application/json") => of_json(&body)?,
        Some("application/x-www-form-urlencoded" | "text/plain") => of_text(&body)?,
        Some(_) => {
            return Err(Error::new(
                Kind::MediaTypeUnsupported,
                "A query is a JSON object of its parameters, or a query string as text/plain or \
                 application/x-www-form-urlencoded.",
            )
            .into());
        }
    };
    let query = [head.query.as_str(), said.as_str()];
    let query: Vec<&str> = query.into_iter().filter(|it| !it.is_empty()).collect();
    let head = Head {
        method: Method::GET,
        query: query.join("&"),
        ..head
    };
    reads::list(resource, head, reads).await
}

/// A query string, as it stands in a URL.
fn of_text(body: &[u8]) -> Result<String> {
    let text = std::str::from_utf8(body).map_err(|_| malformed("The body is not UTF-8."))?;
    let text = text.trim();
    Ok(text.strip_prefix('?').unwrap_or(text).to_owned())
}

/// `{"status":"eq.open","limit":10,"or":["(…)","(…)"]}`: each member is a parameter, and one that stands
/// several times is an array.
fn of_json(body: &[u8]) -> Result<String> {
    let members: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
        malformed("The body is not a JSON object of parameters.").with_source(error)
    })?;
    let mut query = String::new();
    for (name, value) in &members {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        for value in values {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                _ => {
                    let detail = format!("The parameter {name:?} is no text and no number.");
                    return Err(malformed(detail));
                }
            };
            let separator = if query.is_empty() { "" } else { "&" };
            let name = utf8_percent_encode(name, UNRESERVED);
            let value = utf8_percent_encode(&value, UNRESERVED);
            write!(query, "{separator}{name}={value}").expect("a string takes everything");
        }
    }
    Ok(query)
}

fn malformed(detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Kind::BodyMalformed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_stand_for_query_strings() {
        let query = of_json(br#"{"id":"in.(1,2)","limit":3,"a b":["eq.x&y","lt.\u00e4"]}"#);
        assert_eq!(
            query.unwrap(),
            "a%20b=eq.x%26y&a%20b=lt.%C3%A4&id=in.%281%2C2%29&limit=3"
        );
        assert_eq!(of_json(b"{}").unwrap(), "");
        assert_eq!(of_text(b"?id=in.(1,2)\n").unwrap(), "id=in.(1,2)");
        for bad in [&b"[]"[..], b"{", b"{\"id\":null}", b"{\"id\":{}}"] {
            assert_eq!(of_json(bad).unwrap_err().kind(), Kind::BodyMalformed);
        }
        assert!(of_text(b"\xff").is_err());
    }
}
