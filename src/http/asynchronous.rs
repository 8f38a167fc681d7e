//! Asynchronous GETs as callers ask for them: by header or by command.
//!
//! Owns the way from a path to a running request. Everything that can be refused without asking the
//! database is refused on this way, before the 202.

use super::{
    head::{Head, Segment, UNRESERVED},
    media::Media,
    preferences::{Preferences, put_respond_async},
    range,
    reply::{self, Answered, CHANNEL_ID, PRIORITY, Refusal, log_refused, put, put_no_store},
};
use crate::{
    catalog::Access,
    channel::{Channel, ChannelId, Look, Priority, RequestId},
    error::{Error, Kind, Result},
    identity::Identity,
    postgres::Database,
    query::Query,
    request::Requests,
    wire::answer,
};
use http::{HeaderName, Method, StatusCode, header::LOCATION};
use percent_encoding::utf8_percent_encode;
use std::sync::Arc;
use uuid::Uuid;

/// Starts asynchronous GETs.
#[derive(Debug)]
pub struct Asynchronous {
    database: Database,
    requests: Requests,
    header: HeaderName,
    url_bytes_max: usize,
}

/// What a request is about: a list, or an item of it.
pub(super) struct Target {
    pub(super) resource: Segment,
    pub(super) id: Option<Segment>,
}

/// What is asked for asynchronously.
pub(super) enum Wanted<'a> {
    /// What a path names.
    Target(&'a Target),
    /// What is known already: what a function gives.
    Query(Box<Query>),
}

impl Target {
    /// The path's own segments, as they came.
    pub(super) fn segments(&self) -> Vec<&str> {
        let id = self.id.iter().map(Segment::raw);
        std::iter::once(self.resource.raw()).chain(id).collect()
    }

    /// The query of this target, checked against what the caller's role may do.
    ///
    /// # Errors
    /// As [`Query::list`].
    pub(super) fn query(&self, access: &Access, query_string: &str) -> Result<Query> {
        let resource = self.resource.decode()?;
        match &self.id {
            None => Query::list(access, &resource, query_string),
            Some(id) => Query::item(access, &resource, id.raw(), query_string),
        }
    }
}

impl Asynchronous {
    /// Asynchronous GETs that are asked for by the header `header`, or by a command with a path of
    /// at most `url_bytes_max` bytes.
    pub fn new(
        database: Database,
        requests: Requests,
        header: HeaderName,
        url_bytes_max: usize,
    ) -> Self {
        Self {
            database,
            requests,
            header,
            url_bytes_max,
        }
    }

    /// A plain answer is about to be read for this identity.
    pub(super) fn look(&self, identity: &Identity) -> Look {
        self.requests.look(identity)
    }

    /// The name that the caller gave to an asynchronous GET, or that we give it; `None` for a plain
    /// request.
    ///
    /// # Errors
    /// `HeaderMalformed`.
    pub(super) fn asked(
        &self,
        head: &Head,
        preferences: &Preferences,
    ) -> Result<Option<RequestId>> {
        if head.method != Method::GET {
            return Ok(None);
        }
        match head.header(&self.header)? {
            Some(id) => RequestId::parse(id).map(Some),
            None if preferences.respond_async => {
                let id = Uuid::now_v7().to_string();
                RequestId::parse(&id).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Starts the GET and answers 202.
    pub(super) async fn accept(
        &self,
        head: &Head,
        preferences: &Preferences,
        identity: &Arc<Identity>,
        id: RequestId,
        wanted: Wanted<'_>,
    ) -> Answered {
        let refused = |error: Error| Refusal::from(error).of_request(&self.header, id.as_str());
        let channel_id = channel_of(head).map_err(refused)?;
        let location = location(&channel_id, &id);
        let start = async {
            let priority = priority_of(head)?;
            Media::read(head)?.expect_events()?;
            // Under strict handling this refuses a time zone: rows that enter a store show times in UTC.
            Preferences::read(head)?;
            let mut query = match wanted {
                Wanted::Query(query) => *query,
                Wanted::Target(target) => {
                    let access = self.database.access(&identity.role).await?;
                    target.query(&access, &head.query)?
                }
            };
            range::narrow(&mut query, head)?;
            query.counted(preferences.counting());
            let lane = self
                .requests
                .reserve(identity, &channel_id, id.clone(), priority)?;
            self.requests.start(identity.clone(), query, lane);
            Ok(())
        };
        start.await.map_err(|error: Error| {
            let in_use = error.kind() == Kind::RequestIdInUse;
            match in_use {
                true => refused(error).at(&location),
                false => refused(error),
            }
        })?;
        let body = answer::accepted(id.as_str(), channel_id.as_str());
        let mut response = reply::json(StatusCode::ACCEPTED, body);
        let headers = response.headers_mut();
        put(headers, self.header.clone(), id.as_str());
        put(headers, CHANNEL_ID, channel_id.as_str());
        put(headers, LOCATION, &location);
        put_no_store(headers);
        if preferences.respond_async {
            put_respond_async(headers);
        }
        Ok(response)
    }

    /// Starts the GET of a command. Whatever is wrong with what it asks for is the end of the
    /// request, as if it had run.
    ///
    /// # Errors
    /// `RequestIdInUse`, `TooManyRequests`, `ChannelEnded`, `ShuttingDown`: there is no request that
    /// could end.
    pub(super) async fn get(
        &self,
        channel: &Arc<Channel>,
        id: RequestId,
        priority: Priority,
        path: &str,
    ) -> Result<()> {
        let identity = channel.identity();
        let lane = channel.open_request(id, priority)?;
        let query = async {
            if path.len() > self.url_bytes_max {
                return Err(Error::url_too_long(self.url_bytes_max));
            }
            let (target, query_string) = target_of(path)?;
            let access = self.database.access(&identity.role).await?;
            target.query(&access, query_string)
        };
        match query.await {
            Ok(query) => self.requests.start(identity.clone(), query, lane),
            Err(error) => {
                log_refused(&error, "an asynchronous request was refused");
                lane.fail(&error);
            }
        }
        Ok(())
    }
}

/// The channel that the caller names, or the one of callers who name none.
pub(super) fn channel_of(head: &Head) -> Result<ChannelId> {
    match head.header(&CHANNEL_ID)? {
        Some(name) => ChannelId::parse(name),
        None => Ok(ChannelId::default()),
    }
}

fn priority_of(head: &Head) -> Result<Priority> {
    Ok(head
        .header(&PRIORITY)?
        .map(Priority::parse)
        .unwrap_or_default())
}

/// Where a request can be looked at and cancelled.
fn location(channel: &ChannelId, id: &RequestId) -> String {
    format!(
        "/requests/{}?channel={}",
        utf8_percent_encode(id.as_str(), UNRESERVED),
        utf8_percent_encode(channel.as_str(), UNRESERVED)
    )
}

/// Reads the path of a `get` command as the routes read that of a GET.
fn target_of(path: &str) -> Result<(Target, &str)> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let unknown = || {
        let error = Error::new(Kind::RouteUnknown, "There is no resource at this path.");
        error.with_hint("A path looks like /tickets?status=eq.open or /tickets/42.")
    };
    let path = path.strip_prefix('/').ok_or_else(unknown)?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut segments = path.split('/').peekable();
    let is_own = segments
        .peek()
        .is_some_and(|it| super::OWN_NAMES.contains(it));
    if is_own && segments.next() != Some("resources") {
        return Err(unknown());
    }
    let segment = |it: &str| Segment::from(it);
    let resource = segments.next().filter(|it| !it.is_empty()).map(segment);
    let id = segments.next().map(segment);
    match (resource, segments.next()) {
        (Some(resource), None) => Ok((Target { resource, id }, query)),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_command_is_that_of_a_get() {
        let read = |path| {
            let (target, query) = target_of(path).ok()?;
            let id = target.id.map(|it| it.raw().to_owned());
            Some((target.resource.raw().to_owned(), id, query.to_owned()))
        };
        let found = |resource: &str, id: Option<&str>, query: &str| {
            Some((resource.into(), id.map(Into::into), query.into()))
        };
        assert_eq!(read("/tickets"), found("tickets", None, ""));
        assert_eq!(read("/tickets/?a=b?"), found("tickets", None, "a=b?"));
        assert_eq!(read("/tickets/4%2C2"), found("tickets", Some("4%2C2"), ""));
        assert_eq!(read("/resources/health/1"), found("health", Some("1"), ""));
        for path in [
            "",
            "tickets",
            "/",
            "/health",
            "/channels/a",
            "/resources",
            "/a/b/c",
            "//a",
        ] {
            assert_eq!(read(path), None, "{path}");
        }
    }

    #[test]
    fn a_location_is_a_uri_whatever_the_ids_are() {
        let channel = ChannelId::parse("a&b#").unwrap();
        let id = RequestId::parse("r/1?").unwrap();
        assert_eq!(
            location(&channel, &id),
            "/requests/r%2F1%3F?channel=a%26b%23"
        );
    }
}
