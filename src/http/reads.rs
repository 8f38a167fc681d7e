//! `GET` and `HEAD` of a resource and of one of its rows: at once, or asynchronously.

use super::{
    OWN_NAMES,
    asynchronous::{Asynchronous, Target, Wanted},
    conditions,
    credentials::Callers,
    head::{Head, Segment, UNRESERVED},
    keys,
    media::Media,
    preferences::{Followed, Preferences},
    profile::Profiles,
    range,
    reply::{self, Answered, NEXT, Refusal, put, put_etag, put_position, put_range},
};
use crate::{
    config::{Api, WriteAnswer},
    error::{Error, Kind, Result},
    identity::{Caller, Identity},
    postgres::Database,
    query::{Query, Shape},
};
use bytes::Bytes;
use http::{
    StatusCode,
    header::{CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, LINK},
};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use std::sync::Arc;

/// How often one read is tried.
const READS_MAX: usize = 3;

/// Answers reads.
#[derive(Debug)]
pub struct Reads {
    pub(super) database: Database,
    callers: Arc<Callers>,
    profiles: Profiles,
    pub(super) asynchronous: Arc<Asynchronous>,
    /// Answers are PostgREST's to the letter.
    pub(super) as_postgrest: bool,
}

impl Reads {
    /// Reads of this database.
    pub fn new(
        database: Database,
        callers: Arc<Callers>,
        asynchronous: Arc<Asynchronous>,
        profiles: Profiles,
        api: &Api,
    ) -> Self {
        Self {
            database,
            callers,
            profiles,
            asynchronous,
            as_postgrest: api.write_answer == WriteAnswer::Minimal,
        }
    }

    /// What every read looks at before its query.
    pub(super) fn begin(&self, head: &Head) -> Result<(Caller, Preferences, Media)> {
        let caller = self.callers.caller(head)?;
        self.profiles.check(head)?;
        let preferences = Preferences::of_read(head)?;
        let media = Media::read(head)?;
        Ok((caller, preferences, media))
    }
}

/// `GET /{resource}`
pub(super) async fn list(resource: Segment, head: Head, reads: Arc<Reads>) -> Answered {
    read(Target { resource, id: None }, head, &reads).await
}

/// `GET /{resource}/{id}`
pub(super) async fn item(
    resource: Segment,
    id: Segment,
    head: Head,
    reads: Arc<Reads>,
) -> Answered {
    let id = Some(id);
    read(Target { resource, id }, head, &reads).await
}

async fn read(target: Target, head: Head, reads: &Reads) -> Answered {
    let (Caller { identity, .. }, preferences, media) = reads.begin(&head)?;
    let asynchronous = &reads.asynchronous;
    if let Some(id) = asynchronous.asked(&head, &preferences)? {
        return asynchronous
            .accept(&head, &preferences, &identity, id, Wanted::Target(&target))
            .await;
    }
    if target.id.is_some() {
        // Under strict handling this refuses a time zone: an item is a row as it is, which a store may
        // keep.
        Preferences::read(&head)?;
    }
    undisturbed(reads, &head, &identity, &target, media).await
}

/// The answer to a read at once, which is planned and read again where something got in the way: the
/// schema or the caller's rights changed after it was planned, or PostgreSQL gave it up for another
/// transaction. Nothing was written, so the caller need not hear of it.
async fn undisturbed(
    reads: &Reads,
    head: &Head,
    identity: &Identity,
    target: &Target,
    media: Media,
) -> Answered {
    let mut attempt = 1;
    loop {
        match at_once(reads, head, identity, target, media).await {
            Err(refusal) if refusal.kind() == Kind::Conflict && attempt < READS_MAX => attempt += 1,
            answered => return answered,
        }
    }
}

async fn at_once(
    reads: &Reads,
    head: &Head,
    identity: &Identity,
    target: &Target,
    media: Media,
) -> Answered {
    let access = reads.database.access(&identity.role).await?;
    let query = target.query(&access, &head.query)?;
    match target.id {
        None => answer(reads, head, identity, query, target.resource.raw()).await,
        Some(_) => one(reads, head, identity, query, media).await,
    }
}

/// Answers the rows of a query at once; `path` is where they were asked for.
pub(super) async fn answer(
    reads: &Reads,
    head: &Head,
    identity: &Identity,
    mut query: Query,
    path: &str,
) -> Answered {
    let mut preferences = Preferences::of_read(head)?;
    let media = Media::read(head)?;
    if let Some(name) = &preferences.time_zone {
        let zone = reads.database.time_zone(name).await?;
        if !zone.is_some_and(|it| query.in_time_zone(&it)) {
            preferences = preferences.without_time_zone()?;
        }
    }
    // What gives one thing is not answered in an array.
    let one = query.call().is_some_and(|it| it.shape() != Shape::Many);
    range::narrow(&mut query, head)?;
    query.counted(preferences.counting());
    let look = reads.asynchronous.look(identity);
    let listing = reads.database.list(identity, &query).await?;
    look.showed(listing.position.version);
    let first = query.first();
    let (status, content_range) = range::answered(first, listing.rows, listing.count);
    if let (StatusCode::RANGE_NOT_SATISFIABLE, Some(count)) = (status, listing.count) {
        let refusal = Refusal::from(range::beyond(first, count));
        return Err(refusal.with(CONTENT_RANGE, &content_range));
    }
    media.admits(listing.rows)?;
    if query.call().is_some() && reads.as_postgrest {
        preferences.admits(listing.rows)?;
    }
    if media.csv && (query.includes() || query.has_keys()) {
        return Err(not_as_csv().into());
    }
    let listed = match query.has_keys() {
        true => {
            keys::beside(
                &reads.database,
                identity,
                &query,
                &listing.body,
                listing.rows,
            )
            .await?
        }
        false => listing.body.clone(),
    };
    let body = match one && listing.rows == 0 {
        true => Bytes::from_static(b"null"),
        false => {
            let mut shape = media;
            shape.singular |= one;
            shaped(listed, shape, query.includes() || query.has_keys())?
        }
    };
    let mut response = reply::json(status, body);
    put_range(&mut response, &content_range);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media.content_type(reads.as_postgrest));
    let name = utf8_percent_encode(&query.resource().name, UNRESERVED).to_string();
    if reads.as_postgrest && query.call().is_none() {
        put(headers, CONTENT_LOCATION, &canonical(&name, &head.query));
    }
    if let Some(next) = &listing.next {
        put(headers, NEXT, next);
        let limit = query.rows_limit();
        let link = following(path, &head.query, next, limit);
        put(headers, LINK, &link);
    }
    put_position(headers, &listing.position);
    preferences.put_applied(headers, Followed::Read);
    Ok(response)
}

/// A list in the shape that the caller takes.
fn shaped(body: Bytes, media: Media, is_object: bool) -> Result<Bytes> {
    let body = match media.singular && !is_object {
        // The one element of the array.
        true => body.slice(1..body.len() - 1),
        false => body,
    };
    media.render(body)
}

fn not_as_csv() -> Error {
    Error::new(
        Kind::NotAcceptable,
        "Rows of several resources are no table; ask for application/json.",
    )
}

/// What a list is the answer to, by one text for all ways to ask for it: its parameters sorted.
pub(super) fn canonical(name: &str, query: &str) -> String {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        let text = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        utf8_percent_encode(&text, UNRESERVED).to_string()
    };
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|it| !it.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect();
    pairs.sort_by(|(left, _), (right, _)| left.cmp(right));
    let pairs: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
    match pairs.is_empty() {
        true => format!("/{name}"),
        false => format!("/{name}?{}", pairs.join("&")),
    }
}

/// What may not stand in a link as it is: what ends it, and what no header holds.
const OUTSIDE_OF_LINKS: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

/// The link to the next page (RFC 8288): the same query behind the token.
pub(super) fn following(resource: &str, query: &str, token: &str, limit: Option<u64>) -> String {
    let name = |pair: &&str| pair.split('=').next().unwrap_or_default().to_owned();
    let kept = query.split('&').filter(|it| !it.is_empty());
    let kept = kept.filter(|it| !["after", "offset"].contains(&name(it).as_str()));
    let mut pairs: Vec<String> = kept.map(str::to_owned).collect();
    if let Some(limit) = limit
        && !pairs.iter().any(|it| it.starts_with("limit="))
    {
        pairs.push(format!("limit={limit}"));
    }
    pairs.push(format!("after={token}"));
    let folder = if OWN_NAMES.contains(&resource) {
        "resources/"
    } else {
        ""
    };
    // Not all callers encode what they write, and a query in a body need not be encoded at all.
    let target = format!("{folder}{resource}?{}", pairs.join("&"));
    let target = utf8_percent_encode(&target, OUTSIDE_OF_LINKS);
    format!("</{target}>; rel=\"next\"")
}

/// Answers with one row, in the state that the caller wants it in.
async fn one(
    reads: &Reads,
    head: &Head,
    identity: &Identity,
    query: Query,
    media: Media,
) -> Answered {
    let wanted = conditions::if_match(head)?;
    let unless = conditions::if_none_match(head)?;
    let several = query.includes() || query.has_keys();
    if media.csv && several {
        return Err(not_as_csv().into());
    }
    let look = reads.asynchronous.look(identity);
    let mut item = reads.database.item(identity, &query).await?;
    look.showed(item.position.version);
    if query.has_keys() {
        item.body = keys::beside(&reads.database, identity, &query, &item.body, 1).await?;
    }
    // `*` wants the row to be there, as it is.
    if let Some(tags) = wanted.filter(|it| !it.is_empty())
        && !tags.iter().any(|it| Some(&**it) == item.etag.as_deref())
    {
        let detail = "The row is in another state than If-Match names.";
        return Err(Error::new(Kind::PreconditionFailed, detail).into());
    }
    let known = unless.is_some_and(|it| it.matches(item.etag.as_deref()));
    let mut response = match known {
        true => reply::empty(StatusCode::NOT_MODIFIED),
        false => {
            let mut response = reply::json(StatusCode::OK, media.render(item.body)?);
            let content_type = media.content_type(reads.as_postgrest);
            response.headers_mut().insert(CONTENT_TYPE, content_type);
            response
        }
    };
    put_position(response.headers_mut(), &item.position);
    put_etag(response.headers_mut(), item.etag.as_deref());
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_holds_what_a_header_may_hold() {
        let query = "a=eq.\u{e4}\nb&limit=3&after=x&c=eq.%3C<";
        let link = following("tickets", query, "next", Some(3));
        let expected = "</tickets?a=eq.%C3%A4%0Ab&limit=3&c=eq.%3C%3C&after=next>; rel=\"next\"";
        assert_eq!(link, expected);
        assert!(http::HeaderValue::from_str(&link).is_ok());
    }
}
