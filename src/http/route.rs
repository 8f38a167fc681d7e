//! The pieces that the table of routes is made of.

use super::{
    NOT_YET, OWN_NAMES,
    head::Segment,
    reply::{self, Answered, Refusal, Response},
};
use crate::error::{Error, Kind};
use http::{
    HeaderValue, Method, StatusCode,
    header::{ALLOW, AUTHORIZATION},
};
use std::{convert::Infallible, str::FromStr, sync::Arc};
use warp::{
    Filter, Rejection, Reply,
    filters::BoxedFilter,
    path::{FullPath, Peek},
};

/// The first of these that takes a request answers it. Halved again and again, so that a request
/// passes through few of the boxes around routes that are not its own.
pub(super) fn first_of<const N: usize>(
    routes: [BoxedFilter<(Response,)>; N],
) -> BoxedFilter<(Response,)> {
    fn halve(routes: &[BoxedFilter<(Response,)>]) -> BoxedFilter<(Response,)> {
        match routes {
            [route] => route.clone(),
            _ => {
                let (front, back) = routes.split_at(routes.len() / 2);
                halve(front).or(halve(back)).unify().boxed()
            }
        }
    }
    halve(&routes)
}

/// Hands a handle to a handler.
pub(super) fn with<T: Send + Sync + 'static>(
    handle: &Arc<T>,
) -> impl Filter<Extract = (Arc<T>,), Error = Infallible> + Clone + use<T> {
    let handle = handle.clone();
    warp::any().map(move || handle.clone())
}

/// A route whose handler's outcome becomes a response.
pub(super) fn boxed(
    route: impl Filter<Extract = (Answered,), Error = Rejection> + Clone + Send + Sync + 'static,
) -> BoxedFilter<(Response,)> {
    let has_token = warp::header::optional::<Redacted>(AUTHORIZATION.as_str());
    let has_token = has_token.map(|it: Option<Redacted>| it.is_some());
    route
        .and(has_token)
        .map(|answered: Answered, has_token: bool| match answered {
            Err(refusal) if !has_token => refusal.of_nobody().into_response(),
            answered => answered.into_response(),
        })
        .boxed()
}

/// A header of which only matters whether it is there.
struct Redacted;

impl FromStr for Redacted {
    type Err = Infallible;

    fn from_str(_: &str) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

/// What a path does with every method that no route before took: it says which ones it takes, by a
/// 405, or by a 200 to `OPTIONS`, which asks for that.
pub(super) fn otherwise(
    path: impl Filter<Extract = (), Error = Rejection> + Clone + Send + Sync + 'static,
    methods: &'static str,
) -> BoxedFilter<(Response,)> {
    path.and(warp::method())
        .and(warp::path::full())
        .map(move |method, path: FullPath| other_method(method, &path, methods))
        .boxed()
}

/// A path with one variable part, for whom its name does not matter.
pub(super) fn one<T: 'static>(
    path: impl Filter<Extract = (T,), Error = Rejection> + Clone + Send + Sync + 'static,
) -> impl Filter<Extract = (), Error = Rejection> + Clone + Send + Sync + 'static {
    path.map(|_| ()).untuple_one()
}

/// A path with two variable parts, for whom their names do not matter.
pub(super) fn two<T: 'static>(
    path: impl Filter<Extract = (Segment, T), Error = Rejection> + Clone + Send + Sync + 'static,
) -> impl Filter<Extract = (), Error = Rejection> + Clone + Send + Sync + 'static {
    path.map(|_, _| ()).untuple_one()
}

/// These routes for paths under rowcast's own names only: what is asked for most, a resource, is spared a
/// look at each of them.
pub(super) fn under_own_names(routes: BoxedFilter<(Response,)>) -> BoxedFilter<(Response,)> {
    warp::path::peek()
        .and_then(async |path: Peek| {
            let first = path.segments().next().unwrap_or_default();
            match OWN_NAMES.contains(&first) {
                true => Ok(()),
                false => Err(warp::reject::not_found()),
            }
        })
        .untuple_one()
        .and(routes)
        .boxed()
}

/// Paths under rowcast's own names that lead nowhere, so that no table of such a name answers there.
pub(super) fn own_names() -> BoxedFilter<(Response,)> {
    warp::path::peek()
        .and_then(async |path: Peek| {
            let mut segments = path.segments();
            let first = segments.next().unwrap_or_default();
            let is_resource = first == "resources" && segments.next().is_some();
            if is_resource || !OWN_NAMES.contains(&first) {
                return Err(warp::reject::not_found());
            }
            let error = match NOT_YET.contains(&first) {
                true => Error::new(Kind::NotSupported, format!("/{first} is not served yet.")),
                false => unknown(),
            };
            Ok(reply::of_error(&error, None))
        })
        .boxed()
}

/// Every other path.
pub(super) fn nowhere() -> BoxedFilter<(Response,)> {
    warp::any()
        .map(|| reply::of_error(&unknown(), None))
        .boxed()
}

fn unknown() -> Error {
    let error = Error::new(Kind::RouteUnknown, "There is nothing at this path.");
    error
        .with_message("Invalid path specified in request URL")
        .explained(" Resources are at /{resource} and /{resource}/{id}.")
}

fn other_method(method: Method, path: &FullPath, methods: &'static str) -> Response {
    if method == Method::OPTIONS {
        let mut response = reply::empty(StatusCode::OK);
        let headers = response.headers_mut();
        headers.insert(ALLOW, HeaderValue::from_static(methods));
        return response;
    }
    let detail = format!("{method} is not what this path takes: {methods}.");
    let error = Error::new(Kind::MethodNotAllowed, detail);
    let error = match path.as_str().starts_with("/rpc/") {
        true => error
            .with_code("PGRST101")
            .with_message(format!("Cannot use the {method} method on RPC")),
        false => error.with_message(format!("Unsupported HTTP method: {method}")),
    };
    Refusal::from(error).allowing(methods).into_response()
}
