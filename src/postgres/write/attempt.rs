//! One write inside its transaction: what is asked before, what is written, what stops it.

use super::{
    Applied, Work,
    refusal::{
        answer_too_large, not_singular, precondition_failed, reference_missing, row_not_allowed,
        too_many,
    },
    row_unknown,
};
use crate::{
    catalog::Tenancy,
    error::{Error, Result},
    postgres::{
        encode::RowEncoder,
        lease::Lease,
        session::{self, Settings},
        sql::{Fenced, MERGED, MERGED_NONE, Rendered, Returning, Writing},
    },
    query::{
        Answer, Query, WriteOptions,
        write::{Conflict, Given, Operation},
    },
};
use bytes::BytesMut;
use futures_util::TryStreamExt;
use std::pin::pin;
use tokio_postgres::Row;

/// What follows when a transaction was given up, if not an error.
pub(super) enum Next {
    /// The same may go through now.
    Again,
}

/// Why a transaction is given up.
pub(super) enum Stop {
    /// PostgreSQL refused a statement.
    Refused(tokio_postgres::Error),
    /// We do.
    Final(Error),
    /// The row to be replaced came or went meanwhile.
    Moved,
    /// The row is there to be seen, but either it is there only now, or a policy keeps it as it is.
    Kept,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl From<tokio_postgres::Error> for Stop {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Refused(error)
    }
}

impl<'a> Work<'a> {
    pub(super) fn settings(self) -> Settings<'a> {
        Settings {
            identity: self.identity,
            statement_timeout: self.database.statement_timeout,
            action: "",
            time_zone: None,
        }
    }

    pub(super) fn fenced(self) -> Fenced<'a> {
        Fenced {
            write: self.write,
            organization: &self.identity.organization,
        }
    }

    /// What the answer is to hold of the rows.
    pub(super) fn wanted(self) -> Option<&'a Query> {
        self.write.shown.as_ref()
    }

    /// Writes, and sees that it was as much as the caller allows.
    pub(super) async fn run(self, lease: &Lease) -> Result<Applied, Stop> {
        let applied = self.write(lease).await?;
        within(&self.write.options, applied)
    }

    async fn write(self, lease: &Lease) -> Result<Applied, Stop> {
        let fenced = self.fenced();
        let options = &self.write.options;
        let rows = self.wanted();
        let place = options.answer == Answer::Place;
        let returning = Returning {
            keys: rows.is_some() || place || !self.write.is_many(),
            rows,
        };
        let nothing = || Applied {
            keys: Some(Vec::new()),
            rows: Some(Vec::new()),
            ..Applied::default()
        };
        match &self.write.operation {
            Operation::Create { given, .. } if given.rows == 0 => Ok(nothing()),
            Operation::Create {
                given, conflict, ..
            } => {
                let created = match conflict {
                    Some(conflict) => self.merge(lease, given, conflict, returning).await?,
                    None => self.insert(lease, given, None, returning).await?,
                };
                Ok(created)
            }
            Operation::Update {
                target,
                given,
                absent,
            } => {
                let empty = given.columns.is_empty() && absent.is_empty();
                if empty && options.postgrest && !target.is_item() {
                    return Ok(nothing());
                }
                let statement = match empty {
                    true => fenced.keep(target, returning)?,
                    false => fenced.update(target, given, absent, returning)?,
                };
                self.found(lease, &statement, target).await
            }
            Operation::Delete { target } => {
                let statement = fenced.delete(target, returning)?;
                self.found(lease, &statement, target).await
            }
            Operation::Replace {
                target,
                given,
                absent,
            } => {
                let statement = fenced.update(target, given, absent, returning)?;
                let applied = self.write_rows(lease, &statement).await?;
                if applied.count > 0 {
                    return Ok(applied);
                }
                self.expect_absent(lease, target).await?;
                self.insert(lease, given, None, returning).await
            }
        }
    }

    async fn insert(
        self,
        lease: &Lease,
        given: &Given,
        conflict: Option<&Conflict>,
        returning: Returning<'_>,
    ) -> Result<Applied, Stop> {
        if given.groups.is_empty() {
            return self.insert_alike(lease, given, conflict, returning).await;
        }
        let mut all = Vec::new();
        let mut total = Applied {
            created: true,
            ..Applied::default()
        };
        for group in &given.groups {
            let applied = self.insert_alike(lease, &group.given, conflict, returning);
            let applied = applied.await?;
            total.count += applied.count;
            all.push((applied, &group.places));
        }
        // In the order of the body; where rows were passed over, nobody knows which.
        let put_together = |of: fn(&Applied) -> Option<&Vec<String>>| {
            let mut placed = Vec::new();
            for (applied, places) in &all {
                let texts = of(applied)?;
                placed.extend(places.iter().copied().zip(texts.iter().cloned()));
            }
            placed.sort_by_key(|(place, _)| *place);
            Some(placed.into_iter().map(|(_, text)| text).collect())
        };
        total.keys = put_together(|it| it.keys.as_ref());
        total.rows = put_together(|it| it.rows.as_ref());
        Ok(total)
    }

    /// Inserts rows that name the same columns.
    async fn insert_alike(
        self,
        lease: &Lease,
        given: &Given,
        conflict: Option<&Conflict>,
        returning: Returning<'_>,
    ) -> Result<Applied, Stop> {
        // Reading back what was inserted needs the right to see it, which a policy may deny; then a
        // caller who wants nothing back can still insert.
        let write_only = returning.rows.is_none() && self.write.resource.row_security;
        let returning = (!write_only).then_some(returning);
        let statement = self.fenced().insert(given, conflict, returning)?;
        match self.write_rows(lease, &statement).await {
            Ok(applied) => Ok(Applied {
                created: true,
                ..applied
            }),
            Err(Stop::Refused(error)) if self.replaces() && self.collides_by_key(&error) => {
                Err(Stop::Moved)
            }
            Err(stop) => Err(stop),
        }
    }

    /// Inserts rows, and does with those that collide what the caller says. A collision with a row that
    /// the caller may not have is what it would be without that: not allowed.
    async fn merge(
        self,
        lease: &Lease,
        given: &Given,
        conflict: &Conflict,
        returning: Returning<'_>,
    ) -> Result<Applied, Stop> {
        let merges = conflict.merged.is_some();
        if merges {
            lease.batch_execute(MERGED_NONE).await?;
        }
        let applied = self.insert(lease, given, Some(conflict), returning).await?;
        let short = applied.count < given.rows as u64;
        if merges {
            if short {
                return Err(row_not_allowed().into());
            }
            let question = Rendered {
                sql: MERGED.into(),
                parameters: Vec::new(),
            };
            let merged: Option<u64> = match ask(lease, &question).await?.first() {
                Some(row) => row.try_get::<_, &str>(0)?.parse().ok(),
                None => None,
            };
            let created = applied.count > merged.unwrap_or_default();
            return Ok(Applied { created, ..applied });
        }
        if short && self.write.resource.tenancy != Tenancy::Single && self.write.findable {
            let question = self.fenced().passed_over(given, conflict)?;
            let rows = ask(lease, &question).await?;
            if rows.first().is_none_or(|row| row.get(0)) {
                return Err(row_not_allowed().into());
            }
        }
        Ok(applied)
    }

    /// Runs a statement that changes rows that exist; an item that it does not find is an error.
    async fn found(
        self,
        lease: &Lease,
        statement: &Writing,
        target: &Query,
    ) -> Result<Applied, Stop> {
        let applied = self.write_rows(lease, statement).await?;
        if applied.count > 0 || !target.is_item() {
            return Ok(applied);
        }
        if !self.seen(lease, target).await? {
            return Err(row_unknown(&self.write.resource).into());
        }
        if self.expects_tags() {
            return Err(precondition_failed().into());
        }
        Err(Stop::Kept)
    }

    /// Before a row is created in its place: no row was found that could be replaced.
    async fn expect_absent(self, lease: &Lease, target: &Query) -> Result<(), Stop> {
        if self.write.options.if_match.is_some() {
            return Err(precondition_failed().into());
        }
        match self.seen(lease, target).await? {
            true if self.write.options.if_none_match.is_some() => Err(precondition_failed().into()),
            true => Err(Stop::Kept),
            false => Ok(()),
        }
    }

    async fn seen(self, lease: &Lease, target: &Query) -> Result<bool, Stop> {
        let rows = ask(lease, &self.fenced().seen(target)?).await?;
        Ok(!rows.is_empty())
    }

    fn expects_tags(self) -> bool {
        let options = &self.write.options;
        let tags = options.if_match.as_ref();
        tags.is_some_and(|tags| !tags.is_empty()) || options.if_none_match.is_some()
    }

    fn replaces(self) -> bool {
        matches!(self.write.operation, Operation::Replace { .. })
    }

    /// What is to be asked of the rows that the body refers to, if it refers to any.
    pub(super) fn question(self) -> Result<Option<Rendered>> {
        let references = &self.write.references;
        match self.write.given() {
            Some(given) if given.rows > 0 && !references.is_empty() => {
                self.fenced().dangling(given, references).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Refuses references to rows that the caller does not see, whether they exist or not.
    pub(super) async fn look_at_references(
        self,
        lease: &Lease,
        question: &Rendered,
        answered: Option<Result<Vec<Row>, tokio_postgres::Error>>,
    ) -> Result<(), Stop> {
        let rows = match answered {
            Some(answered) => answered.inspect_err(|_| lease.forget(&question.sql))?,
            None => ask(lease, question).await?,
        };
        let row = rows
            .first()
            .ok_or_else(|| Error::internal("a question without an answer"))?;
        for (place, reference) in self.write.references.iter().enumerate() {
            if row.try_get(place)? {
                return Err(reference_missing(&reference.label).into());
            }
        }
        Ok(())
    }

    /// Runs a statement that writes, and sees that all of its rows are inside the fence and that they
    /// are no more than an answer may hold.
    async fn write_rows(self, lease: &Lease, statement: &Writing) -> Result<Applied, Stop> {
        let rows = self.read_rows(lease, statement).await;
        if matches!(rows, Err(Stop::Refused(_))) {
            lease.forget(&statement.rendered.sql);
        }
        rows
    }

    async fn read_rows(self, lease: &Lease, statement: &Writing) -> Result<Applied, Stop> {
        let Writing { rendered, encoder } = statement;
        let prepared = lease.statement(&rendered.sql).await?;
        let mut stream = pin!(lease.query_raw(&prepared, &rendered.parameters).await?);
        let (mut keys, mut rows, mut bytes) = (Vec::new(), Vec::new(), 0);
        let behind = encoder.as_ref().map_or(0, RowEncoder::len);
        let mut buffer = BytesMut::new();
        while let Some(row) = stream.try_next().await? {
            if row.try_get::<_, Option<bool>>(behind + 1)? == Some(false) {
                return Err(row_not_allowed().into());
            }
            bytes += row.raw_size_bytes();
            keys.extend(row.try_get::<_, Option<String>>(behind)?);
            if let Some(encoder) = encoder {
                rows.push(text(encoder, &row, &mut buffer)?);
            }
            if encoder.is_some() && bytes > self.database.answer_bytes_max {
                return Err(answer_too_large(self.database.answer_bytes_max).into());
            }
        }
        let count = stream.rows_affected().unwrap_or_default();
        let all = |texts: Vec<String>| (texts.len() as u64 == count).then_some(texts);
        Ok(Applied {
            keys: all(keys),
            rows: all(rows).filter(|_| encoder.is_some() || count == 0),
            count,
            created: false,
        })
    }

    /// What a transaction that was given up means.
    pub(super) async fn stopped(self, stop: Stop, last: bool) -> Result<Next> {
        match stop {
            Stop::Final(error) => Err(error),
            Stop::Moved | Stop::Kept if !last => Ok(Next::Again),
            // A row of that key exists, but not for the caller.
            Stop::Moved => Err(row_unknown(&self.write.resource)),
            Stop::Kept => Err(row_not_allowed()),
            Stop::Refused(error) if !last && session::is_outdated(&error) => Ok(Next::Again),
            Stop::Refused(error) => Err(self.explain(error).await),
        }
    }
}

/// The rows of a question.
async fn ask(lease: &Lease, question: &Rendered) -> Result<Vec<Row>, tokio_postgres::Error> {
    let answer = async {
        let prepared = lease.statement(&question.sql).await?;
        let rows = lease.query_raw(&prepared, &question.parameters).await?;
        rows.try_collect().await
    };
    answer.await.inspect_err(|_| lease.forget(&question.sql))
}

/// Refuses more rows, or fewer, than the caller allows.
pub(super) fn within(options: &WriteOptions, applied: Applied) -> Result<Applied, Stop> {
    if options.single && applied.count != 1 {
        return Err(not_singular(applied.count).into());
    }
    match options.rows_max {
        Some(rows_max) if applied.count > rows_max => Err(too_many(applied.count, rows_max).into()),
        _ => Ok(applied),
    }
}

/// A row as JSON.
pub(super) fn text(encoder: &RowEncoder, row: &Row, buffer: &mut BytesMut) -> Result<String> {
    buffer.clear();
    encoder.encode(row, buffer)?;
    String::from_utf8(buffer.to_vec())
        .map_err(|error| Error::internal("a row is not UTF-8").with_source(error))
}
