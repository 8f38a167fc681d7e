//! Bodies of requests: read whole, within a limit of bytes and a time, as JSON or as what becomes JSON.

use super::head::{Head, malformed};
use crate::{
    config::Limits,
    error::{Error, Kind, Result},
    query::{Format, to_json},
};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use std::{borrow::Cow, pin::Pin, time::Duration};
use warp::{Filter, Rejection};

/// What a body may take up.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimits {
    bytes_max: usize,
    timeout: Duration,
}

impl From<&Limits> for BodyLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            bytes_max: limits.body_bytes_max,
            timeout: Duration::from_millis(limits.request_body_timeout_ms),
        }
    }
}

/// A body that is not read yet.
pub(super) struct Body {
    limits: BodyLimits,
    chunks: Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send>>,
}

/// Takes a request's body, without reading any of it.
pub(super) fn body(
    limits: BodyLimits,
) -> impl Filter<Extract = (Body,), Error = Rejection> + Clone {
    warp::body::stream().map(move |chunks| Body {
        limits,
        chunks: Box::pin(StreamExt::map(chunks, whole)),
    })
}

fn whole(chunk: Result<impl Buf, warp::Error>) -> Result<Bytes, warp::Error> {
    chunk.map(|mut it| it.copy_to_bytes(it.remaining()))
}

impl Body {
    /// Reads a JSON document, which is not parsed here.
    ///
    /// # Errors
    /// `MediaTypeUnsupported` unless the content type is JSON or absent; as [`Body::read`].
    pub(super) async fn json(self, head: &Head) -> Result<Bytes> {
        let media_type = media_type(head)?;
        match format(media_type.as_deref()) {
            Some(Format::Json) => self.read(head).await,
            _ => Err(unsupported(media_type.as_deref())),
        }
    }

    /// Reads rows in one of the formats that rows may come in, as JSON, which is not parsed here.
    ///
    /// # Errors
    /// As [`Body::json`]; `BodyMalformed`.
    pub(super) async fn rows(self, head: &Head) -> Result<Bytes> {
        let media_type = media_type(head)?;
        let Some(format) = format(media_type.as_deref()) else {
            return Err(unsupported(media_type.as_deref()));
        };
        let body = self.read(head).await?;
        match to_json(format, &body)? {
            Cow::Borrowed(_) => Ok(body),
            Cow::Owned(json) => Ok(json.into()),
        }
    }

    /// Reads the body whole.
    ///
    /// # Errors
    /// `BodyTooLarge`; `RequestTimeout` if it does not come in time; `BodyMalformed` if it breaks off.
    pub(super) async fn read(self, head: &Head) -> Result<Bytes> {
        let announced = head.header(&CONTENT_LENGTH)?.and_then(|it| it.parse().ok());
        if announced.is_some_and(|bytes: u64| bytes > self.limits.bytes_max as u64) {
            return Err(self.too_large());
        }
        let timeout = self.limits.timeout;
        match tokio::time::timeout(timeout, self.collect()).await {
            Ok(body) => body,
            Err(_) => Err(Error::new(
                Kind::RequestTimeout,
                "The body did not come in time.",
            )),
        }
    }

    async fn collect(mut self) -> Result<Bytes> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.chunks.next().await {
            let chunk = chunk.map_err(|error| {
                Error::new(Kind::BodyMalformed, "The body broke off.").with_source(error)
            })?;
            if whole.len() + chunk.len() > self.limits.bytes_max {
                return Err(self.too_large());
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    fn too_large(&self) -> Error {
        Error::new(
            Kind::BodyTooLarge,
            format!("A body has at most {} bytes.", self.limits.bytes_max),
        )
    }
}

/// The media type of a body, lower case and without its parameters; `None` if it is not said.
pub(super) fn media_type(head: &Head) -> Result<Option<String>> {
    if let Some(encoding) = head.header(&CONTENT_ENCODING)?
        && !encoding.eq_ignore_ascii_case("identity")
    {
        return Err(Error::new(
            Kind::MediaTypeUnsupported,
            "Bodies are read without a content encoding.",
        ));
    }
    let Some(content_type) = head.header(&CONTENT_TYPE)? else {
        return Ok(None);
    };
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    let charset = parts.find_map(|it| {
        let (name, value) = it.split_once('=')?;
        name.eq_ignore_ascii_case("charset")
            .then(|| value.trim_matches('"'))
    });
    if !charset.is_none_or(|it| it.eq_ignore_ascii_case("utf-8")) {
        return Err(malformed(&CONTENT_TYPE, "names a charset other than UTF-8"));
    }
    Ok(Some(media_type))
}

/// What a body is written in; one that does not say so is JSON.
fn format(media_type: Option<&str>) -> Option<Format> {
    match media_type {
        None | Some("application/json") => Some(Format::Json),
        Some("text/csv") => Some(Format::Csv),
        Some("application/x-www-form-urlencoded") => Some(Format::Form),
        Some(it) if it.starts_with("application/") && it.ends_with("+json") => Some(Format::Json),
        Some(_) => None,
    }
}

fn unsupported(media_type: Option<&str>) -> Error {
    let media_type = media_type.unwrap_or_default();
    let error = Error::new(
        Kind::MediaTypeUnsupported,
        format!("A body of type {media_type:?} is not read here."),
    );
    error
        .with_code("PGRST102")
        .with_message(format!("Content-Type not acceptable: {media_type}"))
        .explained(" Send JSON, and say so: -H 'Content-Type: application/json'")
}
