//! Bodies of requests: read whole, within a limit of bytes and a time, and as JSON only.

use super::head::{Head, malformed};
use crate::{
    config::Limits,
    error::{Error, Kind, Result},
};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use std::{pin::Pin, time::Duration};
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
        expect_json(head)?;
        self.read(head).await
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

fn expect_json(head: &Head) -> Result<()> {
    if let Some(encoding) = head.header(&CONTENT_ENCODING)?
        && !encoding.eq_ignore_ascii_case("identity")
    {
        return Err(Error::new(
            Kind::MediaTypeUnsupported,
            "Bodies are read without a content encoding.",
        ));
    }
    let Some(content_type) = head.header(&CONTENT_TYPE)? else {
        return Ok(());
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
    let is_json = media_type == "application/json"
        || media_type.starts_with("application/") && media_type.ends_with("+json");
    if is_json {
        return Ok(());
    }
    let error = Error::new(
        Kind::MediaTypeUnsupported,
        format!("A body of type {media_type:?} is not read here."),
    );
    Err(error.with_hint("Send JSON, and say so: -H 'Content-Type: application/json'"))
}
