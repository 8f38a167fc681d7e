//! The `Prefer` header (RFC 7240): what a caller would like, in PostgREST's words.
//!
//! Unknown preferences are ignored, as the RFC asks, unless `handling=strict`; those that PostgREST
//! knows and that would change what happens are refused until they are served.

use super::{
    head::Head,
    reply::{PREFER, PREFERENCE_APPLIED, put},
};
use crate::{
    error::{Error, Kind, Result},
    query::Answer,
};
use http::HeaderMap;

/// What a caller would like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Preferences {
    /// `respond-async`.
    pub(super) respond_async: bool,
    /// `return=minimal` or `return=representation`.
    pub(super) answer: Option<Answer>,
}

impl Preferences {
    /// Reads all `Prefer` headers together; of a preference that stands twice, the first counts.
    ///
    /// # Errors
    /// `HeaderMalformed` for what cannot be read, and for unknown preferences with
    /// `handling=strict`; `NotSupported` for those that would change what happens.
    pub(super) fn read(head: &Head) -> Result<Self> {
        let mut preferences = Self::default();
        let mut strict = false;
        let mut unknown = None;
        for value in head.headers.get_all(PREFER) {
            let text = value
                .to_str()
                .map_err(|_| Error::new(Kind::HeaderMalformed, "Prefer is not visible ASCII."))?;
            for preference in text.split(',') {
                // Parameters of a preference (after `;`) say nothing here.
                let preference = preference.split(';').next().unwrap_or_default();
                let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
                let name = name.trim().to_ascii_lowercase();
                let value = value.trim().trim_matches('"');
                match (&*name, value) {
                    ("", _) => {}
                    ("respond-async", _) => preferences.respond_async = true,
                    ("return", "minimal") => {
                        preferences.answer.get_or_insert(Answer::Minimal);
                    }
                    ("return", "representation") => {
                        preferences.answer.get_or_insert(Answer::Rows);
                    }
                    ("handling", "strict") => strict = true,
                    // What these ask for is what happens anyway.
                    ("handling", "lenient")
                    | ("tx", "commit")
                    | ("count", "none")
                    | ("missing", "null") => {}
                    (
                        "return" | "tx" | "count" | "missing" | "resolution" | "max-affected"
                        | "timezone",
                        _,
                    ) => {
                        return Err(Error::new(
                            Kind::NotSupported,
                            format!(
                                "The preference {:?} is not supported yet.",
                                preference.trim()
                            ),
                        ));
                    }
                    _ => unknown = unknown.or_else(|| Some(preference.trim().to_owned())),
                }
            }
        }
        match unknown.filter(|_| strict) {
            Some(unknown) => Err(Error::new(
                Kind::HeaderMalformed,
                format!("The preference {unknown:?} is not known, and handling is strict."),
            )),
            None => Ok(preferences),
        }
    }
}

/// Says which preference was followed.
pub(super) fn put_applied(headers: &mut HeaderMap, preference: &'static str) {
    put(headers, PREFERENCE_APPLIED, preference);
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, Method};

    fn read(values: &[&'static str]) -> Result<Preferences> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PREFER, HeaderValue::from_static(value));
        }
        Preferences::read(&Head {
            method: Method::GET,
            headers,
            query: String::new(),
            connection: None,
            upgrade: None,
        })
    }

    #[test]
    fn preferences_are_read_together() {
        assert_eq!(read(&[]).unwrap(), Preferences::default());
        let both = read(&["Respond-Async, wait=10", "return=\"minimal\"; x=1"]).unwrap();
        assert!(both.respond_async);
        assert_eq!(both.answer, Some(Answer::Minimal));
        let first = read(&["return=representation, return=minimal"]).unwrap();
        assert_eq!(first.answer, Some(Answer::Rows));
    }

    #[test]
    fn what_would_change_the_outcome_is_refused_and_what_is_unknown_is_ignored() {
        for preference in ["count=exact", "resolution=merge-duplicates", "tx=rollback"] {
            let error = read(&[preference]).unwrap_err();
            assert_eq!(error.kind(), Kind::NotSupported, "{preference}");
        }
        assert!(read(&["colour=blue, handling=lenient"]).is_ok());
        let strict = read(&["colour=blue, handling=strict"]).unwrap_err();
        assert_eq!(strict.kind(), Kind::HeaderMalformed);
    }
}
