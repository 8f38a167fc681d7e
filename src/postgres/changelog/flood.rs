//! What is new when there is more of it than a batch holds: the little of it that can be told row by
//! row, and whom the rest concerns.
//!
//! One organization's flood in one relation is no reason for anybody else to fetch anything again.

use super::{
    entry::{Entry, Hint, Xid8},
    plan::Plan,
    readers::News,
    texts,
    view::{KEPT, MARK_FOR_LOG, RELEASE, View, entries, failed, is_whole},
};
use crate::{
    catalog::{Oid, Resource},
    error::Result,
    postgres::{connection::Connection, fault},
    snapshot::Snapshot,
};
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};
use tokio_postgres::{Row, types::ToSql};

const TOTALS: &str = include_str!("../../../sql/feed/totals_since.sql");
const FEW: &str = include_str!("../../../sql/feed/few_since.sql");

/// What is told or reset together: a relation, and the organization of its rows where that is known.
type Part = (Oid, Option<Arc<str>>);

/// What is new since a snapshot, `since` being its xmax and its xip, as far as `max` entries tell.
/// Whether the log is whole is asked each time after it was read, since in between its lock is free.
pub(super) async fn sum_up(
    connection: &Connection,
    since: &[&(dyn ToSql + Sync)],
    start: &Snapshot,
    max: usize,
) -> Result<News> {
    let limit = i64::try_from(max).unwrap_or(i64::MAX - 1) + 1;
    let mut parameters = since.to_vec();
    parameters.push(&limit);
    let Some(rows) = read_log(connection, start, TOTALS, &parameters).await? else {
        return Ok(News::Outdated);
    };
    if rows.len() > max {
        return Ok(News::Flood);
    }
    let mut totals: BTreeMap<Part, (u64, Vec<Entry>)> = BTreeMap::new();
    for row in &rows {
        let (entry, count) = Entry::total(row).map_err(fault::unavailable)?;
        let part = (entry.relation, entry.organization.clone());
        let total = totals.entry(part).or_default();
        total.0 += count;
        total.1.push(entry);
    }
    let mut parts: Vec<_> = totals.into_iter().collect();
    parts.sort_by_key(|(_, (count, _))| *count);
    let mut left = u64::try_from(max).unwrap_or(u64::MAX);
    let (mut relations, mut organizations) = (Vec::new(), Vec::new());
    let mut whole = Vec::new();
    for ((relation, organization), (count, entries)) in parts {
        if count <= left {
            left -= count;
            relations.push(relation);
            organizations.push(organization);
        } else {
            whole.extend(entries);
        }
    }
    let organizations: Vec<Option<&str>> = organizations.iter().map(Option::as_deref).collect();
    parameters.push(&relations);
    parameters.push(&organizations);
    let few = match relations.is_empty() {
        true => Some(Vec::new()),
        false => read_log(connection, start, FEW, &parameters).await?,
    };
    let Some(few) = few else {
        return Ok(News::Outdated);
    };
    Ok(News::Summary {
        few: entries(&few)?,
        whole,
    })
}

/// `None`: the log does not reach back to the start any more.
async fn read_log(
    connection: &Connection,
    start: &Snapshot,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Option<Vec<Row>>> {
    connection
        .batch_execute(MARK_FOR_LOG)
        .await
        .map_err(failed)?;
    let rows = connection.query(sql, parameters).await;
    let kept = match rows {
        Ok(_) => connection.query(KEPT, &[]).await,
        Err(_) => Ok(Vec::new()),
    };
    connection.batch_execute(RELEASE).await.map_err(failed)?;
    let (rows, kept) = (rows.map_err(failed)?, kept.map_err(failed)?);
    Ok(is_whole(&kept, start)?.then_some(rows))
}

impl Entry {
    /// Many entries of the same kind as one, and how many, from `totals_since.sql`.
    fn total(row: &Row) -> Result<(Self, u64), tokio_postgres::Error> {
        let entry = Self {
            xid: 0,
            relation: row.try_get("relation")?,
            hint: Hint::of(row.try_get("op")?),
            key: None,
            organization: row
                .try_get::<_, Option<&str>>("organization")?
                .map(Arc::from),
            reference: None,
            refers: row.try_get("refers")?,
            action: None,
        };
        Ok((entry, row.try_get::<_, i64>("entries")?.unsigned_abs()))
    }
}

impl View {
    /// The organizations of the rows that entries of a relation since a snapshot refer to, by this
    /// column of theirs, as far as they are there; `None` if the log does not say any more.
    ///
    /// # Errors
    /// `DatabaseUnavailable`, or as PostgreSQL says.
    pub async fn owners_referred(
        &self,
        plan: &Plan,
        since: &Snapshot,
        relation: Oid,
        resource: &Resource,
        column: usize,
    ) -> Result<Option<HashSet<Arc<str>>>> {
        let column = &resource.columns[column];
        let Some(sql) = texts::owners_referred(plan.catalog(), resource, column) else {
            return Ok(Some(HashSet::new()));
        };
        let xip: Vec<Xid8> = since.xip.iter().map(|it| Xid8(*it)).collect();
        let parameters: [&(dyn ToSql + Sync); 3] = [&Xid8(since.xmax), &xip, &relation];
        let Some(rows) = read_log(self.connection(), since, &sql, &parameters).await? else {
            return Ok(None);
        };
        let owners = rows.iter().map(|row| row.try_get::<_, Option<&str>>(0));
        let owners = owners.filter_map(|it| it.transpose());
        owners
            .map(|it| it.map(Arc::from))
            .collect::<Result<_, _>>()
            .map(Some)
            .map_err(fault::unavailable)
    }
}
