//! What the log has since an earlier state, as one organization is concerned: which kinds of things,
//! the keys that were written, piece by piece, and whose rows were that are no more.
//!
//! All of it is read in one view, in which the log is kept. What is read is never larger than a
//! piece. Knows neither who asks nor what is told.

use super::{
    entry::{Hint, Xid8},
    view::{BY_ANY, BY_INDEX, KEPT, MARK_FOR_LOG, RELEASE, View, is_whole},
};
use crate::{
    catalog::Oid, error::Result, postgres::fault, snapshot::Snapshot, wire::event::Actions,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio_postgres::{Row, types::ToSql};

const KINDS: &str = include_str!("../../../sql/feed/missed_kinds.sql");
const KEYS: &str = include_str!("../../../sql/feed/missed_keys.sql");
const REFERENCES: &str = include_str!("../../../sql/feed/missed_references.sql");
const MOVES: &str = include_str!("../../../sql/feed/missed_moves.sql");
const OWNERS: &str = include_str!("../../../sql/feed/missed_owners.sql");

/// For how long is tried to end a statement.
const CANCEL: Duration = Duration::from_secs(1);

/// The log since a state, in a view.
#[derive(Debug)]
pub struct Missed<'a> {
    view: &'a View,
    xmax: Xid8,
    xip: Vec<Xid8>,
    since: &'a Snapshot,
    organization: &'a str,
}

/// What kinds of entries there are.
#[derive(Debug, Default)]
pub struct Kinds {
    /// Relation, and what its entries say happened.
    pub kinds: Vec<(Oid, Hint)>,
    /// How many entries there are, up to the limit.
    pub entries: u64,
}

/// A key that was written.
#[derive(Debug)]
pub struct MissedKey {
    /// Its parts; `None` if one of them is not known.
    pub key: Option<Vec<Arc<str>>>,
    /// What happened first was an insertion.
    pub inserted: bool,
    /// Some entry names the organization.
    pub own: bool,
    /// The rows through which it belonged to an organization.
    pub references: Vec<Arc<str>>,
    /// Who wrote it.
    pub actions: Actions,
}

/// Keys of rows that moved from one organization to another.
pub type Moves = HashSet<Vec<Arc<str>>>;

/// Whose a row was, by the log: an organization, or another row that it belonged to.
pub type Logged = HashMap<Arc<str>, Vec<(Option<Arc<str>>, Option<Arc<str>>)>>;

impl View {
    /// What this view has of the log that `since` had not.
    pub fn missed<'a>(&'a self, since: &'a Snapshot, organization: &'a str) -> Missed<'a> {
        Missed {
            view: self,
            xmax: Xid8(since.xmax),
            xip: since.xip.iter().map(|it| Xid8(*it)).collect(),
            since,
            organization,
        }
    }

    /// Ends what runs in this view now, without waiting for it. The connection is not used again.
    pub fn interrupt(&mut self) {
        let token = self.connection().cancel_token();
        self.break_off();
        tokio::spawn(async move {
            let cancel = token.cancel_query(tokio_postgres::NoTls);
            let _ = tokio::time::timeout(CANCEL, cancel).await;
        });
    }
}

impl Missed<'_> {
    /// Whether the log has all that came after the state. It stays so while the view is open, in which
    /// the log is kept.
    ///
    /// # Errors
    /// `DatabaseUnavailable`, or as PostgreSQL says.
    pub async fn is_whole(&self) -> Result<bool> {
        is_whole(&self.query(KEPT, &[]).await?, self.since)
    }

    /// What kinds of entries there are of these relations; no more than `max` entries are looked at.
    ///
    /// # Errors
    /// `StatementTimeout`, `DatabaseUnavailable`, or as PostgreSQL says.
    pub async fn kinds(&self, relations: &[Oid], max: u64) -> Result<Kinds> {
        let limit = i64::try_from(max).unwrap_or(i64::MAX);
        let rows = self
            .query(
                KINDS,
                &[
                    &self.xmax,
                    &self.xip,
                    &relations,
                    &self.organization,
                    &limit,
                ],
            )
            .await?;
        let mut kinds = Kinds::default();
        for row in &rows {
            let kind = (row.get(0), Hint::of(row.get(1)));
            kinds.kinds.push(kind);
            kinds.entries += row.get::<_, i64>(2).unsigned_abs();
        }
        Ok(kinds)
    }

    /// Begins to list the keys of these relations; [`Missed::keys`] goes on.
    ///
    /// # Errors
    /// `StatementTimeout`, `DatabaseUnavailable`, or as PostgreSQL says.
    pub async fn open_keys(&self, relations: &[Oid]) -> Result<()> {
        let connection = self.view.connection();
        // Not behind a savepoint, which would take the cursor with it; the log's locks stay anyway.
        let statement = connection.statement(KEYS).await.map_err(fault_of)?;
        let parameters: [&(dyn ToSql + Sync); 4] =
            [&self.xmax, &self.xip, &relations, &self.organization];
        connection.batch_execute(BY_INDEX).await.map_err(fault_of)?;
        connection
            .execute(&statement, &parameters)
            .await
            .map_err(fault_of)?;
        connection.batch_execute(BY_ANY).await.map_err(fault_of)
    }

    /// The next keys, `count` at most; none once all were listed.
    ///
    /// # Errors
    /// `StatementTimeout`, `DatabaseUnavailable`, or as PostgreSQL says.
    pub async fn keys(&self, count: usize) -> Result<Vec<MissedKey>> {
        let fetch = format!("fetch forward {count} from missed");
        let rows = self.view.connection().query_typed(&fetch, &[]).await;
        let rows = rows.map_err(fault_of)?;
        let keys = rows.iter().map(MissedKey::of);
        keys.collect::<Result<_, _>>().map_err(fault::unavailable)
    }

    /// Ends the list of keys.
    ///
    /// # Errors
    /// `DatabaseUnavailable`.
    pub async fn close_keys(&self) -> Result<()> {
        let closed = self.view.connection().batch_execute("close missed").await;
        closed.map_err(fault_of)
    }

    /// The keys of rows that moved to the organization or away from it; `None` if there are more than
    /// `max`.
    ///
    /// # Errors
    /// `StatementTimeout`, `DatabaseUnavailable`, or as PostgreSQL says.
    pub async fn moves(&self, relations: &[Oid], max: usize) -> Result<Option<Moves>> {
        let limit = i64::try_from(max).unwrap_or(i64::MAX - 1) + 1;
        let rows = self
            .query(
                MOVES,
                &[
                    &self.xmax,
                    &self.xip,
                    &relations,
                    &self.organization,
                    &limit,
                ],
            )
            .await?;
        let keys = rows.iter().map(|row| {
            let parts: Vec<Option<&str>> = row.get(0);
            parts
                .into_iter()
                .map(|it| it.unwrap_or_default().into())
                .collect()
        });
        Ok(Some(keys.collect()).filter(|_| rows.len() <= max))
    }

    /// The rows that entries of these relations refer to, each once; `None` if there are more than
    /// `max`.
    ///
    /// # Errors
    /// `StatementTimeout`, `DatabaseUnavailable`, or as PostgreSQL says.
    pub async fn references(&self, relations: &[Oid], max: usize) -> Result<Option<Vec<Arc<str>>>> {
        let limit = i64::try_from(max).unwrap_or(i64::MAX - 1) + 1;
        let rows = self
            .query(REFERENCES, &[&self.xmax, &self.xip, &relations, &limit])
            .await?;
        let values: Vec<Arc<str>> = rows
            .iter()
            .map(|row| row.get::<_, &str>(0).into())
            .collect();
        Ok(Some(values).filter(|it| it.len() <= max))
    }

    /// Whose the rows of these relations with these keys were, by the log.
    ///
    /// # Errors
    /// `StatementTimeout`, `DatabaseUnavailable`, or as PostgreSQL says.
    pub async fn logged_owners(&self, relations: &[Oid], keys: &[Arc<str>]) -> Result<Logged> {
        let keys: Vec<&str> = keys.iter().map(|it| &**it).collect();
        let rows = self
            .query(OWNERS, &[&self.xmax, &self.xip, &relations, &keys])
            .await?;
        let mut logged = Logged::new();
        for row in &rows {
            let text = |column| row.get::<_, Option<&str>>(column).map(Arc::from);
            let key: &str = row.get(0);
            let owners = logged.entry(key.into()).or_default();
            owners.push((text(1), text(2)));
        }
        Ok(logged)
    }

    async fn query(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let statement = self.view.statement(sql).await.map_err(fault_of)?;
        let connection = self.view.connection();
        connection
            .batch_execute(MARK_FOR_LOG)
            .await
            .map_err(fault_of)?;
        let rows = connection.query(&statement, parameters).await;
        connection.batch_execute(RELEASE).await.map_err(fault_of)?;
        rows.map_err(fault_of)
    }
}

impl MissedKey {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let key: Option<Vec<Option<&str>>> = row.try_get("key")?;
        let mut references: Vec<Arc<str>> = Vec::new();
        for reference in row
            .try_get::<_, Vec<Option<&str>>>("refs")?
            .into_iter()
            .flatten()
        {
            if !references.iter().any(|it| **it == *reference) {
                references.push(reference.into());
            }
        }
        let actions: Vec<Option<&str>> = row.try_get("actions")?;
        // An empty text is none.
        let actions = actions.into_iter().map(|it| it.filter(|it| !it.is_empty()));
        let each = actions.map(|action| match action {
            Some(action) => Actions::One(action.into()),
            None => Actions::None,
        });
        Ok(Self {
            key: key.and_then(|parts| parts.into_iter().map(|it| it.map(Arc::from)).collect()),
            inserted: row.try_get::<_, Option<bool>>("inserted")?.unwrap_or(false),
            own: row.try_get("own")?,
            references,
            actions: each
                .reduce(|one, other| one.merged(&other))
                .unwrap_or_default(),
        })
    }
}

fn fault_of(error: tokio_postgres::Error) -> crate::error::Error {
    fault::fault(error, fault::Speech::Open)
}
