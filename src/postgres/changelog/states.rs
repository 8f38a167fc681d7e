//! Reading changed rows again in a view: what is there and whose it is, and the rows as a role sees
//! them.
//!
//! What cannot be read (the schema has moved on, a right was taken away) is an answer too, `None`;
//! only a broken connection is an error. Either way the view stays usable.

use super::{
    flight::{Sent, in_order},
    plan::Plan,
    view::{MARK, RELEASE, View, query, simple},
};
use crate::{
    catalog::Resource,
    error::Result,
    identity::Role,
    postgres::{
        connection::Connection,
        encode::{Encoding, RowEncoder},
        fault,
        sql::identifier,
    },
};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use tokio_postgres::{Row, Statement, types::ToSql};

/// Keys of one resource, to be asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Of which resource: a table with a key.
    pub resource: Arc<Resource>,
    /// Each part of the keys in an array of its own.
    pub(super) parts: Vec<Vec<Arc<str>>>,
}

/// What there is of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The key as JSON: a value, or an array for a composite key.
    pub id: Arc<str>,
    /// Whether there is such a row.
    pub present: bool,
    /// The organization of the row, if it is there and belongs to one.
    pub owner: Option<Arc<str>>,
}

/// Rows as one role sees them: the number of the key, and the row as a JSON object.
pub type Rows = Vec<(usize, Bytes)>;

/// A statement with its parameters, all of them arrays; `None` if it could not be prepared.
type Read<'a> = Option<(Statement, Vec<Vec<&'a str>>)>;

impl Asked {
    /// Asks for these keys, in this order. Each has as many parts as the resource's key.
    pub fn new<'a>(
        resource: &Arc<Resource>,
        keys: impl IntoIterator<Item = &'a [Arc<str>]>,
    ) -> Self {
        let mut parts = vec![Vec::new(); resource.key.len()];
        for key in keys {
            for (part, values) in key.iter().zip(&mut parts) {
                values.push(part.clone());
            }
        }
        Self {
            resource: resource.clone(),
            parts,
        }
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        self.parts.first().map_or(0, Vec::len)
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn parameters(&self) -> Vec<Vec<&str>> {
        let parts = self.parts.iter();
        parts
            .map(|part| part.iter().map(|it| &**it).collect())
            .collect()
    }
}

impl View {
    /// What there is of these keys, whoever may see it; in the order in which they were asked for.
    ///
    /// # Errors
    /// `DatabaseUnavailable`.
    pub async fn states(&self, plan: &Plan, asked: &[Asked]) -> Result<Vec<Option<Vec<State>>>> {
        let mut reads = Vec::new();
        for it in asked {
            let statement = self.prepare(&plan.texts(&it.resource).states).await?;
            reads.push(statement.map(|statement| (statement, it.parameters())));
        }
        let answers = self.read(MARK, &reads).await?;
        Ok(answers
            .into_iter()
            .zip(asked)
            .map(|(rows, it)| states(&rows?, it.len()))
            .collect())
    }

    /// The rows of these keys as a role sees them: the columns that it may read, in the encoding of a
    /// GET. Only for resources of which every row is seen by whoever has the role.
    ///
    /// # Errors
    /// `DatabaseUnavailable`.
    pub async fn rows(
        &self,
        plan: &Plan,
        role: &Role,
        asked: &[(Asked, Vec<usize>)],
    ) -> Result<Vec<Option<Rows>>> {
        let mut reads = Vec::new();
        let mut encoders = Vec::new();
        for (it, columns) in asked {
            let (sql, encoder) = rows_statement(plan, &it.resource, columns, false);
            let fits = |it: &Statement| encoder.check(it.columns()).is_ok();
            let mut statement = self.prepare(&sql).await?.filter(fits);
            if statement.is_none() {
                // Prepared for the table as it was before.
                self.connection().forget(&sql);
                statement = self.prepare(&sql).await?.filter(fits);
            }
            reads.push(statement.map(|statement| (statement, it.parameters())));
            encoders.push(encoder);
        }
        let begin = format!("{MARK}; set local role {}", identifier(&role.0));
        let answers = self.read(&begin, &reads).await?;
        Ok(answers
            .into_iter()
            .zip(&encoders)
            .map(|(rows, encoder)| encoded(&rows?, encoder))
            .collect())
    }

    /// Whose the rows are that others refer to by these values.
    ///
    /// # Errors
    /// `DatabaseUnavailable`.
    pub async fn owners(
        &self,
        plan: &Plan,
        resource: &Resource,
        column: usize,
        values: &[Arc<str>],
    ) -> Result<Vec<Option<Arc<str>>>> {
        let mut owners = vec![None; values.len()];
        let column = &resource.columns[column];
        let Some(sql) = super::texts::owners(plan.catalog(), resource, column) else {
            return Ok(owners);
        };
        let Some(statement) = self.prepare(&sql).await? else {
            return Ok(owners);
        };
        let values = vec![values.iter().map(|it| &**it).collect()];
        let answers = self.read(MARK, &[Some((statement, values))]).await?;
        for row in answers.into_iter().flatten().flatten() {
            let owner: Option<&str> = row.try_get(1).ok().flatten();
            if let Some(place) = number(&row, 0).and_then(|it| owners.get_mut(it)) {
                *place = owner.map(Arc::from);
            }
        }
        Ok(owners)
    }

    /// `None`: the statement does not fit the schema any more.
    async fn prepare(&self, sql: &str) -> Result<Option<Statement>> {
        match self.statement(sql).await {
            Ok(statement) => Ok(Some(statement)),
            Err(error) => unreadable(error).map(|()| None),
        }
    }

    /// Runs statements in one round trip, each behind a savepoint of its own that `begin` sets.
    async fn read(&self, begin: &str, reads: &[Read<'_>]) -> Result<Vec<Option<Vec<Row>>>> {
        let connection: &Connection = self.connection();
        let parameters: Vec<Vec<&(dyn ToSql + Sync)>> = reads
            .iter()
            .map(|read| {
                let arrays = read.iter().flat_map(|(_, arrays)| arrays);
                arrays.map(|it| it as &(dyn ToSql + Sync)).collect()
            })
            .collect();
        let mut flight: Vec<Sent<'_, _>> = Vec::new();
        for (read, parameters) in reads.iter().zip(&parameters) {
            if let Some((statement, _)) = read {
                flight.push(simple(connection, begin));
                flight.push(query(connection, statement, parameters));
                flight.push(simple(connection, RELEASE));
            }
        }
        let mut answers = in_order(flight).await.into_iter();
        let mut results = Vec::with_capacity(reads.len());
        for read in reads {
            if read.is_none() {
                results.push(None);
                continue;
            }
            let (began, rows) = (answers.next(), answers.next());
            if let Some(Err(error)) = answers.next() {
                return Err(fault::unavailable(error));
            }
            let rows = began
                .unwrap_or(Ok(Vec::new()))
                .and_then(|_| rows.unwrap_or(Ok(Vec::new())));
            results.push(match rows {
                Ok(rows) => Some(rows),
                Err(error) => unreadable(error).map(|()| None)?,
            });
        }
        Ok(results)
    }
}

/// The statement for a resource's rows with these columns, as one identity sees them or as all of a
/// role do, and its encoder.
pub(super) fn rows_statement(
    plan: &Plan,
    resource: &Resource,
    columns: &[usize],
    personal: bool,
) -> (String, RowEncoder) {
    let columns: Vec<_> = columns
        .iter()
        .map(|it| &resource.columns[*it])
        .map(|it| (it, Encoding::of(&it.type_)))
        .collect();
    let sql = plan.texts(resource).rows(&columns, personal);
    let encoder = RowEncoder::new(columns.into_iter().map(|(it, how)| (&*it.name, how)));
    (sql, encoder)
}

/// Rows as JSON, with the number that stands behind their columns.
pub(super) fn encoded(rows: &[Row], encoder: &RowEncoder) -> Option<Rows> {
    let mut out = BytesMut::new();
    let mut encoded = Vec::with_capacity(rows.len());
    for row in rows {
        encoder.encode(row, &mut out).ok()?;
        encoded.push((number(row, encoder.len())?, out.split().freeze()));
    }
    Some(encoded)
}

/// A key's number, which PostgreSQL counts from 1.
pub(super) fn number(row: &Row, column: usize) -> Option<usize> {
    let number: i64 = row.try_get(column).ok()?;
    usize::try_from(number - 1).ok()
}

fn states(rows: &[Row], count: usize) -> Option<Vec<State>> {
    let mut states: Vec<Option<State>> = vec![None; count];
    for row in rows {
        let parts: Vec<&str> = (3..row.len())
            .map(|it| row.try_get(it))
            .collect::<Result<_, _>>()
            .ok()?;
        let state = State {
            id: match parts[..] {
                [one] => one.into(),
                _ => format!("[{}]", parts.join(",")).into(),
            },
            present: row.try_get(1).ok()?,
            owner: row.try_get::<_, Option<&str>>(2).ok()?.map(Arc::from),
        };
        // Only inheritance children can have a key twice; then any of the rows speaks for it.
        let place = states.get_mut(number(row, 0)?)?;
        place.get_or_insert(state);
    }
    states.into_iter().collect()
}

/// Whether a failed statement is an answer (logged without the text, which may quote values) or the
/// connection's end.
pub(super) fn unreadable(error: tokio_postgres::Error) -> Result<()> {
    match error.code() {
        Some(code) if !code.code().starts_with("57P") => {
            tracing::warn!(sqlstate = code.code(), "changed rows cannot be read again");
            Ok(())
        }
        _ => Err(fault::unavailable(error)),
    }
}
