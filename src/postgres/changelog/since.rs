//! What was written since a cursor, for those who ask for nothing else: found in the log and read in one
//! and the same snapshot.
//!
//! The log is read as the role that we log in as, before the caller's role is taken: whose keys stand
//! there is nobody's business. What is found only narrows a query that keeps its fence.

use super::{
    Meaning, Owner, Plan,
    entry::Xid8,
    flight::in_order,
    view::{MARK_FOR_LOG, RELEASE, is_whole, query as sent, simple},
};
use crate::{
    catalog::{Oid, Resource, ResourceKind, Tenancy},
    error::{Error, Kind, Result},
    postgres::{
        database::Inner,
        lease::Lease,
        session::{self, Failure, Settings},
    },
    query::{Query, read::modified::Modified},
    snapshot::Snapshot,
};
use std::{collections::HashSet, sync::Arc};
use tokio_postgres::{Row, types::ToSql};

const LOG: &str = include_str!("../../../sql/feed/log.sql");
const WRITTEN: &str = include_str!("../../../sql/feed/written_since.sql");

/// How many entries of the log are looked through for each key that may be found. A cursor with more
/// behind it is answered with all rows.
const ENTRIES_PER_KEY: usize = 10;

/// Later than every state.
const END: Snapshot = Snapshot {
    xmin: u64::MAX,
    xmax: u64::MAX,
    xip: Vec::new(),
};

/// What the log has to say at this moment: by which plan, and of which relations nothing.
#[derive(Debug, Clone)]
pub(in crate::postgres) struct Following {
    pub(in crate::postgres) plan: Arc<Plan>,
    /// Relations whose changes are not logged, though they should be.
    pub(in crate::postgres) unlogged: Arc<HashSet<Oid>>,
}

/// What to look for in the log, for one resource.
struct Look {
    relations: Vec<Oid>,
    /// Whether an entry of the relation is about all rows.
    whole: Vec<bool>,
    /// Whether entries of other organizations' do not matter.
    own: Vec<bool>,
    /// The relations through whose rows the resource's belong.
    through: Vec<Oid>,
}

impl Look {
    /// `None` where the log cannot tell.
    fn of(following: &Following, resource: &Resource) -> Option<Self> {
        // What a view shows may come from anywhere.
        if !matches!(
            resource.kind,
            ResourceKind::Table | ResourceKind::PartitionedTable
        ) {
            return None;
        }
        let mut look = Self {
            relations: Vec::new(),
            whole: Vec::new(),
            own: Vec::new(),
            through: Vec::new(),
        };
        let mut is_followed = false;
        for (relation, concern) in following.plan.about(resource) {
            if following.unlogged.contains(&relation) {
                return None;
            }
            is_followed |= relation == resource.relation;
            look.relations.push(relation);
            look.whole.push(concern.meaning != Meaning::Row);
            look.own.push(concern.owner == Owner::Organization);
        }
        let mut current = resource;
        while let Tenancy::Via { target, .. } = current.tenancy {
            if following.unlogged.contains(&target) {
                return None;
            }
            look.through.push(target);
            current = following.plan.catalog().relation(target)?;
        }
        is_followed.then_some(look)
    }
}

/// Begins a transaction that reads, with the caller's role, and says what is to be read in it: the query,
/// with the keys that the log has for its rows in this very snapshot and for those beside them, or
/// without any where all rows are to be answered. Ended by whoever reads, or by [`session::roll_back`].
///
/// # Errors
/// `CursorOutdated`, and then no transaction is open.
pub(in crate::postgres) async fn begin(
    database: &Inner,
    lease: &mut Lease,
    settings: Settings<'_>,
    query: &Query,
) -> Result<(Snapshot, Query), Failure> {
    let signer = database.signer().map_err(Failure::Final)?;
    let Some(Modified::Since(cursor)) = &query.modified else {
        let error = Error::internal("the query does not ask for what was written");
        return Err(Failure::Final(error));
    };
    // Whether it is ahead of the present can be told once the present is known.
    let since = signer
        .read(cursor, &END)
        .map_err(|_| Failure::Final(outdated()))?;

    let following = database.following();
    let beside = query.ways.iter().map(|way| &way.embed.query);
    let looks: Vec<Option<Look>> = std::iter::once(query)
        .chain(beside)
        .map(|it| Look::of(following.as_ref()?, &it.resource))
        .collect();
    let log = session::own(lease, LOG).await?;
    let written = session::own(lease, WRITTEN).await?;
    let xmax = Xid8(since.xmax);
    let xip: Vec<Xid8> = since.xip.iter().map(|xid| Xid8(*xid)).collect();
    let keys_max = database.config.limits.batch_keys_max;
    let (entries, keys) = (limit(keys_max * ENTRIES_PER_KEY), limit(keys_max));
    let organization = &*settings.identity.organization.0;
    let organization = Some(organization).filter(|_| !settings.identity.organization.is_none());
    let parameters: Vec<[&(dyn ToSql + Sync); 9]> = looks
        .iter()
        .flatten()
        .map(|it| -> [&(dyn ToSql + Sync); 9] {
            [
                &xmax,
                &xip,
                &it.relations,
                &it.whole,
                &it.own,
                &organization,
                &it.through,
                &entries,
                &keys,
            ]
        })
        .collect();

    lease.busy();
    let connection = &**lease;
    // Rolling back to the savepoint gives the log's locks back, before the caller's rows are read.
    let mut flight = vec![simple(connection, MARK_FOR_LOG)];
    let asked = parameters.iter();
    flight.extend(asked.map(|parameters| sent(connection, &written, parameters)));
    flight.push(sent(connection, &log, &[]));
    flight.push(simple(connection, RELEASE));
    let (begun, found) = session::begin_read(lease, settings, in_order(flight)).await;
    let found: Result<Vec<Vec<Row>>, _> = found.into_iter().collect();
    // Once a statement has failed, so has everything behind it.
    let found = found.map_err(session::own_refused);
    let narrowed = found.and_then(|found| {
        let snapshot = begun?;
        let log_id = signer.database().log_id.to_string();
        // Behind the keys comes what the log is; before and behind both, what says nothing.
        let is_known = match found.as_slice() {
            [.., state, _] => {
                is_this_log(state, &log_id) && is_whole(state, &since).is_ok_and(|it| it)
            }
            _ => false,
        } && signer.read(cursor, &snapshot).is_ok();
        if !is_known {
            return Err(Failure::Final(outdated()));
        }
        let mut found = found.into_iter().skip(1);
        let mut narrowed = query.clone();
        let ways = narrowed
            .ways
            .iter_mut()
            .map(|way| &mut way.embed.query.modified);
        let slots = std::iter::once(&mut narrowed.modified).chain(ways);
        for (slot, look) in slots.zip(&looks) {
            let rows = look.as_ref().and_then(|_| found.next());
            let keys = rows.and_then(|rows| keys_of(&rows, keys_max));
            *slot = keys.map(|keys| Modified::Keys(keys.into()));
        }
        Ok((snapshot, narrowed))
    });
    if narrowed.is_err() {
        session::roll_back(lease).await;
    }
    narrowed
}

/// Whether the log that is there is the one that the cursor was given out for: it may have been lost, and
/// the feed not have noticed.
fn is_this_log(state: &[Row], log_id: &str) -> bool {
    let found = state
        .first()
        .map(|row| row.try_get::<_, Option<&str>>("log_id"));
    found.is_some_and(|it| it.is_ok_and(|it| it == Some(log_id)))
}

/// The keys as JSON; `None` if all rows may have been written, or too many.
fn keys_of(rows: &[Row], keys_max: usize) -> Option<String> {
    if rows.len() >= keys_max {
        return None;
    }
    let keys: Option<Vec<Vec<&str>>> = rows.iter().map(|row| row.try_get(0).ok()?).collect();
    serde_json::to_string(&keys?).ok()
}

fn limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

fn outdated() -> Error {
    Error::new(
        Kind::CursorOutdated,
        "What was written since this cursor is not known any more.",
    )
    .with_hint("Fetch everything, and go on with the Cursor of that answer.")
}
