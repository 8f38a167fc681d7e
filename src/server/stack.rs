//! The layers around the routes. Read from top to bottom, as a request passes them.
//!
//! Owns what is the same for every route. Knows no route but which of them wait for long.

use crate::{
    config::Config,
    error::{Error, Kind, Result},
    http::{
        ACTION_ID, CHANNEL_ID, CURSOR, NEXT, PREFER, PREFERENCE_APPLIED, PRIORITY,
        Response as Routed, SEQUENCE, VERSION, of_error, with_range,
    },
};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, Response,
    header::{
        ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION,
        RETRY_AFTER,
    },
};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use std::{any::Any, convert::Infallible, time::Duration};
use tower::{
    BoxError, ServiceBuilder, ServiceExt, load_shed::error::Overloaded, timeout::error::Elapsed,
    util::BoxCloneSyncService,
};
use tower_http::{
    CompressionLevel,
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{NotForContentType, Predicate, SizeAbove},
    },
    cors::{AllowOrigin, CorsLayer},
    trace::{DefaultOnResponse, TraceLayer},
};
use tracing::{Level, Span};
use warp::filters::BoxedFilter;

/// A body on its way out.
pub(super) type Body = UnsyncBoxBody<Bytes, BoxError>;
/// The layers and the routes as one service, cloned for each connection.
pub(super) type Stack = BoxCloneSyncService<Request<Incoming>, Response<Body>, Infallible>;

/// Answers smaller than this do not fit into fewer packets when they are compressed.
const COMPRESS_FROM_BYTES: u64 = 1_024;
/// What the head of an answer may take beyond the time-outs of which it is the sum.
const SLACK: Duration = Duration::from_secs(5);
/// How long a browser may remember what a preflight said.
const PREFLIGHT_AGE: Duration = Duration::from_secs(3_600);

/// Builds the stack.
///
/// # Errors
/// `ConfigurationInvalid` for origins and header names that are none.
pub(super) fn stack(config: &Config, routes: BoxedFilter<(Routed,)>) -> Result<Stack> {
    let request_id = request_id_header(config)?;
    let layers = ServiceBuilder::new()
        .map_response(boxed)
        // First, so that it sees what the caller sees: one line for each request, at debug level.
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_request(())
                .on_response(DefaultOnResponse::new().level(Level::DEBUG))
                .on_body_chunk(())
                .on_eos(())
                // Whoever makes an error into an answer logs its cause; once is enough.
                .on_failure(()),
        )
        .map_response(boxed)
        // A bug in a handler costs its caller a 500, not everybody on its connection their answers.
        .layer(CatchPanicLayer::custom(panicked))
        // Outside everything that refuses, so that scripts in browsers can read refusals too.
        .option_layer(cors(config, &request_id)?)
        .map_response(with_range)
        .map_response(boxed)
        // Outside the routes, whose answers it compresses, but not for streams of events: a
        // compressor holds back what it has not filled a block with.
        .layer(
            CompressionLayer::new()
                .gzip(true)
                .quality(CompressionLevel::Fastest)
                .compress_when(
                    SizeAbove::new(COMPRESS_FROM_BYTES)
                        .and(NotForContentType::const_new("application/x-ndjson"))
                        .and(NotForContentType::SSE),
                ),
        );
    let front = Front {
        url_bytes_max: config.limits.url_bytes_max,
        header_bytes_max: config.limits.header_bytes_max,
        request_id,
        bounded: bounded(config, routes.clone()),
        unbounded: BoxCloneSyncService::new(warp::service(routes)),
    };
    Ok(BoxCloneSyncService::new(layers.service(tower::service_fn(
        move |request| front.clone().answer(request),
    ))))
}

fn boxed<B>(response: Response<B>) -> Response<Body>
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    response.map(|body| UnsyncBoxBody::new(body.map_err(Into::into)))
}

/// The routes with a bound on how many requests are worked on at once and for how long. Only up to
/// the head of an answer: what streams on has bounds of its own.
fn bounded(config: &Config, routes: BoxedFilter<(Routed,)>) -> Bounded {
    let limits = &config.limits;
    let longest = Duration::from_millis(
        limits.request_body_timeout_ms
            + config.database.acquire_timeout_ms
            + config.database.statement_timeout_ms,
    );
    BoxCloneSyncService::new(
        ServiceBuilder::new()
            // Above the limit, so that whoever is over it is refused instead of queued.
            .load_shed()
            // Every clone counts on the same number.
            .concurrency_limit(limits.concurrent_requests_max)
            // Each step has its own time-out; this one is for what none of them sees.
            .timeout(longest + SLACK)
            .service(warp::service(routes)),
    )
}

type Bounded = BoxCloneSyncService<Request<Incoming>, Routed, BoxError>;
type Unbounded = BoxCloneSyncService<Request<Incoming>, Routed, Infallible>;

/// What is looked at before a request gets to its route.
#[derive(Clone)]
struct Front {
    url_bytes_max: usize,
    header_bytes_max: usize,
    request_id: HeaderName,
    bounded: Bounded,
    unbounded: Unbounded,
}

impl Front {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let echoed = self.echoed(&request);
        let mut response = match self.refused(&request) {
            Some(error) => of_error(&error, None),
            None => self.routed(request).await,
        };
        if let Some(id) = echoed {
            response.headers_mut().insert(self.request_id, id);
        }
        Ok(boxed(response))
    }

    /// The request id of whatever is not an asynchronous GET: it is only repeated.
    fn echoed(&self, request: &Request<Incoming>) -> Option<HeaderValue> {
        let id = request.headers().get(&self.request_id);
        id.filter(|_| request.method() != Method::GET).cloned()
    }

    fn refused(&self, request: &Request<Incoming>) -> Option<Error> {
        // A target without a path (`GET tickets`, CONNECT) names nothing of ours, and warp's filters
        // panic on it.
        let Some(target) = request.uri().path_and_query() else {
            let error = Error::new(Kind::RouteUnknown, "The request names no path.");
            return Some(error.with_hint("A path begins with a slash: /tickets"));
        };
        let url_bytes = target.as_str().len();
        if url_bytes > self.url_bytes_max {
            return Some(Error::url_too_long(self.url_bytes_max));
        }
        let lines = request.headers().iter();
        let header_bytes: usize = lines
            .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
            .sum();
        if header_bytes > self.header_bytes_max {
            let detail = format!("Headers have at most {} bytes.", self.header_bytes_max);
            return Some(Error::new(Kind::HeadersTooLarge, detail));
        }
        None
    }

    async fn routed(&self, request: Request<Incoming>) -> Routed {
        if waits(&request) {
            let Ok(response) = self.unbounded.clone().oneshot(request).await;
            return response;
        }
        let error = match self.bounded.clone().oneshot(request).await {
            Ok(response) => return response,
            Err(error) => error,
        };
        let detail = if error.is::<Overloaded>() {
            "Too many requests are being worked on."
        } else if error.is::<Elapsed>() {
            "The answer took too long."
        } else {
            return of_error(&Error::internal("a layer failed").with_source(error), None);
        };
        of_error(&Error::new(Kind::Overloaded, detail), None)
    }
}

/// Whether the request may wait for long, which is no work: the readers of channels. And the probes,
/// which have to be answered just when there is too much to do.
fn waits(request: &Request<Incoming>) -> bool {
    let path = request.uri().path();
    path.starts_with("/channels/") && request.method() == Method::GET
        || matches!(path, "/health" | "/ready")
}

/// The path without the query, which may hold values of rows, or a pass.
fn span<B>(request: &Request<B>) -> Span {
    let (method, path) = (request.method(), request.uri().path());
    tracing::debug_span!("request", %method, path)
}

fn panicked(_: Box<dyn Any + Send>) -> Response<Body> {
    // The panic's message is in the log: the panic hook has written it.
    boxed(of_error(&Error::internal("a handler panicked"), None))
}

/// What scripts of other origins may do; `None` where no origin is configured.
fn cors(config: &Config, request_id: &HeaderName) -> Result<Option<CorsLayer>> {
    let origins = &config.server.cors_origins;
    if origins.is_empty() {
        return Ok(None);
    }
    let origins = match origins.iter().any(|it| it == "*") {
        true => AllowOrigin::any(),
        false => {
            let parsed = origins.iter().map(|origin| {
                let refused = format!("server.cors_origins: {origin:?} is not an origin");
                HeaderValue::from_str(origin)
                    .map_err(|_| Error::new(Kind::ConfigurationInvalid, refused))
            });
            AllowOrigin::list(parsed.collect::<Result<Vec<_>>>()?)
        }
    };
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PATCH,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
    ];
    let last_event_id = HeaderName::from_static("last-event-id");
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods(methods)
        .allow_headers([
            ACCEPT,
            AUTHORIZATION,
            CONTENT_TYPE,
            IF_MATCH,
            IF_NONE_MATCH,
            last_event_id,
            request_id.clone(),
            CHANNEL_ID,
            ACTION_ID,
            PREFER,
            PRIORITY,
        ])
        .expose_headers([
            CURSOR,
            VERSION,
            ETAG,
            LOCATION,
            LINK,
            NEXT,
            SEQUENCE,
            request_id.clone(),
            CHANNEL_ID,
            PREFERENCE_APPLIED,
            RETRY_AFTER,
        ])
        .max_age(PREFLIGHT_AGE);
    Ok(Some(layer))
}

/// The name of the header that makes a GET asynchronous.
///
/// # Errors
/// `ConfigurationInvalid`.
pub(super) fn request_id_header(config: &Config) -> Result<HeaderName> {
    let name = &config.api.request_id_header;
    name.parse().map_err(|_| {
        Error::new(
            Kind::ConfigurationInvalid,
            format!("api.request_id_header: {name:?} is not the name of a header"),
        )
    })
}
