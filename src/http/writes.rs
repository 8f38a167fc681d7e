//! `POST`, `PATCH`, `PUT` and `DELETE`: synchronous, answering the rows as they now are.
//!
//! A handler here announces nothing: it commits, and the feed hears of that.

use super::{
    actions::action,
    body::Body,
    conditions,
    credentials::Callers,
    head::{Head, Segment, UNRESERVED},
    preferences::{Followed, Preferences, Return},
    reply::{self, Answered, IDEMPOTENCY_REPLAYED, Response, put, put_etag, put_position},
};
use crate::{
    catalog::Access,
    config::{Api, Limits, WriteAnswer},
    error::{Error, Kind, Result},
    identity::Identity,
    postgres::{Database, Written},
    query::{Action, Answer, Write, WriteOptions},
    signal::Signals,
};
use bytes::{BufMut, Bytes, BytesMut};
use http::{
    StatusCode,
    header::{CONTENT_RANGE, IF_NONE_MATCH, LOCATION},
};
use percent_encoding::utf8_percent_encode;
use std::sync::Arc;

/// Carries out writes.
#[derive(Debug)]
pub struct Writes {
    database: Database,
    callers: Arc<Callers>,
    answer: Answer,
    signals: Arc<Signals>,
    /// How many writes a batch may have.
    pub(super) batch_writes_max: usize,
}

impl Writes {
    /// Writes to this database.
    pub fn new(
        database: Database,
        callers: Arc<Callers>,
        signals: Arc<Signals>,
        api: &Api,
        limits: &Limits,
    ) -> Self {
        Self {
            database,
            signals,
            callers,
            batch_writes_max: limits.batch_writes_max,
            answer: match api.write_answer {
                WriteAnswer::Row => Answer::Rows,
                WriteAnswer::Minimal => Answer::Minimal,
            },
        }
    }

    /// Who writes, and what it asks for in headers.
    pub(super) async fn begin(&self, head: &Head) -> Result<Call> {
        let identity = self.callers.caller(head)?.identity;
        let (preferences, options) = self.shape(head)?;
        Ok(Call {
            access: self.database.access(&identity.role).await?,
            identity,
            preferences,
            options,
        })
    }

    /// What a write is asked for in headers.
    pub(super) fn shape(&self, head: &Head) -> Result<(Preferences, WriteOptions)> {
        let preferences = Preferences::read(head)?;
        if preferences.resolution.is_some() || preferences.max_affected.is_some() {
            let detail = "Neither resolution nor max-affected is supported yet.";
            return Err(Error::new(Kind::NotSupported, detail));
        }
        if head.headers.contains_key(IF_NONE_MATCH) {
            let detail = "If-None-Match is not supported on writes.";
            return Err(Error::new(Kind::NotSupported, detail));
        }
        let options = WriteOptions {
            answer: match preferences.answer {
                Some(Return::Representation) => Answer::Rows,
                Some(Return::Minimal | Return::HeadersOnly) => Answer::Minimal,
                None => self.answer,
            },
            if_match: conditions::if_match(head)?,
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
        let written = self.database.batch(&call.identity, writes, action).await;
        self.take_back(call, action, written)
    }

    /// Whoever heard a signal that announced the write is told that it was refused. Where it is not
    /// known whether it was, they wait for the time that an announced write has.
    fn take_back<T>(&self, call: &Call, action: Option<&Action>, written: Result<T>) -> Result<T> {
        if let (Some(action), Err(error)) = (action, &written)
            && crate::wire::status(error.kind()).is_client_error()
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
        let written = match write {
            Ok(write) => self.database.write(&call.identity, &write, action).await,
            Err(error) => Err(error),
        };
        self.take_back(call, action, written)
    }
}

/// One write's caller, with what it asks for in headers.
pub(super) struct Call {
    pub(super) access: Arc<Access>,
    identity: Arc<Identity>,
    preferences: Preferences,
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
    let written = writes.run(&call, action, write).await?;
    Ok(call.answer(written, &name, Followed::Create { keyed: false }))
}

/// `PATCH /{resource}/{id}`
pub(super) async fn update(
    resource: Segment,
    id: Segment,
    head: Head,
    body: Body,
    writes: Arc<Writes>,
) -> Answered {
    let call = writes.begin(&head).await?;
    let body = body.rows(&head).await?;
    let name = resource.decode()?;
    let options = call.options.clone();
    let write = Write::update(&call.access, &name, id.raw(), &head.query, &body, options);
    let action = action(&head, &[resource.raw(), id.raw()], &body)?;
    let written = writes.run(&call, action, write).await?;
    Ok(call.answer(written, &name, Followed::Update))
}

/// `PUT /{resource}/{id}`
pub(super) async fn replace(
    resource: Segment,
    id: Segment,
    head: Head,
    body: Body,
    writes: Arc<Writes>,
) -> Answered {
    let call = writes.begin(&head).await?;
    let body = body.rows(&head).await?;
    let name = resource.decode()?;
    let options = call.options.clone();
    let write = Write::replace(&call.access, &name, id.raw(), &head.query, &body, options);
    let action = action(&head, &[resource.raw(), id.raw()], &body)?;
    let written = writes.run(&call, action, write).await?;
    Ok(call.answer(written, &name, Followed::Replace))
}

/// `DELETE /{resource}/{id}`
pub(super) async fn delete(
    resource: Segment,
    id: Segment,
    head: Head,
    writes: Arc<Writes>,
) -> Answered {
    let call = writes.begin(&head).await?;
    let name = resource.decode()?;
    let options = call.options.clone();
    let write = Write::delete(&call.access, &name, id.raw(), &head.query, options);
    let action = action(&head, &[resource.raw(), id.raw()], b"")?;
    let written = writes.run(&call, action, write).await?;
    Ok(call.answer(written, &name, Followed::Delete))
}

/// `PATCH /{resource}?{filters}`
pub(super) async fn update_matching(
    resource: Segment,
    head: Head,
    body: Body,
    writes: Arc<Writes>,
) -> Answered {
    let call = writes.begin(&head).await?;
    Writes::expect_no_condition(&call.options)?;
    let body = body.rows(&head).await?;
    let name = resource.decode()?;
    let options = call.options.clone();
    let write = Write::update_matching(&call.access, &name, &head.query, &body, options);
    let action = action(&head, &[resource.raw()], &body)?;
    let written = writes.run(&call, action, write).await?;
    Ok(call.answer(written, &name, Followed::Update))
}

/// `DELETE /{resource}?{filters}`
pub(super) async fn delete_matching(
    resource: Segment,
    head: Head,
    writes: Arc<Writes>,
) -> Answered {
    let call = writes.begin(&head).await?;
    Writes::expect_no_condition(&call.options)?;
    let name = resource.decode()?;
    let options = call.options.clone();
    let write = Write::delete_matching(&call.access, &name, &head.query, options);
    let action = action(&head, &[resource.raw()], b"")?;
    let written = writes.run(&call, action, write).await?;
    Ok(call.answer(written, &name, Followed::Delete))
}

impl Call {
    fn answer(&self, written: Written, resource: &str, followed: Followed) -> Response {
        let status = status(&written);
        let body = written.body.map(|body| match self.preferences.answer {
            Some(Return::Representation) => as_array(body),
            _ => body,
        });
        let mut response = match body {
            Some(body) => reply::json(status, body),
            None => reply::empty(status),
        };
        let headers = response.headers_mut();
        if let Some(position) = &written.position {
            put_position(headers, position);
        }
        put_etag(headers, written.etag.as_deref());
        if let Some(id) = written.id.filter(|_| written.created) {
            put(headers, LOCATION, &location(resource, &id));
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
        response
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_representation_is_an_array_and_a_location_wins_over_no_route() {
        assert_eq!(as_array("{\"a\":1}".into()), "[{\"a\":1}]");
        assert_eq!(as_array("[1]".into()), "[1]");
        assert_eq!(location("tickets", "4,2"), "/tickets/4,2");
        assert_eq!(location("health", "1"), "/resources/health/1");
    }
}
