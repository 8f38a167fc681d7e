//! What fuzzing looks at in this room. Compiled for tests and for fuzzing only.

use super::{
    accept, conditions,
    head::Head,
    media::Media,
    preferences::{Followed, Preferences},
    range, reads,
    reply::put,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{CONTENT_LOCATION, LINK},
};

pub(crate) use super::websocket::fuzzing::frames;

/// Headers, a line each, `name: value`; the first line is a query string. Everything that is read of
/// them, and what is answered.
pub(crate) fn headers(input: &[u8]) {
    let mut lines = input.split(|it| *it == b'\n');
    let query = lines.next().and_then(|it| std::str::from_utf8(it).ok());
    let mut headers = HeaderMap::new();
    for line in lines.take(32) {
        let Some(at) = line.iter().position(|it| *it == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..at]);
        let value = HeaderValue::from_bytes(line[at + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let head = Head {
        method: Method::GET,
        headers,
        query: query.unwrap_or_default().to_owned(),
        connection: None,
        upgrade: None,
    };
    if let Ok(preferences) = Preferences::read(&head) {
        for followed in [
            Followed::Read,
            Followed::Create { keyed: true },
            Followed::Update,
            Followed::Replace,
            Followed::Delete,
        ] {
            preferences.put_applied(&mut HeaderMap::new(), followed);
        }
    }
    let _ = Media::read(&head);
    let _ = Media::of_write(&head);
    let _ = accept::negotiate(&head, &[("application/json", 1), ("text/event-stream", 2)]);
    if let Some(asked) = range::asked(&head) {
        let (first, rows) = (asked.first, asked.last.unwrap_or(asked.first));
        let _ = range::answered(first.min(1 << 62), rows.min(1 << 62), asked.last);
    }
    let _ = conditions::if_match(&head);
    let _ = conditions::if_none_match_of_write(&head);
    let link = reads::following("tickets", &head.query, "token", Some(3));
    let location = reads::canonical("tickets", &head.query);
    let mut answered = HeaderMap::new();
    put(&mut answered, LINK, &link);
    put(&mut answered, CONTENT_LOCATION, &location);
}
