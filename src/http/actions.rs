//! `Action-Id`: one thing that a user does, and which request it is that is made under that name.

use super::{
    head::Head,
    reply::{ACTION_ID, PREFER},
};
use crate::{
    error::Result,
    query::{Action, ActionId, Fingerprint},
};
use http::header::{CONTENT_TYPE, IF_MATCH};

/// The action that a request names, if it names one. `path` has the segments that are not fixed, as they
/// came.
///
/// # Errors
/// `HeaderMalformed` unless the id is 1 to 128 visible ASCII characters, and stands once.
pub(super) fn action(head: &Head, path: &[&str], body: &[u8]) -> Result<Option<Action>> {
    let Some(id) = head.header(&ACTION_ID)? else {
        return Ok(None);
    };
    let id = ActionId::new(id)?;
    let mut parts: Vec<&[u8]> = vec![head.method.as_str().as_bytes()];
    parts.extend(path.iter().map(|it| it.as_bytes()));
    // What is not there stands between two of these all the same, so that nothing is taken for it.
    parts.extend([&b"?"[..], head.query.as_bytes()]);
    // The headers that shape what a write does or answers.
    let shaping = [IF_MATCH, PREFER, CONTENT_TYPE];
    for name in &shaping {
        parts.push(name.as_str().as_bytes());
        let values = head.headers.get_all(name).iter();
        parts.extend(values.map(http::HeaderValue::as_bytes));
    }
    parts.extend([&b"body"[..], body]);
    Ok(Some(Action {
        id,
        fingerprint: Fingerprint::of(parts),
    }))
}
