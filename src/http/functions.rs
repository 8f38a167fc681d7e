//! `/rpc/{function}`: functions of the database, called by name.
//!
//! One that cannot write is read like a resource, by `GET` and by `POST`, at once or asynchronously. One
//! that may write is called by `POST`, in a transaction like a write's.

use super::{
    actions::action,
    asynchronous::Wanted,
    body::{Body, media_type},
    head::{Head, Segment, malformed},
    preferences::{Followed, Handling},
    reads::{self, Reads},
    reply::{self, Answered, Refusal, Response, put, put_position, put_range},
    writes::Writes,
};
use crate::{
    error::{Error, Kind, Result},
    identity::Caller,
    query::{Brought, Call, Format, Query, Shape, to_json},
};
use bytes::Bytes;
use http::{
    Method, StatusCode,
    header::{CONTENT_TYPE, RANGE},
};
use std::{borrow::Cow, sync::Arc};

/// `GET /rpc/{function}`
pub(super) async fn read(
    function: Segment,
    head: Head,
    reads: Arc<Reads>,
    writes: Arc<Writes>,
) -> Answered {
    let caller = reads.begin(&head)?.0;
    let access = reads.database.access(&caller.identity.role).await?;
    let name = function.decode()?;
    let query = Call::query(&access, &name, &head.query, Brought::Query)?;
    // PostgREST calls it in a transaction that cannot write, and so do we where we are to be like it.
    if call_of(&query)?.may_write() && !writes.postgrest {
        let detail = format!("The function {name:?} may write, and is called with POST.");
        let error = Error::new(Kind::MethodNotAllowed, detail);
        return Err(Refusal::from(error).allowing("POST, OPTIONS"));
    }
    answer(query, head, &function, &reads).await
}

/// `POST /rpc/{function}`
pub(super) async fn call(
    function: Segment,
    head: Head,
    body: Body,
    reads: Arc<Reads>,
    writes: Arc<Writes>,
) -> Answered {
    let (caller, _, media) = reads.begin(&head)?;
    let identity = caller.identity;
    let media_type = media_type(&head)?;
    let body = body.read(&head).await?;
    let access = reads.database.access(&identity.role).await?;
    let name = function.decode()?;
    let json: Cow<'_, [u8]>;
    let brought = match media_type.as_deref() {
        None | Some("application/json") => Brought::Json(&body),
        Some("text/plain") => Brought::Text(&body),
        Some("text/xml") => Brought::Xml(&body),
        Some("application/octet-stream") => Brought::Bytes(&body),
        Some("application/x-www-form-urlencoded") => {
            json = to_json(Format::Form, &body)?;
            Brought::Form(&json)
        }
        Some("text/csv") => {
            json = to_json(Format::Csv, &body)?;
            Brought::Json(&json)
        }
        Some(_) => return Err(malformed(&CONTENT_TYPE, "is none that a function takes").into()),
    };
    let query = Call::query(&access, &name, &head.query, brought)?;
    let call = call_of(&query)?;
    if !call.may_write() {
        let mut head = Head {
            method: Method::GET,
            ..head
        };
        // A range in the header is a GET's alone.
        head.headers.remove(RANGE);
        return answer(query, head, &function, &reads).await;
    }
    let (preferences, mut options) = writes.shape(&head)?;
    let shape = call.shape();
    if options.rows_max.is_some() && options.postgrest {
        expect_many(shape)?;
    }
    options.single &= shape == Shape::Many;
    let action = action(&head, &["rpc", function.raw()], &body)?;
    let called = reads
        .database
        .call(&identity, &query, &options, action.as_ref());
    let written = called.await?;
    let body = written.body.unwrap_or_else(|| Bytes::from_static(b"[]"));
    let mut response = match shape {
        Shape::Nothing => reply::empty(StatusCode::NO_CONTENT),
        shape => {
            let one = shape == Shape::One || options.single;
            let body = media.render(shaped(body, one))?;
            let mut response = reply::json(StatusCode::OK, body);
            let content_type = media.content_type(writes.postgrest);
            response.headers_mut().insert(CONTENT_TYPE, content_type);
            response
        }
    };
    let count = preferences.counts().then_some(written.rows);
    let (_, content_range) = super::range::answered(0, written.rows, count);
    put_range(&mut response, &content_range);
    let headers = response.headers_mut();
    if let Some(position) = &written.position {
        put_position(headers, position);
    }
    if written.repeated {
        put(headers, reply::IDEMPOTENCY_REPLAYED, "true");
    }
    preferences.put_applied(headers, Followed::Read);
    Ok(response)
}

/// What a function gives that cannot write, or may not.
async fn answer(query: Query, head: Head, function: &Segment, reads: &Reads) -> Answered {
    let (Caller { identity, .. }, preferences, _) = reads.begin(&head)?;
    let asynchronous = &reads.asynchronous;
    if let Some(id) = asynchronous.asked(&head, &preferences)? {
        let wanted = Wanted::Query(Box::new(query));
        return asynchronous
            .accept(&head, &preferences, &identity, id, wanted)
            .await;
    }
    let shape = call_of(&query)?.shape();
    let strict = preferences.handling == Some(Handling::Strict);
    if preferences.max_affected.is_some() && strict && reads.as_postgrest {
        expect_many(shape)?;
    }
    let path = format!("rpc/{}", function.raw());
    let answered = reads::answer(reads, &head, &identity, query, &path).await?;
    Ok(match shape {
        Shape::Nothing => nothing(answered),
        Shape::One | Shape::Many => answered,
    })
}

/// Refuses to bound the rows of what gives one.
fn expect_many(shape: Shape) -> Result<()> {
    if shape == Shape::Many {
        return Ok(());
    }
    let message = "Function must return SETOF or TABLE when max-affected preference is used with \
                   handling=strict";
    let error = Error::new(
        Kind::TooManyAffected,
        "A function of one row affects no more.",
    );
    Err(error.with_code("PGRST128").with_message(message))
}

/// The same answer without its body.
fn nothing(answered: Response) -> Response {
    let (mut parts, _) = answered.into_parts();
    parts.status = StatusCode::NO_CONTENT;
    parts.headers.remove(CONTENT_TYPE);
    let mut response = reply::empty(StatusCode::NO_CONTENT);
    *response.headers_mut() = parts.headers;
    response
}

fn call_of(query: &Query) -> Result<&Call> {
    let call = query.call();
    call.ok_or_else(|| Error::internal("a function's query without its call"))
}

/// The rows, or the only one of them.
fn shaped(body: Bytes, one: bool) -> Bytes {
    match one {
        true if body.len() > 2 => body.slice(1..body.len() - 1),
        true => Bytes::from_static(b"null"),
        false => body,
    }
}
