//! Why PostgreSQL refused a write, as far as the caller may know.
//!
//! Nothing here tells of a row that the caller does not see: a collision with one is told as if the row
//! were simply not allowed, and a reference to one as if it did not exist.

use super::Work;
use crate::{
    catalog::{Collision, ResourceKind, Tenancy},
    error::{DatabaseFault, Error, Kind},
    postgres::{
        fault::{self, Speech},
        session,
        sql::Rendered,
    },
    query::write::{Operation, label},
};
use tokio_postgres::{Row, error::DbError};

const UNIQUE_VIOLATION: &str = "23505";
const EXCLUSION_VIOLATION: &str = "23P01";
const FOREIGN_KEY_VIOLATION: &str = "23503";
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// The answer to a reference that points at nothing that the caller sees.
pub(super) fn reference_missing(label: &str) -> Error {
    reference(format!("The row that {label} refers to does not exist."))
}

/// The answer to a row that the caller may not have.
pub(super) fn row_not_allowed() -> Error {
    Error::new(Kind::RowNotAllowed, "The row is not allowed.")
}

pub(super) fn precondition_failed() -> Error {
    Error::new(
        Kind::PreconditionFailed,
        "The row is not in the state that If-Match or If-None-Match names.",
    )
}

pub(super) fn not_singular(count: u64) -> Error {
    let details = format!("The result contains {count} rows");
    Error::new(
        Kind::NotSingular,
        format!("One object was asked for. {details}, so nothing was written."),
    )
    .with_message("Cannot coerce the result to a single JSON object")
    .with_details(details)
}

pub(super) fn too_many(count: u64, rows_max: u64) -> Error {
    let details = format!("The query affects {count} rows");
    Error::new(
        Kind::TooManyAffected,
        format!("{details}, and at most {rows_max} were allowed, so nothing was written."),
    )
    .with_message("Query result exceeds max-affected preference constraint")
    .with_details(details)
}

/// The answer to a write of more rows than it may answer.
pub(super) fn answer_too_large(bytes_max: usize) -> Error {
    Error::new(
        Kind::AnswerTooLarge,
        format!("The answer would be larger than {bytes_max} bytes, so nothing was written."),
    )
    .with_hint("Ask for nothing back with \"Prefer: return=minimal\", or write fewer rows.")
}

fn reference(message: String) -> Error {
    Error::new(Kind::ReferenceViolation, message.clone()).with_database(DatabaseFault {
        sqlstate: FOREIGN_KEY_VIOLATION.into(),
        message,
        ..DatabaseFault::default()
    })
}

impl<'a> Work<'a> {
    /// What PostgreSQL's error means to the caller. May ask the database, in a transaction of its own.
    pub(super) async fn explain(self, error: tokio_postgres::Error) -> Error {
        let Some(database) = error.as_db_error() else {
            return fault::unavailable(error);
        };
        match database.code().code() {
            UNIQUE_VIOLATION | EXCLUSION_VIOLATION => {
                let collision = self.collision(database);
                match self.is_visible(collision).await {
                    true => self.collided(error, collision),
                    false => row_not_allowed(),
                }
            }
            // Where there is one organization, and whoever may see the rows referred to sees them all,
            // PostgreSQL's own words tell nothing that is not the caller's to know.
            FOREIGN_KEY_VIOLATION
                if self.write.resource.tenancy == Tenancy::Single
                    && self.write.references.is_empty() =>
            {
                fault::fault(error, Speech::Open)
            }
            FOREIGN_KEY_VIOLATION => self.reference_violated(database),
            INSUFFICIENT_PRIVILEGE if database.routine() == Some("ExecWithCheckOptions") => {
                row_not_allowed()
            }
            code if code.starts_with("23") => {
                let own = self.is_own(database);
                let error = fault::fault(error, Speech::Open);
                // The row that failed may be one that a trigger changed elsewhere.
                if own { error } else { without_details(error) }
            }
            _ => {
                let speech = self.speech().await;
                fault::fault(error, speech)
            }
        }
    }

    /// Whether an error says that the row's key exists already.
    pub(super) fn collides_by_key(self, error: &tokio_postgres::Error) -> bool {
        let key = &self.write.resource.key;
        error
            .as_db_error()
            .filter(|it| it.code().code() == UNIQUE_VIOLATION)
            .and_then(|it| self.collision(it))
            .is_some_and(|it| {
                it.plain
                    && it.columns.len() == key.len()
                    && it.columns.iter().all(|index| key.contains(index))
            })
    }

    /// The constraint of the resource's own that an error names.
    fn collision(self, error: &DbError) -> Option<&'a Collision> {
        let resource = &self.write.resource;
        let name = error.constraint()?;
        if error.schema() != Some(&*resource.schema) {
            return None;
        }
        let mut collisions = resource.collisions.iter();
        collisions.find(|it| it.names.iter().any(|own| &**own == name))
    }

    /// Whether the row that a write collided with is one that the caller sees. What is answered then
    /// follows from visible rows alone.
    async fn is_visible(self, collision: Option<&Collision>) -> bool {
        let resource = &self.write.resource;
        let Some(collision) = collision else {
            // With one organization that sees all of its rows, there is nothing to hide.
            return resource.tenancy == Tenancy::Single && !resource.restricted;
        };
        let own = collision.within_organization || resource.tenancy == Tenancy::Single;
        if own && !resource.restricted && self.write.findable {
            return true;
        }
        let Some(given) = self.write.given() else {
            return false;
        };
        match self.fenced().collides(given, collision) {
            Ok(Some(statement)) => self.holds(&statement).await,
            _ => false,
        }
    }

    /// A collision with a row that the caller sees.
    fn collided(self, error: tokio_postgres::Error, collision: Option<&Collision>) -> Error {
        let several = self.write.is_many();
        let within = collision.is_some_and(|it| it.within_organization);
        let error = fault::fault(error, Speech::Open);
        // Of several rows, the one that PostgreSQL names may have met another row than the one that
        // the caller sees.
        if several && !within {
            return without_details(error);
        }
        error
    }

    /// A reference that points at nothing, or a row that is still referred to.
    fn reference_violated(self, error: &DbError) -> Error {
        let resource = &self.write.resource;
        let changed = match &self.write.operation {
            Operation::Delete { .. } => None,
            Operation::Create { given, .. }
            | Operation::Update { given, .. }
            | Operation::Replace { given, .. } => Some(&given.columns),
        };
        let organization = match resource.tenancy {
            Tenancy::Column(index) => Some(index),
            _ => None,
        };
        let partitioned = resource.kind == ResourceKind::PartitionedTable;
        let reference = resource.references.iter().find(|it| {
            Some(&*it.constraint) == error.constraint()
                && (partitioned || self.is_own(error))
                && changed.is_some_and(|changed| it.columns.iter().any(|it| changed.contains(it)))
        });
        match (reference, &self.write.operation) {
            (Some(reference), _) => reference_missing(&label(resource, reference, organization)),
            (None, Operation::Create { .. }) => {
                self::reference("A row that this one refers to does not exist.".into())
            }
            (None, _) => self::reference(
                "Other rows refer to this one, or it to one that does not exist.".into(),
            ),
        }
    }

    /// Whether an error is about the table that is written to.
    pub(super) fn is_own(self, error: &DbError) -> bool {
        let resource = &self.write.resource;
        error.schema() == Some(&*resource.schema) && error.table() == Some(&*resource.table)
    }

    /// Whether PostgreSQL's own words may be repeated. A policy is evaluated on rows that it hides, and
    /// an error of its quotes their values; on a row that the caller sees, it has just held.
    async fn speech(self) -> Speech {
        let Some(target) = self
            .write
            .target()
            .filter(|_| self.write.resource.restricted)
        else {
            return Speech::Open;
        };
        let seen = match self.fenced().seen(target) {
            Ok(statement) if target.is_item() => self.any(&statement).await.is_some(),
            _ => false,
        };
        if seen { Speech::Open } else { Speech::Guarded }
    }

    async fn holds(self, statement: &Rendered) -> bool {
        let row = self.any(statement).await;
        row.is_some_and(|row| row.try_get(0).unwrap_or(false))
    }

    /// The first row of a question asked in a transaction of its own; none if it cannot be answered.
    async fn any(self, statement: &Rendered) -> Option<Row> {
        let pool = &self.database.plain;
        let mut lease = self.database.lease(pool, None).await.ok()?;
        let read = session::read_whole(&mut lease, self.settings(), statement).await;
        read.ok()?.1.into_iter().next()
    }
}

fn without_details(error: Error) -> Error {
    let Some(fault) = error.database() else {
        return error;
    };
    let fault = DatabaseFault {
        details: None,
        ..fault.clone()
    };
    Error::new(error.kind(), error.detail().to_owned()).with_database(fault)
}
