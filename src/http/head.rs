//! What a request says before its body, as handlers read it.
//!
//! Owns the look at headers and query parameters that are rowcast's own; the query of a resource is
//! read by `query`.

use super::connection::Connection;
use crate::error::{Error, Kind, Result};
use http::{HeaderMap, HeaderName, Method};
use hyper::upgrade::OnUpgrade;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str};
use std::{borrow::Cow, convert::Infallible, str::FromStr};
use warp::Filter;

/// What stands in a path or a query as it is (RFC 3986 section 2.3).
pub(super) const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A request's head.
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    /// The query string as it came, percent-encoded, without the question mark.
    pub(super) query: String,
    /// The connection that it came on; `None` outside of our own accept loop.
    pub(super) connection: Option<Connection>,
    /// How to take the connection over, where the caller asks for that.
    pub(super) upgrade: Option<OnUpgrade>,
}

/// Takes a request's head; never rejects.
pub(super) fn head() -> impl Filter<Extract = (Head,), Error = Infallible> + Clone {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::method()
        .and(warp::header::headers_cloned())
        .and(query)
        .and(warp::ext::optional::<Connection>())
        .and(warp::ext::optional::<OnUpgrade>())
        .map(|method, headers, query, connection, upgrade| Head {
            method,
            headers,
            query,
            connection,
            upgrade,
        })
}

impl Head {
    /// A GET without a query, for tests of what headers say.
    #[cfg(test)]
    pub(super) fn of_get(headers: HeaderMap) -> Self {
        Self {
            method: Method::GET,
            headers,
            query: String::new(),
            connection: None,
            upgrade: None,
        }
    }

    /// The text of a header that may stand once.
    ///
    /// # Errors
    /// `HeaderMalformed` if it stands several times or is not visible ASCII.
    pub(super) fn header(&self, name: &HeaderName) -> Result<Option<&str>> {
        let mut values = self.headers.get_all(name).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(malformed(name, "stands more than once"));
        }
        match value.to_str() {
            Ok(text) => Ok(Some(text.trim())),
            Err(_) => Err(malformed(name, "is not visible ASCII")),
        }
    }

    /// Whether a header that lists words names this one, in whatever case.
    pub(super) fn lists(&self, name: HeaderName, word: &str) -> bool {
        let words = self.headers.get_all(name).into_iter();
        words
            .filter_map(|it| it.to_str().ok())
            .flat_map(|it| it.split(','))
            .any(|it| it.trim().eq_ignore_ascii_case(word))
    }
}

/// An error about a header, named as people write it.
pub(super) fn malformed(name: &HeaderName, what: &str) -> Error {
    Error::new(Kind::HeaderMalformed, format!("The header {name} {what}."))
}

/// The parameters of a query string that is rowcast's own, decoded; each may stand once.
///
/// # Errors
/// `QueryMalformed` for a parameter that is not among `known`, stands twice, or is not UTF-8.
pub(super) fn parameters<const N: usize>(
    query: &str,
    known: [&str; N],
) -> Result<[Option<String>; N]> {
    let mut found = [const { None }; N];
    for pair in query.split('&').filter(|it| !it.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name)?;
        let Some(at) = known.iter().position(|it| *it == name) else {
            let error = Error::new(
                Kind::QueryMalformed,
                format!("There is no parameter {name:?} here."),
            );
            return Err(match name.as_ref() {
                "access_token" | "token" => error.with_hint(
                    "A token never stands in a URL: send `Authorization: Bearer`, or get a pass \
                     from `POST /passes`.",
                ),
                _ => error.with_hint(format!("Known are {}.", known.join(", "))),
            });
        };
        if found[at].replace(decode(value)?.into_owned()).is_some() {
            return Err(Error::new(
                Kind::QueryMalformed,
                format!("The parameter {name:?} stands more than once."),
            ));
        }
    }
    Ok(found)
}

fn decode(text: &str) -> Result<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().map_err(|_| {
        Error::new(
            Kind::QueryMalformed,
            "The query string is not percent-encoded UTF-8.",
        )
    })
}

/// A segment of the path as it came, percent-encoded.
#[derive(Debug, Clone)]
pub(super) struct Segment(String);

impl FromStr for Segment {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl From<&str> for Segment {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Segment {
    /// As it came.
    pub(super) fn raw(&self) -> &str {
        &self.0
    }

    /// Percent-decoded.
    ///
    /// # Errors
    /// `RouteUnknown` unless it is UTF-8.
    pub(super) fn decode(&self) -> Result<Cow<'_, str>> {
        percent_decode_str(&self.0)
            .decode_utf8()
            .map_err(|_| Error::new(Kind::RouteUnknown, "The path is not percent-encoded UTF-8."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_known_and_single() {
        let read = |query| parameters(query, ["after", "pass"]);
        let found = read("pass=a%2Fb&after=3&").unwrap();
        assert_eq!(found, [Some("3".into()), Some("a/b".into())]);
        assert_eq!(read("after").unwrap(), [Some(String::new()), None]);
        for bad in ["x=1", "after=1&after=2", "after=%ff", "access_token=x"] {
            let error = read(bad).unwrap_err();
            assert_eq!(error.kind(), Kind::QueryMalformed, "{bad}");
        }
    }
}
