//! `/health`: the process lives. `/ready`: it can do its work.

use super::reply::{self, Answered, put_no_store};
use crate::{
    error::{Error, Kind},
    wire::answer,
};
use http::StatusCode;
use std::{fmt, pin::Pin, sync::Arc, time::Duration};

/// How long the database may take to answer before it counts as not reachable.
const PROBE: Duration = Duration::from_secs(2);

/// Finds out whether the server can do its work.
pub struct Readiness(Box<Probe>);

type Probe = dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> + Send + Sync;

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").finish_non_exhaustive()
    }
}

impl Readiness {
    /// Asks this each time.
    pub fn new<F>(probe: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        Self(Box::new(move || Box::pin(probe())))
    }
}

/// `GET /health`
pub(super) async fn health() -> Answered {
    Ok(well())
}

/// `GET /ready`
pub(super) async fn ready(readiness: Arc<Readiness>) -> Answered {
    match tokio::time::timeout(PROBE, (readiness.0)()).await {
        Ok(Ok(())) => Ok(well()),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => {
            let detail = "the database did not answer the readiness probe in time";
            Err(Error::new(Kind::DatabaseUnavailable, detail).into())
        }
    }
}

fn well() -> reply::Response {
    let mut response = reply::json(StatusCode::OK, answer::well());
    put_no_store(response.headers_mut());
    response
}
