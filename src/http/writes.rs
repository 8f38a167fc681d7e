//! `POST`, `PATCH`, `PUT` and `DELETE`: synchronous, answering the rows as they now are.
//!
//! A handler here announces nothing: it commits, and the feed hears of that.

use super::{
    actions::action,
    asynchronous::Target,
    body::Body,
    conditions,
    credentials::Callers,
    head::{Head, Segment, UNRESERVED},
    media::Media,
    preferences::{Followed, Handling, Missing, Preferences, Resolution, Return, Transaction},
    profile::Profiles,
    reply::{self, Answered, IDEMPOTENCY_REPLAYED, put, put_etag, put_position},
};
use crate::{
    catalog::Access,
    channel::Hub,
    config::{Api, Limits, WriteAnswer},
    error::{Error, Kind, Result},
    identity::Identity,
    postgres::{Database, Written},
    query::{Action, Answer, Duplicates, Write, WriteOptions},
    signal::Signals,
};
use bytes::{BufMut, Bytes, BytesMut};
use http::{
    StatusCode,
    header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION},
};
use percent_encoding::utf8_percent_encode;
use std::sync::Arc;

/// Carries out writes.
#[derive(Debug)]
pub struct Writes {
    database: Database,
    callers: Arc<Callers>,
    profiles: Profiles,
    answer: Answer,
    signals: Arc<Signals>,
    hub: Arc<Hub>,
    /// Where PostgREST answers something else, its answers are ours.
    pub(super) postgrest: bool,
    /// Whether callers may undo what they do.
    tx_rollback: bool,
    /// How many writes a batch may have.
    pub(super) batch_writes_max: usize,
}

impl Writes {
    /// Writes to this database.
    pub fn new(
        database: Database,
        callers: Arc<Callers>,
        signals: Arc<Signals>,
        hub: Arc<Hub>,
        profiles: Profiles,
        api: &Api,
        limits: &Limits,
    ) -> Self {
        Self {
            database,
            hub,
            signals,
            callers,
            profiles,
            batch_writes_max: limits.batch_writes_max,
            postgrest: api.write_answer == WriteAnswer::Minimal,
            tx_rollback: api.tx_rollback,
            answer: match api.write_answer {
                WriteAnswer::Row => Answer::Rows,
                WriteAnswer::Minimal => Answer::Minimal,
            },
        }
    }

    /// Who writes, and what it asks for in headers.
    pub(super) async fn begin(&self, head: &Head) -> Result<Call> {
        let identity = self.callers.caller(head)?.identity;
        self.profiles.check(head)?;
        let (preferences, options) = self.shape(head)?;
        let media = Media::of_write(head);
        Ok(Call {
            access: self.database.access(&identity.role).await?,
            identity,
            preferences,
            media,
            options,
        })
    }

    /// What a write is asked for in headers.
    pub(super) fn shape(&self, head: &Head) -> Result<(Preferences, WriteOptions)> {
        let mut preferences = Preferences::read(head)?;
        if preferences.transaction == Some(Transaction::Rollback) && !self.tx_rollback {
            preferences.transaction = None;
        }
        let single = Media::of_write(head).singular;
        let rows_max = preferences.max_affected;
        let strict = preferences.handling == Some(Handling::Strict);
        let options = WriteOptions {
            answer: match preferences.answer {
                Some(Return::Representation) => Answer::Rows,
                Some(Return::HeadersOnly) => Answer::Place,
                Some(Return::Minimal) => Answer::Minimal,
                None => self.answer,
            },
            if_match: conditions::if_match(head)?,
            if_none_match: conditions::if_none_match_of_write(head)?,
            duplicates: preferences.resolution.map(|it| match it {
                Resolution::Merge => Duplicates::Merge,
                Resolution::Ignore => Duplicates::Ignore,
            }),
            defaults: preferences.missing == Some(Missing::Default),
            // PostgREST heeds it only where handling is strict.
            rows_max: rows_max.filter(|_| strict || !self.postgrest),
            single,
            rehearsal: preferences.transaction == Some(Transaction::Rollback),
            postgrest: self.postgrest,
        };
        Ok((preferences, options))
    }

    /// Carries out a batch.
    pub(super) async fn batch(
        &self,
        call: &Call,
        writes: &[Write],
        action: Option<&Action>,
    ) -> Result<Vec<Written>> {
        let look = self.hub.look(&call.identity);
        let written = self.database.batch(&call.identity, writes, action).await;
        if let Some(position) = written.iter().flatten().find_map(|it| it.position.as_ref()) {
            look.showed(position.version);
        }
        self.take_back(call, action, written)
    }

    /// Whoever heard a signal that announced the write is told that it was refused. Where it is not
    /// known whether it was, they wait for the time that an announced write has.
    fn take_back<T>(&self, call: &Call, action: Option<&Action>, written: Result<T>) -> Result<T> {
        if let (Some(action), Err(error)) = (action, &written)
            && crate::wire::status_of(error).is_client_error()
            && error.kind() != Kind::ActionInFlight
        {
            self.signals.refused(&call.identity, &action.id);
        }
        written
    }

    /// Refuses a condition on writes by filter.
    pub(super) fn expect_no_condition(options: &WriteOptions) -> Result<()> {
        match options.if_match {
            None => Ok(()),
            Some(_) => Err(Error::new(
                Kind::NotSupported,
                "If-Match is about one row: write to its own path.",
            )),
        }
    }

    async fn run(
        &self,
        call: &Call,
        action: Option<Action>,
        write: Result<Write>,
    ) -> Result<Written> {
        let action = action.as_ref();
        let look = self.hub.look(&call.identity);
        let written = match write {
            Ok(write) => self.database.write(&call.identity, &write, action).await,
            Err(error) => Err(error),
        };
        if let Some(position) = written.as_ref().ok().and_then(|it| it.position.as_ref()) {
            look.showed(position.version);
        }
        self.take_back(call, action, written)
    }
}

/// One write's caller, with what it asks for in headers.
pub(super) struct Call {
    pub(super) access: Arc<Access>,
    identity: Arc<Identity>,
    preferences: Preferences,
    media: Media,
    pub(super) options: WriteOptions,
}

/// `POST /{resource}`
pub(super) async fn create(
    resource: Segment,
    head: Head,
    body: Body,
    writes: Arc<Writes>,
) -> Answered {
    let call = writes.begin(&head).await?;
    let body = body.rows(&head).await?;
    let name = resource.decode()?;
    let options = call.options.clone();
    let write = Write::create(&call.access, &name, &head.query, &body, options);
    let action = action(&head, &[resource.raw()], &body)?;
    let keyed = write.as_ref().is_ok_and(Write::resolves_duplicates);
    let written = writes.run(&call, action, write).await?;
    call.answer(written, &name, Followed::Create { keyed })
}

/// `PATCH /{resource}/{id}`, `PATCH /{resource}?{filters}`
pub(super) async fn update(
    target: Target,
    head: Head,
    body: Body,
    writes: Arc<Writes>,
) -> Answered {
    let call = writes.begin(&head).await?;
    let (access, query) = (&call.access, &head.query);
    let options = call.options_of(&target)?;
    let body = body.rows(&head).await?;
    let name = target.resource.decode()?;
    let write = match &target.id {
        Some(id) => Write::update(access, &name, id.raw(), query, &body, options),
        None => Write::update_matching(access, &name, query, &body, options),
    };
    let action = action(&head, &target.segments(), &body)?;
    let written = writes.run(&call, action, write).await?;
    call.answer(written, &name, Followed::Update)
}

/// `PUT /{resource}/{id}`, `PUT /{resource}?{key}`
pub(super) async fn replace(
    target: Target,
    head: Head,
    body: Body,
    writes: Arc<Writes>,
) -> Answered {
    let call = writes.begin(&head).await?;
    let (access, query) = (&call.access, &head.query);
    let options = call.options.clone();
    let body = body.rows(&head).await?;
    let name = target.resource.decode()?;
    let write = match &target.id {
        Some(id) => Write::replace(access, &name, id.raw(), query, &body, options),
        None => Write::replace_matching(access, &name, query, &body, options),
    };
    let action = action(&head, &target.segments(), &body)?;
    let written = writes.run(&call, action, write).await?;
    call.answer(written, &name, Followed::Replace)
}

/// `DELETE /{resource}/{id}`, `DELETE /{resource}?{filters}`
pub(super) async fn delete(target: Target, head: Head, writes: Arc<Writes>) -> Answered {
    let call = writes.begin(&head).await?;
    let (access, query) = (&call.access, &head.query);
    let options = call.options_of(&target)?;
    let name = target.resource.decode()?;
    let write = match &target.id {
        Some(id) => Write::delete(access, &name, id.raw(), query, options),
        None => Write::delete_matching(access, &name, query, options),
    };
    let action = action(&head, &target.segments(), b"")?;
    let written = writes.run(&call, action, write).await?;
    call.answer(written, &name, Followed::Delete)
}

impl Call {
    /// What a write to this target is asked for; by filter, not under a condition.
    fn options_of(&self, target: &Target) -> Result<WriteOptions> {
        if target.id.is_none() {
            Writes::expect_no_condition(&self.options)?;
        }
        Ok(self.options.clone())
    }

    fn answer(&self, written: Written, resource: &str, followed: Followed) -> Answered {
        let status = self.status(&written, followed);
        let body = written.body.map(|body| match self.preferences.answer {
            _ if self.options.single => as_object(body),
            Some(Return::Representation) => as_array(body),
            _ => body,
        });
        let body = body.map(|it| self.media.render(it)).transpose()?;
        let mut response = match body {
            Some(body) => reply::json(status, body),
            None => reply::empty(status),
        };
        let headers = response.headers_mut();
        if headers.contains_key(CONTENT_TYPE) {
            let content_type = self.media.content_type(self.options.postgrest);
            headers.insert(CONTENT_TYPE, content_type);
        }
        if let Some(position) = &written.position {
            put_position(headers, position);
        }
        put_etag(headers, written.etag.as_deref());
        let place = match (self.options.postgrest, &written.key, &written.id) {
            (true, Some(key), _) if self.options.answer == Answer::Place => {
                Some(query_location(resource, key))
            }
            (false, _, Some(id)) => Some(location(resource, id)),
            _ => None,
        };
        if let Some(place) = place.filter(|_| written.created) {
            put(headers, LOCATION, &place);
        }
        let total = match self.preferences.counts() {
            true => written.rows.to_string(),
            false => "*".to_owned(),
        };
        let range = match (followed, written.rows) {
            (Followed::Update, 1..) => format!("0-{}/{total}", written.rows - 1),
            _ => format!("*/{total}"),
        };
        if followed != Followed::Replace {
            put(headers, CONTENT_RANGE, &range);
        }
        if written.repeated {
            put(headers, IDEMPOTENCY_REPLAYED, "true");
        }
        self.preferences.put_applied(headers, followed);
        Ok(response)
    }

    fn status(&self, written: &Written, followed: Followed) -> StatusCode {
        if !self.options.postgrest {
            return status(written);
        }
        let merges = self.options.duplicates == Some(Duplicates::Merge);
        match (followed, &written.body) {
            (Followed::Create { .. }, _) if merges && !written.created => StatusCode::OK,
            (Followed::Create { .. }, _) => StatusCode::CREATED,
            (_, None) => StatusCode::NO_CONTENT,
            (_, Some(_)) if written.created => StatusCode::CREATED,
            (_, Some(_)) => StatusCode::OK,
        }
    }
}

/// What says how a write went.
pub(super) fn status(written: &Written) -> StatusCode {
    match (written.created, &written.body) {
        (true, _) => StatusCode::CREATED,
        (false, Some(_)) => StatusCode::OK,
        (false, None) => StatusCode::NO_CONTENT,
    }
}

/// Where a row can be read; `id` is a segment already.
pub(super) fn location(resource: &str, id: &str) -> String {
    let prefix = match super::OWN_NAMES.contains(&resource) {
        true => "/resources",
        false => "",
    };
    let resource = utf8_percent_encode(resource, UNRESERVED);
    format!("{prefix}/{resource}/{id}")
}

/// What callers expect who ask for a representation in PostgREST's words: always an array.
pub(super) fn as_array(body: Bytes) -> Bytes {
    if body.first() == Some(&b'[') {
        return body;
    }
    let mut array = BytesMut::with_capacity(body.len() + 2);
    array.put_u8(b'[');
    array.put_slice(&body);
    array.put_u8(b']');
    array.freeze()
}

/// Where a row can be read, as PostgREST has it: a filter for each part of its key.
fn query_location(resource: &str, key: &[(String, String)]) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
    let parts = key
        .iter()
        .map(|(column, value)| format!("{}=eq.{}", encoded(column), encoded(value)));
    let parts: Vec<String> = parts.collect();
    format!("/{}?{}", encoded(resource), parts.join("&"))
}

/// What callers expect who ask for one object: it is the only one in its array.
fn as_object(body: Bytes) -> Bytes {
    match body.first() {
        Some(b'[') => body.slice(1..body.len() - 1),
        _ => body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_representation_is_an_array_and_a_location_wins_over_no_route() {
        assert_eq!(as_array("{\"a\":1}".into()), "[{\"a\":1}]");
        assert_eq!(as_array("[1]".into()), "[1]");
        assert_eq!(as_object("[{}]".into()), "{}");
        assert_eq!(as_object("{}".into()), "{}");
        let key = [("a".into(), "1".into()), ("b c".into(), "R & R+".into())];
        let location = query_location("marks", &key);
        assert_eq!(location, "/marks?a=eq.1&b%20c=eq.R%20%26%20R%2B");
        assert_eq!(super::location("tickets", "4,2"), "/tickets/4,2");
        assert_eq!(super::location("health", "1"), "/resources/health/1");
    }
}
