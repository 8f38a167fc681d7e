//! PostgreSQL's errors as ours: which kind each SQLSTATE is, and what of its text a caller may read.
//!
//! Knows nothing of what was being done, but for whether the text may speak of rows that the caller
//! may not see.

use crate::error::{DatabaseFault, Error, Kind};
use serde_json::Value;
use tokio_postgres::error::DbError;

/// What of PostgreSQL's text may reach the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    /// All of it: it speaks of the caller's own values and rows.
    Open,
    /// None of it: expressions of the database's own may have been evaluated on rows that the caller
    /// may not see, and errors quote values.
    Guarded,
}

/// An error of a running statement.
pub(super) fn fault(error: tokio_postgres::Error, speech: Speech) -> Error {
    let Some(database) = error.as_db_error() else {
        return unavailable(error);
    };
    let kind = match kind(database.code().code()) {
        // Our own trigger cannot write the change log: nothing that the caller could do about.
        Kind::StatementInvalid | Kind::ConstraintViolation if is_in_the_log(database) => {
            Kind::Internal
        }
        kind => kind,
    };
    let fault = match raised(database) {
        Some(fault) if speech == Speech::Open => fault,
        _ => described(database, speech),
    };
    let detail = match speech {
        _ if kind == Kind::StatementTimeout => "The statement took longer than it may.".to_owned(),
        Speech::Open => fault.message.clone(),
        Speech::Guarded => "PostgreSQL refused this.".to_owned(),
    };
    Error::new(kind, detail)
        .with_database(fault)
        .with_source(error)
}

/// Whether the error was raised by what logs changes.
fn is_in_the_log(error: &DbError) -> bool {
    error
        .where_()
        .is_some_and(|it| it.contains("PL/pgSQL function rowcast.log_"))
}

/// An error of the connection itself: nothing can be said of what was being done.
pub(super) fn unavailable(error: tokio_postgres::Error) -> Error {
    Error::new(
        Kind::DatabaseUnavailable,
        "the connection to PostgreSQL failed",
    )
    .with_source(error)
}

/// The SQLSTATE, if it was PostgreSQL that refused.
pub(super) fn sqlstate(error: &tokio_postgres::Error) -> Option<&str> {
    error.code().map(|code| code.code())
}

fn described(error: &DbError, speech: Speech) -> DatabaseFault {
    let sqlstate = error.code().code().to_owned();
    match speech {
        Speech::Open => DatabaseFault {
            sqlstate,
            message: error.message().to_owned(),
            details: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
            constraint: error.constraint().map(str::to_owned),
            status: chosen(error.code().code()),
        },
        Speech::Guarded => DatabaseFault {
            sqlstate,
            message: "PostgreSQL refused this.".to_owned(),
            ..DatabaseFault::default()
        },
    }
}

/// The HTTP status that an SQLSTATE of the application's own names: `PT` and three digits. One that
/// names none is the application's mistake.
fn chosen(sqlstate: &str) -> Option<u16> {
    let status: u16 = sqlstate.strip_prefix("PT")?.parse().unwrap_or(500);
    (400..600).contains(&status).then_some(status)
}

/// What an application says in full by the SQLSTATE `PGRST`, PostgREST's: the message is a JSON object of
/// `code`, `message`, `details` and `hint`, the detail one with the `status`.
fn raised(error: &DbError) -> Option<DatabaseFault> {
    if error.code().code() != "PGRST" {
        return None;
    }
    let said: Value = serde_json::from_str(error.message()).ok()?;
    let how: Value = serde_json::from_str(error.detail()?).ok()?;
    let text = |name: &str| said[name].as_str().map(str::to_owned);
    let status = how["status"].as_u64().and_then(|it| u16::try_from(it).ok());
    Some(DatabaseFault {
        sqlstate: text("code")?,
        message: text("message")?,
        details: text("details"),
        hint: text("hint"),
        constraint: None,
        status: status.filter(|it| (300..600).contains(it)),
    })
}

/// The kind of an SQLSTATE (PostgreSQL manual, appendix "PostgreSQL Error Codes").
fn kind(sqlstate: &str) -> Kind {
    match sqlstate {
        "23505" => Kind::UniqueViolation,
        "23503" => Kind::ReferenceViolation,
        "42501" => Kind::PermissionDenied,
        // A view's check option: the row would lie outside the view.
        "44000" => Kind::RowNotAllowed,
        "57014" => Kind::StatementTimeout,
        // Somebody else holds the lock.
        "55P03" => Kind::Conflict,
        // A limit of the configuration's: no waiting helps.
        "53400" => Kind::Internal,
        _ => match sqlstate.get(..2).unwrap_or_default() {
            "23" => Kind::ConstraintViolation,
            "22" => Kind::DataInvalid,
            "40" => Kind::Conflict,
            "P0" => Kind::Raised,
            "08" | "57" => Kind::DatabaseUnavailable,
            // A full disk, no memory, too many connections: it may go better later.
            "53" => Kind::Overloaded,
            "58" | "F0" | "XX" => Kind::Internal,
            "00" | "01" | "02" | "03" | "09" | "0A" | "0B" | "0F" | "0L" | "0P" | "0Z" | "10"
            | "20" | "21" | "24" | "25" | "26" | "27" | "28" | "2B" | "2D" | "2F" | "34" | "38"
            | "39" | "3B" | "3D" | "3F" | "42" | "44" | "54" | "55" | "72" | "HV" => {
                Kind::StatementInvalid
            }
            // Codes that PostgreSQL does not use are the application's own.
            _ => Kind::Raised,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_their_kinds() {
        for (state, expected) in [
            ("23505", Kind::UniqueViolation),
            ("23503", Kind::ReferenceViolation),
            ("23502", Kind::ConstraintViolation),
            ("23514", Kind::ConstraintViolation),
            ("23P01", Kind::ConstraintViolation),
            ("42501", Kind::PermissionDenied),
            ("42703", Kind::StatementInvalid),
            ("428C9", Kind::StatementInvalid),
            ("22P02", Kind::DataInvalid),
            ("40001", Kind::Conflict),
            ("40P01", Kind::Conflict),
            ("55P03", Kind::Conflict),
            ("57014", Kind::StatementTimeout),
            ("57P01", Kind::DatabaseUnavailable),
            ("08006", Kind::DatabaseUnavailable),
            ("53000", Kind::Overloaded),
            ("53100", Kind::Overloaded),
            ("53200", Kind::Overloaded),
            ("53300", Kind::Overloaded),
            ("53400", Kind::Internal),
            ("P0001", Kind::Raised),
            ("KB042", Kind::Raised),
            ("PT402", Kind::Raised),
            ("XX000", Kind::Internal),
            ("", Kind::Raised),
        ] {
            assert_eq!(kind(state), expected, "{state}");
        }
    }
}
