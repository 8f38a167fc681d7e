//! Why a transaction did not come about, and whether another one may.
//!
//! Knows nothing of what was to be done in it.

use crate::{
    error::{Error, Kind},
    identity::Role,
    postgres::fault::{self, Speech},
};

/// Why a transaction did not come about.
#[derive(Debug)]
pub(in crate::postgres) enum Failure {
    /// The connection was dead before anything ran on it: another one may do.
    Stale(Error),
    /// The statement was prepared for a table that has been altered since; preparing it again may do.
    Outdated(Error),
    /// As the error says.
    Final(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Stale(error) | Failure::Outdated(error) | Failure::Final(error) => error,
        }
    }
}

/// The answer to a role that does not exist, or that rowcast may not take.
pub(in crate::postgres) fn role_not_allowed(role: &Role) -> Error {
    Error::new(
        Kind::RoleNotAllowed,
        format!("The role {:?} cannot be used here.", &*role.0),
    )
}

/// An error before anything of the caller's ran.
pub(super) fn stale(error: tokio_postgres::Error) -> Failure {
    let ended = match fault::sqlstate(&error) {
        Some(state) => state.starts_with("57P"),
        None => error.is_closed() || std::error::Error::source(&error).is_some_and(is_io),
    };
    let error = fault::fault(error, Speech::Guarded);
    if ended {
        Failure::Stale(error)
    } else {
        Failure::Final(error)
    }
}

fn is_io(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<std::io::Error>()
}

/// Whether a statement was prepared for a table that has been altered since. PostgreSQL says so with
/// the code of "feature not supported", so the routine has to tell.
pub(in crate::postgres) fn is_outdated(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|it| {
        it.code().code() == "0A000" && it.routine() == Some("RevalidateCachedQuery")
    })
}

/// An error of such a statement: the table is missing, or not ours.
pub(in crate::postgres) fn own_refused(error: tokio_postgres::Error) -> Failure {
    match fault::sqlstate(&error) {
        Some(state) if state.starts_with("42") => {
            let failed = Error::internal("rowcast's own tables cannot be used");
            Failure::Final(failed.with_source(error))
        }
        _ => refused(error, Speech::Guarded),
    }
}

pub(super) fn refused(error: tokio_postgres::Error, speech: Speech) -> Failure {
    if is_outdated(&error) {
        return Failure::Outdated(fault::fault(error, speech));
    }
    match error.code() {
        None => stale(error),
        Some(_) => Failure::Final(fault::fault(error, speech)),
    }
}
