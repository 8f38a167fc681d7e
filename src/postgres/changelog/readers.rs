//! The few connections that hold views, and what is read with a view's opening, in one round trip.
//!
//! Knows nothing of what is read in a view later.

use super::{
    entry::{Entry, Xid8},
    flight::in_order,
    flood,
    relations::{SHAPES, Shape, Shapes},
    view::{KEPT, MARK, MARK_FOR_LOG, RELEASE, View, entries, failed, is_whole, query, simple},
};
use crate::{
    catalog::Oid,
    cursor::CursorSigner,
    error::{Error, Kind, Result},
    postgres::{Database, connection::Connection, fault},
    snapshot::Snapshot,
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::{Row, types::ToSql};

const BEGIN: &str = "begin isolation level repeatable read read only";
/// As [`BEGIN`], and keeps what the snapshot sees of the log where it is: a part of it that is
/// dropped is gone for older snapshots too. The lock comes before the snapshot, so that what was
/// dropped earlier is known to be.
const BEGIN_KEEPING: &str = "begin isolation level repeatable read read only;
    lock table rowcast.changes in access share mode";
const SNAPSHOT: &str =
    "select pg_current_snapshot()::text, case when $1 then pg_export_snapshot() end";
const PROBE: &str = "select pg_current_snapshot()::text";
const LOG_ID: &str = "select id::text from rowcast.log_identity";
const NEW: &str = include_str!("../../../sql/feed/new_since.sql");
/// Beyond this a statement of the feed's has gone wrong.
const STATEMENT_MS: u64 = 10_000;

/// For how long the feed waits for one of its views to be given back.
const WAIT: Duration = Duration::from_secs(10);

/// The connections that hold views: a bounded number.
#[derive(Debug)]
pub struct Readers {
    pub(super) database: Database,
    signer: Arc<CursorSigner>,
    // A std lock: held for a push or a pop.
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

/// What there is to see.
#[derive(Debug)]
pub struct Look {
    /// The state.
    pub view: View,
    /// What is new in the log; empty if `since` was not given.
    pub news: News,
    /// The shapes of the relations, if they were asked for.
    pub shapes: Option<Shapes>,
}

/// What is new in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Each entry, in the order of writing.
    Entries(Vec<Entry>),
    /// There are more than the limit.
    Summary {
        /// Those of relations and organizations of which there are few.
        few: Vec<Entry>,
        /// What else is concerned, as a whole.
        whole: Vec<Entry>,
    },
    /// There is more than can be summed up: everything is concerned.
    Flood,
    /// The log does not reach back to the snapshot any more.
    Outdated,
}

/// What to look for besides the state itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// Entries that were not visible at this snapshot, and at most how many.
    pub since: Option<(&'a Snapshot, usize)>,
    /// The shapes of the relations in the exposed schemas and of these others.
    pub shapes: Option<&'a [Oid]>,
    /// Whether other connections will read in this state.
    pub export: bool,
    /// Whether what this state has of the log is to stay while the view is open.
    pub log: bool,
}

impl Readers {
    /// At most `max` views at once; each has a connection of its own.
    /// They show the database that `signer` signs for, and no other.
    pub fn new(database: &Database, signer: &Arc<CursorSigner>, max: usize) -> Arc<Self> {
        Arc::new(Self {
            database: database.clone(),
            signer: signer.clone(),
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(max)),
        })
    }

    /// The state as it is now, without holding it: whether it differs from one that is known.
    ///
    /// # Errors
    /// `DatabaseUnavailable`.
    pub async fn probe(self: &Arc<Self>) -> Result<Snapshot> {
        let guard = self.connection().await?;
        let row = guard.one(PROBE, &[]).await?;
        guard.intact();
        row.try_get::<_, &str>(0)
            .map_err(fault::unavailable)?
            .parse()
    }

    /// Opens a view and reads what is wanted, in one round trip.
    ///
    /// # Errors
    /// `DatabaseUnavailable`, or as PostgreSQL says.
    pub async fn look(self: &Arc<Self>, wanted: Wanted<'_>) -> Result<Look> {
        let guard = self.connection().await?;
        let connection = &*guard;
        let statement = async |sql| connection.statement(sql).await.map_err(failed);
        let snapshot = statement(SNAPSHOT).await?;
        let news = statement(NEW).await?;
        let kept = statement(KEPT).await?;
        let shapes = statement(SHAPES).await?;

        let (xmax, xip, limit) = wanted.since.map_or((Xid8(0), Vec::new(), 0), |(it, max)| {
            let xip: Vec<Xid8> = it.xip.iter().map(|xid| Xid8(*xid)).collect();
            (Xid8(it.xmax), xip, as_limit(max) + 1)
        });
        let schemas = &self.database.config().database.schemas;
        let others = wanted.shapes.unwrap_or_default();
        let since: [&(dyn ToSql + Sync); 3] = [&xmax, &xip, &limit];
        let shape: [&(dyn ToSql + Sync); 2] = [schemas, &others];
        let export: [&(dyn ToSql + Sync); 1] = [&wanted.export];
        let begin = if wanted.log { BEGIN_KEEPING } else { BEGIN };
        let mut flight = vec![
            simple(connection, begin),
            query(connection, &snapshot, &export),
        ];
        if wanted.since.is_some() {
            flight.extend([
                simple(connection, MARK_FOR_LOG),
                query(connection, &news, &since),
                query(connection, &kept, &[]),
                simple(connection, RELEASE),
            ]);
        }
        if wanted.shapes.is_some() {
            flight.extend([
                simple(connection, MARK),
                query(connection, &shapes, &shape),
                simple(connection, RELEASE),
            ]);
        }
        let mut answers = in_order(flight).await.into_iter();
        let mut next = || answers.next().unwrap_or(Ok(Vec::new())).map_err(failed);
        next()?;
        let state = next()?;
        let (news, whole) = match wanted.since {
            Some((since, _)) => {
                next()?;
                let (news, kept) = (next()?, next()?);
                next()?;
                (news, is_whole(&kept, since)?)
            }
            None => (Vec::new(), true),
        };
        let shapes = match wanted.shapes {
            Some(_) => {
                next()?;
                let shapes = next()?;
                next()?;
                Some(shapes.iter().map(Shape::of).collect())
            }
            None => None,
        };

        let state = state
            .first()
            .ok_or_else(|| Error::internal("a snapshot has a row"))?;
        let snapshot = state
            .try_get::<_, &str>(0)
            .map_err(fault::unavailable)?
            .parse()?;
        let exported = state.try_get(1).map_err(fault::unavailable)?;
        let news = match wanted.since {
            _ if !whole => News::Outdated,
            Some((start, max)) if news.len() > max => {
                flood::sum_up(connection, &since[..2], start, max).await?
            }
            _ => News::Entries(entries(&news)?),
        };
        Ok(Look {
            view: View {
                guard,
                snapshot,
                exported,
                broken_off: false,
            },
            news,
            shapes,
        })
    }

    /// How many more views can be opened.
    pub fn available(&self) -> usize {
        self.permits.available_permits()
    }

    /// Waits until every view has been given back, and closes the connections.
    pub async fn close(&self, max: usize) {
        let all = u32::try_from(max).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(WAIT, self.permits.acquire_many(all)).await;
        self.permits.close();
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    async fn connection(self: &Arc<Self>) -> Result<Guard> {
        let waiting = self.permits.clone().acquire_owned();
        let permit = tokio::time::timeout(WAIT, waiting)
            .await
            .map_err(|_| Error::new(Kind::Overloaded, "the feed's views are all in use"))?
            .map_err(|_| Error::new(Kind::ShuttingDown, "the feed has ended"))?;
        let idle = || {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop()
        };
        let connection = loop {
            match idle() {
                Some(connection) if connection.is_closed() => {}
                Some(connection) => break connection,
                None => break self.open().await?,
            }
        };
        Ok(Guard {
            connection: Some(connection),
            intact: AtomicBool::new(false),
            readers: self.clone(),
            _permit: permit,
        })
    }

    async fn open(&self) -> Result<Connection> {
        let connection = self.database.dedicated().await?;
        connection
            .batch_execute(&format!(
                "set statement_timeout = {STATEMENT_MS};
                 set idle_in_transaction_session_timeout = 0;
                 set plan_cache_mode = force_generic_plan;
                 set application_name = 'rowcast feed'"
            ))
            .await
            .map_err(failed)?;
        // Whatever makes PostgreSQL forget the log's identity ends all connections too, so it is
        // enough to ask each new one.
        let row = connection.query_opt(LOG_ID, &[]).await.map_err(failed)?;
        let id = row.and_then(|it| it.get::<_, &str>(0).parse().ok());
        if id != Some(self.signer.database().log_id) {
            return Err(Error::internal("the change log has lost its identity"));
        }
        Ok(connection)
    }
}

/// A connection that goes back to the others when it is dropped, unless something went wrong on it.
#[derive(Debug)]
pub(super) struct Guard {
    connection: Option<Connection>,
    intact: AtomicBool,
    pub(super) readers: Arc<Readers>,
    _permit: OwnedSemaphorePermit,
}

impl Guard {
    /// Nothing is left half done.
    pub(super) fn intact(&self) {
        self.intact.store(true, Relaxed);
    }

    async fn one(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Row> {
        let statement = self.statement(sql).await.map_err(failed)?;
        self.query_one(&statement, parameters).await.map_err(failed)
    }
}

impl std::ops::Deref for Guard {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
            .as_ref()
            .expect("the connection is there until the guard is dropped")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let intact = self.intact.load(Relaxed);
        if let Some(connection) = self
            .connection
            .take()
            .filter(|it| intact && !it.is_closed())
        {
            let idle = self.readers.idle.lock();
            idle.unwrap_or_else(PoisonError::into_inner)
                .push(connection);
        }
    }
}

fn as_limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX - 1)
}
