//! Conditional requests (RFC 9110 section 13): entity tags in `If-Match` and `If-None-Match`.

use super::head::{Head, malformed};
use crate::error::Result;
use http::{
    HeaderName,
    header::{IF_MATCH, IF_NONE_MATCH},
};

/// What a condition compares with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tags {
    /// `*`: any row that exists.
    Any,
    /// One of these.
    These(Vec<String>),
}

impl Tags {
    /// Whether a row of this entity tag is among them, by the weak comparison (RFC 9110 section
    /// 8.8.3.2): a compressed answer's tag has become weak on its way.
    pub(super) fn matches(&self, etag: Option<&str>) -> bool {
        match self {
            Tags::Any => true,
            Tags::These(tags) => tags.iter().any(|it| Some(&**it) == etag),
        }
    }
}

/// The condition of a read.
///
/// # Errors
/// `HeaderMalformed`.
pub(super) fn if_none_match(head: &Head) -> Result<Option<Tags>> {
    tags(head, &IF_NONE_MATCH)
}

/// The entity tags of which a write wants to find one, in the words of
/// [`crate::query::WriteOptions`].
///
/// # Errors
/// `HeaderMalformed`.
pub(super) fn if_match(head: &Head) -> Result<Option<Vec<String>>> {
    // Strong comparison would never match a tag that a compressing proxy has made weak, although
    // ours names the row and not its encoding; so the mark is passed over.
    Ok(tags(head, &IF_MATCH)?.map(|tags| match tags {
        Tags::Any => Vec::new(),
        Tags::These(tags) => tags,
    }))
}

/// The entity tags of which a write wants to find none, in the words of
/// [`crate::query::WriteOptions`].
///
/// # Errors
/// `HeaderMalformed`.
pub(super) fn if_none_match_of_write(head: &Head) -> Result<Option<Vec<String>>> {
    Ok(if_none_match(head)?.map(|tags| match tags {
        Tags::Any => Vec::new(),
        Tags::These(tags) => tags,
    }))
}

fn tags(head: &Head, name: &HeaderName) -> Result<Option<Tags>> {
    let not_tags = || malformed(name, "is neither `*` nor a list of quoted entity tags");
    let mut found = Vec::new();
    let mut is_present = false;
    for value in head.headers.get_all(name) {
        is_present = true;
        let mut rest = value.to_str().map_err(|_| not_tags())?.trim();
        if rest == "*" {
            return Ok(Some(Tags::Any));
        }
        while !rest.is_empty() {
            let quoted = rest.strip_prefix("W/").unwrap_or(rest);
            let (text, after) = quoted
                .strip_prefix('"')
                .and_then(|it| it.split_once('"'))
                .ok_or_else(not_tags)?;
            found.push(text.to_owned());
            let after = after.trim_start();
            rest = match after.strip_prefix(',') {
                Some(more) => more.trim_start(),
                None if after.is_empty() => after,
                None => return Err(not_tags()),
            };
        }
    }
    match (is_present, found.is_empty()) {
        (false, _) => Ok(None),
        (true, true) => Err(not_tags()),
        (true, false) => Ok(Some(Tags::These(found))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use http::{HeaderMap, HeaderValue};

    fn head(value: &'static str) -> Head {
        let mut headers = HeaderMap::new();
        headers.insert(IF_MATCH, HeaderValue::from_static(value));
        headers.insert(IF_NONE_MATCH, HeaderValue::from_static(value));
        Head::of_get(headers)
    }

    #[test]
    fn tags_are_read_and_compared() {
        let tags = if_none_match(&head("\"1\", W/\"2,3\"")).unwrap().unwrap();
        assert!(tags.matches(Some("1")) && tags.matches(Some("2,3")));
        assert!(!tags.matches(Some("3")) && !tags.matches(None));
        assert!(if_none_match(&head("*")).unwrap().unwrap().matches(None));
        assert_eq!(if_match(&head("*")).unwrap(), Some(vec![]));
        let read = if_match(&head("W/\"2\" , \"1\"")).unwrap();
        assert_eq!(read, Some(vec!["2".into(), "1".into()]));
        for bad in ["1", "\"1", "\"1\" \"2\"", "", "W/*"] {
            let error = if_match(&head(bad)).unwrap_err();
            assert_eq!(error.kind(), Kind::HeaderMalformed, "{bad}");
        }
    }
}
