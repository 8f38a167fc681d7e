//! `POST /batch`: several writes in one transaction, all or none, under one action.
//!
//! A write of a batch is what it would be as a request of its own: the same methods, paths, bodies and
//! headers, read by the same code.

use super::{
    actions::action,
    body::Body,
    head::{Head, Segment},
    preferences::{Preferences, Return},
    reply::{self, Answered, IDEMPOTENCY_REPLAYED, PREFER, put, put_position},
    writes::{Writes, as_array, location, status},
};
use crate::{
    catalog::Access,
    error::{Error, Kind, Result},
    postgres::Written,
    query::{Write, WriteOptions},
};
use bytes::{BufMut, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{IF_MATCH, IF_NONE_MATCH},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

/// The body of a batch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    #[serde(borrow)]
    writes: Vec<&'a RawValue>,
}

/// One write of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Single<'a> {
    method: Cow<'a, str>,
    path: Cow<'a, str>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// A write with what its answer needs.
struct Planned {
    write: Write,
    resource: String,
    preferences: Preferences,
}

/// `POST /batch`
pub(super) async fn batch(head: Head, body: Body, writes: Arc<Writes>) -> Answered {
    let call = writes.begin(&head).await?;
    if call.options.if_match.is_some() {
        return Err(Error::new(
            Kind::NotSupported,
            "If-Match is about one row: give it among the `headers` of its write.",
        )
        .into());
    }
    if !head.query.is_empty() {
        let detail = "A batch takes no parameters; its writes do, in their paths.";
        return Err(Error::new(Kind::QueryMalformed, detail).into());
    }
    let body = body.json(&head).await?;
    let action = action(&head, &["batch"], &body)?;
    let singles = read(&body, writes.batch_writes_max)?;
    let mut planned = Vec::with_capacity(singles.len());
    for (index, single) in singles.iter().enumerate() {
        let single = single_of(single).and_then(|single| {
            let head = single.head(&head)?;
            plan(&writes, &call.access, &head, &single)
        });
        planned.push(single.map_err(|error| error.with_index(index))?);
    }
    let (plans, rest): (Vec<_>, Vec<_>) = planned
        .into_iter()
        .map(|it| (it.write, (it.resource, it.preferences)))
        .unzip();
    let written = writes.batch(&call, &plans, action.as_ref()).await?;
    let mut response = reply::json(StatusCode::OK, answers(&written, &rest));
    let headers = response.headers_mut();
    if let Some(position) = written.iter().find_map(|it| it.position.as_ref()) {
        put_position(headers, position);
    }
    if written.iter().any(|it| it.repeated) {
        put(headers, IDEMPOTENCY_REPLAYED, "true");
    }
    Ok(response)
}

fn read(body: &Bytes, writes_max: usize) -> Result<Vec<&RawValue>> {
    let batch: Batch<'_> = serde_json::from_slice(body).map_err(malformed)?;
    match batch.writes.len() {
        0 => Err(Error::new(
            Kind::BodyMalformed,
            "A batch has at least one write.",
        )),
        count if count > writes_max => Err(Error::new(
            Kind::BodyTooLarge,
            format!("A batch has at most {writes_max} writes, and this one has {count}."),
        )),
        _ => Ok(batch.writes),
    }
}

fn single_of(text: &RawValue) -> Result<Single<'_>> {
    serde_json::from_str(text.get()).map_err(malformed)
}

/// What serde says names the place and what is expected there, and nothing of ours.
fn malformed(error: serde_json::Error) -> Error {
    let detail = format!("The batch cannot be read: {error}.");
    Error::new(Kind::BodyMalformed, detail)
        .with_hint(r#"Send {"writes":[{"method":"POST","path":"/tickets","body":{…}},…]}."#)
}

impl Single<'_> {
    /// As the head of a request of its own, which takes over what the batch's says of answers.
    fn head(&self, outer: &Head) -> Result<Head> {
        let method = match &*self.method {
            "POST" => Method::POST,
            "PATCH" => Method::PATCH,
            "PUT" => Method::PUT,
            "DELETE" => Method::DELETE,
            other => {
                return Err(Error::new(
                    Kind::NotSupported,
                    format!("{other:?} is not what a batch takes: POST, PATCH, PUT, DELETE."),
                ));
            }
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let known: HeaderName = name
                .parse()
                .ok()
                .filter(|it| [PREFER, IF_MATCH, IF_NONE_MATCH].contains(it))
                .ok_or_else(|| {
                    let detail = format!("The header {name:?} is not what a write of a batch has.");
                    Error::new(Kind::NotSupported, detail).with_hint(
                        "A write has Prefer and If-Match; all others are the batch's own.",
                    )
                })?;
            let value = HeaderValue::from_str(value).map_err(|_| {
                let detail = format!("The header {name:?} is not visible ASCII.");
                Error::new(Kind::HeaderMalformed, detail)
            })?;
            headers.insert(known, value);
        }
        if !headers.contains_key(PREFER) {
            for value in outer.headers.get_all(PREFER) {
                headers.append(PREFER, value.clone());
            }
        }
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        Ok(Head {
            method,
            headers,
            query: query.to_owned(),
            connection: None,
            upgrade: None,
        })
    }

    /// The resource and the id that the path names.
    fn target(&self) -> Result<(Segment, Option<Segment>)> {
        let path = self.path.split('?').next().unwrap_or_default();
        let path = path.strip_prefix("/resources").filter(|it| !it.is_empty());
        let path = path.unwrap_or(self.path.split('?').next().unwrap_or_default());
        let mut segments = path.strip_prefix('/').unwrap_or_default().split('/');
        let resource = segments.next().filter(|it| !it.is_empty());
        let id = segments.next().filter(|it| !it.is_empty());
        match (resource, segments.next()) {
            (Some(resource), None) => Ok((resource.into(), id.map(Segment::from))),
            _ => Err(Error::new(
                Kind::RouteUnknown,
                format!("There is nothing to write to at {:?}.", self.path),
            )
            .with_hint("A path is /{resource} or /{resource}/{id}, with parameters.")),
        }
    }
}

/// Reads a write as a request of its own would be read.
fn plan(writes: &Writes, access: &Access, head: &Head, single: &Single<'_>) -> Result<Planned> {
    let (preferences, options) = writes.shape(head)?;
    let (resource, id) = single.target()?;
    let name = resource.decode()?;
    let body = single.body.map(|it| it.get().as_bytes());
    let write = write(access, head, &name, id.as_ref(), body, options)?;
    Ok(Planned {
        write,
        resource: name.into_owned(),
        preferences,
    })
}

fn write(
    access: &Access,
    head: &Head,
    name: &str,
    id: Option<&Segment>,
    body: Option<&[u8]>,
    options: WriteOptions,
) -> Result<Write> {
    let query = &head.query;
    let given =
        || body.ok_or_else(|| Error::new(Kind::BodyMalformed, "This write needs a `body`."));
    match (&head.method, id) {
        (&Method::POST, None) => Write::create(access, name, query, given()?, options),
        (&Method::PATCH, Some(id)) => {
            Write::update(access, name, id.raw(), query, given()?, options)
        }
        (&Method::PUT, Some(id)) => {
            Write::replace(access, name, id.raw(), query, given()?, options)
        }
        (&Method::DELETE, Some(id)) => Write::delete(access, name, id.raw(), query, options),
        (&Method::PATCH, None) => {
            Writes::expect_no_condition(&options)?;
            Write::update_matching(access, name, query, given()?, options)
        }
        (&Method::PUT, None) => Write::replace_matching(access, name, query, given()?, options),
        (&Method::DELETE, None) => {
            Writes::expect_no_condition(&options)?;
            Write::delete_matching(access, name, query, options)
        }
        (method, _) => Err(Error::new(
            Kind::MethodNotAllowed,
            format!("{method} is not what this path takes."),
        )),
    }
}

/// A JSON array of what each write answers: `status`, and where there are such `location`, `etag` and
/// `body`.
fn answers(written: &[Written], rest: &[(String, Preferences)]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(b'[');
    for (place, (written, (resource, preferences))) in written.iter().zip(rest).enumerate() {
        if place > 0 {
            out.put_u8(b',');
        }
        let status = status(written);
        out.put_slice(format!("{{\"status\":{}", status.as_u16()).as_bytes());
        // Both are visible ASCII without quotes or backslashes: percent-encoded, and a number.
        if let Some(id) = written.id.as_ref().filter(|_| written.created) {
            let location = location(resource, id);
            out.put_slice(format!(",\"location\":\"{location}\"").as_bytes());
        }
        if let Some(etag) = &written.etag {
            out.put_slice(format!(",\"etag\":\"\\\"{etag}\\\"\"").as_bytes());
        }
        if let Some(body) = &written.body {
            out.put_slice(b",\"body\":");
            match preferences.answer {
                Some(Return::Representation) => out.put_slice(&as_array(body.clone())),
                _ => out.put_slice(body),
            }
        }
        out.put_u8(b'}');
    }
    out.put_u8(b']');
    out.freeze()
}
